namespace Polymath.Tests.Recipes;

[Trait("kind", "unit")]
public sealed class RecipeBuilderTests
{
    private static readonly RecipeBuilder tiny = RecipeBuilder.Named("tiny")
        .Model("folder: base")
        .Data("rows", "files: rows.jsonl", "where: [{field: text}]")
        .Stage("learn", "pretrain", "data: rows", "text: '{text}'")
        .Stage("tell", "task");

    [Fact]
    public void A_recipe_is_put_together_from_parts() => Assert.Equal(
        """
        name: tiny
        model: {folder: base}
        data:
          rows: {files: rows.jsonl, where: [{field: text}]}
        stages:
        - {name: learn, kind: pretrain, data: rows, text: '{text}'}
        - {name: tell, kind: task}

        """,
        tiny.Text);

    [Fact]
    public void A_change_is_found_by_its_path_and_leaves_the_first_recipe_as_it_is()
    {
        var first = tiny.Text;
        var changed = tiny.With("stages.learn.steps", "8").With("data.rows.where[0].field", "'2'").With("stages[1].label", "a")
            .Renamed("model.folder", "foldr").Without("stages.learn.data", "stages.tell.kind").With("name", "small");
        Assert.Equal(
            """
            name: small
            model: {foldr: base}
            data:
              rows: {files: rows.jsonl, where: [{field: '2'}]}
            stages:
            - {name: learn, kind: pretrain, text: '{text}', steps: 8}
            - {name: tell, label: a}

            """,
            changed.Text);
        Assert.Equal(first, tiny.Text);
        Assert.Equal("- {name: tell, kind: task}", tiny.Without("stages.learn").Text.Split('\n')[^2]);
    }

    [Theory]
    [InlineData("modle.folder")]
    [InlineData("model.folder.deep")]
    [InlineData("stages.lern.steps")]
    [InlineData("stages[2].steps")]
    [InlineData("stages[2]")]
    [InlineData("data.rows.where.text.field")]
    public void A_change_without_a_place_throws(string path) => Assert.Throws<ArgumentException>(() => tiny.With(path, "1"));

    [Theory]
    [InlineData("tokenizer")]
    [InlineData("model.foldr")]
    [InlineData("stages.lern")]
    public void What_is_not_there_can_be_neither_taken_away_nor_renamed(string path)
    {
        Assert.Throws<ArgumentException>(() => tiny.Without(path));
        Assert.ThrowsAny<Exception>(() => tiny.Renamed(path, "other"));
    }

    [Theory]
    [InlineData("010")]
    [InlineData("'2'")]
    [InlineData("\"2\"")]
    [InlineData("null")]
    [InlineData("1E-3")]
    [InlineData("yes")]
    [InlineData("[]")]
    [InlineData("{a: , b: ''}")]
    public void A_value_is_written_as_it_is_given(string value) =>
        Assert.Equal($"model: {{folder: {value}}}", tiny.With("model.folder", value).With("seed", "1").Text.Split('\n')[1]);
}
