using Polymath.Recipes;
using Polymath.Text.Packing;

namespace Polymath.Text.Templates;

/// <summary>The kinds of spans of a rendered example.</summary>
public enum SpanKind
{
    /// <summary>Text: characters that look like a special token are only characters.</summary>
    Text,

    /// <summary>A special token, by name.</summary>
    Special,

    /// <summary>
    /// A template's own text: special tokens that are written in it are special tokens. Neighbouring spans are read as one text.
    /// </summary>
    Marked,
}

/// <summary>A span of a rendered example.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Text">The text, or the special token's name.</param>
/// <param name="Learn">Whether its tokens are targets.</param>
/// <param name="Shortenable">Whether its end may be cut off when the row is too long.</param>
/// <param name="Weight">The weight of its tokens in the loss, when they are targets.</param>
public readonly record struct RenderedSpan(
    SpanKind Kind,
    string Text,
    bool Learn,
    bool Shortenable = false,
    float Weight = 1)
{
    /// <summary>The weight of the span's tokens as targets; 0 for context.</summary>
    public float Target => Learn ? Weight : 0;
}

/// <summary>A remark that a template changed or left out a part of a message.</summary>
/// <param name="Message">The message's number, from 0.</param>
/// <param name="Kind">The kind of change.</param>
/// <param name="Name">The changed part, such as a key of the message.</param>
public readonly record struct LayoutRemark(int Message, LayoutRemarkKind Kind, string Name);

/// <summary>The kinds of <see cref="LayoutRemark"/>.</summary>
public enum LayoutRemarkKind
{
    /// <summary>An answer is printed with changes.</summary>
    AnswerChanged,

    /// <summary>An answer is not printed.</summary>
    AnswerLeftOut,

    /// <summary>The thought before an answer is not printed.</summary>
    ThoughtLeftOut,

    /// <summary>The tools that may be called are not printed.</summary>
    ToolsLeftOut,

    /// <summary>A key of a message is not printed.</summary>
    KeyLeftOut,

    /// <summary>An answer is read, and not learned.</summary>
    AnswerOnlyRead,
}

/// <summary>An example as a template renders it: what the model reads, and which parts it learns.</summary>
/// <param name="Key">The example's name in messages.</param>
/// <param name="Spans">The spans, in order.</param>
public sealed record Rendering(string Key, IReadOnlyList<RenderedSpan> Spans)
{
    /// <summary>The parts of the messages that the model does not see, or sees changed.</summary>
    public IReadOnlyList<LayoutRemark> Remarks { get; init; } = [];

    /// <summary>The texts of the spans that are text.</summary>
    public IEnumerable<string> Texts => Spans.Where(span => span.Kind != SpanKind.Special).Select(span => span.Text);

    /// <summary>Turns the spans into tokens.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="maxLength">The most tokens: shortenable spans are cut at their ends, the last span first, as far as needed and
    /// possible.</param>
    public TokenRow Tokenize(Tokenizer tokenizer, int maxLength = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (Spans.Any(span => span.Kind == SpanKind.Marked)) return TokenizeMarked(tokenizer);
        var pieces = Spans.Select(span => Plain(span, tokenizer)).ToArray();
        var over = pieces.Sum(piece => (long)piece.Length) - maxLength;
        for (var i = pieces.Length - 1; i >= 0 && over > 0; i--)
        {
            if (!Spans[i].Shortenable) continue;
            var cut = (int)Math.Min(over, pieces[i].Length);
            pieces[i] = pieces[i][..^cut];
            over -= cut;
        }
        var learn = pieces.SelectMany((piece, i) => Enumerable.Repeat(Spans[i].Target, piece.Length));
        return new TokenRow([.. pieces.SelectMany(piece => piece)], [.. learn], Key);
    }

    private static int[] Plain(RenderedSpan span, Tokenizer tokenizer) =>
        span.Kind == SpanKind.Special ? [SpecialId(tokenizer, span.Text)] : tokenizer.EncodePlain(span.Text);

    private TokenRow TokenizeMarked(Tokenizer tokenizer)
    {
        List<int> ids = [];
        List<float> learn = [];
        for (var i = 0; i < Spans.Count;)
        {
            var run = Spans.Skip(i).TakeWhile(span => span.Kind == SpanKind.Marked).ToList();
            if (run.Count == 0)
            {
                var plain = Plain(Spans[i], tokenizer);
                ids.AddRange(plain);
                learn.AddRange(Enumerable.Repeat(Spans[i++].Target, plain.Length));
                continue;
            }
            var (text, weights) = InParts(run, tokenizer);
            ids.AddRange(text);
            learn.AddRange(weights);
            i += run.Count;
        }
        return new TokenRow([.. ids], [.. learn], Key);
    }

    /// <summary>
    /// The tokens of a text, tokenized whole as in transformers. Special tokens part a text: where the parts alone give the tokens of the
    /// whole, borders are looked for in the parts, so that a conversation of many turns takes time in proportion to its length.
    /// </summary>
    private static (int[] Ids, float[] Learn) InParts(List<RenderedSpan> run, Tokenizer tokenizer)
    {
        var whole = tokenizer.Encode(string.Concat(run.Select(span => span.Text)));
        var parts = Parted(run, tokenizer);
        if (parts.Count < 3)
            return (whole, Aligned(run, whole, tokenizer));
        var alone = parts.ConvertAll(part => tokenizer.Encode(string.Concat(part.Select(span => span.Text))));
        if (!alone.SelectMany(ids => ids).SequenceEqual(whole))
            return (whole, Aligned(run, whole, tokenizer));
        return (whole, [.. parts.Zip(alone).SelectMany(pair => Aligned(pair.First, pair.Second, tokenizer))]);
    }

    // Each part but the first begins with a special token.
    private static List<List<RenderedSpan>> Parted(List<RenderedSpan> run, Tokenizer tokenizer)
    {
        var parts = new List<List<RenderedSpan>> { new() };
        foreach (var span in run)
        {
            var mark = tokenizer.SpecialTokens.Keys.Select(name => span.Text.IndexOf(name, StringComparison.Ordinal))
                .Where(place => place >= 0).DefaultIfEmpty(-1).Min();
            if (mark < 0)
            {
                parts[^1].Add(span);
                continue;
            }
            if (mark > 0)
                parts[^1].Add(span with { Text = span.Text[..mark] });
            parts.Add([span with { Text = span.Text[mark..] }]);
        }
        return [.. parts.Where(part => part.Count > 0)];
    }

    // The weights of a text's tokens; a token across a border is learned if any part of it is.
    private static float[] Aligned(List<RenderedSpan> run, int[] whole, Tokenizer tokenizer)
    {
        var learn = new float[whole.Length];
        var before = "";
        var from = 0;
        for (var i = 0; i < run.Count; i++)
        {
            before += run[i].Text;
            var prefix = i + 1 == run.Count ? whole : tokenizer.Encode(before);
            var until = i + 1 == run.Count ? whole.Length : Math.Max(from, whole.AsSpan().CommonPrefixLength(prefix));
            var across = i + 1 < run.Count && until < prefix.Length && until < whole.Length;
            if (run[i].Learn) learn.AsSpan(from, until - from + (across ? 1 : 0)).Fill(run[i].Weight);
            from = until;
        }
        return learn;
    }

    private static int SpecialId(Tokenizer tokenizer, string name) =>
        tokenizer.IdOf(name) ?? throw new InputException($"The tokenizer has no token {name}, which the template needs.");
}
