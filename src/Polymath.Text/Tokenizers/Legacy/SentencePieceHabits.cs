namespace Polymath.Text;

/// <summary>How the tokenizer of a model uses its SentencePiece file.</summary>
/// <param name="Name">The name of the habits.</param>
/// <param name="Offset">The number added to the ids of the file.</param>
/// <param name="MarksSpaces">Whether line breaks, tabs and runs of spaces are written as marks first.</param>
/// <param name="SpaceOnlyFirst">Whether a space is put in front of the whole text only, and not also after a special token.</param>
/// <param name="Added">The tokens that are found in the text itself.</param>
/// <param name="Named">The tokens that are known by name only.</param>
/// <param name="Post">The tokens around a text.</param>
/// <param name="ShowsUnknown">Whether the unknown token is written by its name and not by the sign of the file.</param>
internal sealed record SentencePieceHabits(
    string Name,
    int Offset,
    bool MarksSpaces,
    bool SpaceOnlyFirst,
    IReadOnlyList<AddedToken> Added,
    IReadOnlyList<AddedToken> Named,
    PostProcessor Post,
    bool ShowsUnknown = false);

/// <summary>
/// The marks of ChatGLM's first tokenizer: <c>&lt;n&gt;</c> for a line break, <c>&lt;|tab|&gt;</c>, and <c>&lt;|blank_k|&gt;</c> for a run
/// of spaces.
/// </summary>
internal static class SpaceMarks
{
    /// <summary>The longest run of spaces with its own mark.</summary>
    public const int LongestBlank = 80;

    /// <summary>The mark of a line break.</summary>
    public const string Break = "<n>";

    /// <summary>The mark of a tab.</summary>
    public const string Tab = "<|tab|>";

    /// <summary>The mark of a run of spaces.</summary>
    public static string Blank(int length) => $"<|blank_{length}|>";

    /// <summary>
    /// Writes the marks: for a long run of spaces, as many of the longest mark as fit, then the rest; a single space does not change.
    /// </summary>
    public static string Write(string text)
    {
        var result = new System.Text.StringBuilder(text.Length + 16);
        for (var i = 0; i < text.Length;)
        {
            var run = 0;
            while (i + run < text.Length && text[i + run] == ' ' && run < LongestBlank)
                run++;
            if (run > 1)
                result.Append(Blank(run));
            else
                result.Append(text[i] switch { '\n' => Break, '\t' => Tab, var unit => unit.ToString() });
            i += Math.Max(1, run);
        }

        return result.ToString();
    }
}

/// <summary>Turns the marks of spaces into spaces; holds back only text that may become a mark.</summary>
internal sealed class SpaceMarkStage(DecoderStage next) : DecoderStage(next)
{
    private static readonly (string Mark, string Text)[] Marks =
        [(SpaceMarks.Break, "\n"), (SpaceMarks.Tab, "\t"), .. Enumerable.Range(2, SpaceMarks.LongestBlank - 1)
            .Select(length => (SpaceMarks.Blank(length), new string(' ', length)))];

    private string held = "";

    /// <inheritdoc/>
    public override void Push(string token)
    {
        var text = held + token;
        foreach (var (mark, written) in Marks)
            text = text.Replace(mark, written, StringComparison.Ordinal);
        var open = text.LastIndexOf('<');
        var holds = open >= 0 && Array.Exists(Marks, each => each.Mark.AsSpan().StartsWith(text.AsSpan(open), StringComparison.Ordinal));
        held = holds ? text[open..] : "";
        var ready = holds ? text[..open] : text;
        if (ready.Length > 0)
            Next.Push(ready);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        if (held.Length > 0)
            Next.Push(held);
        held = "";
        base.Finish();
    }
}

/// <summary>
/// Joins pieces to text as SentencePiece does: bytes to characters, signs to spaces, without the space that was put in front.
/// </summary>
internal sealed class SentencePieceStage(DecoderStage next, SentencePieceFile file) : DecoderStage(next)
{
    private readonly List<byte> bytes = [];
    private bool opens = true, consumed, written;

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (file.ByteFallback && ByteFallbackStage.ByteOf(token) is >= 0 and var value)
        {
            bytes.Add((byte)value);
            return;
        }

        WriteBytes();
        if (consumed || written)
            opens = false;
        consumed = false;
        if (opens && (file.AddsSpace || file.DropsSpaces) && token.StartsWith('\u2581'))
        {
            token = token[1..];
            consumed = !file.DropsSpaces;
        }

        Write(token.Replace('\u2581', ' '));
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        WriteBytes();
        (opens, consumed, written) = (true, false, false);
        base.Finish();
    }

    private void Write(string text)
    {
        if (text.Length == 0)
            return;
        written = true;
        Next.Push(text);
    }

    // Each byte that belongs to no character becomes U+FFFD.
    private void WriteBytes()
    {
        if (this.bytes.Count == 0)
            return;
        var text = new System.Text.StringBuilder();
        var bytes = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(this.bytes);
        while (!bytes.IsEmpty)
        {
            var sound = System.Text.Rune.DecodeFromUtf8(bytes, out var rune, out var count) == System.Buffers.OperationStatus.Done;
            text.Append(sound ? rune.ToString() : "\uFFFD");
            bytes = bytes[(sound ? count : 1)..];
        }

        this.bytes.Clear();
        Write(text.ToString());
    }
}
