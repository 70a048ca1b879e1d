namespace Polymath.Text.Prompts;

/// <summary>A piece of a filled prompt with its tokens.</summary>
/// <param name="Piece">The piece; null for the tokens that begin and end a row, and for those that lead to a prompt.</param>
/// <param name="Ids">Its tokens, before anything is cut.</param>
/// <param name="Cut">How many of them are cut.</param>
/// <param name="AtStart">Whether they are cut at its start.</param>
public sealed record PromptPart(PromptPiece? Piece, int[] Ids, int Cut, bool AtStart)
{
    /// <summary>Whether a token of the part is cut.</summary>
    /// <param name="token">The token's number in the part.</param>
    public bool IsCut(int token) => AtStart ? token < Cut : token >= Ids.Length - Cut;
}
