using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>An adapter's folder where a model is asked for: every verb names the adapter's base and says how to give both.</summary>
[Trait("kind", "unit")]
public sealed class AdapterAsModelTests
{
    [Theory]
    [InlineData("chat", "ADAPTER")]
    [InlineData("generate", "ADAPTER", "--prompt", "x")]
    [InlineData("classify", "ADAPTER", "--text", "x")]
    [InlineData("eval", "ADAPTER")]
    [InlineData("model", "info", "ADAPTER")]
    [InlineData("model", "hash", "ADAPTER")]
    [InlineData("model", "verify", "ADAPTER")]
    [InlineData("model", "convert", "ADAPTER", "--output", "out")]
    [InlineData("model", "export", "ADAPTER", "--gguf", "out.gguf")]
    [InlineData("adapter", "merge", "ADAPTER", "--adapter", "ADAPTER", "--output", "out")]
    [InlineData("delta", "show", "ADAPTER", "lora")]
    public void Every_verb_asks_for_the_base(params string[] words)
    {
        using var folder = new ScratchFolder();
        folder.Write("tuned/adapter_config.json", """{"peft_type": "LORA", "base_model_name_or_path": "org/base"}""");
        var result = CliProgram.Run(folder.Path, [.. words.Select(word => word == "ADAPTER" ? "tuned" : word)]);
        Assert.Equal(2, result.Code);
        Assert.Contains("tuned is an adapter (adapter_config.json), not a model. It was trained on hf:org/base", result.Error,
            StringComparison.Ordinal);
        Assert.Contains("hf:org/base --adapter tuned", result.Error, StringComparison.Ordinal);
    }
}
