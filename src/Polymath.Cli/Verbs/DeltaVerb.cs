using System.CommandLine;
using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tuning;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary>
/// <c>polymath delta show MODEL FORM</c>, or <c>--recipe FILE --stage NAME</c>: shows the sockets and the size of a delta on a model,
/// before anything is trained.
/// </summary>
internal static class DeltaVerb
{
    internal static Command Make() => new("delta", "Looks at small changes of a model before they are trained.") { Show() };

    private static Command Show()
    {
        var folder = new Argument<string>("model") { Description = "The model's folder" + HubUse.Or };
        var form = new Argument<string?>("form")
        {
            Description =
                $"The form or preset: {string.Join(", ", Enum.GetValues<DeltaForm>().Select(Words.Of).Concat(DeltaPresets.Names))}.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var recipe = new Option<string?>("--recipe") { Description = "Instead of a form: a recipe, one of whose stages is shown." };
        var stage = new Option<string?>("--stage") { Description = "The stage of the recipe." };
        var roles =
            new Option<string?>("--roles") { Description = "The sockets, such as query,value; the form's own choice when left out." };
        var modules = new Option<string?>("--target-modules") { Description = "The sockets by the end of their names, or all-linear." };
        var layers = new Option<string?>("--layers") { Description = "The blocks, such as 0,1,2; all when left out." };
        var budget = new Option<string?>("--budget") { Description = "How many parameters it may have: 0.5%, 8k or a number." };
        var set = new Option<string[]>("--set")
        {
            Description = "A setting of the form by PEFT's name, such as r=8.", DefaultValueFactory = _ => [],
        };
        var json = new Option<bool>("--json") { Description = "Prints JSON." };
        var command = new Command(
            "show",
            "Prints a delta's sockets and parameters.") { folder, form, recipe, stage, roles, modules, layers, budget, set, json };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var file = parsed.GetValue(recipe);
            Symbol[] described = [form, roles, modules, layers, budget, set];
            if (file is not null
                && described.FirstOrDefault(symbol => parsed.GetResult(symbol.Name) is { } given && given.Tokens.Count > 0) is { } extra)
                throw new InputException($"--recipe already describes the delta, and so does {extra.Name}; give one of them.");
            if ((file is null) != (parsed.GetValue(stage) is null))
                throw new InputException("--recipe and --stage belong together: give the recipe's file and the name of the stage whose "
                    + "deltas are shown.");
            var shown = file is not null ? OfRecipe(file, parsed.GetValue(stage)!)
                : Described(
                    parsed.GetValue(form),
                    parsed.GetValue(roles),
                    parsed.GetValue(modules),
                    parsed.GetValue(layers),
                    parsed.GetValue(budget),
                    parsed.GetValue(set)!);
            TorchRuntime.Load();
            using var model = Noted.Open(TextModel.Locate(hubs.Model(parsed, parsed.GetRequiredValue(folder))));
            Print(model, shown, alone: file is null, parsed.GetValue(json));
            return Outcome.Done;
        }));
        return command;
    }

    private static IReadOnlyList<ShownDelta> OfRecipe(string file, string stage)
    {
        var reading = RecipeReader.Read(file);
        return new StageDeltas(reading.OrThrow(), reading.BaseFolder).Of(stage);
    }

    // A preset's values apply when no other values are given.
    private static IReadOnlyList<ShownDelta> Described(
        string? form,
        string? roles,
        string? modules,
        string? layers,
        string? budget,
        string[] set)
    {
        var preset = DeltaPresets.Find(form
            ?? throw new InputException("Name what to show: a form or a preset (polymath delta show MODEL lora), or a recipe's stage "
                + "(--recipe FILE --stage NAME)."));
        var settings = (preset.Settings ?? new Dictionary<string, string>()).ToDictionary();
        foreach (var pair in set) settings[Split(pair)[0]] = Split(pair)[1];
        var spec = preset with
        {
            Roles = (roles, modules) switch
            {
                (not null, _) => [.. Words.List(roles).Select(word => Words.Read<Socket>("--roles", word))],
                (null, null) => preset.Roles,
                _ => null,
            },
            TargetModules = modules is null ? null : Words.List(modules),
            Layers = layers is null
                ? null
                : [.. Words.List(layers)
                    .Select(number => int.TryParse(number, out var layer) && layer >= 0
                        ? layer
                        : throw new InputException($"--layers is '{layers}'; write block numbers from 0, such as 0,1,2."))],
            Budget = budget,
            Settings = settings,
        };
        return [new ShownDelta(
            Words.Of(spec.Form), "", Trains: true, model => DeltaSet.Fresh(model, spec, 0, _ => [0]))];
    }

    private static void Print(LanguageModel model, IReadOnlyList<ShownDelta> shown, bool alone, bool json)
    {
        var whole = model.Weights.Sum(weight => weight.Count);
        long total = 0;
        List<object> all = [];
        foreach (var delta in shown)
        {
            using var deltas = delta.Attach(model);
            var own = deltas.Trained.Sum(item => item.Weight.Count);
            if (delta.Trains) total += own;
            var sockets = deltas.Trained.GroupBy(item => RoleOf(model, item.Name))
                .Select(group => (Role: group.Key, Weights: group.Count(), Parameters: group.Sum(item => item.Weight.Count))).ToList();
            var rows =
                sockets.Select(socket => new { role = socket.Role, weights = socket.Weights, parameters = socket.Parameters }).ToList();
            var configuration = deltas.Configuration.ToJson();
            if (json)
            {
                var content = JsonDocument.Parse(configuration).RootElement;
                all.Add(alone ? new { sockets = rows, parameters = own, model = whole, configuration = content } : new
                {
                    name = delta.Name, note = delta.Note, trained = delta.Trains, sockets = rows, parameters = own, configuration = content,
                });
                continue;
            }
            if (!alone) Console.WriteLine($"{delta.Name}{(delta.Note.Length == 0 ? "" : $" ({delta.Note})")}");
            var table = new Table().AddColumn("socket").AddColumn(new TableColumn("weights").RightAligned())
                .AddColumn(new TableColumn("parameters").RightAligned());
            foreach (var (role, weights, parameters) in sockets) table.AddRow(Markup.Escape(role), $"{weights:N0}", $"{parameters:N0}");
            AnsiConsole.Write(table);
            Console.WriteLine($"{own:N0} parameters, {100.0 * own / whole:F3} % of the model's {whole:N0}. "
                + $"{(deltas.Merges ? "It can be merged." : "It stays apart from the model.")}");
            if (alone) Console.WriteLine(configuration.TrimEnd());
        }
        if (json) Console.WriteLine(JsonSerializer.Serialize(alone ? all[0] : new { adapters = all, parameters = total, model = whole }));
        else if (!alone) Console.WriteLine($"In all {total:N0} parameters are trained, {100.0 * total / whole:F3} % of the model's.");
    }

    // The owner of a weight: the role of the projection that it is named after, or the module that it replaces.
    private static string RoleOf(LanguageModel model, string name)
    {
        var bare = name.StartsWith(AdapterConfiguration.Prefix, StringComparison.Ordinal) ? name[AdapterConfiguration.Prefix.Length..] : "";
        if (model.Projections.Append(model.Tokens.HeadMap)
            .FirstOrDefault(map => bare.StartsWith(map.Name + ".", StringComparison.Ordinal)) is { } found)
            return Words.Of(found.Role);
        if (model.Projections.Any(map => map.Stack is { } place
            && bare.StartsWith(place.Name[..(place.Name.LastIndexOf('.') + 1)], StringComparison.Ordinal)))
            return "experts";
        if (bare.StartsWith(model.Tokens.Name + ".", StringComparison.Ordinal)) return Words.Of(Socket.Embedding);
        if (bare.Length == 0) return "shared";
        return bare.EndsWith(".bias", StringComparison.Ordinal) ? "bias" : Words.Of(Socket.Norm);
    }

    private static string[] Split(string pair) =>
        pair.Split('=', 2) is { Length: 2 } parts ? parts : throw new InputException($"--set is '{pair}'; write NAME=VALUE, such as r=8.");
}
