using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Models.Export;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using Polymath.Text;
using Polymath.Text.Templates;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Where an answer ends, its text, and what is not a number.</summary>
[Trait("kind", "invariant")]
public sealed class AnswerTests : IDisposable
{
    private static readonly SamplingSettings Greedy = new(Temperature: 0, MaxNewTokens: 12);
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private TextModel Saved(string? generation, string? end)
    {
        using (var talker = Toy.Talker()) talker.Save(folder.Path);
        File.Delete(folder.At(GenerationConfig.FileName));
        var configuration = JsonNode.Parse(File.ReadAllText(folder.At("config.json")))!;
        configuration["eos_token_id"] = end is null ? null : JsonNode.Parse(end);
        folder.Write("config.json", configuration.ToJsonString());
        if (generation is not null) folder.Write(GenerationConfig.FileName, generation);
        return TextModel.Open(folder.Path);
    }

    [Theory]
    [InlineData(null, null)]
    [InlineData(null, "7", 7)]
    [InlineData(null, "[7, 9]", 7, 9)]
    [InlineData("{\"eos_token_id\": 8}", "[7, 9]", 8)]
    [InlineData("{\"eos_token_id\": [8, 10]}", null, 8, 10)]
    [InlineData("{\"temperature\": 0.5}", "7", 7)]
    public void The_models_own_files_name_further_ends(string? generation, string? end, params int[] more)
    {
        using var model = Saved(generation, end);
        Assert.Equal([.. model.Contract.Ends(model.Tokenizer), .. more], model.Ends);
    }

