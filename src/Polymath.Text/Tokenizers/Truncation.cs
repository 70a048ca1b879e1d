namespace Polymath.Text;

/// <summary>Which of two texts is cut when both together are too long.</summary>
public enum TruncationStrategy
{
    /// <summary>The longer one first, then both equally.</summary>
    LongestFirst,

    /// <summary>The first.</summary>
    OnlyFirst,

    /// <summary>The second.</summary>
    OnlySecond,
}

/// <summary>The limit of the length of sequences.</summary>
/// <param name="MaxLength">The most ids of a sequence, including those that begin, separate and end it.</param>
/// <param name="Strategy">Which of two texts is cut.</param>
/// <param name="FromLeft">Whether the beginning is cut away instead of the end.</param>
public sealed record Truncation(int MaxLength, TruncationStrategy Strategy = TruncationStrategy.LongestFirst, bool FromLeft = false)
{
    /// <summary>Reads the part of a tokenizer file; null when nothing is cut.</summary>
    internal static Truncation? Read(JsonPart? part)
    {
        if (part is not { } given)
            return null;
        var fromLeft = given.Find("direction") is { } direction && direction.Text() switch
        {
            "Left" => true,
            "Right" => false,
            var other => throw direction.Fault($"'{other}' is not one of Left, Right"),
        };
        var strategy = TruncationStrategy.LongestFirst;
        if (given.Find("strategy") is { } named && (!Enum.TryParse(named.Text(), out strategy) || !Enum.IsDefined(strategy)))
            throw named.Fault($"'{named.Text()}' is not one of {string.Join(", ", Enum.GetNames<TruncationStrategy>())}");
        return new(given.Get("max_length").Integer(0, int.MaxValue), strategy, fromLeft);
    }

    /// <summary>Cuts one text.</summary>
    internal void Apply<T>(List<T> ids, int added) => Cut(ids, Math.Max(0, MaxLength - added));

    /// <summary>Cuts two texts.</summary>
    internal void Apply(List<int> first, List<int> second, int added)
    {
        var room = Math.Max(0, MaxLength - added);
        if (first.Count + second.Count <= room)
            return;
        switch (Strategy)
        {
            case TruncationStrategy.OnlyFirst:
                Cut(first, Math.Max(0, room - second.Count));
                break;
            case TruncationStrategy.OnlySecond:
                Cut(second, Math.Max(0, room - first.Count));
                break;
            default:
                var (shorter, longer) = first.Count <= second.Count ? (first, second) : (second, first);
                // Each text gets half, and the longer one gets the extra id, unless the shorter one needs less.
                var least = shorter.Count > room ? shorter.Count : Math.Max(shorter.Count, room - shorter.Count);
                if (shorter.Count + least > room)
                {
                    Cut(shorter, room / 2);
                    Cut(longer, room / 2 + room % 2);
                }
                else
                {
                    Cut(longer, least);
                }

                break;
        }
    }

    /// <summary>
    /// Removes the words of one of two texts that Hugging Face's library never reads: it stops after the word that reaches the maximum
    /// length, and the rest decides how the two texts share the length.
    /// </summary>
    /// <param name="ids">The text's tokens.</param>
    /// <param name="words">The end of each word in them, and whether it is an added token; added tokens are found first, and reading does
    /// not stop at them.</param>
    /// <param name="second">Whether it is the second text.</param>
    internal void Stop(List<int> ids, List<(int End, bool Added)> words, bool second)
    {
        if (Strategy == TruncationStrategy.OnlySecond && !second)
            return;
        var total = ids.Count;
        if (FromLeft)
        {
            for (var word = words.Count - 1; word >= 0; word--)
            {
                var from = word == 0 ? 0 : words[word - 1].End;
                if (words[word].Added || total - from < MaxLength)
                    continue;
                ids.RemoveRange(0, from);
                return;
            }
        }
        else if (words.FindIndex(word => !word.Added && word.End >= MaxLength) is >= 0 and var last)
        {
            ids.RemoveRange(words[last].End, total - words[last].End);
        }
    }

    private void Cut<T>(List<T> ids, int length)
    {
        if (ids.Count <= length)
            return;
        if (FromLeft)
            ids.RemoveRange(0, ids.Count - length);
        else
            ids.RemoveRange(length, ids.Count - length);
    }
}
