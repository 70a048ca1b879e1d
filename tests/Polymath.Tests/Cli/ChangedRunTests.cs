using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;

namespace Polymath.Tests.Cli;

/// <summary>What a run does when something is otherwise than it was when the run began.</summary>
[Trait("kind", "invariant")]
public sealed class ChangedRunTests
{
    // One stage of reading.
    private static RecipeBuilder Reading(RecipeBuilder tiny) => tiny
        .Without("stages.write", "stages.tell", "stages.please", "abilities.kinds", "abilities.form", "abilities.variety", "rewards");

    private static JsonNode Report(TinyRecipe recipe, string run) =>
        JsonNode.Parse(File.ReadAllText(recipe.At(run, "stages", "01-read", "report.json")))!["report"]!;

    private static CliResult Right(CliResult result)
    {
        Assert.True(result.Code == 0, result.All);
        return result;
    }

    [Fact]
    public void A_finished_stage_goes_on_with_more_steps_as_if_it_had_been_asked_for_them_at_once()
    {
        using var recipe = new TinyRecipe(tiny => Reading(tiny).With("stages.read.schedule", "{kind: constant}"));
        Right(recipe.Run("longer"));
        var told = Right(recipe.Run("longer", "--set", "stages.read.steps=13")).All;
        Assert.Contains("stages.read.steps: 8 -> 13", told);
        Right(recipe.Run("whole", "--set", "stages.read.steps=13"));
        Assert.Equal(recipe.Hash("whole"), recipe.Hash("longer"));
        Assert.Equal(13, Report(recipe, "longer")["steps"]!.GetValue<int>());
        var fewer = recipe.Run("longer", "--set", "stages.read.steps=5");
        Assert.Equal(2, fewer.Code);
        Assert.Contains("was trained for 13 steps, and the recipe asks for 5", fewer.Error);
        var other = recipe.Run("whole", "--set", "stages.read.steps=13", "--set", "stages.read.optimizer.rate=0.5");
        Assert.Equal(2, other.Code);
        Assert.Contains("stages.read.optimizer.rate: 0.01 -> 0.5", other.Error);
    }

    [Fact]
    public void Other_rows_are_refused_or_accepted_by_name()
    {
        using var recipe = new TinyRecipe(Reading);
        Right(recipe.Run("run", "--stop-after-step", "4"));
        const string more = """{"name": "new", "text": "ama.", "kind": "soft"}""";
        recipe.Write("lines.jsonl", File.ReadAllText(recipe.At("lines.jsonl")) + more + "\n");
        var refused = recipe.Run("run");
        Assert.Equal(2, refused.Code);
        Assert.Contains("Data 'lines' has other rows than the run began with (301 now, 300 then)", refused.Error);
        Assert.Contains("--accept data", refused.Error);
        Assert.Contains("Accepted: data 'lines'", Right(recipe.Run("run", "--accept", "data")).All);
        var odd = recipe.Run("run", "--accept", "date");
        Assert.Equal(2, odd.Code);
        Assert.Contains("data", odd.Error);
    }

    [Fact]
    public void A_run_continues_with_the_threads_that_it_began_with()
    {
        using var recipe = new TinyRecipe(Reading);
        Right(recipe.Run("whole"));
        Right(recipe.Run("parts", "--stop-after-step", "4"));
        var more = new Dictionary<string, string> { ["OMP_NUM_THREADS"] = "2" };
        var resumed = Right(CliProgram.End(CliProgram.Start(recipe.Path, more, "run", "tiny.yaml", "--run-dir", "parts")));
        Assert.Contains("Uses 1 threads, as the run began", resumed.All);
        Assert.Equal(recipe.Hash("whole"), recipe.Hash("parts"));
    }

    [Fact]
    public void A_stage_that_left_the_weights_as_they_were_says_so()
    {
        using var recipe = new TinyRecipe(tiny => Reading(tiny).With("stages.read.optimizer.rate", "0"));
        Assert.Contains("read: the weights are what they were before", Right(recipe.Run("run")).All);
        Assert.True(Report(recipe, "run")["unchanged"]!.GetValue<bool>());
        using var moves = new TinyRecipe(Reading);
        Assert.DoesNotContain("the weights are what they were", Right(moves.Run("run")).All);
    }

    [Fact]
    public void A_stage_ends_early_when_the_held_out_loss_gets_no_better()
    {
        using var recipe = new TinyRecipe(tiny => Reading(tiny)
            .With("stages.read.optimizer.rate", "0").With("stages.read.evaluate", "{every: 1, patience: 2}"));
        Assert.Contains("ends after step 3: heldOutLoss got no better in 2 measurements", Right(recipe.Run("run")).All);
        Assert.Equal(3, Report(recipe, "run")["steps"]!.GetValue<int>());
        // The same command finds it finished.
        Right(recipe.Run("run"));
        Assert.Equal(3, Report(recipe, "run")["steps"]!.GetValue<int>());
    }

