using System.Reflection;
using Polymath.Text;

namespace Polymath.Tests.House;

/// <summary>The page of data names every column and every speaker that the readers know.</summary>
[Trait("kind", "house")]
public sealed class DataPageTests
{
    private static readonly string page = File.ReadAllText(Path.Combine(Sources.Root, "docs", "reference", "data.md"));

    public static TheoryData<string, string[]> Parts => new()
    {
        { "the question", ShapeKeys.Prompt },
        { "after it", ShapeKeys.Input },
        { "the answer", ShapeKeys.Answer },
        { "a summary", ShapeKeys.Summary },
        { "what is summarized", ShapeKeys.Summarized },
        { "before the talk", ShapeKeys.System },
        { "earlier turns", ShapeKeys.History },
        { "a list of messages", ShapeKeys.Talk },
        { "tools that may be called", ShapeKeys.Tools },
        { "the better answer", ShapeKeys.Chosen },
        { "the worse answer", ShapeKeys.Rejected },
        { "whether the answer is good", ShapeKeys.Flag },
        { "a text", ShapeKeys.Text },
        { "its label", ShapeKeys.Label },
        { "how much a message is learned", ShapeKeys.Weight },
        { "what is not learned", MessageWeight.Masks },
        { "weights of single characters", MessageWeight.Details },
    };

    [Theory]
    [MemberData(nameof(Parts))]
    public void A_part_of_a_row_has_the_names_that_the_page_says(string part, string[] names) => Assert.Equal(names, NamesIn(part));

    [Fact]
    public void Every_name_that_a_reader_knows_is_on_the_page()
    {
        var fields = typeof(ShapeKeys).GetFields(BindingFlags.Static | BindingFlags.NonPublic)
            .Where(field => field.FieldType == typeof(string[]) || field.IsLiteral).ToList();
        Assert.True(fields.Count > 15);
        foreach (var name in fields.SelectMany(field => field.GetValue(null) is string one ? [one] : (string[])field.GetValue(null)!))
            Assert.Contains($"`{name}`", page, StringComparison.Ordinal);
    }

    [Fact]
    public void A_role_has_the_speakers_that_the_page_says()
    {
        foreach (var role in MessageRoles.Speakers.GroupBy(pair => pair.Value, pair => pair.Key))
            Assert.Equal(role, NamesIn(role.Key == MessageRoles.Call ? "a call" : $"`{role.Key}` "));
        foreach (var name in MessageRoles.Keys.Concat(MessageContent.Keys))
            Assert.Contains($"`{name}`", page, StringComparison.Ordinal);
    }

    // The names in the last cell of the row of a table.
    private static string[] NamesIn(string part)
    {
        var row = Assert.Single(page.Split('\n'), line => line.StartsWith($"| {part}", StringComparison.Ordinal) && line.Count(
            letter => letter == '|') == 3);
        return [.. row.Split('|')[2].Split(',').Select(name => name.Trim().Trim('`'))];
    }
}
