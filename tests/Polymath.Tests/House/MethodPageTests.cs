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

    private static readonly RecipeBuilder plain = RecipeBuilder.Named("page")
        .Model("family: llama", "hiddenSize: 32", "intermediateSize: 48", "layers: 2", "heads: 2", "contextLength: 64")
        .Tokenizer("kind: character");

    private const string Steps = "steps: 100";
    private const string Optimizer = "optimizer: {rate: 1e-3}";
    private static readonly string[] poems =
        ["files: 'npm:poems@2.0.1/json/*.json'", $"sha512: {SampleRecipes.Hash}", "fields: {text: text}"];

    public static TheoryData<DeltaForm> Forms => [.. Enum.GetValues<DeltaForm>()];

    private static string Page(DeltaForm form) =>
        File.ReadAllText(Sources.At("docs", "methods", JsonNamingPolicy.CamelCase.ConvertName(form.ToString()) + ".md"));

    /// <summary>What a page's recipe says behind <c>method:</c>.</summary>
    private static string Method(Match snippet)
    {
        const string key = "method:";
        Assert.StartsWith(key, snippet.Groups[1].Value, StringComparison.Ordinal);
        return snippet.Groups[1].Value[key.Length..];
    }

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
        var method = Method(Snippet().Match(Page(form)));
        var reading = SampleRecipes.Read(
            plain.Data("lines", poems).Stage("read", "pretrain", "data: lines", Steps, Optimizer).With("stages.read.method", method).Text);
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
        var snippets = Snippet().Matches(File.ReadAllText(Sources.At("docs", "methods", "several.md"))).Select(Method).ToList();
        var asked = new HashSet<Together>();
        var several = new[] { "german", "german_law", "french" }.Aggregate(plain, (recipe, name) => recipe.Data(name, poems));
        several = new[] { "language", "german", "french" }
            .Aggregate(several, (recipe, name) =>
                recipe.Stage(name, "pretrain", "data: german", Steps, Optimizer, "method: {kind: lora, merge: false}"))
            .Stage("all", "pretrain", "data: [german, german_law, french]", Steps, Optimizer);
        foreach (var method in snippets)
        {
            var recipe = several.With("stages.all.method", method);
            // The page names the reader's own folder; here any folder works.
            if (method.Contains("folder: checkpoint-500", StringComparison.Ordinal))
                recipe = recipe.With("stages.all.method.adapters.mine.folder", ".");
            var reading = SampleRecipes.Read(recipe.Text);
            Assert.Equal([], reading.Faults.Select(fault => fault.ToString()));
            asked.Add(Assert.IsType<AdaptersMethod>(reading.OrThrow().Stages[^1].Method).Together);
        }
        Assert.Equal(Enum.GetValues<Together>().Order(), asked.Order());
    }

    [Fact]
    public void The_recipe_of_the_page_of_heads_binds_and_checks_and_trains_one()
    {
        // The page names the reader's own rows; here any rows work.
        var recipe = RecipeBuilder.Of(Snippet().Match(File.ReadAllText(Sources.At("docs", "methods", "heads.md"))).Groups[1].Value);
        var reading = SampleRecipes.Read(recipe
            .With("data.reviews.files", "npm:poems@2.0.1/json/*.json").With("data.reviews.sha512", SampleRecipes.Hash).Text);
        Assert.Equal([], reading.Faults.Select(fault => fault.ToString()));
        Assert.True(reading.OrThrow().Stages.Single().TrainsHead);
    }

    [GeneratedRegex(@"^# .* \(`([A-Z0-9_]+)`\)")]
    private static partial Regex Title();

    [GeneratedRegex(@"```yaml\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Snippet();
}
