using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// Generalised advantage estimation (Schulman et al. 2016, eq. 16): δ = r + γ·V(next) − V, A = δ + γλ·A(next), within each row;
/// behind its last place V and A are 0. Returns are A + V, of advantages that are not whitened yet. Nothing here needs more than a row.
/// </summary>
/// <param name="Gamma">γ.</param>
/// <param name="Lambda">λ.</param>
public sealed record GeneralizedAdvantages(double Gamma = 1, double Lambda = 0.95)
{
    /// <summary>Advantages and returns [places], without gradients.</summary>
    /// <param name="rewards">The reward at each place.</param>
    /// <param name="values">The old critic's value at each place [places].</param>
    public (Tensor Advantages, Tensor Returns) Of(TokenValues rewards, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        ArgumentNullException.ThrowIfNull(values);
        double[] given = Numbers(rewards.Each), valued = Numbers(values), advantages = new double[given.Length];
        var end = given.Length;
        foreach (var length in rewards.Rows.Lengths.Reverse())
        {
            double next = 0, nextValue = 0;
            for (var place = end - 1; place >= end - length; place--)
            {
                next = given[place] + Gamma * nextValue - valued[place] + Gamma * Lambda * next;
                nextValue = valued[place];
                advantages[place] = next;
            }
            end -= length;
        }
        var each = tensor(advantages, dtype: values.dtype, device: values.device);
        return (each, each + values.detach());
    }

    private static double[] Numbers(Tensor values) => values.detach().cpu().to(ScalarType.Float64).data<double>().ToArray();
}
