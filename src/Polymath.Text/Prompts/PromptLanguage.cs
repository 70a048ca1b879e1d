using System.Text;
using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// The grammar of recipes' templates: text, <c>{field}</c> with filters behind bars, <c>{mask}</c>, <c>{special:cls}</c>,
/// <c>{soft}</c>, <c>{soft:3}</c>, <c>{soft:"words"}</c> with <c>id:1</c> or <c>same</c> behind bars, and OpenPrompt's blocks, whose keys
/// are in quotes. Doubled braces are braces, and a brace before white space is text. Spaces before a field belong to its first word.
/// Nothing is evaluated.
/// </summary>
internal static class PromptLanguage
{
    private const string Special = "special:", Soft = "soft:", Id = "id:";

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
            return SoftTokens(scan, source, start);
        }
        var name = Word(scan, source, start);
        return name switch
        {
            "" => throw scan.Fault("the braces are empty. Write a field's name, or {{ for a brace.", start),
            TemplateFields.Mask => Closed(scan, start, new MaskBlock(start, "", null)),
            "soft" => SoftTokens(scan, source, start, alone: true),
            _ when name.StartsWith(Special, StringComparison.Ordinal) =>
                Closed(scan, start, new SpecialBlock(start, "", null, Token(name[Special.Length..]))),
            _ => Field(scan, source, start, name),
        };
    }

    // Behind "soft": how many, or the words they start from; behind bars, the number they share and whether all are one.
    private static SoftBlock SoftTokens(
        BlockScanner scan,
        string source,
        int start,
        bool alone = false)
    {
        var words = !alone && scan.AtQuote ? scan.Quoted() : null;
        if (words is { Length: 0 }) throw scan.Fault("soft tokens start from words, but the quotes are empty. Write {soft}.", start);
        var count = 1;
        if (!alone && words is null && (scan.Whole() is not { } many || (count = many) < 1))
            throw scan.Fault("behind soft: stands how many, such as {soft:3}, or the words they start from, in quotes.", start);
        int? id = null;
        var same = false;
        for (scan.SkipSpace(); scan.Now == '|'; scan.SkipSpace())
        {
            scan.At++;
            var at = scan.At;
            var word = Word(scan, source, start);
            if (word == "same" && words is null) same = true;
            else if (word.StartsWith(Id, StringComparison.Ordinal) && int.TryParse(word.AsSpan(Id.Length), out var number) && number > 0)
                id = number;
            else
                throw scan.Fault(
                    $"'{word}' is nothing of a soft token. Write id:1 for a number that others share, or same where all of {{soft:3}} are "
                    + "one vector.", at);
        }
        return Closed(scan, start, new SoftBlock(
            start,
            "",
            null,
            words,
            id,
            count,
            same));
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
