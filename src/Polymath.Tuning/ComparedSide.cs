using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// One of two models or adapters that are compared: its settings, and its tensors or its changes of a base model, each computed on request.
/// </summary>
public sealed class ComparedSide : IDisposable
{
    private readonly List<IDisposable> held = [];
    private readonly Dictionary<string, (IReadOnlyList<long> Shape, Func<Tensor?> Make)> tensors = new(StringComparer.Ordinal);

    private ComparedSide(JsonObject settings) => Settings = settings;

    /// <summary>The content of its configuration.</summary>
    public JsonObject Settings { get; }

    /// <summary>The names of its tensors and their shapes.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<long>> Shapes => tensors.ToDictionary(pair => pair.Key, pair => pair.Value.Shape);

    /// <summary>Whether a folder is an adapter's.</summary>
    /// <param name="folder">The folder.</param>
    public static bool IsAdapter(string folder) => AdapterFolder.Is(folder);

    /// <summary>Opens a folder.</summary>
    /// <param name="folder">A model's folder or an adapter's.</param>
    /// <param name="basis">The base model's folder, to compare the changes of it instead of the tensors.</param>
    /// <param name="anyBase">Whether an adapter may have been trained on another model.</param>
    /// <exception cref="InputException">A file is damaged, or does not fit the base.</exception>
    public static ComparedSide Open(string folder, string? basis, bool anyBase)
    {
        var side = new ComparedSide(IsAdapter(folder)
            ? (JsonObject)JsonNode.Parse(AdapterConfiguration.Read(Path.Combine(folder, "adapter_config.json")).ToJson())!
            : ModelFolder.Configuration(folder));
        try
        {
            if (!IsAdapter(folder))
                side.Take(side.Own(ModelFolder.Open(folder)), basis is null ? null : side.Own(ModelFolder.Open(basis)), basis);
            else if (basis is null) side.Take(side.Own(WeightFile.OpenAny(DeltaSet.AdapterFile(folder))));
            else side.Take(side.Own(DeltaSet.Load(side.Own(ModelFolder.Open(basis)), folder, anyBase)));
            return side;
        }
        catch
        {
            side.Dispose();
            throw;
        }
    }

    private T Own<T>(T made) where T : IDisposable
    {
        held.Add(made);
        return made;
    }

    private void Take(WeightFile file)
    {
        foreach (var (name, entry) in file.Entries) tensors[name] = (entry.Shape, () => file.Map(name));
    }

    private void Take(LanguageModel model, LanguageModel? basis, string? place)
    {
        var own = basis?.Weights.ToDictionary(weight => weight.Name);
        foreach (var weight in model.Weights)
        {
            Weight? start = null;
            if (own is not null && (!own.TryGetValue(weight.Name, out start) || !start.Shape.SequenceEqual(weight.Shape)))
                throw new InputException($"{weight.Name} [{string.Join(", ", weight.Shape)}] is not in {place}, or has another shape "
                    + "there. Name the model that both were made from.");
            tensors[weight.Name] = (weight.Shape, () => start is null ? weight.Value.alias() : weight.Wide() - start.Wide());
        }
    }

    private void Take(DeltaSet deltas)
    {
        var merged = deltas.Merged();
        foreach (var weight in deltas.Model.Weights)
            tensors[weight.Name] = (weight.Shape, () => Change(weight));

        Tensor? Change(Weight weight)
        {
            if (merged.Of(weight) is { } changed) return changed - weight.Wide();
            return weight.Before is { } before ? weight.Wide() - before : null;
        }
    }

    /// <summary>Compares the tensors that both have in the same shape, the largest difference first.</summary>
    /// <param name="other">The other side.</param>
    public IReadOnlyList<Difference> Against(ComparedSide other)
    {
        ArgumentNullException.ThrowIfNull(other);
        using var frozen = no_grad();
        var lines = new List<Difference>();
        foreach (var (name, (shape, make)) in tensors)
        {
            if (!other.tensors.TryGetValue(name, out var theirs) || !theirs.Shape.SequenceEqual(shape)) continue;
            using var scope = NewDisposeScope();
            lines.Add(Difference.Of(name, make(), theirs.Make()));
        }
        return [.. lines.Where(line => line.First > 0 || line.Second > 0)
            .OrderByDescending(line => line.Apart).ThenBy(line => line.Name, StringComparer.Ordinal)];
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        for (var i = held.Count - 1; i >= 0; i--) held[i].Dispose();
        held.Clear();
    }
}
