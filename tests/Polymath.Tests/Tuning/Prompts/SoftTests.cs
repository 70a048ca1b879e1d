using Polymath.Tensors;
using Polymath.Tensors.Files;
using Polymath.Tests.Text.Prompts;
using Polymath.Text.Prompts;
using Polymath.Tuning.Prompts;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Soft parts of prompts on models, held against OpenPrompt's and P-tuning v2's logits, losses and gradients.</summary>
[Trait("suite", "prompts")]
[Trait("kind", "parity")]
public sealed class SoftTests
{
    public static TheoryData<string> Cases => [.. PromptCase.Names("soft")];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Soft_parts_give_the_logits_and_gradients_of_the_reference(string name)
    {
        using var scope = NewDisposeScope();
        var read = new PromptCase("soft", name);
        using var soft = new SoftCases(read);
        var faults = new List<string>();
        var rows = soft.Rows();
        var start = soft.Expected.Entries.ContainsKey("right.loss") ? "right." : "";
        var loss = read.Settings["task"]!.GetValue<string>() == "generation"
            ? Written(soft, rows, faults)
            : Labelled(soft, rows, start, faults);
        Numbers.Within("loss", Numbers.Of(soft.Expected.Map(start + "loss")), Numbers.Of(loss), (2e-5, faults));
        if (soft.Gradients.Count > 0) Fused.Backpropagate(loss);
        foreach (var entry in soft.Expected.Entries.Keys.Where(key => key.StartsWith(start + "grad.", StringComparison.Ordinal)))
            if (soft.Gradients.TryGetValue(entry[(start + "grad.").Length..], out var gradient))
                Numbers.Within(entry, Numbers.Of(soft.Expected.Map(entry)), Numbers.Of(gradient()), (2e-4, faults));
            else faults.Add($"{entry} is not computed");
        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    private static Tensor Written(SoftCases soft, PromptRows rows, List<string> faults)
    {
        var logits = rows.LogitsBeforeTargets();
        Numbers.Within("logits", Numbers.Of(soft.Expected.Map("logits_at_loss")), Numbers.Of(logits), (1e-4, faults));
        return rows.TargetLoss(logits);
    }

    private static Tensor Labelled(SoftCases soft, PromptRows rows, string start, List<string> faults)
    {
        var settings = soft.Case.Settings;
        var tokenizer = PromptCase.Tokenizer(settings["model"]!.GetValue<string>());
        var words = WordVerbalizerTests.Words(settings["label_words"]!);
        var labels = soft.Expected.Map("input.label");
        Tensor scores;
        if (settings["verbalizer"]!.GetValue<string>() == "soft")
            scores = new SoftVerbalizer(soft.Model, LabelWords.Of(words, tokenizer)).Scores(rows.StatesAtAnswers());
        else
        {
            var logits = rows.LogitsAtAnswers();
            Numbers.Within("logits", Numbers.Of(soft.Expected.Map("logits_at_mask")), Numbers.Of(logits), (1e-4, faults));
            scores = settings["verbalizer"]!.GetValue<string>() == "ptr"
                ? new RuleVerbalizer(words, tokenizer).TrainingScores(logits.view(labels.size(0), -1, logits.size(1)))
                : new ManualVerbalizer(LabelWords.Of(words, tokenizer)).Scores(logits);
        }
        Numbers.Within("scores", Numbers.Of(soft.Expected.Map(start + "label_logits")), Numbers.Of(scores), (1e-4, faults));
        return Numbers.CrossEntropy(scores, labels);
    }

    public static TheoryData<string> SoftLabels => [.. PromptCase.Names("verbalizer", "soft-")];

    [Theory]
    [MemberData(nameof(SoftLabels))]
    public void Learned_labels_start_and_score_like_the_reference(string name)
    {
        using var scope = NewDisposeScope();
        using var soft = new SoftCases(new PromptCase("verbalizer", name), "none");
        var faults = new List<string>();
        var tokenizer = PromptCase.Tokenizer(soft.Case.Settings["model"]!.GetValue<string>());
        using var verbalizer = new SoftVerbalizer(
            soft.Model, LabelWords.Of(WordVerbalizerTests.Words(soft.Case.Settings["label_words"]!), tokenizer));
        Numbers.Close("start", Numbers.Of(soft.Expected.Map("initial_rows")), Numbers.Of(verbalizer.Rows), faults);
        var scores = verbalizer.Scores(soft.Rows().StatesAtAnswers());
        Numbers.Within("scores", Numbers.Of(soft.Expected.Map("label_logits")), Numbers.Of(scores), (1e-4, faults));
        var loss = Numbers.CrossEntropy(scores, soft.Expected.Map("input.label"));
        Numbers.Within("loss", Numbers.Of(soft.Expected.Map("loss")), Numbers.Of(loss), (2e-5, faults));
        Fused.Backpropagate(loss);
        var own = soft.Expected.Entries.Keys.First(key => key.StartsWith("grad.", StringComparison.Ordinal)
            && soft.Expected.Map(key).shape.SequenceEqual(verbalizer.Rows.shape));
        Numbers.Within(own, Numbers.Of(soft.Expected.Map(own)), Numbers.Of(verbalizer.Rows.grad!), (2e-4, faults));
        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    public static TheoryData<string> Calibrations => [.. PromptCase.Names("verbalizer", "calibrate-")];

    [Theory]
    [MemberData(nameof(Calibrations))]
    public void Calibration_from_texts_is_that_of_the_reference(string name)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var read = new PromptCase("verbalizer", name);
        using var soft = new SoftCases(read, "none");
        using var given = SafetensorsFile.Open(Path.Combine(read.Folder, "expected.safetensors"));
        var tokenizer = PromptCase.Tokenizer(read.Settings["model"]!.GetValue<string>());
        var words = LabelWords.Of(WordVerbalizerTests.Words(read.Settings["label_words"]!), tokenizer);
        var faults = new List<string>();
        foreach (var (key, examples) in new[] { ("support", "support"), ("content-free", "content_free") })
        {
            var expected = read.Expected[key]!;
            var bare = soft.Rows(examples).LogitsAtAnswers().mean([0]);
            Numbers.Within($"{key}: logits", Numbers.Of(given.Map(key + ".logits")), Numbers.Of(bare), (1e-4, faults));
            using var verbalizer = new ManualVerbalizer(words);
            var logits = soft.Rows().LogitsAtAnswers();
            Numbers.Within($"{key}: before", Numbers.Of(expected["before"]), Numbers.Of(verbalizer.Scores(logits)), (2e-5, faults));
            verbalizer.Calibration = bare;
            Numbers.Within($"{key}: after", Numbers.Of(expected["after"]), Numbers.Of(verbalizer.Scores(logits)), (2e-5, faults));
            Numbers.Within(
                $"{key}: identity", Numbers.Of(expected["identity"]), Numbers.Of(verbalizer.Scores(bare.unsqueeze(0))), (2e-5, faults));
        }
        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }
}
