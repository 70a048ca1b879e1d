using System.Text.RegularExpressions;
using Polymath.Tests.House;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>The commands of the ChatGLM tutorial, taken from its pages and run in an empty folder.</summary>
[Trait("kind", "invariant")]
public sealed partial class TutorialTests : IDisposable
{
    private const string Adapter = "runs/chatglm-small/stages/01-first/adapter/adapter_model.safetensors";
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_commands_of_the_chatglm_tutorial_run_small()
    {
        Directory.CreateDirectory(folder.At("recipes"));
        foreach (var name in new[] { "chatglm.yaml", "chatglm.jsonl" })
            File.Copy(Sources.At("recipes", name), folder.At("recipes", name));
        foreach (var words in Commands("chatglm.md"))
        {
            // What other tools save is a file of the adapter's weights alone.
            if (words.Contains("chatglm-lora.pt")) TorchSave.Write(folder.At(Adapter), folder.At("chatglm-lora.pt"));
            var result = CliProgram.Run(folder.Path, words);
            Assert.True(result.Code == 0, string.Join(' ', words) + "\n" + result.All);
            if (words is ["run", ..])
            {
                Assert.Contains("first: memory from", result.Out, StringComparison.Ordinal);
                Assert.Contains("of checkpoints", result.Out, StringComparison.Ordinal);
            }
            if (words is ["data", ..])
                Assert.Contains("[gMASK]<sop>«", result.Out, StringComparison.Ordinal);
        }
        var merged = CliProgram.Run(folder.Path, "template", "render", "merged", "--messages", "recipes/chatglm.jsonl", "--mask");
        Assert.Contains("[gMASK]<sop>«一加一等于2。<eop>»", merged.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Both_languages_show_the_same_commands() => Assert.Equal(Commands("chatglm.md"), Commands("chatglm.zh-CN.md"));

    // The blocks marked as shell hold what is run here; plain blocks show what needs the real model.
    private static List<string[]> Commands(string page) =>
        [.. Block().Matches(File.ReadAllText(Sources.At("docs", "tutorials", page)))
            .SelectMany(block => block.Groups[1].Value.Replace("\\\n", " ", StringComparison.Ordinal)
                .Split('\n', StringSplitOptions.RemoveEmptyEntries))
            .Select(line => Word().Matches(line).Select(word => word.Value.Trim('"')).Skip(1).ToArray())];

    [GeneratedRegex("""^```sh\n(.*?)^```""", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Block();

    [GeneratedRegex("\"[^\"]*\"|\\S+")]
    private static partial Regex Word();
}
