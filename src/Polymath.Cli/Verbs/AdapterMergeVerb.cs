using System.CommandLine;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Training.Evaluation;
using Polymath.Tuning;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter merge</c>: an adapter as a part of its model.</summary>
static class AdapterMergeVerb
{
    internal static Command Make()
    {
        var given = new AdapterWork();
        var adapter = new Option<string>("--adapter") { Description = "The adapter's folder, or its address on a hub.", Required = true };
        var type = new Option<string?>("--dtype") { Description = "The type of the weights: float32, float16 or bfloat16; the base model's when left out." };
        var command = given.To(new Command("merge", "Makes an adapter part of its model and writes the whole.") { given.Model, adapter, type });
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var place = given.Place(parsed);
            var target = given.Target(parsed, place, "config.json");
            var name = parsed.GetValue(type);
            if (name is not null && !ModelWriter.Types.ContainsKey(name)) throw new InputException($"--dtype is '{name}'; known are {string.Join(", ", ModelWriter.Types.Keys)}.");
            TorchRuntime.Load();
            using var model = ModelFolder.Open(place);
            var width = name is null ? ModelWriter.TypeOf(model) : ModelWriter.Types[name];
            var source = given.Hubs.Adapter(parsed, parsed.GetRequiredValue(adapter))!;
            using var deltas = DeltaSet.Load(model, source);
            var gate = given.Open(parsed, model, place);
            deltas.Merge();
            GateReport? report = null;
            Stopping.Write(target, stop => AtomicFile.WriteFolder(target, inside =>
            {
                // The layout that the adapter was taught stands over the base's.
                CompanionFiles.Copy(place, inside);
                CompanionFiles.Copy(source, inside);
                ModelWriter.Write(model, inside, width, long.MaxValue, stop.ThrowIfCancellationRequested);
                using var written = ModelFolder.Open(inside);
                report = gate.Pass(written, inside, parsed.GetValue(given.Gate));
            }));
            AdapterWork.Tell(target, report!);
            return Outcome.Done;
        }));
        return command;
    }
}
