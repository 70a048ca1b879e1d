using CsCheck;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Attention over packed rows, and over a cache, against the same in libtorch's operations.</summary>
[Trait("kind", "unit")]
public sealed class AttentionTests
{
    [Theory]
    [InlineData(4, 2, 8, new[] { 1 })]
    [InlineData(4, 2, 8, new[] { 1, 2, 31, 32, 33, 100 })]
    [InlineData(9, 3, 17, new[] { 33, 1, 2 })]
    [InlineData(2, 2, 1, new[] { 5, 7 })]
    [InlineData(4, 4, 7, new[] { 32, 32 })]
    [InlineData(4, 1, 64, new[] { 100, 31 })]
    [InlineData(1, 1, 16, new[] { 65, 64, 63 })]
    public void Ragged_attention_is_plain_attention(int heads, int keyHeads, int width, int[] lengths)
    {
        using var scope = NewDisposeScope();
        Ragged(heads, keyHeads, width, lengths);
    }

    [Fact]
    public void Ragged_attention_is_plain_attention_for_any_shape() =>
        Gen.Select(Gen.Int[1, 3], Gen.Int[1, 3], Gen.Int[1, 40], Gen.Int[1, 70].Array[1, 5]).Sample((group, keyHeads, width, lengths) =>
        {
            using var scope = NewDisposeScope();
            Ragged(group * keyHeads, keyHeads, width, lengths);
        }, iter: 40, threads: 1);

    private static void Ragged(int heads, int keyHeads, int width, int[] lengths)
    {
        var offsets = Offsets(lengths);
        var tokens = offsets[^1];
        Samples.Agree(
            x => RaggedAttention.Of(
                x[0],
                x[1],
                x[2],
                offsets,
                0.4),
            x => RaggedAttention.Plain(
                x[0],
                x[1],
                x[2],
                offsets,
                0.4),
            Samples.Ulps(512),
            $"attention of {heads}/{keyHeads} heads of {width} over rows of {string.Join(", ", lengths)}",
            Samples.Normal("q", tokens, heads, width),
            Samples.Normal("k", tokens, keyHeads, width),
            Samples.Normal("v", tokens, keyHeads, width));
    }

    private static int[] Offsets(int[] lengths) => [0, .. lengths.Select((_, i) => lengths.Take(i + 1).Sum())];

    [Fact]
    public void Attention_has_the_slopes_of_its_formula()
    {
        using var scope = NewDisposeScope();
        int[] offsets = [0, 4, 6];
        double[][] at = [Samples.Numbers("q", 6, 4, 3), Samples.Numbers("k", 6, 2, 3), Samples.Numbers("v", 6, 2, 3)];
        var upstream = tensor(Samples.Numbers("upstream", 6, 4, 3), [6, 4, 3]);
        double Formula()
        {
            using var inner = NewDisposeScope();
            return (RaggedAttention.Plain(
                tensor(at[0], [6, 4, 3]),
                tensor(at[1], [6, 2, 3]),
                tensor(at[2], [6, 2, 3]),
                offsets,
                0.6) * upstream).sum().item<double>();
        }
        var (_, gradients) = Samples.Differentiate(
            t => RaggedAttention.Of(
                t[0],
                t[1],
                t[2],
                offsets,
                0.6),
            Samples.Normal("q", 6, 4, 3),
            Samples.Normal("k", 6, 2, 3),
            Samples.Normal("v", 6, 2, 3));
        for (var i = 0; i < 3; i++)
            Samples.NearSlopes(Samples.Slopes(_ => Formula(), at[i]), gradients[i], $"input {i}");
    }

    [Fact]
    public void A_token_sees_neither_what_comes_after_it_nor_another_row()
    {
        using var scope = NewDisposeScope();
        int[] offsets = [0, 40, 75];
        Tensor q = Samples.Normal("q", 75, 4, 8), k = Samples.Normal("k", 75, 2, 8), v = Samples.Normal("v", 75, 2, 8);
        var before = Samples.Floats(RaggedAttention.Of(
            q,
            k,
            v,
            offsets,
            0.4));
        foreach (var kept in new[] { k, v })
            kept.narrow(0, 37, 4).fill_(1e6f);
        var after = Samples.Floats(RaggedAttention.Of(
            q,
            k,
            v,
            offsets,
            0.4));
        Assert.Equal(before[..(37 * 32)], after[..(37 * 32)]);
        Assert.NotEqual(before[(39 * 32)..(40 * 32)], after[(39 * 32)..(40 * 32)]);
        // Token 40 is the second row's first: it sees only itself, and was changed with the rest.
        foreach (var kept in new[] { k, v })
            kept.narrow(0, 0, 40).fill_(-1e6f);
        Assert.Equal(after[(40 * 32)..], Samples.Floats(RaggedAttention.Of(
            q,
            k,
            v,
            offsets,
            0.4))[(40 * 32)..]);
    }

