using System.Diagnostics;
using System.Globalization;
using Polymath.Bench;
using Polymath.Tensors;

// With a side and a task: measures it in this process. Without them: starts both sides alternately, each in its own process, and prints the
// ratios.
const int Steps = 4, Tokens = 64, Turns = 3;
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args is ["optimizer"])
{
    TorchRuntime.Load();
    var (own, fused, slow) = OptimizerStep.Measure();
    Console.WriteLine($"AdamW, 25M elements: ours {own:F1} ms, libtorch's fused {fused:F1} ms ({fused / own:F2}), TorchSharp's {slow:F1} "
        + $"ms ({slow / own:F2})");
    return 0;
}
if (args is ["optimizers"])
{
    TorchRuntime.Load();
    return OptimizerKinds.Run();
}
if (args is ["tokenizers", var folder, var file, .. var more])
    return TokenizerSpeed.Run(
        folder, file, more.Length > 0 ? double.Parse(more[0]) : double.PositiveInfinity, more.Length > 1 ? int.Parse(more[1]) : 1);
if (args is ["load", var place]) return LoadSpeed.Run(place);
if (args is ["decode", var of, .. var many])
    return DecodeSpeed.Run(
        of,
        many.Length > 0 ? int.Parse(many[0]) : 128,
        many.Length > 1 ? int.Parse(many[1]) : 1,
        many.Length > 2 ? double.Parse(many[2]) : 0);
if (args is ["base", var model, var precision, .. var also]) return BasePrecisions.Run(model, precision, also is not ["decode"]);
if (args is ["lora", var trained, .. var howMany])
    return LoraSpeed.Run(
        trained,
        howMany.Length > 0 ? int.Parse(howMany[0]) : 4,
        howMany.Length > 1 ? int.Parse(howMany[1]) : 640,
        howMany.Contains("checkpointing"));
if (args is ["align", var aligned, var kind, .. var turns]) return AlignSpeed.Run(aligned, kind, turns is [var n] ? int.Parse(n) : 3);
if (args is ["next", var next]) return FullSpeed.Make(next);
if (args is ["full", var wholly, var fullSteps, .. var ofPass])
    return FullSpeed.Run(wholly, int.Parse(fullSteps), ofPass.Length > 0 ? int.Parse(ofPass[0]) : 640);
if (args is ["rows", var steps, var output]) return LoraSpeed.WriteRows(int.Parse(steps), output);
if (args is ["nf4", var rounded]) return AdapterFiles.Round(rounded);
if (args is ["fresh", var fresh]) return AdapterFiles.Fresh(fresh);
if (args is ["adapter", var start, var made]) return AdapterFiles.Make(start, made);
if (args is ["merge", var whole, var adapter, var target, var how]) return AdapterFiles.Merge(whole, adapter, target, how == "once");
if (args is [var side, var task])
{
    TorchRuntime.Load();
    var (rate, loss) = task == "train" ? Train(side) : (Generate(side), double.NaN);
    Console.WriteLine($"{rate} {Process.GetCurrentProcess().PeakWorkingSet64 / 1e6} {loss}");
    return 0;
}
Console.WriteLine($"{"",-12}{"",-8}{"tokens/s",12}{"peak MB",12}{"loss",12}");
foreach (var what in new[] { "train", "generate" })
{
    var figures = new Dictionary<string, List<double[]>> { ["plain"] = [], ["ours"] = [] };
    for (var turn = 0; turn < Turns; turn++)
        foreach (var who in figures.Keys) figures[who].Add(Child(who, what));
    var medians = figures.ToDictionary(pair => pair.Key, pair => Enumerable.Range(0, 3)
        .Select(i => pair.Value.Select(row => row[i]).Order().ElementAt(Turns / 2)).ToArray());
    foreach (var (who, row) in medians) Console.WriteLine($"{what,-12}{who,-8}{row[0],12:F1}{row[1],12:F0}{row[2],12:F4}");
    Console.WriteLine(
        $"{what,-12}{"ratio",-8}{medians["ours"][0] / medians["plain"][0],12:F2}{medians["ours"][1] / medians["plain"][1],12:F2}");
}
return 0;

static (double Rate, double Loss) Train(string side)
{
    using var plain = side == "plain" ? new Plain() : null;
    var tokens = 0L;
    var loss = 0.0;
    var started = Stopwatch.GetTimestamp();
    var first = true;
    foreach (var step in plain?.Train(Steps) ?? Ours.Train(Steps))
    {
        // The first step compiles, allocates and touches memory for the first time.
        if (first) started = Stopwatch.GetTimestamp();
        else tokens += step.Tokens;
        if (first) loss = step.Loss;
        first = false;
    }
    return (tokens / Stopwatch.GetElapsedTime(started).TotalSeconds, loss);
}

static double Generate(string side)
{
    using var plain = side == "plain" ? new Plain() : null;
    using var ours = plain is null ? Ours.Model() : null;
    int Go(int tokens) => plain?.Generate(tokens) ?? Ours.Generate(ours!, tokens);
    Go(2);
    var short1 = Stopwatch.GetTimestamp();
    Go(2);
    var opening = Stopwatch.GetElapsedTime(short1);
    var started = Stopwatch.GetTimestamp();
    var made = Go(Tokens);
    return (made - 2) / (Stopwatch.GetElapsedTime(started) - opening).TotalSeconds;
}

static double[] Child(string side, string task)
{
    using var child = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, $"{side} {task}") { RedirectStandardOutput = true })!;
    var line = child.StandardOutput.ReadToEnd();
    child.WaitForExit();
    return [.. line.Trim().Split(' ').Select(double.Parse)];
}
