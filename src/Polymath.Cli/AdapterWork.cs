using System.CommandLine;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Training.Evaluation;
using Polymath.Tuning;

namespace Polymath.Cli;

/// <summary>The common parts of the verbs that write a result from an adapter: the model, the output folder, the gate.</summary>
internal sealed class AdapterWork(string model = "The folder of the base model")
{
    internal Argument<string> Model { get; } = new("model") { Description = model + HubUse.Or };
    internal Option<string> Output { get; } = new("--output") { Description = "The folder to write.", Required = true };
    internal Option<double> Gate { get; } = new("--gate")
    {
        Description = "The largest divergence of a next token, in nats, between the outputs before and after; a larger one is refused.",
        DefaultValueFactory = _ => MergeGate.DefaultLimit,
    };
    internal Option<string[]> Prompts { get; } = new("--prompt")
    {
        Description = "A prompt for the comparison of before and after; random tokens when left out.", DefaultValueFactory = _ => [],
    };
    internal HubUse Hubs { get; } = new();
    internal AnyBase AnyBase { get; } = new();
    internal Overwriting Overwriting { get; } = new();

    internal Command To(Command command, bool takesAnyBase = true)
    {
        foreach (var option in new Option[] { Output, Gate, Prompts }) command.Options.Add(option);
        Overwriting.AddTo(command);
        if (takesAnyBase) AnyBase.AddTo(command);
        Hubs.AddTo(command);
        return command;
    }

    internal string Place(ParseResult parsed) => TextModel.Locate(Hubs.Model(parsed, parsed.GetRequiredValue(Model)));

    internal string Target(ParseResult parsed, string place, string mark)
    {
        var target = parsed.GetRequiredValue(Output);
        if (Path.GetFullPath(target) == Path.GetFullPath(place))
            throw new InputException($"--output is {target}, the model's own folder. Name another one.");
        return Overwriting.Folder(parsed, target, mark);
    }

    /// <summary>The folder to write. It must not be one of the folders that are read: a new adapter does not replace its source.</summary>
    internal string Apart(ParseResult parsed, IEnumerable<string> sources)
    {
        var target = parsed.GetRequiredValue(Output);
        return sources.Any(source => Path.GetFullPath(source) == Path.GetFullPath(target))
            ? throw new InputException($"--output is {target}, the folder of an adapter that is read. Name another one.")
            : target;
    }

    internal MergeGate Open(ParseResult parsed, LanguageModel model, string place)
    {
        if (!(parsed.GetValue(Gate) >= 0))
            throw new InputException($"--gate is {parsed.GetValue(Gate)}; write a divergence in nats, 0 or more, such as 0.001.");
        var texts = parsed.GetValue(Prompts)!;
        if (texts.Length == 0) return MergeGate.Open(model, []);
        var tokenizer = Tokenizer.Load(place);
        var prompts = texts.Select(text => tokenizer.Encode(text).ToArray()).ToList();
        if (prompts.FindIndex(prompt => prompt.Length == 0) is >= 0 and var empty)
            throw new InputException($"--prompt '{texts[empty]}' has no token to compare; write some words, or leave it out for random "
                + "tokens.");
        return MergeGate.Open(model, prompts);
    }

    internal static void Tell(string target, GateReport report) =>
        Console.WriteLine($"{target}: over {report.Prompts} prompts logits differ by at most {report.Logit:G3}, a next token by "
            + $"{report.Divergence:G3} nats.");

    /// <summary>Writes an adapter that is made from others, and compares it with them.</summary>
    internal void Write(
        ParseResult parsed,
        LanguageModel model,
        LowRank result,
        (AdapterConfiguration Configuration, string Folder) origin,
        MergeGate? gate,
        IReadOnlyDictionary<string, double> errors,
        string meaning)
    {
        GateReport? report = null;
        var target = Apart(parsed, [origin.Folder]);
        Stopping.Write(target, _ => AtomicFile.WriteFolder(target, inside =>
        {
            // The layout that the adapter was trained with is copied with it.
            CompanionFiles.Copy(origin.Folder, inside);
            result.Save(inside, origin.Configuration, model);
            if (gate is null) return;
            using var written = DeltaSet.Load(model, inside);
            report = gate.Pass(model, inside, parsed.GetValue(Gate));
        }));
        var worst = errors.MaxBy(pair => pair.Value);
        Console.WriteLine($"{target}: {errors.Count} modules; {errors.Values.Average():P2} on average and {worst.Value:P2} at most "
            + $"({worst.Key}) {meaning}.");
        if (report is not null) Tell(target, report);
    }
}
