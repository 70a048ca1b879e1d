using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Text.Spans;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>An entity that a task has found.</summary>
/// <param name="Span">Its words and its kind.</param>
/// <param name="Probability">The probability of the kind.</param>
public sealed record FoundSpan(TaggedSpan Span, double Probability);

/// <summary>
/// Finds entities by asking for every span of a sentence (Cui et al. 2021): a span is what its most probable answer says; of two that share
/// a word, the one with the greater probability is kept.
/// </summary>
/// <param name="network">The model, with the soft tokens' vectors.</param>
/// <param name="asked">The task, which asks for spans.</param>
/// <param name="most">The most tokens of a row.</param>
public sealed class SpanReader(LanguageModel network, AskedTask asked, int most)
{
    // Rows that are read at once.
    private const long Tokens = 8192;

    private readonly TaskSpans spans = asked.Task.Spans!;

    /// <summary>The words of a sentence.</summary>
    /// <param name="fields">Its fields.</param>
    public IReadOnlyList<string> Words(IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(fields);
        return TaggedSpan.Words(fields[spans.Words], spans.Join);
    }

    /// <summary>The entities of a sentence, in order.</summary>
    /// <param name="name">Its name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="data">The name of its source, by which rows are routed to adapters.</param>
    public IReadOnlyList<FoundSpan> Read(string name, IReadOnlyDictionary<string, string> fields, string? data = null)
    {
        using var frozen = no_grad();
        var words = Words(fields);
        var all = Enumerable.Range(0, words.Count).SelectMany(start => Enumerable
            .Range(start + 1, Math.Min(spans.MaxWords, words.Count - start)).Select(end => (Start: start, End: end))).ToList();
        var sentence = string.Join(spans.Join, words);
        var found = new List<FoundSpan>();
        var part = new List<((int Start, int End) Span, IReadOnlyList<TokenRow> Rows)>();
        var taken = 0L;
        foreach (var span in all)
        {
            var rows = asked.Rows(
                name,
                new Dictionary<string, string>(fields)
                {
                    [spans.Words] = sentence,
                    [SpansSpec.Span] = string.Join(spans.Join, words.Skip(span.Start).Take(span.End - span.Start)),
                },
                most);
            part.Add((span, [.. rows.Select(row => row with { Data = data })]));
            taken += rows.Sum(row => (long)row.Length);
            if (taken < Tokens) continue;
            found.AddRange(Answers(part));
            (part, taken) = ([], 0);
        }
        if (part.Count > 0) found.AddRange(Answers(part));
        return Kept(found);
    }

    // What each span is, where it is something.
    private List<FoundSpan> Answers(List<((int Start, int End) Span, IReadOnlyList<TokenRow> Rows)> part)
    {
        using var scope = NewDisposeScope();
        List<TokenRow> laid = [.. part.SelectMany(one => one.Rows)];
        using var batch = network.Lay(laid);
        var (values, labels) = asked.Scores(network, batch, laid).to(ScalarType.Float32).cpu().max(1);
        var (logs, best) = (values.data<float>().ToArray(), labels.data<long>().ToArray());
        return
        [
            .. part.Select((one, i) => new FoundSpan(
                    new TaggedSpan(one.Span.Start, one.Span.End, asked.Task.Labels[(int)best[i]]), Math.Exp(logs[i])))
                .Where(one => one.Span.Kind != spans.None),
        ];
    }

    /// <summary>Of entities that share words, those with the greatest probability; of equals, the earlier and shorter one.</summary>
    /// <param name="found">The entities.</param>
    internal static IReadOnlyList<FoundSpan> Kept(IEnumerable<FoundSpan> found)
    {
        var kept = new List<FoundSpan>();
        foreach (var one in found.OrderByDescending(one => one.Probability).ThenBy(one => one.Span.Start).ThenBy(one => one.Span.End))
            if (!kept.Exists(other => other.Span.Overlaps(one.Span))) kept.Add(one);
        return [.. kept.OrderBy(one => one.Span.Start)];
    }
}
