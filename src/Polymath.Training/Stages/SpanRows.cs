using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Spans;

namespace Polymath.Training.Stages;

/// <summary>A tagged sentence.</summary>
/// <param name="Row">Its row.</param>
/// <param name="Words">Its words.</param>
/// <param name="Entities">Its entities.</param>
internal sealed record Sentence(Row Row, IReadOnlyList<string> Words, IReadOnlyList<TaggedSpan> Entities);

/// <summary>Turns tagged sentences into questions about spans: all entities, and some spans that are none.</summary>
/// <param name="spec">The settings.</param>
/// <param name="stage">The stage.</param>
internal sealed class SpanRows(SpansSpec spec, StageSpec stage)
{
    private readonly string label = ((TaskSpec)stage.Objective).Label;

    /// <summary>The label of a span that is no entity.</summary>
    internal string None => spec.None;

    /// <summary>A row as a sentence with its entities.</summary>
    /// <param name="row">The row.</param>
    /// <exception cref="InputException">It has no words, or not as many tags.</exception>
    internal Sentence Read(Row row)
    {
        var words = TaggedSpan.Words(Field(row, spec.Words), spec.Join);
        string[] tags = [.. Field(row, label).Split((char[]?)['\n', ' ', '\t'], StringSplitOptions.RemoveEmptyEntries)];
        if (words.Count != tags.Length)
            throw new InputException($"{row.Name} has {words.Count} words in '{spec.Words}' and {tags.Length} tags in '{label}'. Write a "
                + "tag for each word, and what stands between words with spans.join.");
        return new Sentence(row, words, TaggedSpan.Of([.. tags.Select(tag => TagNames.Of(row.Name, tag, spec.Names))]));
    }

    private static string Field(Row row, string name) => row.Fields.GetValueOrDefault(name) is { Length: > 0 } value
        ? value
        : throw new InputException($"{row.Name} has no '{name}'. {Nearest.Hint(name, [.. row.Fields.Keys], "fields")}.");

    /// <summary>The questions of some rows: their entities, then spans that are none, drawn by a seed.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="split">Their part.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="report">Counts entities that are longer than any span that is asked for.</param>
    internal IReadOnlyList<Row> Of(
        IReadOnlyList<Row> rows,
        DataSplit split,
        long seed,
        SourceReport? report = null)
    {
        List<Sentence> sentences = [.. rows.Select(Read)];
        foreach (var sentence in sentences.Where(one => one.Entities.Any(entity => entity.Length > spec.MaxWords)))
            report?.Count($"an entity has more than spans.maxWords {spec.MaxWords} words and is never found", sentence.Row.Name);
        var entities = sentences.SelectMany(one => one.Entities.Select(entity => (Sentence: one, Span: entity))).ToList();
        if (entities.Count == 0 && split == DataSplit.Train && rows.Count > 0)
            throw new InputException($"Stage {stage.Name}: the tags in '{label}' name no entity in any of {rows.Count:N0} training rows. "
                + "Name the field with the tags as the stage's label.");
        if (entities.FirstOrDefault(pair => pair.Span.Kind == spec.None) is { Sentence: { } wrong })
            throw new InputException($"{wrong.Row.Name} has an entity of the kind '{spec.None}', which stands for none. Choose another "
                + "name with spans.none.");
        var others = sentences.SelectMany(one => All(one.Words.Count).Where(span => !one.Entities.Any(entity =>
            entity.Start == span.Start && entity.End == span.End)).Select(span => (Sentence: one, Span: span))).ToList();
        var count = (int)Math.Min(others.Count, Math.Round(spec.Ratio * entities.Count, MidpointRounding.AwayFromZero));
        if (count > 0)
        {
            var order = new Permutation(others.Count, seed, $"spans of {stage.Name}", (int)split);
            entities.AddRange(Enumerable.Range(0, count).Select(i => order[i]).Order().Select(i => others[i]));
        }
        return [.. entities.Select(pair => Question(pair.Sentence, pair.Span))];
    }

    // Every span, as none.
    private IEnumerable<TaggedSpan> All(int words) => Enumerable.Range(0, words).SelectMany(start => Enumerable
        .Range(start + 1, Math.Min(spec.MaxWords, words - start)).Select(end => new TaggedSpan(start, end, spec.None)));

    private Row Question(Sentence sentence, TaggedSpan span) => sentence.Row with
    {
        Key = $"{sentence.Row.Key}:{span.Start}-{span.End}",
        Fields = new Dictionary<string, string>(sentence.Row.Fields)
        {
            [spec.Words] = string.Join(spec.Join, sentence.Words),
            [SpansSpec.Span] = string.Join(spec.Join, sentence.Words.Skip(span.Start).Take(span.Length)),
            [label] = span.Kind,
        },
        NoTexts = null,
    };
}
