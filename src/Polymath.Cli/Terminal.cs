using System.Diagnostics;
using Polymath.Training;
using Spectre.Console;

namespace Polymath.Cli;

/// <summary>Shows a run: a live bar with rate and time left on a terminal, plain lines where the output is piped.</summary>
/// <param name="quiet">Whether nothing is shown.</param>
sealed class Terminal(bool quiet = false) : RunObserver, IDisposable
{
    static readonly TimeSpan linesApart = TimeSpan.FromSeconds(10);

    readonly bool live = !quiet && !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Interactive;
    readonly Stopwatch sinceLine = Stopwatch.StartNew();
    string stage = "", activity = "";
    int done, width;
    long started;

    public override void Note(string text) => Line(text);

    public override void Progress(string activity, long done, long total)
    {
        var share = total > 0 ? $" {100.0 * done / total:F0} %" : "";
        if (live) Draw($"{activity}{share}");
        else if (activity != this.activity || sinceLine.Elapsed > linesApart) Line(activity + share);
        this.activity = activity;
    }

    public override void StageStarted(string name, string kind, int steps, long trainable, int done)
    {
        (stage, this.done, started) = (name, done, Stopwatch.GetTimestamp());
        Line($"{name} ({kind}): {steps:N0} steps, {trainable:N0} parameters trained{(done > 0 ? $", going on after step {done:N0}" : "")}");
    }

    public override void StepDone(StepReport report, int steps, double tokensPerSecond)
    {
        ArgumentNullException.ThrowIfNull(report);
        var perStep = Stopwatch.GetElapsedTime(started).TotalSeconds / Math.Max(1, report.Step - done);
        var left = TimeSpan.FromSeconds(perStep * (steps - report.Step));
        var text = $"{stage} {report.Step:N0}/{steps:N0}  loss {report.Loss:F3}  {tokensPerSecond:N0} tokens/s  {left:mm\\:ss} left";
        if (live) Draw(Bar((double)report.Step / steps) + " " + text);
        else if (report.Step == steps || sinceLine.Elapsed > linesApart) Line(text);
    }

    public override void Measured(string after, int step, IReadOnlyDictionary<string, double> values)
    {
        if (values.Count > 0) Line($"{(step > 0 ? $"{after}, step {step:N0}" : $"after {after}")}: {string.Join("  ", values.Select(pair => $"{pair.Key} {pair.Value:G4}"))}");
    }

    static string Bar(double share)
    {
        const int Cells = 24;
        var full = (int)Math.Round(share * Cells);
        return new string('━', full) + new string('╌', Cells - full);
    }

    void Draw(string text)
    {
        var room = Math.Max(20, AnsiConsole.Profile.Width - 1);
        text = text.Length > room ? text[..room] : text;
        Console.Write("\r" + text.PadRight(width));
        width = text.Length;
    }

    void Line(string text)
    {
        if (quiet) return;
        Close();
        Console.WriteLine(text);
        sinceLine.Restart();
    }

    /// <summary>Wipes the live line.</summary>
    internal void Close()
    {
        if (width > 0) Console.Write("\r" + new string(' ', width) + "\r");
        width = 0;
    }

    public void Dispose() => Close();
}
