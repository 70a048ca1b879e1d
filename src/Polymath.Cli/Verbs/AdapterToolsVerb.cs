using System.CommandLine;
using System.Globalization;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Text;
using Polymath.Training.Evaluation;
using Polymath.Tuning;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter</c>: info, merge, convert, combine.</summary>
static class AdapterToolsVerb
{
    // What every one of them asks for.
    sealed class Given
    {
        internal Argument<string> Model { get; } = new("model") { Description = "The folder of the base model" + HubUse.Or };
        internal Option<string> Output { get; } = new("--output") { Description = "The folder to write.", Required = true };
        internal Option<double> Gate { get; } = new("--gate") { Description = "The largest divergence of a next token, in nats, between before and after; more is refused.", DefaultValueFactory = _ => MergeGate.DefaultLimit };
        internal Option<string[]> Prompts { get; } = new("--prompt") { Description = "A prompt that before and after are compared on; random tokens when left out.", DefaultValueFactory = _ => [] };
        internal HubUse Hubs { get; } = new();
        internal Overwriting Overwriting { get; } = new();

        internal Command To(Command command)
        {
            foreach (var option in new Option[] { Output, Gate, Prompts }) command.Options.Add(option);
            Overwriting.AddTo(command);
            Hubs.AddTo(command);
            return command;
        }

        internal string Place(ParseResult parsed) => TextModel.Locate(Hubs.Model(parsed, parsed.GetRequiredValue(Model)));

        internal string Target(ParseResult parsed, string place, string mark)
        {
            var target = parsed.GetRequiredValue(Output);
            if (Path.GetFullPath(target) == Path.GetFullPath(place)) throw new InputException($"--output is {target}, the model's own folder. Name another one.");
            return Overwriting.Folder(parsed, target, mark);
        }

        internal MergeGate Open(ParseResult parsed, LanguageModel model, string place)
        {
            var texts = parsed.GetValue(Prompts)!;
            if (texts.Length == 0) return MergeGate.Open(model, []);
            var tokenizer = Tokenizer.Load(place);
            return MergeGate.Open(model, [.. texts.Select(text => tokenizer.Encode(text).ToArray())]);
        }

        internal static void Tell(string target, GateReport report) =>
            Console.WriteLine($"{target}: over {report.Prompts} prompts logits differ by at most {report.Logit:G3}, a next token by {report.Divergence:G3} nats.");
    }

    internal static IEnumerable<Command> Make() => [Info(), Merge(), Convert(), Combine()];