    [Fact]
    public void Rows_of_files_of_their_own_are_held_out_and_measured_by_default()
    {
        using var recipe = new TinyRecipe(tiny => Reading(tiny).Without("stages.read.evaluate", "stages.read.batch", "abilities.reading")
            .With("data.lines", "{files: lines.jsonl, validation: dev.jsonl, test: dev.jsonl}"));
        recipe.Write("dev.jsonl", """{"name": "dev", "text": "ona ilu ela.", "kind": "soft"}""" + "\n");
        var told = Right(recipe.Run("run")).All;
        Assert.Contains("300 rows", told);
        Assert.Contains("an eighth of the data", told);
        var lines = File.ReadLines(recipe.At("run", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(8, lines.Count(line => line["name"]!.ToString() == "heldOutLoss"));
        Assert.All(lines.Where(line => line["name"]!.ToString() == "loss"), line =>
        {
            Assert.InRange(line["epoch"]!.GetValue<double>(), 1e-3, 1.0001);
            Assert.True(line["rate"]!.GetValue<double>() > 0 && line["gradientNorm"]!.GetValue<double>() > 0);
            Assert.True(line["tokensPerSecond"]!.GetValue<double>() > 0 && line["memoryMegabytes"]!.GetValue<double>() > 10);
        });
        var last = lines.Last(line => line["name"]!.ToString() == "heldOutLoss")["value"]!.GetValue<double>();
        Assert.Equal(last, Report(recipe, "run")["heldOutLoss"]!.GetValue<double>(), 1e-9);
    }

    [Fact]
    public void Epochs_are_read_exactly_and_a_warmup_that_is_longer_is_refused()
    {
        using var recipe = new TinyRecipe(tiny => Reading(tiny).Without("stages.read.steps", "stages.read.evaluate", "stages.read.batch")
            .With("stages.read.epochs", "3").With("stages.read.batch", "{rows: 50, microRows: 20}"), lines: 60);
        var told = Right(recipe.Run("run")).All;
        var report = Report(recipe, "run");
        Assert.Equal(3, report["epochs"]!.GetValue<double>(), 1e-9);
        Assert.Equal(3 * report["rows"]!["tokens"]!.GetValue<long>(), report["tokens"]!.GetValue<long>());
        Assert.Contains("3 epochs of ", told);
        var refused = recipe.Run("warm", "--set", "stages.read.schedule.warmup=30");
        Assert.Equal(2, refused.Code);
        Assert.Contains("schedule.warmup 30 is longer than its", refused.Error);
    }

    [Fact]
    public void Pairs_follow_overlong_and_each_left_out_one_has_its_reason()
    {
        using var recipe = new TinyRecipe(tiny => Reading(tiny).Without("abilities.reading")
            .With("stages.read", "{name: read, kind: align, data: pairs, steps: 2, optimizer: {rate: 1e-3}, "
                + "batch: {tokens: 256, maxLength: 20}}")
            .With("data", "{pairs: {files: pairs.jsonl, shape: auto, split: {validation: 0, test: 0}}}"));
        string Pair(string chosen, string rejected) =>
            $$"""{"prompt": "ama", "chosen": "{{chosen}}", "rejected": "{{rejected}}"}""" + "\n";
        var long1 = string.Concat(Enumerable.Repeat("ama ", 12));
        recipe.Write("pairs.jsonl", Pair("ela", "dok") + Pair("ela", "ela") + Pair("ela " + long1, "dok " + long1));
        var told = Right(recipe.Run("cut")).All;
        Assert.Contains("2 rows", told);
        Assert.Contains("1 left out: both answers are the same", told);
        Assert.Contains("1 cut to 20 tokens", told);
        var dropped = Right(recipe.Run("drop", "--set", "stages.read.batch.overlong=drop")).All;
        Assert.Contains("1 left out: longer than 20 tokens", dropped);
        Assert.Equal(2, recipe.Run("refuse", "--set", "stages.read.batch.overlong=refuse").Code);
    }

    [Fact]
    public void Documents_fill_the_context_where_pretraining_is_not_told_otherwise()
    {
        using var recipe = new TinyRecipe(tiny => Reading(tiny).Without("stages.read.batch.fill")
            .With("stages.read.batch", "{tokens: 96}"));
        var told = Right(recipe.Run("run", "--stop-after-step", "2")).All;
        Assert.Matches(@"read: [0-9]+ rows filled from 2[0-9]+ documents", told);
        var tokens = File.ReadLines(recipe.At("run", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => line["name"]!.ToString() == "loss").Select(line => line["tokens"]!.GetValue<int>());
        // Two rows of the whole context of 48.
        Assert.All(tokens, count => Assert.Equal(96, count));
    }

    [Fact]
    public void A_merge_that_cannot_be_is_refused_before_the_first_step()
    {
        using var recipe = new TinyRecipe(tiny => Reading(tiny).With("model.tiedHead", "true")
            .With("stages.read.method", "{kind: delta, form: lora, roles: [head, query], settings: {r: '2'}, merge: true}"));
        var refused = recipe.Run("run");
        Assert.Equal(2, refused.Code);
        Assert.Contains("merging would change both", refused.Error);
        Assert.Contains("merge: false", refused.Error);
        Assert.DoesNotContain("\"loss\"", File.Exists(recipe.At("run", "metrics.jsonl"))
            ? File.ReadAllText(recipe.At("run", "metrics.jsonl"))
            : "");
        // The same run goes on with what was advised.
        Right(recipe.Run("run", "--set", "stages.read.method.merge=false"));
    }
}
