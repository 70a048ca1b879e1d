using System.Text;
using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// The grammar of recipes' templates: text, <c>{field}</c> with filters behind bars, <c>{mask}</c>, <c>{special:cls}</c>,
/// <c>{soft}</c>, <c>{soft:"words"}</c>, and OpenPrompt's blocks, whose keys are in quotes. Doubled braces are braces, and a brace before
/// white space is text. Spaces before a field belong to its first word. Nothing is evaluated.
/// </summary>
internal static class PromptLanguage
{
    private const string Special = "special:", Soft = "soft:";

    private static readonly Dictionary<string, FilterStep[]> filters = new(StringComparer.Ordinal)
    {
        ["lower"] = [new Letters("lower")],
        ["upper"] = [new Letters("upper")],
        ["title"] = [new Letters("title")],
        ["capitalize"] = [new Letters("capitalize")],
        ["trim"] = [new Strip(null, true, true)],
        ["strip-final-dot"] = [new RemoveEnd(".", true), new RemoveEnd("。", true)],
        ["first-sentence"] = [new FirstSentence()],
    };

    /// <summary>The blocks of a template.</summary>
    /// <param name="source">The template.</param>
    /// <param name="forward">Whether the model reads forward, so that it reads the spaces before an answer.</param>
    public static List<PromptBlock> Parse(string source, bool forward)
    {
        var scan = new BlockScanner(source);
        var blocks = new List<PromptBlock>();
        while (!scan.AtEnd)
        {
            var start = scan.At;
            var text = Plain(scan, source);
            var block = scan.AtEnd ? null : Block(scan, source);
            var joins = block is FieldBlock or MetaBlock or SoftBlock || (block is MaskBlock && !forward);
            var kept = joins ? text.TrimEnd(' ') : text;
            if (kept.Length > 0) blocks.Add(new TextBlock(start, "", null, kept));
            if (block is not null) blocks.Add(block with { Prefix = text[kept.Length..] });
        }
        return blocks;
    }

    private static string Plain(BlockScanner scan, string source)
    {
        var text = new StringBuilder();
        for (; !scan.AtEnd; scan.At++)
        {
            var next = scan.At + 1 < source.Length ? source[scan.At + 1] : ' ';
            if (scan.Now is '{' or '}' && next == scan.Now) scan.At++;
            else if (scan.Now == '{' && !char.IsWhiteSpace(next)) break;
            text.Append(source[scan.At]);
        }
        return text.ToString();
    }

    private static PromptBlock Block(BlockScanner scan, string source)
    {
        var start = scan.At;
        var inner = source.AsSpan(start + 1);
        if (inner.Length > 0 && inner[0] is '"' or '\'') return PromptSyntax.Block(scan, "");
        scan.At++;
        if (inner.StartsWith(Soft, StringComparison.Ordinal))
        {
            scan.At += Soft.Length;
            return Closed(scan, start, new SoftBlock(
                start,
                "",
                null,
                scan.Quoted(),
                null,
                1,
                false));
        }
        var name = Word(scan, source, start);
        return name switch
        {
            "" => throw scan.Fault("the braces are empty. Write a field's name, or {{ for a brace.", start),
            TemplateFields.Mask => Closed(scan, start, new MaskBlock(start, "", null)),
            "soft" => Closed(scan, start, new SoftBlock(
                start,
                "",
                null,
                null,
                null,
                1,
                false)),
            _ when name.StartsWith(Special, StringComparison.Ordinal) =>
                Closed(scan, start, new SpecialBlock(start, "", null, Token(name[Special.Length..]))),
            _ => Field(scan, source, start, name),
        };
    }

    private static string Token(string name) => PromptTokens.IsName($"<{name}>") ? $"<{name}>" : name;

    private static FieldBlock Field(BlockScanner scan, string source, int start, string name)
    {
        var steps = new List<FilterStep>();
        bool? cut = null;
        while (scan.Now == '|')
        {
            scan.At++;
            var at = scan.At;
            var word = Word(scan, source, start);
            if (word is "whole" or "cut") cut = word == "cut";
            else if (filters.TryGetValue(word, out var found)) steps.AddRange(found);
            else
                throw scan.Fault(
                    $"there is no filter '{word}'. {Nearest.Hint(word, [.. filters.Keys, "whole", "cut"], "filters")}.", at);
        }
        return Closed(scan, start, new FieldBlock(
            start,
            "",
            cut,
            name,
            new TextFilter(steps)));
    }

    // The text up to a bar or the closing brace.
    private static string Word(BlockScanner scan, string source, int start)
    {
        var end = source.AsSpan(scan.At).IndexOfAny("|{}\r\n");
        if (end < 0) throw scan.Fault("the brace { is never closed. Write {{ for a brace.", start);
        var word = source.Substring(scan.At, end).Trim();
        scan.At += end;
        return word;
    }

    private static T Closed<T>(BlockScanner scan, int start, T block)
    {
        if (scan.Now != '}')
            throw scan.Fault($"'}}' is expected at the end of the block at character {start + 1}, but {scan.Shown()} is there.");
        scan.At++;
        return block;
    }
}
