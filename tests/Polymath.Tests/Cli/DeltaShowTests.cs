using System.Text.Json.Nodes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>The output of <c>polymath delta show</c> for forms, presets and a recipe's stages.</summary>
[Trait("kind", "invariant")]
public sealed class DeltaShowTests
{
    private static readonly string llama = TextFixtures.At("models", "llama");

    private static CliResult Show(TinyRecipe recipe, params string[] more) =>
        CliProgram.Run(recipe.Path, ["delta", "show", llama, .. more]);

    private static JsonNode Json(CliResult result)
    {
        Assert.True(result.Code == 0, result.All);
        return JsonNode.Parse(result.Out)!;
    }

    private static void Refused(CliResult result, string message)
    {
        Assert.True(result.Code == 2, result.All);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_preset_is_its_form_with_its_settings_and_yields_to_what_is_said()
    {
        using var recipe = new TinyRecipe();
        var plain = Json(Show(recipe, "lora", "--json"));
        var dora = Json(Show(recipe, "dora", "--json"));
        Assert.True((bool)dora["configuration"]!["use_dora"]!);
        Assert.True((long)dora["parameters"]! > (long)plain["parameters"]!);
        var narrow = Json(Show(recipe, "houlsby", "--roles", "down", "--set", "bottleneck=4", "--json"));
        Assert.Equal(["down"], narrow["sockets"]!.AsArray().Select(socket => (string)socket!["role"]!));
        Refused(Show(recipe, "doraa"), "There is no delta 'doraa'");
        Refused(Show(recipe), "Name what to show");
    }

    [Fact]
    public void A_stage_shows_each_of_its_adapters_and_the_total()
    {
        const string Method = """
            kind: adapters
            adapters:
              calm: {delta: {form: lora, budget: 1%}}
              brisk: {delta: {form: adapter, budget: 3k}}
              still: {delta: {form: lora, settings: {r: "2"}}, frozen: true}
            """;
        using var recipe = new TinyRecipe(tiny => tiny.With("stages.write.method", Method));
        var shown = Json(Show(recipe, "--recipe", "tiny.yaml", "--stage", "write", "--json"));
        var adapters = shown["adapters"]!.AsArray();
        Assert.Equal(["calm", "brisk", "still"], adapters.Select(adapter => (string)adapter!["name"]!));
        var parameters = adapters.Select(adapter => (long)adapter!["parameters"]!).ToList();
        Assert.InRange(parameters[0], 1, (long)shown["model"]! / 100);
        Assert.InRange(parameters[1], 1, 3000);
        // Frozen adapters are shown but not counted.
        Assert.Equal(parameters[0] + parameters[1], (long)shown["parameters"]!);
        var text = Show(recipe, "--recipe", "tiny.yaml", "--stage", "write").Out;
        foreach (var part in new[] { "calm", "still (frozen)", $"In all {parameters[0] + parameters[1]:N0} parameters are trained" })
            Assert.Contains(part, text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stage_with_one_delta_is_shown_through_its_prompt_and_others_are_refused()
    {
        using var recipe = new TinyRecipe();
        var shown = Json(Show(recipe, "--recipe", "tiny.yaml", "--stage", "tell", "--json"));
        Assert.Equal(("lora", 2), ((string)shown["adapters"]![0]!["name"]!, (int)shown["adapters"]![0]!["configuration"]!["r"]!));
        Refused(Show(recipe, "--recipe", "tiny.yaml", "--stage", "read"), "attaches no delta. Stages that do: tell");
        Refused(Show(recipe, "--recipe", "tiny.yaml", "--stage", "tel"), "no such stage");
        Refused(Show(recipe, "--recipe", "tiny.yaml"), "--recipe and --stage belong together");
        Refused(Show(recipe, "lora", "--recipe", "tiny.yaml", "--stage", "tell"), "give one of them");
        Refused(Show(recipe, "--recipe", "tiny.yaml", "--stage", "tell", "--budget", "8k"), "so does --budget");
    }
}
