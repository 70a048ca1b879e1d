namespace Polymath.Text;

/// <summary>Puts spaces before the tokens that begin a word, and removes spaces before signs and contractions.</summary>
internal sealed class WordPieceStage(DecoderStage next, string prefix, bool cleans, bool fused) : DecoderStage(next)
{
    private static readonly (string Dirty, string Clean)[] Rules =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
        (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    private readonly System.Text.StringBuilder? held = fused ? new System.Text.StringBuilder() : null;
    private bool first = true;

    /// <summary>A text without spaces before signs and contractions.</summary>
    public static string Clean(string text) =>
        Rules.Aggregate(text, (current, rule) => current.Replace(rule.Dirty, rule.Clean, StringComparison.Ordinal));

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (held is not null)
        {
            held.Append(token);
            return;
        }

        if (!first)
            token = token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token;
        first = false;
        Next.Push(cleans ? Clean(token) : token);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        if (held is { Length: > 0 })
            Next.Push(cleans ? Clean(held.ToString()) : held.ToString());
        held?.Clear();
        first = true;
        base.Finish();
    }
}

/// <summary>
/// Writes the output of connectionist temporal classification (Graves et al. 2006): repeats count once, and the blank is dropped.
/// </summary>
internal sealed class ConnectionistStage(
    DecoderStage next,
    string pad,
    string delimiter,
    bool cleans,
    bool fused) : DecoderStage(next)
{
    private readonly System.Text.StringBuilder? held = fused ? new System.Text.StringBuilder() : null;
    private string? last;

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (held is not null)
            held.Append(token);
        else if (token != last)
            Write(last = token);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        if (held is { Length: > 0 })
            Write(held.ToString());
        held?.Clear();
        last = null;
        base.Finish();
    }

    private void Write(string token)
    {
        var text = pad.Length == 0 ? token : token.Replace(pad, "", StringComparison.Ordinal);
        if (cleans)
        {
            text = WordPieceStage.Clean(text);
            text = delimiter.Length == 0 ? text : text.Replace(delimiter, " ", StringComparison.Ordinal);
        }

        if (text.Length > 0)
            Next.Push(text);
    }
}
