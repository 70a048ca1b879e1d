using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Tests.Tensors;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>The recurrence of states, computed by chunks, is the one that takes one token after the other; so are its gradients.</summary>
[Trait("kind", "unit")]
public sealed class DecayScanTests
{
    private const int Heads = 2, Width = 4;

    // Two chunks and a part of one, less than one, and exactly one.
    private static readonly int[] lengths = [150, 9, 64];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Chunks_give_what_one_token_after_the_other_gives(bool delta)
    {
        using var scope = NewDisposeScope();
        var length = lengths.Sum();
        using var batch = Batch.Of([.. lengths.Select(own => new TokenRow(new int[own], new float[own], ""))]);
        Tensor Leaf(Tensor of) => of.detach().requires_grad_();
        Tensor[] inputs =
        [
            Leaf(Samples.Normal("query", length, Heads, Width)), Leaf(Samples.Normal("key", length, Heads, Width) * 0.5),
            Leaf(Samples.Normal("value", length, Heads, Width)), Leaf(Samples.Normal("decay", length, Heads).abs() * -0.1),
            Leaf(Samples.Normal("beta", length, Heads).sigmoid()),
        ];
        var asked = Samples.Normal("asked", length, Heads, Width);
        var expected = cat([.. lengths.Select((own, row) => Plain(delta, [.. inputs.Select(
            input => input.narrow(0, lengths[..row].Sum(), own))]))], 0);
        var slopes = Gradients(expected, asked, inputs, delta);
        var made = DecayScan.Of(
            batch,
            null,
            "",
            inputs[0],
            inputs[1],
            inputs[2],
            inputs[3],
            delta ? inputs[4] : null);
        Samples.Near(expected.detach(), made.detach(), Samples.Ulps(4096), "the outputs");
        foreach (var ((one, other), i) in slopes.Zip(Gradients(made, asked, inputs, delta)).Select((pair, i) => (pair, i)))
            Assert.True(
                (one - other).abs().max().item<float>() < 2e-4 * one.abs().max().item<float>(), $"the gradient of input {i}");
    }

    // One token after the other: S ← exp(g)·S + k·uᵀ, the output Sᵀ·q.
    private static Tensor Plain(bool delta, Tensor[] inputs)
    {
        var state = zeros(Heads, Width, Width);
        var results = new List<Tensor>();
        for (var t = 0; t < inputs[0].size(0); t++)
        {
            state = state * inputs[3][t].exp().view(Heads, 1, 1);
            Tensor k = inputs[1][t].unsqueeze(-1), v = inputs[2][t].unsqueeze(1);
            if (delta) v = (v - (state * k).sum(1, keepdim: true)) * inputs[4][t].view(Heads, 1, 1);
            state = state + k * v;
            results.Add((state * inputs[0][t].unsqueeze(-1)).sum(1));
        }
        return stack(results);
    }

    private static List<Tensor> Gradients(Tensor result, Tensor asked, Tensor[] inputs, bool delta)
    {
        (result * asked).sum().backward();
        var found = inputs.Take(delta ? 5 : 4).Select(input => input.grad!.clone()).ToList();
        foreach (var input in inputs) input.grad = null;
        return found;
    }
}
