using System.CommandLine;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tuning;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter import</c>: makes an adapter's folder from a file of its weights.</summary>
internal static class AdapterImportVerb
{
    internal static Command Make()
    {
        var file =
            new Argument<string>("file") { Description = "A file with only low-rank weights, as torch.save or safetensors write it." };
        var model =
            new Option<string>("--model") { Description = "The folder of the model that the adapter is for" + HubUse.Or, Required = true };
        var alpha =
            new Option<double>("--lora-alpha") { Description = "The adapter's alpha, which the file does not have.", Required = true };
        var output = new Option<string>("--output") { Description = "The folder to write, in PEFT's format.", Required = true };
        var command = new Command("import", "Makes an adapter's folder from a file of its weights.") { file, model, alpha, output };
        var allowed = new AllowedWeights();
        allowed.AddTo(command);
        var overwriting = new Overwriting();
        overwriting.AddTo(command);
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var (place, scale) = (parsed.GetRequiredValue(model), parsed.GetValue(alpha));
            if (!(scale > 0 && double.IsFinite(scale))) throw new InputException($"--lora-alpha is {scale}; it must be more than 0.");
            var target = overwriting.Folder(parsed, parsed.GetRequiredValue(output), "adapter_config.json");
            TorchRuntime.Load();
            using var opened = Noted.Open(TextModel.Locate(hubs.Model(parsed, place)), allowed.Read(parsed));
            using var deltas = DeltaSet.Import(
                opened,
                parsed.GetRequiredValue(file),
                scale,
                HubAddress.IsAddress(place) ? HubAddress.ParseModel(place).Repository : place);
            Stopping.Write(target, stop => AtomicFile.WriteFolder(target, inside =>
            {
                deltas.Save(inside);
                stop.ThrowIfCancellationRequested();
            }));
            Console.WriteLine($"{target}: r = {deltas.Configuration.Whole("r", 8)}, alpha = "
                + $"{deltas.Configuration.Number("lora_alpha", 8)}, on {string.Join(", ", deltas.Configuration.TargetModules)}. Talk: "
                + $"polymath chat {place} --adapter {target}");
            return Outcome.Done;
        }));
        return command;
    }
}
