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

    private static int Choose(float[] logits, SamplingSettings settings, ref RandomStream random)
    {
        using var row = TorchSharp.torch.tensor(logits, [1, logits.Length]);
        var rule = new ChoiceRule(settings.Temperature, settings.TopK, settings.TopP, settings.MinP);
        int[] token = [-1];
        float[] score = [0];
        Assert.True(TokenChoice.Of(row, [rule.IsGreedy ? rule : rule with { Draw = random.NextDouble() }], token, score));
        return token[0];
    }

    private static double[] Shares(SamplingSettings settings, float[]? logits = null)
    {
        const int Draws = 20000;
        var counts = new double[(logits ?? Logits).Length];
        var random = new RandomStream(1, "draws");
        for (var i = 0; i < Draws; i++) counts[Choose(logits ?? Logits, settings, ref random)] += 1.0 / Draws;
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

    // exp of −200 is 0 in 32 bits.
    [Fact]
    public void What_is_impossible_never_comes() => Near([0, 1, 0], Shares(new(1), [-200, 3, -200]));

    [Fact]
    public void The_same_stream_gives_the_same_tokens()
    {
        RandomStream one = new(3, "x"), two = new(3, "x");
        for (var i = 0; i < 100; i++) Assert.Equal(Choose(Logits, new(1), ref one), Choose(Logits, new(1), ref two));
    }

    /// <summary>Of many shapes of logits, every rule chooses the token that the plain way with a whole sort chooses.</summary>
    [Fact]
    public void The_kernel_chooses_as_the_plain_way_does()
    {
        SamplingSettings[] rules =
        [
            new(1), new(0.3), new(2.5), new(0), new(1, TopK: 1), new(1, TopK: 7), new(1, TopK: 300), new(1, TopP: 0.2), new(1, TopP: 0.9),
            new(0.7, TopK: 40, TopP: 0.95), new(1, MinP: 0.05), new(1.5, TopK: 500, TopP: 0.5, MinP: 0.01), new(1, TopP: 0.999999),
        ];
        foreach (var (vocabulary, spread) in new[] { (5, 1.0), (1000, 3), (1024, 0.01), (1025, 0), (2048, 10), (4099, 2), (30011, 4) })
        {
            var numbers = new RandomStream(4, "logits", vocabulary);
            var rows = rules.Select(_ => Enumerable.Range(0, vocabulary).Select(_ => (float)(numbers.NextNormal() * spread)).ToArray())
                .ToArray();
            // Equal logits are common in models with few bits.
            foreach (var row in rows) for (var i = 0; i < vocabulary; i += 3) row[i] = MathF.Round(row[i], 1);
            for (var draw = 0; draw < 20; draw++)
            {
                var streams = rules.Select((_, i) => new RandomStream(7, "draw", draw, i)).ToArray();
                var expected = rules.Select((rule, i) =>
                    PlainSampler.Choose(PlainSampler.Weights(rows[i], rule.Temperature), rule, ref streams[i])).ToArray();
                var again = rules.Select((_, i) => new RandomStream(7, "draw", draw, i)).ToArray();
                using var logits = TorchSharp.torch.tensor(rows.SelectMany(row => row).ToArray(), [rules.Length, vocabulary]);
                var tokens = new int[rules.Length];
                ChoiceRule[] given =
                [
                    .. rules.Select((rule, i) => new ChoiceRule(rule.Temperature, rule.TopK, rule.TopP, rule.MinP)
                        is { IsGreedy: false } drawn ? drawn with { Draw = again[i].NextDouble() } : new(0)),
                ];
                Assert.True(TokenChoice.Of(logits, given, tokens, new float[rules.Length]));
                Assert.Equal(expected, tokens);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0.4)]
    [InlineData(0)]
    public void A_token_is_scored_at_the_temperature_before_limits_apply(double temperature)
    {
        foreach (var limits in new ChoiceRule[] { new(temperature), new(temperature, TopK: 2), new(temperature, TopK: 1) })
        {
            using var row = TorchSharp.torch.tensor(Logits, [1, Logits.Length]);
            int[] token = [-1];
            float[] score = [0];
            TokenChoice.Of(row, [limits with { Draw = 0.7, Scores = true }], token, score);
            var powers = Logits.Select(x => Math.Exp(x / (temperature == 0 ? 1 : temperature))).ToArray();
            Assert.Equal(Math.Log(powers[token[0]] / powers.Sum()), score[0], 1e-6);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void Logits_that_are_no_numbers_give_no_token(float wrong)
    {
        foreach (var place in new[] { 0, 20, 36 })
        {
            var logits = new float[37];
            logits[place] = wrong;
            using var row = TorchSharp.torch.tensor(logits, [1, 37]);
            Assert.False(TokenChoice.Of(row, [new(1, Draw: 0.5)], new int[1], new float[1]));
            Assert.Equal(wrong, row.data<float>()[place]);
        }
    }
}
