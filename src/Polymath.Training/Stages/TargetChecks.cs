using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;

namespace Polymath.Training.Stages;

/// <summary>
/// Checks the rows of a stage before its first step: they must not have two begin tokens, never end, or lose too many targets.
/// </summary>
/// <param name="stage">The stage's name.</param>
/// <param name="contract">The layout.</param>
/// <param name="tokenizer">The tokenizer.</param>
/// <param name="promptEnd">The token up to which the model reads in both directions; null for none.</param>
internal sealed class TargetChecks(string stage, TextContract contract, Tokenizer tokenizer, int? promptEnd = null)
{
    private readonly IReadOnlyList<int> ends = contract.Ends(tokenizer);
    private readonly int? begin = contract.Template.Begin.Length > 0 ? tokenizer.IdOf(contract.Template.Begin) : null;
    private bool ended;
    private long before, after;

    /// <summary>Looks at a row.</summary>
    /// <param name="whole">The row as it is.</param>
    /// <param name="fitting">What is left of it.</param>
    /// <exception cref="InputException">The row begins twice, or the model would see what it should foretell.</exception>
    internal void Add(TokenRow whole, IReadOnlyList<TokenRow> fitting)
    {
        if (whole.Length > 1 && begin is { } id && whole.Ids[0] == id && whole.Ids[1] == id)
            throw new InputException($"Stage {stage}: {whole.Source} begins twice with {contract.Template.Begin}. Take it out of "
                + "the text, or out of the chat template.");
        PromptEndCheck.Refuse(stage, whole, promptEnd, tokenizer);
        before += whole.Targets;
        after += fitting.Sum(row => (long)row.Targets);
        ended = ended || Ended(whole);
    }

    /// <summary>Checks all rows together.</summary>
    /// <param name="maxCut">The greatest share of targets that may be cut off.</param>
    /// <exception cref="InputException">No row ends, or too much is cut.</exception>
    internal void Finish(double maxCut)
    {
        if (before > 0 && !ended)
        {
            var missing = ends.Count > 0
                ? $"{string.Join(" or ", ends.Select(tokenizer.TokenOf))} is never a target"
                : "the layout has no token that ends an answer";
            throw new InputException($"Stage {stage}: no row learns to end: {missing}, so answers would not end. Add "
                + $"{(ends.Count > 0 ? "it" : "an end token")} to the chat template's answers, or choose a template with chat.template "
                + "(polymath template list shows the names).");
        }
        var share = before == 0 ? 0 : 1 - (double)after / before;
        if (share > maxCut)
            throw new InputException($"Stage {stage}: {share:P1} of the target tokens would be cut, more than batch.maxCut {maxCut:P1} "
                + "allows. Raise batch.maxLength or maxCut, filter long rows with where, or split them.");
    }

    private bool Ended(TokenRow row)
    {
        for (var i = 1; i < row.Length; i++)
            if (row.Learn[i] != 0 && ends.Contains(row.Ids[i])) return true;
        return false;
    }
}
