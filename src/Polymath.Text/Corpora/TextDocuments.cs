using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Cuts a text file into documents.</summary>
internal static class TextDocuments
{
    /// <summary>Each line is a document; empty lines are none.</summary>
    internal const string Line = "line";

    /// <summary>Lines between blank lines are a document, joined by spaces: a text that was wrapped is one line again.</summary>
    internal const string Paragraph = "paragraph";

    /// <summary>Lines between blank lines are a document, as they are.</summary>
    internal const string BlankLine = "blank-line";

    /// <summary>The whole file is one document.</summary>
    internal const string File = "file";

    /// <summary>The documents of a file, each with the number of its first line.</summary>
    /// <param name="lines">The lines, numbered from 1.</param>
    /// <param name="documents">One of the names above, or a mark that stands between documents.</param>
    /// <exception cref="InputException">A document is longer than a text can be.</exception>
    internal static IEnumerable<(long Line, string Text)> Of(IEnumerable<(long Number, string Text)> lines, string? documents) =>
        documents switch
        {
            null or Line => lines.Where(line => line.Text.Length > 0),
            Paragraph => Blocks(lines).Select(block => (block[0].Line, string.Join(' ', block.Select(line => line.Text.Trim())))),
            BlankLine => Blocks(lines).Select(block => (block[0].Line, string.Join('\n', block.Select(line => line.Text)))),
            File => Marked(lines, null),
            _ => Marked(lines, documents),
        };

    private static IEnumerable<List<(long Line, string Text)>> Blocks(IEnumerable<(long Number, string Text)> lines)
    {
        var block = new List<(long, string)>();
        foreach (var line in lines)
        {
            if (!string.IsNullOrWhiteSpace(line.Text))
            {
                block.Add(line);
                continue;
            }
            if (block.Count > 0)
                yield return block;
            block = [];
        }
        if (block.Count > 0)
            yield return block;
    }

    // A mark may stand within a line. Line ends next to it belong to no document.
    private static IEnumerable<(long Line, string Text)> Marked(IEnumerable<(long Number, string Text)> lines, string? mark)
    {
        var text = new StringBuilder();
        long first = 1;
        foreach (var (number, line) in lines)
        {
            var parts = mark is null ? [line] : line.Split(mark);
            for (var i = 0; i < parts.Length; i++)
            {
                if (i > 0)
                {
                    if (Trimmed(text) is { } document)
                        yield return (first, document);
                    text.Clear();
                }
                if (text.Length == 0)
                    first = number;
                text.Append(parts[i]);
            }
            // Blank lines before a document's first text are not part of it.
            if (text.Length > 0)
                text.Append('\n');
        }
        if (Trimmed(text) is { } last)
            yield return (first, last);
    }

    private static string? Trimmed(StringBuilder text) => text.ToString().Trim('\n') is { Length: > 0 } document ? document : null;
}
