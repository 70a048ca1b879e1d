using Polymath.Distributed;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Training;

/// <summary>
/// Balances experts without a loss (Wang et al. 2024, algorithm 1; DeepSeek V3, section 2.1.2): a bias of each expert is added to its score
/// when experts are chosen, and only then. After each step it moves by γ, up for an expert with less than the mean load, down for one with
/// more. It has no gradient, and the weights of the chosen experts do not contain it.
/// </summary>
public sealed class ExpertBalance
{
    private readonly LanguageModel model;
    private readonly double rate;

    private ExpertBalance(LanguageModel model, double rate) => (this.model, this.rate) = (model, rate);

    /// <summary>The balance that a stage asks for; null when it asks for none.</summary>
    /// <param name="model">The model.</param>
    /// <param name="stage">The stage.</param>
    /// <exception cref="InputException">The model has no such biases.</exception>
    public static ExpertBalance? Of(LanguageModel model, StageSpec stage)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(stage);
        if (stage.ExpertBiasRate is not { } rate) return null;
        if (model.Routers.Biases.Count > 0) return new ExpertBalance(model, rate);
        var other = model.Routers.Exist
            ? "balance its experts with the loss (model settings: {output_router_logits: true})"
            : "it has no experts";
        throw new InputException($"Stage {stage.Name}: expertBiasRate moves the biases that choose experts, as DeepSeek V3 and GLM-4 MoE "
            + $"have them, and a {model.Configuration["model_type"]} has none. Leave it out; {other}.");
    }

    /// <summary>The biases, which a checkpoint keeps, by their names.</summary>
    public IReadOnlyDictionary<string, Tensor> Memory =>
        model.Routers.Biases.ToDictionary(bias => bias.Weight.Name, bias => bias.Weight.Value);

    /// <summary>Forgets the loads so far.</summary>
    public void Begin()
    {
        foreach (var bias in model.Routers.Biases) Array.Clear(bias.Load);
    }

    /// <summary>Moves the biases by the loads since <see cref="Begin"/>, over all passes and processes.</summary>
    /// <param name="peers">The processes that train together.</param>
    public void Move(Peers peers)
    {
        ArgumentNullException.ThrowIfNull(peers);
        var loads = model.Routers.Biases.SelectMany(bias => bias.Load.Select(load => (double)load)).ToArray();
        peers.Sum(loads);
        var first = 0;
        foreach (var bias in model.Routers.Biases)
        {
            var own = loads.AsSpan(first, bias.Load.Length);
            first += bias.Load.Length;
            Move(bias, own);
        }
    }

    private void Move(ExpertBias bias, ReadOnlySpan<double> load)
    {
        var steps = Steps(load, rate);
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        bias.Weight.Assign(bias.Weight.Value + tensor(steps, device: bias.Weight.Value.device));
    }

    /// <summary>γ·sign(mean load − load) of each expert.</summary>
    /// <param name="load">The tokens that went through each expert.</param>
    /// <param name="rate">γ.</param>
    public static float[] Steps(ReadOnlySpan<double> load, double rate)
    {
        double sum = 0;
        foreach (var tokens in load) sum += tokens;
        var steps = new float[load.Length];
        for (var expert = 0; expert < steps.Length; expert++)
            steps[expert] = (float)(rate * Math.Sign(sum - load[expert] * load.Length));
        return steps;
    }
}
