using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>An answer that is to be scored.</summary>
/// <param name="Prompt">What the user said.</param>
/// <param name="Answer">The answer, as it was generated.</param>
/// <param name="Fields">The fields of the prompt's row.</param>
public sealed record AskedAnswer(string Prompt, string Answer, IReadOnlyDictionary<string, string> Fields);

/// <summary>Scores answers.</summary>
public abstract class Reward : IDisposable
{
    /// <summary>The time limit of a pattern's search in one answer; a pattern that takes longer counts as not found.</summary>
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Scores answers, in order; NaN says that there is no reward for one.</summary>
    /// <param name="answers">The answers.</param>
    /// <param name="stop">Stops between two answers.</param>
    public abstract IReadOnlyList<double> Scores(IReadOnlyList<AskedAnswer> answers, CancellationToken stop = default);

    /// <summary>Why answers got no reward since this was asked last, with the number of each reason; empty for none.</summary>
    public virtual IReadOnlyDictionary<string, int> Failures() => new Dictionary<string, int>();

    /// <summary>The reward of a rule.</summary>
    /// <param name="spec">The reward's settings.</param>
    /// <param name="tables">Gives, for the name of a table of classes, the class of a code point; null when the class is unknown or
    /// ambiguous.</param>
    /// <param name="baseFolder">What paths are relative to.</param>
    /// <exception cref="ArgumentException">It is not a rule: a model scores.</exception>
    public static Reward Of(RewardSpec spec, Func<string, Func<int, string?>> tables, string baseFolder)
    {
        ArgumentNullException.ThrowIfNull(tables);
        return spec switch
        {
            PatternRewardSpec pattern => new PatternReward(pattern),
            CharacterClassRewardSpec classes => new CharacterClassReward(classes, tables(classes.Table)),
            RhymeRewardSpec rhyme => new RhymeReward(rhyme, tables(rhyme.Table)),
            EqualRewardSpec equal => new EqualReward(equal),
            LengthRewardSpec length => new LengthReward(length),
            RepetitionRewardSpec repetition => new RepetitionReward(repetition),
            ScriptRewardSpec script => new ScriptReward(script),
            JsonRewardSpec json => new JsonReward(json, baseFolder),
            ProgramRewardSpec program => new ProgramReward(program, baseFolder),
            _ => throw new ArgumentException($"{spec?.GetType().Name ?? "null"} is no rule.", nameof(spec)),
        };
    }

    /// <summary>Ends programs and frees models.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Ends programs and frees models.</summary>
    /// <param name="disposing">Whether it is called by <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}

/// <summary>A verifiable score of an answer by itself. It is not learned, so the model cannot deceive it.</summary>
public abstract class RuleReward : Reward
{
    /// <summary>Scores an answer.</summary>
    /// <param name="answer">The answer, as it was generated.</param>
    /// <param name="fields">The fields of the prompt's row.</param>
    /// <returns>The score, from 0 (worst) to 1 (best).</returns>
    public abstract double Score(string answer, IReadOnlyDictionary<string, string> fields);

    /// <inheritdoc/>
    public sealed override IReadOnlyList<double> Scores(IReadOnlyList<AskedAnswer> answers, CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var scores = new double[answers.Count];
        for (var i = 0; i < scores.Length; i++)
        {
            stop.ThrowIfCancellationRequested();
            scores[i] = Score(answers[i].Answer, answers[i].Fields);
        }
        return scores;
    }
}
