using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// The loss that a language model is trained with: −log p of the targets and, where its configuration asks for it, the balancing loss of
/// its experts.
/// </summary>
public static class TrainingLoss
{
    /// <summary>
    /// The factor of the balancing loss: <c>router_aux_loss_coef</c> where the configuration asks for the loss
    /// (<c>output_router_logits</c>), else 0.
    /// </summary>
    /// <param name="model">The model.</param>
    public static double BalanceFactor(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var read = new ConfigReader(model.Configuration);
        return model.Routers.Exist && read.Bool("output_router_logits", false) ? read.Double("router_aux_loss_coef", 0.001) : 0;
    }

    /// <summary>The loss as a SUM over the batch's targets; the balancing loss counts as often as there are targets.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The rows.</param>
    public static Tensor Of(LanguageModel model, Batch batch)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        var factor = BalanceFactor(model);
        model.Routers.IsOn = factor > 0;
        try
        {
            var loss = model.NegativeLogLikelihood(batch);
            return model.Routers.Balance() is { } balance ? loss + balance * (factor * batch.TargetCount) : loss;
        }
        finally
        {
            model.Routers.IsOn = false;
        }
    }
}
