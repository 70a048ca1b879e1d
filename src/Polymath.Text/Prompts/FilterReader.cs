namespace Polymath.Text.Prompts;

/// <summary>
/// Reads a filter: a name (<c>"lower"</c>), or a function of one argument that only strings named steps together, as OpenPrompt's templates
/// write it: <c>lambda s: s[:4].strip().upper()</c>, <c>lambda x: {"a": "b"}.get(x, x)</c>, <c>lambda s: "(" + s + ")"</c>. It is read as
/// data; anything else is refused.
/// </summary>
internal static class FilterReader
{
    private const string Known = "Write lower, upper, title, capitalize, swapcase, strip, lstrip, rstrip, replace, removeprefix, "
        + "removesuffix, a part such as s[:40], text joined with +, or a table {...}.get(s, s).";

    /// <summary>Reads one, in the place of a block's value: in quotes, or as it is.</summary>
    public static TextFilter Read(BlockScanner scan)
    {
        if (!scan.AtQuote) return Function(scan);
        var start = scan.Position + 1;
        var inner = new BlockScanner(scan.Quoted(), start);
        var read = Function(inner);
        inner.SkipSpace();
        return inner.AtEnd ? read : throw inner.Fault($"the filter goes on with {inner.Shown()}. {Known}");
    }

    private static TextFilter Function(BlockScanner scan)
    {
        var (start, word) = (scan.Position, scan.Word());
        if (word != "lambda") return new([Named(scan, word, start, called: false)]);
        var name = scan.Word();
        if (name.Length == 0) throw scan.Fault("a filter has one argument, as in lambda s: s.lower()");
        scan.Expect(":", "after the filter's argument");
        var steps = new List<FilterStep>();
        string before = "", after = "";
        while (scan.AtQuote)
        {
            before += scan.Quoted();
            scan.Expect("+", "to join texts");
        }
        if (scan.Takes("{")) steps.Add(Table(scan, name));
        else if (scan.Word() != name) throw scan.Fault($"a filter begins with its argument, {name}. {Known}", start);
        Chain(scan, steps);
        while (scan.Takes("+")) after += scan.Quoted();
        if (before.Length + after.Length > 0) steps.Add(new Around(before, after));
        return new(steps);
    }

    private static void Chain(BlockScanner scan, List<FilterStep> steps)
    {
        while (true)
        {
            var start = scan.Position;
            if (scan.Takes(".")) steps.Add(Named(scan, scan.Word(), start, called: true));
            else if (scan.Takes("[")) steps.Add(Slice(scan));
            else return;
        }
    }

    private static FilterStep Named(BlockScanner scan, string name, int start, bool called)
    {
        var given = new List<string>();
        if (called)
        {
            scan.Expect("(", $"after {name}");
            while (!scan.Takes(")"))
            {
                if (given.Count > 0) scan.Expect(",", "between two texts");
                given.Add(scan.Quoted());
            }
        }
        FilterStep? step = (name, given.Count) switch
        {
            ("strip", <= 1) => new Strip(given.FirstOrDefault(), true, true),
            ("lstrip", <= 1) => new Strip(given.FirstOrDefault(), true, false),
            ("rstrip", <= 1) => new Strip(given.FirstOrDefault(), false, true),
            ("replace", 2) when given[0].Length > 0 => new Replace(given[0], given[1]),
            ("removeprefix", 1) => new RemoveEnd(given[0], false),
            ("removesuffix", 1) => new RemoveEnd(given[0], true),
            _ when Letters.Names.Contains(name) && given.Count == 0 => new Letters(name),
            _ => null,
        };
        return step ?? throw scan.Fault($"'{name}' with {given.Count} texts is no known filter; nothing is evaluated. {Known}", start);
    }

    private static Part Slice(BlockScanner scan)
    {
        var from = scan.Whole();
        scan.Expect(":", "within a part, as in s[:40]");
        var to = scan.Whole();
        scan.Expect("]", "after a part");
        return new(from, to);
    }

    private static LookUp Table(BlockScanner scan, string name)
    {
        var table = new Dictionary<string, string>(StringComparer.Ordinal);
        while (!scan.Takes("}"))
        {
            if (table.Count > 0) scan.Expect(",", "between two entries");
            if (scan.Takes("}")) break;
            var key = scan.Quoted();
            scan.Expect(":", "after an entry's text");
            table[key] = scan.Quoted();
        }
        scan.Expect(".", "after a table, as in {...}.get(s, s)");
        if (scan.Word() != "get") throw scan.Fault("a table is read with .get(s, s)");
        scan.Expect("(", "after get");
        if (scan.Word() != name) throw scan.Fault($"a table is read at {name}");
        scan.Expect(",", "before what an unknown text becomes");
        var otherwise = scan.AtQuote ? scan.Quoted() : null;
        if (otherwise is null && scan.Word() != name) throw scan.Fault($"an unknown text becomes {name} or a text in quotes");
        scan.Expect(")", "after get");
        return new(table, otherwise);
    }
}
