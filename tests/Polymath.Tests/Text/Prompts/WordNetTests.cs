using Polymath.Recipes;
using Polymath.Text.Prompts;

namespace Polymath.Tests.Text.Prompts;

/// <summary>WordNet's files.</summary>
[Trait("kind", "unit")]
public sealed class WordNetTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Related_words_are_synonyms_then_kinds_then_those_of_other_parts_of_speech()
    {
        const string License = "  1 This software and database is being provided  \n";
        // Three synsets of nouns, at the places where their lines begin.
        var at = new int[4];
        string[] lines =
        [
            "A 13 n 03 dish 0 plate 0 big_dish 0 002 ~ B n 0000 + C v 0101 | a plate of it\n",
            "B 13 n 02 bowl 0 Dish 1 001 @ A n 0000 | a round one\n",
        ];
        string Line(string line) => line.Replace("A", $"{at[0]:D8}", StringComparison.Ordinal)
            .Replace("B", $"{at[1]:D8}", StringComparison.Ordinal).Replace("C", $"{at[2]:D8}", StringComparison.Ordinal);
        (at[0], at[1]) = (License.Length, License.Length + Line(lines[0]).Length);
        at[2] = License.Length;
        folder.Write("data.noun", License + string.Concat(lines.Select(Line)));
        folder.Write("index.noun", License + $"dish n 1 2 ~ + 1 1 {at[0]:D8}  \nbowl n 1 1 @ 1 0 {at[1]:D8}  \n");
        folder.Write("data.verb", License + $"{at[2]:D8} 34 v 02 serve 0 help(p) 0 000 01 + 08 00 | to give\n");
        folder.Write("index.verb", License + $"serve v 1 0 1 1 {at[2]:D8}  \n");
        var net = WordNet.Read("words", [.. Directory.GetFiles(folder.Path)]);
        Assert.Equal(["plate", "bowl", "serve", "help"], net.Related("Dish", 3, 10));
        Assert.Equal(["plate", "bowl"], net.Related("dish", 3, 2));
        Assert.Equal(["dish", "plate", "serve", "help"], net.Related("bowl", 3, 9));
        Assert.Empty(net.Related("cat", 3, 9));
        Assert.Contains("no file is WordNet's", Assert.Throws<InputException>(() => WordNet.Read("words", [])).Message);
    }
}
