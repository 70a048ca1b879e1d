using System.Text;

namespace Polymath.Text;

/// <summary>
/// One step of turning tokens back into text. Steps get tokens one by one and pass on the text that is final; for one text and one thread.
/// </summary>
/// <param name="next">The next step.</param>
internal abstract class DecoderStage(DecoderStage? next)
{
    /// <summary>The next step; the last step has none.</summary>
    protected DecoderStage Next => next!;

    /// <summary>Processes a token, or a piece of text that an earlier step has joined.</summary>
    public abstract void Push(string token);

    /// <summary>Ends the text.</summary>
    public virtual void Finish() => next!.Finish();
}

/// <summary>Collects the text.</summary>
internal sealed class CollectingStage(StringBuilder text, string separator) : DecoderStage(null)
{
    private bool started;

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (started)
            text.Append(separator);
        started = true;
        text.Append(token);
    }

    /// <inheritdoc/>
    public override void Finish() => started = false;
}

/// <summary>
/// Decodes the byte alphabet and joins the bytes to characters; a token that is not written in this alphabet stands for its own bytes.
/// </summary>
internal sealed class ByteLevelStage(DecoderStage next) : DecoderStage(next)
{
    private readonly Decoder decoder = Encoding.UTF8.GetDecoder();

    /// <inheritdoc/>
    public override void Push(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            var value = ByteAlphabet.ByteOf(token[i]);
            if (value < 0)
            {
                bytes = Encoding.UTF8.GetBytes(token);
                break;
            }

            bytes[i] = (byte)value;
        }

        Emit(bytes, false);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        Emit([], true);
        base.Finish();
    }

    private void Emit(byte[] bytes, bool flush)
    {
        var characters = new char[decoder.GetCharCount(bytes, flush)];
        var count = decoder.GetChars(bytes, characters, flush);
        if (count > 0)
            Next.Push(new string(characters, 0, count));
    }
}

/// <summary>Joins runs of byte tokens (<c>&lt;0xE5&gt;</c>) to text; in a run that is not UTF-8 each byte becomes U+FFFD.</summary>
internal sealed class ByteFallbackStage(DecoderStage next) : DecoderStage(next)
{
    private static readonly UTF8Encoding Strict = new(false, true);
    private readonly List<byte> run = [];

    /// <summary>The byte a token stands for, or -1.</summary>
    public static int ByteOf(string token)
        => token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal)
            && token[5] == '>' && char.IsAsciiHexDigit(token[3]) && char.IsAsciiHexDigit(token[4])
            ? Convert.ToByte(token.Substring(3, 2), 16)
            : -1;

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (ByteOf(token) is >= 0 and var value)
        {
            run.Add((byte)value);
            return;
        }

        End();
        Next.Push(token);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        End();
        base.Finish();
    }

    private void End()
    {
        if (run.Count == 0)
            return;
        var bytes = run.ToArray();
        run.Clear();
        if (System.Text.Unicode.Utf8.IsValid(bytes))
        {
            Next.Push(Strict.GetString(bytes));
            return;
        }

        for (var i = 0; i < bytes.Length; i++)
            Next.Push("\uFFFD");
    }
}

/// <summary>Replaces a pattern in each token, or in the joined text.</summary>
internal sealed class ReplaceStage(DecoderStage next, TextPattern pattern, string content, bool fused) : DecoderStage(next)
{
    // A longer pattern could cross two pieces of a joined text, so nothing is final before its end.
    private readonly StringBuilder? held = fused && pattern.Literal is not { Length: 1 } ? new StringBuilder() : null;

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (held is null)
            Next.Push(pattern.Replace(token, content));
        else
            held.Append(token);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        if (held is { Length: > 0 })
            Next.Push(pattern.Replace(held.ToString(), content));
        held?.Clear();
        base.Finish();
    }
}

/// <summary>Removes up to a number of one character from the ends of each token, or of the joined text.</summary>
internal sealed class StripStage(
    DecoderStage next,
    char content,
    int start,
    int stop,
    bool fused) : DecoderStage(next)
{
    private readonly int ahead = start;
    private int left = start;
    private string tail = "";

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (!fused)
        {
            var left = ahead;
            Next.Push(CutEnd(CutStart(token, ref left)));
            return;
        }

        var text = tail + CutStart(token, ref left);
        var hold = text.Length;
        while (hold > 0 && text.Length - hold < stop && text[hold - 1] == content)
            hold--;
        tail = text[hold..];
        if (hold > 0)
            Next.Push(text[..hold]);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        if (CutEnd(tail) is { Length: > 0 } rest)
            Next.Push(rest);
        (tail, left) = ("", ahead);
        base.Finish();
    }

    private string CutStart(string token, ref int left)
    {
        var cut = 0;
        while (cut < token.Length && left > 0 && token[cut] == content)
            (cut, left) = (cut + 1, left - 1);
        if (cut < token.Length)
            left = 0;
        return token[cut..];
    }

    private string CutEnd(string token)
    {
        var end = token.Length;
        while (end > 0 && token.Length - end < stop && token[end - 1] == content)
            end--;
        return token[..end];
    }
}

/// <summary>Turns the visible sign for a space into a space, and drops it in the first token when a space was put in front.</summary>
internal sealed class MetaspaceStage(DecoderStage next, char replacement, bool prepended, bool fused) : DecoderStage(next)
{
    private bool first = true;

    /// <inheritdoc/>
    public override void Push(string token)
    {
        var drop = first && prepended;
        first = first && fused;
        Next.Push(drop ? token.Replace(replacement.ToString(), "", StringComparison.Ordinal) : token.Replace(replacement, ' '));
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        first = true;
        base.Finish();
    }
}

/// <summary>Turns the suffix that ends a word into a space, and into nothing at the end of the text.</summary>
internal sealed class WordSuffixStage(DecoderStage next, string suffix) : DecoderStage(next)
{
    private string? held;

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (held is not null)
            Next.Push(held.Replace(suffix, " ", StringComparison.Ordinal));
        held = token;
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        if (held is not null)
            Next.Push(held.Replace(suffix, "", StringComparison.Ordinal));
        held = null;
        base.Finish();
    }
}
