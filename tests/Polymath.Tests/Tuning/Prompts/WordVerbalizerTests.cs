using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text.Prompts;
using Polymath.Text.Prompts;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Verbalizers of words, held against OpenPrompt's and KPT's numbers.</summary>
[Trait("suite", "prompts")]
[Trait("kind", "parity")]
public sealed class WordVerbalizerTests
{
    internal static IReadOnlyList<IReadOnlyList<string>> Words(JsonNode node, JsonNode? classes = null)
    {
        static IReadOnlyList<string> One(JsonNode? words) =>
            words is JsonArray list ? [.. list.Select(word => word!.GetValue<string>())] : [words!.GetValue<string>()];
        if (node is not JsonObject named) return [.. node.AsArray().Select(One)];
        var order = classes is null ? null : One(classes);
        return LabelWords.InOrder(named.ToDictionary(entry => entry.Key, entry => One(entry.Value)), order);
    }

    private static LabelWords Read(JsonNode settings) => LabelWords.Of(
        Words(settings["label_words"]!, settings["classes"]),
        PromptCase.Tokenizer(settings["tokenizer"]!.GetValue<string>()),
        settings["prefix"]?.GetValue<string>() ?? " ");

    private static void SameIds(string name, LabelWords words, JsonNode expected, List<string> faults)
    {
        if (expected["label_words_ids"] is not JsonArray ids) return;
        for (var label = 0; label < words.Ids.Count; label++)
        {
            // One to one has the words of labels without a list around each.
            var flat = ids[label]![0] is not JsonArray;
            for (var word = 0; word < words.Ids[label].Count; word++)
            {
                var theirs = Numbers.Of(flat ? ids[label] : ids[label]![word]);
                var ours = words.Ids[label][word].Select(id => (double)id).ToArray();
                if (!theirs.Take(ours.Length).SequenceEqual(ours) || theirs.Skip(ours.Length).Any(id => id != 0))
                    faults.Add($"{name}: tokens of '{words.Words[label][word]}'");
            }
        }
        var written = Words(expected["label_words"]!);
        if (!written.SelectMany(label => label).SequenceEqual(words.Words.SelectMany(label => label))) faults.Add($"{name}: words");
    }

    [Fact]
    public void Manual_words_give_the_scores_of_the_reference()
    {
        var read = new PromptCase("verbalizer", "manual");
        var expected = read.Expected;
        using var inputs = SafetensorsFile.Open(Path.Combine(read.Folder, "inputs.safetensors"));
        var faults = new List<string>();
        foreach (var settings in read.Settings["cases"]!.AsArray().Select(entry => entry!.AsObject()))
        {
            using var scope = NewDisposeScope();
            Manual(settings, expected[settings["key"]!.GetValue<string>()]!, inputs, faults);
        }
        Assert.True(faults.Count == 0, $"{faults.Count} differences\n" + string.Join('\n', faults.Take(12)));
    }

    private static void Manual(JsonObject settings, JsonNode expected, SafetensorsFile inputs, List<string> faults)
    {
        var name = settings["key"]!.GetValue<string>();
        var tokenizer = settings["tokenizer"]!.GetValue<string>();
        var words = Read(settings);
        SameIds(name, words, expected, faults);
        var reading = ManualVerbalizer.Named(settings["multi_token_handler"]!.GetValue<string>());
        var normalizes = settings["post_log_softmax"]!.GetValue<bool>();
        var bare = settings["calibrate"]!.GetValue<bool>() ? inputs.Map("calibrate." + tokenizer) : null;
        using WordVerbalizer verbalizer = settings["verbalizer"]!.GetValue<string>() == "manual"
            ? new ManualVerbalizer(words, reading) { Normalizes = normalizes, Calibration = bare }
            : new OneToOneVerbalizer(words, reading) { Normalizes = normalizes, Calibration = bare };
        var logits = inputs.Map("logits." + tokenizer).clone().requires_grad_(true);
        if (expected["projected"] is { } projected)
            Numbers.Close($"{name}: projected", Numbers.Of(projected), Numbers.Of(verbalizer.Table.Project(logits)), faults);
        var scores = verbalizer.Scores(logits);
        Numbers.Close($"{name}: scores", Numbers.Of(expected["label_logits"]), Numbers.Of(scores), faults);
        if (expected["loss"] is null) return;
        var loss = Numbers.CrossEntropy(scores, Numbers.Labels(scores.size(0), scores.size(1)));
        Numbers.Close($"{name}: loss", Numbers.Of(expected["loss"]), Numbers.Of(loss), faults);
        loss.backward();
        var columns = tensor(Numbers.Of(expected["grad_ids"]).Select(id => (long)id).ToArray());
        Numbers.Within(
            $"{name}: gradient",
            Numbers.Of(expected["right_grad_at_words"] ?? expected["grad_at_words"]),
            Numbers.Of(logits.grad!.narrow(0, 0, 2).index_select(1, columns)),
            (2e-4, faults));
    }

    [Fact]
    public void Words_from_a_knowledge_base_are_refined_and_weighed_like_the_reference()
    {
        var read = new PromptCase("verbalizer", "knowledgeable");
        var expected = read.Expected;
        using var inputs = SafetensorsFile.Open(Path.Combine(read.Folder, "inputs.safetensors"));
        var faults = new List<string>();
        foreach (var settings in read.Settings["cases"]!.AsArray().Select(entry => entry!.AsObject()))
        {
            using var scope = NewDisposeScope();
            var name = settings["key"]!.GetValue<string>();
            if (settings["context"] is null) Knowledgeable(settings, expected[name]!, inputs, faults);
            else Relevant(settings, expected[name]!, inputs, faults);
        }
        Assert.True(faults.Count == 0, $"{faults.Count} differences\n" + string.Join('\n', faults.Take(12)));
    }

