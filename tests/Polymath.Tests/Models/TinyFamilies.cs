using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>A fresh tiny model of every family, and rows for it.</summary>
internal static class TinyFamilies
{
    internal const int Vocabulary = 61;

    internal static TheoryData<string> Names => [.. FreshFamily.Names.Order(StringComparer.Ordinal)];

    internal static FamilySpec Spec(string family) => new(
        family,
        32,
        family == "bloom" ? 128 : 64,
        family is "qwen3_next" or "qwen3_5_text" or "qwen3_5_moe_text" ? 4 : 2,
        4,
        ContextLength: 64,
        Experts: family is "mixtral" or "granitemoe" or "gpt_oss" or "llama4_text" || family.Contains("moe", StringComparison.Ordinal)
            || family is "qwen3_next" or "deepseek_v2" or "deepseek_v3" ? 4 : null);

    internal static JsonObject Configuration(string family) => FreshFamily.Configure(Spec(family), Vocabulary, 0, 1);

    internal static LanguageModel Make(string family, double spread = 0.2)
    {
        var configuration = Configuration(family);
        configuration[family is "bart" or "mbart" or "pegasus" ? "init_std" : "initializer_range"] = spread;
        return ModelFolder.New(configuration, 3);
    }

    internal static List<TokenRow> Rows() => [Row(5, 6, 7, 8, 9, 2, 3, 12), Row(11, 12, 13, 5, 7, 4)];

    private static TokenRow Row(params int[] ids) => new(ids, [.. ids.Select((_, i) => i < 3 ? 0f : 1f)], "");

    /// <summary>A batch with targets: masked words for an encoder, answers for the others.</summary>
    internal static Batch Batch(LanguageModel model) => model.Reading == Reading.Encoder
        ? model.LayMasked(
            [.. Rows().Select(row => row.Ids)], [.. Rows().Select(row => (int[])[.. row.Ids.Select((id, i) => i % 2 == 0 ? id : -100)])])
        : model.Lay(Rows());

    /// <summary>The loss of <see cref="Batch"/>, with a gradient.</summary>
    internal static Tensor Loss(LanguageModel model, Batch batch) => model.NegativeLogLikelihood(batch) / batch.TargetCount;
}
