using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Stages;

namespace Polymath.Tests.Cli;

/// <summary>ChatGLM trained and talked with in its own layout; rows that a model could not learn rightly are refused.</summary>
[Trait("kind", "invariant")]
public sealed class GlmStageTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static RecipeBuilder Recipe() => RecipeBuilder.Named("glm").Model("folder: m")
        .Data("talk", "files: rows.jsonl", "shape: auto", "split: {validation: 0.2}")
        .Stage("teach", "finetune", "data: talk", "steps: 2", "optimizer: {rate: 1e-2}", "batch: {tokens: 256}", "evaluate: {samples: 1}");

    private CliResult Run(RecipeBuilder recipe, bool third = false)
    {
        TinyGlm.Write(folder.At("m"), third);
        folder.Write("rows.jsonl", string.Concat(
            Enumerable.Range(0, 20).Select(i => $"{{\"instruction\": \"say {i}\", \"output\": \"{(char)('a' + i)} sop\"}}\n")));
        folder.Write("glm.yaml", recipe.Text);
        return CliProgram.Run(folder.Path, "run", "glm.yaml", "--run-dir", "run");
    }

    [Theory]
    [InlineData(false, "chatglm")]
    [InlineData(true, "chatglm3")]
    public void A_published_folder_is_trained_and_talked_with_in_its_own_layout(bool third, string template)
    {
        var result = Run(Recipe(), third);
        Assert.True(result.Code == 0, result.All);
        Assert.Contains($"laid out by the one its family was published with, {template}", result.All, StringComparison.Ordinal);
        var preview = CliProgram.Run(folder.Path, "data", "preview", "rows.jsonl", "--model", "m", "--rows", "1");
        var row = third ? "[gMASK]sop<|user|> \n say 0<|assistant|>« \n a sop" : "say 0[gMASK]<sop>« a sop<eop>»";
        Assert.Contains(row, preview.Out, StringComparison.Ordinal);
        Assert.Contains($"published with, {template}", preview.Out, StringComparison.Ordinal);
        var said = CliProgram.Say(folder.Path, "say 3\n/exit\n", "chat", "run", "--max-new-tokens", "4");
        Assert.Equal(0, said.Code);
        Assert.DoesNotContain("taught no layout", said.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_row_that_would_show_its_answer_is_refused_before_the_first_step()
    {
        folder.Write("bare.jinja", "{% for m in messages %}{{ m.content }}{{ '<eop>' if m.role == 'assistant' }}{% endfor %}");
        var result = Run(Recipe().With("chat", "{template: bare.jinja}"));
        Assert.Equal(2, result.Code);
        Assert.Contains("has no token <sop>. This model reads a row in both directions", result.Error, StringComparison.Ordinal);
        Assert.Contains("chat: {template: chatglm}", result.Error, StringComparison.Ordinal);
        Assert.Contains("rows.jsonl, line", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_layout_without_an_end_is_refused_before_the_first_step()
    {
        folder.Write("endless.jinja", "{% for m in messages %}{{ m.content }}{{ '[gMASK]<sop>' if m.role == 'user' }}{% endfor %}");
        var result = Run(Recipe().With("chat", "{template: endless.jinja}"));
        Assert.Equal(2, result.Code);
        Assert.Contains("no row learns to end: <eop> is never a target", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_layout_that_has_no_end_token_at_all_is_refused_even_where_rows_are_cut()
    {
        var checks = new TargetChecks("teach", new TextContract(ChatTemplate.Words("", ""), []), Toy.Letters().Tokenizer);
        var row = new TokenRow([1, 2, 3], [0, 1, 1], "row");
        checks.Add(row, [new TokenRow([1, 2], [0, 1], "row")]);
        var message = Assert.Throws<InputException>(() => checks.Finish(1)).Message;
        Assert.Contains("no row learns to end: the layout has no token that ends an answer", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new[] { 4, 9, 5 }, new float[] { 0, 0, 1 }, null)]
    [InlineData(new[] { 4, 9, 5 }, new float[] { 1, 0, 1 }, null)]
    [InlineData(new[] { 4, 9, 5 }, new float[] { 0, 1, 1 }, "row learns something before its token")]
    [InlineData(new[] { 4, 6, 9, 5 }, new float[] { 0, 1, 0, 1 }, "row learns something before its token")]
    [InlineData(new[] { 4, 6, 5 }, new float[] { 0, 0, 1 }, "row has no token")]
    [InlineData(new[] { 4, 6, 5 }, new float[] { 0, 0, 0 }, null)]
    public void What_is_learned_must_stand_behind_the_token_that_ends_the_prompt(int[] ids, float[] learn, string? fault)
    {
        void Check(int? promptEnd) => PromptEndCheck.Refuse("s", new TokenRow(ids, learn, "row"), promptEnd, Toy.Letters().Tokenizer);
        Check(null);
        if (fault is null) Check(9);
        else Assert.Contains(fault, Assert.Throws<InputException>(() => Check(9)).Message, StringComparison.Ordinal);
    }
}
