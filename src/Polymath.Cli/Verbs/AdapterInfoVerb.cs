using System.CommandLine;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Files;
using Polymath.Tuning;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter info</c>: describes an adapter.</summary>
internal static class AdapterInfoVerb
{
    internal static Command Make()
    {
        var folder = new Argument<string>("folder") { Description = "The adapter's folder, or its address on a hub." };
        var model = new Option<string?>("--model") { Description = "The folder of its base model" + HubUse.Or.TrimEnd('.')
            + ": every tensor is then checked against the settings." };
        var all = new Option<bool>("--weights") { Description = "Lists every weight." };
        var command = new Command(
            "info",
            "Prints an adapter's kind, settings, sizes and base, and whether its file is complete.") { folder, model, all };
        AnyBase anyBase = new();
        HubUse hubs = new();
        anyBase.AddTo(command);
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var place = hubs.Adapter(parsed, parsed.GetRequiredValue(folder))!;
            foreach (var one in Adapters(place))
            {
                var configuration = AdapterConfiguration.Read(Path.Combine(one, "adapter_config.json"));
                using var weights = WeightFile.OpenAny(DeltaSet.AdapterFile(one));
                Print(configuration, weights, AdapterBase.Read(one), parsed.GetValue(all));
                if (parsed.GetValue(model) is { } given) Attach(TextModel.Locate(hubs.Model(parsed, given)), one, anyBase.Read(parsed));
                else Complete(weights, configuration);
                Console.WriteLine(configuration.ToJson().TrimEnd());
            }
            return Outcome.Done;
        }));
        return command;
    }

    // A folder may hold several, each in a sub-folder.
    private static IEnumerable<string> Adapters(string place)
    {
        if (!File.Exists(Path.Combine(place, AttachedAdapters.IndexFile)))
        {
            yield return place;
            yield break;
        }
        var (together, names) = AttachedAdapters.ReadIndex(place);
        Console.WriteLine($"{names.Count} adapters, {string.Join(", ", names)}: " + together switch
        {
            Together.Route => "each applies to the rows of its own data.",
            Together.Mix => $"gates ({AdapterMixture.File}) weigh them for each token.",
            _ => "their changes add up.",
        });
        foreach (var name in names)
        {
            Console.WriteLine($"\n{name}");
            yield return Path.Combine(place, name);
        }
    }

    private static void Print(AdapterConfiguration configuration, WeightFile weights, AdapterBase? basis, bool all)
    {
        static long Count(WeightEntry entry) => entry.Shape.Aggregate(1L, (a, b) => a * b);
        if (all)
            foreach (var (name, entry) in weights.Entries.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                Console.WriteLine($"{name} [{string.Join(", ", entry.Shape)}] {entry.Kind}");
        var table = new Table().AddColumn("modules").AddColumn(new TableColumn("weights").RightAligned())
            .AddColumn(new TableColumn("numbers").RightAligned()).AddColumn("type");
        foreach (var group in weights.Entries.GroupBy(pair => Parts(pair.Key).Role).OrderBy(group => group.Key, StringComparer.Ordinal))
            table.AddRow(
                Markup.Escape(group.Key),
                $"{group.Count():N0}",
                $"{group.Sum(pair => Count(pair.Value)):N0}",
                string.Join(", ", group.Select(pair => pair.Value.Kind).Distinct()));
        AnsiConsole.Write(table);
        Console.WriteLine($"{configuration.Type} for "
            + $"{(configuration.Text("base_model_name_or_path") is { Length: > 0 } named ? named : "a model that is not named")}: "
            + $"{weights.Entries.Values.Sum(Count):N0} "
            + $"numbers.{(DeltaMethods.Names.Contains(configuration.Type) ? "" : " This kind is not known here.")}");
        Console.WriteLine(
            basis is null ? "Its file does not say on which model it was trained (PEFT's never do)." : $"Trained on the model {basis}.");
    }

    // model.layers.0.self_attn.q_proj.lora_A.weight: the module comes before the parameter, which begins with the adapter's own names.
    private static (string Module, string Role, string Parameter) Parts(string name)
    {
        var bare = name.StartsWith(AdapterConfiguration.Prefix, StringComparison.Ordinal)
            ? name[AdapterConfiguration.Prefix.Length..]
            : name;
        var words = bare.Split('.');
        var end = words.Length > 2 && words[^1] is "weight" or "bias" && words[^2].StartsWith("lora_", StringComparison.Ordinal) ? 2 : 1;
        return words.Length <= end
            ? ("", "shared", bare)
            : (string.Join('.', words[..^end]), words[^(end + 1)], string.Join('.', words[^end..]));
    }

    // Without the model, the modules are compared with each other: modules with the same end of their names have the same parameters.
    private static void Complete(WeightFile weights, AdapterConfiguration configuration)
    {
        var missing = weights.Entries.Keys.Select(Parts).GroupBy(part => part.Role).SelectMany(role =>
        {
            var wanted = role.Select(part => part.Parameter).Distinct().ToList();
            return role.GroupBy(part => part.Module)
                .SelectMany(
                    module => wanted.Except(module.Select(part => part.Parameter)).Select(parameter => $"{module.Key}.{parameter}"));
        }).ToList();
        if (weights.Entries.Count == 0) throw new InputException($"{weights.Path} holds no tensor. Save or fetch it again.");
        if (missing.Count > 0)
            throw new InputException($"{weights.Path} is not complete: other modules have parameters that these lack: "
                + $"{string.Join(", ", missing.Take(4))}{(missing.Count > 4 ? $" and {missing.Count - 4} more" : "")}. Save or fetch it "
                + "again.");
        Console.WriteLine("The file is complete as far as can be checked without its model; "
            + $"{(configuration.Text("base_model_name_or_path") is { Length: > 0 } name ? $"--model {name}" : "--model FOLDER")} checks "
            + "every tensor against the settings.");
    }

    private static void Attach(string model, string place, bool anyBase)
    {
        TorchRuntime.Load();
        using var opened = Noted.Open(model);
        using var deltas = DeltaSet.Load(opened, place, anyBase);
        Console.WriteLine($"It fits {model}: all tensors exist, with the right shapes and finite values, and none is unused. "
            + $"{(deltas.Merges ? "It can be merged." : "It stays apart from the model.")}");
    }
}
