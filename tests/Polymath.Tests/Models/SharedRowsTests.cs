using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Kernels;
using Polymath.Tests.Tensors;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Rows that share their beginning: values and gradients are those of separate rows.</summary>
[Trait("kind", "invariant")]
public sealed class SharedRowsTests
{
    public static TheoryData<string> Families => TinyFamilies.Names;

    // A prompt with five answers, a row alone, a pair, another row alone; the answers of the first group differ in length.
    private static List<TokenRow> Rows(int vocabulary)
    {
        var random = new RandomStream(8, "rows");
        int[] Some(int count) => [.. Enumerable.Range(0, count).Select(_ => 2 + random.Next(vocabulary - 2))];
        TokenRow Row(int[] prompt, int[] answer, string name) =>
            new([.. prompt, .. answer], [.. prompt.Select(_ => 0f), .. answer.Select((_, i) => 1 + i % 2 * 0.5f)], name);
        int[] first = Some(13), second = Some(9);
        return
        [
            .. Enumerable.Range(0, 5).Select(i => Row(first, Some(1 + 3 * i), $"a{i}")), Row(Some(4), Some(6), "b"),
            Row(second, Some(5), "c0"), Row(second, Some(8), "c1"), Row(Some(10), Some(2), "d"),
        ];
    }

    [Fact]
    public void A_beginning_is_laid_once_and_every_token_is_found()
    {
        var rows = Rows(61);
        using var batch = Batch.Of(rows, shares: true);
        Assert.Equal(rows.Count, batch.GivenRows);
        Assert.Equal(rows.Count + 2, batch.Rows);
        Assert.Equal(rows.Sum(row => row.Length), batch.GivenTokens);
        Assert.Equal(batch.GivenTokens - 4 * 13 - 9, batch.Tokens);
        for (var row = 0; row < rows.Count; row++)
            for (var i = 0; i < rows[row].Length; i++)
            {
                var place = batch.PlaceOf(row, rows[row].Length - 1 - i);
                Assert.Equal((rows[row].Ids[i], i), (batch.TokenIds[place], batch.Positions[place]));
            }
        using var apart = Batch.Of(rows);
        Assert.Equal(apart.Targets.data<long>().ToArray(), batch.Targets.data<long>().ToArray());
        Assert.Equal(apart.TargetRows, batch.TargetRows);
        Assert.Equal(apart.TargetCount, batch.TargetCount);
    }

