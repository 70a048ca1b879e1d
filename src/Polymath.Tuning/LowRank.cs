using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// A low-rank adapter as plain tensors: the factors of each module, written as PEFT would write them. All scales are in the factors: α =
/// r. It owns its factors.
/// </summary>
public sealed class LowRank : IDisposable
{
    private readonly SortedDictionary<string, (Tensor A, Tensor B)> factors = new(StringComparer.Ordinal);

    /// <summary>The modules, in order.</summary>
    public IEnumerable<string> Modules => factors.Keys;

    /// <summary>Sets a module's change to B·A.</summary>
    /// <param name="module">The module.</param>
    /// <param name="a">A [r, in].</param>
    /// <param name="b">B [out, r].</param>
    public void Set(string module, Tensor a, Tensor b) =>
        factors[module] = (a.contiguous().DetachFromDisposeScope(), b.contiguous().DetachFromDisposeScope());

    /// <summary>Makes a new one; when this fails, the factors set so far are freed.</summary>
    /// <param name="fill">Sets its factors.</param>
    internal static LowRank Of(Action<LowRank> fill)
    {
        var made = new LowRank();
        try
        {
            fill(made);
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>Frees the factors.</summary>
    public void Dispose()
    {
        foreach (var (a, b) in factors.Values)
        {
            a.Dispose();
            b.Dispose();
        }
        factors.Clear();
    }

    /// <summary>The best factors of a rank for a change (Eckart &amp; Young 1936): B = U·S, A = Vᵀ.</summary>
    /// <param name="change">ΔW [out, in].</param>
    /// <param name="rank">r.</param>
    public static (Tensor A, Tensor B) Of(Tensor change, int rank)
    {
        ArgumentNullException.ThrowIfNull(change);
        var kept = Math.Min(rank, Math.Min(change.size(0), change.size(1)));
        var (u, s, v) = linalg.svd(change, fullMatrices: false);
        return (v.narrow(0, 0, kept), u.narrow(1, 0, kept) * s.narrow(0, 0, kept));
    }

    /// <summary>The difference of B·A from a change, by the Frobenius norm, as a share of the change's own norm.</summary>
    /// <param name="module">The module.</param>
    /// <param name="change">The change [out, in].</param>
    public double Error(string module, Tensor change)
    {
        ArgumentNullException.ThrowIfNull(change);
        using var scope = NewDisposeScope();
        var (a, b) = factors[module];
        // A sum near zero is only rounding error, so its size is compared with the summands.
        var whole = Math.Max(change.norm().item<float>(), 1e-3f * a.norm().item<float>() * b.norm().item<float>());
        return (b.mm(a) - change).norm().item<float>() / Math.Max(whole, 1e-30f);
    }

    /// <summary>Writes the adapter. All modules have the same rank: smaller factors are padded with zeros, which change nothing.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="basis">A configuration whose base model and task are kept.</param>
    /// <param name="model">The model it fits, without adapters; when given, the file names it.</param>
    public void Save(string folder, AdapterConfiguration basis, LanguageModel? model = null)
    {
        ArgumentNullException.ThrowIfNull(basis);
        using var scope = NewDisposeScope();
        var rank = (int)factors.Values.Max(pair => pair.A.size(0));
        var content = new Dictionary<string, Tensor>();
        foreach (var (module, (a, b)) in factors)
        {
            var missing = rank - a.size(0);
            content[$"{AdapterConfiguration.Prefix}{module}.lora_A.weight"] = cat([a, zeros(missing, a.size(1))], 0).contiguous();
            content[$"{AdapterConfiguration.Prefix}{module}.lora_B.weight"] = cat([b, zeros(b.size(0), missing)], 1).contiguous();
        }
        var whole = Deltas.Lora.Configure(
            rank,
            rank,
            [.. factors.Keys],
            basis.Text("base_model_name_or_path") ?? "",
            "CAUSAL_LM");
        if (model is not null) DeltaPlan.Fit(whole, model);
        var json = (JsonObject)JsonNode.Parse(whole.ToJson())!;
        json["task_type"] = basis.Text("task_type");
        SafetensorsWriter.Write(
            Path.Combine(folder, "adapter_model.safetensors"), content, model is null ? null : AdapterBase.Of(model).Metadata);
        AtomicFile.WriteText(Path.Combine(folder, "adapter_config.json"), AdapterConfiguration.Of(json, folder).ToJson());
    }

    /// <summary>A linear adapter of any form as low-rank factors, with the error of each module.</summary>
    /// <param name="set">The adapter, attached.</param>
    /// <param name="rank">r.</param>
    /// <param name="errors">For each module, the share of the change that is lost.</param>
    /// <exception cref="InputException">The adapter is more than changes of linear maps' weights.</exception>
    public static LowRank Convert(DeltaSet set, int rank, out IReadOnlyDictionary<string, double> errors)
    {
        ArgumentNullException.ThrowIfNull(set);
        if (!set.Merges || set.ChangesMore)
            throw new InputException($"An adapter of the kind {set.Configuration.Type} cannot become low-rank: it changes more than the "
                + "weights of linear maps. Keep it as it is.");
        using var frozen = no_grad();
        var lost = new Dictionary<string, double>();
        errors = lost;
        return Of(result =>
        {
            foreach (var group in set.Plugged.GroupBy(pair => pair.Target))
            {
                using var scope = NewDisposeScope();
                var change = Change(group.Key, group.Select(pair => pair.Delta));
                var (a, b) = Of(change, rank);
                result.Set(group.Key.Name, a, b);
                lost[group.Key.Name] = result.Error(group.Key.Name, change);
            }
        });
    }

    /// <summary>The difference between a tuned model and its base, as low-rank factors of the linear maps that differ.</summary>
    /// <param name="basis">The base, without adapters.</param>
    /// <param name="tuned">The model that was trained from it.</param>
    /// <param name="rank">r.</param>
    /// <param name="errors">For each module, the share of the change that is lost.</param>
    /// <param name="left">The weights that differ and are not linear maps.</param>
    /// <exception cref="InputException">Their shapes differ, or no linear map differs.</exception>
    public static LowRank Extract(
        LanguageModel basis,
        LanguageModel tuned,
        int rank,
        out IReadOnlyDictionary<string, double> errors,
        out IReadOnlyList<string> left)
    {
        ArgumentNullException.ThrowIfNull(basis);
        ArgumentNullException.ThrowIfNull(tuned);
        var others = tuned.Weights.ToDictionary(weight => weight.Name);
        if (basis.Weights.FirstOrDefault(
            weight => !others.TryGetValue(weight.Name, out var other) || !other.Shape.SequenceEqual(weight.Shape)) is not null
            || others.Count != basis.Weights.Count)
            throw new InputException("The two models do not have the same shape: weights differ in name, number or size. Name a model "
                + "and the one that it was trained from.");
        using var frozen = no_grad();
        var lost = new Dictionary<string, double>();
        var made = Of(result =>
        {
            foreach (var (map, own) in tuned.Projections.Zip(basis.Projections))
            {
                using var scope = NewDisposeScope();
                var change = map.Matrix() - own.Matrix();
                if (change.eq(0).all().item<bool>()) continue;
                var (a, b) = Of(change, rank);
                result.Set(map.Name, a, b);
                lost[map.Name] = result.Error(map.Name, change);
            }
        });
        if (lost.Count == 0)
            throw new InputException("No linear map of the two models differs: there is nothing to extract.");
        var maps = basis.Projections.Select(map => map.Weight).ToHashSet();
        left = [.. basis.Weights.Where(weight => !maps.Contains(weight)).Where(weight =>
        {
            using var scope = NewDisposeScope();
            return others[weight.Name].Wide().ne(weight.Wide()).any().item<bool>();
        }).Select(weight => weight.Name)];
        errors = lost;
        return made;
    }

    /// <summary>The change of a projection's weight by deltas [out, in].</summary>
    /// <param name="map">The projection.</param>
    /// <param name="deltas">The deltas.</param>
    /// <exception cref="InputException">The bias changes, too.</exception>
    internal static Tensor Change(Projection map, IEnumerable<Delta> deltas)
    {
        // Additive changes are used directly: a small change would be lost to rounding when added to the weight.
        var sums = deltas.Select(delta => delta switch
        {
            Deltas.Lora { Magnitude: null, Bias: null } lora => lora.Change(),
            AddedDelta added => added.Change(),
            _ => null,
        }).ToList();
        if (sums.TrueForAll(sum => sum is not null)) return sums.Aggregate((whole, next) => whole! + next!)!;
        Tensor weight = map.Matrix(), merged = weight;
        var bias = map.BiasValues;
        foreach (var delta in deltas)
        {
            var (next, nextBias) = delta.Merge(merged, bias);
            if (bias is not null && !ReferenceEquals(nextBias, bias))
                throw new InputException($"The adapter changes the bias of {map.Name}, which a low-rank change of the weight cannot. Keep "
                    + "it as it is, or merge it.");
            merged = next;
        }
        return merged - weight;
    }
}
