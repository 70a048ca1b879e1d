using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text.Prompts;
using Polymath.Text.Prompts;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Verbalizers by rules, by search and by prototypes, target texts and files of words.</summary>
[Trait("suite", "prompts")]
[Trait("kind", "parity")]
public sealed class OtherVerbalizerTests
{
    private static void None(List<string> faults) =>
        Assert.True(faults.Count == 0, $"{faults.Count} differences\n" + string.Join('\n', faults.Take(12)));

    [Fact]
    public void Rules_over_several_masks_score_like_the_reference()
    {
        var read = new PromptCase("verbalizer", "ptr");
        using var inputs = SafetensorsFile.Open(Path.Combine(read.Folder, "inputs.safetensors"));
        var faults = new List<string>();
        foreach (var settings in read.Settings["cases"]!.AsArray().Select(entry => entry!.AsObject()))
        {
            using var scope = NewDisposeScope();
            var name = settings["key"]!.GetValue<string>();
            var expected = read.Expected[name]!.AsObject();
            var tokenizer = settings["tokenizer"]!.GetValue<string>();
            RuleVerbalizer verbalizer;
            try
            {
                verbalizer = new RuleVerbalizer(WordVerbalizerTests.Words(settings["label_words"]!), PromptCase.Tokenizer(tokenizer));
            }
            catch (InputException e)
            {
                if (!expected.ContainsKey("error")) faults.Add($"{name}: {e.Message}");
                continue;
            }
            var logits = inputs.Map("logits." + tokenizer).narrow(1, 0, verbalizer.Masks).clone().requires_grad_(true);
            var scores = settings["label_in_batch"]!.GetValue<bool>() ? verbalizer.TrainingScores(logits) : verbalizer.Scores(logits);
            Numbers.Close($"{name}: scores", Numbers.Of(expected["label_logits"]), Numbers.Of(scores), faults);
            var loss = Numbers.CrossEntropy(scores, Numbers.Labels(scores.size(0), scores.size(1)));
            Numbers.Close($"{name}: loss", Numbers.Of(expected["loss"]), Numbers.Of(loss), faults);
            loss.backward();
            var columns = tensor(Numbers.Of(expected["grad_ids"]).Select(id => (long)id).ToArray());
            var theirs = Numbers.Of(expected["grad"]);
            var gradient = logits.grad!.index_select(2, columns);
            var rows = theirs.Length / gradient.size(1) / gradient.size(2);
            Numbers.Within($"{name}: gradient", theirs, Numbers.Of(gradient.narrow(0, 0, rows)), (2e-4, faults));
            verbalizer.Dispose();
        }
        None(faults);
    }

    [Fact]
    public void Words_found_by_search_are_those_of_the_reference()
    {
        var read = new PromptCase("verbalizer", "automatic");
        using var inputs = SafetensorsFile.Open(Path.Combine(read.Folder, "inputs.safetensors"));
        var faults = new List<string>();
        foreach (var settings in read.Settings["cases"]!.AsArray().Select(entry => entry!.AsObject()))
        {
            using var scope = NewDisposeScope();
            var name = settings["key"]!.GetValue<string>();
            var expected = read.Expected[name]!;
            var labels = inputs.Map(settings["labels"]!.GetValue<string>()).data<long>().ToArray();
            using var verbalizer = new AutomaticVerbalizer((int)labels.Max() + 1, new WordSearch(
                settings["score_fct"]!.GetValue<string>() == "ce" ? WordScore.CrossEntropy : WordScore.LikelihoodRatio,
                settings["balance"]!.GetValue<bool>(),
                settings["num_candidates"]!.GetValue<int>(),
                settings["label_word_num_per_class"]!.GetValue<int>()));
            if (settings["logits"] is JsonArray several)
            {
                string[] steps = ["first", "second"];
                for (var step = 0; step < steps.Length; step++)
                {
                    verbalizer.Observe(inputs.Map(several[step]!.GetValue<string>()), labels);
                    verbalizer.Find();
                    SameWords($"{name}, {steps[step]}", expected[steps[step]]!["label_words_ids"]!, verbalizer, faults);
                }
                continue;
            }
            var logits = inputs.Map(settings["logits"]!.GetValue<string>());
            var half = labels.Length / 2;
            verbalizer.Observe(logits.narrow(0, 0, half), labels[..half]);
            verbalizer.Observe(logits.narrow(0, half, labels.Length - half), labels[half..]);
            verbalizer.Find();
            SameWords(name, expected["label_words_ids"]!, verbalizer, faults);
            var most = settings["label_word_num_per_class"]!.GetValue<int>();
            Numbers.Close(
                $"{name}: best",
                [.. expected["top_scores"]!.AsArray().SelectMany(label => Numbers.Of(label).Take(most))],
                [.. verbalizer.FoundScores.SelectMany(scores => scores)],
                faults);
            var theirs = Numbers.Of(expected["label_logits"]);
            var ours = Numbers.Of(verbalizer.Scores(logits));
            Numbers.Close($"{name}: scores", theirs, ours[..theirs.Length], faults);
        }
        None(faults);
    }

