using System.CommandLine;
using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Files;
using Polymath.Training.Evaluation;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath model</c>: verify, info, hash, convert, export.</summary>
internal static class ModelVerb
{
    internal static Command Make() =>
        new("model", "Inspects a model's folder, or rewrites it.") { Verify(), Info(), Hash(), ConvertVerb.Make(), ExportVerb.Make() };

    private static Command Verify()
    {
        var folder = new Argument<string>("folder") { Description = "The model's folder" + HubUse.Or };
        var adapter = new Option<string?>("--adapter") { Description = "An adapter's folder, or its address on a hub." };
        var reference = new Option<string?>("--reference")
        {
            Description = "The reference file (reference.safetensors in the adapter's or the model's folder).",
        };
        var tolerance = new Option<double>("--tolerance")
        {
            Description = "The largest difference allowed.", DefaultValueFactory = _ => ReferenceCheck.DefaultTolerance,
        };
        var json = new Option<bool>("--json") { Description = "Prints JSON." };
        var command = new Command(
            "verify",
            "Compares logits, loss, gradients and greedy tokens with a reference file.") { folder, adapter, reference, tolerance, json };
        var allowed = new AllowedWeights();
        allowed.AddTo(command);
        var anyBase = new AnyBase();
        anyBase.AddTo(command);
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            if (!(parsed.GetValue(tolerance) >= 0))
                throw new InputException($"--tolerance is {parsed.GetValue(tolerance)}; it must be 0 or more.");
            TorchRuntime.Load();
            var lines = ReferenceCheck.Run(
                TextModel.Locate(hubs.Model(parsed, parsed.GetRequiredValue(folder))),
                hubs.Adapter(parsed, parsed.GetValue(adapter)),
                parsed.GetValue(reference),
                parsed.GetValue(tolerance),
                allowed.Read(parsed),
                anyBase.Read(parsed),
                Noted.Tell);
            if (parsed.GetValue(json))
                Console.WriteLine(JsonSerializer.Serialize(lines.Select(line => new
                {
                    quantity = line.Quantity, difference = double.IsFinite(line.Difference) ? line.Difference : double.MaxValue,
                    tolerance = line.Tolerance, passed = line.Passed, note = line.Note,
                })));
            else Show(lines);
            return lines.All(line => line.Passed) ? Outcome.Done : Outcome.Failed;
        }));
        return command;
    }

    private static void Show(IReadOnlyList<ReferenceLine> lines)
    {
        var table = Wide.Table().AddColumn("quantity").AddColumn(new TableColumn("difference").RightAligned())
            .AddColumn(new TableColumn("allowed").RightAligned()).AddColumn("");
        foreach (var line in lines)
            table.AddRow(
                Markup.Escape(line.Quantity),
                $"{line.Difference:G3}",
                $"{line.Tolerance:G3}",
                line.Passed ? "[green]ok[/]" : "[red]too far[/]");
        AnsiConsole.Write(table);
        if (lines.Select(line => line.Note).FirstOrDefault(note => note is not null) is { } note)
            Console.WriteLine($"Compared with {note}.");
    }

    private static Command Info()
    {
        var folder = new Argument<string>("folder") { Description = "The model's folder or a run's" + HubUse.Or };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var command = new Command("info", "Prints shapes, parameters and memory.") { folder, json };
        var allowed = new AllowedWeights();
        allowed.AddTo(command);
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            TorchRuntime.Load();
            Describe(TextModel.Locate(hubs.Model(parsed, parsed.GetRequiredValue(folder))), allowed.Read(parsed), parsed.GetValue(json));
            return Outcome.Done;
        }));
        return command;
    }

    private static void Describe(string folder, IReadOnlyCollection<string> allowed, bool json)
    {
        if (!ModelFolder.HasWeights(folder) && File.Exists(Path.Combine(folder, "config.json")))
        {
            Plan(folder, json);
            return;
        }
        using var model = Noted.Open(folder, allowed);
        var sizes = model.Sizes;
        var types = new Dictionary<string, string>();
        foreach (var path in ModelFolder.Files(folder))
        {
            using var file = WeightFile.OpenAny(path);
            foreach (var (name, entry) in file.Entries) types[name] = entry.Kind;
        }
        long count = model.Weights.Sum(weight => weight.Count), bytes = model.Weights.Sum(weight => weight.Bytes), training = count * 16;
        var family = $"{model.Configuration["model_type"]}";
        if (json)
        {
            var weights = model.Weights.Select(weight =>
                new { name = weight.Name, shape = weight.Shape, parameters = weight.Count, type = types.GetValueOrDefault(weight.Name) });
            Console.WriteLine(JsonSerializer.Serialize(
                new
                {
                    family, folder, sizes.Layers, sizes.HiddenSize, sizes.Heads, sizes.KeyValueHeads, sizes.HeadWidth, sizes.VocabularySize,
                    sizes.ContextLength, parameters = count, runBytes = bytes, trainBytes = training, notes = model.Notes, weights,
                },
                JsonLayout.RecordLine));
            return;
        }
        Console.WriteLine($"{family} in {folder}");
        Console.WriteLine($"{sizes.Layers} layers, {sizes.HiddenSize} wide, {sizes.Heads} heads and {sizes.KeyValueHeads} key-value heads "
            + $"of width {sizes.HeadWidth}, {sizes.VocabularySize:N0} tokens, context {sizes.ContextLength:N0}");
        var table = Wide.Table().AddColumn("weight").AddColumn("shape")
            .AddColumn(new TableColumn("parameters").RightAligned()).AddColumn("type in file");
        foreach (var weight in model.Weights)
            table.AddRow(
                Markup.Escape(weight.Name),
                Markup.Escape($"[{string.Join(", ", weight.Shape)}]"),
                $"{weight.Count:N0}",
                types.GetValueOrDefault(weight.Name, ""));
        AnsiConsole.Write(table);
        Console.WriteLine($"{count:N0} parameters. Memory: {bytes / 1e6:N1} MB to run, {training / 1e6:N1} MB to train every weight "
            + "(weights, gradients, two moments), and the activations.");
    }

    // A configuration alone says what a model will need.
    private static void Plan(string folder, bool json)
    {
        var configuration = ModelFolder.Configuration(folder);
        var planned = ShapeWeights.Of(configuration);
        var family = $"{configuration["model_type"]}";
        long count = planned.Count, bytes = count * 2, training = count * 16;
        if (json)
        {
            var weights = planned.Shapes.Select(pair => new { name = pair.Key, shape = pair.Value });
            Console.WriteLine(JsonSerializer.Serialize(
                new { family, folder, parameters = count, runBytes = bytes, trainBytes = training, weights },
                JsonLayout.RecordLine));
            return;
        }
        Console.WriteLine($"{family} in {folder}, a configuration without weights: {planned.Shapes.Count:N0} weights, {count:N0} "
            + $"parameters. Memory: {bytes / 1e6:N1} MB to run in 16 bits, {training / 1e6:N1} MB to train every weight (weights, "
            + "gradients, two moments), and the activations.");
    }

    private static Command Hash()
    {
        var folder = new Argument<string>("folder") { Description = "The model's folder or a run's" + HubUse.Or };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var command = new Command("hash", "Prints a digest over the names, types, shapes and bytes of all weights.") { folder, json };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var place = TextModel.Locate(hubs.Model(parsed, parsed.GetRequiredValue(folder)));
            var hash = ModelFolder.Hash(place);
            Console.WriteLine(parsed.GetValue(json) ? JsonSerializer.Serialize(new { folder = place, hash }, JsonLayout.RecordLine) : hash);
            return Outcome.Done;
        }));
        return command;
    }
}
