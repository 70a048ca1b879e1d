using System.Text;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Tensors.Files;
using Polymath.Tests.House;
using Polymath.Tests.Text;

namespace Polymath.Tests.Models;

/// <summary>The table of families in the docs is generated from the cases of the tests and must equal them.</summary>
[Trait("kind", "parity")]
public sealed class FamilyTableTests
{
    [Fact]
    public void The_table_in_the_docs_says_what_the_tests_verify()
    {
        var made = Make();
        var place = Sources.At("docs", "reference", "families.md");
        if (!File.Exists(place) || File.ReadAllText(place).ReplaceLineEndings("\n") != made)
        {
            var written = Path.Combine(AppContext.BaseDirectory, "families.md");
            File.WriteAllText(written, made);
            Assert.Fail($"docs/reference/families.md is not what the cases say. Copy {written} over it.");
        }
    }

    private const string Ending = """
        ## Where transformers differs

        The published code counts. Falcon with ALiBi: transformers' eager attention adds the bias twice, its `sdpa` once, as published.
        DeepSeek V2: transformers leaves out the factor mscale² that YaRN puts on the scores when `mscale_all_dim` is set; DeepSeek's own
        code and transformers' V3 have it. Gemma 2 bends attention's scores towards a cap; transformers' default attention (`sdpa`)
        leaves the cap out, and `verify` tries both and says which one a reference agrees with. Frequencies of the kinds `dynamic` and
        `longrope` depend on the longest row of a batch, as transformers has it; beyond the first context its own greedy answers depend
        on what the model read before, and are not compared.

        ## Multimodal folders

        The text model is read, by its own names or by those that it has inside the multimodal model; the weights of other parts are
        left aside, and opening says so. Whatever writes the whole model again (`model convert`, `adapter merge`, a stage) writes them
        with it, byte for byte, under all names as they were, with the whole configuration and the files of what prepares pictures and
        sounds (`preprocessor_config.json` and the like). A head over labels is written with the text model alone.

        ## Experts

        A token's experts are computed together, expert by expert. Every step records the load of the busiest expert and the share of
        experts that no token chose (`busiest expert`, `idle experts`). Two ways keep the load even:

        - the balancing loss, with `output_router_logits: true` in the model's configuration, times `router_aux_loss_coef` (Fedus et al.
          2021; transformers' `load_balancing_loss_func`, over all layers together)
        - without a loss, with `expertBiasRate: 0.001` in a stage: after each step the bias of each expert that chooses it, and weighs
          nothing else (`e_score_correction_bias`), moves by the rate, up below the mean load of its layer and down above it (Wang et al.
          2024; DeepSeek V3). DeepSeek V3 and GLM-4 MoE have such biases. Loads are summed over the passes and the processes of a step;
          checkpoints keep the biases. It needs the method `full` or `freeze`: an adapter's file has no place for them

        Adapters of experts: [deltas](../methods/deltas.md#experts).

        ## Dropout

        Dropout inside the base model is not applied in training; the delta's own is.
        """;

    private static string Make()
    {
        var cases = new[] { TextFixtures.At("models"), TextFixtures.At("families"), TextFixtures.At("own", "models") }
            .SelectMany(Directory.GetDirectories)
            .Select(folder => (Name: Path.GetFileName(folder), Folder: folder, Configuration: Json(folder))).ToList();
        var text = new StringBuilder();
        text.AppendLine("# Model families");
        text.AppendLine();
        text.AppendLine("""
            Which model types can be opened, and what is verified of each against transformers' own numbers (for ChatGLM, the published
            model code's). This page is made from the cases that the tests run; each case compares every number the reference holds:
            logits and loss to 2e-4, gradients to 2e-4 of their largest entry, greedy tokens exactly, with the key-value cache and
            without. Every case also saves to the same names, shapes and bytes, and gives rows that lie together the states of each row
            alone. Check a model of your own with `polymath model verify FOLDER`.
            """);
        text.AppendLine();
        text.AppendLine("| model type | architecture | case | verified | options |");
        text.AppendLine("|---|---|---|---|---|");
        foreach (var type in ModelFolder.Families.Concat(Envelope.Types.Keys).Order(StringComparer.Ordinal))
        {
            var own = cases.Where(item => (string?)item.Configuration["model_type"] == type)
                .OrderBy(item => item.Name, StringComparer.Ordinal).ToList();
            if (own.Count == 0) text.AppendLine($"| `{type}` | | none of its own: {Instead(type)} | | |");
            foreach (var item in own)
                text.AppendLine($"| `{type}` | {item.Configuration["architectures"]![0]} | {item.Name} | {Verified(item.Folder)} | "
                    + $"{Options(item.Configuration["text_config"] as JsonObject ?? item.Configuration)} |");
        }
        text.AppendLine();
        text.AppendLine(Ending);
        return text.ToString().ReplaceLineEndings("\n");
    }

    private static string Instead(string type) => Envelope.Types.TryGetValue(type, out var within)
        ? $"the text model within is `{within}`"
        : $"the same code as `{type switch { "internlm" => "internlm3", var other => other }}`";

    private static JsonObject Json(string folder) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!.AsObject();

    private static string Verified(string folder)
    {
        using var file = SafetensorsFile.Open(Path.Combine(folder, "reference.safetensors"));
        var gradients = file.Entries.Keys.Count(name => name.StartsWith("grad.", StringComparison.Ordinal));
        return $"logits, loss, {gradients} gradients{(file.Entries.ContainsKey("greedy") ? ", greedy" : "")}";
    }

    private static string Options(JsonObject configuration)
    {
        var said = new List<string>();
        if ((configuration["rope_parameters"] ?? configuration["rope_scaling"]) is JsonObject rope
            && (string?)rope["rope_type"] is { } kind and not "default")
            said.Add($"rope {kind}");
        if (configuration["tie_word_embeddings"]?.GetValue<bool>() is true) said.Add("tied head");
        if (configuration["sliding_window"] is { } window) said.Add($"window {window}");
        if (configuration["num_key_value_heads"] is { } shared && (int)shared != (int)configuration["num_attention_heads"]!)
            said.Add("grouped");
        if ((configuration["num_local_experts"] ?? configuration["num_experts"]) is { } experts) said.Add($"{experts} experts");
        if ((configuration["problem_type"]?.ToString()) is { } problem) said.Add(problem.Split("_class")[0].Replace('_', ' '));
        return string.Join(", ", said);
    }
}
