namespace Polymath.Text.Prompts;

/// <summary>
/// The grammar of OpenPrompt's template strings (Ding et al. 2022): text with blocks in braces, each a list of keys with values in Python's
/// spelling. Keys: one of <c>placeholder</c>, <c>meta</c>, <c>mask</c>, <c>soft</c>, <c>special</c>, <c>text</c>, and beside it
/// <c>soft_id</c>, <c>duplicate</c>, <c>same</c>, <c>shortenable</c>, <c>post_processing</c>, <c>add_prefix_space</c>. Braces and quotes
/// within a quoted text are text. Nothing is evaluated.
/// </summary>
internal static class PromptSyntax
{
    private static readonly string[] contents = ["placeholder", "meta", "soft", "mask", "special", "text"];

    private static readonly string[] others =
        ["soft_id", "duplicate", "same", "shortenable", "post_processing", "add_prefix_space"];

    /// <summary>The blocks of a template.</summary>
    public static List<PromptBlock> Parse(string source)
    {
        var scan = new BlockScanner(source);
        var blocks = new List<PromptBlock>();
        while (!scan.AtEnd)
        {
            var prefix = scan.At > 0 && source[scan.At - 1] == ' ' ? " " : "";
            for (; scan.Now == ' '; scan.At++) prefix = " ";
            if (scan.AtEnd) break;
            if (scan.Now == '{') blocks.Add(Block(scan, prefix));
            else blocks.Add(Plain(scan, source, prefix));
        }
        return blocks;
    }

    private static TextBlock Plain(BlockScanner scan, string source, string prefix)
    {
        var start = scan.At;
        var end = source.IndexOf('{', start);
        scan.At = end < 0 ? source.Length : end;
        return new(start, prefix, null, source[start..scan.At].TrimEnd(' '));
    }

    /// <summary>A block in braces, with its keys in quotes.</summary>
    internal static PromptBlock Block(BlockScanner scan, string prefix)
    {
        var start = scan.Position;
        scan.At++;
        var values = new Dictionary<string, Value>(StringComparer.Ordinal);
        while (!scan.Takes("}"))
        {
            if (scan.AtEnd) throw scan.Fault("the brace { is never closed.", start);
            if (values.Count > 0) scan.Expect(",", "between two keys of a block");
            if (values.Count > 0 && scan.Takes("}")) break;
            var at = scan.Position;
            var key = scan.Quoted();
            if (!contents.Contains(key) && !others.Contains(key))
                throw scan.Fault($"'{key}' is no key of a block. Keys are {string.Join(", ", contents.Concat(others))}.", at);
            if (!values.TryAdd(key, scan.Takes(":") ? Read(scan, key) : new(null, scan.Position)))
                throw scan.Fault($"the key '{key}' is there twice.", at);
        }
        return Built(scan, values, start, prefix);
    }

    // A text, a number, True, False, None or a filter.
    private sealed record Value(object? Content, int Position);

    private static Value Read(BlockScanner scan, string key)
    {
        scan.SkipSpace();
        var start = scan.Position;
        if (key == "post_processing") return new(FilterReader.Read(scan), start);
        if (scan.AtQuote) return new(scan.Quoted(), start);
        if (scan.Whole() is { } number) return new(number, start);
        var word = scan.Word();
        return word switch
        {
            "True" or "true" => new(true, start),
            "False" or "false" => new(false, start),
            "None" or "null" => new(null, start),
            _ => throw scan.Fault($"the value of '{key}' is a text in quotes, a number, True, False or None.", start),
        };
    }

    private static PromptBlock Built(BlockScanner scan, Dictionary<string, Value> values, int start, string prefix)
    {
        var named = contents.Where(values.ContainsKey).ToArray();
        if (named.Length == 0 && values.ContainsKey("soft_id")) named = ["soft"];
        if (named.Length != 1)
            throw scan.Fault($"a block has one of {string.Join(", ", contents)}, but this has {named.Length}.", start);
        var read = new BlockValues(scan, values.ToDictionary(v => v.Key, v => (v.Value.Content, v.Value.Position)), start);
        prefix = read.Text("add_prefix_space") ?? prefix;
        var cut = read.Flag("shortenable");
        var filter = read.Filter("post_processing");
        return named[0] switch
        {
            "placeholder" => new FieldBlock(
                start,
                prefix,
                cut,
                read.Needed("placeholder"),
                filter),
            "meta" => new MetaBlock(
                start,
                prefix,
                cut,
                read.Needed("meta"),
                filter),
            "mask" => new MaskBlock(start, prefix, cut),
            "special" => new SpecialBlock(start, prefix, cut, read.Needed("special")),
            "text" => new TextBlock(start, prefix, cut, read.Needed("text")),
            _ => new SoftBlock(
                start,
                prefix,
                cut,
                read.Text("soft") is { Length: > 0 } words ? words : null,
                read.Positive("soft_id"),
                read.Positive("duplicate") ?? 1,
                read.Flag("same") ?? false),
        };
    }
}
