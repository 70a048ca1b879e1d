using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tests.Tensors;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Generating with a cache, in batches, up to an end.</summary>
[Trait("kind", "invariant")]
public sealed class GenerationTests : IDisposable
{
    private static readonly SamplingSettings Greedy = new(Temperature: 0, MaxNewTokens: 20),
        Drawn = new(Temperature: 1, MaxNewTokens: 20, Seed: 9);
    private static readonly int[][] Prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11], [12, 13]];
    private readonly LanguageModel model = Toy.Model();

    public void Dispose() => model.Dispose();

    private List<int[]> Generate(SamplingSettings settings, int[] ends, params int[][] prompts) =>
        new TokenGenerator(model, ends).Generate(prompts, settings);

    [Fact]
    public void With_and_without_a_cache_the_tokens_are_the_same()
    {
        var answers = Generate(Greedy, [], Prompts);
        for (var i = 0; i < Prompts.Length; i++)
        {
            var row = Prompts[i].ToList();
            while (row.Count < Prompts[i].Length + Greedy.MaxNewTokens)
                row.Add(PlainSampler.Greatest(Toy.Logits(model, [.. row]).AsSpan()[^Toy.Vocabulary..]));
            Assert.Equal(row[Prompts[i].Length..], answers[i]);
        }
    }

    [Theory]
    [InlineData(DeltaForm.PromptTuning, 1)]
    [InlineData(DeltaForm.PrefixTuning, 1)]
    [InlineData(DeltaForm.PromptTuning, 2)]
    public void Virtual_tokens_and_a_prompt_share_the_context(DeltaForm form, int beams)
    {
        using var set = DeltaSet.Fresh(model, DeltaPlan.Configure(model, new DeltaSpec(form)), 1);
        Assert.Equal(8, model.VirtualTokens);
        int[] Prompt(int length) => [.. Enumerable.Range(0, length).Select(i => i % Toy.Vocabulary)];
        Assert.Single(Generate(Greedy with { Beams = beams }, [], Prompt(Toy.Context - 9))[0]);
        foreach (var length in new[] { Toy.Context - 8, Toy.Context - 1 })
            Assert.Contains(
                "and 8 virtual ones before them",
                Assert.Throws<InputException>(() => Generate(Greedy with { Beams = beams }, [], Prompt(length))).Message,
                StringComparison.Ordinal);
        model.Lay([Toy.Row(Toy.Context - 8)]).Dispose();
        Assert.Contains(
            "Write batch: {maxLength: 40}",
            Assert.Throws<InputException>(() => model.Lay([Toy.Row(Toy.Context - 7)])).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_cache_takes_no_token_beyond_its_end()
    {
        using var frozen = no_grad();
        using var cache = model.NewCache(1, 4);
        using var five = Batch.Continue([[1, 2, 3, 4, 5]], [0], [0]);
        Assert.Contains(
            "holds 4 tokens of a row",
            Assert.Throws<InvalidOperationException>(() => model.Hidden(five, cache)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 1, 1, 1, 1)]
    [InlineData(3, 2)]
    [InlineData(1, 4)]
    [InlineData(5)]
    public void A_row_read_in_pieces_has_the_states_of_the_row_read_at_once(params int[] pieces)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var cache = model.NewCache(3, 8);
        int[] ids = [3, 1, 4, 1, 5];
        var states = new List<Tensor>();
        for (int at = 0, piece = 0; at < ids.Length; at += pieces[piece++])
        {
            // Another row shares the batch and has another history.
            using var batch = Batch.Continue([ids[at..(at + pieces[piece])], [at + 7]], [2, 0], [at, cache.Lengths[0]]);
            states.Add(model.Hidden(batch, cache).narrow(0, 0, pieces[piece]));
        }
        using var whole = Batch.Of([new(ids, new float[5], "")]);
        Samples.Near(model.Hidden(whole), cat(states, 0), 2e-5, "states");
        Assert.Equal([pieces.Length, 0, 5], cache.Lengths);
    }

    [Fact]
    public void An_answer_does_not_depend_on_what_else_is_in_the_batch()
    {
        var greedy = Generate(Greedy, [], Prompts);
        var drawn = Generate(Drawn, [7], Prompts);
        for (var i = 0; i < Prompts.Length; i++)
        {
            Assert.Equal(greedy[i], Generate(Greedy, [], Prompts[i])[0]);
            // Row i draws from the stream i: other prompts before it change nothing.
            Assert.Equal(drawn[i], Generate(Drawn, [7], [.. Enumerable.Repeat(new[] { 20, 21 }, i), Prompts[i]])[i]);
        }
        Assert.NotEqual(drawn[0], Generate(Drawn with { Seed = 10 }, [7], Prompts)[0]);
        Assert.NotEqual(Generate(Drawn, [], Prompts[0], Prompts[0])[0], Generate(Drawn, [], Prompts[0], Prompts[0])[1]);
    }

    [Fact]
    public void More_prompts_than_one_batch_holds_are_answered_in_order()
    {
        var settings = Drawn with { MaxNewTokens = 2 };
        var prompts = Enumerable.Range(0, 300).Select(i => new[] { i % Toy.Vocabulary, 3 }).ToArray();
        var told = new Dictionary<int, List<int>>();
        var answers = new TokenGenerator(model, []).Generate(prompts, settings, (row, token) =>
        {
            (told.TryGetValue(row, out var list) ? list : told[row] = []).Add(token);
            return true;
        }, TestContext.Current.CancellationToken);
        Assert.Equal(300, answers.Count);
        Assert.Equal(answers[299], Generate(settings, [], [.. Enumerable.Repeat(new[] { 1 }, 299), prompts[299]])[299]);
        Assert.All(answers.Index(), answer => Assert.Equal(answer.Item, told[answer.Index]));
        Assert.Empty(Generate(settings, []));
    }

    [Fact]
    public void An_answer_stops_before_the_token_that_ends_it()
    {
        var free = Generate(Greedy, [], Prompts[0])[0];
        var end = free[4];
        Assert.Equal(free[..Array.IndexOf(free, end)], Generate(Greedy, [end], Prompts[0])[0]);
        Assert.Empty(Generate(Greedy, [free[0]], Prompts[0])[0]);
    }

    [Fact]
    public void The_context_ends_an_answer_and_a_prompt_that_fills_it_is_refused()
    {
        var prompt = Enumerable.Range(0, Toy.Context - 3).Select(i => i % Toy.Vocabulary).ToArray();
        Assert.Equal([3, 20], Generate(Greedy, [], prompt, [1]).Select(answer => answer.Length));
        Assert.Contains("there is no room", Assert.Throws<InputException>(() => Generate(Greedy, [], new int[Toy.Context])).Message);
        Assert.Contains("no tokens", Assert.Throws<InputException>(() => Generate(Greedy, [], [1], [])).Message);
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => new TokenGenerator(model, []).Generate(Prompts, Greedy, null, stop.Token));
    }

    [Theory]
    [InlineData(-1, 0, 1, 1)]
    [InlineData(double.NaN, 0, 1, 1)]
    [InlineData(double.PositiveInfinity, 0, 1, 1)]
    [InlineData(1, -1, 1, 1)]
    [InlineData(1, 0, 0, 1)]
    [InlineData(1, 0, 1.01, 1)]
    [InlineData(1, 0, double.NaN, 1)]
    [InlineData(1, 0, 1, 0)]
    public void Settings_out_of_range_are_refused(double temperature, int topK, double topP, int most) =>
        Assert.Throws<InputException>(() => Generate(new SamplingSettings(temperature, topK, topP, most), [], Prompts[0]));
}
