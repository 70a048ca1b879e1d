using System.Diagnostics;
using Polymath.Training;
using Spectre.Console;

namespace Polymath.Cli;

/// <summary>Shows a run: live bars with speed and remaining time on a terminal, plain lines when the output is piped.</summary>
/// <param name="quiet">Whether nothing is shown.</param>
/// <param name="plain">The output of plain lines; standard output when left out.</param>
internal sealed class Terminal(bool quiet = false, TextWriter? plain = null) : RunObserver
{
    private static readonly TimeSpan linesApart = TimeSpan.FromSeconds(10);

    private readonly bool live = !quiet && !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Interactive;
    private readonly Stopwatch sinceLine = Stopwatch.StartNew();
    private ProgressContext? bars;
    private ProgressTask? bar;
    private string stage = "", activity = "";
    private int done;
    private long started;

    /// <summary>Runs work and shows its progress.</summary>
    internal T Show<T>(Func<T> work) => !live
        ? work()
        : AnsiConsole.Progress()
            .AutoClear(true)
            .Columns(
                new TaskDescriptionColumn { Alignment = Justify.Left },
                new ProgressBarColumn(),
                new PercentageColumn(),
                new RemainingTimeColumn())
            .Start(context =>
            {
                bars = context;
                try
                {
                    return work();
                }
                finally
                {
                    End();
                    bars = null;
                }
            });

    public override void Note(string text) => Line(text);

    public override void Progress(string activity, long done, long total)
    {
        if (bars is not null) Draw(activity, done, total, activity);
        else if (activity != this.activity || sinceLine.Elapsed > linesApart)
            Line(activity + (total > 0 ? $" {100.0 * done / total:F0} %" : ""));
        this.activity = activity;
    }

    public override void StageStarted(
        string name,
        string kind,
        int steps,
        long trainable,
        int done)
    {
        (stage, this.done, started) = (name, done, Stopwatch.GetTimestamp());
        Line($"{name} ({kind}): {steps:N0} steps, {trainable:N0} parameters trained{(done > 0 ? $", resumed after step {done:N0}" : "")}");
    }

    public override void StepDone(StepReport report, int steps, double tokensPerSecond)
    {
        ArgumentNullException.ThrowIfNull(report);
        var text = $"{stage} {report.Step:N0}/{steps:N0}  loss {report.Loss:F3}  {tokensPerSecond:N0} tokens/s";
        if (bars is not null)
        {
            Draw(stage, report.Step, steps, text);
            return;
        }
        var perStep = Stopwatch.GetElapsedTime(started).TotalSeconds / Math.Max(1, report.Step - done);
        var left = TimeSpan.FromSeconds(perStep * (steps - report.Step));
        if (report.Step == steps || sinceLine.Elapsed > linesApart) Line($"{text}  {(int)left.TotalMinutes:00}:{left.Seconds:00} left");
    }

    public override void Measured(string after, int step, IReadOnlyDictionary<string, double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Count > 0)
            Line($"{(step > 0 ? $"{after}, step {step:N0}" : $"after {after}")}: "
                + $"{string.Join("  ", values.Select(pair => $"{pair.Key} {pair.Value:G4}"))}");
    }

    // One bar at a time: a new activity replaces the one before.
    private void Draw(string activity, long done, long total, string text)
    {
        if (bar is null || activity != this.activity)
        {
            End();
            bar = bars!.AddTask(Markup.Escape(text), maxValue: Math.Max(1, total));
        }
        this.activity = activity;
        bar.Description = Markup.Escape(text);
        bar.IsIndeterminate = total == 0;
        bar.Value = done;
    }

    private void End()
    {
        if (bar is null) return;
        bar.Value = bar.MaxValue;
        bar.StopTask();
        bar = null;
    }

    private void Line(string text)
    {
        if (quiet) return;
        if (bars is not null) AnsiConsole.WriteLine(text);
        else (plain ?? Console.Out).WriteLine(text);
        sinceLine.Restart();
    }
}
