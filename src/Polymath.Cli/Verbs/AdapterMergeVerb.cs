using System.CommandLine;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Tensors;
using Polymath.Text.Templates;
using Polymath.Tuning;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter merge</c>: merges an adapter into its model.</summary>
internal static class AdapterMergeVerb
{
    internal static Command Make()
    {
        var work = new AdapterWork();
        var adapter = new Option<string>("--adapter") { Description = "The adapter's folder, or its address on a hub.", Required = true };
        var type = new Option<string?>("--dtype")
        {
            Description = "The type of the weights: float32, float16 or bfloat16; the base model's when left out.",
        };
        var precision = new Option<BasePrecision?>("--base") { Description = "The precision of the base in training, such as nf4 or int8: "
            + "the base is rounded to it first, and the adapter is merged into the rounded weights." };
        var command = work.To(
            new Command("merge", "Merges an adapter into its model and writes the result.") { work.Model, adapter, type, precision });
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var place = work.Place(parsed);
            var target = work.Target(parsed, place, "config.json");
            var name = parsed.GetValue(type);
            if (name is not null && !ModelWriter.Types.ContainsKey(name))
                throw new InputException($"--dtype is '{name}'; known are {string.Join(", ", ModelWriter.Types.Keys)}.");
            TorchRuntime.Load();
            var source = work.Hubs.Adapter(parsed, parsed.GetRequiredValue(adapter))!;
            using var model = Noted.Open(place);
            model.Quantize(parsed.GetValue(precision));
            var width = name is null ? ModelWriter.TypeOf(model) : ModelWriter.Types[name];
            using var deltas = DeltaSet.Load(model, source, work.AnyBase.Read(parsed));
            var merged = deltas.Merged();
            var gate = work.Open(parsed, model, place);
            GateReport? report = null;
            Stopping.Write(target, stop => AtomicFile.WriteFolder(target, inside =>
            {
                // The layout that the adapter was trained with replaces the base's.
                CompanionFiles.Copy(place, inside);
                CompanionFiles.Copy(source, inside);
                GenerationConfig.End(model, TextContract.RecordedEnds(inside, model.Sizes.VocabularySize));
                ModelWriter.Write(
                    model,
                    inside,
                    width,
                    long.MaxValue,
                    stop.ThrowIfCancellationRequested,
                    merged.Of);
                // The models before and after are never in memory together.
                deltas.Dispose();
                model.Dispose();
                using var written = ModelFolder.Open(inside);
                report = gate.Pass(written, inside, parsed.GetValue(work.Gate));
            }));
            AdapterWork.Tell(target, report!);
            return Outcome.Done;
        }));
        return command;
    }
}
