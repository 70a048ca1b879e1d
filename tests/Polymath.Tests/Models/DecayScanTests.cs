using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Tests.Tensors;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>The recurrence of states, computed by chunks, is the one that takes one token after the other.</summary>
[Trait("kind", "unit")]
public sealed class DecayScanTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Chunks_give_what_one_token_after_the_other_gives(bool delta)
    {
        const int length = 150, heads = 2, width = 4;
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = Batch.Of([new TokenRow(new int[length], new float[length], "")]);
        Tensor query = Samples.Normal("query", length, heads, width),
            key = Samples.Normal("key", length, heads, width) * 0.5,
            value = Samples.Normal("value", length, heads, width),
            decay = Samples.Normal("decay", length, heads).abs() * -0.1,
            beta = Samples.Normal("beta", length, heads).sigmoid();
        var state = zeros(heads, width, width);
        var expected = new List<Tensor>();
        for (var t = 0; t < length; t++)
        {
            state = state * decay[t].exp().view(heads, 1, 1);
            Tensor k = key[t].unsqueeze(-1), v = value[t].unsqueeze(1);
            if (delta) v = (v - (state * k).sum(1, keepdim: true)) * beta[t].view(heads, 1, 1);
            state = state + k * v;
            expected.Add((state * query[t].unsqueeze(-1)).sum(1));
        }
        var made = DecayScan.Of(
            batch,
            null,
            "",
            query,
            key,
            value,
            decay,
            delta ? beta : null);
        Samples.Near(stack(expected), made, Samples.Ulps(4096), "the outputs");
    }
}
