using System.CommandLine;
using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tuning;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath delta show MODEL FORM</c>: where a delta would go on a model, and how big it would be, before anything is trained.</summary>
static class DeltaVerb
{
    internal static Command Make() => new("delta", "Looks at small changes of a model before they are trained.") { Show() };

    static Command Show()
    {
        var folder = new Argument<string>("model") { Description = "The model's folder" + HubUse.Or };
        var form = new Argument<string>("form") { Description = $"The form: {string.Join(", ", Enum.GetValues<DeltaForm>().Select(Word))}." };
        var roles = new Option<string?>("--roles") { Description = "The sockets, such as query,value; the form's own choice when left out." };
        var modules = new Option<string?>("--target-modules") { Description = "The sockets by the end of their names, or all-linear." };
        var layers = new Option<string?>("--layers") { Description = "The blocks, such as 0,1,2; all when left out." };
        var budget = new Option<string?>("--budget") { Description = "How many parameters it may have: 0.5%, 8k or a number." };
        var set = new Option<string[]>("--set") { Description = "A setting of the form by PEFT's name, such as r=8.", DefaultValueFactory = _ => [] };
        var json = new Option<bool>("--json") { Description = "Prints JSON." };
        var command = new Command("show", "Prints a delta's sockets and parameters.") { folder, form, roles, modules, layers, budget, set, json };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var spec = new DeltaSpec(
                Read<DeltaForm>("form", parsed.GetRequiredValue(form)), parsed.GetValue(roles) is { } words ? [.. List(words).Select(word => Read<Socket>("--roles", word))] : null,
                parsed.GetValue(modules) is { } names ? List(names) : null,
                parsed.GetValue(layers) is { } numbers ? [.. List(numbers).Select(number => int.TryParse(number, out var layer) && layer >= 0 ? layer : throw new InputException($"--layers is '{numbers}'; write block numbers from 0, such as 0,1,2."))] : null,
                parsed.GetValue(budget), parsed.GetValue(set)!.ToDictionary(pair => Split(pair)[0], pair => Split(pair)[1]));
            TorchRuntime.Load();
            using var model = ModelFolder.Open(TextModel.Locate(hubs.Model(parsed, parsed.GetRequiredValue(folder))));
            var configuration = DeltaPlan.Configure(model, spec);
            using var deltas = DeltaSet.Fresh(model, configuration, 0);
            Print(model, deltas, parsed.GetValue(json));
            return Outcome.Done;
        }));
        return command;
    }

    static void Print(LanguageModel model, DeltaSet deltas, bool json)
    {
        var whole = model.Weights.Sum(weight => weight.Count);
        var total = deltas.Trained.Sum(item => item.Weight.Count);
        var sockets = deltas.Trained.GroupBy(item => RoleOf(model, item.Name)).Select(group => (Role: group.Key, Weights: group.Count(), Parameters: group.Sum(item => item.Weight.Count))).ToList();
        if (json)
        {
            var content = new { sockets = sockets.Select(socket => new { role = socket.Role, weights = socket.Weights, parameters = socket.Parameters }), parameters = total, model = whole, configuration = JsonDocument.Parse(deltas.Configuration.ToJson()).RootElement };
            Console.WriteLine(JsonSerializer.Serialize(content));
            return;
        }
        var table = new Table().AddColumn("socket").AddColumn(new TableColumn("weights").RightAligned()).AddColumn(new TableColumn("parameters").RightAligned());
        foreach (var (role, weights, parameters) in sockets) table.AddRow(Markup.Escape(role), $"{weights:N0}", $"{parameters:N0}");
        AnsiConsole.Write(table);
        Console.WriteLine($"{total:N0} parameters, {100.0 * total / whole:F3} % of the model's {whole:N0}. {(deltas.Merges ? "It can be merged." : "It stays apart from the model.")}");
        Console.WriteLine(deltas.Configuration.ToJson().TrimEnd());
    }

    // Whose weight it is: the role of the projection that it is named after, or what it stands in place of.
    static string RoleOf(LanguageModel model, string name)
    {
        var bare = name.StartsWith(AdapterConfiguration.Prefix, StringComparison.Ordinal) ? name[AdapterConfiguration.Prefix.Length..] : "";
        if (model.Projections.Append(model.Tokens.HeadMap).FirstOrDefault(map => bare.StartsWith(map.Name + ".", StringComparison.Ordinal)) is { } found) return Word(found.Role);
        if (bare.StartsWith(model.Tokens.Name + ".", StringComparison.Ordinal)) return Word(Socket.Embedding);
        return bare.Length == 0 ? "shared" : bare.EndsWith(".bias", StringComparison.Ordinal) ? "bias" : Word(Socket.Norm);
    }

    static string[] List(string text) => text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    static string[] Split(string pair) => pair.Split('=', 2) is { Length: 2 } parts ? parts : throw new InputException($"--set is '{pair}'; write NAME=VALUE, such as r=8.");

    static string Word<T>(T value) where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    static T Read<T>(string what, string word) where T : struct, Enum =>
        Enum.TryParse<T>(word, ignoreCase: true, out var value) && Enum.IsDefined(value) ? value : throw new InputException($"{what} is '{word}'; known are {string.Join(", ", Enum.GetValues<T>().Select(Word))}.");
}
