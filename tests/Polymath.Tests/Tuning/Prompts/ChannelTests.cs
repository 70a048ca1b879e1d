using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Cli;
using Polymath.Tests.Tensors;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;
using Polymath.Tuning;
using Polymath.Tuning.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Labels by the probability of the text behind their words, against sums over the logits of rows written by hand.</summary>
[Trait("kind", "unit")]
public sealed class ChannelTests
{
    private static readonly string[] labels = ["soft", "hard"], texts = ["a b 1", "b", "it was 2 3 4 today"];

    private static readonly Dictionary<string, IReadOnlyList<string>> words = new() { ["soft"] = ["soft", "it was mild"] };

    private static Dictionary<string, string> Text(string text) => new() { ["text"] = text };

    private static AskedTask Fresh(TextModel model, PromptMethod method, params TaskRow[] rows) =>
        new TaskLook(model, method, rows, 5).Made(PromptTask.Of(method, labels, "kind"));

    private static PromptMethod Channel(string template, DemonstrationsSpec? shown = null) =>
        new(template, new WordsSpec(words), Demonstrations: shown, Score: PromptScore.Channel);

    private static Tensor Scores(TextModel model, AskedTask asked, bool shares, params string[] some)
    {
        List<TokenRow> rows = [.. some.SelectMany(text => asked.Rows(text, Text(text)))];
        using var on = asked.On(model.Model);
        using var batch = model.Model.Lay(rows, shares);
        return asked.Scores(model.Model, batch, rows);
    }

    // log p of what stands behind the words, from the logits of one row alone.
    private static double Plain(TextModel model, string before, string behind)
    {
        using var scope = NewDisposeScope();
        int[] given = model.Tokenizer.EncodePlain(before), scored = model.Tokenizer.EncodePlain(behind);
        var gap = PromptTokens.Of(model.Tokenizer).Sentinels[0];
        var isT5 = model.Model.Reading == Reading.EncoderDecoder;
        int[] row = isT5
            ? [model.Model.StartOf([]), gap, .. scored]
            : [.. model.Contract.Template.OpeningIds(model.Tokenizer), .. given, .. scored];
        var plain = new TokenRow(row, new float[row.Length], "plain");
        using var batch = isT5 ? model.Model.LayPairs([[.. given, gap]], [plain]) : Batch.Of([plain]);
        var shares = model.Model.Unembed(model.Model.Hidden(batch)).to(ScalarType.Float64).log_softmax(-1);
        return Enumerable.Range(row.Length - scored.Length, scored.Length).Sum(i => shares[i - 1][row[i]].item<double>());
    }

    private static double Mean(params double[] logs) => Math.Log(logs.Average(Math.Exp));

