using Polymath.Models.Decoding;
using Polymath.Tensors.Kernels;
using Polymath.Text;

namespace Polymath.Tests.Models;

/// <summary>How a token is chosen from logits.</summary>
[Trait("kind", "unit")]
public sealed class SamplerTests
{
    // Probabilities 0.5, 0.1, 0.3, 0.1.
    private static readonly float[] Logits = [MathF.Log(0.5f), MathF.Log(0.1f), MathF.Log(0.3f), MathF.Log(0.1f)];

    private static float[] Weights(float[] logits, SamplingSettings settings)
    {
        using var row = TorchSharp.torch.tensor(logits, [1, logits.Length]);
        return TokenWeights.Of(row, settings.Temperature);
    }

    private static double[] Shares(SamplingSettings settings, float[]? logits = null)
    {
        const int Draws = 20000;
        var counts = new double[(logits ?? Logits).Length];
        var random = new RandomStream(1, "draws");
        for (var i = 0; i < Draws; i++)
            counts[Sampler.Choose(Weights(logits ?? Logits, settings), settings, ref random)] += 1.0 / Draws;
        return counts;
    }

    private static void Near(double[] expected, double[] actual)
    {
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], actual[i], 0.015);
            Assert.Equal(expected[i] == 0, actual[i] == 0);
        }
    }

    [Fact]
    public void Tokens_come_as_often_as_they_are_probable() => Near([0.5, 0.1, 0.3, 0.1], Shares(new(1)));

    [Fact]
    public void Temperature_sharpens_and_flattens()
    {
        Near([1, 0, 0, 0], Shares(new(0)));
        var squares = new[] { 0.25, 0.01, 0.09, 0.01 };
        Near([.. squares.Select(x => x / squares.Sum())], Shares(new(0.5)));
        Near([0.25, 0.25, 0.25, 0.25], Shares(new(1e6)));
        Near([1, 0, 0, 0], Shares(new(1e-30)));
    }

    [Theory]
    [InlineData(1, new[] { 1.0, 0, 0, 0 })]
    [InlineData(2, new[] { 0.625, 0, 0.375, 0 })]
    [InlineData(3, new[] { 5 / 9.0, 1 / 9.0, 3 / 9.0, 0 })]
    [InlineData(4, new[] { 0.5, 0.1, 0.3, 0.1 })]
    [InlineData(99, new[] { 0.5, 0.1, 0.3, 0.1 })]
    public void Top_k_keeps_the_most_probable_and_of_equal_ones_the_first(int k, double[] expected) =>
        Near(expected, Shares(new(1, TopK: k)));

    [Theory]
    [InlineData(1e-9, new[] { 1.0, 0, 0, 0 })]
    [InlineData(0.49, new[] { 1.0, 0, 0, 0 })]
    [InlineData(0.51, new[] { 0.625, 0, 0.375, 0 })]
    [InlineData(0.85, new[] { 5 / 9.0, 1 / 9.0, 3 / 9.0, 0 })]
    [InlineData(1, new[] { 0.5, 0.1, 0.3, 0.1 })]
    public void Top_p_keeps_the_most_probable_until_they_reach_it(double p, double[] expected) => Near(expected, Shares(new(1, TopP: p)));

    // Of the two that top-k leaves, the first has 0.625; of all four it has 0.5.
    [Theory]
    [InlineData(2, 0.6, new[] { 1.0, 0, 0, 0 })]
    [InlineData(2, 0.63, new[] { 0.625, 0, 0.375, 0 })]
    [InlineData(3, 0.88, new[] { 0.625, 0, 0.375, 0 })]
    [InlineData(3, 0.9, new[] { 5 / 9.0, 1 / 9.0, 3 / 9.0, 0 })]
    [InlineData(9, 0.79, new[] { 0.625, 0, 0.375, 0 })]
    public void Top_p_is_a_share_of_what_top_k_leaves(int k, double p, double[] expected) =>
        Near(expected, Shares(new(1, TopK: k, TopP: p)));

    [Fact]
    public void The_narrower_of_both_limits_counts() => Near([0.625, 0, 0.375, 0], Shares(new(1, TopK: 2, TopP: 0.99)));

    [Fact]
    public void What_is_impossible_never_comes() => Near([0, 1, 0], Shares(new(1), [float.NegativeInfinity, -3, float.NegativeInfinity]));

    [Fact]
    public void The_same_stream_gives_the_same_tokens()
    {
        RandomStream one = new(3, "x"), two = new(3, "x");
        for (var i = 0; i < 100; i++)
            Assert.Equal(
                Sampler.Choose(Weights(Logits, new(1)), new(1), ref one), Sampler.Choose(Weights(Logits, new(1)), new(1), ref two));
    }
}
