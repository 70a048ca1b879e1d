using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Cli;
using Polymath.Tests.Tensors;
using Polymath.Text.Packing;
using Polymath.Tuning;
using Polymath.Tuning.Prompts;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Tasks that prompts ask for: their arithmetic against plain formulas.</summary>
[Trait("kind", "unit")]
public sealed class AskedTaskTests
{
    private static readonly string[] labels = ["soft", "hard"];

    private static Dictionary<string, string> Text(string text) => new() { ["text"] = text };

    private static AskedTask Fresh(TextModel model, PromptMethod method, IReadOnlyList<TaskRow>? rows = null) =>
        new TaskLook(model, method, rows ?? [], 5).Made(PromptTask.Of(method, labels, "kind"));

    private static Tensor Scores(TextModel model, AskedTask asked, params string[] texts)
    {
        List<TokenRow> rows = [.. texts.SelectMany(text => asked.Rows(text, Text(text)))];
        using var on = asked.On(model.Model);
        using var batch = model.Model.Lay(rows);
        return asked.Scores(model.Model, batch, rows);
    }

    private static readonly string[] asks = ["a b 1", "b", "it was 2 3"];

    [Theory]
    [InlineData("bert-mlm", "{soft:\"it was\"} {mask} {text} {soft:\"today\"}", "it was {mask} {text} today")]
    [InlineData("gpt2", "{soft:\"it was\"} {text} {soft:\"today\"}{mask}", "it was {text} today{mask}")]
    [InlineData("t5", "{text} {soft:\"it was\"} {mask} .", "{text} it was {mask} .")]
    public void Soft_tokens_that_start_from_words_say_what_the_words_say(string family, string soft, string hard)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open(family);
        using AskedTask one = Fresh(model, new PromptMethod(soft)), other = Fresh(model, new PromptMethod(hard));
        Samples.Near(Scores(model, other, asks), Scores(model, one, asks), 1e-5, family);
        // Virtual tokens before the row stay apart from those within it.
        using var prefix = DeltaSet.Fresh(model.Model, new DeltaSpec(DeltaForm.PromptTuning, Settings: new Dictionary<string, string>
        {
            ["num_virtual_tokens"] = "3",
        }), 1);
        Samples.Near(Scores(model, other, asks), Scores(model, one, asks), 1e-5, family + " behind virtual tokens");
    }

    [Theory]
    [InlineData("bert-mlm", SoftEncoder.Lstm)]
    [InlineData("gpt2", SoftEncoder.Mlp)]
    [InlineData("t5", null)]
    public void The_gradient_of_soft_tokens_is_their_slope(string family, SoftEncoder? encoder)
    {
        using var model = PromptModels.Open(family);
        foreach (var weight in model.Model.Weights) weight.Trainable = false;
        using var asked = Fresh(model, new PromptMethod("{soft|id:1} {text} {soft:2|id:2} {soft|id:1} was{mask}", Encoder: encoder));
        var start = asked.Weights[0];
        Assert.Equal(3, start.Shape[0]);
        double Loss()
        {
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            return -Scores(model, asked, asks).select(1, 0).sum().item<float>();
        }
        using (NewDisposeScope())
        {
            (-Scores(model, asked, asks).select(1, 0).sum()).backward();
            foreach (var (row, column) in new[] { (0, 1), (1, 0), (2, 3) })
            {
                var gradient = start.Value.grad![row, column].item<float>();
                double At(float step)
                {
                    using (no_grad()) start.Value[row, column].add_(step);
                    var loss = Loss();
                    using (no_grad()) start.Value[row, column].add_(-step);
                    return loss;
                }
                Assert.Equal((At(1e-2f) - At(-1e-2f)) / 2e-2, gradient, 2e-3 + (0.05 * Math.Abs(gradient)));
            }
        }
    }

    [Theory]
    [InlineData("bert-mlm", "{text} it was {mask}")]
    [InlineData("t5", "{text} it was {mask}")]
    [InlineData("gpt2", "{text} it was{mask}")]
    public void Learned_labels_begin_with_the_scores_of_their_words(string family, string template)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open(family);
        var words = new Dictionary<string, IReadOnlyList<string>> { ["soft"] = ["mild", "today"], ["hard"] = ["hard", "was"] };
        using AskedTask soft = Fresh(model, new PromptMethod(template, new SoftLabelsSpec(words))),
            written = Fresh(model, new PromptMethod(template, new WordsSpec(words, WordReading.Mean))),
            knowledge = Fresh(
                model,
                new PromptMethod(template, new KnowledgeSpec(words, MostTokens: 9)
                {
                    Relevance = false, LeastShare = 0, Calibrate = new PmiSpec(),
                }),
                [new TaskRow("r", Text("a"), 0)]),
            pmi = Fresh(model, new PromptMethod(template, new WordsSpec(words, WordReading.Mean, Calibrate: new DomainSpec("{mask}"))));
        Samples.Near(Scores(model, written, asks), Scores(model, soft, asks), 1e-5, family);
        if (family == "gpt2") return;
        // With equal weights, a weighted mean is the mean.
        Samples.Near(Scores(model, pmi, asks), Scores(model, knowledge, asks), 1e-5, family + " by weights");
    }

    [Fact]
    public void What_the_words_say_over_rows_or_behind_a_domain_s_text_divides_their_probabilities()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open("bert-mlm");
        Tensor Of(CalibrationSpec? by, params TaskRow[] rows)
        {
            using var asked = Fresh(model, new PromptMethod("{text} it was {mask}", new WordsSpec(Calibrate: by)), rows);
            return Scores(model, asked, asks);
        }
        Tensor Behind(string template, params string[] texts)
        {
            using var asked = Fresh(model, new PromptMethod(template));
            return Scores(model, asked, texts);
        }
        var plain = Of(null);
        var domain = (plain - Behind("it was {mask} today {text|whole}", "")).log_softmax(-1);
        Samples.Near(domain, Of(new DomainSpec("it was {mask} today")), 1e-5, "domain");
        Samples.Near((plain - Behind("{mask}{text}", "")).log_softmax(-1), Of(new PmiSpec()), 1e-5, "pmi");
        Samples.Near(
            (plain - Behind("{text} it was {mask}", "N", "a").exp().mean([0]).log()).log_softmax(-1),
            Of(new ContentFreeSpec(["N", "a"])),
            1e-4,
            "content free");
        // One row: its own probabilities among all words of the vocabulary, of which those of the labels are a part.
        var contextual = Of(new ContextualSpec(), new TaskRow("r", Text("b"), 0));
        Samples.Near((plain - Behind("{text} it was {mask}", "b")).log_softmax(-1), contextual, 1e-5, "contextual");
    }

    [Fact]
    public void Several_prompts_are_joined_by_the_mean_by_shares_or_by_votes()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open("bert-mlm");
        AskSpec[] several = [new("{text} it was {mask}"), new("{mask} {text}"), new("{text} today {soft} {mask}")];
        var rows = asks.Select((text, i) => new TaskRow(text, Text(text), i % 2)).ToList();
        AskedTask Joined(PromptsTogether together) => Fresh(model, new PromptMethod(Prompts: several, Together: together), rows);
        using AskedTask mean = Joined(PromptsTogether.Mean), votes = Joined(PromptsTogether.Majority),
            learned = Joined(PromptsTogether.Learned), accuracy = Joined(PromptsTogether.Accuracy);
        // Each prompt alone, from the others' rows.
        var laid = asks.SelectMany(text => mean.Rows(text, Text(text))).ToList();
        var each = Enumerable.Range(0, 3).Select(p =>
        {
            using var on = mean.On(model.Model);
            List<TokenRow> own = [.. laid.Where((_, i) => i % 3 == p)];
            using var batch = model.Model.Lay(own);
            using var words = new ManualVerbalizer(TaskWords.Of(labels, null, model.Tokenizer).Words);
            return new WordLabels(words).Scores(AskedStates.At(model.Model, batch, own)).softmax(-1);
        }).ToList();
        var all = stack(each, 0);
        Samples.Near(all.mean([0]), Scores(model, mean, asks).exp(), 1e-5, "mean");
        Samples.Near(all.mean([0]), Scores(model, learned, asks).exp(), 1e-5, "equal shares");
        var named = all.argmax(-1);
        var counted = nn.functional.one_hot(named, 2).sum([0]).to(ScalarType.Float32);
        Samples.Near((counted + all.mean([0])) / 4, Scores(model, votes, asks).exp(), 1e-5, "votes");
        using (var on = votes.On(model.Model))
        using (var batch = model.Model.Lay(laid))
            Samples.Near(all.log().mean([0]), votes.Learned(model.Model, batch, laid), 1e-5, "each learns alone");
        var right = named.eq(tensor(new long[] { 0, 1, 0 })).to(ScalarType.Float32).mean([1]).clamp(min: 0.5 / 3);
        Samples.Near(
            (all * (right / right.sum()).view(3, 1, 1)).sum([0]), Scores(model, accuracy, asks).exp(), 1e-5, "by accuracy");
    }

    [Theory]
    [InlineData("gpt2", TextReading.Sum)]
    [InlineData("t5", TextReading.Mean)]
    public void Texts_are_scored_by_their_likelihood(string family, TextReading reading)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open(family);
        var texts = new Dictionary<string, IReadOnlyList<string>> { ["soft"] = ["it was soft", "mild"], ["hard"] = ["hard"] };
        using var asked = Fresh(model, new PromptMethod("{text} it was{mask}", new TextsSpec(texts, reading)));
        // The plain way: one row at a time, by the model's own loss over the text's tokens.
        double Likelihood(string question, string text)
        {
            var row = asked.Rows("r", Text(question)).First(one => one.Ids.TakeLast(
                model.Tokenizer.EncodePlain(text).Length).SequenceEqual(model.Tokenizer.EncodePlain(text)));
            var count = model.Tokenizer.EncodePlain(text).Length;
            using var batch = model.Model.Lay([row]);
            var each = model.Model.LogProbabilities(batch).data<float>().ToArray()[^count..];
            return reading == TextReading.Sum ? each.Sum() : each.Average();
        }
        var scores = asks.Select(question => new[]
        {
            (float)Math.Log(Math.Exp(Likelihood(question, "it was soft")) + Math.Exp(Likelihood(question, "mild"))),
            (float)Likelihood(question, "hard"),
        }).ToList();
        Samples.Near(
            tensor(scores.SelectMany(pair => pair).ToArray()).view(-1, 2).log_softmax(-1), Scores(model, asked, asks), 1e-5, family);
    }

    [Fact]
    public void Demonstrations_stand_before_the_question_one_of_each_label_without_itself_and_fit_the_window()
    {
        using var model = PromptModels.Open("bert-mlm");
        var rows = new[] { ("a b 1", 0), ("a b 2", 1), ("it was 3", 0), ("b b", 1) }
            .Select(pair => new TaskRow(pair.Item1, Text(pair.Item1), pair.Item2)).ToList();
        AskedTask Shown(DemonstrationsSpec spec) => Fresh(model, new PromptMethod("{text} was {mask}.", Demonstrations: spec), rows);
        using AskedTask like = Shown(new(Like: DemonstrationsLike.Bm25)), random = Shown(new(Contexts: 2)),
            near = Shown(new(Like: DemonstrationsLike.Vectors));
        string Said(TokenRow row) => string.Join(' ', row.Ids.Select(model.Tokenizer.TokenOf));
        // The likest of each label; the row itself is none of them.
        var shown = Said(like.Rows("r", Text("a b 1")).Single());
        Assert.EndsWith("a b 1 was [MASK] .", shown, StringComparison.Ordinal);
        Assert.Contains("a b 2 was hard .", shown, StringComparison.Ordinal);
        Assert.Contains("it was 3 was soft .", shown, StringComparison.Ordinal);
        Assert.Single(near.Rows("r", Text("a b 1")));
        var sets = random.Rows("r", Text("a b"));
        Assert.Equal(2, sets.Count);
        Assert.NotEqual(sets[0].Ids, sets[1].Ids);
        Assert.Equal(sets.Select(row => row.Ids), random.Rows("again", Text("a b")).Select(row => row.Ids));
        foreach (var most in new[] { 6, 9, 14, 16 })
        {
            var fitted = like.Rows("r", Text("a b 1"), most).Single();
            Assert.InRange(fitted.Length, 6, most);
            Assert.Equal(model.Tokenizer.SpecialTokens["[MASK]"], fitted.Ids[fitted.Answers![0]]);
        }
        // The mean of both sets' probabilities.
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var plain = Fresh(model, new PromptMethod("{text} was {mask}."));
        using var two = model.Model.Lay(sets);
        Samples.Near(
            plain.Scores(model.Model, two, sets).exp().mean([0], keepdim: true),
            random.Scores(model.Model, two, sets).exp(),
            1e-5,
            "contexts");
    }

    [Fact]
    public void Bm25_weighs_rare_tokens_and_short_texts()
    {
        var likeness = new TokenSimilarity([[1, 2, 3], [1, 1, 4, 5], [6]]).To([1, 3, 9]);
        // N = 3; n(1) = 2, n(3) = 1; the mean length is 8/3.
        double one = Math.Log(1 + (1.5 / 2.5)), three = Math.Log(1 + (2.5 / 1.5));
        double Part(double rarity, double count, double length) =>
            rarity * count * 2.5 / (count + (1.5 * (0.25 + (0.75 * length / (8.0 / 3)))));
        Assert.Equal(Part(one, 1, 3) + Part(three, 1, 3), likeness[0], 1e-12);
        Assert.Equal(Part(one, 2, 4), likeness[1], 1e-12);
        Assert.Equal(0, likeness[2]);
    }

    [Fact]
    public void Prototypes_start_from_rows_of_each_label_and_words_stand_beside_them()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open("bert-mlm");
        var rows = Enumerable.Range(0, 8).Select(i => new TaskRow($"{i}", Text(i % 2 == 0 ? $"a b {i % 5}" : $"it was {i % 5}"), i % 2))
            .ToList();
        string[] texts = [.. rows.Select(row => row.Fields["text"])];
        const string Template = "{text} it {mask}";
        using AskedTask proto = Fresh(model, new PromptMethod(Template, new PrototypesSpec(Width: 6, Each: 3, Beside: 0.25)), rows),
            alone = Fresh(model, new PromptMethod(Template, new PrototypesSpec(Width: 6, Epochs: 50, Sharpness: 20, Beside: 0)), rows),
            words = Fresh(model, new PromptMethod(Template));
        var laid = texts.Select(text => words.Rows(text, Text(text)).Single()).ToList();
        using var batch = model.Model.Lay(laid);
        var states = AskedStates.At(model.Model, batch, laid).States.select(1, 0);
        Tensor Weight(string end) => proto.Weights.Single(weight => weight.Name.EndsWith(end, StringComparison.Ordinal)).Value;
        var mapped = nn.functional.linear(states, Weight("map"));
        var cosines = nn.functional.cosine_similarity(mapped.unsqueeze(1), Weight("prototypes").unsqueeze(0), 2);
        var near = (cosines * 5).log_softmax(-1) * 0.75;
        Samples.Near(
            (near + (Scores(model, words, texts) * 0.25)).log_softmax(-1), Scores(model, proto, texts), 1e-5, "beside words");
        // The contrastive losses tell the rows of two labels apart that the model itself does not.
        Assert.Equal(rows.Select(row => (long)row.Label), Scores(model, alone, texts).argmax(-1).data<long>().ToArray());
    }

    [Fact]
    public void A_search_s_words_are_letters_and_those_of_one_token()
    {
        using var model = PromptModels.Open("bert-mlm");
        var rows = asks.Select((text, i) => new TaskRow(text, Text(text), i % 2)).ToList();
        using var asked = Fresh(model, new PromptMethod("{text} it was {mask}", new WordSearchSpec(2)), rows);
        var found = asked.Task.Prompts[0].Verbalizer;
        foreach (var label in labels)
        {
            Assert.Equal(2, found.Words![label].Count);
            Assert.All(found.Words[label], word => Assert.Matches("^[a-z]+$", word));
            Assert.Equal(found.Words[label], found.Tokens![label].Select(id => model.Tokenizer.Decode([id])));
        }
        Assert.Contains(
            "none of them has the label 'hard'",
            Assert.Throws<InputException>(() => Fresh(model, new PromptMethod("{text} {mask}", new WordSearchSpec()), [rows[0]])).Message,
            StringComparison.Ordinal);
    }
}
