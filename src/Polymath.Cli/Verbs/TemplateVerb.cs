using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath template</c>: lists the shipped chat templates, and renders a conversation with a template.</summary>
internal static class TemplateVerb
{
    internal static Command Make() => new("template", "Looks at chat templates.") { List(), Render() };

    private static Command List()
    {
        var command = new Command("list", "Lists the shipped chat templates.");
        command.SetAction(_ => Outcome.Of(() =>
        {
            foreach (var name in NamedTemplates.Names)
                Console.WriteLine($"{name,-10} {VariablesOf(NamedTemplates.Find(name))}");
            return Outcome.Done;
        }));
        return command;
    }

    private static Command Render()
    {
        var place = new Argument<string>("place")
        {
            Description = "A model's folder, its address on a hub, a file that ends in .jinja, or a shipped template's name.",
        };
        var messages = new Option<string>("--messages")
        {
            Description = "A file with a row of messages, as training reads it (JSON or one row per line); the first row is rendered.",
            Required = true,
        };
        var mask = new Option<bool>("--mask") { Description = "Marks what would be learned." };
        var prompt = new Option<bool>("--prompt") { Description = "Leaves out the last answer and ends with the start of an answer." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object: text, tokens, ids and learned." };
        var command = new Command("render", "Shows the rendered text of messages, its tokens, and which of them would be learned.")
        {
            place, messages, mask, prompt, json,
        };
        var (reading, template, hubs) = (new ReadingChoice(), new TemplateChoice(), new HubUse());
        reading.AddTo(command);
        template.AddTo(command);
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var (tokenizer, contract) = Open(hubs, parsed, parsed.GetRequiredValue(place));
            contract = template.Apply(parsed, contract);
            var file = parsed.GetRequiredValue(messages);
            var (row, notes) = FirstRow(file, reading.Read(parsed, file));
            var rendering = contract.Render(parsed.GetValue(prompt) ? Asked(RowTalk.Of(row)) : RowTalk.Of(row), tokenizer);
            foreach (var note in contract.Note is { } own ? [own, .. notes] : notes) Noted.Tell(note);
            Show(rendering, tokenizer, parsed.GetValue(mask), parsed.GetValue(json));
            return Outcome.Done;
        }));
        return command;
    }

    // A template without a model has no tokenizer, so its text is shown without tokens.
    private static (Tokenizer? Tokenizer, TextContract Contract) Open(HubUse hubs, ParseResult parsed, string place)
    {
        if (place.EndsWith(".jinja", StringComparison.Ordinal) || NamedTemplates.Names.Contains(place))
            return (null, new TextContract(ChatTemplate.Own, []).With(place));
        var folder = TextModel.Locate(hubs.Tokenizer(parsed, place));
        var tokenizer = Tokenizer.Load(folder).Uncut();
        return (tokenizer, TextContract.Load(folder, tokenizer));
    }

    // The first row of a file, which may span several lines, and what is not read of the file.
    private static (Row Row, IReadOnlyList<string> Notes) FirstRow(string file, FilesSpec spec)
    {
        if (!File.Exists(file))
            throw new InputException($"--messages is {file}, but there is no such file. Name one with a row such as "
                + "{\"messages\": [...]}, or a list of messages.");
        if (file.EndsWith(".json", StringComparison.OrdinalIgnoreCase) && Bare(file) is { } messages)
        {
            var place = new RowPlace(file, "item", 1);
            var values = new JsonObject { ["messages"] = messages };
            var report = new SourceReport();
            var shaped = RowShape.Read(new SourceRow(values, place, ReadingRules.Of(spec), report), DataShape.Auto)[0];
            return (new Row("messages", DataSplit.Train, shaped.Fields, Place: place), report.Lines);
        }
        var recipe = new Recipe("render", new PretrainedSpec("."), new Dictionary<string, DataSpec> { [file] = spec }, []);
        var corpora = new Corpora(recipe, Directory.GetCurrentDirectory(), new PackageCache());
        var rows = corpora.Rows(file);
        var several = rows.Count(row => row.Place == rows[0].Place);
        string[] first = several == 1 ? [] : [$"{rows[0].Name} has {several} answers, each a row of its own; the first is shown"];
        return (rows[0], [.. first, .. corpora.Report(file).Lines]);
    }

    // A file with a list of messages is one row; any other file is read as rows, which reports its faults.
    private static JsonArray? Bare(string file)
    {
        try
        {
            var list = JsonNode.Parse(File.ReadAllText(file)) as JsonArray;
            return list is { Count: > 0 } && list[0] is JsonObject one && (one.ContainsKey("role") || one.ContainsKey("from"))
                ? list
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static Dialogue Asked(Dialogue dialogue)
    {
        var messages = dialogue.Messages.DeepClone().AsArray();
        while (messages.Count > 0 && messages[^1]?["role"]?.ToString() == "assistant")
            messages.RemoveAt(messages.Count - 1);
        return dialogue with { Messages = messages };
    }

    private static void Show(Rendering rendering, Tokenizer? tokenizer, bool mask, bool json)
    {
        var text = string.Concat(rendering.Spans.Select(span => span.Text));
        var row = tokenizer is null ? (Polymath.Text.Packing.TokenRow?)null : rendering.Tokenize(tokenizer);
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new
            {
                text,
                learned = Learned(rendering),
                ids = row?.Ids,
                weights = row?.Learn,
                tokens = row?.Ids.Select(id => tokenizer!.TokenOf(id)),
                remarks = rendering.Remarks.Select(remark => $"message {remark.Message + 1}: {remark.Kind} {remark.Name}".TrimEnd()),
            }, JsonLayout.Line));
            return;
        }
        Console.WriteLine(mask
            ? string.Concat(rendering.Spans.Select(span => span.Target == 0 ? span.Text : $"«{span.Text}»"))
                .Replace("»«", "", StringComparison.Ordinal)
            : text);
        if (row is { } tokens)
            Console.WriteLine($"\n{tokens.Length:N0} tokens, {tokens.Targets:N0} learned: "
                + $"{string.Join(' ', tokens.Ids.Select(id => tokenizer!.TokenOf(id)))}");
        foreach (var remark in rendering.Remarks)
            Console.WriteLine($"note: message {remark.Message + 1}: {remark.Kind} {remark.Name}".TrimEnd());
    }

    private static List<string> Learned(Rendering rendering)
    {
        var parts = new List<string>();
        var open = false;
        foreach (var span in rendering.Spans)
        {
            if (span.Target == 0)
                open = false;
            else if (open)
                parts[^1] += span.Text;
            else
                parts.Add(span.Text);
            open = span.Target != 0;
        }
        return parts;
    }

    // The variables that a template uses in addition to those that every conversation brings.
    private static string VariablesOf(Polymath.Text.Templates.Jinja.JinjaTemplate template)
    {
        var names = ChatLayout.SettableOf(template).ToList();
        return names.Count == 0 ? "no variables" : $"variables: {string.Join(", ", names)}";
    }
}
