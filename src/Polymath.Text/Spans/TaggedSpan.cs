using System.Globalization;

namespace Polymath.Text.Spans;

/// <summary>An entity in a sentence.</summary>
/// <param name="Start">The number of its first word, from 0.</param>
/// <param name="End">The number of the word behind its last one.</param>
/// <param name="Kind">What it is.</param>
public readonly record struct TaggedSpan(int Start, int End, string Kind)
{
    private const string Outside = "O", Plain = "_";

    /// <summary>The number of its words.</summary>
    public int Length => End - Start;

    /// <summary>Whether it shares a word with another one.</summary>
    /// <param name="other">The other one.</param>
    public bool Overlaps(TaggedSpan other) => Start < other.End && other.Start < End;

    /// <summary>
    /// The entities that a sentence's tags name, as seqeval's usual mode reads them: in the schemes IOB1, IOB2, IOE, IOBES, BMES and BILOU,
    /// and tags that are kinds alone. An entity begins at B, S and U, at another kind, and behind O or the end of another one.
    /// </summary>
    /// <param name="tags">The tag of each word.</param>
    public static IReadOnlyList<TaggedSpan> Of(IReadOnlyList<string> tags)
    {
        ArgumentNullException.ThrowIfNull(tags);
        var found = new List<TaggedSpan>();
        var (before, kind, start) = (Outside[0], "", 0);
        for (var i = 0; i <= tags.Count; i++)
        {
            var (place, own) = i < tags.Count ? Read(tags[i]) : (Outside[0], "");
            if (before != Outside[0] && (Ends(before, place) || kind != own)) found.Add(new TaggedSpan(start, i, kind));
            if (place != Outside[0] && (Begins(before, place) || kind != own)) start = i;
            (before, kind) = (place, own);
        }
        return found;
    }

    private static bool Ends(char before, char place) => before is 'E' or 'S' || place is 'B' or 'S' or 'O';

    private static bool Begins(char before, char place) => place is 'B' or 'S' || before is 'E' or 'S' or 'O';

    // The place within an entity, in the letters of IOBES, and the kind.
    private static (char Place, string Kind) Read(string tag)
    {
        if (tag is Outside or "") return (Outside[0], "");
        if (tag.Length > 1 && tag[1] is '-' or '_' && Letter(tag[0]) is { } letter) return (letter, tag[2..]);
        return tag.Length == 1 && Letter(tag[0]) is { } alone ? (alone, Plain) : ('I', tag);
    }

    private static char? Letter(char place) => place switch
    {
        'B' or 'I' or 'E' or 'S' => place,
        'M' => 'I',
        'L' => 'E',
        'U' or 'W' => 'S',
        _ => null,
    };

    /// <summary>The words of a sentence.</summary>
    /// <param name="text">The items of a list, one a line; or a text.</param>
    /// <param name="join">What stands between words; where nothing does, each character of a text without lines is a word.</param>
    public static IReadOnlyList<string> Words(string text, string join)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Contains('\n', StringComparison.Ordinal)) return text.Split('\n');
        if (join.Length > 0) return text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        var characters = StringInfo.GetTextElementEnumerator(text);
        var words = new List<string>();
        while (characters.MoveNext())
            if (!string.IsNullOrWhiteSpace(characters.GetTextElement())) words.Add(characters.GetTextElement());
        return words;
    }

    /// <summary>The tags of a sentence in the scheme IOB2.</summary>
    /// <param name="count">The number of its words.</param>
    /// <param name="spans">Its entities, none of which overlap.</param>
    public static IReadOnlyList<string> Tags(int count, IEnumerable<TaggedSpan> spans)
    {
        ArgumentNullException.ThrowIfNull(spans);
        var tags = Enumerable.Repeat(Outside, count).ToArray();
        foreach (var span in spans)
            for (var i = span.Start; i < span.End; i++) tags[i] = (i == span.Start ? "B-" : "I-") + span.Kind;
        return tags;
    }
}
