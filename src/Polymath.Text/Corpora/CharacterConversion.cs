using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Converts text by a table: from left to right, the longest entry that fits is replaced. Immutable, for any number of threads.
/// </summary>
public sealed class CharacterConversion
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly Dictionary<string, string> entries;
    private readonly Dictionary<string, string>.AlternateLookup<ReadOnlySpan<char>> lookup;

    // By first UTF-16 unit, the length of the longest entry that begins with it.
    private readonly byte[] longest = new byte[char.MaxValue + 1];

    private CharacterConversion(Dictionary<string, string> entries)
    {
        this.entries = entries;
        lookup = entries.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var from in entries.Keys)
            longest[from[0]] = Math.Max(longest[from[0]], (byte)from.Length);
    }

    /// <summary>The number of entries.</summary>
    public int Count => entries.Count;

    /// <summary>The converted text.</summary>
    public string Convert(string text)
    {
        StringBuilder? result = null;
        var kept = 0;
        for (var i = 0; i < text.Length;)
        {
            var length = Math.Min(longest[text[i]], text.Length - i);
            string? to = null;
            while (length > 0 && !lookup.TryGetValue(text.AsSpan(i, length), out to))
                length--;
            if (to is null)
            {
                i++;
                continue;
            }

            result ??= new StringBuilder(text.Length + 8);
            result.Append(text, kept, i - kept).Append(to);
            i += length;
            kept = i;
        }

        return result is null ? text : result.Append(text, kept, text.Length - kept).ToString();
    }

    /// <summary>Writes the table as JSON; the file is written whole or not at all.</summary>
    /// <exception cref="InputException">The file cannot be written.</exception>
    public void Save(string file) => AtomicFile.Write(file, JsonSerializer.SerializeToUtf8Bytes(entries, JsonLayout.Indented));

    /// <summary>Reads a table that <see cref="Save"/> has written.</summary>
    /// <exception cref="InputException">The file is missing or damaged.</exception>
    public static CharacterConversion Load(string file)
    {
        var entries = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (from, to) in JsonPart.Parse(file, JsonPart.ReadFile(file)).Members())
            Add(entries, from, to.Text(), file);
        return new(entries);
    }

    /// <summary>Reads a table from files.</summary>
    /// <param name="name">The table's name, for messages.</param>
    /// <param name="files">The files; an earlier file wins.</param>
    /// <param name="entry">The regular expression that finds entries, with the groups <c>from</c> and <c>to</c>.</param>
    internal static CharacterConversion Read(string name, IReadOnlyList<string> files, string entry)
    {
        var entries = new Dictionary<string, string>(StringComparer.Ordinal);
        try
        {
            var regex = new Regex(entry, RegexOptions.CultureInvariant, Patience);
            foreach (var file in files)
            {
                using var reader = new StreamReader(CheckedTextStream.Open(file), Encoding.UTF8, false);
                foreach (Match match in regex.Matches(reader.ReadToEnd()))
                    Add(entries, match.Groups["from"].Value, match.Groups["to"].Value, file);
            }
        }
        catch (RegexMatchTimeoutException fault)
        {
            throw new InputException($"table '{name}': the pattern '{entry}' takes too long. Write it without nested repetitions.", fault);
        }
        catch (ArgumentException fault)
        {
            throw new InputException($"table '{name}': '{entry}' is not a regular expression: {fault.Message}", fault);
        }

        return entries.Count > 0 ? new(entries)
            : throw new InputException($"table '{name}': the pattern '{entry}' finds no entry in "
                + $"{string.Join(", ", files.Select(file => Path.GetFileName(file)))}. It needs the groups 'from' and 'to', such as "
                + $"(?<from>\\S+)\\t(?<to>\\S+).");
    }

    private static void Add(Dictionary<string, string> entries, string from, string to, string file)
    {
        if (from.Length > byte.MaxValue)
            throw new InputException($"{file}: the entry that begins with '{from[..20]}' is longer than {byte.MaxValue} characters. Is it "
                + "a table of conversions? Correct 'entry'.");
        if (from.Length > 0)
            entries.TryAdd(from, to);
    }
}
