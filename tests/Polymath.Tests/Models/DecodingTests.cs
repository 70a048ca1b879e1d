using System.Text.Json.Nodes;
using CsCheck;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tests.Text;
using Polymath.Text;

namespace Polymath.Tests.Models;

/// <summary>Beams, penalties and stop texts.</summary>
[Trait("kind", "parity")]
public sealed class DecodingTests
{
    public static TheoryData<string> Models => ["llama-rope-linear", "qwen3-bias-tied", "t5-untied", "gpt2-scaled-relu"];

    [Theory]
    [MemberData(nameof(Models))]
    public void Beams_and_penalties_give_the_answers_of_the_reference(string name)
    {
        using var model = ModelFolder.Open(TextFixtures.At("own", "models", name));
        var cases = JsonNode.Parse(File.ReadAllText(TextFixtures.At("own", "decoding.json")))!
            .AsArray().Where(item => (string?)item!["model"] == name).ToList();
        Assert.Equal(30, cases.Count);
        foreach (var item in cases)
        {
            var settings = new SamplingSettings(
                0,
                MaxNewTokens: 10,
                RepetitionPenalty: (double)item!["repetitionPenalty"]!,
                Beams: (int)item["beams"]!,
                LengthPenalty: (double)item["lengthPenalty"]!);
            var ours = new TokenGenerator(model, [(int)item["end"]!])
                .Generate([Ints(item["prompt"]!)], settings, null, TestContext.Current.CancellationToken)[0];
            Assert.True(Ints(item["answer"]!).SequenceEqual(ours), $"{item.ToJsonString()}: {string.Join(",", ours)}");
        }
        static int[] Ints(JsonNode list) => [.. list.AsArray().Select(id => (int)id!)];
    }

    [Fact]
    public void One_beam_is_greedy_and_more_are_at_least_as_likely()
    {
        using var model = Toy.Model();
        double Likelihood(int[] prompt, int[] answer)
        {
            using var scope = TorchSharp.torch.NewDisposeScope();
            using var frozen = TorchSharp.torch.no_grad();
            using var batch = Batch.Of([new([.. prompt, .. answer], [.. prompt.Select(_ => 0f), .. answer.Select(_ => 1f)], "")]);
            return -model.NegativeLogLikelihood(batch).item<float>();
        }
        for (var start = 2; start < 12; start++)
        {
            int[] prompt = [start, start + 3];
            int[] Answer(int beams) => new TokenGenerator(model, [])
                .Generate([prompt], new SamplingSettings(0, MaxNewTokens: 8, Beams: beams), null, TestContext.Current.CancellationToken)[0];
            Assert.Equal(
                Answer(1),
                new BeamSearch(model, [])
                    .Find(prompt, new SamplingSettings(0, MaxNewTokens: 8), TestContext.Current.CancellationToken).Tokens);
            Assert.True(Likelihood(prompt, Answer(8)) >= Likelihood(prompt, Answer(1)) - 1e-4);
        }
    }

    [Fact]
    public void Only_tokens_near_the_most_probable_one_are_drawn_under_min_p()
    {
        var random = new RandomStream(1, "min-p");
        for (var i = 0; i < 200; i++)
        {
            float[] weights = [0.5f, 0.1f, 0.3f, 0.09f];
            Assert.Contains(PlainSampler.Choose(weights, new SamplingSettings(1, MinP: 0.5), ref random), new[] { 0, 2 });
            Assert.Equal([0.5f, 0, 0.3f, 0], weights);
        }
    }

    [Fact]
    public void Presence_lowers_what_the_answer_has_and_nothing_else()
    {
        float[] logits = [1, -1, 2, 0];
        Penalties.Apply(logits, [1], [2, 2], new SamplingSettings(PresencePenalty: 0.5));
        Assert.Equal([1, -1, 1.5f, 0], logits);
        Penalties.Apply(logits, [1], [2], new SamplingSettings(RepetitionPenalty: 2));
        Assert.Equal([1, -2, 0.75f, 0], logits);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_penalty_spares_the_source_of_an_encoder_decoder(int beams)
    {
        using var model = ModelFolder.Open(TextFixtures.At("own", "models", "t5-untied"));
        int[] Answer(int[] source, double penalty) => new TokenGenerator(model, []).Generate(
            [source],
            new SamplingSettings(0, MaxNewTokens: 1, RepetitionPenalty: penalty, Beams: beams),
            null,
            TestContext.Current.CancellationToken)[0];
        // Sources whose first answer is one of their own tokens: it stays, as it has not been answered yet.
        var copied = Enumerable.Range(3, 60).Select(token => new[] { token, 45, token, token, 59 })
            .Where(source => source.Contains(Answer(source, 1)[0])).ToList();
        Assert.NotEmpty(copied);
        Assert.All(copied, source => Assert.Equal(Answer(source, 1), Answer(source, 50)));
    }

    [Fact]
    public void A_stop_text_ends_the_text_however_it_comes_in_pieces() =>
        Gen.Select(Gen.String[Gen.Char["ab."], 0, 30], Gen.String[Gen.Char["ab."], 1, 4].Array[0, 3], Gen.Int[1, 5])
            .Sample((text, stops, size) =>
            {
                var gate = new StopGate(stops);
                var shown = string.Concat(text.Chunk(size).Select(piece => gate.Pass(new string(piece)))) + gate.Rest();
                var first = stops.Select(stop => text.IndexOf(stop, StringComparison.Ordinal))
                    .Where(at => at >= 0).DefaultIfEmpty(text.Length).Min();
                // A longer stop text that begins earlier may become whole after a shorter one that begins later.
                Assert.StartsWith(shown, text);
                Assert.True(shown.Length >= first || stops.Any(text.Contains));
                Assert.DoesNotContain(stops, stop => shown.Contains(stop, StringComparison.Ordinal));
                Assert.Equal(stops.Any(stop => text.Contains(stop, StringComparison.Ordinal)), gate.Stopped);
            }, iter: 3000);

    [Theory]
    [InlineData(-0.1, 1, 1)]
    [InlineData(0, 0, 1)]
    [InlineData(0, 1, 0)]
    public void Numbers_out_of_range_are_refused(double minP, double repetition, int beams) =>
        Assert.Throws<InputException>(() => new SamplingSettings(MinP: minP, RepetitionPenalty: repetition, Beams: beams).Check());
}
