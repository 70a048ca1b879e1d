using System.CommandLine;
using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath tokenizer</c>: info, encode, decode, train, verify, convert.</summary>
internal static class TokenizerVerb
{
    internal static Command Make() => new(
        "tokenizer",
        "Looks at, uses, checks and trains tokenizers.") { Info(), Encode(), Decode(), TokenizerTrainVerb.Make(), Verify(), Convert() };

    private static Argument<string> Folder() => new("folder") { Description = "The tokenizer's folder or file, or a run's" + HubUse.Or };

    // A run's tokenizer is stored with the models of its stages.
    private static string Place(HubUse hubs, ParseResult parsed, Argument<string> folder)
    {
        var place = hubs.Tokenizer(parsed, parsed.GetRequiredValue(folder));
        return Directory.Exists(Path.Combine(place, "stages")) ? TextModel.Locate(place) : place;
    }

    private static Option<bool> Json() => new("--json") { Description = "Prints one JSON object." };

    private static Command Info()
    {
        var folder = Folder();
        var json = Json();
        var command = new Command("info", "Shows the parts of a tokenizer.") { folder, json };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var tokenizer = Tokenizer.Load(Place(hubs, parsed, folder));
            var description = tokenizer.Describe();
            var special = tokenizer.SpecialTokens.OrderBy(pair => pair.Value).ToList();
            if (parsed.GetValue(json))
            {
                Console.WriteLine(JsonSerializer.Serialize(
                    new { description, special = special.ToDictionary(pair => pair.Key, pair => pair.Value) }, JsonLayout.RecordLine));
                return Outcome.Done;
            }
            Console.WriteLine($"kind            {description.Kind}");
            Console.WriteLine($"tokens          {description.VocabularySize:N0} ids; {description.ModelSize:N0} of the model, "
                + $"{description.AddedTokens:N0} found in the text itself");
            foreach (var (name, stages) in new[]
            {
                ("normalizer", description.Normalizer), ("pre-tokenizer", description.PreTokenizer),
                ("post-processor", description.PostProcessor), ("decoder", description.Decoder),
            })
                Console.WriteLine($"{name,-15} {(stages.Count == 0 ? "none" : string.Join(", ", stages))}");
            if (description.MaxLength is { } most) Console.WriteLine($"cut to          {most:N0} ids");
            var more = special.Count > 24 ? $" and {special.Count - 24} more (--json shows all)" : "";
            Console.WriteLine($"special         {string.Join(' ', special.Take(24).Select(pair => $"{pair.Key}={pair.Value}"))}{more}");
            return Outcome.Done;
        }));
        return command;
    }

    private static Command Encode()
    {
        var folder = Folder();
        var text = new Argument<string?>("text")
        {
            Description = "The text; read from standard input when left out.", Arity = ArgumentArity.ZeroOrOne,
        };
        var file = new Option<string?>("--file") { Description = "A file with the text." };
        var special = new Option<bool>("--special") { Description = "Adds the tokens that begin and end a sequence." };
        var plain = new Option<bool>("--plain") { Description = "Treats special tokens in the text as text." };
        var json = Json();
        var command = new Command("encode", "Turns a text into tokens.") { folder, text, file, special, plain, json };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var (written, path) = (parsed.GetValue(text), parsed.GetValue(file));
            if (written is not null && path is not null) throw new InputException("Both a text and --file are given. Give one of them.");
            if (parsed.GetValue(special) && parsed.GetValue(plain))
                throw new InputException("--special and --plain exclude each other. Give one of them.");
            var tokenizer = Tokenizer.Load(Place(hubs, parsed, folder));
            var source = written ?? (path is not null ? ReadText(path) : Console.In.ReadToEnd());
            var ids = parsed.GetValue(plain) ? tokenizer.EncodePlain(source) : tokenizer.Encode(source, parsed.GetValue(special));
            if (parsed.GetValue(json))
                Console.WriteLine(JsonSerializer.Serialize(
                    new { ids, tokens = ids.Select(tokenizer.TokenOf).ToArray() }, JsonLayout.RecordLine));
            else
            {
                Console.WriteLine(string.Join(' ', ids));
                Console.WriteLine(string.Join(' ', ids.Select(tokenizer.TokenOf)));
            }
            return Outcome.Done;
        }));
        return command;
    }

    private static string ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path, new System.Text.UTF8Encoding(false, true));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new InputException(
                $"cannot read {path}: {(e is System.Text.DecoderFallbackException ? "it is not text in UTF-8." : e.Message)} Check "
                    + "the path.",
                e);
        }
    }

    private static Command Decode()
    {
        var folder = Folder();
        var ids = new Argument<string[]>("ids")
        {
            Description = "The ids, separated by spaces or commas; read from standard input when left out.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var special = new Option<bool>("--special") { Description = "Writes special tokens, too." };
        var json = Json();
        var command = new Command("decode", "Turns token ids into text.") { folder, ids, special, json };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var given = parsed.GetValue(ids) is { Length: > 0 } words ? string.Join(' ', words) : Console.In.ReadToEnd();
            var numbers = given.Split([' ', ',', '\n', '\r', '\t', '[', ']'], StringSplitOptions.RemoveEmptyEntries)
                .Select(
                    word => int.TryParse(word, out var id) ? id : throw new InputException($"'{word}' is not a token id. Give integers."))
                .ToArray();
            if (numbers.Length == 0) throw new InputException("There are no ids. Give some, such as 12 7 305.");
            var tokenizer = Tokenizer.Load(Place(hubs, parsed, folder));
            foreach (var id in numbers)
                if (id < 0 || id >= tokenizer.VocabularySize)
                    throw new InputException($"The id {id} is not in the vocabulary of {tokenizer.VocabularySize:N0} tokens; ids go from 0 "
                        + $"to {tokenizer.VocabularySize - 1}.");
            var text = tokenizer.Decode(numbers, !parsed.GetValue(special));
            Console.WriteLine(parsed.GetValue(json) ? JsonSerializer.Serialize(new { text }, JsonLayout.RecordLine) : text);
            return Outcome.Done;
        }));
        return command;
    }

    private static Command Verify()
    {
        var folder = Folder();
        var cases = new Option<string?>("--cases") { Description = "The file of cases (cases.json in the tokenizer's folder)." };
        var json = Json();
        var command = new Command("verify", "Compares ids, tokens and decoded texts with a file of cases.") { folder, cases, json };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var place = Place(hubs, parsed, folder);
            var (count, differences) = TokenizerCases.Run(Tokenizer.Load(place), parsed.GetValue(cases) ?? OwnCases(place));
            if (parsed.GetValue(json))
                Console.WriteLine(JsonSerializer.Serialize(
                    new { cases = count, failed = differences.Select(each => each.Case)
                        .Distinct().Count(), passed = differences.Count == 0, differences },
                    JsonLayout.RecordLine));
            else Show(count, differences);
            return differences.Count == 0 ? Outcome.Done : Outcome.Failed;
        }));
        return command;
    }

    private static string OwnCases(string place)
    {
        var file = Path.Combine(place, "cases.json");
        return File.Exists(file) ? file : throw new InputException($"There is no file of cases {file}. Give one with --cases FILE.");
    }

    private static Command Convert()
    {
        var folder = Folder();
        var output = new Option<string>("--output") { Description = "The folder to write tokenizer.json into.", Required = true };
        var command = new Command("convert", "Writes a tokenizer from older files as a tokenizer.json.") { folder, output };
        var overwriting = new Overwriting();
        overwriting.AddTo(command);
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var file = overwriting.Inside(parsed, parsed.GetRequiredValue(output), Tokenizer.FileName);
            AtomicFile.Write(file, Tokenizer.Load(Place(hubs, parsed, folder)).ToJson());
            Console.WriteLine(file);
            return Outcome.Done;
        }));
        return command;
    }

    private static void Show(int count, IReadOnlyList<CaseDifference> differences)
    {
        if (differences.Count > 0)
        {
            var table = Wide.Table().AddColumn(new TableColumn("case").RightAligned())
                .AddColumn("what").AddColumn("text").AddColumn("expected").AddColumn("found");
            foreach (var each in differences)
                table.AddRow(
                    $"{each.Case}",
                    each.Quantity,
                    Cell(each.Text),
                    Cell(each.Expected),
                    Cell(each.Found));
            AnsiConsole.Write(table);
        }
        Console.WriteLine($"{count - differences.Select(each => each.Case).Distinct().Count()} of {count} cases agree.");
    }

    private static string Cell(string text)
    {
        var shown = JsonSerializer.Serialize(text.Length > 60 ? text[..60] + "..." : text, JsonLayout.RecordLine)[1..^1];
        return Markup.Escape(shown);
    }
}
