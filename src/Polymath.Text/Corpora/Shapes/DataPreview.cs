using Polymath.Text.Packing;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>A token of a preview.</summary>
/// <param name="Text">The text it adds; empty for a part of a character, which the character's last token shows.</param>
/// <param name="Id">Its id.</param>
/// <param name="State"><c>trained</c>, <c>untrained</c> or <c>cut</c>.</param>
public readonly record struct PreviewToken(string Text, int Id, string State);

/// <summary>A row of a preview.</summary>
/// <param name="Key">The row's name in messages.</param>
/// <param name="Label">A label, or which answer of a pair it is; empty for none.</param>
/// <param name="Tokens">Its tokens.</param>
public sealed record PreviewRow(string Key, string Label, IReadOnlyList<PreviewToken> Tokens);

/// <summary>A preview of training on a source: its first rows token by token, and the counts of all.</summary>
/// <param name="Shapes">The shapes that were recognised, with their numbers of rows.</param>
/// <param name="Rows">The rows.</param>
/// <param name="Trained">Tokens that are targets.</param>
/// <param name="Untrained">Tokens that are only read.</param>
/// <param name="Cut">Tokens beyond the maximum length of a row.</param>
/// <param name="Notes">What is not learned of the rows, one sentence each.</param>
/// <param name="Shown">The first rows.</param>
public sealed record DataPreview(
    IReadOnlyDictionary<string, int> Shapes,
    int Rows,
    long Trained,
    long Untrained,
    long Cut,
    IReadOnlyList<string> Notes,
    IReadOnlyList<PreviewRow> Shown)
{
    // UTF-8 characters have at most this many bytes.
    private const int MostParts = 4;

    /// <summary>Makes a preview of rows that are converted to one form.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="contract">The layout.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="maxLength">The most tokens of a row.</param>
    /// <param name="shown">The number of rows to show.</param>
    /// <param name="report">The report of reading the rows; null for none.</param>
    public static DataPreview Of(
        IReadOnlyList<Row> rows,
        TextContract contract,
        Tokenizer tokenizer,
        int maxLength,
        int shown,
        SourceReport? report = null)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(tokenizer);
        var shapes = new Dictionary<string, int>(StringComparer.Ordinal);
        var first = new List<PreviewRow>();
        long trained = 0, untrained = 0, cut = 0;
        var told = new SourceReport();
        if (report is not null) told.Add(report);
        foreach (var row in rows)
        {
            var shape = ShapeOf(row.Fields);
            shapes[shape] = shapes.GetValueOrDefault(shape) + 1;
            foreach (var (label, rendering) in Renderings(row, contract, tokenizer))
            {
                told.Count(rendering);
                var tokens = rendering.Tokenize(tokenizer);
                var left = Math.Min(tokens.Length, maxLength);
                var learned = tokens.Learn.Take(left).Count(weight => weight != 0);
                if (!rendering.Spans.Any(span => span.Learn))
                    told.Count("nothing of the row is learned: it has no answer", row.Name);
                (trained, untrained, cut) = (trained + learned, untrained + left - learned, cut + tokens.Length - left);
                if (first.Count >= shown)
                    continue;
                // Some tokenizers write commands as nothing.
                string Shown(string text, int id) =>
                    text.Length == 0 && tokenizer.TokenOf(id) is var name && tokenizer.Commands.Contains(name) ? name : text;
                var pieces = Pieces(tokenizer, tokens.Ids)
                    .Select((text, i) => new PreviewToken(Shown(text, tokens.Ids[i]), tokens.Ids[i], StateOf(i, left, tokens)));
                first.Add(new PreviewRow(row.Name, label, [.. pieces]));
            }
        }
        var talks = shapes.ContainsKey("conversation") || shapes.ContainsKey("kto") || shapes.ContainsKey("preference");
        return new DataPreview(
            shapes,
            rows.Count,
            trained,
            untrained,
            cut,
            talks && contract.Note is { } note ? [note, .. told.Lines] : told.Lines,
            first);
    }

    private static string StateOf(int place, int left, TokenRow tokens)
    {
        if (place >= left)
            return "cut";
        return tokens.Learn[place] != 0 ? "trained" : "untrained";
    }

    /// <summary>The texts of rows, for a tokenizer that is made only for a preview.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="contract">The layout.</param>
    public static IEnumerable<string> Texts(IEnumerable<Row> rows, TextContract contract)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return rows.SelectMany(row => Renderings(row, contract, null).SelectMany(pair => pair.Rendering.Texts));
    }

    // Each token is decoded after the one before, because alone it would lose its leading space. Parts of a character wait for its last
    // one.
    private static IEnumerable<string> Pieces(Tokenizer tokenizer, int[] ids)
    {
        int before = 0, from = 0;
        for (var end = 1; end <= ids.Length; end++)
        {
            var text = tokenizer.Decode(ids.AsSpan(before, end - before), skipSpecialTokens: false);
            if (text.Contains('\uFFFD', StringComparison.Ordinal) && end - from < MostParts && end < ids.Length)
            {
                yield return "";
                continue;
            }
            var known = tokenizer.Decode(ids.AsSpan(before, from - before), skipSpecialTokens: false);
            yield return text.StartsWith(known, StringComparison.Ordinal)
                ? text[known.Length..]
                : tokenizer.Decode(ids.AsSpan(from, end - from), skipSpecialTokens: false);
            (before, from) = (from, end);
        }
    }

    private static string ShapeOf(IReadOnlyDictionary<string, string> fields)
    {
        bool Has(string name) => fields.TryGetValue(name, out var value) && value.Length > 0;
        if (RowTalk.Has(fields, "chosen") || RowTalk.Has(fields, "rejected"))
            return "preference";
        if (Has("messages"))
            return Has("label") ? "kto" : "conversation";
        return Has("label") ? "labelled" : "text";
    }

    private static IEnumerable<(string Label, Rendering Rendering)> Renderings(Row row, TextContract contract, Tokenizer? tokenizer)
    {
        string Field(string name) => row.Fields.GetValueOrDefault(name, "");
        switch (ShapeOf(row.Fields))
        {
            case "preference":
                yield return ("chosen", contract.Render(RowTalk.Side(row, "chosen"), tokenizer));
                yield return ("rejected", contract.Render(RowTalk.Side(row, "rejected"), tokenizer));
                break;
            case "conversation" or "kto":
                yield return (Field("label"), contract.Render(RowTalk.Of(row), tokenizer));
                break;
            default:
                yield return (Field("label"), contract.Template.Render(new Document(row.Name, Field("text"))));
                break;
        }
    }
}
