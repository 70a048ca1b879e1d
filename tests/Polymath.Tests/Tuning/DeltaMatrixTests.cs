using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Every kind of adapter times what must hold of each, on three families.</summary>
[Trait("kind", "invariant")]
public sealed class DeltaMatrixTests : IDisposable
{
    // Settings beside the targets. A fresh adapter of the first kind leaves the base as it is; one of the second starts elsewhere by its definition.
    private static readonly Dictionary<string, (string Settings, bool IsBaseWhenFresh)> kinds = new(StringComparer.Ordinal)
    {
        ["LORA"] = ("""{"r":3,"lora_alpha":6}""", true),
        ["LORA rs"] = ("""{"r":4,"lora_alpha":6,"use_rslora":true,"init_lora_weights":"gaussian"}""", true),
        ["LORA dora"] = ("""{"r":2,"lora_alpha":4,"use_dora":true}""", true),
        ["LORA bias"] = ("""{"r":2,"bias":"all","modules_to_save":["norm"]}""", true),
        ["LORA pissa"] = ("""{"r":3,"lora_alpha":6,"init_lora_weights":"pissa"}""", true),
        ["LORA olora"] = ("""{"r":3,"lora_alpha":6,"init_lora_weights":"olora"}""", true),
        ["LORA a bias"] = ("""{"r":2,"lora_bias":true}""", true),
        ["LORA dora a bias"] = ("""{"r":2,"lora_bias":true,"use_dora":true}""", true),
        ["LORA tokens"] = ("""{"r":2,"trainable_token_indices":[5,7,12]}""", true),
        ["SHIRA"] = ("""{"r":1,"random_seed":3}""", true),
        ["SHIRA magnitude"] = ("""{"r":1,"mask_type":"magnitude"}""", true),
        ["ADAPTION_PROMPT"] = ("""{"adapter_len":3,"adapter_layers":2}""", true),
        ["ADALORA"] = ("""{"init_r":4,"total_step":10}""", true),
        ["VERA"] = ("""{"r":5}""", true),
        ["LOHA"] = ("""{"r":2}""", true),
        ["LOKR"] = ("""{"r":2,"decompose_both":true}""", true),
        ["OFT"] = ("""{"oft_block_size":4}""", true),
        ["OFT cayley"] = ("""{"oft_block_size":8,"use_cayley_neumann":false,"block_share":true}""", true),
        ["BOFT"] = ("""{"boft_block_size":4,"boft_n_butterfly_factor":2}""", true),
        ["HRA"] = ("""{"r":4}""", true),
        ["HRA gs"] = ("""{"r":2,"apply_GS":true}""", false),
        ["FOURIERFT"] = ("""{"n_frequency":9,"init_weights":true,"scaling":20}""", true),
        ["IA3"] = ("""{"feedforward_modules":[]}""", true),
        ["LN_TUNING"] = ("{}", true),
        ["TRAINABLE_TOKENS"] = ("""{"token_indices":[5,7,12]}""", true),
        ["POLYMATH_BOTTLENECK houlsby"] = ("""{"bottleneck":6,"activation":"gelu"}""", true),
        ["POLYMATH_BOTTLENECK parallel"] = ("""{"bottleneck":6,"insertion":"parallel","scale":4,"activation":"gelu"}""", true),
        ["POLYMATH_BOTTLENECK gated"] = ("""{"bottleneck":6,"insertion":"parallel","composition":"gated","activation":"gelu"}""", true),
        ["POLYMATH_BOTTLENECK multihead"] = ("""{"bottleneck":8,"activation":"silu","insertion":"multihead","learned_scale":true}""", true),
        ["POLYMATH_BOTTLENECK compacter"] = ("""{"bottleneck":8,"activation":"gelu","phm_dim":4}""", true),
        ["POLYMATH_BITFIT"] = ("""{"create_missing":true}""", true),
        ["POLYMATH_SPARSE"] = ("""{"elements":30}""", true),
        ["POLYMATH_SPARSE random"] = ("""{"elements":30,"choose":"random"}""", true),
        ["POLYMATH_SAID"] = ("""{"dimensions":20}""", true),
        ["PROMPT_TUNING"] = ("""{"num_virtual_tokens":3}""", false),
        ["P_TUNING"] = ("""{"num_virtual_tokens":3,"encoder_hidden_size":7}""", false),
        ["P_TUNING lstm"] = ("""{"num_virtual_tokens":3,"encoder_hidden_size":5,"encoder_reparameterization_type":"LSTM"}""", false),
        ["PREFIX_TUNING"] = ("""{"num_virtual_tokens":3}""", false),
        ["PREFIX_TUNING projection"] = ("""{"num_virtual_tokens":3,"prefix_projection":true,"encoder_hidden_size":6}""", false),
    };

    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string, string> Pairs
    {
        get
        {
            var pairs = new TheoryData<string, string>();
            foreach (var family in new[] { "llama", "gpt2", "chatglm2" })
                foreach (var kind in kinds.Keys)
                    // ChatGLM's attention has no place for what is attended to besides, and says so.
                    if (kind != "ADAPTION_PROMPT" || family != "chatglm2") pairs.Add(family, kind);
            return pairs;
        }
    }

