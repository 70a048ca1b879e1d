using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Tensors;
using Polymath.Text.Hubs;
using Polymath.Training;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath label FOLDER</c>: a person says which of two answers is better.</summary>
internal static class LabelVerb
{
    internal static Command Make()
    {
        var options = new LabelOptions();
        var command = new Command("label", "Shows two answers beside each other, without names, and keeps what you prefer.");
        options.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => Go(options, parsed)));
        return command;
    }

    private static int Go(LabelOptions options, ParseResult parsed)
    {
        var settle = options.Sampling.Read(parsed);
        using var opened = options.Choice.Open(parsed);
        var model = opened.Text;
        TokenGenerator.Check(model.Model);
        var settings = settle(model.Model);
        using var other = options.Other(parsed);
        if (other is not null) TokenGenerator.Check(other.Text.Model);
        if (other is null && settings.Temperature == 0)
            throw new InputException("At temperature 0 a model gives the same answer twice. Give --temperature, or another model to "
                + "compare with: --against FOLDER.");
        var prompts = options.Prompts(parsed, opened.Place);
        using var store = VoteStore.Open(options.Votes(parsed));
        var session = new LabelSession(
            new LabelledModel(model, options.NameOf(parsed, opened.Place)),
            other is null ? null : new LabelledModel(other.Text, LabelOptions.Digest(other.Place, OpenedModel.OwnAdapter(other.Place))),
            settings,
            store,
            options.Rater(parsed));
        return session.Go(prompts, options.Count(parsed));
    }
}

/// <summary>The options of <c>polymath label</c>.</summary>
internal sealed class LabelOptions
{
    private const string DefaultFile = "votes.db";

    private readonly Option<string?> prompts = new("--prompts")
    {
        Description = "A file of prompts: a JSON object with a prompt on each line, or plain text, a prompt a line. A run has its own.",
    };

    private readonly Option<string?> votes = new("--votes")
    {
        Description = $"The file that keeps the votes; {DefaultFile} in the run's folder, or here, when left out.",
    };

    private readonly Option<string> rater = new("--rater")
    {
        Description = "Who votes; the name of the system's user when left out.",
        DefaultValueFactory = _ => Environment.UserName,
    };

    private readonly Option<int?> count = new("--count") { Description = "How many pairs are shown; all prompts when left out." };

    internal ModelChoice Choice { get; } = new();

    internal Sampling Sampling { get; } = new();

    internal Option<string?> Against { get; } = new("--against")
    {
        Description = "Another model, which gives the second answer; the same model answers twice when left out.",
    };

    internal void AddTo(Command command)
    {
        Choice.AddTo(command);
        foreach (Option option in new Option[] { Against, prompts, votes, rater, count }) command.Add(option);
        Sampling.AddTo(command);
    }

    internal int Count(ParseResult parsed)
    {
        var asked = parsed.GetValue(count) ?? int.MaxValue;
        return asked >= 1 ? asked : throw new InputException($"--count is {asked}; it must be 1 or more.");
    }

    internal string Rater(ParseResult parsed) => parsed.GetRequiredValue(rater).Trim() is { Length: > 0 } name
        ? name
        : throw new InputException("--rater is empty. Give a name, such as --rater ada.");

    internal string Votes(ParseResult parsed)
    {
        if (parsed.GetValue(votes) is { } named) return named;
        var folder = Choice.Folder(parsed);
        return IsRun(folder) ? Path.Combine(folder, DefaultFile) : DefaultFile;
    }

    internal OpenedModel? Other(ParseResult parsed)
    {
        if (parsed.GetValue(Against) is not { } folder) return null;
        TorchRuntime.Load();
        return OpenedModel.Open(TextModel.Locate(Choice.Hubs.Model(parsed, folder)), adapter: null);
    }

    internal IReadOnlyList<LabelPrompt> Prompts(ParseResult parsed, string place)
    {
        if (parsed.GetValue(prompts) is { } file) return FromFile(file);
        var folder = Choice.Folder(parsed);
        const string instead = "Give prompts with --prompts FILE.";
        if (!IsRun(folder)) throw new InputException($"{folder} is no run's folder and has no prompts. {instead}");
        var terminal = new Terminal(plain: Console.Error);
        return terminal.Show(() => LabelPrompts.Of(
            RunRecipe.Of(folder, instead), place, terminal, Choice.Hubs.Open(parsed, terminal, new HubPins(Surroundings.Pins(folder)))));
    }

    private static bool IsRun(string folder) => File.Exists(Path.Combine(folder, "recipe.yaml"));

    private static List<LabelPrompt> FromFile(string file)
    {
        if (!File.Exists(file))
            throw new InputException($"--prompts is {file}, but there is no such file. Name a file with a prompt a line.");
        List<LabelPrompt> found = Path.GetExtension(file) is ".jsonl" or ".json"
            ? [.. PromptRow.Read(file, "prompt").Select(row => row.Messages is null
                ? new LabelPrompt(row.Place, row.Prompt)
                : throw new InputException($"{row.Place}: the row has messages, and label asks single prompts. Write \"prompt\": TEXT."))]
            :
            [
                .. File.ReadAllLines(file).Select((line, i) => new LabelPrompt($"{file}, line {i + 1}", line.Trim()))
                    .Where(prompt => prompt.Message.Length > 0),
            ];
        return found.Count > 0 ? found : throw new InputException($"--prompts {file} has no prompts. Write one on each line.");
    }

    /// <summary>What gives the answers: digests of the weights of the model and of its adapter.</summary>
    internal string NameOf(ParseResult parsed, string place) => Digest(place, Choice.AdapterOf(parsed, place));

    internal static string Digest(string place, string? adapter)
    {
        var model = $"model:{ModelBase.DigestOf(TextModel.Locate(place))[..16]}";
        if (adapter is null) return model;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in Directory.GetFiles(adapter, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
            hash.AppendData(File.ReadAllBytes(file));
        return $"{model} adapter:{Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}";
    }

    /// <summary>How answers are sampled, as the store keeps it.</summary>
    internal static string Told(SamplingSettings settings) => JsonSerializer.Serialize(settings, JsonLayout.RecordLine);
}
