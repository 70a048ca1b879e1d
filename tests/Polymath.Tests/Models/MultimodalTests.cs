using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>
/// The text model of a multimodal model's folder opens and says what it leaves aside; what is written has those weights again, byte for
/// byte, with all names, the configuration and the files of what prepares pictures.
/// </summary>
[Trait("kind", "invariant")]
public sealed class MultimodalTests : IDisposable
{
    private readonly ScratchFolder folder = new(), written = new();

    public static TheoryData<string> Types => MultimodalFolder.Types;

    private static JsonObject Configuration(ScratchFolder of) => JsonNode.Parse(File.ReadAllText(of.At("config.json")))!.AsObject();

    [Theory]
    [MemberData(nameof(Types))]
    public void A_folder_that_is_written_again_is_what_it_was(string type)
    {
        MultimodalFolder.Write(folder, type);
        using (var model = ModelFolder.Open(folder.Path))
        {
            var note = Assert.Single(model.Notes);
            Assert.Contains("is a multimodal model; its text model is read", note);
            Assert.Contains("left aside. A folder that is written has them again, unchanged.", note);
            ModelFolder.Save(model, written.Path);
        }
        Assert.Equal(MultimodalFolder.Content(folder.Path), MultimodalFolder.Content(written.Path));
        Assert.True(JsonNode.DeepEquals(Configuration(folder), Configuration(written)), File.ReadAllText(written.At("config.json")));
        Assert.Equal(MultimodalFolder.Settings, File.ReadAllText(written.At(MultimodalFolder.Processor)));
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Other_types_shards_and_changes_concern_the_text_model_alone(string type)
    {
        MultimodalFolder.Write(folder, type);
        using (var model = ModelFolder.Open(folder.Path))
            ModelWriter.Write(
                model,
                written.Path,
                ScalarType.BFloat16,
                20_000,
                change: weight => weight == model.Tokens.Embedding ? weight.Wide() * 2 : null);
        Dictionary<string, (string Kind, string Shape, string Bytes)> before = MultimodalFolder.Content(folder.Path),
            after = MultimodalFolder.Content(written.Path);
        Assert.True(Directory.GetFiles(written.Path, "model-*.safetensors").Length > 1);
        Assert.Equal(before.Keys.Order(), after.Keys.Order());
        foreach (var (name, content) in before)
        {
            if (MultimodalFolder.IsOther(name)) Assert.Equal(content, after[name]);
            else Assert.Equal(("BF16", content.Shape), (after[name].Kind, after[name].Shape));
        }
        var index = JsonNode.Parse(File.ReadAllText(written.At("model.safetensors.index.json")))!;
        Assert.Equal(after.Values.Sum(item => item.Bytes.Length / 2), (long)index["metadata"]!["total_size"]!);
        Assert.Equal("bfloat16", (string?)(Configuration(written)["dtype"] ?? Configuration(written)["text_config"]!["torch_dtype"]));
        using var again = ModelFolder.Open(written.Path);
        using var old = ModelFolder.Open(folder.Path);
        Assert.True(again.Tokens.Embedding.Wide().allclose(old.Tokens.Embedding.Wide().to(ScalarType.BFloat16).to(
            ScalarType.Float32) * 2));
    }

    [Theory]
    [InlineData("gemma3", "language_model.lm_head.weight")]
    [InlineData("gemma4", "lm_head.weight")]
    public void A_head_that_was_untied_is_named_and_told_as_its_family_has_it(string type, string head)
    {
        MultimodalFolder.Write(folder, type);
        using (var model = ModelFolder.Open(folder.Path))
        {
            Assert.True(model.Tokens.IsTied);
            model.Untie();
            ModelFolder.Save(model, written.Path);
        }
        Assert.Contains(head, MultimodalFolder.Content(written.Path).Keys);
        Assert.False((bool)Configuration(written)["tie_word_embeddings"]!);
        using var again = ModelFolder.Open(written.Path);
        Assert.False(again.Tokens.IsTied);
    }

    [Fact]
    public void A_head_over_labels_is_written_with_the_text_model_alone()
    {
        MultimodalFolder.Write(folder, "mistral3");
        using (var model = ModelFolder.OpenWithHead(folder.Path, LabelTask.Classify, ["a", "b"], 1))
        {
            Assert.Contains("What is saved is the text model alone.", Assert.Single(model.Notes));
            ModelFolder.Save(model, written.Path);
        }
        Assert.DoesNotContain(MultimodalFolder.Content(written.Path).Keys, MultimodalFolder.IsOther);
        Assert.Equal("ministral3", (string?)Configuration(written)["model_type"]);
        using var again = ModelFolder.Open(written.Path);
        Assert.NotNull(again.Labels);
    }

    public void Dispose()
    {
        folder.Dispose();
        written.Dispose();
    }
}
