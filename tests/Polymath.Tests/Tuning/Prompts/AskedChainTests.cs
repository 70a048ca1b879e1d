using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tests.Cli;
using Polymath.Text.Packing;
using Polymath.Tuning.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Chains of questions against the same prompts asked alone, and spans against every span asked alone.</summary>
[Trait("kind", "unit")]
public sealed class AskedChainTests
{
    private static readonly string[] labels = ["soft", "hard"];
    private static readonly string[] texts = ["a b 1", "b", "it was 2 3"];

    private static WordsSpec Words(params string[] answers) =>
        new(answers.ToDictionary(answer => answer, answer => (IReadOnlyList<string>)[answer]));

    private static AskedTask Fresh(TextModel model, PromptMethod method, IReadOnlyList<string> names) =>
        AskedTask.Fresh(model, PromptTask.Of(method, names, "kind"), 5);

    private static ChainText Text(string text, params (string Name, string Value)[] more) => new(
        text, more.Prepend(("text", text)).ToDictionary(pair => pair.Item1, pair => pair.Item2));

    // A prompt alone: the log-probabilities of its answers.
    private static float[] Alone(TextModel model, string template, string[] answers, ChainText text)
    {
        using var scope = NewDisposeScope();
        using var asked = Fresh(model, new PromptMethod(template, Words(answers)), answers);
        var rows = asked.Rows(text.Name, text.Fields);
        using var batch = model.Model.Lay(rows);
        return asked.Scores(model.Model, batch, rows)[0].data<float>().ToArray();
    }

    [Theory]
    [InlineData("bert-mlm", "{text} it {mask} today", "{text} {tone} . {mask}")]
    [InlineData("gpt2", "{text} it{mask}", "{text} {tone} .{mask}")]
    [InlineData("t5", "{text} it {mask} today", "{text} {tone} . {mask}")]
    public void A_later_question_has_the_model_s_own_answer(string family, string first, string last)
    {
        using var frozen = no_grad();
        using var model = PromptModels.Open(family);
        string[] tones = ["mild", "was"];
        using var asked = Fresh(
            model, new PromptMethod(last, Chain: [new QuestionSpec("tone", first, Words(tones), Answer: "right")]), labels);
        var read = asked.Chain!.Read(model.Model, [.. texts.Select(text => Text(text))], 64);
        var filled = asked.Chain.Filled(model.Model, [.. texts.Select((text, i) => Text(text, ("right", i == 0 ? "was" : "")))], 64, true);
        for (var i = 0; i < texts.Length; i++)
        {
            var said = Alone(model, first, tones, Text(texts[i]));
            var tone = tones[said[0] >= said[1] ? 0 : 1];
            Assert.Equal([("tone", tone)], read[i].Answers);
            var expected = Alone(model, last, labels, Text(texts[i], ("tone", tone)));
            for (var label = 0; label < labels.Length; label++) Assert.Equal(Math.Exp(expected[label]), read[i].Probabilities[label], 1e-5);
            // In training a row's own answer stands there.
            Assert.Equal(i == 0 ? "was" : tone, filled[i].Fields["tone"]);
        }
    }

    [Theory]
    [InlineData("bert-mlm", "{text} it {mask} today", "{text} {tone} . {mask}")]
    [InlineData("gpt2", "{text} it{mask}", "{text} {tone} .{mask}")]
    [InlineData("t5", "{text} it {mask} today", "{text} . {mask}")]
    public void Rules_multiply_the_probabilities_of_a_label_s_answers(string family, string first, string last)
    {
        using var frozen = no_grad();
        using var model = PromptModels.Open(family);
        string[] names = ["one", "two", "three"], tones = ["mild", "was"], ends = ["a", "b"];
        string[][] rules = [["mild", "a"], ["mild", "b"], ["was", "b"]];
        using var asked = Fresh(
            model,
            new PromptMethod(
                last,
                Words(ends),
                Chain: [new QuestionSpec("tone", first, Words(tones))],
                Rules: names.Zip(rules).ToDictionary(pair => pair.First, pair => (IReadOnlyList<string>)pair.Second)),
            names);
        var read = asked.Chain!.Read(model.Model, [.. texts.Select(text => Text(text))], 64);
        for (var i = 0; i < texts.Length; i++)
        {
            var before = Alone(model, first, tones, Text(texts[i]));
            double[] products =
            [
                .. rules.Select(rule => Math.Exp(before[tones.IndexOf(rule[0])]
                    + Alone(model, last, ends, Text(texts[i], ("tone", rule[0])))[ends.IndexOf(rule[1])])),
            ];
            for (var label = 0; label < names.Length; label++)
                Assert.Equal(products[label] / products.Sum(), read[i].Probabilities[label], 1e-5);
        }
    }

