using System.CommandLine;
using Polymath.Tensors.Files;
using Polymath.Tuning;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter info</c>: what an adapter is.</summary>
static class AdapterInfoVerb
{
    internal static Command Make()
    {
        var folder = new Argument<string>("folder") { Description = "The adapter's folder." };
        var command = new Command("info", "Prints an adapter's kind, settings and weights.") { folder };
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var place = parsed.GetRequiredValue(folder);
            var configuration = AdapterConfiguration.Read(Path.Combine(place, "adapter_config.json"));
            var file = Path.Combine(place, "adapter_model.safetensors");
            using var weights = WeightFile.OpenAny(File.Exists(file) ? file : Path.Combine(place, "adapter_model.bin"));
            var table = new Table().AddColumn("weight").AddColumn("shape").AddColumn("type");
            foreach (var (name, entry) in weights.Entries.OrderBy(pair => pair.Key, StringComparer.Ordinal)) table.AddRow(Markup.Escape(name), Markup.Escape($"[{string.Join(", ", entry.Shape)}]"), Markup.Escape($"{entry.Type}"));
            AnsiConsole.Write(table);
            Console.WriteLine($"{configuration.Type} for {configuration.Text("base_model_name_or_path") ?? "a model that is not named"}: {weights.Entries.Values.Sum(entry => entry.Shape.Aggregate(1L, (a, b) => a * b)):N0} numbers. {(DeltaMethods.Names.Contains(configuration.Type) ? "" : "This kind is not known here.")}");
            Console.WriteLine(configuration.ToJson().TrimEnd());
            return Outcome.Done;
        }));
        return command;
    }
}
