using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Dropouts of rows, modules and blocks: only in training, from libtorch's generator, and with the right mean.</summary>
[Trait("kind", "invariant")]
public sealed class PieceDropoutTests : IDisposable
{
    private readonly LanguageModel model = ModelFolder.Open(TextFixtures.At("models", "llama"));

    public void Dispose() => model.Dispose();

    private DeltaSet Moved(string settings)
    {
        var content = JsonNode.Parse(settings)!.AsObject();
        content["target_modules"] = new JsonArray("model.layers.0.self_attn.q_proj");
        var set = DeltaSet.Fresh(model, AdapterConfiguration.Of(content, "the test"), 5);
        foreach (var (name, weight) in set.Trained) weight.Assign(weight.Value + Samples.Normal(name, weight.Value.shape) * 0.3);
        return set;
    }

    // The share of the whole change that is left in the mean.
    [Theory]
    [InlineData("""{"peft_type":"LOHA","r":4,"rank_dropout":0.25}""", 1)]
    [InlineData("""{"peft_type":"LOHA","r":4,"module_dropout":0.25}""", 0.75)]
    [InlineData("""{"peft_type":"LOKR","r":4,"rank_dropout":0.25}""", 0.75)]
    [InlineData("""{"peft_type":"LOKR","r":4,"rank_dropout":0.25,"rank_dropout_scale":true}""", 1)]
    [InlineData("""{"peft_type":"LOKR","r":4,"module_dropout":0.5}""", 0.5)]
    [InlineData("""{"peft_type":"OFT","oft_block_size":8,"module_dropout":0.3}""", 0.75)]
    [InlineData("""{"peft_type":"OFT","oft_block_size":8,"module_dropout":0.1}""", 1)]
    [InlineData("""{"peft_type":"OFT","oft_block_size":8,"module_dropout":0.5,"block_share":true}""", 1)]
    [InlineData("""{"peft_type":"BOFT","boft_block_size":8,"boft_dropout":0.5}""", 0.5)]
    public void It_acts_in_training_only_and_leaves_its_share_in_the_mean(string settings, double share)
    {
        const int Passes = 1500;
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var set = Moved(settings);
        var map = set.Plugged[0].Target;
        var x = Samples.Normal("x", 3, map.InputWidth);
        // BOFT's scale is not a rotation, and does not change.
        if (set.Configuration.Type == "BOFT")
            set.Trained.Single(item => item.Name.EndsWith("boft_s", StringComparison.Ordinal)).Weight.Assign(ones(map.OutputWidth, 1));
        Tensor basis;
        using (set.Off()) basis = map.Forward(x);
        var whole = map.Forward(x) - basis;
        Assert.Equal(Samples.Floats(map.Forward(x)), Samples.Floats(map.Forward(x)));
        set.Training = true;
        manual_seed(1);
        var first = map.Forward(x);
        manual_seed(1);
        Assert.Equal(Samples.Floats(first), Samples.Floats(map.Forward(x)));
        var sum = zeros_like(whole);
        var seen = new HashSet<float>();
        for (var pass = 0; pass < Passes; pass++)
        {
            using var inner = NewDisposeScope();
            var change = map.Forward(x) - basis;
            sum.add_(change);
            seen.Add(change.norm().item<float>());
        }
        var exact = share == 1 && settings.Contains("OFT", StringComparison.Ordinal);
        Assert.Equal(exact, seen.Count == 1);
        var gap = (sum / Passes - whole * share).norm().item<float>() / whole.norm().item<float>();
        Assert.True(gap < (exact ? 1e-4 : 0.05), $"{gap}");
        set.Training = false;
        Assert.True(Samples.Gap(Samples.Floats(whole + basis), Samples.Floats(map.Forward(x))) < 1e-5);
    }

    [Theory]
    [InlineData("""{"peft_type":"LOHA","rank_dropout":1}""", "rank_dropout is 1; a number from 0 to below 1 is needed")]
    [InlineData("""{"peft_type":"LOKR","module_dropout":-0.1}""", "module_dropout is -0.1")]
    [InlineData("""{"peft_type":"OFT","oft_block_size":8,"module_dropout":2}""", "module_dropout is 2")]
    [InlineData("""{"peft_type":"BOFT","boft_dropout":"x"}""", "boft_dropout is \"x\"")]
    public void A_share_that_is_none_is_refused(string settings, string message) =>
        Assert.Contains(message, Assert.Throws<InputException>(() => Moved(settings).Dispose()).Message);
}
