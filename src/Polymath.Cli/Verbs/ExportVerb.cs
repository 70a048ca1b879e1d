using System.CommandLine;
using Polymath.Models;
using Polymath.Models.Export;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Files;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath model export FOLDER --gguf FILE</c>: writes the model for llama.cpp.</summary>
internal static class ExportVerb
{
    internal static Command Make()
    {
        var folder = new Argument<string>("folder") { Description = "The model's folder or a run's" + HubUse.Or };
        var file = new Option<string>("--gguf") { Description = "The GGUF file to write.", Required = true };
        var type = new Option<string>("--type")
        {
            Description = $"The type of matrices: {string.Join(", ", BlockType.All.Select(type => type.Name))}.",
            DefaultValueFactory = _ => "f16",
        };
        var allowed = new AllowedWeights();
        var command = new Command("export", "Writes a model and its tokenizer as one GGUF file, for llama.cpp.") { folder, file, type };
        allowed.AddTo(command);
        var overwriting = new Overwriting();
        overwriting.AddTo(command);
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var name = parsed.GetRequiredValue(type).ToLowerInvariant();
            var blocks = BlockType.All.FirstOrDefault(known => known.Name == name)
                ?? throw new InputException($"--type is '{name}'; known are "
                    + $"{string.Join(", ", BlockType.All.Select(known => known.Name))}.");
            string place = TextModel.Locate(hubs.Model(parsed, parsed.GetRequiredValue(folder))),
                target = overwriting.OneFile(parsed, "--gguf", parsed.GetRequiredValue(file));
            TorchRuntime.Load();
            using var model = Noted.Open(place, allowed.Read(parsed));
            var writer = new GgufWriter();
            var tokenizer = new GgufTokenizer(place);
            var content = new GgufModel(model);
            foreach (var note in content.Notes) Noted.Tell(note);
            content.AddTo(writer, blocks, tokenizer.NameFor(Path.GetFileName(Path.GetFullPath(place))));
            tokenizer.AddTo(writer, model.Sizes.VocabularySize, model.Configuration);
            Stopping.Write(target, stop => writer.Write(target, stop.ThrowIfCancellationRequested));
            Console.WriteLine($"{target}: {blocks.Name}, {new FileInfo(target).Length / 1e6:N1} MB");
            return Outcome.Done;
        }));
        return command;
    }
}
