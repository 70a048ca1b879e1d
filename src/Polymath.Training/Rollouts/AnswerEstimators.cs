using Polymath.Recipes;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using static TorchSharp.torch;

namespace Polymath.Training.Rollouts;

/// <summary>Each answer has an advantage over the other answers to its prompt; groups whose answers score alike teach nothing.</summary>
/// <param name="by">How advantages are made.</param>
/// <param name="temperature">At what temperature the answers were sampled.</param>
public sealed class GroupRelative(AlignBy by, double temperature) : Estimator
{
    /// <inheritdoc/>
    public override string Figure => "answers";

    /// <inheritdoc/>
    public override double Temperature => temperature;

    /// <inheritdoc/>
    public override bool ComparesWithStart => by.ComparesWithStart;

    /// <inheritdoc/>
    public override IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var masks = by is GrpoSpec { MaskUnfinished: true };
        return [.. AnswerChoice.OfDifferingGroups(Scores(answers), Groups(answers)).Where(i => answers[i].Ended || !masks)];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers)
    {
        var advantages = Advantages(Scores(answers), Groups(answers));
        return
        [
            .. Chosen(answers).Select(i => new AnswerItem([answers[i].Row()], answers[i].LogProbabilities, advantages[i])
            {
                Reference = answers[i].Reference,
            }),
        ];
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, double Value)> Figures(IReadOnlyList<SampledAnswer> answers) =>
        [("groups without spread", GroupAdvantages.WithoutSpread(Scores(answers), Groups(answers)))];

    private double[] Advantages(IReadOnlyList<double> scores, IReadOnlyList<int> groups) => by switch
    {
        RlooSpec spec => GroupAdvantages.LeaveOneOut(scores, groups, spec.Normalize),
        GrpoSpec spec => GroupAdvantages.Of(new RewardTable([.. scores.Select(score => new[] { score })]), groups, spec.Scale switch
        {
            AdvantageScale.Group => RewardScale.Group,
            AdvantageScale.Round => RewardScale.Step,
            _ => RewardScale.None,
        }),
        _ => throw new InvalidOperationException($"{by.Kind} has no advantages."),
    };
}

/// <summary>REINFORCE++: the reward to go less the KL to go at each token, normalised over the round's tokens.</summary>
/// <param name="by">The settings.</param>
/// <param name="temperature">At what temperature the answers were sampled.</param>
public sealed class RewardToGo(ReinforceSpec by, double temperature) : Estimator
{
    /// <inheritdoc/>
    public override string Figure => "answers";

    /// <inheritdoc/>
    public override double Temperature => temperature;

    /// <inheritdoc/>
    public override bool ComparesWithStart => true;

    /// <inheritdoc/>
    public override IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers) => Scored(answers);

    /// <inheritdoc/>
    public override IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var chosen = Chosen(answers);
        if (chosen.Count == 0) return [];
        var layout = new RowLayout([.. chosen.Select(i => answers[i].AnswerIds.Length)]);
        var old = tensor(chosen.SelectMany(i => answers[i].LogProbabilities).ToArray());
        var kl = KlEstimate.Each(KlKind.K1, old, tensor(chosen.SelectMany(i => answers[i].Reference!).ToArray()));
        var means = answers.GroupBy(answer => answer.Group)
            .ToDictionary(group => group.Key, group => group.Average(answer => answer.Score) ?? 0);
        var rewards = tensor(chosen.Select(i => (float)(answers[i].Score!.Value - (by.Baseline ? means[answers[i].Group] : 0))).ToArray());
        var each = ReinforcePlusPlus.Advantages(new TokenValues(kl, layout), by.KlWeight, rewards);
        var white = Whitening.Of(each).Whiten(each).data<float>().ToArray();
        var at = 0;
        return
        [
            .. chosen.Select(i => new AnswerItem([answers[i].Row()], answers[i].LogProbabilities, 0)
            {
                Advantages = white[at..(at += answers[i].AnswerIds.Length)],
                Reference = answers[i].Reference,
            }),
        ];
    }
}

