namespace Polymath.Text;

/// <summary>Puts spaces before the tokens that begin a word, and takes spaces before signs and contractions away.</summary>
internal sealed class WordPieceStage(DecoderStage next, string prefix, bool cleans, bool fused) : DecoderStage(next)
{
    private static readonly (string Dirty, string Clean)[] Rules =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
        (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    private readonly System.Text.StringBuilder? _held = fused ? new System.Text.StringBuilder() : null;
    private bool _first = true;

    /// <summary>A text without spaces before signs and contractions.</summary>
    public static string Clean(string text) =>
        Rules.Aggregate(text, (current, rule) => current.Replace(rule.Dirty, rule.Clean, StringComparison.Ordinal));

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (_held is not null)
        {
            _held.Append(token);
            return;
        }

        if (!_first)
            token = token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token;
        _first = false;
        Next.Push(cleans ? Clean(token) : token);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        if (_held is { Length: > 0 })
            Next.Push(cleans ? Clean(_held.ToString()) : _held.ToString());
        _held?.Clear();
        _first = true;
        base.Finish();
    }
}

/// <summary>
/// Writes the output of connectionist temporal classification (Graves et al. 2006): repeats count once, the blank is nothing.
/// </summary>
internal sealed class ConnectionistStage(
    DecoderStage next,
    string pad,
    string delimiter,
    bool cleans,
    bool fused) : DecoderStage(next)
{
    private readonly System.Text.StringBuilder? _held = fused ? new System.Text.StringBuilder() : null;
    private string? _last;

    /// <inheritdoc/>
    public override void Push(string token)
    {
        if (_held is not null)
            _held.Append(token);
        else if (token != _last)
            Write(_last = token);
    }

    /// <inheritdoc/>
    public override void Finish()
    {
        if (_held is { Length: > 0 })
            Write(_held.ToString());
        _held?.Clear();
        _last = null;
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
