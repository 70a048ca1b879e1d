using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Fourier fine-tuning (Gao et al. 2024): ΔW = s·Re(F⁻¹(C)), C is zero except for n coefficients at random places, which a seed
/// chooses. The coefficients start normally distributed; PEFT's <c>init_weights</c> starts them at zero.
/// </summary>
public sealed class FourierFt : DenseDelta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Fourierft,
        "FOURIERFT",
        ["n_frequency", "scaling", "random_loc_seed", "init_weights", "n_frequency_pattern", "bias"],
        Attach)
    {
        SizeKey = "n_frequency",
        HasBias = true,
        KnowsTransposed = true,
    };

    private readonly Weight spectrum;
    private readonly Tensor places;
    private readonly long output, input;
    private readonly double scale;

    private FourierFt(
        Weight spectrum,
        Tensor places,
        long output,
        long input,
        double scale,
        DeltaSwitch state)
        : base(state, spectrum) =>
        (this.spectrum, this.places, this.output, this.input, this.scale) = (spectrum, places, output, input, scale);

    /// <inheritdoc/>
    public override Tensor Change()
    {
        var whole = zeros(output * input).index_copy(0, places, spectrum.Value).view(output, input);
        return fft.ifft2(whole).real * scale;
    }

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        foreach (var target in parts.Targets)
        {
            long output = target.OutputWidth, input = target.InputWidth;
            var count = configuration.SpecialSize(
                "n_frequency_pattern", target.Name, configuration.Whole("n_frequency", 1000), within: true);
            if (count > output * input)
                throw new InputException($"{configuration.Origin}: n_frequency is {count}, but {target.Name} has {output * input} places.");
            // The places are PyTorch's own: the first of a permutation by its generator on the CPU.
            using var generator = new Generator((ulong)configuration.Whole("random_loc_seed", 777, least: 0));
            var places = randperm(output * input, generator: generator).narrow(0, 0, count).clone();
            parts.Plug(target, new FourierFt(
                parts.Weight(target.Name, "fourierft_spectrum", configuration.Flag("init_weights") ? Start.Zero : Start.Normal(1), count),
                parts.Own(places),
                output,
                input,
                configuration.Number("scaling", 150),
                parts.State));
        }
    }
}
