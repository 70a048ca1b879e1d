using Polymath.Recipes;
using Polymath.Text.Packing;

namespace Polymath.Text.Templates;

/// <summary>
/// A text for a head over labels: with the tokens that the tokenizer itself puts around a text, as in transformers. Special tokens that are
/// written in the text are only characters.
/// </summary>
public sealed class LabelledText
{
    private const string Sample = "a";

    private readonly Tokenizer tokenizer;
    private readonly int[] open, close;

    /// <summary>The text reader for a tokenizer.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    public LabelledText(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        this.tokenizer = tokenizer;
        (open, close) = FrameOf(tokenizer);
    }

    /// <summary>The tokens that a tokenizer puts before and behind a text.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <exception cref="InputException">They cannot be known.</exception>
    public static (int[] Open, int[] Close) FrameOf(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        int[] bare = tokenizer.Encode(Sample), whole = tokenizer.Encode(Sample, addSpecialTokens: true);
        var at = bare.Length == 0 ? -1 : whole.AsSpan().IndexOf(bare);
        // A tokenizer that truncates its texts to fewer tokens gives no result here.
        if (at < 0)
            throw new InputException("The tokenizer gives the text \"a\" no tokens, or other tokens when special tokens are added: what a "
                + "head over labels would read is unknown. Use another tokenizer.");
        return (whole[..at], whole[(at + bare.Length)..]);
    }

    /// <summary>The tokens of a text.</summary>
    /// <param name="key">The row's name in messages.</param>
    /// <param name="text">The text.</param>
    /// <param name="maxLength">The most tokens: the text's end is cut off, and the tokens around it are kept.</param>
    /// <exception cref="InputException">Nothing is left to read.</exception>
    public TokenRow Read(string key, string text, int maxLength = int.MaxValue)
    {
        var ids = tokenizer.EncodePlain(text);
        var room = maxLength - open.Length - close.Length;
        if (ids.Length + open.Length + close.Length == 0)
            throw new InputException($"The row {key} is empty, and the tokenizer adds no tokens: there is nothing to read a label "
                + "from. Filter such rows with where: [{field: FIELD, minimumLength: 1}].");
        if (room < 1)
            throw new InputException($"Rows of {maxLength} tokens leave no room with the {open.Length + close.Length} special ones. "
                + "Raise batch.maxLength.");
        int[] whole = [.. open, .. ids.AsSpan(0, Math.Min(ids.Length, room)), .. close];
        return new TokenRow(whole, new float[whole.Length], key);
    }
}