    private static KnowledgeableVerbalizer Knowing(JsonObject settings) => new(
        Words(settings["label_words"]!, settings["classes"]),
        PromptCase.Tokenizer(settings["tokenizer"]!.GetValue<string>()),
        ManualVerbalizer.Named(settings["multi_token_handler"]?.GetValue<string>() ?? "first"),
        settings["max_token_split"]!.GetValue<int>() is > 0 and var most ? most : null)
    {
        LeastShare = settings["candidate_frac"]!.GetValue<double>(),
        Temperature = settings["pred_temp"]?.GetValue<double>() ?? 1,
    };

    private static void Knowledgeable(JsonObject settings, JsonNode expected, SafetensorsFile inputs, List<string> faults)
    {
        var name = settings["key"]!.GetValue<string>();
        var tokenizer = settings["tokenizer"]!.GetValue<string>();
        KnowledgeableVerbalizer? made = null;
        try
        {
            made = Knowing(settings);
            SameIds($"{name}, before", made.Table.Labels, expected["before"]!, faults);
            var logits = inputs.Map("logits." + tokenizer);
            Numbers.Close($"{name}: first", Numbers.Of(expected["uncalibrated_zero_weights"]), Numbers.Of(made.Scores(logits)), faults);
            made.Calibration = inputs.Map("calibrate." + tokenizer);
            SameIds($"{name}, after", made.Table.Labels, expected["after"]!, faults);
            using (no_grad())
                made.Weights.copy_(tensor(Numbers.Of(expected["weights"]).Select(x => (float)x).ToArray()).view(made.Weights.shape));
            Numbers.Close($"{name}: eval", Numbers.Of(expected["eval_label_logits"]), Numbers.Of(made.Scores(logits)), faults);
            made.Training = true;
            var scores = made.Scores(logits);
            Numbers.Close($"{name}: train", Numbers.Of(expected["train_label_logits"]), Numbers.Of(scores), faults);
            var loss = Numbers.CrossEntropy(scores, Numbers.Labels(scores.size(0), scores.size(1)));
            Numbers.Close($"{name}: loss", Numbers.Of(expected["loss"]), Numbers.Of(loss), faults);
            loss.backward();
            Numbers.Within(
                $"{name}: gradient", Numbers.Of(expected["grad_weights"]), Numbers.Of(made.Weights.grad!), (2e-4, faults));
        }
        catch (InputException e)
        {
            if (!expected.AsObject().Any(part => part.Key == "error" || part.Value is JsonObject inner && inner.ContainsKey("error")))
                faults.Add($"{name}: {e.Message}");
        }
        finally
        {
            made?.Dispose();
        }
    }

    private static void Relevant(JsonObject settings, JsonNode expected, SafetensorsFile inputs, List<string> faults)
    {
        var name = settings["key"]!.GetValue<string>();
        using var verbalizer = Knowing(settings);
        var contexts = inputs.Map(settings["context"]!.GetValue<string>());
        verbalizer.Calibration = contexts.mean([0]);
        void Same(string step)
        {
            var ours = string.Join(" | ", verbalizer.Table.Labels.Words.Select(label => string.Join(",", label)));
            var theirs = string.Join(" | ", Words(expected[step]!).Select(label => string.Join(",", label)));
            if (ours != theirs) faults.Add($"{name}, {step}:\n  {ours}\n  {theirs}");
        }
        Same("after_frequency");
        WordRelevance.Refine(verbalizer, contexts);
        Same("after_relevance");
    }

    [Fact]
    public void Faulty_words_are_refused()
    {
        var tokenizer = PromptCase.Tokenizer("roberta");
        Assert.Throws<InputException>(() => LabelWords.Of([["a"], []], tokenizer));
        Assert.Throws<InputException>(() => Words(JsonNode.Parse("""{"a":"b"}""")!, JsonNode.Parse("""["c"]""")));
        Assert.Throws<InputException>(() => Words(JsonNode.Parse("""{"a":"b"}""")!));
        Assert.Throws<InputException>(() => new OneToOneVerbalizer(LabelWords.Of([["a", "b"], ["c"]], tokenizer)));
        Assert.Throws<InputException>(() => ManualVerbalizer.Named("sum"));
    }

    [Fact]
    public void Calibration_with_the_same_prompt_makes_every_word_as_likely()
    {
        using var scope = NewDisposeScope();
        var words = LabelWords.Of([["bad", "poor", "ill"], ["good", "great", "fine"]], PromptCase.Tokenizer("roberta"));
        var logits = randn(1, 1200, generator: new Generator(3));
        using var verbalizer = new ManualVerbalizer(words) { Calibration = logits[0] };
        Assert.All(Numbers.Of(verbalizer.Scores(logits)), score => Assert.Equal(-Math.Log(6), score, 1e-5));
        using var plain = new ManualVerbalizer(words);
        using var level = new ManualVerbalizer(words) { Calibration = zeros(1200) };
        Assert.Equal(Numbers.Of(plain.Scores(logits)), Numbers.Of(level.Scores(logits)), (a, b) => Math.Abs(a - b) < 1e-5);
    }
}