    private static LanguageModel Open(string family) => ModelFolder.Open(TextFixtures.At("models", family));

    private static DeltaSet Fresh(LanguageModel model, string kind, bool moved)
    {
        var content = JsonNode.Parse(kinds[kind].Settings)!.AsObject();
        content["peft_type"] = kind.Split(' ')[0];
        var norms = model.Weights.Where(weight => weight.Shape.Count == 1 && weight.Name.EndsWith(".weight", StringComparison.Ordinal)).Select(weight => weight.Name[..^".weight".Length]);
        if (!kind.Contains("PROMPT", StringComparison.Ordinal) && !kind.Contains("P_", StringComparison.Ordinal) && !kind.Contains("PREFIX", StringComparison.Ordinal))
            content["target_modules"] = new JsonArray([.. (kind == "LN_TUNING" ? norms : kind == "TRAINABLE_TOKENS" ? [model.Tokens.Name] : kind == "POLYMATH_BITFIT" ? []
                : kind.Contains("BOTTLENECK", StringComparison.Ordinal) ? model.Projections.Where(map => map.Role == Role.Output || map.Role == Role.Down && !kind.EndsWith("multihead", StringComparison.Ordinal)).Select(map => map.Name) : model.DefaultTargets).Select(name => JsonValue.Create(name))]);
        var set = DeltaSet.Fresh(model, AdapterConfiguration.Of(content, kind), 5);
        // Away from where they start, so that what has to change does.
        if (moved) foreach (var (name, weight) in set.Trained) weight.Assign(weight.Value + Samples.Normal(name, weight.Value.shape) * 0.2);
        return set;
    }

