using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tuning;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter diff</c>: compares two adapters, two models, or one of each.</summary>
internal static class AdapterDiffVerb
{
    private const int Longest = 60;

    internal static Command Make()
    {
        Argument<string> first = new("first") { Description = "An adapter's folder or a model's" + HubUse.Or },
            second = new("second") { Description = "Another one." };
        var basis = new Option<string?>("--model") { Description = "The folder of the model both were made from" + HubUse.Or.TrimEnd('.')
            + ": their changes of it are compared instead of their tensors." };
        var top = new Option<int>("--top")
        {
            Description = "The number of lines, those with the largest differences first; 0 for all.", DefaultValueFactory = _ => 20,
        };
        var json = new Option<bool>("--json") { Description = "Prints JSON." };
        var command = new Command(
            "diff",
            "Compares two adapters, two models, or one of each: settings, and for each weight the size of both changes, their "
                + "difference, and their cosine.") { first, second, basis, top, json };
        AnyBase anyBase = new();
        HubUse hubs = new();
        anyBase.AddTo(command);
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            // An adapter's folder is used directly; a run's folder stands for the model of its last stage.
            string Place(string given)
            {
                if (HubAddress.IsAddress(given)) return hubs.Model(parsed, given);
                return ComparedSide.IsAdapter(given) ? given : TextModel.Locate(given);
            }
            string one = Place(parsed.GetRequiredValue(first)), two = Place(parsed.GetRequiredValue(second));
            if (parsed.GetValue(top) < 0) throw new InputException($"--top is {parsed.GetValue(top)}; it must be 0 or more.");
            if (parsed.GetValue(basis) is null && ComparedSide.IsAdapter(one) != ComparedSide.IsAdapter(two))
                throw new InputException("An adapter and a model are compared by their changes of a base: the model that both were "
                    + "made from. Name it with --model FOLDER.");
            TorchRuntime.Load();
            var start = parsed.GetValue(basis) is { } given ? TextModel.Locate(hubs.Model(parsed, given)) : null;
            using ComparedSide a = ComparedSide.Open(one, start, anyBase.Read(parsed)),
                b = ComparedSide.Open(two, start, anyBase.Read(parsed));
            var lines = a.Against(b);
            if (parsed.GetValue(json)) Console.WriteLine(Json(a, b, lines));
            else Show(a, b, lines, parsed.GetValue(top));
            return Outcome.Done;
        }));
        return command;
    }

    private static List<(string Key, string First, string Second)> Settings(ComparedSide a, ComparedSide b)
    {
        static string Text(JsonNode? node) => node?.ToJsonString() ?? "-";
        // Configurations of different kinds have no keys in common.
        if (a.Settings.ContainsKey("peft_type") != b.Settings.ContainsKey("peft_type")) return [];
        return [.. a.Settings.Select(pair => pair.Key).Union(b.Settings.Select(pair => pair.Key)).Order(StringComparer.Ordinal)
            .Select(key => (key, Text(a.Settings[key]), Text(b.Settings[key]))).Where(item => item.Item2 != item.Item3)];
    }

    // Tensors that only one has, or that have different shapes.
    private static IEnumerable<string> Unpaired(ComparedSide a, ComparedSide b)
    {
        static string Shape(IReadOnlyList<long> shape) => $"[{string.Join(", ", shape)}]";
        foreach (var (name, shape) in a.Shapes)
            if (!b.Shapes.TryGetValue(name, out var other)) yield return $"{name} is only in the first";
            else if (!other.SequenceEqual(shape)) yield return $"{name} is {Shape(shape)} in the first and {Shape(other)} in the second";
        foreach (var name in b.Shapes.Keys.Where(name => !a.Shapes.ContainsKey(name))) yield return $"{name} is only in the second";
    }

    private static string Json(ComparedSide a, ComparedSide b, IReadOnlyList<Difference> lines)
    {
        object Line(Difference line) => new
        {
            name = line.Name, first = line.First, second = line.Second, difference = line.Apart,
            cosine = double.IsFinite(line.Cosine) ? line.Cosine : (double?)null,
        };
        return JsonSerializer.Serialize(new
        {
            settings = Settings(a, b).Select(item => new { key = item.Key, first = item.First, second = item.Second }),
            unpaired = Unpaired(a, b),
            weights = lines.Select(Line),
            total = Line(Difference.Total(lines)),
        });
    }

    private static void Show(ComparedSide a, ComparedSide b, IReadOnlyList<Difference> lines, int top)
    {
        static string Short(string text) => text.Length <= Longest ? text : text[..Longest] + "…";
        foreach (var (key, first, second) in Settings(a, b)) Console.WriteLine($"{key}: {Short(first)} | {Short(second)}");
        var table = new Table().AddColumn("weight");
        foreach (var name in new[] { "first", "second", "difference", "cosine" }) table.AddColumn(new TableColumn(name).RightAligned());
        void Row(Difference line) => table.AddRow(Markup.Escape(line.Name), $"{line.First:G5}", $"{line.Second:G5}", $"{line.Apart:G5}",
            double.IsFinite(line.Cosine) ? $"{line.Cosine:F4}" : "-");
        foreach (var line in top == 0 ? lines : lines.Take(top)) Row(line);
        Row(Difference.Total(lines));
        AnsiConsole.Write(table);
        if (top > 0 && lines.Count > top) Console.WriteLine($"{lines.Count - top} more, of smaller differences: --top 0.");
        var unpaired = Unpaired(a, b).ToList();
        foreach (var text in unpaired.Take(Math.Max(top, 8))) Console.WriteLine(text);
        if (unpaired.Count > Math.Max(top, 8)) Console.WriteLine($"and {unpaired.Count - Math.Max(top, 8)} more that only one has.");
    }
}
