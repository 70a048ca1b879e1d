using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Recipes;
using Polymath.Training;

namespace Polymath.Tests.Cli;

/// <summary>Epochs and measurements of runs that were extended, stopped or asked for something else on their way.</summary>
[Trait("kind", "invariant")]
public sealed class ExtendedRunTests
{
    // One stage of reading, 60 lines, in epochs.
    private static TinyRecipe Reading(string batch, params (string Path, string Value)[] changes) => new(tiny =>
    {
        var recipe = tiny
            .Without("stages.write", "stages.tell", "stages.please", "abilities.kinds", "abilities.form", "abilities.variety", "rewards")
            .With("stages.read.batch", batch).With("stages.read.schedule", "{kind: constant}");
        return changes.Aggregate(recipe, (made, change) => made.With(change.Path, change.Value));
    }, lines: 60);

    private static TinyRecipe Epochs(string epochs, string batch) => new(
        tiny => tiny
            .Without("stages.write", "stages.tell", "stages.please", "abilities.kinds", "abilities.form", "abilities.variety", "rewards",
                "stages.read.steps", "stages.read.evaluate")
            .With("stages.read.batch", batch).With("stages.read.schedule", "{kind: constant}").With("stages.read.epochs", epochs),
        lines: 60);

    private static CliResult Right(CliResult result)
    {
        Assert.True(result.Code == 0, result.All);
        return result;
    }

    private static JsonNode Report(TinyRecipe recipe, string run) =>
        JsonNode.Parse(File.ReadAllText(recipe.At(run, "stages", "01-read", "report.json")))!["report"]!;

    private static JsonNode State(TinyRecipe recipe, string run, int step) => JsonNode.Parse(File.ReadAllText(
        recipe.At(run, "stages", "01-read", "checkpoints", $"step-{step:D8}", "state.json")))!;

