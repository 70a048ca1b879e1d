using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Models;

/// <summary>
/// Configurations as their authors published them: each is read without weights and has the published number of parameters. An unknown
/// family is told which known one its weights are like.
/// </summary>
[Trait("kind", "parity")]
public sealed class PublishedConfigurationTests
{
    private static JsonObject All => JsonNode.Parse(File.ReadAllText(TextFixtures.At("own", "published.json")))!.AsObject();

    public static TheoryData<string> Names => [.. All.Select(pair => pair.Key)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_published_configuration_has_its_number_of_parameters(string name)
    {
        var said = All[name]!;
        Assert.Equal((long)said["parameters"]!, ShapeWeights.Of(said["config"]!.DeepClone().AsObject()).Count);
    }

    [Theory]
    [InlineData("qwen3", "the family 'zephyr' is not known", "most like those of qwen3", "All names and shapes agree")]
    [InlineData("gpt_oss", "most like those of gpt_oss", "\"model_type\": \"gpt_oss\"", "docs/tutorials/new-family.md")]
    [InlineData("mamba2", "most like those of mamba2", "All names and shapes agree", "polymath model verify")]
    public void An_unknown_family_is_told_the_nearest_known_one(string family, params string[] told)
    {
        using var folder = new ScratchFolder();
        using (var model = TinyFamilies.Make(family)) ModelFolder.Save(model, folder.Path);
        Change(folder, content => content["model_type"] = "zephyr");
        var message = Assert.Throws<InputException>(() => ModelFolder.Open(folder.Path).Dispose()).Message;
        Assert.All(told, part => Assert.Contains(part, message));
    }

    [Fact]
    public void What_differs_from_the_nearest_family_is_said()
    {
        using var folder = new ScratchFolder();
        using (var model = TinyFamilies.Make("qwen3")) ModelFolder.Save(model, folder.Path);
        Change(folder, content =>
        {
            content["model_type"] = "zephyr";
            content["intermediate_size"] = 80;
            content["num_hidden_layers"] = 3;
        });
        var message = Assert.Throws<InputException>(() => ModelFolder.Open(folder.Path).Dispose()).Message;
        Assert.Contains("the files lack layers.2.", message);
        Assert.Contains("other shapes: layers.0.mlp.gate_proj.weight [64, 32] instead of [80, 32]", message);
    }

    private static void Change(ScratchFolder folder, Action<JsonObject> change)
    {
        var content = JsonNode.Parse(File.ReadAllText(folder.At("config.json")))!.AsObject();
        change(content);
        File.WriteAllText(folder.At("config.json"), content.ToJsonString());
    }
}