    [Theory]
    [InlineData("gpt2")]
    [InlineData("t5")]
    public void A_label_s_score_is_how_likely_the_text_is_behind_its_words(string family)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open(family);
        using var asked = Fresh(model, Channel("today {mask} . {text}"));
        Assert.True(asked is { LearnsTexts: true, SharesBeginnings: true });
        double[] soft = [.. texts.Select(text => Mean(
                Plain(model, "today soft", $". {text}"), Plain(model, "today it was mild", $". {text}")))],
            hard = [.. texts.Select(text => Plain(model, "today hard", $". {text}"))];
        var expected = tensor(soft.Zip(hard).SelectMany(pair => new[] { pair.First, pair.Second }).ToArray()).view(-1, 2).log_softmax(-1)
            .to(ScalarType.Float32);
        foreach (var shares in new[] { false, true })
            Samples.Near(expected, Scores(model, asked, shares, texts), 1e-4, $"{family}, shared {shares}");
        // What is learned: the text behind the words of its own label, divided by its tokens.
        var items = texts.Select((text, i) => (asked.LearnedRows(text, Text(text), i % 2, 40), i % 2)).ToList();
        Assert.Equal([2, 1, 2], items.Select(item => item.Item1.Count));
        using var batch = model.Model.Lay([.. items.SelectMany(item => item.Item1)], shares: true);
        var own = texts.Select((text, i) => (float)(-(i % 2 == 0 ? soft : hard)[i] / model.Tokenizer.EncodePlain($". {text}").Length));
        Samples.Near(tensor(own.ToArray()), asked.TextLosses(model.Model, batch, items), 1e-4, family + " learned");
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("t5")]
    public void A_long_text_is_cut_alike_behind_every_word(string family)
    {
        using var model = PromptModels.Open(family);
        using var asked = Fresh(model, Channel("{mask}: {text}"));
        foreach (var most in new[] { 12, 14, 60 })
        {
            var rows = asked.Rows("r", Text("a b 1 2 3 4 a b 1 2 3 4"), most);
            int[] Scored(TokenRow row) => [.. row.Answers!.Select(place => row.Ids[place + 1])];
            Assert.Equal(3, rows.Count);
            Assert.All(rows, row => Assert.Equal(Scored(rows[0]), Scored(row)));
            Assert.All(rows, row => Assert.Equal(row.Answers!.Count, row.Targets - (family == "t5" ? 1 : 0)));
            // The row with the longest word is as long as it may be.
            if (most < 60) Assert.Equal(most, rows.Max(row => row.Length));
        }
    }

    [Fact]
    public void Demonstrations_show_words_before_their_texts_and_sets_are_averaged()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open("gpt2");
        TaskRow[] rows = [new("r0", Text("a 1"), 0), new("r1", Text("b 2"), 1), new("r2", Text("a 3"), 0), new("r3", Text("b 4"), 1)];
        using var asked = Fresh(model, Channel("{mask} was {text}", new DemonstrationsSpec(Contexts: 2, Between: " .")), rows);
        var shown = asked.Rows("r", Text("b 1"));
        Assert.Equal(6, shown.Count);
        string Said(TokenRow row) => model.Tokenizer.Decode(row.Ids);
        // Three words are asked behind each set, which is the same for all of them.
        foreach (var set in shown.Chunk(3))
        {
            var lead = Said(set[2])[..Said(set[2]).LastIndexOf("hard", StringComparison.Ordinal)];
            Assert.All(set, row => Assert.StartsWith(lead, Said(row), StringComparison.Ordinal));
            Assert.Matches("soft was a [13]", lead);
            Assert.Matches("hard was b [24]", lead);
        }
        using var plain = Fresh(model, Channel("{mask} was {text}"));
        using var both = model.Model.Lay(shown);
        Samples.Near(
            plain.Scores(model.Model, both, shown).exp().mean([0], keepdim: true),
            asked.Scores(model.Model, both, shown).exp(),
            1e-5,
            "sets");
        // The mean of both sets' costs is learned.
        var items = asked.LearnedRows("r", Text("b 1"), 1, 100);
        Assert.Equal(2, items.Count);
        using var laid = model.Model.Lay(items);
        var each = plain.TextLosses(model.Model, laid, [([items[0]], 1), ([items[1]], 1)]);
        Samples.Near(each.mean([0], keepdim: true), asked.TextLosses(model.Model, laid, [(items, 1)]), 1e-5, "learned sets");
    }

    [Theory]
    [InlineData("bert-mlm", "{mask}: {text}", "a bert reads in both directions and gives no probability of a text")]
    [InlineData("gpt2", "{text} is {mask} .", "at character 11: no field follows {mask}")]
    [InlineData("t5", "{mask}: {soft} {text}", "at character 9: the decoder of a t5 writes what follows {mask}")]
    public void What_cannot_be_scored_is_refused(string family, string template, string problem)
    {
        using var model = PromptModels.Open(family);
        Assert.Contains(
            problem, Assert.Throws<InputException>(() => Fresh(model, Channel(template))).Message, StringComparison.Ordinal);
        if (family != "gpt2") return;
        using var asked = Fresh(model, Channel("{mask}{text}"));
        Assert.Contains(
            "r has no text behind the answer's place",
            Assert.Throws<InputException>(() => asked.Rows("r", Text(""))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Soft_tokens_and_virtual_ones_are_read_and_not_scored_and_a_prompt_that_reads_labels_learns_beside()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = PromptModels.Open("gpt2");
        using var hard = Fresh(model, Channel("it was {mask} today {text}"));
        using var soft = Fresh(model, Channel("{soft:\"it was\"} {mask} {soft:\"today\"} {text}"));
        var row = soft.Rows("r", Text("a b"))[0];
        Assert.Equal(2, row.Answers!.Count);
        // A soft token that starts from words is read as they are, and only what is written is scored.
        double[] Behind(AskedTask asked)
        {
            using var on = asked.On(model.Model);
            var first = asked.Rows("r", Text("a b"))[0];
            using var batch = model.Model.Lay([first]);
            return [.. model.Model.LogProbabilities(batch).data<float>().ToArray().Select(value => (double)value)];
        }
        double[] written = Behind(hard), learned = Behind(soft);
        Assert.Equal((3, 2), (written.Length, learned.Length));
        Assert.Equal(written[1], learned[0], 1e-4);
        Assert.Equal(written[2], learned[1], 1e-4);
        using var prefix = DeltaSet.Fresh(model.Model, new DeltaSpec(DeltaForm.PromptTuning, Settings: new Dictionary<string, string>
        {
            ["num_virtual_tokens"] = "3",
        }), 1);
        Assert.Equal(3, model.Model.VirtualTokens);
        Samples.Near(Scores(model, hard, true, texts), Scores(model, hard, false, texts), 1e-6, "behind virtual tokens");
        // A prompt that reads labels learns them beside.
        using var both = Fresh(model, new PromptMethod(
            Prompts: [new AskSpec("{mask}: {text}", Score: PromptScore.Channel), new AskSpec("{text} it was{mask}")],
            Verbalizer: new WordsSpec(new Dictionary<string, IReadOnlyList<string>> { ["soft"] = ["soft"] })));
        using AskedTask one = Fresh(model, new PromptMethod("{mask}: {text}", Score: PromptScore.Channel)),
            other = Fresh(model, new PromptMethod("{text} it was{mask}"));
        var rows = both.LearnedRows("r", Text("a b 2"), 1, 100);
        Assert.Equal(2, rows.Count);
        using var laid = model.Model.Lay(rows);
        using var first = model.Model.Lay([rows[0]]);
        using var second = model.Model.Lay([rows[1]]);
        var apart = (one.TextLosses(model.Model, first, [([rows[0]], 1)]) - other.Learned(model.Model, second, [rows[1]]).select(1, 1)) / 2;
        Samples.Near(apart, both.TextLosses(model.Model, laid, [(rows, 1)]), 1e-5, "both");
    }
}
