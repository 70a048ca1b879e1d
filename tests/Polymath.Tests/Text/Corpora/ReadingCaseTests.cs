
namespace Polymath.Tests.Text.Corpora;

/// <summary>Rows of published data: their content is learned, or reported, or refused by name with the line.</summary>
[Trait("kind", "unit")]
public sealed class ReadingCaseTests
{
    private const string End = "<|im_end|>";

    [Theory]
    [InlineData("01-15hist.json", $"a1{End}|a2{End}|a3{End}")]
    [InlineData("03-07odd.jsonl", $"b{End}")]
    [InlineData("11-msgs.parquet", $"b{End} / d{End}")]
    [InlineData("13-pref.parquet", $"b{End} / bad{End}")]
    [InlineData("15-hist.parquet", $"a1{End}|a3{End}")]
    [InlineData("17-16prefuf.jsonl", $"good{End} / bad{End}")]
    [InlineData("18-17pc.jsonl", $"a{End}")]
    [InlineData("20-10weight.jsonl", $"good{End}")]
    [InlineData("22-10lossw.jsonl", $"good{End}")]
    [InlineData("23-10weightax.jsonl", $"good{End}")]
    [InlineData("31-19dolly.jsonl", $"a{End}")]
    [InlineData("35-cosmopedia.jsonl", $"RESPX{End}")]
    [InlineData("36-19swift2.jsonl", $"a{End} / bad{End}")]
    [InlineData("38-16preflong.jsonl", $"g1{End}|g2{End} / b1{End}")]
    [InlineData("43-13.jsonl.gz", $"Hi{End} / Bye{End}")]
    [InlineData("43-13.jsonl.zst", $"Hi{End} / Bye{End}")]
    [InlineData("43-13.jsonl.xz", $"Hi{End} / Bye{End}")]
    [InlineData("43-13.jsonl.bz2", $"Hi{End} / Bye{End}")]
    [InlineData("51-half.parquet", $"g{End} / b{End}")]
    [InlineData("59-08role1_USER_ASSISTANT.jsonl", $"b{End}")]
    [InlineData("59-08role4_human_model.jsonl", $"b{End}")]
    [InlineData("59-08role5_prompter_assistant.jsonl", $"b{End}")]
    [InlineData("59-08role6_human_bot.jsonl", $"b{End}")]
    public void What_a_row_says_is_what_is_learned(string file, string learned) =>
        Assert.Equal(learned, ReadingScene.Learned(ReadingScene.Preview(ReadingScene.Source(ReadingScene.At(file)))));

    [Theory]
    [InlineData("16-tools.parquet", "row 1:", "the call of a function in message 2", "ignore: [tool_calls]")]
    [InlineData("24-09toolstr.jsonl", "line 1:", "the call of a function in message 2", "ignore: [tool_calls]")]
    [InlineData("26-21narr.jsonl", "line 1:", "from 'narrator'", "roles: {narrator: user}")]
    [InlineData("27-21function.jsonl", "line 1:", "the call of a function in message 2", "ignore: [tool_calls]")]
    [InlineData("33-18mm.jsonl", "line 1:", "column 'images'", "ignore: [images]")]
    [InlineData("47-rownull.jsonl", "line 138:", "'output' is null", "where")]
    [InlineData("48-nulls.parquet", "row 2:", "'instruction' is null", "where")]
    [InlineData("49-02comma.json", "line 1, byte", "a comma before the closing ]", "Remove it")]
    [InlineData("49-03nan.jsonl", "line 1, byte", "NaN is not JSON", "null in its place")]
    public void What_cannot_be_learned_as_it_stands_is_refused_with_its_place(string file, string place, string what, string hint)
    {
        var fault = ReadingScene.Fault(ReadingScene.Source(ReadingScene.At(file)));
        Assert.Contains(file, fault, StringComparison.Ordinal);
        Assert.Contains(place, fault, StringComparison.Ordinal);
        Assert.Contains(what, fault, StringComparison.Ordinal);
        Assert.Contains(hint, fault, StringComparison.Ordinal);
        Assert.DoesNotContain("reader options", fault, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_ignored_by_name_is_left_out_and_told()
    {
        var spec = ReadingScene.Source(ReadingScene.At("33-18mm.jsonl"));
        var preview = ReadingScene.Preview(spec with { Ignore = ["images"] });
        Assert.Equal($"cat{End}", ReadingScene.Learned(preview));
        Assert.Contains(preview.Notes, note => note.StartsWith("column 'images' is ignored (1 row, first ", StringComparison.Ordinal));
        var called = ReadingScene.Source(ReadingScene.At("24-09toolstr.jsonl")) with { Ignore = ["function_call", "tools"] };
        Assert.Equal($"ok{End}", ReadingScene.Learned(ReadingScene.Preview(called)));
    }

    [Fact]
    public void Columns_that_nothing_uses_are_told_once_with_their_rows()
    {
        var notes = ReadingScene.Preview(ReadingScene.Source(ReadingScene.At("31-19dolly.jsonl"))).Notes;
        Assert.StartsWith("column 'category' is not used (1 row, first ", Assert.Single(notes), StringComparison.Ordinal);
        Assert.Contains("important context", ReadingScene.All(
            ReadingScene.Preview(ReadingScene.Source(ReadingScene.At("31-19dolly.jsonl")))));
    }

    [Fact]
    public void One_row_in_parts_among_many_is_read_like_the_others()
    {
        var preview = ReadingScene.Preview(ReadingScene.Source(ReadingScene.At("45-rowmix.jsonl")));
        Assert.Equal(200, preview.Rows);
        Assert.All(preview.Shown, row => Assert.Contains(row.Tokens, token => token.State == "trained"));
    }

    [Fact]
    public void An_answer_that_is_not_good_keeps_its_label()
    {
        var rows = ReadingScene.Corpora(ReadingScene.Source(ReadingScene.At("29-17ktofalse.jsonl"))).Rows("d");
        Assert.Equal("false", Assert.Single(rows).Fields["label"]);
    }
}
