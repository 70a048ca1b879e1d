using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;

namespace Polymath.Tests.Text.Templates;

/// <summary>
/// Rows of ChatGLM-6B, ChatGLM2-6B and ChatGLM3-6B as published, without a chat template: token by token what their own code builds.
/// </summary>
[Trait("kind", "parity")]
public sealed class GlmRowTests : IDisposable
{
    private const string First = "glm1_new", Second = "chatglm2", Third = "glm3";
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    // ChatGLM2 has the files of ChatGLM3 but for the tokens of the roles, which its name tells.
    private (Tokenizer Tokenizer, TextContract Contract) Published(string name)
    {
        folder.Write("config.json", "{\"model_type\": \"chatglm\"}");
        foreach (var file in Directory.GetFiles(TextFixtures.At("tokenizer-files", name == Second ? Third : name)))
            File.Copy(file, folder.At(Path.GetFileName(file)), true);
        if (name == Second)
        {
            var settings = File.ReadAllText(folder.At("tokenizer_config.json"));
            folder.Write("tokenizer_config.json", settings.Replace("chatglm3", "chatglm2", StringComparison.Ordinal));
        }
        var tokenizer = Tokenizer.Load(folder.Path);
        return (tokenizer, TextContract.Load(folder.Path, tokenizer));
    }

    private static TokenRow Row(TextContract contract, Tokenizer tokenizer, params Turn[] turns) =>
        contract.Render(new Conversation("k", turns), tokenizer).Tokenize(tokenizer);

    private static int Id(Tokenizer tokenizer, string token) => tokenizer.IdOf(token)!.Value;

    private static int[] Learned(TokenRow row) => [.. row.Ids.Where((_, i) => row.Learn[i] != 0)];

    [Theory]
    [InlineData(First)]
    [InlineData("glm1_old")]
    public void The_first_ones_row_is_question_marks_answer_and_end(string name)
    {
        var (tokenizer, contract) = Published(name);
        const string question = "你好 sop\n two  [gMASK]", answer = "hi 好";
        // As build_inputs_with_special_tokens and ptuning/main.py put it together.
        int[] prompt = [.. tokenizer.EncodePlain(question), Id(tokenizer, "[gMASK]"), Id(tokenizer, "<sop>")];
        int[] reply = [.. tokenizer.EncodePlain(answer), Id(tokenizer, "<eop>")];
        Assert.Equal(prompt, contract.Encode([new Turn(question)], tokenizer));
        var row = Row(contract, tokenizer, new Turn(question, answer));
        Assert.Equal([.. prompt, .. reply], row.Ids);
        Assert.Equal(reply, Learned(row));
        Assert.Contains(Id(tokenizer, "<eop>"), contract.Ends(tokenizer));

        // As chat() tells what was said before.
        const string talk = "[Round 0]\n问：一\n答：二\n[Round 1]\n问：三\n答：";
        Turn[] turns = [new("一", "二"), new("三")];
        Assert.Equal(
            [.. tokenizer.EncodePlain(talk), Id(tokenizer, "[gMASK]"), Id(tokenizer, "<sop>")], contract.Encode(turns, tokenizer));
    }

    [Fact]
    public void The_seconds_row_is_marks_rounds_answer_and_end()
    {
        var (tokenizer, contract) = Published(Second);
        const string question = "a sop [gMASK]", answer = "hi 好";
        int[] marks = [Id(tokenizer, "[gMASK]"), Id(tokenizer, "sop")];
        // As build_prompt, build_inputs_with_special_tokens and ptuning/main.py put it together.
        int[] prompt = [.. marks, .. tokenizer.EncodePlain($"[Round 1]\n\n问：{question}\n\n答：")];
        int[] reply = [.. tokenizer.EncodePlain(answer), Id(tokenizer, "</s>")];
        Assert.Equal(prompt, contract.Encode([new Turn(question)], tokenizer));
        var row = Row(contract, tokenizer, new Turn(question, answer));
        Assert.Equal([.. prompt, .. reply], row.Ids);
        Assert.Equal(reply, Learned(row));
        const string talk = "[Round 1]\n\n问：一\n\n答：二\n\n[Round 2]\n\n问：三\n\n答：";
        Turn[] turns = [new("一", "二"), new("三")];
        Assert.Equal([.. marks, .. tokenizer.EncodePlain(talk)], contract.Encode(turns, tokenizer));
    }

