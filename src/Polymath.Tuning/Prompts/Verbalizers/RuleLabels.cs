using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>PTR's labels (Han et al. 2021): a word at each of several masks.</summary>
/// <param name="rules">The rules; freed with this.</param>
public sealed class RuleLabels(RuleVerbalizer rules) : LabelReading
{
    /// <inheritdoc/>
    public override int Answers => rules.Masks;

    /// <inheritdoc/>
    public override Tensor Scores(AskedStates asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        var states = asked.States;
        return rules.Scores(asked.Model.Unembed(states.flatten(0, 1)).view(states.size(0), states.size(1), -1));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        rules.Dispose();
        base.Dispose(disposing);
    }
}
