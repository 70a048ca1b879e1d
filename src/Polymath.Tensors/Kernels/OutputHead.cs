using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// The output head and its losses. A row of logits is as wide as the vocabulary, so logits are computed for one chunk of rows at a time, in
/// one buffer that is reused. Memory does not grow with the number of targets.
/// </summary>
public static unsafe class OutputHead
{
    // 8 MB of logits: large enough for products at full speed, small enough for the cores' caches.
    private const int ChunkElements = 2 << 20;

    /// <summary>
    /// Σ weightᵢ · −log softmax(W·hᵢ)[targetᵢ], as a scalar. The gradient is computed in the same pass (a second pass would need
    /// one more product).
    /// </summary>
    /// <param name="hidden">The last hidden states [n, width], one for each target.</param>
    /// <param name="head">The output weights W [vocabulary, width].</param>
    /// <param name="targets">The token that each state must predict [n], 64-bit.</param>
    /// <param name="weights">The weight of each target [n].</param>
    public static Tensor NegativeLogLikelihood(Tensor hidden, Tensor head, Tensor targets, Tensor weights) =>
        Takes(hidden, head)
            ? new SummedLoss(targets, weights).Run(hidden, head)
            : -(PlainLogProbabilities(hidden, head, targets) * weights).sum();

    /// <summary>log softmax(W·hᵢ)[targetᵢ] for each i [n], with a gradient.</summary>
    /// <param name="hidden">The last hidden states [n, width].</param>
    /// <param name="head">The output weights W [vocabulary, width].</param>
    /// <param name="targets">The tokens [n], 64-bit.</param>
    public static Tensor LogProbabilities(Tensor hidden, Tensor head, Tensor targets) =>
        Takes(hidden, head) ? new RowLogProbabilities(targets).Run(hidden, head) : PlainLogProbabilities(hidden, head, targets);

