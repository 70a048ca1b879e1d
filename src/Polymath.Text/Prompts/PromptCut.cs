using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>Cuts tokens of the pieces that may be cut; nothing of the template or of an answer.</summary>
public static class PromptCut
{
    /// <summary>The kind of cutting by its name.</summary>
    /// <param name="name">The name: tail, head or balanced.</param>
    /// <exception cref="InputException">There is no such kind.</exception>
    public static CutSide Named(string name) => name switch
    {
        "tail" => CutSide.Tail,
        "head" => CutSide.Head,
        "balanced" => CutSide.Balanced,
        _ => throw new InputException($"'{name}' is no way of cutting a prompt. Write tail, head or balanced."),
    };

    /// <summary>How many tokens each piece loses.</summary>
    /// <param name="lengths">The pieces' lengths; 0 for one that may not be cut.</param>
    /// <param name="excess">How many tokens are to be cut, at most the sum of the lengths.</param>
    /// <param name="side">Where.</param>
    public static int[] Losses(IReadOnlyList<int> lengths, int excess, CutSide side)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        var losses = new int[lengths.Count];
        var total = lengths.Sum();
        var left = excess;
        for (var step = 0; step < losses.Length; step++)
        {
            var i = side == CutSide.Tail ? losses.Length - 1 - step : step;
            var share = side == CutSide.Balanced && total > 0
                ? (int)Math.Ceiling((double)lengths[i] / total * excess)
                : lengths[i];
            losses[i] = Math.Min(share, left);
            left -= losses[i];
        }
        return losses;
    }

    /// <summary>The tokens of a piece that are kept.</summary>
    /// <param name="ids">The piece's tokens.</param>
    /// <param name="loss">How many go.</param>
    /// <param name="side">Where.</param>
    public static int[] Kept(int[] ids, int loss, CutSide side)
    {
        ArgumentNullException.ThrowIfNull(ids);
        return side == CutSide.Head ? ids[loss..] : ids[..^loss];
    }
}