    private static List<JsonNode> Figures(TinyRecipe recipe, string run, string name) =>
        [.. File.ReadLines(recipe.At(run, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => line["name"]!.ToString() == name)];

    [Fact]
    public void A_finished_run_goes_on_to_more_epochs_as_if_they_had_been_asked_for_at_once()
    {
        using var recipe = Epochs("1", "{rows: 20, fill: false}");
        Right(recipe.Run("longer"));
        Assert.Contains("stages.read.epochs: 1 -> 3", Right(recipe.Run("longer", "--set", "stages.read.epochs=3")).All);
        Right(recipe.Run("whole", "--set", "stages.read.epochs=3"));
        Assert.Equal(recipe.Hash("whole"), recipe.Hash("longer"));
        Assert.Equal(3, Report(recipe, "longer")["epochs"]!.GetValue<double>(), 1e-9);
        var fewer = recipe.Run("longer", "--set", "stages.read.epochs=2");
        Assert.Equal(2, fewer.Code);
        Assert.Contains("was trained for 3 epochs, and the recipe asks for 2", fewer.Error);
    }

    [Fact]
    public void A_run_counted_in_steps_goes_on_counted_in_epochs()
    {
        using var recipe = Reading("{rows: 20, fill: false}", ("stages.read.steps", "2"));
        Right(recipe.Run("run"));
        Right(recipe.Run("run", "--set", "stages.read.steps=", "--set", "stages.read.epochs=2"));
        Assert.Equal(2, Report(recipe, "run")["epochs"]!.GetValue<double>(), 1e-9);
        Right(recipe.Run("run", "--set", "stages.read.steps=8"));
        Assert.Equal(8, Report(recipe, "run")["steps"]!.GetValue<int>());
    }

    [Fact]
    public void The_rates_of_more_steps_are_those_of_the_schedule_over_all_of_them()
    {
        using var recipe = Reading("{rows: 20, fill: false}", ("stages.read.schedule", "{kind: linear, warmup: 2}"));
        List<double> Rates() => [.. Figures(recipe, "run", "loss").Select(line => Math.Round((double)line["rate"]!, 9))];
        Right(recipe.Run("run"));
        double[] eight = [5, 10, 10, 10 * 5 / 6.0, 10 * 4 / 6.0, 10 * 3 / 6.0, 10 * 2 / 6.0, 10 / 6.0];
        Assert.Equal(eight.Select(rate => Math.Round(rate * 1e-3, 9)), Rates());
        Right(recipe.Run("run", "--set", "stages.read.steps=12"));
        double[] more = [.. eight, 4, 3, 2, 1];
        Assert.Equal(more.Select(rate => Math.Round(rate * 1e-3, 9)), Rates());
    }

    [Theory]
    [InlineData("stages.read.optimizer.rate=1e-5")]
    [InlineData("stages.read.batch.rows=10")]
    [InlineData("stages.read.schedule.kind=linear")]
    [InlineData("seed=6")]
    public void What_would_change_the_steps_that_were_done_is_refused_by_name(string change)
    {
        using var recipe = Reading("{rows: 20, fill: false}");
        Right(recipe.Run("run", "--stop-after-step", "1"));
        var refused = recipe.Run("run", "--set", change);
        Assert.Equal(2, refused.Code);
        Assert.Contains(change.Split('=')[0], refused.Error);
        Assert.Contains("--fresh", refused.Error);
    }

    [Fact]
    public void A_part_of_an_epoch_is_finished_when_more_are_asked_for()
    {
        using var recipe = Epochs("0.5", "{rows: 20, fill: false}");
        Right(recipe.Run("run"));
        Right(recipe.Run("run", "--set", "stages.read.epochs=2"));
        var report = Report(recipe, "run");
        Assert.Equal(2, report["epochs"]!.GetValue<double>(), 1e-9);
        Assert.Equal(2 * report["rows"]!["tokens"]!.GetValue<long>(), report["tokens"]!.GetValue<long>());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_step_goes_on_into_the_next_epoch_only_where_it_may(bool crosses)
    {
        using var recipe = Epochs("3", $"{{rows: 20, fill: false, crossEpochs: {(crosses ? "true" : "false")}}}");
        Right(recipe.Run("run"));
        var report = Report(recipe, "run");
        var rows = report["rows"]!["rows"]!.GetValue<int>();
        Assert.NotEqual(0, rows % 20);
        int Steps(int count) => (count + 19) / 20;
        Assert.Equal(crosses ? Steps(3 * rows) : 3 * Steps(rows), report["steps"]!.GetValue<int>());
        Assert.Equal(3 * report["rows"]!["tokens"]!.GetValue<long>(), report["tokens"]!.GetValue<long>());
        var epochs = Figures(recipe, "run", "loss").Select(line => line["epoch"]!.GetValue<double>()).ToList();
        Assert.Equal(3, epochs[^1], 1e-6);
        Assert.Equal(!crosses, epochs.Contains(1));
    }

    [Fact]
    public void What_was_best_by_another_figure_is_forgotten()
    {
        using var recipe = Reading(
            "{rows: 20, fill: false}", ("stages.read.checkpoint", "{best: heldOutLoss}"), ("stages.read.optimizer.rate", "1e-12"),
            ("stages.read.evaluate", "{every: 2, abilities: [reading]}"));
        Right(recipe.Run("run", "--stop-after-step", "5"));
        Assert.Equal("heldOutLoss", (string)State(recipe, "run", 5)["figure"]!);
        var told = Right(recipe.Run("run", "--set", "stages.read.checkpoint.best=reading")).All;
        Assert.Contains("stages.read.checkpoint.best: heldOutLoss -> reading", told);
        var state = State(recipe, "run", 8);
        Assert.Equal("reading", (string)state["figure"]!);
        // Perplexity was first measured for it after the change.
        Assert.Equal(6, (int)state["bestStep"]!);
        Assert.InRange((double)state["best"]!, 1.5, 1e4);
    }

    [Fact]
    public void The_best_weights_by_the_held_out_loss_are_the_ones_that_are_saved()
    {
        using var recipe = Reading(
            "{rows: 20, fill: false}", ("stages.read.checkpoint", "{best: heldOutLoss}"), ("stages.read.optimizer.rate", "2"),
            ("stages.read.evaluate", "{every: 1}"));
        var told = Right(recipe.Run("run")).All;
        var losses = Figures(recipe, "run", "heldOutLoss").Select(line => line["value"]!.GetValue<double>()).ToList();
        Assert.Equal(8, losses.Count);
        var best = losses.IndexOf(losses.Min()) + 1;
        Assert.NotEqual(8, best);
        Assert.Contains($"the weights of step {best} are used, where heldOutLoss was best", told);
        Assert.Equal(losses.Min(), Report(recipe, "run")["heldOutLoss"]!.GetValue<double>(), 1e-9);

        // The saved model has this loss: a stage that changes nothing measures it.
        var folder = recipe.At("run", "stages", "01-read", "model");
        recipe.Write("again.yaml", RecipeBuilder.Of(File.ReadAllText(recipe.At("tiny.yaml")))
            .With("model", $"{{folder: '{folder}'}}").Without("tokenizer")
            .With("stages.read.optimizer.rate", "0").With("stages.read.steps", "1").Text);
        Right(CliProgram.Run(recipe.Path, "run", "again.yaml", "--run-dir", "again"));
        Assert.Equal(losses.Min(), Report(recipe, "again")["heldOutLoss"]!.GetValue<double>(), 1e-6);
    }

    [Fact]
    public void Fewer_rows_may_be_accepted_and_the_next_pass_begins()
    {
        using var recipe = Reading("{rows: 4, fill: false}");
        Right(recipe.Run("run", "--stop-after-step", "5"));
        Assert.Equal(20, (int)State(recipe, "run", 5)["cursors"]![0]!["place"]!);
        recipe.Write("lines.jsonl", string.Concat(File.ReadLines(recipe.At("lines.jsonl")).Take(15).Select(line => line + "\n")));
        Assert.Contains("has other rows than the run began with (15 now, 60 then)", recipe.Run("run").Error);
        Right(recipe.Run("run", "--accept", "data"));
        var after = Figures(recipe, "run", "loss").Where(line => (int)line["step"]! > 5).Select(line => (double)line["epoch"]!).ToList();
        Assert.Equal(3, after.Count);
        Assert.InRange(after[0], 1.01, 1.99);
        Assert.Equal(8, Report(recipe, "run")["steps"]!.GetValue<int>());
    }

    [Fact]
    public void A_finished_stage_without_checkpoints_is_not_begun_again_unasked()
    {
        using var recipe = Epochs("1", "{rows: 20, fill: false}");
        Right(recipe.Run("run"));
        var hash = recipe.Hash("run");
        Directory.Delete(recipe.At("run", "stages", "01-read", "checkpoints"), recursive: true);
        // As it is, it needs none.
        Right(recipe.Run("run"));
        var refused = recipe.Run("run", "--set", "stages.read.epochs=2");
        Assert.Equal(2, refused.Code);
        Assert.Contains("there is no checkpoint to go on from", refused.Error);
        Assert.Equal(hash, recipe.Hash("run"));
    }

    [Fact]
    public void A_schedule_that_does_not_fit_into_the_counted_steps_is_refused()
    {
        using var recipe = Epochs("1", "{rows: 20, fill: false}");
        var refused = recipe.Run("run", "--set", "stages.read.schedule={kind: wsd, warmup: 1, decaySteps: 3}");
        Assert.Equal(2, refused.Code);
        Assert.Contains("schedule.decaySteps 3 does not fit behind a warmup of 1 in its 3 steps", refused.Error);
    }

    [Fact]
    public void Rows_longer_than_the_context_of_a_model_s_folder_are_told()
    {
        using var recipe = Reading("{rows: 20, fill: false}", ("stages.read.steps", "1"));
        Right(recipe.Run("run"));
        recipe.Write("more.yaml", RecipeBuilder.Of(File.ReadAllText(recipe.At("tiny.yaml"))).Without("tokenizer")
            .With("model", $"{{folder: '{recipe.At("run", "stages", "01-read", "model")}'}}")
            .With("stages.read.batch.maxLength", "512").Text);
        Assert.Contains(
            "batch.maxLength is 512, and the model's context is 48 tokens",
            Right(CliProgram.Run(recipe.Path, "run", "more.yaml", "--run-dir", "more")).All);
    }

    [Theory]
    [InlineData("form")]
    [InlineData("heldOutLoss")]
    public void A_stop_during_a_measurement_leaves_no_half_made_figures(string where)
    {
        TorchRuntime.Load();
        // Sampling is the slow part of measuring and looks for a stop at every token.
        using var recipe = new TinyRecipe(tiny => tiny
            .Without("stages.write.method", "stages.tell", "stages.please", "abilities.kinds", "abilities.variety", "stages.read")
            .With("stages.write.evaluate", "{every: 2, abilities: [form, reading]}").With("abilities.reading.stage", "write")
            .With("abilities.form.rows", "30").With("abilities.form.maxNewTokens", "24"));
        var whole = Go(recipe, "whole", stopAt: 0, where);
        Assert.True(whole.Finished);
        var stopped = Go(recipe, "stopped", stopAt: 4, where);
        Assert.False(stopped.Finished);
        var lines = File.ReadLines(recipe.At("stopped", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(["loss"], lines.Where(line => (int)line["step"]! == 4).Select(line => line["name"]!.ToString()));
        Assert.True(Go(recipe, "stopped", stopAt: 0, where).Finished);
        Assert.Equal(RunFigures.Of(recipe.At("whole", "metrics.jsonl")), RunFigures.Of(recipe.At("stopped", "metrics.jsonl")));
        Assert.Equal(File.ReadAllText(recipe.At("whole", "samples.jsonl")), File.ReadAllText(recipe.At("stopped", "samples.jsonl")));
    }

    private static (bool Finished, object? Report) Go(TinyRecipe recipe, string folder, int stopAt, string where)
    {
        var stopping = new Stopping(stopAt, late: where == "form");
        using var run = Run.Open(
            RecipeReader.Read(recipe.At("tiny.yaml")),
            recipe.At(folder),
            false,
            null,
            stopping);
        stopping.Stop = run.RequestStop;
        try
        {
            return (true, run.Go());
        }
        catch (OperationCanceledException)
        {
            return (false, null);
        }
    }

    // Asks for a stop when a step is done and its measurement begins, or a moment later, within it.
    private sealed class Stopping(int step, bool late) : RunObserver
    {
        internal Action Stop { get; set; } = () => { };

        public override void StepDone(StepReport report, int steps, double tokensPerSecond)
        {
            if (report.Step != step) return;
            if (!late) Stop();
            else _ = Task.Delay(5, TestContext.Current.CancellationToken).ContinueWith(_ => Stop(), TaskScheduler.Default);
        }
    }
}
