using System.Text;

namespace Polymath.Text;

/// <summary>Decodes ids one by one; the text equals that of decoding all at once. For one thread.</summary>
public sealed class TokenStream
{
    private readonly Func<int, string?> tokenOf;
    private readonly DecoderStage first;
    private readonly StringBuilder ready;

    internal TokenStream(Func<int, string?> tokenOf, DecoderStage first, StringBuilder ready)
    {
        this.tokenOf = tokenOf;
        this.first = first;
        this.ready = ready;
    }

    /// <summary>Adds one id.</summary>
    /// <param name="id">The id; an id without a token adds nothing.</param>
    /// <returns>The new text that is final: never half a character, often empty.</returns>
    public string Append(int id)
    {
        Feed(id);
        return Take();
    }

    /// <summary>Ends the sequence.</summary>
    /// <returns>The remaining text.</returns>
    public string Flush()
    {
        first.Finish();
        return Take();
    }

    internal void Feed(int id)
    {
        if (tokenOf(id) is { } token)
            first.Push(token);
    }

    private string Take()
    {
        if (ready.Length == 0)
            return "";
        var text = ready.ToString();
        ready.Clear();
        return text;
    }
}
