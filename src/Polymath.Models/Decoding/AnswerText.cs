using Polymath.Text;

namespace Polymath.Models.Decoding;

/// <summary>
/// Decodes an answer token by token. The answer that continues a text keeps the space between the two: it is the text of prompt and answer
/// together, without the prompt's own text, as in transformers and llama.cpp.
/// </summary>
internal sealed class AnswerText
{
    private readonly TokenStream stream;

    // The end of the prompt's text that the decoder still holds back.
    private string owed = "";

    /// <summary>A decoder of one answer.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="continued">The tokens that the answer continues; null for an answer that is a text of its own.</param>
    internal AnswerText(Tokenizer tokenizer, int[]? continued)
    {
        stream = tokenizer.NewStream();
        if (continued is null) return;
        var shown = string.Concat(continued.Select(stream.Append));
        var whole = tokenizer.Decode(continued);
        if (whole.StartsWith(shown, StringComparison.Ordinal)) owed = whole[shown.Length..];
    }

    /// <summary>Adds a token and returns the new text that is final.</summary>
    internal string Append(int token) => Beyond(stream.Append(token));

    /// <summary>Ends the answer and returns the remaining text.</summary>
    internal string Flush() => Beyond(stream.Flush());

    private string Beyond(string text)
    {
        if (owed.Length == 0) return text;
        var same = 0;
        while (same < owed.Length && same < text.Length && owed[same] == text[same]) same++;
        owed = same == text.Length ? owed[same..] : "";
        return text[same..];
    }
}
