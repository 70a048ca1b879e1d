using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>Where a model that is being built gets its weights from.</summary>
public abstract class WeightSource
{
    /// <summary>The weight of a name and shape.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="spread">For fresh weights, the standard deviation; null for ones (norms).</param>
    /// <param name="shape">The shape.</param>
    public abstract Weight Get(string name, double? spread, params long[] shape);
}

/// <summary>Fresh weights: normal around zero, norms one. Each depends on the seed and its own name only.</summary>
/// <param name="seed">The run's seed.</param>
public sealed class FreshWeights(long seed) : WeightSource
{
    /// <inheritdoc/>
    public override Weight Get(string name, double? spread, params long[] shape)
    {
        if (spread is not { } deviation) return new Weight(name, ones(shape));
        var values = new float[shape.Aggregate(1L, (a, b) => a * b)];
        var random = new RandomStream(seed, name);
        for (var i = 0; i < values.Length; i++) values[i] = (float)(random.NextNormal() * deviation);
        return new Weight(name, tensor(values, shape));
    }
}

/// <summary>Weights from safetensors files. Missing, unexpected and misshaped ones are refused together, by name.</summary>
public sealed class FileWeights : WeightSource, IDisposable
{
    readonly List<SafetensorsFile> files;
    readonly Dictionary<string, SafetensorsFile> places = new(StringComparer.Ordinal);
    readonly HashSet<string> used = new(StringComparer.Ordinal);
    readonly List<string> faults = [];
    readonly string origin;

    /// <summary>Opens the files of a model.</summary>
    /// <param name="paths">The files.</param>
    /// <param name="origin">What to call the model in messages.</param>
    public FileWeights(IReadOnlyList<string> paths, string origin)
    {
        this.origin = origin;
        files = [];
        try
        {
            foreach (var path in paths) files.Add(SafetensorsFile.Open(path));
        }
        catch
        {
            Dispose();
            throw;
        }
        foreach (var file in files)
            foreach (var name in file.Entries.Keys)
                if (!places.TryAdd(name, file)) faults.Add($"{name} stands in {places[name].Path} and in {file.Path}");
    }

    /// <summary>Whether the files have a tensor.</summary>
    /// <param name="name">The name.</param>
    public bool Has(string name) => places.ContainsKey(name);

    /// <inheritdoc/>
    public override Weight Get(string name, double? spread, params long[] shape)
    {
        if (!places.TryGetValue(name, out var file))
        {
            faults.Add($"{name} [{string.Join(", ", shape)}] is missing");
            return new Weight(name, zeros(1));
        }
        used.Add(name);
        var entry = file.Entries[name];
        if (!entry.Shape.SequenceEqual(shape)) faults.Add($"{name} has the shape [{string.Join(", ", entry.Shape)}], the configuration wants [{string.Join(", ", shape)}]");
        var mapped = file.Map(name);
        if (entry.Type == ScalarType.Float32) return new Weight(name, mapped);
        using (mapped) return new Weight(name, mapped.to(ScalarType.Float32));
    }

    /// <summary>Says that a tensor in the files is known and not needed.</summary>
    /// <param name="name">The name.</param>
    public void Ignore(string name) => used.Add(name);

    /// <summary>Throws when anything was missing, unexpected or misshaped.</summary>
    /// <exception cref="InputException">All faults, one a line.</exception>
    public void Finish()
    {
        faults.AddRange(places.Keys.Where(name => !used.Contains(name)).Select(name => $"{name} is in the file and not in the model"));
        if (faults.Count == 0) return;
        throw new InputException($"The weights of {origin} do not fit its config.json:\n  " + string.Join("\n  ", faults.Take(20)) + (faults.Count > 20 ? $"\n  and {faults.Count - 20} more" : ""));
    }

    /// <summary>Closes the files. Weights read from them must not be used any more.</summary>
    public void Dispose() => files.ForEach(file => file.Dispose());
}
