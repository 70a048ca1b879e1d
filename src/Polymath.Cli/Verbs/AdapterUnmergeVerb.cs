using System.CommandLine;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Tensors;
using Polymath.Tuning;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter unmerge</c>: takes a merged adapter out of a model.</summary>
internal static class AdapterUnmergeVerb
{
    internal static Command Make()
    {
        var work = new AdapterWork("The folder of the merged model");
        var adapter = new Option<string>("--adapter") { Description = "The adapter's folder, or its address on a hub.", Required = true };
        var basis = new Option<string?>("--base") { Description = "The folder of the model that it was merged into, or its address on a "
            + "hub: the result is compared with it, and weights whose change cannot be undone are copied from it." };
        var command = work.To(
            new Command("unmerge", "Takes an adapter out of the model that it was merged into and writes the original model.")
            {
                work.Model, adapter, basis,
            },
            takesAnyBase: false);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var place = work.Place(parsed);
            var target = work.Target(parsed, place, "config.json");
            TorchRuntime.Load();
            var source = work.Hubs.Adapter(parsed, parsed.GetRequiredValue(adapter))!;
            var given = parsed.GetValue(basis);
            using var before = given is null ? null : Noted.Open(TextModel.Locate(work.Hubs.Model(parsed, given)));
            using var merged = Noted.Open(place);
            if (before is not null) Same(before, merged, given!, place);
            if (AdapterBase.Read(source) is { } made && AdapterBase.Of(merged).Models.Any(one => made.Models.Any(one.Fits)))
                throw new InputException($"{place} is the model that {source} was trained on: the adapter is not in it, and taking it out "
                    + "would give wrong weights. Name the model that it was merged into.");
            var width = ModelWriter.TypeOf(merged);
            // The result is compared with the base if it is given; otherwise the result with the adapter attached must answer like the
            // merged model.
            var gate = work.Open(parsed, before ?? merged, place);
            // The adapter was trained on the model without it, and this is the merged model.
            using var deltas = DeltaSet.Load(merged, source, anyBase: true);
            var own = before?.Weights.ToDictionary(weight => weight.Name);
            var weights = deltas.Unmerged(own is null ? null : weight => own[weight.Name].Wide());
            GateReport? report = null;
            Stopping.Write(target, stop => AtomicFile.WriteFolder(target, inside =>
            {
                CompanionFiles.Copy(place, inside);
                ModelWriter.Write(
                    merged,
                    inside,
                    width,
                    long.MaxValue,
                    stop.ThrowIfCancellationRequested,
                    weights.Of);
                deltas.Dispose();
                merged.Dispose();
                using var written = ModelFolder.Open(inside);
                using var again = before is null ? DeltaSet.Load(written, source, anyBase: true) : null;
                report = gate.Pass(written, inside, parsed.GetValue(work.Gate));
            }));
            AdapterWork.Tell(target, report!);
            if (given is null)
                Console.WriteLine("There is no proof that this adapter was in it. To compare the result with the model that it was merged "
                    + "into, name that: --base FOLDER.");
            return Outcome.Done;
        }));
        return command;
    }

    private static void Same(LanguageModel before, LanguageModel merged, string basis, string place)
    {
        var own = before.Weights.ToDictionary(weight => weight.Name);
        var odd = merged.Weights.FirstOrDefault(
            weight => !own.TryGetValue(weight.Name, out var other) || !other.Shape.SequenceEqual(weight.Shape));
        if (odd is not null || own.Count != merged.Weights.Count)
            throw new InputException($"{basis} is not the model that {place} was made from: "
                + $"{(odd is null ? "it has other weights" : $"{odd.Name} is missing there or has another shape")}. Name the one that the "
                + "adapter was merged into.");
    }
}