    [Fact]
    public void Nothing_is_shared_where_nothing_is_saved()
    {
        TokenRow Row(params int[] ids) => new(ids, new float[ids.Length], "");
        using var one = Batch.Of([Row(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)], shares: true);
        using var different = Batch.Of([Row(1, 2, 3, 4, 5, 6, 7, 8), Row(1, 2, 3, 4, 5, 6, 7, 9)], shares: true);
        Assert.Equal((1, 2), (one.Rows, different.Rows));
        // Of equal rows, the last token of each is its own.
        using var equal = Batch.Of([.. Enumerable.Repeat(Row(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 3)], shares: true);
        Assert.Equal([0, 9, 10, 11, 12], equal.Offsets);
    }

    private static Dictionary<string, float[]> Gradients(LanguageModel model, IReadOnlyList<Weight> weights, bool shares, out float[] logs)
    {
        using var scope = NewDisposeScope();
        foreach (var weight in weights)
        {
            weight.Trainable = true;
            weight.Value.grad = null;
        }
        using var batch = model.Lay(Rows(TinyFamilies.Vocabulary), shares);
        Assert.Equal(shares, batch.Rows != batch.GivenRows);
        var each = model.LogProbabilities(batch);
        logs = Samples.Floats(each);
        Fused.Backpropagate((each * each.sin() * batch.Weights).sum());
        var gradients = weights.Where(weight => weight.Value.grad is not null)
            .ToDictionary(weight => weight.Name, weight => Samples.Floats(weight.Value.grad!));
        foreach (var weight in weights) weight.Value.grad = null;
        return gradients;
    }

    private static void Compare(LanguageModel model, IReadOnlyList<Weight> weights)
    {
        var apart = Gradients(model, weights, shares: false, out var logs);
        var shared = Gradients(model, weights, shares: true, out var sharedLogs);
        for (var i = 0; i < logs.Length; i++) Assert.Equal(logs[i], sharedLogs[i], 1e-4f);
        Assert.Equal(apart.Keys.Order(), shared.Keys.Order());
        Assert.NotEmpty(apart);
        // A gradient that is zero in mathematics has only what others were rounded by.
        var greatest = apart.Values.Max(values => values.Max(MathF.Abs));
        foreach (var (name, values) in apart)
        {
            var size = Math.Max(1e-2f * greatest, values.Max(MathF.Abs));
            for (var i = 0; i < values.Length; i++)
                Assert.True(MathF.Abs(values[i] - shared[name][i]) <= 2e-4f * size, $"{name}[{i}]: {values[i]}, {shared[name][i]}");
        }
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Values_and_gradients_are_those_of_separate_rows(string family)
    {
        using var model = TinyFamilies.Make(family);
        if (!model.SharesBeginnings)
        {
            // The model reads separate rows instead.
            if (model.Reading != Reading.Decoder) return;
            using var batch = model.Lay(Rows(TinyFamilies.Vocabulary), shares: true);
            Assert.Equal(batch.GivenRows, batch.Rows);
            return;
        }
        Compare(model, model.Weights);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void So_are_those_of_an_adapter_and_of_blocks_that_are_computed_again(bool checkpointing)
    {
        using var model = TinyFamilies.Make("qwen2");
        model.GradientCheckpointing = checkpointing;
        using var set = DeltaSet.Fresh(model, DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora)), 1);
        foreach (var weight in set.Weights) using (no_grad()) weight.Value.normal_(0, 0.1);
        Compare(model, [.. set.Weights]);
    }

    /// <summary>Attention over rows that begin alike, with windows, chunks, a cap and biases: kernel, plain way, and rows apart.</summary>
    [Theory]
    [InlineData(0, 0, 0, false)]
    [InlineData(9, 0, 0, false)]
    [InlineData(0, 7, 0, false)]
    [InlineData(0, 0, 2, true)]
    [InlineData(40, 0, 0, true)]
    public void Attention_over_a_tree_is_that_of_separate_rows(int window, int chunk, double cap, bool biased)
    {
        using var scope = NewDisposeScope();
        // Pieces: a beginning of 37 with continuations of 40, 3 and 33; a row of 20; a beginning of 5 with 1 and 64.
        int[] lengths = [37, 40, 3, 33, 20, 5, 1, 64], roots = [-1, 0, 0, 0, -1, -1, 5, 5];
        int[] offsets = [0, .. lengths.Select((_, i) => lengths[..(i + 1)].Sum())];
        var (places, apart) = Apart(offsets, roots);
        var form = new AttentionForm(0.4, cap);
        Tensor Leaf(string name, int heads) => Samples.Normal(name, offsets[^1], heads, 20).requires_grad_();
        Tensor q = Leaf("q", 6), k = Leaf("k", 2), v = Leaf("v", 2), table = Samples.Normal("t", 6, 160).requires_grad_();
        var bias = biased ? new DistanceBias(table, 120) : null;
        Reach Of(int[] rows, int[]? begun) => chunk > 0 ? Reach.Chunked(rows, chunk, begun) : Reach.Causal(rows, window, begun);
        // The state of each token, taken from the row apart in which it is computed last.
        using var index = tensor(places);
        Tensor Rows(Tensor of) => of.index_select(0, index);
        var weights = Samples.Normal("w", offsets[^1], 120).view(-1, 6, 20);
        // A shared token is read in several rows, but its own result counts once.
        var seen = new HashSet<long>();
        using var counted = tensor(places.Select(place => seen.Add(place) ? 1f : 0f).ToArray()).view(-1, 1, 1);
        var results = new List<(float[] Out, float[][] Gradients)>();
        foreach (var how in new[] { "apart", "tree", "plain" })
        {
            foreach (var leaf in new[] { q, k, v, table }) leaf.grad = null;
            Func<Tensor, Tensor, Tensor, Reach, AttentionForm, DistanceBias?, Tensor> of =
                how == "plain" ? RaggedAttention.Plain : RaggedAttention.Of;
            Tensor mixed = how == "apart"
                ? (of(
                    Rows(q),
                    Rows(k),
                    Rows(v),
                    Of(apart, null),
                    form,
                    bias) * counted)
                : of(
                    q,
                    k,
                    v,
                    Of(offsets, roots),
                    form,
                    bias);
            var whole = how == "apart" ? zeros_like(q).detach().index_add(0, index, mixed, 1) : mixed;
            Fused.Backpropagate((whole * weights).sum());
            results.Add((Samples.Floats(whole),
                [.. (biased ? new[] { q, k, v, table } : [q, k, v]).Select(leaf => Samples.Floats(leaf.grad!))]));
        }
        foreach (var other in results.Skip(1))
        {
            Near(results[0].Out, other.Out);
            for (var i = 0; i < other.Gradients.Length; i++) Near(results[0].Gradients[i], other.Gradients[i]);
        }
    }

    private static void Near(float[] expected, float[] actual)
    {
        var size = expected.Max(MathF.Abs);
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-5f * Math.Max(1, size));
    }

    // For each token of the rows apart its place in the tree, and the rows' offsets.
    private static (long[] Places, int[] Offsets) Apart(int[] offsets, int[] roots)
    {
        var places = new List<long>();
        var ends = new List<int> { 0 };
        for (var piece = 0; piece < roots.Length; piece++)
        {
            if (roots.Contains(piece)) continue;
            if (roots[piece] >= 0)
                for (var i = offsets[roots[piece]]; i < offsets[roots[piece] + 1]; i++) places.Add(i);
            for (var i = offsets[piece]; i < offsets[piece + 1]; i++) places.Add(i);
            ends.Add(places.Count);
        }
        return ([.. places], [.. ends]);
    }
}
