using System.CommandLine;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tuning;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter convert</c>: any linear adapter as a plain low-rank one.</summary>
static class AdapterConvertVerb
{
    internal static Command Make()
    {
        var work = new AdapterWork();
        var adapter = new Option<string>("--adapter") { Description = "The adapter's folder, or its address on a hub.", Required = true };
        var rank = new Option<int>("--r") { Description = "The rank of the result.", Required = true };
        var command = work.To(new Command("convert", "Writes any linear adapter as a plain low-rank one.") { work.Model, adapter, rank });
        command.SetAction(parsed => Outcome.Of(() =>
        {
            if (parsed.GetValue(rank) < 1) throw new InputException($"--r is {parsed.GetValue(rank)}; it must be 1 or more.");
            var place = work.Place(parsed);
            work.Target(parsed, place, "adapter_config.json");
            TorchRuntime.Load();
            using var model = ModelFolder.Open(place);
            var source = work.Hubs.Adapter(parsed, parsed.GetRequiredValue(adapter))!;
            using var deltas = DeltaSet.Load(model, source, work.AnyBase.Read(parsed));
            var gate = work.Open(parsed, model, place);
            var result = LowRank.Convert(deltas, parsed.GetValue(rank), out var errors);
            var configuration = deltas.Configuration;
            deltas.Dispose();
            work.Write(parsed, model, result, (configuration, source), gate, errors, "of each change is lost");
            return Outcome.Done;
        }));
        return command;
    }
}