    /// <summary>The same in libtorch's operations, all logits at once.</summary>
    public static Tensor PlainLogProbabilities(Tensor hidden, Tensor head, Tensor targets)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        ArgumentNullException.ThrowIfNull(targets);
        return HalfProduct.Linear(hidden, head).to(ScalarType.Float32).log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1);
    }

    private static bool Takes(Tensor hidden, Tensor head) =>
        FastPath.Takes(hidden) && (FastPath.Takes(head) || HalfProduct.Holds(head) && head.device_type == TorchSharp.DeviceType.CPU);

    private static int ChunkRows(long vocabulary) => (int)Math.Clamp(ChunkElements / vocabulary, 64, 4096);

    private struct Rows
    {
        internal float* Logits, Weights, LogProbabilities;
        internal long* Targets;
        internal int Vocabulary;
        internal bool Differentiate;
    }

    /// <summary>Per row: the log-probability of the target; if requested, the logits become weight·(softmax − one-hot).</summary>
    [UnmanagedCallersOnly]
    private static void ScoreRows(long begin, long end, void* context)
    {
        ref var s = ref *(Rows*)context;
        for (var row = begin; row < end; row++)
        {
            var x = s.Logits + row * s.Vocabulary;
            var target = s.Targets[row];
            float top = Vectors.Max(x, s.Vocabulary, float.NegativeInfinity), atTarget = x[target];
            var sum = s.Differentiate ? Vectors.ExpSum(x, top, s.Vocabulary) : Vectors.ExpSumOnly(x, top, s.Vocabulary);
            s.LogProbabilities[row] = atTarget - top - MathF.Log(sum);
            if (!s.Differentiate) continue;
            Vectors.Scale(x, s.Weights[row] / sum, s.Vocabulary);
            x[target] -= s.Weights[row];
        }
    }

    /// <summary>Goes over the rows in chunks; the visitor gets each chunk's place and its buffer of logits.</summary>
    private static void Walk(
        Tensor hidden,
        Tensor head,
        Tensor targets,
        Tensor weights,
        Tensor logProbabilities,
        bool differentiate,
        Action<int, int, Tensor>? visit)
    {
        int count = (int)hidden.size(0), vocabulary = (int)head.size(0), chunk = Math.Min(ChunkRows(vocabulary), Math.Max(count, 1));
        using var buffer = empty(chunk, vocabulary);
        var state = new Rows { Vocabulary = vocabulary, Differentiate = differentiate };
        for (var from = 0; from < count; from += chunk)
        {
            var size = Math.Min(chunk, count - from);
            using var logits = buffer.narrow(0, 0, size);
            using var states = hidden.narrow(0, from, size);
            HalfProduct.Into(logits, states, head);
            state.Logits = (float*)LibTorch.Data(buffer);
            state.Weights = (float*)LibTorch.Data(weights) + from;
            state.Targets = (long*)LibTorch.Data(targets) + from;
            state.LogProbabilities = (float*)LibTorch.Data(logProbabilities) + from;
            LibTorch.For(size, 4, &ScoreRows, &state);
            visit?.Invoke(from, size, logits);
        }
        GC.KeepAlive(weights);
        GC.KeepAlive(targets);
    }

    /// <summary>
    /// A visitor that turns a chunk's gradients of the logits into gradients of the hidden states and of the head, where needed.
    /// </summary>
    private static Action<int, int, Tensor> Collect(Tensor hidden, Tensor head, Tensor? gradHidden, Tensor? gradHead) =>
        (from, size, slopes) =>
        {
            if (gradHidden is not null)
            {
                using var part = gradHidden.narrow(0, from, size);
                HalfProduct.IntoTransposed(part, slopes, head);
            }
            if (gradHead is null) return;
            using var turned = slopes.t();
            using var states = hidden.narrow(0, from, size);
            gradHead.addmm_(turned, states, 1f, 1f);
        };

    private sealed class SummedLoss(Tensor targets, Tensor weights) : Fused
    {
        private Tensor? gradHidden, gradHead;
        private bool wantsHidden, wantsHead;

        protected internal override int InputCount => 2;

        internal Tensor Run(Tensor hidden, Tensor head)
        {
            if (is_grad_enabled()) (wantsHidden, wantsHead) = (hidden.requires_grad, head.requires_grad);
            return Apply(hidden, head);
        }

        protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
        {
            var (hidden, head) = (inputs[0], inputs[1]);
            using var scores = empty(hidden.size(0));
            gradHidden = wantsHidden ? SaveForBackward(empty_like(hidden)) : null;
            gradHead = wantsHead ? SaveForBackward(zeros_like(head)) : null;
            Walk(
                hidden,
                head,
                targets,
                weights,
                scores,
                wantsHidden || wantsHead,
                Collect(hidden, head, gradHidden, gradHead));
            using var weighted = scores * weights;
            using var sum = weighted.sum();
            return sum.neg();
        }

        protected internal override Tensor?[] Backward(Tensor gradient)
        {
            var factor = gradient.item<float>();
            if (factor != 1f)
            {
                gradHidden?.mul_(factor);
                gradHead?.mul_(factor);
            }
            return [gradHidden, gradHead];
        }
    }

    private sealed class RowLogProbabilities(Tensor targets) : Fused
    {
        private Tensor? hidden, head;
        private bool wantsHidden, wantsHead;

        protected internal override int InputCount => 2;

        internal Tensor Run(Tensor hidden, Tensor head) => Apply(hidden, head);

        protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
        {
            (hidden, head) = (SaveForBackward(inputs[0]), SaveForBackward(inputs[1]));
            (wantsHidden, wantsHead) = (inputs[0].requires_grad, inputs[1].requires_grad);
            var scores = empty(hidden.size(0));
            Walk(
                hidden,
                head,
                targets,
                scores,
                scores,
                differentiate: false,
                null);
            return scores;
        }

        // d log p / d logits = one-hot − softmax: the loss's gradient with the weights −g.
        protected internal override Tensor?[] Backward(Tensor gradient)
        {
            using var weights = gradient.contiguous().neg();
            using var scores = empty_like(weights);
            var gradHidden = wantsHidden ? empty_like(hidden!) : null;
            var gradHead = wantsHead ? zeros_like(head!) : null;
            Walk(
                hidden!,
                head!,
                targets,
                weights,
                scores,
                differentiate: true,
                Collect(hidden!, head!, gradHidden, gradHead));
            return [gradHidden, gradHead];
        }
    }
}
