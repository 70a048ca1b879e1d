using Polymath.Recipes;

namespace Polymath.Tests.Recipes;

/// <summary>Local files and folders, package addresses.</summary>
[Trait("kind", "unit")]
public sealed class RecipeFilesTests : IDisposable
{
    // The one stage is not in a list, which is the same.
    private static readonly RecipeBuilder local = RecipeBuilder.Named("local").Model("folder: weights")
        .Data("words", "files: [data/a.jsonl, 'data/*.jsonl']")
        .With("stages", "{name: read, kind: pretrain, data: words, steps: 5, optimizer: {rate: 1e-3}}");

    private readonly string folder = Directory.CreateTempSubdirectory("polymath-files").FullName;

    public RecipeFilesTests()
    {
        Directory.CreateDirectory(Path.Combine(folder, "data", "deep"));
        Directory.CreateDirectory(Path.Combine(folder, "weights"));
        foreach (var name in new[] { "data/a.jsonl", "data/b.jsonl", "data/deep/c.jsonl", "data/d.txt" })
            File.WriteAllText(Path.Combine(folder, name), "{}");
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private RecipeReading Parsed(RecipeBuilder recipe) => RecipeReader.Parse(recipe.Text, "local.yaml", folder);

    [Theory]
    [InlineData("data/a.jsonl", 1)]
    [InlineData("./data/a.jsonl", 1)]
    [InlineData("data/*.jsonl", 2)]
    [InlineData("data/?.jsonl", 2)]
    [InlineData("*/*.jsonl", 2)]
    [InlineData("**/*.jsonl", 3)]
    [InlineData("data/**", 4)]
    [InlineData("*.jsonl", 0)]
    [InlineData("data", 0)]
    [InlineData("", 0)]
    [InlineData("no/*.jsonl", 0)]
    [InlineData("data/[a].jsonl", 0)]
    public void A_pattern_stands_for_files_relative_to_the_folder(string pattern, int count)
    {
        var found = LocalFiles.Find(folder, pattern);
        Assert.Equal(count, found.Count);
        Assert.Equal(found.Order(StringComparer.Ordinal), found);
        Assert.Equal(count > 0, LocalFiles.Any(folder, pattern));
    }

    [Fact]
    public void Local_files_and_folders_must_exist()
    {
        var reading = Parsed(local);
        Assert.Empty(reading.Faults);
        Assert.Contains("data/a.jsonl", reading.Resolved);
        Assert.DoesNotContain(folder, reading.Resolved);
        var wrong = Parsed(local.With("model.folder", "weihgts").With("data.words.files[0]", "data/aa.jsonl"));
        Assert.Equal(
            [("model.folder", "did you mean 'weights'?"), ("data.words.files[0]", "did you mean 'a.jsonl'?")],
            wrong.Faults.Select(fault => (fault.Path, fault.Hint)));
    }

    [Fact]
    public void The_field_of_a_text_file_is_text()
    {
        var lines = local.With("data.words.files", "data/d.txt");
        Assert.Equal(
            "the fields here are text", Assert.Single(Parsed(lines.With("stages.text", "\"{line}\"")).Faults).Hint);
        Assert.Empty(Parsed(lines.With("stages.text", "\"{text}\"")).Faults);
    }

    [Fact]
    public void A_package_address_has_a_name_a_version_and_a_path()
    {
        Assert.True(PackageAddress.TryParse("npm:@scope/a.b@1.0.0-beta.2/x/*.json", out var address, out _));
        Assert.Equal(new PackageAddress("@scope/a.b", "1.0.0-beta.2", "x/*.json"), address);
        Assert.False(PackageAddress.TryParse("npm:a@1.0/x", out _, out var problem));
        Assert.Contains("exact", problem);
    }
}
