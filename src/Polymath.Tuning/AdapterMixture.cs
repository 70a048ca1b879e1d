using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// A learned mixture of adapters (Wu et al. 2024, mixture of LoRA experts; Dou et al. 2024): in each socket a gate reads a token's state
/// and weighs the adapters' outputs, y = Σ gᵢ·fᵢ(x), g = softmax(G·x), fᵢ the map with the i-th adapter. G starts at zero: every
/// adapter has the same weight.
/// </summary>
public sealed class AdapterMixture : IDisposable
{
    /// <summary>The file of the gates.</summary>
    public const string File = "mixture.safetensors";

    private readonly List<(Projection Target, Delta Mixed, IReadOnlyList<Delta> Inner)> sockets = [];
    private readonly List<Weight> gates = [];

    private AdapterMixture()
    {
    }

    /// <summary>The gates, each [adapters, in], under the names <c>gate.MODULE</c>.</summary>
    public IReadOnlyList<Weight> Weights => gates;

    /// <summary>Adds fresh gates to adapters that are attached to a model. In each socket, the mixture replaces the adapters.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sets">The adapters.</param>
    /// <exception cref="InputException">There are fewer than two adapters, or one changes more than linear maps.</exception>
    public static AdapterMixture Fresh(LanguageModel model, IReadOnlyList<DeltaSet> sets) =>
        Over(model, sets, (name, shape) => new Weight(name, zeros(shape)));

    /// <summary>Adds gates from a file to adapters.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sets">The adapters, in the order they had.</param>
    /// <param name="folder">The folder of the file.</param>
    public static AdapterMixture Load(LanguageModel model, IReadOnlyList<DeltaSet> sets, string folder)
    {
        using var files = new FileWeights([Path.Combine(folder, File)], folder);
        var mixture = Over(model, sets, (name, shape) =>
        {
            using var held = files.Get(name, null, shape).Value;
            return new Weight(name, held.to(ScalarType.Float32, copy: true));
        });
        try
        {
            files.Finish([]);
        }
        catch
        {
            mixture.Dispose();
            throw;
        }
        return mixture;
    }

    private static AdapterMixture Over(LanguageModel model, IReadOnlyList<DeltaSet> sets, Func<string, long[], Weight> gate)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sets);
        if (sets.Count < 2)
            throw new InputException($"A mixture needs two adapters or more, and there {(sets.Count == 1 ? "is one" : "are none")}. Name "
                + "another, or use it without together: mix.");
        foreach (var set in sets)
            if (set.ChangesMore)
                throw new InputException($"{set.Configuration.Origin}: a {set.Configuration.Type} changes token vectors, rows or the "
                    + "model's own weights, which a gate cannot weigh. Mix deltas of linear maps, or stack them.");
        var mixture = new AdapterMixture();
        try
        {
            foreach (var target in model.Projections.Append(model.Tokens.HeadMap).Distinct().ToList())
            {
                // An adapter without a delta here does not change the map, but its output is weighed, too.
                var inner = sets.Select(set => set.Plugged.FirstOrDefault(pair => pair.Target == target).Delta).ToList();
                if (inner.TrueForAll(delta => delta is null)) continue;
                var weight = gate("gate." + target.Name, [sets.Count, target.InputWidth]);
                mixture.gates.Add(weight);
                foreach (var delta in inner.OfType<Delta>()) target.Unplug(delta);
                var mixed = new Mixed(weight, inner);
                target.Plug(mixed);
                mixture.sockets.Add((target, mixed, [.. inner.OfType<Delta>()]));
            }
        }
        catch
        {
            mixture.Dispose();
            throw;
        }
        return mixture;
    }

    /// <summary>Writes the gates.</summary>
    /// <param name="folder">The folder.</param>
    public void Save(string folder) =>
        SafetensorsWriter.Write(Path.Combine(folder, File), gates.ToDictionary(gate => gate.Name, gate => gate.Value));

    /// <summary>Removes the gates; the adapters return to their sockets.</summary>
    public void Dispose()
    {
        foreach (var (target, mixed, inner) in sockets)
        {
            target.Unplug(mixed);
            foreach (var delta in inner) target.Plug(delta);
        }
        foreach (var gate in gates) gate.Value.Dispose();
        sockets.Clear();
        gates.Clear();
    }

    private sealed class Mixed(Weight gate, IReadOnlyList<Delta?> inside) : Delta
    {
        public override IReadOnlyList<Weight> Weights { get; } = [gate, .. inside.OfType<Delta>().SelectMany(delta => delta.Weights)];

        public override bool Merges => false;

        public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
        {
            var shares = nn.functional.linear(x, gate.Value).softmax(-1);                                   // [tokens, adapters]
            var plain = inner(x);
            // Shares add up to one, so that Σ g·f(x) is inner(x) plus the weighed changes.
            var result = plain;
            for (var i = 0; i < inside.Count; i++)
                if (inside[i] is { } delta)
                    result = result + (delta.Forward(map, x, given => ReferenceEquals(given, x) ? plain : inner(given)) - plain)
                        * shares.narrow(1, i, 1);
            return result;
        }
    }
}