    private static float[] Logits(LanguageModel model)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Lay(Rows());
        using var places = batch.LastPlaces();
        return Samples.Floats(model.Unembed(model.Hidden(batch).index_select(0, places)));
    }

    private static List<TokenRow> Rows() => [Row(5, 6, 7, 8, 9), Row(11, 12, 13)];

    private static TokenRow Row(params int[] ids) => new(ids, [.. ids.Select((_, i) => i == 0 ? 0f : 1f)], "");

    private static double Loss(LanguageModel model)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Lay(Rows());
        return model.NegativeLogLikelihood(batch).item<float>();
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void A_fresh_one_is_the_base_and_a_moved_one_is_not_until_it_is_switched_off_or_detached(string family, string kind)
    {
        using var model = Open(family);
        var basis = Logits(model);
        using (var fresh = Fresh(model, kind, moved: false))
        {
            Assert.Equal(kinds[kind].IsBaseWhenFresh, Samples.Gap(basis, Logits(model)) < 1e-5);
            Assert.NotEmpty(fresh.Trained);
        }
        using (var moved = Fresh(model, kind, moved: true))
        {
            var changed = Logits(model);
            Assert.True(Samples.Gap(basis, changed) > 1e-4, "the adapter changes nothing");
            using (moved.Off()) Assert.Equal(basis, Logits(model));
            Assert.Equal(changed, Logits(model));
        }
        Assert.Equal(basis, Logits(model));
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void What_is_saved_answers_the_same_when_it_is_loaded_and_goes_on_being_trained(string family, string kind)
    {
        using var model = Open(family);
        float[] before;
        List<string> names;
        using (var set = Fresh(model, kind, moved: true))
        {
            before = Logits(model);
            names = [.. set.Trained.Select(item => item.Name)];
            set.Save(folder.Path);
        }
        using var again = DeltaSet.Load(model, folder.Path);
        // A product may round otherwise where its numbers lie otherwise in memory.
        Assert.True(Samples.Gap(before, Logits(model)) < 1e-6);
        Assert.Equal(names, again.Trained.Select(item => item.Name));
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Merged_it_answers_as_before_where_it_can_be_merged(string family, string kind)
    {
        using var model = Open(family);
        using var set = Fresh(model, kind, moved: true);
        // Where the model has all its biases, none is made, and those it has are its own.
        Assert.Equal(!kind.StartsWith('P') && kind != "ADAPTION_PROMPT" && !(kind.EndsWith("a bias", StringComparison.Ordinal) && family == "llama") || kind.StartsWith("POLYMATH_S", StringComparison.Ordinal) || (family, kind) == ("gpt2", "POLYMATH_BITFIT"), set.Merges);
        if (!set.Merges) return;
        var apart = Logits(model);
        var merged = set.Merged();
        var streamed = model.Weights.Select(weight =>
        {
            using var scope = NewDisposeScope();
            return Samples.Floats(merged.Of(weight) ?? weight.Wide());
        }).ToList();
        set.Merge();
        // One weight at a time is the same as all at once, number for number.
        Assert.All(model.Weights.Zip(streamed), pair => Assert.Equal(pair.Second, Samples.Floats(pair.First.Wide())));
        Assert.True(Samples.Gap(apart, Logits(model)) < 1e-4, $"{Samples.Gap(apart, Logits(model))}");
        Assert.All(model.Projections, projection => Assert.Empty(projection.Deltas));
    }

    public static TheoryData<BasePrecision, string> Rounded
    {
        get
        {
            var rows = new TheoryData<BasePrecision, string>();
            foreach (var precision in new[] { BasePrecision.Nf4, BasePrecision.Int8 })
                foreach (var kind in kinds.Keys) rows.Add(precision, kind);
            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Rounded))]
    public void On_a_rounded_base_it_is_what_it_is_on_the_numbers_that_the_base_stands_for(BasePrecision precision, string kind)
    {
        using LanguageModel held = Open("llama"), wide = Open("llama");
        held.Hold(precision);
        foreach (var (own, other) in held.Weights.Zip(wide.Weights))
        {
            using var numbers = own.Wide();
            other.Assign(numbers);
        }
        foreach (var weight in held.Weights.Concat(wide.Weights)) weight.Trainable = false;
        var basis = Logits(held);
        using (Fresh(held, kind, moved: false)) Assert.Equal(kinds[kind].IsBaseWhenFresh, Samples.Gap(basis, Logits(held)) < 1e-5);
        float[] changed;
        using (DeltaSet set = Fresh(held, kind, moved: true), twin = Fresh(wide, kind, moved: true))
        {
            changed = Logits(held);
            Assert.True(Samples.Gap(basis, changed) > 1e-4, "the adapter changes nothing");
            using (set.Off()) Assert.Equal(basis, Logits(held));
            foreach (var (model, weights) in new[] { (held, set.Weights), (wide, twin.Weights) })
            {
                foreach (var weight in weights) weight.Trainable = true;
                using var scope = NewDisposeScope();
                using var batch = model.Lay(Rows());
                Fused.Backpropagate(model.NegativeLogLikelihood(batch));
            }
            foreach (var ((name, weight), (_, other)) in set.Trained.Zip(twin.Trained))
                Assert.True(Samples.Gap(other.Value.grad is { } theirs ? Samples.Floats(theirs) : new float[weight.Count], weight.Value.grad is { } ours ? Samples.Floats(ours) : new float[weight.Count]) < 2e-4, name);
            set.Save(folder.Path);
        }
        Assert.Equal(basis, Logits(held));
        using var again = DeltaSet.Load(held, folder.Path);
        Assert.True(Samples.Gap(changed, Logits(held)) < 1e-6);
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Taken_out_again_it_leaves_the_base_where_there_is_a_way_back(string family, string kind)
    {
        using var basis = Open(family);
        using var merged = Open(family);
        using (var set = Fresh(merged, kind, moved: true))
        {
            if (!set.Merges) return;
            set.Save(folder.Path);
            set.Merge();
        }
        Assert.False(ModelSignature.Of(basis).Fits(ModelSignature.Of(merged)));
        using var again = DeltaSet.Load(merged, folder.Path, anyBase: true);
        var own = basis.Weights.ToDictionary(weight => weight.Name);
        // Rows that DoRA has scaled, PiSSA's part of the base, and numbers that were replaced have no way back of their own.
        var lost = kind is "LORA dora" or "LORA dora a bias" or "LORA tokens" or "LORA bias" or "LORA pissa" or "LORA olora" or "LN_TUNING" or "TRAINABLE_TOKENS" or "POLYMATH_BITFIT";
        if (lost) Assert.Contains("--base", Assert.Throws<InputException>(() => again.Unmerged()).Message, StringComparison.Ordinal);
        var weights = again.Unmerged(lost ? weight => own[weight.Name].Wide() : null);
        foreach (var weight in merged.Weights)
        {
            using var scope = NewDisposeScope();
            Assert.True(Samples.Gap(Samples.Floats(own[weight.Name].Wide()), Samples.Floats(weights.Of(weight) ?? weight.Wide())) < 2e-5, weight.Name);
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Gradients_are_finite_differences_and_reach_the_adapter_alone(string family, string kind)
    {
        using var model = Open(family);
        foreach (var weight in model.Weights) weight.Trainable = false;
        using var set = Fresh(model, kind, moved: true);
        foreach (var weight in set.Weights) weight.Trainable = true;
        using (NewDisposeScope())
        {
            using var batch = model.Lay(Rows());
            Fused.Backpropagate(model.NegativeLogLikelihood(batch));
        }
        var own = set.Weights.ToHashSet();
        Assert.All(model.Weights.Where(weight => !own.Contains(weight)), weight => Assert.Null(weight.Value.grad));
        foreach (var (name, weight) in set.Trained)
        {
            using var scope = NewDisposeScope();
            // Along a random direction, by which all elements of a weight are tried at once.
            Tensor direction = Samples.Normal($"way of {name}", weight.Value.shape), start = weight.Value.detach().clone();
            direction /= direction.norm();
            var slope = weight.Value.grad is { } gradient ? (gradient * direction).sum().item<float>() : 0;
            double At(double step)
            {
                weight.Assign(start + direction * step);
                return Loss(model);
            }

            // DoRA's lengths count as constants in the gradient, by definition.
            if (kind.StartsWith("LORA dora", StringComparison.Ordinal) && !name.EndsWith("lora_B.bias", StringComparison.Ordinal) && !name.EndsWith("lora_magnitude_vector", StringComparison.Ordinal)) continue;
            const double Step = 2e-3;
            var measured = (At(Step) - At(-Step)) / (2 * Step);
            weight.Assign(start);
            Assert.True(Math.Abs(measured - slope) <= 0.02 * Math.Max(Math.Abs(measured), 0.3), $"{name}: {slope} is not {measured}");
        }
    }
}
