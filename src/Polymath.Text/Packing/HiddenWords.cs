using Polymath.Recipes;

namespace Polymath.Text.Packing;

/// <summary>
/// Chooses what a model that reads in both directions has to find: single words behind masks (Devlin et al. 2019), or spans that are taken
/// out (Raffel et al. 2020). What is chosen depends on the row and its stream alone.
/// </summary>
/// <param name="spec">How much is hidden, and how.</param>
/// <param name="vocabulary">The tokens that may stand in place of a word.</param>
public sealed class HiddenWords(MaskSpec spec, IReadOnlyList<int> vocabulary)
{
    /// <summary>How many tokens of some are hidden: the share, at least one.</summary>
    /// <param name="tokens">The tokens that may be hidden.</param>
    public int CountOf(int tokens) => Math.Min(tokens, Math.Max(1, (int)Math.Round(tokens * spec.Share, MidpointRounding.AwayFromZero)));

    /// <summary>
    /// A row with masked words: of those that are chosen, most are read as the mask token, some as any word, and the rest as they are.
    /// </summary>
    /// <param name="row">The row; the tokens that have a weight may be chosen.</param>
    /// <param name="mask">The mask token.</param>
    /// <param name="stream">The row's random numbers.</param>
    public TokenRow Masked(TokenRow row, int mask, RandomStream stream)
    {
        int[] places = [.. Enumerable.Range(0, row.Length).Where(i => row.Learn[i] != 0)],
            seen = [.. row.Ids],
            hidden = [.. row.Ids.Select(_ => -100)];
        var count = CountOf(places.Length);
        for (var i = 0; i < count; i++)
        {
            var other = i + stream.Next(places.Length - i);
            (places[i], places[other]) = (places[other], places[i]);
            var place = places[i];
            hidden[place] = row.Ids[place];
            var kind = stream.NextDouble();
            if (kind < spec.MaskedShare) seen[place] = mask;
            else if (kind < spec.MaskedShare + spec.RandomShare) seen[place] = vocabulary[stream.Next(vocabulary.Count)];
        }
        return row with { Ids = seen, Learn = new float[seen.Length], Hidden = hidden };
    }

    /// <summary>
    /// A row without some spans, as T5 learns it: each span is read as a gap's token, and the answer says behind each gap's token what is
    /// missing there. Spans and what is between them have random lengths. Unlike in T5's own code, a row may begin with a span and end
    /// with what is read, so that any word of a short row may be missing.
    /// </summary>
    /// <param name="row">The row; the tokens that have a weight may be taken out, and they follow each other.</param>
    /// <param name="gaps">The gaps' tokens.</param>
    /// <param name="end">What ends the answer.</param>
    /// <param name="stream">The row's random numbers.</param>
    /// <returns>What is read, and behind it the answer, which has weights.</returns>
    public TokenRow WithGaps(
        TokenRow row,
        IReadOnlyList<int> gaps,
        IReadOnlyList<int> end,
        RandomStream stream)
    {
        ArgumentNullException.ThrowIfNull(gaps);
        int first = Array.FindIndex(row.Learn, weight => weight != 0), last = Array.FindLastIndex(row.Learn, weight => weight != 0);
        var length = last - first + 1;
        // Something is left to read.
        var taken = Math.Max(1, Math.Min(length - 1, CountOf(length)));
        var most = Math.Min(Math.Min(gaps.Count, taken), length - taken + 1);
        var spans = Math.Clamp((int)Math.Round(taken / spec.SpanLength), 1, most);
        int[] missing = Parts(taken, spans, ref stream), read = Parts(length - taken + 2, spans + 1, ref stream);
        (read[0], read[^1]) = (read[0] - 1, read[^1] - 1);
        List<int> source = [.. row.Ids[..first]], answer = [];
        var at = first;
        for (var s = 0; s < spans; s++)
        {
            source.AddRange(row.Ids[at..(at + read[s])]);
            at += read[s];
            source.Add(gaps[s]);
            answer.Add(gaps[s]);
            answer.AddRange(row.Ids[at..(at + missing[s])]);
            at += missing[s];
        }
        source.AddRange(row.Ids[at..]);
        answer.AddRange(end);
        return row with
        {
            Ids = [.. source, .. answer],
            Learn = [.. new float[source.Count], .. Enumerable.Repeat(1f, answer.Count)],
        };
    }

    // A whole cut into parts of at least one: the cuts are chosen among the places between its tokens.
    private static int[] Parts(int whole, int count, ref RandomStream stream)
    {
        int[] places = [.. Enumerable.Range(1, whole - 1)];
        for (var i = 0; i < count - 1; i++)
        {
            var other = i + stream.Next(places.Length - i);
            (places[i], places[other]) = (places[other], places[i]);
        }
        int[] cuts = [0, .. places.Take(count - 1).Order(), whole];
        return [.. Enumerable.Range(0, count).Select(i => cuts[i + 1] - cuts[i])];
    }
}