    [Fact]
    public void Great_scores_neither_overflow_nor_vanish()
    {
        using var scope = NewDisposeScope();
        Tensor q = Samples.Normal("q", 20, 2, 8) * 100, k = Samples.Normal("k", 20, 2, 8) * 100, v = Samples.Normal("v", 20, 2, 8);
        var result = RaggedAttention.Of(
            q,
            k,
            v,
            [0, 20],
            1);
        Assert.True(result.isfinite().all().item<bool>());
        Samples.Near(
            RaggedAttention.Plain(
                q,
                k,
                v,
                [0, 20],
                1),
            result,
            1e-3,
            "great scores");
    }

    [Fact]
    public void Cached_attention_is_plain_attention_for_any_shape() =>
        Gen.Select(Gen.Int[1, 3], Gen.Int[1, 3], Gen.Int[1, 33], Gen.Int[1, 120].Array[1, 6]).Sample((group, keyHeads, width, lengths) =>
        {
            using var scope = NewDisposeScope();
            int slots = lengths.Length, capacity = lengths.Max() + 3;
            var order = Enumerable.Range(0, slots).Reverse().ToArray();
            Tensor q = Samples.Normal("q", slots, group * keyHeads, width),
                k = Samples.Normal(
                    "k",
                    slots,
                    keyHeads,
                    capacity,
                    width),
                v = Samples.Normal(
                    "v",
                    slots,
                    keyHeads,
                    capacity,
                    width);
            Samples.Near(
                CachedAttention.Plain(
                    q,
                    k,
                    v,
                    order,
                    lengths,
                    0.3),
                CachedAttention.Of(
                    q,
                    k,
                    v,
                    order,
                    lengths,
                    0.3),
                Samples.Ulps(512),
                $"cached attention over {string.Join(", ", lengths)}");
        }, iter: 40, threads: 1);

    [Fact]
    public void What_was_never_stored_is_never_read()
    {
        using var scope = NewDisposeScope();
        Tensor q = Samples.Normal("q", 1, 2, 8), k = full([1, 2, 9, 8], float.NaN), v = full([1, 2, 9, 8], float.NaN);
        Tensor freshKeys = Samples.Normal("k", 3, 2, 8), freshValues = Samples.Normal("v", 3, 2, 8);
        CachedAttention.Store(k, freshKeys, [0, 0, 0], [0, 1, 2]);
        CachedAttention.Store(v, freshValues, [0, 0, 0], [0, 1, 2]);
        var cached = CachedAttention.Of(
            q,
            k,
            v,
            [0],
            [3],
            0.5);
        var whole = RaggedAttention.Of(
            cat([zeros(2, 2, 8), q], 0),
            freshKeys,
            freshValues,
            [0, 3],
            0.5).narrow(0, 2, 1);
        Samples.Near(whole, cached, 1e-6, "three stored tokens");
    }

    [Fact]
    public void Storing_in_a_slower_layout_stores_the_same()
    {
        using var scope = NewDisposeScope();
        Tensor fast = zeros(2, 3, 5, 4),
            slow = zeros(
                2,
                3,
                5,
                4,
                dtype: ScalarType.Float64),
            fresh = Samples.Normal("fresh", 3, 3, 4);
        CachedAttention.Store(fast, fresh, [1, 0, 1], [4, 0, 2]);
        CachedAttention.Store(slow, fresh.to(ScalarType.Float64), [1, 0, 1], [4, 0, 2]);
        Samples.Near(slow, fast, 0, "cache");
        Samples.Near(fresh[0], fast[1].select(1, 4), 0, "the place asked for");
        Assert.Equal(3 * 12, fast.ne(0).sum().item<long>());
    }

    /// <summary>Each attention pattern of the families.</summary>
    private static Reach Pattern(string kind, int[] lengths) => kind switch
    {
        "window 1" => Reach.Causal(Offsets(lengths), 1),
        "window 9" => Reach.Causal(Offsets(lengths), 9),
        "whole" => Reach.Whole(Offsets(lengths), Offsets(lengths)),
        "prefix" => Reach.Prefix(Offsets(lengths), [.. lengths.Select(length => length / 2)]),
        "long prefix" => Reach.Prefix(Offsets(lengths), [.. lengths.Select(length => length + 3)]),
        "source" => Reach.Whole(Offsets(lengths), Offsets([.. lengths.Select((length, i) => 1 + (length + 7 * i) % 50)])),
        _ => Reach.Causal(Offsets(lengths)),
    };