    private static void SameWords(string name, JsonNode expected, AutomaticVerbalizer verbalizer, List<string> faults)
    {
        if (!Numbers.Of(expected).SequenceEqual(verbalizer.Words!.data<long>().Select(id => (double)id)))
            faults.Add($"{name}: {string.Join(' ', verbalizer.Words!.data<long>().ToArray())} for {expected.ToJsonString()}");
    }

    public static TheoryData<string> Proto => [.. PromptCase.Names("verbalizer", "proto-")];

    [Theory]
    [MemberData(nameof(Proto))]
    public void Prototypes_are_trained_like_the_reference(string name)
    {
        using var scope = NewDisposeScope();
        var read = new PromptCase("verbalizer", name);
        using var expected = SafetensorsFile.Open(Path.Combine(read.Folder, "expected.safetensors"));
        var faults = new List<string>();
        void Same(string tensor, Tensor ours) => Numbers.Close(tensor, Numbers.Of(expected.Map(tensor)), Numbers.Of(ours), faults);
        using var verbalizer = new ProtoVerbalizer(expected.Map("head.weight"), expected.Map("proto"));
        var labels = expected.Map("input.label").data<long>().ToArray();
        var states = expected.Map("hidden_at_mask");
        var (instances, prototypes) = verbalizer.Losses(ProtoVerbalizer.Grouped(states, labels, (int)verbalizer.Prototypes.size(0)));
        Same("loss_instance_instance", instances);
        Same("loss_instance_prototype", prototypes);
        (instances + prototypes).backward();
        Numbers.Within("map", Numbers.Of(expected.Map("grad.head.weight")), Numbers.Of(verbalizer.Map.grad!), (2e-4, faults));
        Numbers.Within("prototypes", Numbers.Of(expected.Map("grad.proto")), Numbers.Of(verbalizer.Prototypes.grad!), (2e-4, faults));
        verbalizer.Map.grad!.zero_();
        verbalizer.Prototypes.grad!.zero_();
        verbalizer.Train(states, labels, read.Settings["epochs"]!.GetValue<int>(), read.Settings["lr"]!.GetValue<double>());
        Same("after.head.weight", verbalizer.Map);
        Same("after.proto", verbalizer.Prototypes);
        var words = LabelWords.Of(
            WordVerbalizerTests.Words(read.Settings["label_words"]!),
            PromptCase.Tokenizer(read.Settings["model"]!.GetValue<string>()));
        using var manual = new ManualVerbalizer(words) { Normalizes = false };
        var scores = manual.Scores(expected.Map("logits_at_mask"));
        Same("untrained_label_logits", scores);
        Same("after.proto_label_logits", verbalizer.Scores(states));
        Same("after.ensemble_label_logits", ProtoVerbalizer.Together(scores, verbalizer.Scores(states)));
        None(faults);
    }

    [Fact]
    public void Target_texts_are_those_of_the_reference()
    {
        var read = new PromptCase("verbalizer", "generation");
        var examples = read.Settings["examples"]!.AsArray().Select(example => PromptCase.Example(example!)).ToList();
        Assert.All(read.Settings["cases"]!.AsArray(), settings =>
        {
            var expected = read.Expected[settings!["key"]!.GetValue<string>()]!;
            var wanted = expected["right"] ?? expected["peer"]!;
            List<IReadOnlyList<string>> Ours()
            {
                var words = WordVerbalizerTests.Words(new JsonArray([.. settings["label_words"]!.AsObject()
                    .Select(label => label.Value!.DeepClone())]));
                var texts = new TargetTexts(words, settings["is_rule"]!.GetValue<bool>());
                return examples.ConvertAll(texts.Of);
            }
            if (wanted is JsonObject) Assert.Throws<InputException>(() => Ours());
            else Assert.Equal(WordVerbalizerTests.Words(wanted), Ours());
        });
    }

    [Fact]
    public void Files_of_words_are_read_like_the_reference()
    {
        var read = new PromptCase("verbalizer", "files");
        var tokenizer = PromptCase.Tokenizer(read.Settings["tokenizer"]!.GetValue<string>());
        Assert.All(read.Settings["cases"]!.AsArray(), settings =>
        {
            var expected = read.Expected[settings!["key"]!.GetValue<string>()]!.AsObject();
            var wanted = (expected["right"] ?? expected["peer"] ?? expected).AsObject();
            var classes = settings["classes"] is JsonArray names ? names.Select(name => name!.GetValue<string>()).ToList() : null;
            LabelWords Ours() => LabelWords.Of(
                LabelWordFile.Read(
                    Path.Combine(read.Folder, settings["file"]!.GetValue<string>()), classes, settings["choice"]!.GetValue<int>()),
                tokenizer,
                read.Settings["prefix"]!.GetValue<string>());
            // A file of several lines is refused by the peer, and is no error here.
            if (wanted.ContainsKey("error"))
            {
                if (settings["file"]!.GetValue<string>().EndsWith(".jsonl", StringComparison.Ordinal) && classes is not null) return;
                if (settings["file"]!.GetValue<string>() != "lists.json") Assert.Throws<InputException>(Ours);
                return;
            }
            Assert.Equal(WordVerbalizerTests.Words(wanted["label_words"]!), Ours().Words);
        });
    }
}
