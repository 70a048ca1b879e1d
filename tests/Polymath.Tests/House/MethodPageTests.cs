using System.Text.Json;
using System.Text.RegularExpressions;
using Polymath.Recipes;
using Polymath.Tests.Recipes;
using Polymath.Tuning;

namespace Polymath.Tests.House;

/// <summary>Every method has its page, every page's recipe binds and checks, and every setting of a method is described.</summary>
[Trait("kind", "house")]
public sealed partial class MethodPageTests
{
    // Settings of PEFT's files that have no effect here, or that every method has.
    private static readonly string[] Silent =
    [
        "bias", "init_weights", "init_ia3_weights", "use_effective_conv2d", "qalora_group_size", "projection_prng_key", "token_dim",
        "num_transformer_submodules", "num_attention_heads", "num_layers", "encoder_dropout",
        "tokenizer_name_or_path", "tokenizer_kwargs", "rank_dropout_scale",
    ];

    public static TheoryData<DeltaForm> Forms => [.. Enum.GetValues<DeltaForm>()];

    private static string Page(DeltaForm form) =>
        File.ReadAllText(Sources.At("docs", "methods", JsonNamingPolicy.CamelCase.ConvertName(form.ToString()) + ".md"));

    private static string Kind(string page) => Title().Match(page).Groups[1].Value;

    [Fact]
    public void Every_kind_of_file_has_one_page() =>
        Assert.Equal(
            DeltaMethods.Names.Order(StringComparer.Ordinal),
            Enum.GetValues<DeltaForm>().Select(form => Kind(Page(form))).Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Forms))]
    public void A_page_s_recipe_binds_and_checks_and_asks_for_its_form(DeltaForm form)
    {
        var method = Snippet().Match(Page(form)).Groups[1].Value;
        Assert.StartsWith("method:", method, StringComparison.Ordinal);
        var recipe = "name: page\nmodel: {family: llama, hiddenSize: 32, intermediateSize: 48, layers: 2, heads: 2, contextLength: "
            + "64}\ntokenizer: {kind: character}\ndata:\n  lines: {files: 'npm:poems@2.0.1/json/*.json', sha512: " + SampleRecipes.Hash
            + ", fields: {text: text}}\nstages:\n  - name: read\n    kind: pretrain\n    data: lines\n    steps: 100\n    optimizer: "
            + "{rate: 1e-3}\n"
            + string.Concat(method.Trim().Split('\n').Select(line => "    " + line + "\n"));
        var reading = SampleRecipes.Read(recipe);
        Assert.Equal([], reading.Faults.Select(fault => fault.ToString()));
        var spec = Assert.IsType<DeltaSpec>(reading.OrThrow().Stages.Single().Method);
        Assert.Equal(form, spec.Form);
        DeltaPlan.Check(spec, "the page", steps: 100);
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void A_page_tells_every_setting_links_back_and_is_linked(DeltaForm form)
    {
        var page = Page(form);
        var method = DeltaMethods.Of(
            AdapterConfiguration.Of(new System.Text.Json.Nodes.JsonObject { ["peft_type"] = Kind(page) }, "the page"));
        Assert.Equal([], method.Keys.Except(Silent).Where(key => !Regex.IsMatch(page, $@"\b{key}\b")));
        foreach (var part in new[] { "## Formula", "## File", "## Settings", "## When", "## Traps", "Source: ", "(deltas.md)" })
            Assert.Contains(part, page, StringComparison.Ordinal);
        Assert.InRange(page.Split('\n').Length, 25, 70);
        Assert.Contains(
            $"({JsonNamingPolicy.CamelCase.ConvertName(form.ToString())}.md)",
            File.ReadAllText(Sources.At("docs", "methods", "deltas.md")),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Every_snippet_of_several_adapters_binds_and_checks()
    {
        var snippets = Snippet().Matches(File.ReadAllText(Sources.At("docs", "methods", "several.md")))
            .Select(match => match.Groups[1].Value).ToList();
        var asked = new HashSet<Together>();
        var data = string.Concat(new[] { "german", "german_law", "french" }
            .Select(name => $"  {name}: {{files: 'npm:poems@2.0.1/json/*.json', sha512: {SampleRecipes.Hash}, fields: {{text: text}}}}\n"));
        var earlier = string.Concat(new[] { "language", "german", "french" }
            .Select(name => $"  - {{name: {name}, kind: pretrain, data: german, steps: 100, optimizer: {{rate: 1e-3}}, method: {{kind: "
                + "lora, merge: false}}\n"));
        foreach (var snippet in snippets)
        {
            // The page names the reader's own folder; here any folder works.
            var method = string.Concat(snippet.Replace("folder: checkpoint-500", "folder: .", StringComparison.Ordinal)
                .Trim().Split('\n').Select(line => "    " + line + "\n"));
            var reading = SampleRecipes.Read(
                "name: page\nmodel: {family: llama, hiddenSize: 32, intermediateSize: 48, layers: 2, heads: 2, contextLength: "
                    + "64}\ntokenizer: {kind: character}\ndata:\n" + data + "stages:\n" + earlier + "  - name: all\n    kind: "
                    + "pretrain\n    data: [german, german_law, french]\n    steps: 100\n    optimizer: {rate: 1e-3}\n" + method);
            Assert.Equal([], reading.Faults.Select(fault => fault.ToString()));
            asked.Add(Assert.IsType<AdaptersMethod>(reading.OrThrow().Stages[^1].Method).Together);
        }
        Assert.Equal(Enum.GetValues<Together>().Order(), asked.Order());
    }

    [Fact]
    public void The_recipe_of_the_page_of_heads_binds_and_checks_and_trains_one()
    {
        // The page names the reader's own rows; here any rows work.
        var recipe = Snippet().Match(File.ReadAllText(Sources.At("docs", "methods", "heads.md"))).Groups[1].Value;
        var reading = SampleRecipes.Read(recipe.Replace(
            "files: reviews.jsonl", "files: 'npm:poems@2.0.1/json/*.json', sha512: " + SampleRecipes.Hash, StringComparison.Ordinal));
        Assert.Equal([], reading.Faults.Select(fault => fault.ToString()));
        Assert.True(reading.OrThrow().Stages.Single().TrainsHead);
    }

    [GeneratedRegex(@"^# .* \(`([A-Z0-9_]+)`\)")]
    private static partial Regex Title();

    [GeneratedRegex(@"```yaml\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Snippet();
}
