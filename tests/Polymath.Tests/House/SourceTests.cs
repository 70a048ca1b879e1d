using System.Text.RegularExpressions;
using Polymath.Recipes;
using Polymath.Tests.Recipes;

namespace Polymath.Tests.House;

/// <summary>Sizes, names, shipped recipes and links.</summary>
[Trait("kind", "house")]
public sealed partial class SourceTests
{
    private static readonly string[] Forbidden = ["utils", "util", "misc", "helpers", "helper", "common"];

    private static string Short(string file) => Path.GetRelativePath(Sources.Root, file);

    [Fact]
    public void No_file_is_longer_than_400_lines()
    {
        Assert.True(Sources.Of().Count > 150);
        Assert.Equal([], Sources.Of().Where(file => File.ReadLines(file).Count() > 400).Select(Short));
    }

    [Fact]
    public void The_median_file_has_at_most_120_lines()
    {
        var lengths = Sources.Of().Select(file => File.ReadLines(file).Count()).Order().ToList();
        Assert.InRange(lengths[lengths.Count / 2], 1, 120);
    }

    [Fact]
    public void No_file_or_folder_has_a_name_that_says_nothing() =>
        Assert.Equal([], Sources.Of().Where(file => Short(file).Split(Path.DirectorySeparatorChar)
            .Any(part => Forbidden.Contains(Path.GetFileNameWithoutExtension(part).ToLowerInvariant()))).Select(Short));

    [Fact]
    public void Nobody_but_the_command_line_writes_to_the_console() =>
        Assert.Equal([], Sources.Of().Where(file => !Short(file).StartsWith(Path.Combine("src", "Polymath.Cli"), StringComparison.Ordinal)
            && !Short(file).StartsWith("tests", StringComparison.Ordinal)
            && ConsoleUse().IsMatch(File.ReadAllText(file))).Select(Short));

    [Fact]
    public void Every_namespace_follows_its_folder() =>
        Assert.Equal([], Sources.Of().Where(file => Namespace().Match(File.ReadAllText(file)) is { Success: true } match
            && match.Groups[1].Value != string.Join('.', Short(file).Split(Path.DirectorySeparatorChar)[1..^1])
            && !Loose(match.Groups[1].Value, file)).Select(Short));

    // Such folders may share their project's namespace.
    private static bool Loose(string name, string file) =>
        string.Join('.', Short(file).Split(Path.DirectorySeparatorChar)[1..^1]).StartsWith(name, StringComparison.Ordinal);

    public static TheoryData<string> Shipped =>
        [.. Directory.GetFiles(SampleRecipes.Folder, "*.yaml").Select(Path.GetFileName).OfType<string>()];

    [Theory]
    [MemberData(nameof(Shipped))]
    public void A_shipped_recipe_has_no_fault_plain_or_small(string name)
    {
        foreach (var small in new[] { false, true })
        {
            var reading = RecipeReader.Read(Path.Combine(SampleRecipes.Folder, name), small);
            Assert.Equal([], reading.Faults.Select(fault => fault.ToString()));
            Assert.Equal(Path.GetFileNameWithoutExtension(name), reading.OrThrow().Name);
            Assert.False(string.IsNullOrEmpty(reading.OrThrow().Description));
        }
    }

    [Fact]
    public void Every_link_of_the_pages_leads_to_a_file()
    {
        var pages = Directory.GetFiles(Sources.Root, "*.md").Concat(
            Directory.Exists(Sources.At("docs")) ? Directory.GetFiles(Sources.At("docs"), "*.md", SearchOption.AllDirectories) : []);
        var broken = pages.SelectMany(
            page => Link().Matches(Fence().Replace(File.ReadAllText(page), "")).Select(match => match.Groups[1].Value)
                .Where(link => !link.Contains("://", StringComparison.Ordinal)
                    && !link.StartsWith("mailto:", StringComparison.Ordinal) && !link.StartsWith('#'))
                .Where(link => !Path.Exists(Path.Combine(Path.GetDirectoryName(page)!, Uri.UnescapeDataString(link.Split('#')[0]))))
                .Select(link => $"{Short(page)}: {link}"));
        Assert.Equal([], broken);
        Assert.Equal("b.md", Link().Match("see [a](b.md) and").Groups[1].Value);
    }

    [GeneratedRegex(@"(?<![\w.""])Console\.")]
    private static partial Regex ConsoleUse();

    [GeneratedRegex(@"^namespace ([\w.]+);", RegexOptions.Multiline)]
    private static partial Regex Namespace();

    [GeneratedRegex(@"\]\(([^)\s]+)(?:\s+""[^""]*"")?\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"^```.*?^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fence();
}
