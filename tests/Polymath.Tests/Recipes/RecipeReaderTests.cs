using Polymath.Recipes;

namespace Polymath.Tests.Recipes;

[Trait("kind", "unit")]
public sealed class RecipeReaderTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_shipped_recipe_reads_without_a_fault_and_its_resolved_text_reads_to_itself(bool small)
    {
        var reading = RecipeReader.Read(SampleRecipes.Tang, small);
        Assert.Empty(reading.Faults);
        var recipe = reading.OrThrow();
        var whole = (LlamaSpec)RecipeReader.Read(SampleRecipes.Tang).OrThrow().Model;
        Assert.Equal(small, ((LlamaSpec)recipe.Model).HiddenSize < whole.HiddenSize);
        Assert.Equal(["pretrain", "finetune", "task", "align", "together"], recipe.Stages.Select(stage => stage.Name));
        Assert.Equal(reading.Resolved, RecipeReader.Parse(reading.Resolved, "resolved.yaml", reading.BaseFolder).Resolved);
        Assert.Equal(SampleRecipes.Folder, reading.BaseFolder);
        Assert.Equal(SampleRecipes.Tang, reading.File);
    }

    [Fact]
    public void Every_part_of_a_recipe_is_read()
    {
        var reading = SampleRecipes.Read(SampleRecipes.Whole);
        var recipe = reading.OrThrow();
        Assert.Equal("paragraphs", ((FilesSpec)recipe.Data["poems"]).Fields!["text"].Path);
        Assert.Equal(new FieldSpec("title"), ((FilesSpec)recipe.Data["poems"]).Fields!["title"]);
        Assert.Equal(["model.layers.1.*"], ((FreezeMethod)recipe.Stages[1].Method!).Train);
        Assert.Equal(["L", "i"], ((PromptMethod)recipe.Stages[2].Method!).Verbalizer!.Given!["Li"]);
        Assert.Equal(0.5, ((AlignSpec)recipe.Stages[3].Objective).Rewards!["tones"]);
        Assert.Equal(["read", "write", "tell", "please", "write.2"], recipe.Visits().Select(visit => visit.Name));
        Assert.Equal(reading.Resolved, SampleRecipes.Read(reading.Resolved).Resolved);
    }

    [Fact]
    public void Five_mistakes_are_reported_together_each_with_its_line_and_what_to_type()
    {
        var text = SampleRecipes.Sample
            .Renamed("model.layers", "layer")
            .Renamed("stages.read.optimizer.rate", "rat")
            .With("stages.read.batch.tokens", "5_12")
            .With("stages.write.data[1]", "shrter")
            .With("stages.tell.method.train.kind", "lore").Text;
        var reading = SampleRecipes.Read(text);
        Assert.Null(reading.Recipe);
        Assert.Equal("", reading.Resolved);
        (string Path, string Piece, string Hint)[] expected =
        [
            ("model.layer", "layer: 2", "did you mean 'layers'?"),
            ("stages.read.optimizer.rat", "rat: 3e-3", "did you mean 'rate'?"),
            ("stages.read.batch.tokens", "5_12", "type 512"),
            ("stages.write.data[1]", "shrter]", "did you mean 'shorter'?"),
            ("stages.tell.method.train.kind", "lore", "did you mean 'lora'?"),
        ];
        Assert.Equal(
            expected.Select(fault => (fault.Path, SampleRecipes.LineOf(text, fault.Piece), fault.Hint)),
            reading.Faults.Select(fault => (fault.Path, fault.Line, fault.Hint)));
        var line = text.Split('\n')[reading.Faults[1].Line - 1];
        Assert.Equal(line.IndexOf("rat:", StringComparison.Ordinal) + 1, reading.Faults[1].Column);
        Assert.StartsWith(
            $"sample.yaml:{reading.Faults[1].Line}:{reading.Faults[1].Column}  stages.read.optimizer.rat: unknown key 'rat'; did you mean",
            reading.Faults[1].ToString());
        var message = Assert.Throws<InputException>(reading.OrThrow).Message;
        Assert.StartsWith("5 faults in sample.yaml:", message);
        Assert.Equal(7, message.Split('\n').Length);
    }

    [Fact]
    public void Json_is_read_as_well_with_places()
    {
        const string json = $$$"""
            {
            	"name": "json",
            	"model": {"family": "llama", "hiddenSize": 16, "intermediateSize": 32, "layers": 1, "heads": 2},
            	"tokenizer": {"kind": "character"},
            	"data": {"words": {"files": "npm:words@1.0.0/a.json", "sha512": "{{{SampleRecipes.Hash}}}"}},
            	"stages": [{"name": "read", "kind": "pretrain", "data": "words", "steps": 5, "optimizer": {"rate": 1e-3}}]
            }
            """;
        Assert.Empty(SampleRecipes.Read(json).Faults);
        var fault = Assert.Single(SampleRecipes.Read(json.Replace("\"steps\": 5", "\"steps\": \"5\"")).Faults);
        Assert.Equal(("stages.read.steps", 6, "remove the quotes"), (fault.Path, fault.Line, fault.Hint));
    }

    [Fact]
    public void Layout_comments_and_order_do_not_change_the_resolved_text()
    {
        var text = "# a comment\n" + SampleRecipes.Whole.Replace("rate: 3e-3", "rate: 0.003")
            .Replace("data: poems\n", "data: [poems]  # one\n");
        Assert.Equal(SampleRecipes.Read(SampleRecipes.Whole).Resolved, SampleRecipes.Read(text + "\nseed: 0\n").Resolved);
        Assert.NotEqual(SampleRecipes.Read(SampleRecipes.Whole).Resolved, SampleRecipes.Read(text + "\nseed: 1\n").Resolved);
    }

    [Fact]
    public void Odd_texts_survive_the_resolved_text()
    {
        const string odd = """
            "null: \"x\\ \n\t # 'y' \u0007 \u2028 😀"
            """;
        var reading = SampleRecipes.Read(
            SampleRecipes.Sample.With("data.short.fields.form", odd).With("description", "'true'").Text);
        var again = SampleRecipes.Read(reading.Resolved);
        Assert.Equal("true", again.OrThrow().Description);
        Assert.Equal(
            ((ViewSpec)reading.OrThrow().Data["short"]).Fields!["form"], ((ViewSpec)again.OrThrow().Data["short"]).Fields!["form"]);
        Assert.Equal(reading.Resolved, again.Resolved);
    }

    [Theory]
    [InlineData("", "the recipe is empty", 1)]
    [InlineData("# nothing\n", "the recipe is empty", 1)]
    [InlineData("just words", "stands where a recipe is expected", 1)]
    [InlineData("name: a\n\tmodel: b", "not YAML", 2)]
    [InlineData("name: a\nmodel: [1, 2\ndata: {}", "is not closed", 2)]
    [InlineData("name: 'a", "not YAML", 1)]
    [InlineData("name: a\n---\nname: b", "a second document", 2)]
    [InlineData("name: a\nseed: 1\nname: b", "here twice", 3)]
    [InlineData("name: &here a", "anchor", 1)]
    [InlineData("name: *there", "alias", 1)]
    [InlineData("name: !!str a", "tag", 1)]
    [InlineData("? [a]\n: b", "where a key is expected", 1)]
    public void What_cannot_be_parsed_is_a_fault_with_its_line(string text, string problem, int line) =>
        Assert.Contains(
            SampleRecipes.Read(text).Faults,
            fault => fault.Problem.Contains(problem, StringComparison.Ordinal) && fault.Line == line && fault.Column > 0);

    [Fact]
    public void Files_that_cannot_be_read_are_faults()
    {
        Assert.Contains(
            "no such file",
            Assert.Single(RecipeReader.Read(Path.Combine(SampleRecipes.Folder, "tank.yaml")).Faults).ToString());
        Assert.Equal("did you mean 'tang.yaml'?", RecipeReader.Read(Path.Combine(SampleRecipes.Folder, "tank.yaml")).Faults[0].Hint);
        Assert.Contains("folder", Assert.Single(RecipeReader.Read(SampleRecipes.Folder).Faults).Problem);
        Assert.Single(RecipeReader.Read("").Faults);
        var folder = Directory.CreateTempSubdirectory("polymath-reading");
        var file = Path.Combine(folder.FullName, "latin.yaml");
        File.WriteAllBytes(file, [0x6e, 0xe9, 0xff]);
        Assert.Contains("UTF-8", Assert.Single(RecipeReader.Read(file).Faults).Problem);
        folder.Delete(recursive: true);
    }
}
