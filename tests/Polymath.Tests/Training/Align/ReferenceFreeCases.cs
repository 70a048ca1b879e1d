using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>ORPO, CPO, SimPO, AlphaPO and TPO: preferences without a reference.</summary>
internal static class ReferenceFreeCases
{
    public static CaseNumbers Orpo(AlignCase from, AlignModels models)
    {
        // Every token of the row but the first is scored; the answers' tokens are the odds', all of the chosen rows' the likelihood's.
        var rows = AlignModels.Pairs(from.Rows);
        var whole = models.Scores(models.Policy, [.. rows.Select(row => row with { Learn = [.. row.Ids.Select(_ => 1f)] })]);
        bool[] answer = [.. rows.SelectMany(row => row.Learn.Skip(1).Select(weight => weight > 0))],
            chosen = [.. rows.SelectMany((row, i) => row.Learn.Skip(1).Select(_ => i % 2 == 0))];
        var policy = new TokenValues(whole.Each.index_select(0, Where(answer)), new RowLayout([.. rows.Select(Answer)]));
        var likelihood = whole.Each.index_select(0, Where(chosen));
        var pairs = PairScores.OfTurns(AnswerScores.Of(policy));
        var beta = from.Number("beta");
        var nll = new TokenLikelihood().Sum(likelihood, likelihood.numel());
        var odds = new OddsLoss(beta);
        var numbers = new CaseNumbers
        {
            Loss = nll + odds.Sum(pairs, new StepCounts(from.Rows.Count, 0)),
            Weights = CaseNumbers.All(models.Policy),
        };
        numbers.Others["nll"] = [nll.item<float>()];
        numbers.Metrics["nll_loss"] = nll.item<float>();
        Means(numbers, pairs.Averaged(), beta);
        numbers.Put("losses", odds.Each(pairs).neg());
        numbers.Metrics["log_odds_ratio"] = -CaseNumbers.Mean(odds.Each(pairs)) / beta;
        numbers.Measure("log_odds_chosen", OddsLoss.LogOddsRatios(pairs));
        return numbers;
    }

    private static int Answer(TokenRow row) => row.Targets;

    private static Tensor Where(bool[] which) => tensor(which.Index().Where(item => item.Item).Select(item => (long)item.Index).ToArray());

    // Rewards and log-probabilities as they are logged: beta times the scores that the loss compares.
    private static void Means(CaseNumbers numbers, PairScores compared, double beta)
    {
        var (chosen, rejected) = (compared.ChosenScores * beta, compared.RejectedScores * beta);
        numbers.Put("chosen_logps", compared.Chosen.Policy);
        numbers.Put("rejected_logps", compared.Rejected.Policy);
        numbers.Put("chosen_rewards", chosen);
        numbers.Put("rejected_rewards", rejected);
        numbers.Put("margins", chosen - rejected);
        numbers.Measure("rewards/chosen", chosen);
        numbers.Measure("rewards/rejected", rejected);
        numbers.Measure("rewards/accuracies", chosen.gt(rejected));
        numbers.Measure("rewards/margins", chosen - rejected);
        numbers.Measure("logps/chosen", compared.Chosen.Policy);
        numbers.Measure("logps/rejected", compared.Rejected.Policy);
    }

    public static CaseNumbers Cpo(AlignCase from, AlignModels models)
    {
        double beta = from.Number("beta"),
            smoothing = from.Number("label_smoothing"),
            alpha = from.Number("alpha"),
            nllWeight = from.Number("cpo_alpha");
        var shape = new AlphaReward(alpha);
        var kind = from.Text("loss_type");
        var pairs = PairScores.OfTurns(AnswerScores.Of(models.Scores(models.Policy, AlignModels.Pairs(from.Rows))), shape);
        var averaged = kind is "simpo" or "ipo";
        PreferenceLoss loss = kind switch
        {
            "sigmoid" => new SigmoidLoss(beta, smoothing),
            "hinge" => new HingeLoss(beta),
            "ipo" => new IdentityLoss(beta),
            "simpo" => new SimPoLoss(beta, from.Number("simpo_gamma"), alpha, smoothing),
            _ => throw new InvalidOperationException(kind),
        };
        var step = new StepCounts(from.Rows.Count, pairs.Chosen.Lengths.sum().item<float>());
        var nll = new ChosenLikelihood().Sum(pairs, step);
        var compared = kind == "ipo" ? pairs.Averaged() : pairs;
        var numbers = new CaseNumbers
        {
            Loss = loss.Sum(compared, step) + nll * nllWeight,
            Weights = CaseNumbers.All(models.Policy),
        };
        numbers.Others["nll"] = [nllWeight == 0 ? 0 : nll.item<float>()];
        numbers.Metrics["nll_loss"] = numbers.Others["nll"][0];
        numbers.Put("losses", loss.Each(compared));
        Means(numbers, averaged ? pairs.Averaged() : pairs, beta);
        return numbers;
    }

    public static CaseNumbers Tpo(AlignCase from, AlignModels models)
    {
        var beta = from.Number("beta");
        var kind = from.Text("loss_type");
        var averaged = kind is "tpo-l" or "ipo";
        var rows = AlignModels.Pairs(from.Rows);
        var batch = models.Lay(models.Policy, rows);
        var pairs = PairScores.OfTurns(AnswerScores.Of(TokenValues.LogProbabilities(models.Policy, batch)));
        var gold = models.Scores(models.Policy, [.. from.Rows.Select(row => AlignModels.Row(row, "reference"))]);
        PreferenceLoss loss = kind switch
        {
            "tpo-l" => new SimPoLoss(beta, from.Number("tpo_l_gamma"), Smoothing: from.Number("label_smoothing")),
            "hinge" => new HingeLoss(beta),
            "ipo" => new IdentityLoss(beta),
            _ => new SigmoidLoss(beta, from.Number("label_smoothing")),
        };
        var step = new StepCounts(from.Rows.Count, gold.Rows.Tokens);
        var numbers = new CaseNumbers
        {
            Loss = loss.Sum(pairs, step) + new TokenLikelihood().Sum(gold.Each, step.Tokens) * from.Number("tpo_alpha", 1),
            Weights = CaseNumbers.All(models.Policy),
        };
        Means(numbers, averaged ? pairs.Averaged() : pairs, beta);
        numbers.Put("loss", loss.Each(pairs));
        using var frozen = no_grad();
        numbers.Measure("entropy", TokenLogits.Entropies(AlignModels.Logits(models.Policy, batch)));
        return numbers;
    }
}
