using System.CommandLine;
using System.Globalization;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tuning;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter combine</c>: combines several low-rank adapters into one.</summary>
internal static class AdapterCombineVerb
{
    internal static Command Make()
    {
        var work = new AdapterWork();
        var adapters = new Option<string[]>("--adapter") { Description = "The adapters' folders, one option each.", Required = true };
        var weights = new Option<string?>("--weights") { Description = "The adapters' weights, such as 0.7,0.3; 1 each when left out." };
        var kind = new Option<string>("--kind")
        {
            Description = $"The rule: {string.Join(", ", Enum.GetValues<CombineKind>().Select(Word))}. cat is exact.",
            DefaultValueFactory = _ => "cat",
        };
        var density =
            new Option<double>("--density") { Description = "The share of elements that pruning keeps.", DefaultValueFactory = _ => 0.5 };
        var rank =
            new Option<int?>("--r") { Description = "The rank that the svd kinds cut to; the largest rank of the adapters when left out." };
        var seed = new Option<long>("--seed") { Description = "The seed of dare's random dropping." };
        var command = work.To(new Command(
            "combine",
            "Joins low-rank adapters of one model into one.") { work.Model, adapters, weights, kind, density, rank, seed });
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var folders = parsed.GetRequiredValue(adapters);
            var shares = parsed.GetValue(weights)?.Split(',') ?? [.. folders.Select(_ => "1")];
            if (shares.Length != folders.Length)
                throw new InputException($"--weights has {shares.Length} numbers for {folders.Length} adapters; give one each, such as "
                    + "0.7,0.3.");
            var how = Kind(parsed.GetValue(kind)!);
            var place = work.Place(parsed);
            work.Target(parsed, place, "adapter_config.json");
            TorchRuntime.Load();
            using var model = Noted.Open(place);
            var sources = folders.Select(folder => work.Hubs.Adapter(parsed, folder)!).ToList();
            var sets = sources
                .Select((folder, i) => (Set: DeltaSet.Load(model, folder, work.AnyBase.Read(parsed)), Weight: Number(shares[i])))
                .ToList();
            // Only the exact sum can be compared with a model: the model with all adapters together.
            var gate = how == CombineKind.Cat && sets.TrueForAll(pair => pair.Weight == 1) ? work.Open(parsed, model, place) : null;
            using var result = Combination.Of(
                sets,
                how,
                parsed.GetValue(density),
                parsed.GetValue(rank),
                parsed.GetValue(seed),
                out var errors);
            var configuration = sets[0].Set.Configuration;
            sets.ForEach(pair => pair.Set.Dispose());
            work.Write(
                parsed,
                model,
                result,
                (configuration, sources[0]),
                gate,
                errors,
                how == CombineKind.Cat
                    ? "of each module's sum is lost: cat is exact"
                    : "is each module's difference from the same rule on the full changes");
            return Outcome.Done;
        }));
        return command;
    }

    private static double Number(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number)
            ? number
            : throw new InputException($"--weights has '{text}', which is not a number.");

    // The spelling of recipes is accepted, too: tiesSvd.
    private static CombineKind Kind(string text) =>
        Enum.TryParse<CombineKind>(text.Replace("_", "", StringComparison.Ordinal), ignoreCase: true, out var kind)
            && Enum.IsDefined(kind) && !char.IsDigit(text[0])
            ? kind
            : throw new InputException($"--kind is '{text}'; known are {string.Join(", ", Enum.GetValues<CombineKind>().Select(Word))}.");

    // PEFT's spelling: ties_svd.
    private static string Word(CombineKind kind) => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(kind.ToString());
}