    static Command Info()
    {
        var folder = new Argument<string>("folder") { Description = "The adapter's folder." };
        var command = new Command("info", "Prints an adapter's kind, settings and weights.") { folder };
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var place = parsed.GetRequiredValue(folder);
            var configuration = AdapterConfiguration.Read(Path.Combine(place, "adapter_config.json"));
            var file = Path.Combine(place, "adapter_model.safetensors");
            using var weights = Tensors.Files.WeightFile.OpenAny(File.Exists(file) ? file : Path.Combine(place, "adapter_model.bin"));
            var table = new Table().AddColumn("weight").AddColumn("shape").AddColumn("type");
            foreach (var (name, entry) in weights.Entries.OrderBy(pair => pair.Key, StringComparer.Ordinal)) table.AddRow(Markup.Escape(name), Markup.Escape($"[{string.Join(", ", entry.Shape)}]"), Markup.Escape($"{entry.Type}"));
            AnsiConsole.Write(table);
            Console.WriteLine($"{configuration.Type} for {configuration.Text("base_model_name_or_path") ?? "a model that is not named"}: {weights.Entries.Values.Sum(entry => entry.Shape.Aggregate(1L, (a, b) => a * b)):N0} numbers. {(DeltaMethods.Names.Contains(configuration.Type) ? "" : "This kind is not known here.")}");
            Console.WriteLine(configuration.ToJson().TrimEnd());
            return Outcome.Done;
        }));
        return command;
    }

    static Command Merge()
    {
        var given = new Given();
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
            Given.Tell(target, report!);
            return Outcome.Done;
        }));
        return command;
    }

    static Command Convert()
    {
        var given = new Given();
        var adapter = new Option<string>("--adapter") { Description = "The adapter's folder, or its address on a hub.", Required = true };
        var rank = new Option<int>("--r") { Description = "The rank of the result.", Required = true };
        var command = given.To(new Command("convert", "Writes any linear adapter as a plain low-rank one.") { given.Model, adapter, rank });
        command.SetAction(parsed => Outcome.Of(() =>
        {
            if (parsed.GetValue(rank) < 1) throw new InputException($"--r is {parsed.GetValue(rank)}; it must be 1 or more.");
            var place = given.Place(parsed);
            given.Target(parsed, place, "adapter_config.json");
            TorchRuntime.Load();
            using var model = ModelFolder.Open(place);
            var source = given.Hubs.Adapter(parsed, parsed.GetRequiredValue(adapter))!;
            using var deltas = DeltaSet.Load(model, source);
            var gate = given.Open(parsed, model, place);
            var result = LowRank.Convert(deltas, parsed.GetValue(rank), out var errors);
            var configuration = deltas.Configuration;
            deltas.Dispose();
            Write(given, parsed, model, result, (configuration, source), gate, errors, "of each change is lost");
            return Outcome.Done;
        }));
        return command;
    }

    static Command Combine()
    {
        var given = new Given();
        var adapters = new Option<string[]>("--adapter") { Description = "The adapters' folders, one option each.", Required = true };
        var weights = new Option<string?>("--weights") { Description = "The adapters' weights, such as 0.7,0.3; 1 each when left out." };
        var kind = new Option<string>("--kind") { Description = $"How: {string.Join(", ", Enum.GetValues<CombineKind>().Select(Word))}. cat is exact.", DefaultValueFactory = _ => "cat" };
        var density = new Option<double>("--density") { Description = "The share of elements that pruning keeps.", DefaultValueFactory = _ => 0.5 };
        var rank = new Option<int?>("--r") { Description = "The rank that the svd kinds cut to; the largest of the adapters' when left out." };
        var seed = new Option<long>("--seed") { Description = "The seed of what dare drops." };
        var command = given.To(new Command("combine", "Joins low-rank adapters of one model into one.") { given.Model, adapters, weights, kind, density, rank, seed });
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var folders = parsed.GetRequiredValue(adapters);
            var shares = parsed.GetValue(weights)?.Split(',') ?? [.. folders.Select(_ => "1")];
            if (shares.Length != folders.Length) throw new InputException($"--weights has {shares.Length} numbers for {folders.Length} adapters; give one each, such as 0.7,0.3.");
            double Number(string text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : throw new InputException($"--weights has '{text}', which is no number.");
            var how = Array.Find(Enum.GetValues<CombineKind>(), value => Word(value) == parsed.GetValue(kind));
            if (Word(how) != parsed.GetValue(kind)) throw new InputException($"--kind is '{parsed.GetValue(kind)}'; known are {string.Join(", ", Enum.GetValues<CombineKind>().Select(Word))}.");
            var place = given.Place(parsed);
            given.Target(parsed, place, "adapter_config.json");
            TorchRuntime.Load();
            using var model = ModelFolder.Open(place);
            var sources = folders.Select(folder => given.Hubs.Adapter(parsed, folder)!).ToList();
            var sets = sources.Select((folder, i) => (Set: DeltaSet.Load(model, folder), Weight: Number(shares[i]))).ToList();
            // Only the plain sum has a model to be held against: the adapters together, each as it is.
            var gate = how == CombineKind.Cat && sets.TrueForAll(pair => pair.Weight == 1) ? given.Open(parsed, model, place) : null;
            var result = Combination.Of(sets, how, parsed.GetValue(density), parsed.GetValue(rank), parsed.GetValue(seed), out var errors);
            var configuration = sets[0].Set.Configuration;
            sets.ForEach(pair => pair.Set.Dispose());
            Write(given, parsed, model, result, (configuration, sources[0]), gate, errors, how == CombineKind.Cat ? "of each module's sum is lost: cat is exact" : "is how far each module is from the same rule on the whole changes");
            return Outcome.Done;
        }));
        return command;
    }

    static void Write(Given given, ParseResult parsed, LanguageModel model, LowRank result, (AdapterConfiguration Configuration, string Folder) origin, MergeGate? gate, IReadOnlyDictionary<string, double> errors, string meaning)
    {
        GateReport? report = null;
        var target = parsed.GetRequiredValue(given.Output);
        AtomicFile.WriteFolder(target, inside =>
        {
            // The layout the adapter was taught goes on with it.
            CompanionFiles.Copy(origin.Folder, inside);
            result.Save(inside, origin.Configuration);
            if (gate is null) return;
            using var written = DeltaSet.Load(model, inside);
            report = gate.Pass(model, inside, parsed.GetValue(given.Gate));
        });
        var worst = errors.MaxBy(pair => pair.Value);
        Console.WriteLine($"{target}: {errors.Count} modules; {errors.Values.Average():P2} on average and {worst.Value:P2} at most ({worst.Key}) {meaning}.");
        if (report is not null) Given.Tell(target, report);
    }

    // ties_svd, as PEFT writes it.
    static string Word(CombineKind kind) => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(kind.ToString());
}
