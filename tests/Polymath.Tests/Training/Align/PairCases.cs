using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>DPO and its kin, built from a case's settings.</summary>
internal static class PairCases
{
    public static ScoreShape Shape(AlignCase from) => from.Settings["f_divergence_type"]?.ToString() switch
    {
        null or "reverse_kl" => new ReverseKl(),
        "forward_kl" => new ForwardKl(),
        "js_divergence" => new JensenShannon(),
        "alpha_divergence" => new AlphaDivergence(from.Number("f_alpha_divergence_coef")),
        var other => throw new InvalidOperationException(other),
    };

    public static PreferenceLoss Loss(string kind, AlignCase from)
    {
        double beta = from.Number("beta"), smoothing = from.Number("label_smoothing");
        return kind switch
        {
            "sigmoid" => new SigmoidLoss(beta),
            "sigmoid_norm" => new MeanSigmoidLoss(beta),
            "robust" => new RobustLoss(beta, smoothing),
            "exo_pair" => new ExactLoss(beta, smoothing),
            "hinge" => new HingeLoss(beta),
            "ipo" => new IdentityLoss(beta),
            "nca_pair" => new NoiseContrastiveLoss(beta),
            "bco_pair" => new BinaryPairLoss(beta),
            "sppo_hard" => new SelfPlayLoss(beta),
            "aot" => new SortedMarginLoss(beta, smoothing),
            "aot_unpaired" => new SortedAnswerLoss(beta, smoothing),
            "apo_zero" => new AnchoredZeroLoss(beta),
            "apo_down" => new AnchoredDownLoss(beta),
            "discopop" => new DiscoPopLoss(beta, from.Number("discopop_tau", 0.05)),
            "sft" => new ChosenLikelihood(),
            _ => throw new InvalidOperationException(kind),
        };
    }

    public static PreferenceMix Mix(AlignCase from)
    {
        var weights = from.Settings["loss_weights"] is { } given ? AlignCase.Numbers(given) : null;
        return new PreferenceMix([.. from.Settings["loss_type"]!.AsArray().Select((kind, i) =>
            new WeightedLoss(Loss(kind!.ToString(), from), weights?[i] ?? 1))]);
    }

    /// <summary>The halves of rows that hold a chosen and a rejected answer in turn.</summary>
    public static (Tensor Chosen, Tensor Rejected) Halves(Tensor rows)
    {
        var turns = rows.view(-1, 2);
        return (turns.select(1, 0), turns.select(1, 1));
    }

    public static void PutHalves(CaseNumbers numbers, string name, Tensor rows, string suffix = "")
    {
        var (chosen, rejected) = Halves(rows);
        var (before, after) = name.LastIndexOf('|') is var bar and >= 0 ? (name[..bar], name[(bar + 1)..]) : ("", name);
        numbers.Put($"{before}chosen_{after}{suffix}", chosen);
        numbers.Put($"{before}rejected_{after}{suffix}", rejected);
    }

    /// <summary>A batch of pairs under a policy and a reference.</summary>
    public static CaseNumbers Dpo(AlignCase from, AlignModels models)
    {
        var rows = AlignModels.Pairs(from.Rows);
        var batch = models.Lay(models.Policy, rows);
        var policy = TokenValues.LogProbabilities(models.Policy, batch);
        var reference = models.Frozen(models.Reference, rows);
        int[] lengths = [.. rows.Select(row => (int)row.Learn.Sum())];
        var (counted, referred) = (policy, reference);
        if (from.Has("ld_alpha"))
        {
            counted = PairWeights.Desensitized(policy, from.Number("ld_alpha"), lengths);
            referred = PairWeights.Desensitized(reference, from.Number("ld_alpha"), lengths);
        }
        var answers = AnswerScores.Of(counted, referred, lengths);
        var pairs = PairScores.OfTurns(answers, Shape(from));
        var step = new StepCounts(from.Rows.Count, policy.Rows.Lengths.Where((_, row) => row % 2 == 0).Sum());
        var logits = AlignModels.Logits(models.Policy, batch).detach();
        var weights = from.Flag("use_weighting") ? PairWeights.OnPolicy(policy, TokenLogits.LogCollisions(logits)) : null;
        Tensor? ofPairs = null;
        if (weights is not null)
        {
            var (chosen, rejected) = Halves(weights);
            ofPairs = chosen * rejected;
        }
        var mix = Mix(from);
        var numbers = new CaseNumbers { Loss = mix.Sum(pairs, step, ofPairs), Weights = CaseNumbers.All(models.Policy) };
        if (weights is not null) PutHalves(numbers, "wpo_|weights", weights);
        PutHalves(numbers, "logps", answers.Policy);
        PutHalves(numbers, "reference_|logps", answers.Reference!);
        PutHalves(numbers, "logps_mean", policy.Means());
        PutHalves(numbers, "reference_|logps_mean", reference.Means());
        numbers.Put("chosen_score", pairs.ChosenScores);
        numbers.Put("rejected_score", pairs.RejectedScores);
        Rewards(numbers, pairs, from.Number("beta"));
        numbers.Measure("entropy", TokenLogits.Entropies(logits));
        if (mix.Parts is [{ Weight: 1, Loss: var only }])
        {
            var each = only.Each(pairs);
            if (only is SortedLoss) Sorted(numbers, from, CaseNumbers.Doubles(each));
            else numbers.Put("loss", ofPairs is null ? each : each * ofPairs);
        }
        return numbers;
    }

    // Theirs are in the order of ranks.
    private static void Sorted(CaseNumbers numbers, AlignCase from, double[] each)
    {
        numbers.Given.Add("loss");
        Assert.Equal(AlignCase.Numbers(from.Json["per_row"]!["loss"]).Order(), each.Order(), (a, b) => Math.Abs(a - b) < 1e-4);
    }

    public static void Rewards(CaseNumbers numbers, PairScores pairs, double beta)
    {
        var (chosen, rejected) = (pairs.ChosenRatios * beta, pairs.RejectedRatios * beta);
        numbers.Put("chosen_rewards", chosen);
        numbers.Put("rejected_rewards", rejected);
        numbers.Put("margins", chosen - rejected);
        numbers.Measure("rewards/chosen", chosen);
        numbers.Measure("rewards/rejected", rejected);
        numbers.Measure("rewards/accuracies", chosen.gt(rejected));
        numbers.Measure("rewards/margins", chosen - rejected);
        numbers.Measure("logps/chosen", pairs.Chosen.Policy);
        numbers.Measure("logps/rejected", pairs.Rejected.Policy);
    }
}