    [Theory]
    [InlineData("window 1", 0, false)]
    [InlineData("window 9", 0, false)]
    [InlineData("window 9", 2, true)]
    [InlineData("whole", 0, false)]
    [InlineData("whole", 0, true)]
    [InlineData("prefix", 0, true)]
    [InlineData("long prefix", 3, false)]
    [InlineData("source", 0, false)]
    [InlineData("causal", 2, false)]
    [InlineData("causal", 0, true)]
    public void Attention_over_a_span_with_a_cap_and_biases_is_plain_attention(string kind, double cap, bool biased)
    {
        using var scope = NewDisposeScope();
        int[] lengths = [1, 33, 64, 7];
        var reach = Pattern(kind, lengths);
        var form = new AttentionForm(0.7, cap);
        int queries = reach.QueryOffsets[^1], keys = reach.KeyOffsets[^1];
        Tensor[] inputs =
        [
            Samples.Normal("q", queries, 4, 6), Samples.Normal("k", keys, 2, 6), Samples.Normal("v", keys, 2, 6),
            .. biased ? [Samples.Normal("bias", 4, 141)] : Array.Empty<Tensor>(),
        ];
        DistanceBias? Bias(Tensor[] x) => biased ? new DistanceBias(x[3], 70) : null;
        Samples.Agree(
            x => RaggedAttention.Of(
                x[0],
                x[1],
                x[2],
                reach,
                form,
                Bias(x)),
            x => RaggedAttention.Plain(
                x[0],
                x[1],
                x[2],
                reach,
                form,
                Bias(x)),
            Samples.Ulps(512),
            $"{kind}, cap {cap}, biased {biased}",
            inputs);
    }

    [Fact]
    public void A_span_hides_what_lies_outside_it()
    {
        using var scope = NewDisposeScope();
        Tensor q = Samples.Normal("q", 50, 2, 8), k = Samples.Normal("k", 50, 2, 8), v = Samples.Normal("v", 50, 2, 8);
        var reach = Reach.Causal([0, 50], 5);
        var before = Samples.Floats(RaggedAttention.Of(
            q,
            k,
            v,
            reach,
            new AttentionForm(1)));
        foreach (var kept in new[] { k, v })
            kept.narrow(0, 0, 40).fill_(1e6f);
        var after = Samples.Floats(RaggedAttention.Of(
            q,
            k,
            v,
            reach,
            new AttentionForm(1)));
        // The token 44 sees 40 to 44, the token 43 also 39.
        Assert.Equal(before[(44 * 16)..], after[(44 * 16)..]);
        Assert.NotEqual(before[(43 * 16)..(44 * 16)], after[(43 * 16)..(44 * 16)]);
    }

    [Fact]
    public void A_cap_and_biases_have_the_slopes_of_their_formula()
    {
        using var scope = NewDisposeScope();
        var reach = Reach.Causal([0, 4, 6], 3);
        var form = new AttentionForm(0.6, 1.5);
        double[][] at =
            [Samples.Numbers("q", 6, 4, 3), Samples.Numbers("k", 6, 2, 3), Samples.Numbers("v", 6, 2, 3), Samples.Numbers("bias", 4, 7)];
        long[][] shapes = [[6, 4, 3], [6, 2, 3], [6, 2, 3], [4, 7]];
        var upstream = tensor(Samples.Numbers("upstream", 6, 4, 3), [6, 4, 3]);
        double Formula()
        {
            using var inner = NewDisposeScope();
            var x = at.Select((values, i) => tensor(values, shapes[i])).ToArray();
            return (RaggedAttention.Plain(
                x[0],
                x[1],
                x[2],
                reach,
                form,
                new DistanceBias(x[3], 4)) * upstream).sum().item<double>();
        }
        var (_, gradients) = Samples.Differentiate(
            t => RaggedAttention.Of(
                t[0],
                t[1],
                t[2],
                reach,
                form,
                new DistanceBias(t[3], 4)),
            Samples.Normal("q", 6, 4, 3),
            Samples.Normal("k", 6, 2, 3),
            Samples.Normal("v", 6, 2, 3),
            Samples.Normal("bias", 4, 7));
        for (var i = 0; i < 4; i++)
            Samples.NearSlopes(Samples.Slopes(_ => Formula(), at[i]), gradients[i], $"input {i}");
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(2, true)]
    public void Cached_attention_over_a_window_with_a_cap_and_biases_is_plain_attention(double cap, bool biased)
    {
        using var scope = NewDisposeScope();
        Tensor q = Samples.Normal("q", 3, 4, 9), k = Samples.Normal("k", 2, 2, 40, 9), v = Samples.Normal("v", 2, 2, 40, 9);
        var reach = new CachedReach([1, 0, 1], [0, 12, 30], [1, 17, 40], [0, 16, 39]);
        var bias = biased ? new DistanceBias(Samples.Normal("bias", 4, 40), 39) : null;
        var form = new AttentionForm(0.5, cap);
        Samples.Near(
            CachedAttention.Plain(
                q,
                k,
                v,
                reach,
                form,
                bias),
            CachedAttention.Of(
                q,
                k,
                v,
                reach,
                form,
                bias),
            Samples.Ulps(512),
            "cached attention");
    }

    [Fact]
    public void A_table_that_does_not_reach_is_refused()
    {
        using var scope = NewDisposeScope();
        Tensor x = Samples.Normal("x", 5, 2, 4), table = Samples.Normal("table", 2, 4);
        Assert.Throws<ArgumentException>(() => RaggedAttention.Of(
            x,
            x,
            x,
            Reach.Causal([0, 5]),
            new AttentionForm(1),
            new DistanceBias(table, 3)));
        RaggedAttention.Of(
            x,
            x,
            x,
            Reach.Causal([0, 5], 4),
            new AttentionForm(1),
            new DistanceBias(table, 3));
    }
}
