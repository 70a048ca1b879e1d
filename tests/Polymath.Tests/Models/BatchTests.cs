using Polymath.Models;
using Polymath.Tensors;
using Polymath.Tests.Tensors;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Packed rows give the same results as single rows.</summary>
[Trait("kind", "invariant")]
public sealed class BatchTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_packed_batch_is_each_row_alone(bool tied)
    {
        using var model = Toy.Model(tied: tied);
        foreach (var weight in model.Weights)
            weight.Trainable = true;
        var rows = Toy.Rows(5, 1, 33, 12, 2, 40);
        var packed = Read(model, rows);
        var alone = rows.Select(row => Read(model, [row])).ToList();
        Assert.True(Samples.Gap([.. alone.SelectMany(one => one.Logits)], packed.Logits) < 1e-5);
        Assert.Equal(1, packed.Loss / alone.Sum(one => one.Loss), 1e-5);
        Assert.Equal(packed.Gradients.Keys, model.Weights.Select(weight => weight.Name));
        foreach (var (name, gradient) in packed.Gradients)
        {
            var sum = Enumerable.Range(0, gradient.Length).Select(i => alone.Sum(one => one.Gradients[name][i])).ToArray();
            Assert.Contains(gradient, x => x != 0);
            Assert.True(Samples.Gap(sum, gradient) < 2e-5, name);
        }
    }

    private static (float[] Logits, double Loss, Dictionary<string, float[]> Gradients) Read(
        LanguageModel model, IReadOnlyList<TokenRow> rows)
    {
        using var scope = NewDisposeScope();
        using var batch = Batch.Of(rows);
        float[] logits;
        using (no_grad())
            logits = Samples.Floats(model.Unembed(model.Hidden(batch)));
        var loss = model.NegativeLogLikelihood(batch);
        Fused.Backpropagate(loss);
        var gradients = model.Weights.ToDictionary(
            weight => weight.Name, weight => weight.Value.grad is { } gradient ? Samples.Floats(gradient) : new float[weight.Count]);
        foreach (var weight in model.Weights)
            weight.ClearGradient();
        return (logits, loss.item<float>(), gradients);
    }

    [Fact]
    public void Targets_are_shifted_once_and_stand_only_where_something_is_learned()
    {
        using var scope = NewDisposeScope();
        using var batch = Batch.Of([new([7, 8, 9], [1, 0, 0.5f], "a"), new([3], [1], "b"), new([4, 5, 6], [1, 1, 1], "c")]);
        Assert.Equal([0, 3, 4, 7], batch.Offsets);
        Assert.Equal([0, 1, 2, 0, 0, 1, 2], batch.Positions);
        Assert.Equal([1L, 4, 5], batch.Places.data<long>().ToArray());
        Assert.Equal([9L, 5, 6], batch.Targets.data<long>().ToArray());
        Assert.Equal([0.5f, 1, 1], batch.Weights.data<float>().ToArray());
        Assert.Equal([0, 2, 2], batch.TargetRows);
        Assert.Equal((2.5, 3, 7), (batch.TargetCount, batch.Rows, batch.Tokens));
        Assert.Equal([2L, 3, 6], batch.LastPlaces().data<long>().ToArray());
    }

    [Fact]
    public void The_loss_is_that_of_all_logits_at_the_targets()
    {
        using var model = Toy.Model();
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var batch = Batch.Of(Toy.Rows(9, 14, 3));
        var all = model.Unembed(model.Hidden(batch)).log_softmax(-1);
        var expected = all.index_select(0, batch.Places).gather(1, batch.Targets.unsqueeze(1)).squeeze(1);
        Assert.True(batch.Places.shape[0] < batch.Tokens - batch.Rows);
        Samples.Near(expected, model.LogProbabilities(batch), 1e-5, "log-probabilities");
        Samples.Near(-(expected * batch.Weights).sum(), model.NegativeLogLikelihood(batch), 1e-5, "loss");
    }

    [Fact]
    public void A_row_without_tokens_is_refused() => Assert.Throws<ArgumentException>(() => Batch.Of([new([], [], "none")]).Dispose());

    [Fact]
    public void Fresh_weights_depend_on_the_seed_and_their_name_alone()
    {
        using Polymath.Models.Families.Llama small = Toy.Model(4, layers: 1),
            large = Toy.Model(4, layers: 3),
            other = Toy.Model(5, layers: 1);
        Dictionary<string, float[]> a = Toy.Values(small.Weights), b = Toy.Values(large.Weights), c = Toy.Values(other.Weights);
        Assert.All(a, pair => Assert.Equal(pair.Value, b[pair.Key]));
        Assert.All(a.Where(pair => !pair.Key.Contains("norm", StringComparison.Ordinal)), pair => Assert.NotEqual(pair.Value, c[pair.Key]));
        Assert.NotEqual(b["model.layers.0.self_attn.q_proj.weight"], b["model.layers.1.self_attn.q_proj.weight"]);
        var spread = Math.Sqrt(a["model.embed_tokens.weight"].Average(x => (double)x * x));
        Assert.Equal(0.2, spread, 0.02);
        Assert.Equal(small.Weights.Count, a.Count);
    }
}
