using Polymath.Recipes;
using Polymath.Text.Packing;

namespace Polymath.Text.Templates;

/// <summary>What a span of a rendered example is.</summary>
public enum SpanKind
{
    /// <summary>Text: characters that look like a special token are only characters.</summary>
    Text,

    /// <summary>A special token, by name.</summary>
    Special,
}

/// <summary>A span of a rendered example.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">The text, or the special token's name.</param>
/// <param name="Learn">Whether its tokens are targets.</param>
/// <param name="Shortenable">Whether its end may be cut off when the row is too long.</param>
public readonly record struct RenderedSpan(SpanKind Kind, string Text, bool Learn, bool Shortenable = false);

/// <summary>An example as a template renders it: what the model reads, and which parts it learns.</summary>
/// <param name="Key">The example's name in messages.</param>
/// <param name="Spans">The spans, in order.</param>
public sealed record Rendering(string Key, IReadOnlyList<RenderedSpan> Spans)
{
    /// <summary>The texts of the spans that are text.</summary>
    public IEnumerable<string> Texts => Spans.Where(span => span.Kind == SpanKind.Text).Select(span => span.Text);

    /// <summary>Turns the spans into tokens.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="maxLength">The most tokens: shortenable spans are cut at their ends, the last span first, as far as needed and possible.</param>
    public TokenRow Tokenize(Tokenizer tokenizer, int maxLength = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        var pieces = Spans.Select(span => span.Kind == SpanKind.Special ? [SpecialId(tokenizer, span.Text)] : tokenizer.EncodePlain(span.Text)).ToArray();
        var over = pieces.Sum(piece => (long)piece.Length) - maxLength;
        for (var i = pieces.Length - 1; i >= 0 && over > 0; i--)
        {
            if (!Spans[i].Shortenable) continue;
            var cut = (int)Math.Min(over, pieces[i].Length);
            pieces[i] = pieces[i][..^cut];
            over -= cut;
        }
        var learn = pieces.SelectMany((piece, i) => Enumerable.Repeat(Spans[i].Learn ? 1f : 0f, piece.Length));
        return new TokenRow([.. pieces.SelectMany(piece => piece)], [.. learn], Key);
    }

    static int SpecialId(Tokenizer tokenizer, string name) =>
        tokenizer.IdOf(name) ?? throw new InputException($"The tokenizer has no token {name}, which the template needs.");
}
