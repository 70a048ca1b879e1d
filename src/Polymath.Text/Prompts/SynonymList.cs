using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// A list of words that mean nearly the same, a group in each line: words between commas, tabs or white space. A code before them is
/// dropped where it ends with <c>=</c> or <c>#</c>, as in Cilin (Mei et al. 1983), and a line whose code ends with <c>@</c> has a word
/// alone. A group holds in both directions.
/// </summary>
public sealed partial class SynonymList : RelatedWords
{
    private readonly Dictionary<string, List<int>> groupsOf = new(StringComparer.Ordinal);
    private readonly List<string[]> groups = [];
    private readonly int steps;

    private SynonymList(int steps) => this.steps = steps;

    /// <summary>The number of words.</summary>
    public int Count => groupsOf.Count;

    /// <summary>Reads the files.</summary>
    /// <param name="name">The table's name, for messages.</param>
    /// <param name="files">The files, in UTF-8.</param>
    /// <param name="steps">How many times from a word to those of its groups.</param>
    /// <exception cref="InputException">A file is no text in UTF-8, or no line has two words.</exception>
    public static SynonymList Read(string name, IReadOnlyList<string> files, int steps)
    {
        ArgumentNullException.ThrowIfNull(files);
        var list = new SynonymList(steps);
        foreach (var file in files)
        {
            using var stream = CheckedTextStream.Open(file, null);
            foreach (var (_, bytes) in TextLines.Read(file, stream)) list.Add(System.Text.Encoding.UTF8.GetString(bytes.Span));
        }
        return list.Count > 0
            ? list
            : throw new InputException($"table '{name}': no line of {string.Join(", ", files)} has two words. Write a group in each line, "
                + "such as 高兴,快乐.");
    }

    private void Add(string line)
    {
        var bare = Code().Replace(line.Trim().TrimStart('\ufeff'), "");
        string[] words = [.. Between().Split(bare).Where(word => word.Length > 0).Distinct(StringComparer.Ordinal)];
        if (words.Length < 2) return;
        foreach (var word in words)
        {
            if (!groupsOf.TryGetValue(word, out var own)) groupsOf[word] = own = [];
            own.Add(groups.Count);
        }
        groups.Add(words);
    }

    [GeneratedRegex(@"^(?:[A-Za-z]+[0-9]*)+[=#@]\s*", RegexOptions.CultureInvariant)]
    private static partial Regex Code();

    [GeneratedRegex(@"[\s,，、;；|]+", RegexOptions.CultureInvariant)]
    private static partial Regex Between();

    /// <inheritdoc/>
    public override IReadOnlyList<string> Related(string word, int senses, int most)
    {
        ArgumentNullException.ThrowIfNull(word);
        var found = new List<string>();
        var known = new HashSet<string>(StringComparer.Ordinal) { word.Trim() };
        List<string> level = [word.Trim()];
        for (var step = 0; step < steps && level.Count > 0 && found.Count < most; step++)
        {
            level = [.. level.SelectMany(one => groupsOf.GetValueOrDefault(one, []).SelectMany(group => groups[group])).Where(known.Add)];
            found.AddRange(level);
        }
        return [.. found.Take(most)];
    }
}
