using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Runs;

namespace Polymath.Tests.Cli;

/// <summary>Rounds that differ from the first one, and stages that learn what an earlier one has sampled or what people
/// preferred.</summary>
[Trait("kind", "unit")]
public sealed class RoundsTests
{
    private static TinyRecipe Rounds(string changes) => new(tiny => tiny.Without("abilities").Without("rewards")
        .With("stages", "[{name: read, kind: pretrain, data: lines, steps: 4, optimizer: {rate: 1e-2}, batch: {tokens: 300}},"
            + "{name: write, kind: finetune, prompt: \"say {name}\", answer: \"{text}\", data: lines, steps: 3, "
            + "optimizer: {rate: 1e-2}, batch: {tokens: 300}}]")
        .With("rounds", $"{{count: 3, changes: {changes}}}"));

    private static List<JsonNode> Steps(TinyRecipe recipe, string visit) =>
    [
        .. File.ReadLines(recipe.At("run", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => line["stage"]!.ToString() == visit && line["rate"] is not null),
    ];

    [Fact]
    public void A_later_round_has_settings_of_its_own_and_a_stopped_run_keeps_them()
    {
        using var recipe = Rounds("{2: {write: {steps: 2, optimizer: {rate: 5e-3}}}, 3: {read: {kind: finetune, prompt: \"{name}\", "
            + "answer: \"{text}\", data: lines, steps: 1, optimizer: {rate: 1e-3}, batch: {tokens: 200}}}}");
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        Assert.Equal(2, Steps(recipe, "write.2").Count);
        Assert.Equal(5e-3, Steps(recipe, "write.2")[0]["rate"]!.GetValue<double>(), 1e-12);
        Assert.Equal(3, Steps(recipe, "write.3").Count);
        Assert.Equal(1e-2, Steps(recipe, "write.3")[0]["rate"]!.GetValue<double>(), 1e-12);
        var third = JsonNode.Parse(File.ReadAllText(recipe.At("run", "stages", "05-read.3", "lineage.json")))!;
        Assert.Equal("finetune", third["kind"]!.ToString());
        Assert.Equal(0, recipe.Run("parts", "--stop-after-step", "8").Code);
        Assert.Equal(0, recipe.Run("parts").Code);
        Assert.Equal(recipe.Hash("run"), recipe.Hash("parts"));
    }

    [Theory]
    [InlineData("{4: {write: {steps: 2}}}", "'4' is no later round", "a number from 2 to 3")]
    [InlineData("{2: {wriet: {steps: 2}}}", "no stage 'wriet' is repeated", "did you mean 'write'")]
    [InlineData("{2: {write: {stepps: 2}}}", "in round 2, unknown key 'stepps'", "'steps' is there already")]
    [InlineData("{2: {write: {optimizer: {rate: -1}}}}", "in round 2, -1 is less than 0", "a number from 0 to 100")]
    [InlineData("{2: {write: {name: other, steps: 2}}}", "a stage keeps its name in all rounds", "leave it out")]
    [InlineData("{2: {write: [1]}}", "a list of 1 stands where a mapping of keys is expected", "write {KEY: VALUE}")]
    public void A_change_that_cannot_be_is_one_fault(string changes, string problem, string hint)
    {
        using var recipe = Rounds(changes);
        var reading = RecipeReader.Read(recipe.At("tiny.yaml"));
        var fault = Assert.Single(reading.Faults);
        Assert.Equal(problem, fault.Problem);
        Assert.Contains(hint, fault.Hint);
    }

    [Fact]
    public void Changes_are_written_as_they_are_read()
    {
        using var recipe = Rounds("{2: {write: {steps: 2, data: [lines], prompt: \"a: {name}\"}}}");
        var first = RecipeReader.Read(recipe.At("tiny.yaml"));
        var again = RecipeReader.Parse(first.Resolved, "again.yaml", recipe.Path);
        Assert.Equal(first.Resolved, again.Resolved);
        Assert.Equal("a: {name}", ((FinetuneSpec)again.OrThrow().Visits()[3].Stage.Objective).Prompt);
    }

    private static TinyRecipe Learned(string what, string stage) => new(tiny => tiny.Without("abilities")
        .With("data.sampled", $"{{from: please, {what}}}")
        .With("stages", "[{name: write, kind: finetune, prompt: \"say {name}\", answer: \"{text}\", data: lines, steps: 8, "
            + "optimizer: {rate: 1e-2}, batch: {tokens: 300}},"
            + "{name: please, kind: align, prompt: \"say {name}\", data: lines, rewards: {plain: 1}, steps: 4, "
            + "rollout: {rounds: 2, prompts: 12, answers: 6, maxNewTokens: 24}, optimizer: {rate: 1e-3}, batch: {tokens: 256}},"
            + $"{stage}]"));

    [Theory]
    [InlineData("what: pairs", "kind: align, by: {kind: dpo}", "chosen")]
    [InlineData("what: best", "kind: finetune", "output")]
    [InlineData("what: judged", "kind: align, by: {kind: kto}", "completion")]
    public void A_stage_learns_what_an_earlier_one_sampled(string what, string kind, string column)
    {
        using var recipe = Learned(
            what, $"{{name: after, {kind}, data: sampled, steps: 3, optimizer: {{rate: 1e-3}}, batch: {{rows: 4}}}}");
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        var rows = File.ReadLines(recipe.At("run", "sources", "sampled-after.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        var answers = Directory.GetFiles(recipe.At("run", "stages", "02-please", "rollouts")).Order().SelectMany(File.ReadLines)
            .Select(line => JsonNode.Parse(line)!).ToList();
        Assert.NotEmpty(rows);
        Assert.All(rows, row => Assert.Contains(answers, answer => answer["answer"]!.ToString() == row[column]!.ToString()));
        if (column == "chosen")
            Assert.All(rows, row => Assert.True(Score(answers, row, "chosen") > Score(answers, row, "rejected")));
        if (column == "completion") Assert.Equal(answers.Count, rows.Count);
        else Assert.All(rows, row => Assert.Contains(answers, answer =>
            answer["answer"]!.ToString() == row[column]!.ToString() && answer["ended"]!.GetValue<bool>()));
        Assert.Equal(0, recipe.Run("parts", "--stop-after-step", "13").Code);
        Assert.Equal(0, recipe.Run("parts").Code);
        Assert.Equal(recipe.Hash("run"), recipe.Hash("parts"));
    }

    [Fact]
    public void What_a_term_of_a_mix_sampled_is_learned_later()
    {
        using var recipe = new TinyRecipe(tiny => tiny.Without("abilities")
            .With("data.sampled", "{from: both, what: pairs}")
            .With("stages", "[{name: both, kind: mix, terms: [{name: read, kind: pretrain, text: \"{text}\", data: lines}, "
                + "{name: please, kind: align, prompt: \"say {name}\", data: lines, rewards: {plain: 1}, "
                + "rollout: {rounds: 2, prompts: 12, answers: 6, maxNewTokens: 24}}], steps: 4, optimizer: {rate: 1e-3}, "
                + "batch: {tokens: 256}},"
                + "{name: after, kind: align, by: {kind: dpo}, data: sampled, steps: 2, optimizer: {rate: 1e-3}, batch: {rows: 4}}]"));
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        var pairs = File.ReadLines(recipe.At("run", "sources", "sampled-after.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        var answers = Directory.GetFiles(recipe.At("run", "stages", "01-both", "please", "rollouts")).SelectMany(File.ReadLines)
            .Select(line => JsonNode.Parse(line)!).ToList();
        Assert.NotEmpty(pairs);
        Assert.All(pairs, pair => Assert.True(Score(answers, pair, "chosen") > Score(answers, pair, "rejected")));
    }

    private static double Score(List<JsonNode> answers, JsonNode row, string side) => answers
        .Where(answer => answer["prompt"]!.ToString() == row["prompt"]!.ToString() && answer["answer"]!.ToString() == row[side]!.ToString())
        .Max(answer => answer["score"]!.GetValue<double>());

    [Theory]
    [InlineData("{from: please, what: judged}", "{kind: dpo}", "data.sampled.what")]
    [InlineData("{from: please, what: best}", "{kind: kto}", "data.sampled.what")]
    [InlineData("{from: please, what: pairs, least: 0.5}", "{kind: dpo}", "data.sampled.least")]
    [InlineData("{from: write, what: pairs}", "{kind: dpo}", "data.sampled.from")]
    public void Rows_that_a_stage_cannot_learn_are_refused_before_they_are_made(string source, string by, string path)
    {
        using var recipe = Learned(
            "what: pairs", $"{{name: after, kind: align, by: {by}, data: sampled, steps: 3, optimizer: {{rate: 1e-3}}}}");
        var faults = RecipeReader.Read(recipe.At("tiny.yaml"), overrides: [$"data.sampled={source}"]).Faults;
        Assert.Equal(path, Assert.Single(faults).Path);
    }

    [Fact]
    public void A_later_round_learns_what_the_round_before_it_sampled()
    {
        using var recipe = new TinyRecipe(tiny => tiny.Without("abilities")
            .With("data.sampled", "{from: please, what: best}")
            .With("rounds", "{count: 2, changes: {2: {write: {data: sampled, prompt: null, answer: null, steps: 2, "
                + "optimizer: {rate: 1e-3}, "
                + "batch: {rows: 4}}}}}")
            .With("stages", "[{name: write, kind: finetune, prompt: \"say {name}\", answer: \"{text}\", data: lines, steps: 8, "
                + "optimizer: {rate: 1e-2}, batch: {tokens: 300}},"
                + "{name: please, kind: align, prompt: \"say {name}\", data: lines, rewards: {plain: 1}, steps: 2, "
                + "rollout: {prompts: 12, answers: 6, maxNewTokens: 24}, optimizer: {rate: 1e-3}, batch: {tokens: 256}}]"));
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        Assert.NotEmpty(File.ReadLines(recipe.At("run", "sources", "sampled-write.2.jsonl")));
        var open = CliProgram.Run(recipe.Path, "check", "tiny.yaml", "--open");
        Assert.True(open.Code == 0, open.All);
    }

    [Fact]
    public void A_source_is_refused_that_is_not_there_yet()
    {
        using var recipe = new TinyRecipe(tiny => tiny.With("data.sampled", "{from: please, what: best}")
            .With("stages.write", "{name: write, kind: finetune, data: sampled, steps: 3, optimizer: {rate: 1e-3}}"));
        var faults = RecipeReader.Read(recipe.At("tiny.yaml")).Faults;
        Assert.Contains(faults, fault =>
            fault.Problem == "'sampled' is what 'please' samples, and 'please' does not come before this stage");
        Assert.Contains(faults, fault => fault.Problem == "its stage reads 'sampled', which is not there before the first stage");
    }

    [Fact]
    public void A_stage_learns_what_people_preferred()
    {
        using var recipe = new TinyRecipe(tiny => tiny.Without("abilities").Without("rewards")
            .With("data.people", "{votes: votes.db}")
            .With("stages", "[{name: rank, kind: align, by: {kind: dpo}, data: people, steps: 3, optimizer: {rate: 1e-3}, "
                + "batch: {rows: 2}}]")
            .With("tokenizer", "{kind: byteLevelBpe, vocabularySize: 300}"));
        using (var store = VoteStore.Open(recipe.At("votes.db")))
        {
            foreach (var i in Enumerable.Range(0, 6))
                store.Append(new Vote(
                    $"say {i}",
                    "ama ela",
                    "bat dok",
                    i == 5 ? Verdict.Tie : Verdict.Right,
                    null,
                    "by hand",
                    null,
                    "model:1",
                    "model:1",
                    "{}",
                    "ada",
                    1,
                    DateTimeOffset.UnixEpoch));
        }
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        var rows = File.ReadLines(recipe.At("run", "sources", "people-rank.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(5, rows.Count);
        Assert.All(rows, row => Assert.Equal("bat dok", row["chosen"]!.ToString()));
    }
}
