namespace Polymath.Tests.Cli;

/// <summary><c>polymath check --open</c>: what a run would find before its first steps.</summary>
[Trait("kind", "unit")]
public sealed class OpenCheckTests
{
    [Fact]
    public void Every_stage_is_opened_and_nothing_is_left_behind()
    {
        using var recipe = new TinyRecipe();
        var before = Directory.GetFileSystemEntries(recipe.Path).Order();
        var opened = CliProgram.Run(recipe.Path, "check", "tiny.yaml", "--open");
        Assert.Equal((0, ""), (opened.Code, opened.Error));
        foreach (var stage in new[] { "read", "write", "tell", "please" })
            Assert.Matches($"{stage}: [0-9,]+ steps, [0-9,]+ parameters trained", opened.Out);
        Assert.Matches(@"write: [0-9]+ rows, [0-9,]+ tokens", opened.Out);
        Assert.Contains("memory from", opened.Out);
        Assert.Contains("tiny.yaml is right: 4 stages", opened.Out);
        Assert.Equal(before, Directory.GetFileSystemEntries(recipe.Path).Order());
    }

    [Theory]
    [InlineData(
        "model.tiedHead=true",
        "stages.read.method={kind: delta, form: lora, roles: [head], merge: true, settings: {r: '2'}}",
        "merge: false")]
    [InlineData("stages.tell.label=sort", null, "no row has the field 'sort'")]
    [InlineData("stages.write.batch.maxLength=3", "stages.write.batch.overlong=drop", "longer than 3 tokens")]
    [InlineData("stages.read.epochs=1", "stages.read.schedule.warmup=5000", "longer than its")]
    public void What_cannot_end_well_is_refused(string first, string? second, string part)
    {
        using var recipe = new TinyRecipe();
        string[] sets = ["--set", first, .. second is null ? [] : new[] { "--set", second }];
        if (first.StartsWith("stages.read.epochs", StringComparison.Ordinal))
            recipe.Write("tiny.yaml", File.ReadAllText(recipe.At("tiny.yaml")).Replace("    steps: 8\n", "", StringComparison.Ordinal));
        var refused = CliProgram.Run(recipe.Path, ["check", "tiny.yaml", "--open", .. sets]);
        Assert.Equal(2, refused.Code);
        Assert.Contains(part, refused.Error);
    }
}
