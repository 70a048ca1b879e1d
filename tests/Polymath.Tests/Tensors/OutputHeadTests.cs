using Polymath.Tensors;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>The chunked output head against all logits at once.</summary>
[Trait("kind", "unit")]
public sealed class OutputHeadTests
{
    /// <summary>Sizes around the chunk of 64 to 4096 rows: one target, an odd vocabulary, more targets than a chunk of each kind.</summary>
    public static TheoryData<int, int, int> Sizes =>
        new() { { 1, 3, 2 }, { 5, 7, 17 }, { 70, 8, 1000 }, { 150, 8, 40000 }, { 4100, 5, 13 } };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void The_summed_loss_is_the_plain_one(int count, int width, int vocabulary)
    {
        using var scope = NewDisposeScope();
        var (hidden, head, targets) = Scene(count, width, vocabulary);
        var weights = Samples.Normal("weights", count).abs();
        // The upstream gradient of the comparison is a random number, so that it is not 1.
        Samples.Agree(
            x => OutputHead.NegativeLogLikelihood(x[0], x[1], targets, weights),
            x => -(OutputHead.PlainLogProbabilities(x[0], x[1], targets) * weights).sum(),
            Samples.Ulps(512),
            $"loss over {count} of {vocabulary}",
            hidden,
            head);
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void The_log_probabilities_are_the_plain_ones(int count, int width, int vocabulary)
    {
        using var scope = NewDisposeScope();
        var (hidden, head, targets) = Scene(count, width, vocabulary);
        Samples.Agree(
            x => OutputHead.LogProbabilities(x[0], x[1], targets),
            x => OutputHead.PlainLogProbabilities(x[0], x[1], targets),
            Samples.Ulps(512),
            $"log-probabilities of {count} in {vocabulary}",
            hidden,
            head);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void A_frozen_side_gets_no_gradient_and_the_other_side_the_same_one(bool learnHidden, bool learnHead)
    {
        using var scope = NewDisposeScope();
        var (hidden, head, targets) = Scene(90, 6, 30000);
        var weights = Samples.Normal("weights", 90);
        Tensor[] Gradients(Func<Tensor, Tensor, Tensor> loss)
        {
            Tensor h = hidden.clone().requires_grad_(learnHidden), w = head.clone().requires_grad_(learnHead);
            var value = loss(h, w) * -2.5;
            if (learnHidden || learnHead)
                Fused.Backpropagate(value);
            Assert.Equal((learnHidden, learnHead), (h.grad is not null, w.grad is not null));
            return [value.detach(), h.grad ?? zeros(1), w.grad ?? zeros(1)];
        }
        var plain = Gradients((h, w) => -(OutputHead.PlainLogProbabilities(h, w, targets) * weights).sum());
        var summed = Gradients((h, w) => OutputHead.NegativeLogLikelihood(h, w, targets, weights));
        var single = Gradients((h, w) => -(OutputHead.LogProbabilities(h, w, targets) * weights).sum());
        for (var i = 0; i < 3; i++)
        {
            Samples.Near(plain[i], summed[i], Samples.Ulps(512), $"summed loss, part {i}");
            Samples.Near(plain[i], single[i], Samples.Ulps(512), $"log-probabilities, part {i}");
        }
    }

    [Fact]
    public void Without_recording_the_value_is_the_same()
    {
        using var scope = NewDisposeScope();
        var (hidden, head, targets) = Scene(40, 6, 100);
        var recorded = OutputHead.NegativeLogLikelihood(hidden.requires_grad_(true), head, targets, ones(40));
        using var frozen = no_grad();
        var unrecorded = OutputHead.NegativeLogLikelihood(hidden, head, targets, ones(40));
        Assert.True(recorded.requires_grad);
        Assert.False(unrecorded.requires_grad);
        Samples.Near(recorded, unrecorded, 1e-6, "loss");
    }

    [Fact]
    public void No_targets_cost_nothing_and_teach_nothing()
    {
        using var scope = NewDisposeScope();
        Tensor hidden = zeros(0, 4).requires_grad_(true), head = Samples.Normal("head", 9, 4).requires_grad_(true);
        var loss = OutputHead.NegativeLogLikelihood(hidden, head, zeros(0, dtype: ScalarType.Int64), zeros(0));
        Fused.Backpropagate(loss);
        Assert.Equal(0f, loss.item<float>());
        Assert.Equal(0f, head.grad!.abs().sum().item<float>());
    }

    [Fact]
    public void Great_logits_do_not_overflow_and_no_number_stays_none()
    {
        using var scope = NewDisposeScope();
        var (hidden, head, targets) = Scene(10, 4, 50);
        Samples.Near(
            OutputHead.PlainLogProbabilities(hidden * 1000, head, targets),
            OutputHead.LogProbabilities(hidden * 1000, head, targets),
            1e-5,
            "great logits");
        using var poisoned = hidden.clone();
        poisoned[3].fill_(float.NaN);
        Assert.True(float.IsNaN(OutputHead.NegativeLogLikelihood(poisoned, head, targets, ones(10)).item<float>()));
    }

    private static (Tensor Hidden, Tensor Head, Tensor Targets) Scene(int count, int width, int vocabulary) =>
        (
            Samples.Normal("hidden", count, width),
            Samples.Normal("head", vocabulary, width),
            tensor(Enumerable.Range(0, count).Select(i => (i * 7919L) % vocabulary).ToArray()));
}
