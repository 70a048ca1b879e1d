using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Text;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Answers in slots: whatever else is in the batch, a row's tokens are those that it gets alone.</summary>
[Trait("kind", "invariant")]
public sealed class DecoderTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<string> Generating => TinyFamilies.Names;

    private static DecodeRequest Request(int[] prompt, int number) => new(
        prompt,
        (number % 5) switch
        {
            0 => new SamplingSettings(1, MaxNewTokens: 3 + number % 7, Seed: 4),
            1 => new SamplingSettings(0, MaxNewTokens: 9),
            2 => new SamplingSettings(0.7, TopK: 9, MaxNewTokens: 8, Seed: number),
            3 => new SamplingSettings(1.3, TopP: 0.8, MaxNewTokens: 12, Seed: 2, RepetitionPenalty: 1.2, PresencePenalty: 0.3),
            _ => new SamplingSettings(2, MinP: 0.02, MaxNewTokens: 5, Seed: 1),
        },
        number) { Ends = number % 2 == 0 ? [7, 11] : [], Scored = true };

    private static GeneratedTokens Alone(LanguageModel model, DecodeRequest request)
    {
        using var decoder = new Decoder(model, 1, 40);
        var slot = decoder.Admit(request);
        while (!decoder.Step(Stop).Single().Ended) { }
        return decoder.Release(slot);
    }

    // Fourteen answers to four prompts in five slots: they join when others leave, equal prompts together or apart, and two are released
    // before they are complete.
    private static void Compare(LanguageModel model, int vocabulary)
    {
        var random = new RandomStream(3, "prompts");
        int[][] prompts = [.. Enumerable.Range(0, 4).Select(i => Enumerable.Range(0, 3 + 4 * i).Select(_ => 2 + random.Next(vocabulary - 2))
            .ToArray())];
        var requests = Enumerable.Range(0, 14).Select(i => Request([.. prompts[i / 3 % 4]], i)).ToList();
        using var decoder = new Decoder(model, 5, 40);
        var owners = new int[5];
        var answers = new Dictionary<int, GeneratedTokens>();
        var told = requests.ConvertAll(_ => new List<int>());
        for (var next = 0; answers.Count < requests.Count;)
        {
            for (; next < requests.Count && decoder.Free > 0; next++) owners[decoder.Admit(requests[next])] = next;
            foreach (var (slot, token, ended) in decoder.Step(Stop))
            {
                if (token is { } word) told[owners[slot]].Add(word);
                if (ended || owners[slot] is 3 or 8 && told[owners[slot]].Count == 2) answers[owners[slot]] = decoder.Release(slot);
            }
        }
        Assert.Equal(5, decoder.Free);
        for (var i = 0; i < requests.Count; i++)
        {
            var alone = Alone(model, requests[i]);
            Assert.Equal(told[i], answers[i].Tokens);
            Assert.Equal(i is 3 or 8 ? alone.Tokens[..2] : alone.Tokens, answers[i].Tokens);
            Assert.Equal(i is 3 or 8 ? null : alone.End, answers[i].End);
            foreach (var (own, crowd) in alone.Scores!.Zip(answers[i].Scores!)) Assert.Equal(own, crowd, 1e-4f);
        }
    }

    [Fact]
    public void A_row_has_the_tokens_that_it_gets_alone()
    {
        using var model = Toy.Model();
        Compare(model, Toy.Vocabulary);
    }

    [Theory]
    [MemberData(nameof(Generating))]
    public void So_it_is_in_every_family_that_generates(string family)
    {
        using var model = TinyFamilies.Make(family);
        if (model.Reading == Reading.Encoder) return;
        Compare(model, TinyFamilies.Vocabulary);
    }

    [Fact]
    public void Equal_prompts_are_read_once_and_their_slot_waits_for_its_readers()
    {
        using var model = Toy.Model();
        using var decoder = new Decoder(model, 4, 40);
        int[] prompt = [3, 1, 4, 1, 5];
        foreach (var number in new[] { 0, 5, 10 }) decoder.Admit(Request([.. prompt], number) with { Ends = [] });
        decoder.Admit(Request([2, 6], 1));
        Assert.Equal(4, decoder.Step(Stop).Count);
        Assert.Equal(7, decoder.PromptTokensRead);
        decoder.Release(0);
        // The two others still read the prompt that lies in the first slot.
        Assert.Equal(0, decoder.Free);
        decoder.Release(1);
        Assert.Equal(1, decoder.Free);
        decoder.Step(Stop);
        decoder.Release(2);
        Assert.Equal(3, decoder.Free);
        // A slot that was used before starts afresh.
        var request = Request([8, 9, 10], 2);
        var slot = decoder.Admit(request);
        decoder.Release(3);
        while (!decoder.Step(Stop).Single().Ended) { }
        Assert.Equal(Alone(model, request).Tokens, decoder.Release(slot).Tokens);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0.6)]
    [InlineData(0)]
    public void Scores_are_those_that_the_model_gives_the_row_at_the_temperature(double temperature)
    {
        using var model = Toy.Model();
        var prompt = new[] { 5, 6, 7, 8 };
        int[] ends = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        var answer = Alone(model, new DecodeRequest(prompt, new SamplingSettings(temperature, MaxNewTokens: 12, Seed: 3))
        {
            Ends = ends, Scored = true,
        });
        int[] whole = answer.End is { } end ? [.. answer.Tokens, end] : answer.Tokens;
        Assert.Equal(whole.Length, answer.Scores!.Length);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Lay(
            [new TokenRow([.. prompt, .. whole], [.. prompt.Select(_ => 0f), .. whole.Select(_ => 1f)], "")]);
        var scores = model.LogProbabilities(
            model.Hidden(batch).index_select(0, batch.Places), batch.Targets, temperature == 0 ? 1 : temperature).data<float>().ToArray();
        foreach (var (expected, score) in scores.Zip(answer.Scores)) Assert.Equal(expected, score, 1e-4f);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using var model = Toy.Model();
        using var decoder = new Decoder(model, 1, 12);
        Assert.Contains("do not fit", Assert.Throws<InvalidOperationException>(
            () => decoder.Admit(new DecodeRequest([1, 2, 3], new SamplingSettings(MaxNewTokens: 10)))).Message, StringComparison.Ordinal);
        decoder.Admit(new DecodeRequest([1, 2, 3], new SamplingSettings(MaxNewTokens: 9)));
        Assert.Contains("in use", Assert.Throws<InvalidOperationException>(
            () => decoder.Admit(new DecodeRequest([1], new SamplingSettings(MaxNewTokens: 1)))).Message, StringComparison.Ordinal);
        Assert.Contains("no answer", Assert.Throws<InvalidOperationException>(
            () => new Decoder(model, 1, 4).Release(0)).Message, StringComparison.Ordinal);
    }

    /// <summary>With dynamic stretching, the angles depend on the longest row of a batch; a row that is so long is read alone.</summary>
    [Fact]
    public void A_long_row_does_not_stretch_the_positions_of_others()
    {
        var configuration = TinyFamilies.Configuration("qwen2");
        configuration["rope_scaling"] = new JsonObject { ["rope_type"] = "dynamic", ["factor"] = 4.0 };
        configuration["max_position_embeddings"] = JsonNode.Parse("16");
        configuration["initializer_range"] = 0.2;
        using var model = ModelFolder.New(configuration, 3);
        Assert.Equal(16, model.StretchesBeyond);
        Assert.Equal(64, model.Sizes.ContextLength);
        Compare(model, TinyFamilies.Vocabulary);
    }
}
