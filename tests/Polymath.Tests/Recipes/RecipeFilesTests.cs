using Polymath.Recipes;

namespace Polymath.Tests.Recipes;

/// <summary>Local files and folders, package addresses.</summary>
[Trait("kind", "unit")]
public sealed class RecipeFilesTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("polymath-files").FullName;

    public RecipeFilesTests()
    {
        Directory.CreateDirectory(Path.Combine(folder, "data", "deep"));
        Directory.CreateDirectory(Path.Combine(folder, "weights"));
        foreach (var name in new[] { "data/a.jsonl", "data/b.jsonl", "data/deep/c.jsonl", "data/d.txt" })
            File.WriteAllText(Path.Combine(folder, name), "{}");
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

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
        const string text = """
            name: local
            model: {folder: weights}
            data: {words: {files: [data/a.jsonl, "data/*.jsonl"]}}
            stages: {name: read, kind: pretrain, data: words, steps: 5, optimizer: {rate: 1e-3}}
            """;
        var reading = RecipeReader.Parse(text, "local.yaml", folder);
        Assert.Empty(reading.Faults);
        Assert.Contains("data/a.jsonl", reading.Resolved);
        Assert.DoesNotContain(folder, reading.Resolved);
        var wrong = RecipeReader.Parse(text.Replace("weights", "weihgts").Replace("/a.jsonl", "/aa.jsonl"), "local.yaml", folder);
        Assert.Equal(
            [("model.folder", "did you mean 'weights'?"), ("data.words.files[0]", "did you mean 'a.jsonl'?")],
            wrong.Faults.Select(fault => (fault.Path, fault.Hint)));
    }

    [Fact]
    public void The_field_of_a_text_file_is_text()
    {
        const string text = """
            name: local
            model: {folder: weights}
            data: {words: {files: data/d.txt}}
            stages: {name: read, kind: pretrain, text: "{line}", data: words, steps: 5, optimizer: {rate: 1e-3}}
            """;
        Assert.Equal("the fields here are text", Assert.Single(RecipeReader.Parse(text, "local.yaml", folder).Faults).Hint);
        Assert.Empty(RecipeReader.Parse(text.Replace("{line}", "{text}"), "local.yaml", folder).Faults);
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
