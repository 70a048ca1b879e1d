using Polymath.Recipes;
using Polymath.Text.Packing;

namespace Polymath.Training.Evaluation;

/// <summary>Baselines: the results of simple methods on the same rows, for comparison.</summary>
/// <param name="materials">The run's data.</param>
public sealed class BaselineMeter(Materials materials)
{
    /// <summary>The name of the majority class's accuracy, after the ability's name.</summary>
    public const string Majority = "majority";

    // Most pairs of characters occur once or never. If 1 were added to each count, the unseen pairs would outweigh the seen ones.
    private const double PairSmoothing = 0.1;

    /// <summary>The perplexity of a unigram model on the first perplexity ability's held-out rows; null without such an ability.</summary>
    public double? UnigramPerplexity()
    {
        if (materials.Recipe.Abilities?.Values.OfType<PerplexityAbility>().FirstOrDefault() is not { } spec) return null;
        IEnumerable<int[]> Targets(DataSplit split) => materials.Data(spec.Stage)
            .Items(split, materials.Tokenizer, materials.BatchOf(materials.Stage(spec.Stage))).Items
            .SelectMany(item => item.Rows)
            .Select(TargetsOf);
        return UnigramBaseline.Perplexity(Targets(DataSplit.Train), Targets(spec.Split), materials.Tokenizer.VocabularySize);
    }

    private static int[] TargetsOf(TokenRow row) =>
        [.. Enumerable.Range(1, row.Length - 1).Where(i => row.Learn[i] != 0).Select(i => row.Ids[i])];

    /// <summary>
    /// The accuracies of the majority class and of naive Bayes on the first accuracy ability's held-out rows; empty without such an
    /// ability.
    /// </summary>
    public IReadOnlyDictionary<string, double> Accuracies()
    {
        var (name, ability) = materials.Recipe.Abilities?.FirstOrDefault(
            pair => pair.Value is AccuracyAbility { Figure: not LabelFigure.EntityF1 }) ?? default;
        if (ability is not AccuracyAbility spec) return new Dictionary<string, double>();
        var data = materials.Data(spec.Stage);
        var label = ((TaskSpec)materials.Stage(spec.Stage).Objective).Label;
        IReadOnlyList<(string Text, string Label)> Rows(DataSplit split) =>
            [.. data.Rows(split)
                .Select(row => (
                    string.Concat(data.Render(row).Spans.Where(span => span.Shortenable).Select(span => span.Text)),
                    row.Fields.GetValueOrDefault(label, "")))];
        IReadOnlyList<(string Text, string Label)> train = Rows(DataSplit.Train), held = Rows(spec.Split);
        return new Dictionary<string, double>
        {
            [$"{name}: {Majority}"] = MajorityBaseline.Accuracy(train.Select(row => row.Label), held.Select(row => row.Label)),
            [$"{name}: naive Bayes on characters"] = NaiveBayes.Train(train, 1, PairSmoothing).Accuracy(held),
            [$"{name}: naive Bayes on characters and pairs"] = NaiveBayes.Train(train, 2, PairSmoothing).Accuracy(held),
        };
    }
}
