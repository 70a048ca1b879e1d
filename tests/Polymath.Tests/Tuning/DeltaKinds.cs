using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Every kind of adapter, for three families.</summary>
internal static class DeltaKinds
{
    // Settings in addition to the targets. A fresh adapter of the first kind does not change the base; one of the second does by
    // definition.
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
        ["ADAPTION_PROMPT"] = ("""{"adapter_len":3,"adapter_layers":1}""", true),
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

    /// <summary>The kinds, some of them more than once with other settings.</summary>
    internal static IEnumerable<string> All => kinds.Keys;

    /// <summary>Whether a fresh adapter does not change the base.</summary>
    internal static bool IsBaseWhenFresh(string kind) => kinds[kind].IsBaseWhenFresh;

    // The dropouts of a kind in training.
    private static IEnumerable<(string Key, double Probability)> Dropouts(string kind) => kind.Split(' ')[0] switch
    {
        "LORA" or "ADALORA" => [("lora_dropout", 0.3)],
        "VERA" => [("vera_dropout", 0.3)],
        "LOHA" or "LOKR" => [("rank_dropout", 0.3), ("module_dropout", 0.2)],
        "OFT" => [("module_dropout", 0.3)],
        "BOFT" => [("boft_dropout", 0.3)],
        _ => [],
    };

    public static TheoryData<string, string> Pairs
    {
        get
        {
            var pairs = new TheoryData<string, string>();
            foreach (var family in new[] { "llama", "gpt2", "chatglm2" })
                foreach (var kind in All) pairs.Add(family, kind);
            return pairs;
        }
    }

    internal static LanguageModel Open(string family) => ModelFolder.Open(TextFixtures.At("models", family));

    internal static DeltaSet Fresh(
        LanguageModel model,
        string kind,
        bool moved,
        bool dropped = false,
        IReadOnlyList<string>? targets = null,
        string targetKey = "target_modules")
    {
        var content = JsonNode.Parse(kinds[kind].Settings)!.AsObject();
        foreach (var (key, value) in dropped ? Dropouts(kind) : []) content[key] = value;
        content["peft_type"] = kind.Split(' ')[0];
        var norms = model.Weights.Where(weight => weight.Shape.Count == 1 && weight.Name.EndsWith(".weight", StringComparison.Ordinal))
            .Select(weight => weight.Name[..^".weight".Length]);
        if (!kind.Contains("PROMPT", StringComparison.Ordinal)
            && !kind.Contains("P_", StringComparison.Ordinal) && !kind.Contains("PREFIX", StringComparison.Ordinal))
            content[targetKey] = new JsonArray([.. (targets ?? Targets()).Select(name => JsonValue.Create(name))]);
        var set = DeltaSet.Fresh(model, AdapterConfiguration.Of(content, kind), 5);
        // Away from the initial values, so that everything has an effect.
        if (moved) foreach (var (name, weight) in set.Trained) weight.Assign(weight.Value + Samples.Normal(name, weight.Value.shape) * 0.2);
        return set;

        IEnumerable<string> Targets() => kind switch
        {
            "LN_TUNING" => norms,
            "TRAINABLE_TOKENS" => [model.Tokens.Name],
            "POLYMATH_BITFIT" => [],
            _ when kind.Contains("BOTTLENECK", StringComparison.Ordinal) => model.Projections.Where(map => map.Role == Role.Output
                || map.Role == Role.Down && !kind.EndsWith("multihead", StringComparison.Ordinal)).Select(map => map.Name),
            _ => model.DefaultTargets,
        };
    }

    internal static float[] Logits(LanguageModel model)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Lay(Rows());
        using var places = batch.LastPlaces();
        return Samples.Floats(model.Unembed(model.Hidden(batch).index_select(0, places)));
    }

    internal static List<TokenRow> Rows() => [Row(5, 6, 7, 8, 9), Row(11, 12, 13)];

    internal static TokenRow Row(params int[] ids) => new(ids, [.. ids.Select((_, i) => i == 0 ? 0f : 1f)], "");

    internal static double Loss(LanguageModel model)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Lay(Rows());
        return model.NegativeLogLikelihood(batch).item<float>();
    }
}
