using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Classes of characters by how they are read.</summary>
internal static class ReadingClasses
{
    private static readonly TimeSpan patience = TimeSpan.FromSeconds(30);

    // Of the marks above letters only the two dots are part of the sound; the others are tones.
    private const char TwoDots = '\u0308';

    /// <summary>Reads the classes from a dictionary of readings.</summary>
    /// <param name="name">The table's name, for messages.</param>
    /// <param name="files">The files; earlier entries win.</param>
    /// <param name="spec">The table.</param>
    /// <exception cref="InputException">A file cannot be read, or has no entry whose reading belongs to a class.</exception>
    internal static CharacterClasses Read(string name, IReadOnlyList<string> files, ReadingsTableSpec spec)
    {
        var classes = new Dictionary<int, string?>();
        var patterns = spec.Classes.Select(pair => (pair.Key, new Regex(pair.Value, RegexOptions.CultureInvariant, patience))).ToList();
        var entry = new Regex(spec.Entry, RegexOptions.CultureInvariant, patience);
        var entries = 0;
        foreach (var file in files)
        {
            foreach (Match match in entry.Matches(File.ReadAllText(file)))
            {
                entries++;
                var reading = Toneless(match.Groups["reading"].Value);
                var found = patterns.FirstOrDefault(pair => pair.Item2.IsMatch(reading)).Key;
                foreach (var character in match.Groups["characters"].Value.EnumerateRunes().Where(Rune.IsLetter))
                    classes.TryAdd(character.Value, found);
            }
        }
        if (classes.Values.All(found => found is null))
            throw new InputException($"table '{name}': the {files.Count} files have {entries:N0} entries, and no reading belongs to a "
                + "class. Check 'entry', and the patterns under 'classes'.");
        return new CharacterClasses(classes);
    }

    /// <summary>A reading without its tone marks: <c>lǜ</c> is <c>lü</c>.</summary>
    /// <param name="reading">The reading.</param>
    internal static string Toneless(string reading)
    {
        var letters = UnicodeForms.Apply(reading, UnicodeForm.Nfd)
            .Where(letter => letter == TwoDots || CharUnicodeInfo.GetUnicodeCategory(letter) != UnicodeCategory.NonSpacingMark);
        return UnicodeForms.Apply(string.Concat(letters), UnicodeForm.Nfc);
    }
}
