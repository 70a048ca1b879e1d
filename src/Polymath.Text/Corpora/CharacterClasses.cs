using System.Text;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Classes of characters, such as level and oblique tones. Immutable, for any number of threads.</summary>
public sealed class CharacterClasses
{
    private readonly Dictionary<int, string?> classes;

    internal CharacterClasses(Dictionary<int, string?> classes) => this.classes = classes;

    /// <summary>The number of characters that are known, ambiguous ones included.</summary>
    public int Count => classes.Count;

    /// <summary>The number of characters that belong to one class.</summary>
    public int ClearCount => classes.Values.Count(name => name is not null);

    /// <summary>The class of a character; null for one that is ambiguous or not known, which matches every class.</summary>
    /// <param name="codePoint">The character's code point.</param>
    public string? ClassOf(int codePoint) => classes.GetValueOrDefault(codePoint);

    /// <summary>Writes the table as JSON, ambiguous characters as null; the file is written whole or not at all.</summary>
    /// <exception cref="InputException">The file cannot be written.</exception>
    public void Save(string file)
    {
        var named = classes.OrderBy(entry => entry.Key)
            .ToDictionary(entry => new Rune(entry.Key).ToString(), entry => entry.Value, StringComparer.Ordinal);
        AtomicFile.Write(file, JsonSerializer.SerializeToUtf8Bytes(named, JsonLayout.Indented));
    }

    /// <summary>Reads a table that <see cref="Save"/> has written.</summary>
    /// <exception cref="InputException">The file is missing or damaged.</exception>
    public static CharacterClasses Load(string file)
    {
        var root = JsonPart.Parse(file, JsonPart.ReadFile(file));
        var classes = new Dictionary<int, string?>();
        foreach (var (name, value) in root.Members())
        {
            if (CodePoints.Count(name) != 1)
                throw root.Fault($"'{name}' is not one character");
            classes[Rune.GetRuneAt(name, 0).Value] = value.Element.ValueKind == JsonValueKind.Null ? null : value.Text();
        }

        return new(classes);
    }

    /// <summary>Learns the classes: a character gets the class that at least a given share of its marks stands for.</summary>
    /// <param name="name">The table's name, for messages.</param>
    /// <param name="spec">The table.</param>
    /// <param name="marks">The rows with one mark per character.</param>
    /// <param name="texts">The rows with the texts.</param>
    internal static CharacterClasses Learn(string name, CharacterClassesSpec spec, IReadOnlyList<Row> marks, IReadOnlyList<Row> texts)
    {
        var marksByKey = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var row in marks)
            marksByKey.TryAdd(Value(row, spec.Key, spec.Marks), Value(row, spec.MarksField, spec.Marks));
        var classOfMark = spec.Classes.ToDictionary(entry => Mark(name, entry.Key), entry => entry.Value);
        var counts = new Dictionary<int, Dictionary<string, long>>();
        var used = 0;
        foreach (var row in texts)
        {
            var text = Value(row, spec.TextField, spec.Texts);
            if (!marksByKey.TryGetValue(Value(row, spec.Key, spec.Texts), out var line) || CodePoints.Count(line) != CodePoints.Count(text))
                continue;
            used++;
            foreach (var (character, mark) in text.EnumerateRunes().Zip(line.EnumerateRunes()))
            {
                // In the marks, punctuation stands for itself.
                if (character != mark || classOfMark.ContainsKey(mark))
                    Tally(counts, character.Value, classOfMark.GetValueOrDefault(mark, ""));
            }
        }

        if (counts.Count == 0)
        {
            throw new InputException(
                $"table '{name}': of {texts.Count} rows of '{spec.Texts}' and {marks.Count} of '{spec.Marks}', {used} share '{spec.Key}' "
                    + "and have as many marks as characters, and none has a mark to learn from. Check 'key', 'marksField' and "
                    + "'textField'.");
        }

        return new(counts.ToDictionary(entry => entry.Key, entry => Purest(entry.Value, spec.Purity)));

        string Value(Row row, string field, string source) => row.Fields.TryGetValue(field, out var value) ? value
            : throw new InputException($"table '{name}': data '{source}' has no field '{field}'. Found: "
                + $"{string.Join(", ", row.Fields.Keys)}.");
    }

    private static Rune Mark(string name, string mark) => CodePoints.Count(mark) == 1 ? Rune.GetRuneAt(mark, 0)
        : throw new InputException($"table '{name}': the mark '{mark}' under 'classes' is not one character. Write one character before "
            + "each class.");

    private static void Tally(Dictionary<int, Dictionary<string, long>> counts, int character, string name)
    {
        if (!counts.TryGetValue(character, out var own))
            counts[character] = own = new(StringComparer.Ordinal);
        own[name] = own.GetValueOrDefault(name) + 1;
    }

    private static string? Purest(Dictionary<string, long> counts, double purity)
    {
        var best = counts.OrderByDescending(entry => entry.Value).ThenBy(entry => entry.Key, StringComparer.Ordinal).First();
        return best.Key.Length > 0 && best.Value >= purity * counts.Values.Sum() ? best.Key : null;
    }
}