    [Fact]
    public void The_thirds_row_is_marks_roles_answers_and_end()
    {
        var (tokenizer, contract) = Published(Third);
        // As build_single_message puts a message together.
        int[] Said(string role, string text) =>
            [Id(tokenizer, $"<|{role}|>"), .. tokenizer.EncodePlain("\n"), .. tokenizer.EncodePlain(text)];
        int[] marks = [Id(tokenizer, "[gMASK]"), Id(tokenizer, "sop")];
        const string question = "a sop <|user|>  two\nlines", answer = "hi 好";
        // As build_chat_input asks.
        int[] prompt = [.. marks, .. Said("user", question), Id(tokenizer, "<|assistant|>")];
        Assert.Equal(prompt, contract.Encode([new Turn(question)], tokenizer));
        // As the demonstration of finetuning lays a conversation, whose labels are the tokens behind those of its mask.
        var row = Row(contract, tokenizer, new Turn(question, answer), new Turn("一", "二"));
        Assert.Equal(
            [
                .. marks, .. Said("user", question), .. Said("assistant", answer), .. Said("user", "一"), .. Said("assistant", "二"),
                Id(tokenizer, "</s>"),
            ],
            row.Ids);
        Assert.Equal(
            [
                .. Said("assistant", answer)[1..], Id(tokenizer, "<|user|>"), .. Said("assistant", "二")[1..], Id(tokenizer, "</s>"),
            ],
            Learned(row));
        Assert.Equal([Id(tokenizer, "</s>"), Id(tokenizer, "<|user|>")], contract.Ends(tokenizer));
        var said = tokenizer.Decode([.. tokenizer.EncodePlain("\n"), .. tokenizer.EncodePlain("hi")]);
        Assert.Equal("hi", contract.Answered(said, tokenizer));
    }

    [Theory]
    [InlineData(First, "chatglm")]
    [InlineData(Second, "chatglm2")]
    [InlineData(Third, "chatglm3")]
    public void The_familys_layout_is_told_and_the_same_by_its_name(string name, string template)
    {
        var (tokenizer, contract) = Published(name);
        Assert.True(contract.Recorded);
        Assert.Contains($"published with, {template} (", contract.Note, StringComparison.Ordinal);
        var chosen = contract.With(template);
        Assert.Null(chosen.Note);
        Turn[] turns = [new("q <|user|> </s>", "a"), new("r", "b")];
        Assert.Equal(Row(contract, tokenizer, turns).Ids, Row(chosen, tokenizer, turns).Ids);

        using var kept = new ScratchFolder();
        tokenizer.Save(kept.Path);
        contract.Save(kept.Path, tokenizer);
        var again = TextContract.Load(kept.Path, tokenizer);
        Assert.Equal(Row(contract, tokenizer, turns).Ids, Row(again, tokenizer, turns).Ids);
        Assert.Null(again.Note);
    }

    [Theory]
    [InlineData(First, "chatglm3", "sop, <|user|>, <|assistant|>", "Choose chatglm,")]
    [InlineData(Second, "chatglm3", "<|user|>, <|assistant|>", "Choose chatglm2,")]
    [InlineData(Third, "chatglm", "<sop>, <eop>", "Choose chatglm3,")]
    [InlineData("llama2", "glm4", "[gMASK], <sop>, <|user|>, <|assistant|>", "Choose another (polymath template list)")]
    public void A_template_whose_marks_the_tokenizer_lacks_is_refused(string name, string template, string missing, string advice)
    {
        var (tokenizer, contract) = Published(name);
        var message = Assert.Throws<InputException>(() => contract.With(template).Encode([new Turn("q")], tokenizer)).Message;
        Assert.Contains($"does not have: {missing}.", message, StringComparison.Ordinal);
        Assert.Contains(advice, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Earlier_answers_that_are_only_read_are_told()
    {
        foreach (var name in new[] { First, Second })
        {
            var (tokenizer, contract) = Published(name);
            var rendering = contract.Render(new Conversation("k", [new("q", "a"), new("r", "b")]), tokenizer);
            Assert.Equal([new LayoutRemark(1, LayoutRemarkKind.AnswerOnlyRead, "")], rendering.Remarks);
        }
    }

    [Fact]
    public void A_document_stands_behind_the_marks()
    {
        foreach (var (name, begin, end) in new[] { (First, "<sop>", "<eop>"), (Second, "sop", "</s>"), (Third, "sop", "</s>") })
        {
            var (tokenizer, contract) = Published(name);
            var row = contract.Template.Render(new Document("k", "一")).Tokenize(tokenizer);
            Assert.Equal(
                [Id(tokenizer, "[gMASK]"), Id(tokenizer, begin), .. tokenizer.EncodePlain("一"), Id(tokenizer, end)], row.Ids);
        }
    }
}
