namespace Polymath.Text.Templates.Jinja;

/// <summary>Goes through a template's tokens one by one.</summary>
/// <param name="tokens">The tokens; the last is the end.</param>
internal sealed class TokenReader(List<JinjaToken> tokens)
{
    /// <summary>The place of the current token.</summary>
    public int At { get; private set; }

    /// <summary>The current token.</summary>
    public JinjaToken Current => tokens[At];

    /// <summary>The token after the current one.</summary>
    public JinjaToken Following => tokens[Math.Min(At + 1, tokens.Count - 1)];

    /// <summary>Returns the current token and moves to the next.</summary>
    public JinjaToken Next()
    {
        var token = Current;
        if (At + 1 < tokens.Count)
            At++;
        return token;
    }

    /// <summary>Skips an operator, if it is the current token.</summary>
    public bool Skip(string sign) => Current.Is(sign) && Next().Is(sign);

    /// <summary>Skips a word, if it is the current token.</summary>
    public bool SkipName(string word) => Current.IsName(word) && Next().IsName(word);

    /// <summary>Skips an operator, which must be the current token.</summary>
    public void Expect(string sign)
    {
        if (!Skip(sign))
            throw Fault($"'{sign}' is expected, found {Current.Shown}");
    }

    /// <summary>Skips a word, which must be the current token.</summary>
    public void ExpectName(string word)
    {
        if (!SkipName(word))
            throw Fault($"'{word}' is expected, found {Current.Shown}");
    }

    /// <summary>Skips a token of a kind, which must be the current token.</summary>
    public string Expect(TokenKind kind) => Current.Kind == kind ? Next().Value
        : throw Fault($"{(kind switch { TokenKind.Name => "a name", TokenKind.BlockEnd => "'%}'", _ => "'}}'" })} is expected, found "
            + $"{Current.Shown}");

    /// <summary>Whether a word occurs between two places, but not as a member.</summary>
    public bool Speaks(string word, int from)
    {
        for (var i = from; i < At; i++)
        {
            if (tokens[i].IsName(word) && !(i > 0 && tokens[i - 1].Is(".")))
                return true;
        }
        return false;
    }

    /// <summary>A fault at the current token.</summary>
    public JinjaFault Fault(string problem) => new(problem) { Line = Current.Line };
}
