using System.CommandLine;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tuning;

namespace Polymath.Cli.Verbs;

/// <summary>
/// <c>polymath adapter convert</c>: writes any linear adapter, or the difference between a tuned model and its base, as a plain low-rank
/// adapter.
/// </summary>
internal static class AdapterConvertVerb
{
    internal static Command Make()
    {
        var work = new AdapterWork();
        var adapter = new Option<string?>("--adapter") { Description = "The adapter's folder, or its address on a hub." };
        var tuned = new Option<string?>("--tuned") { Description =
            "Instead of an adapter, a model that was trained from the base: its changes of the linear maps become the adapter." };
        var rank = new Option<int>("--r") { Description = "The rank of the result.", Required = true };
        var command = work.To(
            new Command("convert", "Writes any linear adapter, or the change between two models, as a plain low-rank adapter.")
            {
                work.Model, adapter, tuned, rank,
            });
        command.SetAction(parsed => Outcome.Of(() =>
        {
            if (parsed.GetValue(rank) < 1) throw new InputException($"--r is {parsed.GetValue(rank)}; it must be 1 or more.");
            if (parsed.GetValue(adapter) is null == parsed.GetValue(tuned) is null)
                throw new InputException("Name what to convert: --adapter FOLDER, or --tuned FOLDER for a model that was trained "
                    + "from the base; one of the two.");
            var place = work.Place(parsed);
            work.Target(parsed, place, "adapter_config.json");
            TorchRuntime.Load();
            using var model = Noted.Open(place);
            if (parsed.GetValue(tuned) is { } other)
                Extract(
                    work,
                    parsed,
                    model,
                    place,
                    TextModel.Locate(work.Hubs.Model(parsed, other)),
                    parsed.GetValue(rank));
            else
                Convert(
                    work,
                    parsed,
                    model,
                    place,
                    work.Hubs.Adapter(parsed, parsed.GetValue(adapter))!,
                    parsed.GetValue(rank));
            return Outcome.Done;
        }));
        return command;
    }

    private static void Convert(
        AdapterWork work,
        ParseResult parsed,
        LanguageModel model,
        string place,
        string source,
        int rank)
    {
        using var deltas = DeltaSet.Load(model, source, work.AnyBase.Read(parsed));
        var gate = work.Open(parsed, model, place);
        using var result = LowRank.Convert(deltas, rank, out var errors);
        var configuration = deltas.Configuration;
        deltas.Dispose();
        work.Write(
            parsed,
            model,
            result,
            (configuration, source),
            gate,
            errors,
            "of each change is lost");
    }

    private static void Extract(
        AdapterWork work,
        ParseResult parsed,
        LanguageModel model,
        string place,
        string tuned,
        int rank)
    {
        using var other = Noted.Open(tuned);
        var gate = work.Open(parsed, other, place);
        using var result = LowRank.Extract(
            model,
            other,
            rank,
            out var errors,
            out var left);
        if (left.Count > 0)
            Console.WriteLine($"{left.Count} weights that are not linear maps differ, too, and are left out: "
                + $"{string.Join(", ", left.Take(4))}{(left.Count > 4 ? ", ..." : "")}.");
        var configuration = AdapterConfiguration.Of(
            new System.Text.Json.Nodes.JsonObject
            {
                ["base_model_name_or_path"] = parsed.GetRequiredValue(work.Model), ["task_type"] = DeltaPlan.Task(model),
            },
            tuned);
        work.Write(
            parsed,
            model,
            result,
            (configuration, tuned),
            gate,
            errors,
            "of each change is lost");
    }
}