    [Theory]
    [InlineData("gpt2", "{text} it{mask}")]
    [InlineData("t5", "{text} it {mask} today")]
    public void A_written_answer_is_what_greedy_decoding_writes_and_its_loss_is_that_of_its_tokens(string family, string first)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open(family);
        using var asked = Fresh(
            model,
            new PromptMethod("{text} {said} it was{mask}", Chain: [new QuestionSpec("said", first, Tokens: 4, Answer: "said")]),
            labels);
        var chain = asked.Chain!;
        var filled = chain.Filled(model.Model, [.. texts.Select(text => Text(text))], 64, given: false);
        if (family == "gpt2")
            foreach (var (text, own) in texts.Zip(filled))
            {
                var ends = model.Ends.Concat(model.Tokenizer.SpecialTokens.Values).ToHashSet();
                var greedy = new TokenGenerator(model.Model, ends).Generate(
                    [chain.Rows(0, Text(text), 64)[0].Ids],
                    new SamplingSettings(Temperature: 0, MaxNewTokens: 4),
                    cancellation: TestContext.Current.CancellationToken)[0];
                Assert.Equal(model.Tokenizer.Decode(greedy).Trim(), own.Fields["said"]);
            }
        // Each token of the answer and its end is foretold by those before it.
        var row = chain.Answered(0, Text("a b"), "mild today", 64);
        Assert.Equal(3, row.Answers!.Count);
        Assert.Equal(model.Tokenizer.EncodePlain(" mild today"), row.Ids[^3..^1]);
        using var batch = model.Model.Lay([row]);
        var logs = model.Model.Unembed(model.Model.Hidden(batch)).log_softmax(-1);
        var expected = -Enumerable.Range(0, 3).Average(i => logs[batch.Tokens - 4 + i][row.Ids[^(3 - i)]].item<float>());
        var (loss, _) = chain.Learned(model.Model, batch, [(0, 0, [row])]);
        Assert.Equal(expected, loss.item<float>(), 1e-5);
    }

    [Theory]
    [InlineData("bert-mlm", "{text} it {mask} today", "{text} {tone} . {mask}")]
    [InlineData("gpt2", "{text} it{mask}", "{text} {tone} .{mask}")]
    public void The_loss_of_a_chain_is_the_sum_of_its_questions(string family, string first, string last)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open(family);
        string[] tones = ["mild", "was"];
        using var asked = Fresh(model, new PromptMethod(last, Chain: [new QuestionSpec("tone", first, Words(tones))]), labels);
        var text = Text("a b 1", ("tone", "was"));
        (int Question, int Label, IReadOnlyList<TokenRow> Rows)[] items =
            [(1, 1, asked.Chain!.Rows(1, text, 64)), (0, 1, asked.Chain.Rows(0, text, 64)), (1, 0, asked.Chain.Rows(1, text, 64))];
        using var batch = model.Model.Lay([.. items.SelectMany(item => item.Rows)]);
        var (loss, right) = asked.Chain.Learned(model.Model, batch, items);
        float[] one = Alone(model, first, tones, text), two = Alone(model, last, labels, text);
        Assert.Equal(-(one[1] + two[1] + two[0]), loss.item<float>(), 1e-4);
        Assert.Equal(1 + (one[1] > one[0] ? 1 : 0), right);
    }

    [Theory]
    [InlineData("bert-mlm", "{tokens} {span} is {mask}")]
    [InlineData("gpt2", "{tokens} {span} is{mask}")]
    [InlineData("t5", "{tokens} {span} is {mask} .")]
    public void Entities_are_the_likeliest_spans_that_do_not_overlap(string family, string template)
    {
        using var frozen = no_grad();
        using var model = PromptModels.Open(family);
        string[] kinds = ["soft", "hard", "O"];
        using var asked = Fresh(
            model,
            new PromptMethod(
                template,
                new WordsSpec(new Dictionary<string, IReadOnlyList<string>> { ["soft"] = ["a"], ["hard"] = ["b"], ["O"] = ["soft"] }),
                Spans: new SpansSpec(MaxWords: 2)),
            kinds);
        string[] words = ["a", "b", "it", "2"];
        var found = new SpanReader(model.Model, asked, 64).Read(
            "one", new Dictionary<string, string> { ["tokens"] = string.Join('\n', words) });
        // Every span alone, then the best ones by hand.
        var left = new List<(int Start, int End, string Kind, double Probability)>();
        for (var start = 0; start < words.Length; start++)
            for (var end = start + 1; end <= Math.Min(words.Length, start + 2); end++)
            {
                using var scope = NewDisposeScope();
                var rows = asked.Rows("one", new Dictionary<string, string>
                {
                    ["tokens"] = "a b it 2", ["span"] = string.Join(' ', words[start..end]),
                });
                using var batch = model.Model.Lay(rows);
                var said = asked.Scores(model.Model, batch, rows)[0].exp().data<float>().ToArray();
                var best = said.Index().MaxBy(pair => pair.Item);
                if (kinds[best.Index] != "O") left.Add((start, end, kinds[best.Index], best.Item));
            }
        Assert.NotEmpty(left);
        var expected = new List<(int Start, int End, string Kind, double Probability)>();
        while (left.Count > 0)
        {
            var top = left.MaxBy(one => one.Probability);
            expected.Add(top);
            left.RemoveAll(one => one.Start < top.End && top.Start < one.End);
        }
        Assert.Equal(
            expected.OrderBy(one => one.Start).Select(one => (one.Start, one.End, one.Kind)),
            found.Select(one => (one.Span.Start, one.Span.End, one.Span.Kind)));
        foreach (var (one, own) in expected.OrderBy(one => one.Start).Zip(found)) Assert.Equal(one.Probability, own.Probability, 1e-5);
    }
}
