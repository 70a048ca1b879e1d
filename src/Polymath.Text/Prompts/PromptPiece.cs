namespace Polymath.Text.Prompts;

/// <summary>What a piece of a filled prompt is.</summary>
public enum PieceKind
{
    /// <summary>Text of the template's author; special tokens that it spells out are meant.</summary>
    Template,

    /// <summary>Text of an example; it never becomes a special token.</summary>
    Given,

    /// <summary>The place of an answer.</summary>
    Answer,

    /// <summary>A special token.</summary>
    Special,

    /// <summary>A soft token.</summary>
    Soft,
}

/// <summary>A piece of a filled prompt.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">Its text; for a soft token the token that it starts from, or nothing.</param>
/// <param name="MayBeCut">Whether it may be cut.</param>
/// <param name="SoftId">The number of the soft token, from 1; 0 for another piece.</param>
/// <param name="Position">Where its block begins in the template.</param>
public sealed record PromptPiece(
    PieceKind Kind,
    string Text,
    bool MayBeCut,
    int SoftId,
    int Position)
{
    /// <summary>How an answer's place is written.</summary>
    public const string Mask = "<mask>";

    /// <summary>1 for an answer, else 0.</summary>
    public int Loss => Kind == PieceKind.Answer ? 1 : 0;
}
