using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>What becomes of an adapter through the command line.</summary>
[Trait("kind", "invariant")]
public sealed class AdapterToolsTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_layout_an_adapter_was_taught_goes_on_with_what_is_made_of_it()
    {
        var model = TextFixtures.At("models", "llama");
        foreach (var file in Directory.GetFiles(TextFixtures.At("adapters", "lokr"))) File.Copy(file, folder.Write($"adapter/{Path.GetFileName(file)}", ""), overwrite: true);
        folder.Write("adapter/chat_template.jinja", "{{ messages[0].content }}");
        foreach (var command in new[] { new[] { "merge" }, ["convert", "--r", "64"] })
        {
            var result = CliProgram.Run(folder.Path, ["adapter", command[0], model, "--adapter", "adapter", "--output", command[0], .. command[1..]]);
            Assert.True(result.Code == 0, result.All);
            Assert.Equal("{{ messages[0].content }}", File.ReadAllText(folder.At(command[0], "chat_template.jinja")));
            Assert.True(File.Exists(folder.At(command[0], "gate.json")));
        }
    }
}
