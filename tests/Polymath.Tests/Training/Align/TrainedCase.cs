using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Tensors;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using Polymath.Training.Optimizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>A run of some steps: what each reports, and where the weights end.</summary>
internal sealed class TrainedCase : IDisposable
{
    private readonly AlignCase from;
    private readonly AlignModels models;
    private readonly List<string> faults = [];
    private readonly List<(string Prefix, LanguageModel Model, AdamW Optimizer, Dictionary<string, float[]> Start)> trained = [];

    private TrainedCase(AlignCase from, AlignModels models)
    {
        (this.from, this.models) = (from, models);
        Train("", models.Policy);
        if (from.Family == "train-ppo") Train("critic.", models.Of("critic"));
    }

    public static List<string> Faults(AlignCase from, AlignModels models)
    {
        using var run = new TrainedCase(from, models);
        run.Run();
        run.Ends();
        return run.faults;
    }

    private void Train(string prefix, LanguageModel model)
    {
        var spec = new AdamwSpec(
            from.Number("learning_rate"),
            from.Number("adam_beta1", 0.9),
            from.Number("adam_beta2", 0.999),
            from.Number("adam_epsilon", 1e-8),
            from.Number("weight_decay"));
        trained.Add((
            prefix,
            model,
            new AdamW(new WeightGroup("", model.Weights, spec), spec),
            model.Weights.ToDictionary(weight => weight.Name, weight => Samples.Floats(weight.Value))));
    }

    private void Run()
    {
        var update = from.Family == "train-ppo" ? new ProximalCases(from, models) : null;
        if (update is not null) Rollout(update);
        foreach (var (number, step) in AlignCase.Objects(from.Json["steps"]!).Index())
        {
            using var scope = NewDisposeScope();
            var loss = update is null ? Losses(step, number) : Update(update, step, number);
            Near($"step {number} loss", AlignCase.NumberOf(step["loss"]), loss, 1e-4);
            var most = from.Has("max_grad_norm") ? from.Number("max_grad_norm") : double.PositiveInfinity;
            foreach (var (prefix, model, optimizer, _) in trained)
            {
                var norm = Math.Sqrt(model.Weights.Sum(Square));
                Near($"step {number} {prefix}norm", AlignCase.NumberOf(step[prefix.Replace('.', '_') + "gradient_norm"]), norm, 1e-3);
                optimizer.Step(AlignCase.NumberOf(step["learning_rate"]), Math.Min(1, most / (norm + 1e-6)));
            }
        }
    }

    private void Rollout(ProximalCases update)
    {
        var numbers = new CaseNumbers { Loss = zeros(1), Weights = CaseNumbers.All(models.Policy) };
        update.Report(numbers);
        foreach (var (name, value) in from.Json["per_row"]!.AsObject())
            if (numbers.Rows.TryGetValue(name, out var ours))
                foreach (var (a, b) in ours.Zip(AlignCase.Numbers(value)))
                    Near(name, b, a, 1e-4);
    }

    private static double Square(Weight weight)
    {
        using var gradient = weight.Value.grad;
        return gradient is null ? 0 : Math.Pow(gradient.norm().item<float>(), 2);
    }

    private double Losses(JsonObject step, int number)
    {
        var parts = AlignCase.Objects(step["micro_batches"]!);
        var loss = 0.0;
        foreach (var (i, part) in parts.Index())
        {
            using var scope = NewDisposeScope();
            var (share, theirs) = Share(part, parts);
            Near($"step {number}.{i} loss", AlignCase.NumberOf(part["loss"]) * theirs, share.item<float>(), 1e-4);
            Fused.Backpropagate(share);
            loss += share.item<float>();
        }
        return loss;
    }

