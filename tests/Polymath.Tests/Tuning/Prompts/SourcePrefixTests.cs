using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Keys and values before an encoder's source: what is saved, and that decoding reads them as training does.</summary>
[Trait("kind", "invariant")]
public sealed class SourcePrefixTests
{
    private static LanguageModel Model(string family) => ModelFolder.Open(TextFixtures.At("models", family));

    private static DeltaSet Fresh(LanguageModel model, string places, bool projection) => DeltaSet.Fresh(
        model,
        AdapterConfiguration.Of(
            new JsonObject
            {
                ["peft_type"] = "PREFIX_TUNING",
                ["num_virtual_tokens"] = 3,
                ["prefix_places"] = places,
                ["prefix_projection"] = projection,
            },
            "the test"),
        4);

    private static float[] Said(LanguageModel model)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var batch = model.Lay([
            new TokenRow([5, 6, 7, 8, 9], [0, 0, 0, 1, 1], "one"), new TokenRow([4, 3, 7], [0, 1, 1], "two"),
        ]);
        return model.LogProbabilities(batch).data<float>().ToArray();
    }

    [Theory]
    [InlineData("encoder", false)]
    [InlineData("encoder", true)]
    [InlineData("both", false)]
    [InlineData("both", true)]
    public void A_prefix_is_saved_and_read_with_and_without_its_network(string places, bool projection)
    {
        using var folder = new ScratchFolder();
        float[] plain, said;
        int[] written;
        int[][] prompts = [[5, 6, 7], [4, 3, 2, 9]];
        List<int[]> Answers(LanguageModel model) => new TokenGenerator(model, []).Generate(
            prompts, new SamplingSettings(Temperature: 0, MaxNewTokens: 5), cancellation: TestContext.Current.CancellationToken);
        using (var model = Model("t5"))
        {
            plain = Said(model);
            using var set = Fresh(model, places, projection);
            said = Said(model);
            Assert.NotEqual(plain, said);
            written = [.. Answers(model).SelectMany(ids => ids)];
            // Each token is the most probable one behind those before it, as a whole row says.
            using (NewDisposeScope())
            using (no_grad())
            {
                using var batch = model.Lay([new TokenRow([.. prompts[0], .. written[..5]], [0, 0, 0, 1, 1, 1, 1, 1], "one")]);
                var best = model.Unembed(model.Hidden(batch)).argmax(-1).data<long>().ToArray();
                Assert.Equal(written[..5], best[^6..^1].Select(id => (int)id));
            }
            set.Save(folder.Path);
            using (set.Off()) Assert.Equal(plain, Said(model));
        }
        foreach (var network in new[] { true, false })
        {
            if (!network) File.Delete(folder.At("prompt_encoder.safetensors"));
            using var model = Model("t5");
            using var set = DeltaSet.Load(model, folder.Path);
            Assert.Equal(said, Said(model));
            Assert.Equal(written, Answers(model).SelectMany(ids => ids));
        }
    }

    [Theory]
    [InlineData("gpt2", "encoder", "has no encoder that takes keys and values before a source")]
    [InlineData("t5", "source", "it is decoder, encoder or both")]
    public void A_place_that_a_model_has_not_is_refused(string family, string places, string problem)
    {
        using var model = Model(family);
        Assert.Contains(problem, Assert.Throws<InputException>(() => Fresh(model, places, false)).Message, StringComparison.Ordinal);
    }
}