    [Theory]
    [InlineData("\"</s>\"")]
    [InlineData("[2, -1]")]
    public void An_end_that_is_no_token_is_refused(string end)
    {
        using var model = Saved($"{{\"eos_token_id\": {end}}}", null);
        var message = Assert.Throws<InputException>(() => model.Ends).Message;
        Assert.StartsWith("generation_config.json: eos_token_id is", message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_answer_ends_before_a_token_that_the_files_name()
    {
        int[] free;
        using (var model = Saved(null, null)) free = new TokenGenerator(model.Model, []).Generate([[5, 6, 7]], Greedy, null, Stop)[0];
        var end = free[^2];
        var length = Array.IndexOf(free, end);
        using var ended = Saved($"{{\"eos_token_id\": [{end}]}}", null);
        var generator = new TokenGenerator(ended.Model, GenerationConfig.EndsOf(ended.Model));
        var answer = generator.Answers([[5, 6, 7]], Greedy, null, Stop).Single();
        Assert.Equal(free[..length], answer.Tokens);
        Assert.Equal((end, "stop"), (answer.End, answer.Finish));
        var whole = new TokenGenerator(ended.Model, []).Answers([[5, 6, 7]], Greedy, null, Stop).Single();
        Assert.Equal((null, "length"), (whole.End, whole.Finish));
        // Beams that all run to the end have no end token.
        var beams = new TokenGenerator(ended.Model, []).Answers([[5, 6]], Greedy with { Beams = 3 }, null, Stop).Single();
        Assert.Equal("length", beams.Finish);
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gemma")]
    [InlineData("bpe_gpt4")]
    [InlineData("uni_bytes")]
    [InlineData("meta_always")]
    public void A_continued_text_is_that_of_prompt_and_answer_together(string kind)
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-kinds", kind));
        var random = new RandomStream(3, "continued");
        var texts = new[] { "Tom and Lily", "time", "a, b ", "über 😀", "one\n" };
        var ids = texts.Select(text => tokenizer.Encode(text)).ToList();
        for (var trial = 0; trial < 60; trial++)
        {
            var prompt = ids[trial % texts.Length];
            int[] answer = [.. ids[random.Next(texts.Length)], random.Next(tokenizer.VocabularySize), .. ids[random.Next(texts.Length)]];
            var stream = new AnswerText(tokenizer, prompt);
            var text = string.Concat(answer.Select(stream.Append)) + stream.Flush();
            string whole = tokenizer.Decode([.. prompt, .. answer]), before = tokenizer.Decode(prompt);
            if (whole.StartsWith(before, StringComparison.Ordinal)) Assert.Equal(whole, before + text);
        }
    }

    [Fact]
    public void The_space_before_a_word_stays_in_a_continued_text_only()
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-kinds", "llama"));
        int[] prompt = tokenizer.Encode("Tom"), whole = tokenizer.Encode("Tom and");
        Assert.Equal(prompt, whole[..prompt.Length]);
        var answer = whole[prompt.Length..];
        string Text(int[]? continued)
        {
            var stream = new AnswerText(tokenizer, continued);
            return string.Concat(answer.Select(stream.Append)) + stream.Flush();
        }
        Assert.Equal(" and", Text(prompt));
        Assert.Equal("and", Text(null));
    }

    private static GeneratedText Streamed(TextModel model, int[] prompt, SamplingSettings settings)
    {
        var text = new System.Text.StringBuilder();
        var answer = model.Stream(
            prompt,
            settings,
            piece => text.Append(piece),
            true,
            Stop);
        return new GeneratedText(text.ToString(), answer);
    }

    [Fact]
    public void Many_continued_prompts_have_the_texts_of_one()
    {
        using var model = Toy.Talker();
        int[][] prompts = [[5, 6], [7], [9, 10, 11]];
        var all = model.Each(
            prompts,
            Greedy,
            2,
            true,
            Stop).ToList();
        for (var i = 0; i < prompts.Length; i++)
        {
            var one = Streamed(model, prompts[i], Greedy);
            Assert.Equal(one.Text, all[i].Text);
            Assert.Equal(one.Generated.Tokens, all[i].Generated.Tokens);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_stop_text_over_several_tokens_is_a_stop_and_is_not_printed(int beams)
    {
        using var model = Toy.Talker();
        var settings = Greedy with { Beams = beams };
        string Text(SamplingSettings asked, out GeneratedTokens answer)
        {
            (var text, answer) = Streamed(model, [5, 6, 7], asked);
            return text;
        }
        var free = Text(settings, out var whole);
        Assert.True(free.Length >= 5, free);
        Assert.Equal(whole.Tokens.Length < 12 ? "stop" : "length", whole.Finish);
        // The last letters: the stop text is whole with the last token that is allowed.
        var stop = free[^3..];
        var at = free.IndexOf(stop, StringComparison.Ordinal);
        Assert.Equal(free[..at], Text(settings with { Stops = ["never", stop] }, out var stopped));
        Assert.Equal("stop", stopped.Finish);
        var each = model.Each(
            [[5, 6, 7]],
            settings with { Stops = [stop] },
            4,
            true,
            Stop).Single();
        Assert.Equal((free[..at], "stop"), (each.Text, each.Generated.Finish));
    }

    [Fact]
    public void A_stop_text_that_is_a_special_token_ends_an_answer()
    {
        using var model = Toy.Talker();
        var special = model.Tokenizer.SpecialTokens.First(pair => !model.Ends.Contains(pair.Value));
        var head = model.Model.Weights.First(weight => weight.Name.Contains("embed_tokens", StringComparison.Ordinal));
        using (no_grad()) head.Value[special.Value].fill_(0.9f);
        var settings = new SamplingSettings(Temperature: 4, MaxNewTokens: 40, Seed: 2) { Stops = [special.Key] };
        var answer = model.Each([[5]], settings, 1, cancellation: Stop).Single().Generated;
        Assert.DoesNotContain(special.Value, answer.Tokens);
    }

    [Theory]
    [InlineData(float.NaN, 0, 1, "not a number (NaN)")]
    [InlineData(float.NaN, 1, 1, "not a number (NaN)")]
    [InlineData(float.NaN, 0, 2, "not a number (NaN)")]
    [InlineData(float.PositiveInfinity, 1, 1, "")]
    public void Logits_that_are_no_numbers_end_with_their_step(float bad, double temperature, int beams, string what)
    {
        using var model = Toy.Model();
        using (no_grad()) model.Weights[^1].Value.fill_(bad);
        var message = Assert.Throws<RunFailedException>(() => new TokenGenerator(model, []).Generate(
            [[1, 2]], new SamplingSettings(temperature, Beams: beams), null, Stop)).Message;
        Assert.Contains("Token 1 of the answer cannot be chosen", message);
        Assert.Contains(what, message);
        Assert.Contains("--base float32", message);
    }

    [Fact]
    public void A_weight_that_float16_cannot_hold_is_refused_by_name()
    {
        using var model = Toy.Model();
        var weight = model.Weights.First(weight => weight.Name.EndsWith("down_proj.weight", StringComparison.Ordinal));
        using (no_grad()) weight.Value.fill_(-70000f);
        Directory.CreateDirectory(folder.At("half"));
        var fault = Assert.Throws<InputException>(() => ModelWriter.Write(model, folder.At("half"), ScalarType.Float16, long.MaxValue));
        Assert.Contains($"{weight.Name} holds -70000, but float16 holds at most 65504", fault.Message);
        Assert.Contains("--dtype bfloat16", fault.Message);
        Assert.Empty(Directory.GetFiles(folder.At("half"), "*.safetensors"));
        ModelWriter.Write(model, folder.At("half"), ScalarType.BFloat16, long.MaxValue);
        var writer = new GgufWriter();
        new GgufModel(model).AddTo(writer, BlockType.F16, "toy");
        Assert.Contains("--type bf16", Assert.Throws<InputException>(() => writer.Write(folder.At("toy.gguf"))).Message);
    }

    [Theory]
    [InlineData("{\"eos_token_id\": 9}", "[9,1]")]
    [InlineData("{\"eos_token_id\": [9, 1], \"top_k\": 3}", "[9,1]")]
    [InlineData("{\"top_k\": 3}", "1")]
    [InlineData("{\"eos_token_id\": 1}", "1")]
    public void A_saved_model_names_the_ends_of_its_layout_for_other_programs(string own, string ends)
    {
        using (var talker = Toy.Talker()) talker.Save(folder.At("plain"));
        folder.Write("plain/generation_config.json", own);
        using (var model = TextModel.Open(folder.At("plain")))
        {
            model.Save(folder.At("again"));
            // What was written is used by the model that is still open, too.
            Assert.Contains(1, GenerationConfig.EndsOf(model.Model));
        }
        var written = JsonNode.Parse(File.ReadAllText(folder.At("again", GenerationConfig.FileName)))!;
        var configuration = JsonNode.Parse(File.ReadAllText(folder.At("again", "config.json")))!;
        Assert.Equal(ends, (written["eos_token_id"] ?? configuration["eos_token_id"]!).ToJsonString());
        Assert.Equal((int?)JsonNode.Parse(own)!["top_k"], (int?)written["top_k"]);
    }

    [Fact]
    public void A_folder_that_records_its_layout_names_its_ends()
    {
        using var talker = Toy.Talker();
        talker.Save(folder.At("plain"));
        var vocabulary = talker.Tokenizer.VocabularySize;
        Assert.Equal(talker.Contract.Ends(talker.Tokenizer), TextContract.RecordedEnds(folder.At("plain"), vocabulary));
        Assert.NotEmpty(TextContract.RecordedEnds(folder.At("plain"), vocabulary));
        File.Delete(folder.At("plain", "polymath.json"));
        Assert.Empty(TextContract.RecordedEnds(folder.At("plain"), vocabulary));
    }

    [Fact]
    public void The_settings_of_generation_go_with_a_model()
    {
        using (var talker = Toy.Talker()) talker.Save(folder.At("plain"));
        Assert.False(File.Exists(folder.At("plain", GenerationConfig.FileName)));
        const string own = "{\"eos_token_id\": [1, 9], \"temperature\": 0.6, \"cache\": null}";
        folder.Write("plain/generation_config.json", own);
        using (var model = TextModel.Open(folder.At("plain")))
        {
            Directory.CreateDirectory(folder.At("over"));
            model.Save(folder.At("again"));
            model.SaveOver(folder.At("over"), folder.At("over"), folder.At("plain"), folder.Path);
        }
        foreach (var name in new[] { "again", "over" })
            Assert.True(JsonNode.DeepEquals(
                JsonNode.Parse(own),
                JsonNode.Parse(File.ReadAllText(folder.At(name, GenerationConfig.FileName)))));
        using (var fresh = ModelFolder.New(ModelFolder.Configuration(folder.At("plain")), 1)) ModelFolder.Save(fresh, folder.At("fresh"));
        Assert.Equal(
            "{\"bos_token_id\":0,\"eos_token_id\":1}",
            JsonNode.Parse(File.ReadAllText(folder.At("fresh", GenerationConfig.FileName)))!.ToJsonString());
    }
}
