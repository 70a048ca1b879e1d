using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>Several finished stages that answer together: as an ability, by <c>eval</c>, and by <c>classify</c>.</summary>
[Trait("kind", "invariant")]
public sealed class EnsembleRunTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public EnsembleRunTests()
    {
        folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 60).Select(i => Line(i))));
        folder.Write("test.jsonl", string.Concat(Enumerable.Range(60, 20).Select(i => Line(i))));
    }

    // Some labels are not what the words say.
    private static string Line(int i) => $"{{\"text\": \"{(i % 2 == 0 ? "a it" : "b was")} {i % 5}\", "
        + $"\"kind\": \"{(i % 2 == 0 ^ i % 7 == 0 ? "soft" : "hard")}\"}}\n";

    public void Dispose() => folder.Dispose();

    private static RecipeBuilder Recipe(ScratchFolder folder)
    {
        string Task(string more) => $"label: kind, data: rows, steps: 4, optimizer: {{rate: 3e-3}}, batch: {{rows: 8}}, "
            + $"evaluate: {{samples: 0}}{more}";
        const string Prompt = ", method: {kind: prompt, template: '{text} it was {mask}', verbalizer: {words: {soft: soft, hard: hard}}";
        var model = PromptModels.Save(folder, "bert-mlm");
        return RecipeBuilder.Named("one").Model($"folder: \"{model}\"")
            .Data("rows", "files: rows.jsonl", "test: test.jsonl", "split: {validation: 0.3}")
            .Stage("asked", "task", Task(Prompt + "}"))
            .Stage("apart", "task", Task($", from: '{model}'{Prompt}, train: {{kind: lora, r: 2, merge: false}}}}"))
            .Stage("head", "task", Task($", from: '{model}', text: '{{text}} .'"))
            .With("abilities", """
                {alone: {kind: accuracy, stage: asked, split: test},
                 mean: {kind: ensemble, stages: [asked, apart, head], split: test},
                 learned: {kind: ensemble, stages: [asked, apart, head], split: test, together: learned},
                 pair: {kind: ensemble, stages: [asked, apart], figure: macroF1, together: majority}}
                """);
    }

    private CliResult Run(params string[] arguments) => CliProgram.Run(folder.Path, arguments);

    private JsonObject Abilities(string run, string stage) => JsonNode.Parse(
        File.ReadAllText(folder.At(run, "stages", stage, "report.json")))!["abilities"]!.AsObject();

    private List<JsonNode> Classified(string run, string stages, params string[] more)
    {
        var done = Run(["classify", run, "--stage", stages, "--input", "test.jsonl", .. more]);
        Assert.True(done.Code == 0, done.All);
        return [.. done.Out.TrimEnd('\n').Split('\n').Select(line => JsonNode.Parse(line)!)];
    }

    private static double Of(JsonNode row, string label) => (double)row["classified"]!["probabilities"]![label]!;

    private static double Accuracy(List<JsonNode> rows) =>
        rows.Average(row => (string)row["kind"]! == (string)row["classified"]!["label"]! ? 1.0 : 0);

    [Fact]
    public void Stages_answer_together_when_all_are_finished_and_as_classify_does()
    {
        folder.Write("one.yaml", Recipe(folder).Text);
        var whole = Run("run", "one.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        Assert.Equal(0, Run("run", "one.yaml", "--run-dir", "parts", "--stop-after-step", "10").Code);
        Assert.Equal(0, Run("run", "one.yaml", "--run-dir", "parts").Code);
        Assert.Equal(RunFigures.Of(folder.At("whole", "metrics.jsonl")), RunFigures.Of(folder.At("parts", "metrics.jsonl")));
        // Each ensemble is measured after the stage that completes it.
        IEnumerable<string> Measured(string stage) =>
            Abilities("whole", stage).Select(pair => pair.Key).Where(key => key != "after").Order();
        Assert.Equal(["alone"], Measured("01-asked"));
        Assert.Equal(["alone", "pair"], Measured("02-apart"));
        Assert.Equal(["learned", "mean"], Measured("03-head"));
        List<JsonNode>[] each = [Classified("whole", "asked"), Classified("whole", "apart"), Classified("whole", "head")];
        var mean = Classified("whole", "asked,apart,head", "--why");
        for (var row = 0; row < mean.Count; row++)
        {
            Assert.Equal(each.Average(own => Of(own[row], "soft")), Of(mean[row], "soft"), 2e-6);
            var why = mean[row]["classified"]!["why"]!.AsArray();
            Assert.Equal(["apart", "asked", "head"], why.Select(reason => (string)reason!["stage"]!).Order());
        }
        Assert.Equal(Accuracy(mean), (double)Abilities("whole", "03-head")["mean"]!, 1e-9);
        var learned = Classified("whole", "asked,apart,head", "--together", "learned", "--why");
        Assert.Equal(Accuracy(learned), (double)Abilities("whole", "03-head")["learned"]!, 1e-9);
        Dictionary<string, double> shares = learned[0]["classified"]!["why"]!.AsArray()
            .ToDictionary(reason => (string)reason!["stage"]!, reason => (double)reason!["share"]!);
        Assert.Equal(1, shares.Values.Sum(), 1e-5);
        string[] names = ["asked", "apart", "head"];
        Assert.Equal(names.Zip(each).Sum(pair => shares[pair.First] * Of(pair.Second[3], "soft")), Of(learned[3], "soft"), 1e-5);
        var measured = Run("eval", "whole", "--stage", "asked", "--ability", "mean", "--json");
        Assert.Equal(Accuracy(mean), (double)JsonNode.Parse(measured.Out)!["mean"]!, 1e-9);
        Elsewhere(each);
    }

    // Stages of another run, and a model's folder.
    private void Elsewhere(List<JsonNode>[] each)
    {
        var one = Run("classify", "whole", "--stage", "asked,parts/apart,whole/stages/03-head/model", "--text", "b was 3", "--json");
        Assert.True(one.Code == 0, one.All);
        var same = each.Select(own => own.First(row => (string)row["text"]! == "b was 3")).ToList();
        Assert.Equal(same.Average(row => Of(row, "hard")), Of(JsonNode.Parse(one.Out)!, "hard"), 2e-6);
        foreach (var (arguments, problem) in new (string[], string)[]
        {
            (["--stage", "asked,none"], "whole has no finished stage 'none'"),
            (["--stage", "asked", "--together", "mean"], "one is asked. Name several: --stage A,B"),
            (["--stage", "asked,apart", "--together", "most"], "--together is 'most'; known are mean, accuracy, learned, majority"),
            (["--stage", "asked,apart", "--adapter", "x"], "--adapter is put on one model"),
        })
        {
            var refused = Run(["classify", "whole", "--text", "a", .. arguments]);
            Assert.Equal(2, refused.Code);
            Assert.Contains(problem, refused.Error, StringComparison.Ordinal);
        }
        folder.Write("two.yaml", Recipe(folder).Without("stages.head", "abilities.mean", "abilities.learned", "abilities.pair")
            .With("abilities.vote", "{kind: ensemble, stages: [asked, parts/apart, whole/stages/03-head]}").Text);
        var two = Run("run", "two.yaml", "--run-dir", "two");
        Assert.True(two.Code == 0, two.All);
        Assert.InRange((double)Abilities("two", "01-asked")["vote"]!, 0, 1);
    }

    [Theory]
    [InlineData("{kind: ensemble, stages: [asked]}", "one stage alone is no ensemble")]
    [InlineData("{kind: ensemble, stages: [asked, asked]}", "'asked' is named twice")]
    [InlineData("{kind: ensemble, stages: [askd, apart]}", "the recipe has no stage 'askd'")]
    [InlineData("{kind: ensemble, stages: [asked, none/where]}", "there is no stage and no folder 'none/where'")]
    [InlineData("{kind: ensemble, stages: [asked, apart], together: learned}", "so they are not asked, too")]
    [InlineData("{kind: ensemble, stages: [asked, apart], together: accuracy, split: validation}", "write split: test")]
    public void What_cannot_answer_together_is_a_fault(string ability, string problem)
    {
        folder.Write("one.yaml", Recipe(folder).With("abilities.vote", ability).Text);
        var done = Run("check", "one.yaml");
        Assert.Equal(2, done.Code);
        Assert.Contains(problem, done.All, StringComparison.Ordinal);
    }

    [Fact]
    public void An_ensemble_is_not_measured_on_the_way()
    {
        folder.Write("one.yaml", Recipe(folder).With("stages.asked.evaluate", "{every: 2, abilities: [mean]}").Text);
        Assert.Contains("this one is not finished on the way", Run("check", "one.yaml").All, StringComparison.Ordinal);
    }
}
