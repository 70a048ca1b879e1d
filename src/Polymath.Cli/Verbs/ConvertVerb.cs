using System.CommandLine;
using System.Globalization;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors;

namespace Polymath.Cli.Verbs;

/// <summary>
/// <c>polymath model convert FOLDER --output DIR</c>: writes the model again in Hugging Face's layout, in another type or other shards.
/// </summary>
internal static class ConvertVerb
{
    internal static Command Make()
    {
        var folder = new Argument<string>("folder") { Description = "The model's folder or a run's" + HubUse.Or };
        var output = new Option<string>("--output") { Description = "The folder to write.", Required = true };
        var type = new Option<string?>("--dtype")
        {
            Description = "The type of the weights: float32, float16 or bfloat16; unchanged when left out.",
        };
        var size = new Option<string>("--shard-size")
        {
            Description = "The most bytes of a file, such as 500MB or 5GB.", DefaultValueFactory = _ => "5GB",
        };
        var head = new Option<string?>("--head")
        {
            Description = "A fresh head over labels instead of the output head: classify, multilabel, regress, tag or reward.",
        };
        var labels = new Option<string?>("--labels") { Description = "The head's labels, such as ham,spam; or their number." };
        var seed = new Option<long>("--seed") { Description = "The seed of the head's weights." };
        var allowed = new AllowedWeights();
        var command = new Command("convert", "Writes a model in Hugging Face's layout.") { folder, output, type, size, head, labels, seed };
        allowed.AddTo(command);
        var overwriting = new Overwriting();
        overwriting.AddTo(command);
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var bytes = Bytes(parsed.GetRequiredValue(size));
            var name = parsed.GetValue(type);
            if (name is not null && !ModelWriter.Types.ContainsKey(name))
                throw new InputException($"--dtype is '{name}'; known are {string.Join(", ", ModelWriter.Types.Keys)}.");
            string place = TextModel.Locate(hubs.Model(parsed, parsed.GetRequiredValue(folder))), target = parsed.GetRequiredValue(output);
            if (Path.GetFullPath(target) == Path.GetFullPath(place))
                throw new InputException($"--output is {target}, the model's own folder. Name another one.");
            overwriting.Folder(parsed, target, "config.json");
            TorchRuntime.Load();
            using var model = Head(parsed.GetValue(head), parsed.GetValue(labels)) is { } wanted
                ? Noted.OpenWithHead(place, wanted, parsed.GetValue(seed), allowed.Read(parsed))
                : Noted.Open(place, allowed.Read(parsed));
            Stopping.Write(target, stop => AtomicFile.WriteFolder(target, inside =>
            {
                CompanionFiles.Copy(place, inside);
                ModelWriter.Write(
                    model,
                    inside,
                    name is null ? ModelWriter.TypeOf(model) : ModelWriter.Types[name],
                    bytes,
                    stop.ThrowIfCancellationRequested);
            }));
            Console.WriteLine($"{target}: {ModelFolder.Files(target).Count} file(s), "
                + $"{ModelFolder.Files(target).Sum(file => new FileInfo(file).Length) / 1e6:N1} MB");
            return Outcome.Done;
        }));
        return command;
    }

    private static (LabelTask Task, IReadOnlyList<string> Labels)? Head(string? head, string? labels)
    {
        if (head is null)
            return labels is null ? null : throw new InputException("--labels needs --head: classify, multilabel, regress, tag or reward.");
        var task = head switch
        {
            "classify" => LabelTask.Classify,
            "multilabel" => LabelTask.MultiLabel,
            "regress" or "reward" => LabelTask.Regress,
            "tag" => LabelTask.Tag,
            _ => throw new InputException($"--head is '{head}'; known are classify, multilabel, regress, tag and reward."),
        };
        if (head == "reward" && labels is not null) throw new InputException("--head reward has one score and takes no --labels.");
        // transformers' names of labels without names.
        if (labels is null or "1" && task == LabelTask.Regress) return (task, ["LABEL_0"]);
        if (labels is null)
            throw new InputException($"--head {head} needs --labels: their names, such as --labels ham,spam, or their number.");
        return (task, int.TryParse(labels, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count is > 0 and <= 100_000
            ? [.. Enumerable.Range(0, count).Select(i => $"LABEL_{i}")]
            : labels.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
    }

    // Sizes as in transformers: decimal units, and binary ones with an i.
    private static long Bytes(string text)
    {
        (string Unit, double Factor)[] units =
            [("KIB", 1 << 10), ("MIB", 1 << 20), ("GIB", 1 << 30), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("B", 1)];
        var unit = Array.Find(units, unit => text.ToUpperInvariant().EndsWith(unit.Unit, StringComparison.Ordinal));
        return unit.Unit is not null
            && double.TryParse(text[..^unit.Unit.Length], NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            && number * unit.Factor is >= 1 and < 1e18
            ? (long)(number * unit.Factor)
            : throw new InputException($"--shard-size is '{text}'; write a number and a unit, such as 500MB or 5GB.");
    }
}
