using Polymath.Models;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>Online DPO, and DPO of an adapter.</summary>
internal static class OnlineCases
{
    public static CaseNumbers Online(AlignCase from, AlignModels models)
    {
        var rows = from.Rows.Select(row => AlignModels.Row(row)).ToList();
        var ended = rows.Select(row => row.Ids[^1] == from.Json["eos_token_id"]!.GetValue<int>()).ToArray();
        double[] rewards = [.. from.Rows.Select((row, i) =>
            AlignCase.NumberOf(row["reward"]) - (ended[i] ? 0 : from.Number("missing_eos_penalty")))];
        var prompts = rows.Count / 2;
        var chosen = AnswerChoice.Pairs(rewards, [.. rows.Select((_, i) => i % prompts)]);
        var batch = models.Lay(models.Policy, rows);
        var policy = TokenValues.LogProbabilities(models.Policy, batch);
        var reference = models.Frozen(models.Reference, rows);
        var answers = AnswerScores.Of(policy, reference);
        Tensor best = tensor(chosen.Select(pair => (long)pair.Chosen).ToArray()),
            worst = tensor(chosen.Select(pair => (long)pair.Rejected).ToArray());
        var pairs = new PairScores(answers.Take(best), answers.Take(worst));
        var beta = from.Number("beta");
        PreferenceLoss loss = from.Text("loss_type") == "ipo" ? new IdentityLoss(beta, PerToken: false) : new SigmoidLoss(beta);
        var numbers = new CaseNumbers
        {
            Loss = loss.Sum(pairs, new StepCounts(prompts, 0)),
            Weights = CaseNumbers.All(models.Policy),
        };
        numbers.Rows["chosen_index"] = [.. chosen.Select(pair => (double)pair.Chosen)];
        numbers.Rows["rejected_index"] = [.. chosen.Select(pair => (double)pair.Rejected)];
        numbers.Rows["rewards_after_penalty"] = rewards;
        numbers.Put("chosen_logps", pairs.Chosen.Policy);
        numbers.Put("rejected_logps", pairs.Rejected.Policy);
        numbers.Put("reference_chosen_logps", pairs.Chosen.Reference!);
        numbers.Put("reference_rejected_logps", pairs.Rejected.Reference!);
        numbers.Put("losses", loss.Each(pairs));
        PairCases.Rewards(numbers, pairs, beta);
        // Theirs add up the log-probabilities of padding too: they change with the longest answer of a batch.
        numbers.Given.UnionWith(
            ["objective/kl", "objective/entropy", "objective/non_score_reward", "objective/rlhf_reward"]);
        numbers.Metrics["objective/scores"] = rewards.Average();
        numbers.Metrics["objective/scores_margin"] = chosen.Average(pair => rewards[pair.Chosen] - rewards[pair.Rejected]);
        numbers.Metrics["val/contain_eos_token"] = ended.Average(end => end ? 1.0 : 0);
        return numbers;
    }

    public static CaseNumbers Lora(AlignCase from, AlignModels models)
    {
        var rows = AlignModels.Pairs(from.Rows);
        var model = models.Policy;
        foreach (var weight in model.Weights) weight.Trainable = false;
        var deltas = models.Keep(DeltaSet.Load(model, Path.Combine(from.Folder, "adapter"), anyBase: true));
        foreach (var weight in deltas.Weights) weight.Trainable = true;
        var batch = models.Lay(model, rows);
        var policy = TokenValues.LogProbabilities(model, batch);
        var answers = AnswerScores.Of(policy, Before(from, models, deltas));
        var pairs = PairScores.OfTurns(answers);
        var numbers = new CaseNumbers
        {
            Loss = PairCases.Mix(from).Sum(pairs, new StepCounts(from.Rows.Count, 0)),
            Weights = new Dictionary<string, IReadOnlyList<(string Name, Weight Weight)>> { ["policy"] = deltas.Trained },
        };
        PairCases.PutHalves(numbers, "logps", answers.Policy);
        PairCases.PutHalves(numbers, "reference_|logps", answers.Reference!);
        PairCases.Rewards(numbers, pairs, from.Number("beta"));
        using var frozen = no_grad();
        numbers.Measure("entropy", TokenLogits.Entropies(AlignModels.Logits(model, batch)));
        return numbers;
    }

    // The reference is the model without its adapter, or with the adapter that training began with.
    private static TokenValues Before(AlignCase from, AlignModels models, DeltaSet deltas)
    {
        var rows = AlignModels.Pairs(from.Rows);
        var start = Path.Combine(from.Folder, "adapter-at-start");
        if (!Directory.Exists(start))
        {
            using var off = deltas.Off();
            return models.Frozen(models.Policy, rows);
        }
        using var twin = ModelFolder.Open(AlignCase.Model("llama"));
        using var first = DeltaSet.Load(twin, start, anyBase: true);
        return models.Frozen(twin, rows);
    }
}
