using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>The weights of a task's own, which lie beside its model: fresh, or as an earlier stage left them.</summary>
internal sealed class TaskWeights : IDisposable
{
    /// <summary>The file in a model's folder.</summary>
    internal const string FileName = "task.safetensors";

    private readonly SafetensorsFile? file;
    private readonly string place;
    private readonly List<Weight> all = [];

    private readonly IReadOnlyDictionary<string, Tensor>? starts;

    private TaskWeights(SafetensorsFile? file, string place, IReadOnlyDictionary<string, Tensor>? starts = null) =>
        (this.file, this.place, this.starts) = (file, place, starts);

    /// <summary>Fresh weights.</summary>
    /// <param name="starts">Those that start from what was found before, by name.</param>
    internal static TaskWeights Fresh(IReadOnlyDictionary<string, Tensor>? starts = null) => new(null, "", starts);

    /// <summary>The weights in a folder; a task that learned none has no file.</summary>
    /// <param name="folder">The folder.</param>
    internal static TaskWeights Open(string folder)
    {
        var place = Path.Combine(folder, FileName);
        return new(File.Exists(place) ? SafetensorsFile.Open(place) : null, place);
    }

    /// <summary>All weights that were taken, in order.</summary>
    internal IReadOnlyList<Weight> All => all;

    /// <summary>A weight.</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="fresh">Its first values, as a tensor that the weight owns from here on.</param>
    /// <param name="trains">Whether it is trained.</param>
    /// <exception cref="InputException">The file does not have it.</exception>
    internal Weight Take(string name, Func<Tensor> fresh, bool trains = true)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var weight = new Weight(name, place.Length == 0 ? Start(name, fresh) : Kept(name)) { Trainable = trains };
        all.Add(weight);
        return weight;
    }

    private Tensor Start(string name, Func<Tensor> fresh) => (starts?.GetValueOrDefault(name) ?? fresh()).contiguous().clone();

    private Tensor Kept(string name)
    {
        if (file?.Entries.ContainsKey(name) != true)
            throw new InputException($"{place} {(file is null ? "is missing" : $"has no {name}")}: what the task has learned belongs "
                + "beside its task.json. Restore it, or train the stage again.");
        using var mapped = file.Map(name);
        return mapped.clone();
    }

    /// <summary>Writes weights to a folder, if there are any.</summary>
    /// <param name="folder">The folder.</param>
    internal void Save(string folder)
    {
        if (all.Count == 0) return;
        using var frozen = no_grad();
        SafetensorsWriter.Write(
            Path.Combine(folder, FileName), all.ToDictionary(weight => weight.Name, weight => weight.Value));
    }

    /// <summary>Closes the file, and frees the weights.</summary>
    public void Dispose()
    {
        file?.Dispose();
        foreach (var weight in all) weight.Free();
    }
}