/// <summary>
/// PPO: the score at an answer's end less KL at each token; advantages and returns by the critic's values (GAE), the advantages normalised
/// over the round's tokens.
/// </summary>
/// <param name="by">The settings.</param>
/// <param name="critic">The critic.</param>
/// <param name="temperature">At what temperature the answers were sampled.</param>
public sealed class Trajectories(PpoSpec by, Critic critic, double temperature) : Estimator
{
    private KlController control = by.KlTarget is { } target
        ? new AdaptiveKl(by.KlWeight, target, by.KlHorizon)
        : new FixedKl(by.KlWeight);

    /// <inheritdoc/>
    public override string Figure => "answers";

    /// <inheritdoc/>
    public override double Temperature => temperature;

    /// <inheritdoc/>
    public override bool ComparesWithStart => true;

    /// <inheritdoc/>
    public override Critic Critic => critic;

    /// <inheritdoc/>
    public override IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers) => Scored(answers);

    /// <inheritdoc/>
    public override void Follow(IReadOnlyList<SampledAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var chosen = Chosen(answers);
        if (chosen.Count > 0) control = control.Next(chosen.Average(i => Divergence(answers[i])), chosen.Count);
    }

    private static double Divergence(SampledAnswer answer) =>
        answer.LogProbabilities.Zip(answer.Reference!, (own, start) => (double)own - start).Sum();

    /// <inheritdoc/>
    public override IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var chosen = Chosen(answers);
        if (chosen.Count == 0) return [];
        var (tokens, places, advantages, returns) = Estimate(answers, chosen);
        var own = advantages.index_select(0, TokenRewards.TokenPlaces(tokens, places));
        float[] white = [.. Whitening.Of(own).Whiten(own).data<float>()], returned = [.. returns.data<float>()];
        int at = 0, place = 0;
        var items = new List<Item>();
        for (var row = 0; row < chosen.Count; row++)
        {
            var answer = answers[chosen[row]];
            items.Add(new TrajectoryItem(
                [answer.Row()],
                answer.LogProbabilities,
                white[at..(at += tokens.Lengths[row])],
                returned[place..(place += places.Lengths[row])],
                answer.Values!));
        }
        return items;
    }

    private (RowLayout Tokens, RowLayout Places, Tensor Advantages, Tensor Returns) Estimate(
        IReadOnlyList<SampledAnswer> answers,
        IReadOnlyList<int> chosen)
    {
        var tokens = new RowLayout([.. chosen.Select(i => answers[i].AnswerIds.Length)]);
        var places = TokenRewards.Places(tokens, [.. chosen.Select(i => answers[i].Ended)]);
        Tensor Flat(Func<SampledAnswer, float[]> of) => tensor(chosen.SelectMany(i => of(answers[i])).ToArray());
        var kl = KlEstimate.Each(KlKind.K1, Flat(answer => answer.LogProbabilities), Flat(answer => answer.Reference!));
        var scores = tensor(chosen.Select(i => (float)answers[i].Score!.Value).ToArray());
        var rewards = TokenRewards.Of(new TokenValues(kl, tokens), control.Coefficient, scores, places);
        if (by.WhitenRewards) rewards = rewards with { Each = Whitening.Of(rewards.Each).Whiten(rewards.Each, keepMean: true) };
        var (advantages, returns) = new GeneralizedAdvantages(by.Gamma, by.Lambda).Of(rewards, Flat(answer => answer.Values!));
        return (tokens, places, advantages, returns);
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, double Value)> Figures(IReadOnlyList<SampledAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var chosen = Chosen(answers);
        if (chosen.Count == 0) return [];
        var returns = Estimate(answers, chosen).Returns.data<float>().ToArray();
        var values = chosen.SelectMany(i => answers[i].Values!).ToArray();
        double Variance(IReadOnlyList<double> of) => of.Average(x => x * x) - Math.Pow(of.Average(), 2);
        var spread = Variance([.. returns.Select(x => (double)x)]);
        var left = Variance([.. returns.Zip(values, (x, value) => (double)x - value)]);
        return [("kl weight", control.Coefficient), ("explained variance", spread > 0 ? 1 - left / spread : 0)];
    }
}
