using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary><c>polymath runs</c>: what a user sees of runs that were stopped, finished and changed.</summary>
[Trait("kind", "unit")]
public sealed class RunsVerbTests
{
    [Fact]
    public void Runs_are_listed_shown_and_compared()
    {
        using var recipe = new TinyRecipe(tiny => tiny.Without("abilities").Without("rewards").With(
            "stages",
            "[{name: read, kind: pretrain, data: lines, steps: 6, optimizer: {rate: 1e-2}, evaluate: {every: 2, rows: 10}, "
                + "batch: {tokens: 200, maxLength: 20, overlong: drop, fill: false}}]"));
        recipe.Write("lines.jsonl", File.ReadAllText(recipe.At("lines.jsonl"))
            + "{\"name\": \"long\", \"text\": \"" + string.Concat(Enumerable.Repeat("amo ", 40)) + "\", \"kind\": \"soft\"}\n");
        Assert.Equal(0, recipe.Run("all/one", "--stop-after-step", "4").Code);
        Assert.Equal("stopped", State(recipe, "all/one")["phase"]!.ToString());
        // The page is there while the run goes on, with the rows that were left out.
        var page = File.ReadAllText(recipe.At("all", "one", "report.html"));
        Assert.Contains("running: read, step 4 of 6", page);
        Assert.Contains("http-equiv=\"refresh\"", page);
        Assert.Contains("longer than 20 tokens", page);
        Assert.Contains("gradient norm during read", page);
        Assert.Contains("learning rate during read", page);
        Assert.False(File.Exists(recipe.At("all", "one", "report.json")));
        Assert.Equal(0, recipe.Run("all/one").Code);
        Assert.Equal("finished", State(recipe, "all/one")["phase"]!.ToString());
        Assert.DoesNotContain("http-equiv=\"refresh\"", File.ReadAllText(recipe.At("all", "one", "report.html")));
        Assert.Equal(0, recipe.Run("all/two", "--set", "stages.read.optimizer.rate=2e-2").Code);

        var list = CliProgram.Run(recipe.Path, "runs", "--dir", recipe.At("all"));
        Assert.Equal(0, list.Code);
        Assert.Matches("one .*finished.*read.*6", list.Out);
        var listed = CliProgram.Run(recipe.Path, "runs", "list", "--dir", recipe.At("all"), "--json");
        var json = JsonNode.Parse(listed.Out)!.AsArray();
        Assert.Equal(["one", "two"], json.Select(run => Path.GetFileName(run!["folder"]!.ToString())).Order());
        Assert.All(json, run => Assert.Equal(6, run!["step"]!.GetValue<int>()));

        var show = CliProgram.Run(recipe.Path, "runs", "show", "one", "--dir", recipe.At("all"));
        Assert.Equal(0, show.Code);
        Assert.Contains("read: loss", show.Out);
        Assert.Contains(" │", show.Out);
        Assert.Contains("longer than 20 tokens", show.Out);
        var drawn = CliProgram.Run(recipe.Path, "runs", "show", recipe.At("all", "one"), "--figure", "heldOutLoss");
        Assert.Contains("read: heldOutLoss", drawn.Out);

        var compared = CliProgram.Run(recipe.Path, "runs", "compare", "one", "two", "--dir", recipe.At("all"));
        Assert.Equal(0, compared.Code);
        Assert.Matches(@"stages\.read\.optimizer\.rate.*0\.01.*0\.02", compared.Out);
        Assert.Matches(@"read.*heldOutLoss.*[0-9]", compared.Out);

        var odd = CliProgram.Run(recipe.Path, "runs", "show", "onne", "--dir", recipe.At("all"));
        Assert.Contains("did you mean 'one'?", odd.Error);
        string Refused(params string[] more) => CliProgram.Run(recipe.Path, ["runs", "show", recipe.At("all", "one"), .. more]).Error;
        Assert.Contains("has no figure 'lost'", Refused("--figure", "lost"));
        Assert.Contains("no figures of a stage 'raed'", Refused("--stage", "raed"));
        Assert.Contains("No run lies below", CliProgram.Run(recipe.Path, "runs", "--dir", recipe.At("none")).Out);
    }

    [Fact]
    public void A_run_that_fails_says_why_in_its_folder()
    {
        using var recipe = new TinyRecipe(tiny => tiny.Without("abilities").Without("rewards").With(
            "stages",
            "[{name: read, kind: pretrain, data: lines, steps: 4, optimizer: {rate: 1e-2}, "
                + "batch: {tokens: 200, maxLength: 4, overlong: refuse, fill: false}}]"));
        var failed = recipe.Run("run");
        Assert.Equal(2, failed.Code);
        var state = State(recipe, "run");
        Assert.Equal("failed", state["phase"]!.ToString());
        Assert.Contains(state["message"]!.ToString(), failed.Error);
        Assert.Contains("failed", CliProgram.Run(recipe.Path, "runs", "--dir", recipe.At("run")).Out);
    }

    private static JsonNode State(TinyRecipe recipe, string run) => JsonNode.Parse(File.ReadAllText(recipe.At(run, "run.json")))!;
}
