using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Every kind of adapter on every family: it changes the model, learns, is switched off, is merged, and leaves no trace.</summary>
// Random numbers come from one generator of the whole process.
[Trait("kind", "invariant")]
[Collection(Alone.Name)]
public sealed class FamilyMatrixTests(ITestOutputHelper output)
{
    public static TheoryData<string> Names => TinyFamilies.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_adapter_works_on_a_family(string family)
    {
        using var model = TinyFamilies.Make(family);
        foreach (var weight in model.Weights) weight.Trainable = false;
        var faults = DeltaKinds.All.Except(further).Select(kind => FaultOf(model, family, kind)).OfType<string>().ToList();
        faults.ForEach(output.WriteLine);
        Assert.Empty(faults);
    }

    private static string? FaultOf(LanguageModel model, string family, string kind)
    {
        var basis = Scores(model);
        try
        {
            using (var set = DeltaKinds.Fresh(model, kind, moved: true))
            {
                var changed = Scores(model);
                if (Samples.Gap(basis, changed) < 1e-5) return $"{kind}: changes nothing";
                if (Learned(model, set) is { } lazy) return $"{kind}: {lazy}";
                using (set.Off())
                    if (Samples.Gap(basis, Scores(model)) > 1e-6) return $"{kind}: works while it is off";
                if (set.Merges && Merged(family, kind) is > 1e-4 and var gap) return $"{kind}: merged it differs by {gap:G3}";
            }
            return Samples.Gap(basis, Scores(model)) > 1e-4 ? $"{kind}: leaves a trace" : null;
        }
        catch (InputException refusal)
        {
            return Refused(model, family, kind) ? null : $"{kind}: {refusal.Message}";
        }
        catch (Exception fault)
        {
            return $"{kind}: {fault.GetType().Name}: {fault.Message.Split('\n')[0]}";
        }
    }

    private static double Merged(string family, string kind)
    {
        using var model = TinyFamilies.Make(family);
        using var set = DeltaKinds.Fresh(model, kind, moved: true);
        var apart = Scores(model);
        set.Merge();
        return Samples.Gap(apart, Scores(model)) / apart.Max(Math.Abs);
    }

    // LLaMA-Adapter is for decoders; OLMo's norms have no weights, Mamba's layers neither keys nor values.
    private static bool Refused(LanguageModel model, string family, string kind) => (family, kind) == ("olmo", "LN_TUNING")
        || kind == "ADAPTION_PROMPT" && (model.Reading != Reading.Decoder || family == "mamba2")
        || family == "mamba2" && kind.StartsWith("PREFIX", StringComparison.Ordinal);

    // Other settings of the same form are tested on three families.
    private static readonly string[] further =
    [
        "LORA rs", "LORA pissa", "LORA a bias", "LORA dora a bias", "SHIRA magnitude", "OFT cayley", "HRA gs", "P_TUNING lstm",
        "PREFIX_TUNING projection", "POLYMATH_SPARSE random", "POLYMATH_BOTTLENECK gated", "LORA olora",
    ];

    private static float[] Scores(LanguageModel model)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = TinyFamilies.Batch(model);
        // Virtual tokens have no place of their own here.
        using var places = batch.LastPlaces();
        return Samples.Floats(model.Unembed(model.Hidden(batch).index_select(0, places)));
    }

    private static string? Learned(LanguageModel model, DeltaSet set)
    {
        foreach (var weight in set.Weights) weight.Trainable = true;
        try
        {
            using var scope = NewDisposeScope();
            using var batch = TinyFamilies.Batch(model);
            Fused.Backpropagate(TinyFamilies.Loss(model, batch));
            foreach (var (name, weight) in set.Trained)
            {
                // An expert that no token chose has none.
                if (weight.Value.grad is not { } gradient)
                {
                    if (name.Contains(".experts.", StringComparison.Ordinal)) continue;
                    return $"{name} has no gradient";
                }
                if (!gradient.isfinite().all().item<bool>()) return $"{name} has a gradient that is no number";
            }
            return null;
        }
        finally
        {
            foreach (var weight in set.Weights)
            {
                weight.ClearGradient();
                weight.Trainable = false;
            }
        }
    }
}
