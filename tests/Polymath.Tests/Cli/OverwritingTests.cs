using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>Existing files at the output of a verb are not lost without a request.</summary>
[Trait("kind", "invariant")]
public sealed class OverwritingTests : IDisposable
{
    private readonly ScratchFolder scratch = new();

    public void Dispose() => scratch.Dispose();

    private void Refused(string what, params string[] arguments)
    {
        var result = CliProgram.Run(scratch.Path, arguments);
        Assert.True(result.Code == 2, result.All);
        Assert.Contains(what, result.Error);
    }

    private void Done(params string[] arguments)
    {
        var result = CliProgram.Run(scratch.Path, arguments);
        Assert.True(result.Code == 0, result.All);
    }

    [Fact]
    public void A_folder_with_other_things_is_never_replaced()
    {
        scratch.Write("home/diary.txt", "mine");
        scratch.Write("site/config.json", "{}");
        scratch.Write("site/pages/one.html", "mine");
        scratch.Write("file", "mine");
        string[] convert = ["model", "convert", TextFixtures.At("models", "llama"), "--output"];
        string[] import =
        [
            "adapter", "import", TextFixtures.At("adapters", "lora", "adapter_model.safetensors"), "--model",
            TextFixtures.At("models", "llama"), "--lora-alpha", "16", "--output",
        ];
        foreach (var command in new[] { convert, import })
        {
            Refused("holds other files, such as diary.txt", [.. command, "home"]);
            Refused("holds other files, such as diary.txt", [.. command, "home", "--overwrite"]);
            Refused("holds other files, such as", [.. command, "site", "--overwrite"]);
            Refused("file is a file", [.. command, "file", "--overwrite"]);
        }
        foreach (var file in new[] { "home/diary.txt", "site/pages/one.html", "file" })
            Assert.Equal("mine", File.ReadAllText(scratch.At(file)));
    }

    [Fact]
    public void Whoever_stops_a_writing_loses_nothing_and_leaves_nothing()
    {
        using var stop = new CancellationTokenSource();
        scratch.Write("out/old.txt", "old");
        scratch.Write("file", "old");
        TorchRuntime.Load();
        using var tensor = TorchSharp.torch.zeros(3);
        var weights = new Dictionary<string, TorchSharp.torch.Tensor> { ["one"] = tensor, ["two"] = tensor };
        void Stop(string name) => SafetensorsWriter.Write(scratch.At(name), weights, before: () =>
        {
            stop.Token.ThrowIfCancellationRequested();
            stop.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => Stop("file"));
        Assert.Throws<OperationCanceledException>(
            () => AtomicFile.WriteFolder(scratch.At("out"), inside => Stop(Path.Combine(inside, "new"))));
        Assert.Equal(
            ["file", "out/old.txt"],
            Directory.GetFiles(scratch.Path, "*", SearchOption.AllDirectories)
                .Select(file => Path.GetRelativePath(scratch.Path, file)).Order(StringComparer.Ordinal));
        Assert.Equal("old", File.ReadAllText(scratch.At("file")));
    }

    [Fact]
    public void What_was_written_before_is_replaced_only_when_asked()
    {
        string[] convert = ["model", "convert", TextFixtures.At("models", "llama"), "--output", "out"];
        Done(convert);
        Refused("out holds an earlier output. Name another folder, or add --overwrite", convert);
        Done([.. convert, "--overwrite"]);
        string[] train =
            ["tokenizer", "train", "--size", "300", "--files", TextFixtures.At("tokenizer-training", "corpus.txt"), "--output", "out"];
        Done(train);
        Refused("tokenizer.json exists", train);
        Done([.. train, "--overwrite"]);
        Assert.True(File.Exists(scratch.At("out", "model.safetensors")));
        Refused("tokenizer.json exists", "tokenizer", "convert", TextFixtures.At("tokenizers", "bert"), "--output", "out");
        string[] export = ["model", "export", "out", "--gguf"];
        Refused("out is a folder; name a file, such as", [.. export, "out"]);
        scratch.Write("other.gguf", "mine");
        Refused("other.gguf exists. Name another place with --gguf", [.. export, "other.gguf"]);
        Assert.Equal("mine", File.ReadAllText(scratch.At("other.gguf")));
    }
}
