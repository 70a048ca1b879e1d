namespace Polymath.Training.Checkpoints;

/// <summary>The state of a stage, without tensors.</summary>
/// <param name="Step">The steps done.</param>
/// <param name="Cursor">The place of the next item.</param>
/// <param name="TorchRandom">libtorch's random state (dropout), in base64.</param>
/// <param name="Seconds">The time trained so far.</param>
/// <param name="Tokens">The tokens read so far.</param>
/// <param name="FirstLoss">The loss of the first step.</param>
/// <param name="LastLoss">The loss of the last step, smoothed.</param>
/// <param name="Best">The best value of the ability that chooses the best checkpoint.</param>
/// <param name="BestStep">The step of that value.</param>
/// <param name="Unmeasured">Whether the run was stopped before a measurement that was due at this step.</param>
public sealed record CheckpointState(
    int Step,
    Cursor Cursor,
    string TorchRandom,
    double Seconds,
    long Tokens,
    double FirstLoss,
    double LastLoss,
    double? Best = null,
    int? BestStep = null,
    bool Unmeasured = false);
