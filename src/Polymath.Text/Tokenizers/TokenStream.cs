using System.Text;

namespace Polymath.Text;

/// <summary>Decodes ids one by one into the very text that decoding them all at once would give. For one thread.</summary>
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

    /// <summary>Takes one more id.</summary>
    /// <param name="id">The id; one without a token stands for nothing.</param>
    /// <returns>The text that is certain by now and was not given before: never half a character, often empty.</returns>
    public string Append(int id)
    {
        Feed(id);
        return Take();
    }

    /// <summary>Ends the sequence.</summary>
    /// <returns>The text that was not given before.</returns>
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
