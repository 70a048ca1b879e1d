using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;
using Polymath.Training.Comparison;

namespace Polymath.Tests.Cli;

/// <summary>Task stages compared on no, few and all rows: a table, a page, the same rows for each; and what is refused.</summary>
[Trait("kind", "invariant")]
public sealed class PromptCompareTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public PromptCompareTests()
    {
        folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 150).Select(i =>
            $"{{\"id\": \"{i}\", \"text\": \"{(i % 2 == 0 ? "ama ela" : "bat dok")} {i % 7}\", "
                + $"\"kind\": \"{(i % 2 == 0 ? "soft" : "hard")}\"}}\n")));
        string Task(string method, string more = "") => $"label: kind, from: read, data: rows, steps: 4, optimizer: {{rate: 3e-3}}, "
            + $"batch: {{rows: 8}}, evaluate: {{samples: 0}}, checkpoint: {{every: 2, best: heldOutLoss}}{more}{method}";
        const string Prompt = ", method: {kind: prompt, template: '{text} is {mask} .', verbalizer: {words: {soft: soft, hard: hard}}}";
        folder.Write("one.yaml", RecipeBuilder.Named("one")
            .Model("family: bert, hiddenSize: 16, intermediateSize: 32, layers: 1, heads: 2, contextLength: 24")
            .Tokenizer("kind: wordPiece, vocabularySize: 90")
            .Data("rows", "files: rows.jsonl", "split: {validation: 0.1, test: 0.2}")
            .Stage("read", "pretrain", "text: '{text} is {kind} .', data: rows, steps: 4, optimizer: {rate: 3e-3}, batch: {tokens: 160}")
            .Stage("asked", "task", Task(Prompt))
            .Stage("head", "task", Task("", ", text: '{text}'"))
            .Stage("other", "task", Task("", ", text: '{text}'").Replace("from: read", "from: asked", StringComparison.Ordinal)).Text);
    }

    public void Dispose() => folder.Dispose();

    private CliResult Compare(params string[] more) => CliProgram.Run(folder.Path, ["compare", "one.yaml", "--run-dir", "out", .. more]);

    [Fact]
    public void Stages_are_compared_on_no_few_and_all_rows()
    {
        string[] what = ["--prompts", "asked,head", "--shots", "0,8", "--seeds", "2"];
        var done = Compare(what);
        Assert.True(done.Code == 0, done.All);
        var rows = JsonNode.Parse(File.ReadAllText(folder.At("out", "compare.json")))!["rows"]!.AsArray()
            .ToDictionary(row => (string)row!["name"]!, row => row!);
        Assert.Equal(["asked 0", "asked 8", "head 8"], rows.Keys.Order(StringComparer.Ordinal));
        Assert.Equal((1, 0, 0L), ((int)rows["asked 0"]["seeds"]!, (int)rows["asked 0"]["examples"]!, (long)rows["asked 0"]["parameters"]!));
        Assert.Equal((2, 16), ((int)rows["head 8"]["seeds"]!, (int)rows["head 8"]["examples"]!));
        Assert.All(rows.Values, row =>
        {
            Assert.InRange((double)row["abilities"]!["accuracy"]!["mean"]!, 0, 1);
            Assert.InRange((double)row["abilities"]!["macroF1"]!["mean"]!, 0, 1);
        });
        // Both are trained on the same rows, and a seed draws others.
        string Rows(string run) => string.Join(' ', File.ReadAllText(folder.At("out", run, "recipe.yaml")).Split('\n')
            .SkipWhile(line => !line.Contains("rows-few:", StringComparison.Ordinal)).Take(6));
        Assert.Equal(Rows("asked-8-seed0"), Rows("head-8-seed0"));
        Assert.NotEqual(Rows("asked-8-seed0"), Rows("asked-8-seed1"));
        Assert.Contains("against training rows", File.ReadAllText(folder.At("out", "compare.html")), StringComparison.Ordinal);
        var again = Compare(what);
        Assert.Equal(6, again.Out.Split("(done before)").Length);
    }

    private Recipe Read() => RecipeReader.Read(folder.At("one.yaml"), false, []).OrThrow();

    [Fact]
    public void What_is_named_twice_is_compared_once()
    {
        var plan = new PromptPlan(Read(), ["asked", "asked", "head"], [8, 8, null], 2);
        Assert.Equal(8, plan.Candidates.Count);
        Assert.Equal(8, plan.Candidates.Select(one => one.Folder).Distinct().Count());
    }

    [Fact]
    public void Stages_that_would_share_a_folder_are_refused()
    {
        var recipe = Read();
        var asked = recipe.Stages.First(stage => stage.Name == "asked");
        recipe = recipe with { Stages = [.. recipe.Stages, asked with { Name = "soft_a" }, asked with { Name = "soft-a" }] };
        var fault = Assert.Throws<InputException>(() => new PromptPlan(recipe, ["soft_a", "soft-a"], [8], 1));
        Assert.Contains("soft_a and soft-a would share the folder soft-a-8-seed0", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Few_rows_leave_data_of_their_name_alone()
    {
        var recipe = Read();
        recipe = recipe with { Data = new Dictionary<string, DataSpec>(recipe.Data) { ["rows-few"] = recipe.Data["rows"] } };
        var plan = new PromptPlan(recipe, ["asked"], [8], 1);
        var made = plan.For(plan.Candidates[0], null);
        Assert.Same(recipe.Data["rows"], made.Data["rows-few"]);
        Assert.Equal(["rows-few2"], made.Stages[0].Sources);
        Assert.Equal(8, Assert.IsType<ViewSpec>(made.Data["rows-few2"]).Few!.Count);
    }

    public static TheoryData<PromptMethod> Looking => new()
    {
        new PromptMethod("{text} is {mask} .", Demonstrations: new DemonstrationsSpec()),
        new PromptMethod("{text} is {mask} .", new WordSearchSpec()),
        new PromptMethod("{text} is {mask} .", new PrototypesSpec()),
        new PromptMethod(Prompts: [new("{text} is {mask} ."), new("{text} was {mask} .")], Together: PromptsTogether.Accuracy),
    };

    // A figure without training rows must not depend on some.
    [Theory]
    [MemberData(nameof(Looking))]
    public void A_prompt_that_looks_at_labels_is_not_asked_without_rows(PromptMethod method)
    {
        var recipe = Read();
        var looking = recipe.Stages.First(stage => stage.Name == "asked") with { Name = "looking", Method = method };
        recipe = recipe with { Stages = [.. recipe.Stages, looking] };
        var plan = new PromptPlan(recipe, ["asked", "looking"], [0, 8], 1);
        Assert.Equal(["asked 0", "asked 8", "looking 8"], plan.Candidates.Select(one => one.Name));
        Assert.Contains("looking cannot be asked without training rows", Assert.Single(plan.Notes), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("no task stage of the recipe", "--prompts", "read")]
    [InlineData("head starts from read, and other from asked", "--prompts", "other,head")]
    [InlineData("one of the two", "--seeds", "2")]
    [InlineData("--shots belongs to --prompts", "--deltas", "lora", "--shots", "4")]
    [InlineData("--rates belongs to --deltas", "--prompts", "asked", "--rates", "1e-3")]
    [InlineData("write whole numbers and `full`", "--prompts", "asked", "--shots", "few")]
    [InlineData("cannot be asked without training", "--prompts", "head", "--shots", "0")]
    public void What_cannot_be_compared_is_refused(string problem, params string[] what)
    {
        var done = Compare(what);
        Assert.Equal(2, done.Code);
        Assert.Contains(problem, done.Error.Replace("\n", " ", StringComparison.Ordinal), StringComparison.Ordinal);
    }
}
