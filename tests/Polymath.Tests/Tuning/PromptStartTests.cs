using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Prompts that start from words, prompts that attention reads in addition, and settings that are refused with a hint.</summary>
[Trait("kind", "invariant")]
public sealed class PromptStartTests
{
    private static AdapterConfiguration Settings(string json) => AdapterConfiguration.Of(JsonNode.Parse(json)!.AsObject(), "the test");

    [Fact]
    public void A_prompt_starts_as_the_tokens_of_a_text_repeated_until_there_are_enough()
    {
        var (tokenizer, _) = Toy.Letters();
        using var model = Toy.Model(vocabulary: tokenizer.VocabularySize);
        const string Said =
            """{"peft_type":"PROMPT_TUNING","num_virtual_tokens":5,"prompt_tuning_init":"TEXT","prompt_tuning_init_text":"abc"}""";
        var tokens = tokenizer.Encode("abc", addSpecialTokens: true);
        using var folder = new ScratchFolder();
        using (var set = DeltaSet.Fresh(model, Settings(Said), 1, text => tokenizer.Encode(text, addSpecialTokens: true)))
        {
            using var scope = NewDisposeScope();
            var expected = model.Tokens.Embedding.Value.index_select(
                0, tensor(Enumerable.Range(0, 5).Select(i => (long)tokens[i % tokens.Length]).ToArray()));
            Assert.Equal(Samples.Floats(expected), Samples.Floats(set.Weights.Single().Value));
            set.Save(folder.Path);
        }
        var written = JsonNode.Parse(File.ReadAllText(folder.At("adapter_config.json")))!;
        Assert.Equal("RANDOM", (string?)written["prompt_tuning_init"]);
        Assert.Null(written["prompt_tuning_init_text"]);
        Assert.Contains(
            "needs the model's tokenizer",
            Assert.Throws<InputException>(() => DeltaSet.Fresh(model, Settings(Said), 1).Dispose()).Message);
        Assert.Contains(
            "the text that the prompt starts from is needed",
            Assert.Throws<InputException>(
                () => DeltaSet.Fresh(model, Settings(Said.Replace("abc", "", StringComparison.Ordinal)), 1, _ => [1]).Dispose()).Message);
        // The size is computed without the text, which is read when the prompt is made.
        var solved = DeltaPlan.Configure(model, new DeltaSpec(
            DeltaForm.PromptTuning,
            Budget: "100",
            Settings: new Dictionary<string, string> { ["prompt_tuning_init"] = "TEXT", ["prompt_tuning_init_text"] = "abc" }));
        Assert.Equal("TEXT", solved.Text("prompt_tuning_init"));
    }

    [Fact]
    public void A_prompt_of_random_words_holds_words()
    {
        using var model = Toy.Model();
        using var set = DeltaSet.Fresh(
            model, Settings("""{"peft_type":"PROMPT_TUNING","num_virtual_tokens":4,"prompt_tuning_init":"SAMPLE_VOCAB"}"""), 1);
        using var scope = NewDisposeScope();
        Tensor words = model.Tokens.Embedding.Value, vectors = set.Weights.Single().Value;
        for (var i = 0; i < 4; i++) Assert.True(words.eq(vectors[i]).all(1).any().item<bool>());
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    [InlineData("gemma2")]
    [InlineData("qwen3")]
    public void What_attention_reads_besides_is_read_while_generating_too(string family)
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", family));
        int[] prompt = [5, 6, 7, 8];
        var generator = new TokenGenerator(model, []);
        int[] Answer() => generator.Generate(
            [prompt], new SamplingSettings(Temperature: 0, MaxNewTokens: 6), cancellation: TestContext.Current.CancellationToken)[0];
        var basis = Answer();
        using var set = DeltaSet.Fresh(model, Settings("""{"peft_type":"ADAPTION_PROMPT","adapter_len":4}"""), 1);
        Assert.Equal(basis, Answer());
        foreach (var (name, weight) in set.Trained) weight.Assign(Samples.Normal(name, weight.Value.shape) * 3);
        var answer = Answer();
        var row = prompt.ToList();
        foreach (var token in answer)
        {
            using var frozen = no_grad();
            using var scope = NewDisposeScope();
            using var batch = Batch.Of([new Polymath.Text.Packing.TokenRow([.. row], new float[row.Count], "")]);
            Assert.Equal(token, (int)model.Unembed(model.Hidden(batch)[^1].unsqueeze(0)).argmax(-1).item<long>());
            row.Add(token);
        }
    }

    [Theory]
    [InlineData("t5", """{"peft_type":"ADAPTION_PROMPT"}""", "the attention of a t5 does not support adaption prompts")]
    [InlineData("llama", """{"peft_type":"ADAPTION_PROMPT","adapter_layers":9}""", "the model has 3 layers of attention")]
    [InlineData("llama", """{"peft_type":"ADAPTION_PROMPT","target_modules":"attn"}""", "is called self_attn")]
    [InlineData("llama", """{"peft_type":"LORA","target_modules":["q_proj"],"layer_replication":[[0,2],[1,3]]}""",
        "is another model. Write that one first")]
    [InlineData("llama", """{"peft_type":"LORA","target_modules":["q_proj"],"trainable_token_indices":{"q_proj":[1]}}""",
        "tokens of the table model.embed_tokens can be trained and those of the head lm_head, and no other")]
    [InlineData("llama", """{"peft_type":"LORA","target_modules":["q_proj"],"trainable_token_indices":[1,1]}""", "each once")]
    [InlineData("llama", """{"peft_type":"LORA","target_modules":["q_proj","embed_tokens"],"trainable_token_indices":[1]}""",
        "only one of the two")]
    [InlineData("llama", """{"peft_type":"SHIRA","target_modules":["q_proj"],"r":60}""", "Lower r")]
    [InlineData("llama", """{"peft_type":"SHIRA","target_modules":["q_proj"],"r":1,"mask_type":"x"}""",
        "known are \"magnitude\", \"random\" and \"fisher\"")]
    public void What_cannot_be_done_is_refused_with_a_way_out(string family, string settings, string message)
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", family));
        Assert.Contains(message, Assert.Throws<InputException>(() => DeltaSet.Fresh(model, Settings(settings), 1).Dispose()).Message);
        Assert.All(model.Projections, map => Assert.Empty(map.Deltas));
    }

    [Fact]
    public void A_bias_in_the_delta_is_merged_only_where_the_map_has_one_and_combined_never()
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", "llama"));
        using var set = DeltaSet.Fresh(model, Settings("""{"peft_type":"LORA","target_modules":["q_proj"],"lora_bias":true,"r":2}"""), 1);
        Assert.False(set.Merges);
        Assert.Throws<InputException>(set.Merge);
        Assert.Throws<InputException>(() => Combination.Of(
            [(set, 1)],
            CombineKind.Cat,
            1,
            null,
            1,
            out _));
    }
}
