using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tensors;

/// <summary>
/// Gradient checkpointing (Chen et al. 2016): only the inputs of a part of a model are kept for backward, where the part is computed again
/// with the same random numbers. The memory is that of one part instead of all; the cost is one more forward pass.
/// </summary>
public sealed class Recomputed : Fused
{
    private readonly Func<Tensor[], Tensor> part;
    private readonly int inputs;
    private Tensor[] kept = [];
    private bool[] wants = [];
    private Tensor? random;
    private long? seed;

    private Recomputed(Func<Tensor[], Tensor> part, int inputs) => (this.part, this.inputs) = (part, inputs);

    /// <summary>Applies a part of a model.</summary>
    /// <param name="part">The part: a function of the inputs and of weights that are leaves, which get their gradients themselves.</param>
    /// <param name="inputs">All its inputs that are not leaves.</param>
    public static Tensor Of(Func<Tensor[], Tensor> part, params Tensor[] inputs)
    {
        ArgumentNullException.ThrowIfNull(part);
        ArgumentNullException.ThrowIfNull(inputs);
        if (!is_grad_enabled()) return part(inputs);
        // The weights inside are not inputs, so something must require a gradient even when no input does.
        using var anchor = zeros(1).requires_grad_(true);
        return new Recomputed(part, inputs.Length).Apply([.. inputs, anchor]);
    }

    /// <inheritdoc/>
    protected internal override int InputCount => inputs + 1;

    /// <inheritdoc/>
    protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        var given = inputs.Take(this.inputs).ToArray();
        wants = [.. given.Select(input => input.requires_grad)];
        kept = [.. given.Select(SaveForBackward)];
        if (Array.Find(given, input => input.device_type == TorchSharp.DeviceType.CUDA) is not null)
        {
            // TorchSharp cannot read the state of a device's generator, so the part starts with its own seed from the CPU's generator, and
            // uses the same seed again in backward.
            using var drawn = randint(0, long.MaxValue, [1], dtype: ScalarType.Int64);
            seed = drawn.item<long>();
        }
        random = SaveForBackward(get_rng_state());
        SeedDevices();
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        return FewRows.InTraining(() => part(kept)).MoveToOuterDisposeScope();
    }

    private void SeedDevices()
    {
        if (seed is { } given) cuda.manual_seed_all(given);
    }

    /// <inheritdoc/>
    protected internal override Tensor?[] Backward(Tensor gradient)
    {
        var now = get_rng_state();
        var arguments = kept.Select((input, i) => input.detach().requires_grad_(wants[i])).ToArray();
        set_rng_state(random!);
        SeedDevices();
        try
        {
            using var recording = enable_grad();
            var result = part(arguments);
            // A frozen part with frozen inputs has no gradient.
            if (result.requires_grad) result.backward([gradient]);
        }
        finally
        {
            set_rng_state(now);
        }
        return [.. arguments.Select((argument, i) => wants[i] ? argument.grad : null), null];
    }
}
