using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Training.Evaluation;

namespace Polymath.Tests.Text.Corpora;

/// <summary>The published cases whose right value is not a row alone: a template, a model's folder, a name of a speaker.</summary>
[Trait("kind", "parity")]
public sealed class PublishedCaseTests : IDisposable
{
    private const string End = "<|im_end|>";

    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static string Learned(string file, string template = "chatml") =>
        ReadingScene.Learned(ReadingScene.Preview(ReadingScene.Source(ReadingScene.At(file)), template));

    [Theory]
    [InlineData("decorated-last-turn")]
    [InlineData("next-message")]
    [InlineData("opened-thought")]
    [InlineData("tail")]
    public void Three_answers_of_a_plain_talk_are_learned_under_every_kind_of_template(string template)
    {
        var learned = Learned("05-k1.json", TextFixtures.At("reading", "templates", template + ".jinja"));
        Assert.Matches("^[^q]*ANS1[^q]*ANS2[^q]*ANS3[^q]*$", learned);
    }

    [Fact]
    public void A_developer_s_message_that_a_template_leaves_out_is_refused_by_name()
    {
        var source = ReadingScene.Source(ReadingScene.At("26-21dev.jsonl"));
        var template = folder.Write("strict.jinja", "{% for m in messages %}{% if m.role in ['system', 'user', 'assistant'] %}"
            + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
            + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}");
        var fault = ReadingScene.Fault(source, template);
        Assert.Contains("26-21dev.jsonl, line 1: ", fault);
        Assert.Contains("does not print message 1 (role developer)", fault);
        Assert.Contains("ignore: [developer]", fault);
        Assert.Equal($"a{End}", ReadingScene.Learned(ReadingScene.Preview(source with { Ignore = ["developer"] }, template)));
        Assert.Contains("RULES", ReadingScene.All(ReadingScene.Preview(source)));
    }

    [Fact]
    public void An_answer_that_the_next_role_ends_is_learned_with_that_role()
    {
        var template = folder.Write("next.jinja", "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
            + "{% if add_generation_prompt %}<|assistant|>\n{% endif %}");
        Assert.Equal("a1<|user|>|a2<|user|>", Learned("74-multi.jsonl", template));
    }

    [Theory]
    [InlineData("59-08role0_user_assistant.jsonl", 1)]
    [InlineData("59-08role2_Human_GPT.jsonl", 1)]
    [InlineData("59-08role3_human_chatgpt.jsonl", 1)]
    [InlineData("59-08roles.jsonl", 7)]
    public void Speakers_are_known_in_any_case(string file, int rows) =>
        Assert.Equal(string.Join(" / ", Enumerable.Repeat($"b{End}", rows)), Learned(file));

    [Fact]
    public void A_talk_without_an_answer_says_that_nothing_is_learned()
    {
        var preview = ReadingScene.Preview(ReadingScene.Source(ReadingScene.At("59-08role7_user_tool.jsonl")));
        Assert.Equal(0, preview.Trained);
        Assert.Contains("nothing of the row is learned: it has no answer (1 row", Assert.Single(preview.Notes));
    }

    [Fact]
    public void A_template_for_tools_is_used_where_a_row_has_tools_and_none_is_guessed_where_it_has_none()
    {
        File.Copy(ReadingScene.At(Path.Combine("40", "tokenizer_config.json")), folder.At("tokenizer_config.json"));
        var tokenizer = Toy.Letters().Tokenizer;
        var contract = TextContract.Load(folder.Path, tokenizer);
        var row = ReadingScene.Corpora(ReadingScene.Source(ReadingScene.At("24-09toolstr.jsonl"))).Rows("d")[0];
        var text = string.Concat(contract.Render(RowTalk.Of(row), tokenizer).Spans.Select(span => span.Text));
        Assert.Equal(contract.Layout!.Templates["tool_use"], contract.Layout.For(tools: true));
        Assert.NotEmpty(text);
        if (!contract.Layout.Templates.ContainsKey("default"))
            Assert.Contains("none is named default", Assert.Throws<InputException>(() => contract.Layout.For(tools: false)).Message);
    }

    [Fact]
    public void Ranks_named_by_their_vocabulary_split_texts_as_published()
    {
        // Of the published ranks, those that can occur in the texts.
        var (count, differences) = TokenizerCases.Run(
            Tokenizer.Load(ReadingScene.At("39")), ReadingScene.At(Path.Combine("39", "gpt2tik-cases.json")));
        Assert.Equal(204, count);
        Assert.Empty(differences);
    }

    [Theory]
    [InlineData("54/sh_stale")]
    [InlineData("58/sh_dot")]
    public void A_folder_is_read_as_transformers_reads_it(string name) => Assert.All(
        ReferenceCheck.Run(ReadingScene.At(name), tolerance: 1e-4),
        line => Assert.True(line.Passed, $"{line}"));

    [Theory]
    [InlineData("56/rope_ntk", "ntk")]
    [InlineData("56/rope_llama3_missing", "low_freq_factor")]
    [InlineData("56/rope_dynamic_nofactor", "factor")]
    public void Positions_that_a_configuration_does_not_describe_are_refused(string name, string what) =>
        Assert.Contains(what, Assert.Throws<InputException>(() => ModelFolder.Open(ReadingScene.At(name)).Dispose()).Message);

    [Theory]
    [InlineData("52/q_bnb8", "bitsandbytes")]
    [InlineData("52/q_gptq", "gptq")]
    public void A_folder_of_codes_is_decoded_by_the_method_that_it_names(string name, string method)
    {
        using var model = ModelFolder.Open(ReadingScene.At(name));
        Assert.Contains($"are codes of {method}; they are decoded when read", Assert.Single(model.Notes));
        Assert.All(model.Weights, weight => Assert.All(Toy.Values([weight])[weight.Name], value => Assert.InRange(value, -10, 10)));
    }
}