    // A micro-batch's part of the step's loss, and its part of what is logged for the micro-batch alone.
    private (Tensor Share, double OfTheirs) Share(JsonObject part, IReadOnlyList<JsonObject> parts)
    {
        var rows = AlignCase.Objects(part["rows"]!);
        if (from.Family == "train-sft")
        {
            var tokens = parts.Sum(other => AlignCase.Objects(other["rows"]!).Sum(row => SupervisedCases.Row(row).Targets));
            var each = models.Scores(models.Policy, [.. rows.Select(SupervisedCases.Row)]).Each;
            return (new TokenLikelihood().Sum(each, tokens), 1);
        }
        if (from.Family == "train-dpo")
        {
            var pairs = AlignModels.Pairs(rows);
            var scores = PairScores.OfTurns(
                AnswerScores.Of(
                    models.Scores(models.Policy, pairs), models.Frozen(models.Reference, pairs)));
            return (PairCases.Mix(from).Sum(scores, new StepCounts(rows.Count * parts.Count, 0)), 1.0 / parts.Count);
        }
        return (Group(part, rows), 1);
    }

    private Tensor Group(JsonObject part, IReadOnlyList<JsonObject> rows)
    {
        var table = new RewardTable([.. rows.Select(row => AlignCase.Numbers(row["rewards"]))]);
        int[] groups = [.. rows.Select((_, i) => i / (int)from.Number("num_generations"))];
        var advantages = GroupAdvantages.Of(table, groups);
        foreach (var (a, b) in advantages.Zip(AlignCase.Numbers(part["advantages"]))) Near("advantage", b, a, 1e-4);
        var made = rows.Select(row => AlignModels.Row(row)).ToList();
        var policy = models.Scores(models.Policy, made);
        var tokens = PolicyTokens.OfRows(
            policy, AlignCase.Floats(AlignCase.Numbers(part["old_logps"])), AlignCase.Floats(advantages));
        var kl = KlEstimate.Each(KlKind.K3, policy.Each, models.Frozen(models.Reference, made).Each);
        var each = new ClippedLoss(from.Number("epsilon"), from.Number("epsilon_high", from.Number("epsilon"))).Each(tokens);
        return new AllTokens().Share(each + kl * from.Number("beta"), policy.Rows, StepCounts.Of(policy.Rows));
    }

    private double Update(ProximalCases update, JsonObject step, int number)
    {
        var (policy, value, _, _) = update.Losses(AlignCase.Ids(step["rows"]));
        Near($"step {number} policy", AlignCase.NumberOf(step["policy_loss"]), policy.item<float>(), 1e-4);
        Near($"step {number} value", AlignCase.NumberOf(step["value_loss"]), value.item<float>(), 1e-4);
        var loss = policy + value * from.Number("vf_coef");
        Fused.Backpropagate(loss);
        return loss.item<float>();
    }

    private void Near(string what, double theirs, double ours, double tolerance)
    {
        if (!(Math.Abs(ours - theirs) <= tolerance * Math.Max(Math.Abs(theirs), 0.1))) faults.Add($"{what} {ours} for {theirs}");
    }

    // The distance between the ends, beside the distance gone.
    private void Ends()
    {
        foreach (var (prefix, model, _, start) in trained)
            foreach (var weight in model.Weights)
            {
                var name = $"after.{prefix}{weight.Name}";
                if (!from.Tensors.Entries.ContainsKey(name)) continue;
                float[] theirs = Samples.Floats(from.Tensors.Map(name)), ours = Samples.Floats(weight.Value), first = start[weight.Name];
                double apart = 0, gone = 0;
                for (var i = 0; i < theirs.Length; i++)
                {
                    apart += Math.Pow(ours[i] - theirs[i], 2);
                    gone += Math.Pow(theirs[i] - first[i], 2);
                }
                if (!(Math.Sqrt(apart) <= 1e-2 * Math.Sqrt(gone))) faults.Add($"{name} {Math.Sqrt(apart / gone):G3} of its way");
            }
    }

    public void Dispose() => trained.ForEach(item => item.Optimizer.Dispose());
}
