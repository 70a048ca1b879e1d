namespace Polymath.Text.Prompts;

/// <summary>A block of a prompt's template, in the order of the text.</summary>
/// <param name="Position">Where it begins in the template, counted from 0.</param>
/// <param name="Prefix">The space before it, or nothing; it is put before the block's text, so that a word begins as in a sentence.</param>
/// <param name="Shortenable">Whether it may be cut when a row is too long; null for the usual: fields may, the rest may not.</param>
public abstract record PromptBlock(int Position, string Prefix, bool? Shortenable)
{
    /// <summary>Whether it may be cut.</summary>
    public bool MayBeCut => Shortenable ?? this is FieldBlock;
}

/// <summary>Text of the template's author. Special tokens that it spells out are meant.</summary>
/// <param name="Position">Where it begins.</param>
/// <param name="Prefix">The space before it.</param>
/// <param name="Shortenable">Whether it may be cut.</param>
/// <param name="Text">The text.</param>
public sealed record TextBlock(int Position, string Prefix, bool? Shortenable, string Text) : PromptBlock(Position, Prefix, Shortenable);

/// <summary>A field of the example (<c>placeholder</c>).</summary>
/// <param name="Position">Where it begins.</param>
/// <param name="Prefix">The space before it.</param>
/// <param name="Shortenable">Whether it may be cut.</param>
/// <param name="Field">The field's name.</param>
/// <param name="Filter">What is done to its text.</param>
public sealed record FieldBlock(
    int Position,
    string Prefix,
    bool? Shortenable,
    string Field,
    TextFilter Filter) : PromptBlock(Position, Prefix, Shortenable);

/// <summary>
/// A value that belongs to the example but is not one of its texts (<c>meta</c>), such as a choice or a word in question.
/// </summary>
/// <param name="Position">Where it begins.</param>
/// <param name="Prefix">The space before it.</param>
/// <param name="Shortenable">Whether it may be cut.</param>
/// <param name="Name">The value's name.</param>
/// <param name="Filter">What is done to its text.</param>
public sealed record MetaBlock(
    int Position,
    string Prefix,
    bool? Shortenable,
    string Name,
    TextFilter Filter) : PromptBlock(Position, Prefix, Shortenable);

/// <summary>The place of an answer.</summary>
/// <param name="Position">Where it begins.</param>
/// <param name="Prefix">The space before it.</param>
/// <param name="Shortenable">Whether it may be cut.</param>
public sealed record MaskBlock(int Position, string Prefix, bool? Shortenable) : PromptBlock(Position, Prefix, Shortenable);

/// <summary>A special token by its purpose, such as <c>&lt;sep&gt;</c>, or as the tokenizer spells it.</summary>
/// <param name="Position">Where it begins.</param>
/// <param name="Prefix">The space before it; it is not used.</param>
/// <param name="Shortenable">Whether it may be cut.</param>
/// <param name="Token">The token.</param>
public sealed record SpecialBlock(int Position, string Prefix, bool? Shortenable, string Token)
    : PromptBlock(Position, Prefix, Shortenable);

/// <summary>Soft tokens: places whose vectors are learned.</summary>
/// <param name="Position">Where it begins.</param>
/// <param name="Prefix">The space before it, which belongs to the words.</param>
/// <param name="Shortenable">Whether it may be cut.</param>
/// <param name="Words">The words that the vectors start from; null for random ones.</param>
/// <param name="Id">A number by which another block means the same vectors, or null.</param>
/// <param name="Count">How many there are, where no words say it (<c>duplicate</c>).</param>
/// <param name="Same">Whether all of them share one vector (<c>same</c>).</param>
public sealed record SoftBlock(
    int Position,
    string Prefix,
    bool? Shortenable,
    string? Words,
    int? Id,
    int Count,
    bool Same) : PromptBlock(Position, Prefix, Shortenable);
