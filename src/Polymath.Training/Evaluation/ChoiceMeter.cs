using System.Globalization;
using System.Text;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text.Choices;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Training.Rewards;
using static TorchSharp.torch;

namespace Polymath.Training.Evaluation;

/// <summary>A candidate's likelihood.</summary>
/// <param name="LogLikelihood">log p(candidate | question), summed over its tokens.</param>
/// <param name="Tokens">Its tokens.</param>
/// <param name="Alone">log p(candidate) without the question; not a number where it is not asked for.</param>
public sealed record ChoiceLikelihood(double LogLikelihood, int Tokens, double Alone);

/// <summary>
/// Answers questions by the likelihood of their candidates, as lm-evaluation-harness does (Gao et al. 2021; its task.py): the question and
/// the candidate are tokenised together, the candidate's tokens are those behind the question's, and a row that is too long loses its
/// beginning.
/// </summary>
/// <param name="model">The model.</param>
public sealed class ChoiceMeter(TextModel model)
{
    private const string NextQuestion = "Question:";

    /// <summary>The likelihoods of each question's candidates.</summary>
    /// <param name="questions">The questions, whole, and their candidates.</param>
    /// <param name="alone">Whether candidates are scored without their question, too.</param>
    /// <param name="stop">Stops between two passes.</param>
    public IReadOnlyList<IReadOnlyList<ChoiceLikelihood>> Likelihoods(
        IReadOnlyList<(string Question, IReadOnlyList<string> Choices)> questions,
        bool alone,
        CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(questions);
        List<TokenRow> rows = [.. questions.SelectMany(one => one.Choices.Select(choice => Row(one.Question, choice)))];
        var given = Sums(rows, stop);
        var free = alone ? Sums([.. questions.SelectMany(one => one.Choices.Select(choice => Row("", choice)))], stop) : null;
        var all = new List<IReadOnlyList<ChoiceLikelihood>>();
        var at = 0;
        foreach (var (_, choices) in questions)
        {
            all.Add([.. Enumerable.Range(at, choices.Count)
                .Select(i => new ChoiceLikelihood(given[i], rows[i].Targets, free?[i] ?? double.NaN))]);
            at += choices.Count;
        }
        return all;
    }

    /// <summary>The candidate with the greatest score; of equal ones the first.</summary>
    /// <param name="choices">The candidates.</param>
    /// <param name="likelihoods">Their likelihoods.</param>
    /// <param name="score">How they are compared.</param>
    public static int Best(IReadOnlyList<string> choices, IReadOnlyList<ChoiceLikelihood> likelihoods, ChoiceScore score)
    {
        ArgumentNullException.ThrowIfNull(choices);
        ArgumentNullException.ThrowIfNull(likelihoods);
        double Of(int i) => score switch
        {
            ChoiceScore.Token => likelihoods[i].LogLikelihood / likelihoods[i].Tokens,
            ChoiceScore.Character => likelihoods[i].LogLikelihood / choices[i].EnumerateRunes().Count(),
            ChoiceScore.Byte => likelihoods[i].LogLikelihood / Encoding.UTF8.GetByteCount(choices[i]),
            ChoiceScore.Pmi => likelihoods[i].LogLikelihood - likelihoods[i].Alone,
            _ => likelihoods[i].LogLikelihood,
        };
        return Enumerable.Range(0, choices.Count).MaxBy(Of);
    }

    /// <summary>Whether the last number of each written answer is that of its solution; GSM8K writes it behind <c>####</c>.</summary>
    /// <param name="questions">The questions, whole, and their solutions.</param>
    /// <param name="maxNewTokens">The most tokens of an answer.</param>
    /// <param name="stop">Stops between two tokens.</param>
    public IReadOnlyList<bool> Written(
        IReadOnlyList<(string Question, string Solution)> questions,
        int maxNewTokens,
        CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(questions);
        var opening = Opening;
        var most = model.Model.Sizes.ContextLength - model.Model.VirtualTokens - opening.Length - maxNewTokens;
        if (most < 1)
            throw new InputException($"maxNewTokens is {maxNewTokens}, and the model's context of {model.Model.Sizes.ContextLength} tokens "
                + "leaves no room for a question beside them. Lower maxNewTokens.");
        int[] Asked(string question) => [.. opening, .. model.Tokenizer.EncodePlain(question).TakeLast(most)];
        List<int[]> prompts = [.. questions.Select(one => Asked(one.Question))];
        var answers = new TokenGenerator(model.Model, model.Ends).Generate(
            prompts, new SamplingSettings(0, MaxNewTokens: maxNewTokens), cancellation: stop);
        return [.. answers.Select((ids, i) =>
        {
            var text = model.Tokenizer.Decode(ids);
            var end = text.IndexOf(NextQuestion, StringComparison.Ordinal);
            return FinalNumber(end < 0 ? text : text[..end]) is { } said && said == FinalNumber(questions[i].Solution);
        })];
    }

    /// <summary>The number behind the first <c>####</c>, or else the last number of a text; null for none.</summary>
    /// <param name="text">The text.</param>
    internal static double? FinalNumber(string text)
    {
        var mark = text.IndexOf("####", StringComparison.Ordinal);
        return (mark < 0 ? null : FirstNumber(text[(mark + 4)..])) ?? EqualReward.NumberOf(text);
    }

    private static double? FirstNumber(string text)
    {
        var line = text.Split('\n')[0].Trim().TrimStart('$').Replace(",", "", StringComparison.Ordinal).TrimEnd('.');
        return double.TryParse(line, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
    }

    private int[] Opening => model.Contract.Template.OpeningIds(model.Tokenizer);

    // The spaces at a question's end belong to the candidate's tokens.
    private TokenRow Row(string question, string choice)
    {
        var context = question.TrimEnd();
        var whole = question + ChoiceRow.Lead + choice;
        int[] before = context.Length == 0 ? [] : model.Tokenizer.EncodePlain(context), all = model.Tokenizer.EncodePlain(whole);
        var answer = all.Length - Math.Min(before.Length, all.Length - 1);
        var opening = Opening;
        // Something must stand before the first token that is scored.
        if (opening.Length == 0 && answer == all.Length) opening = [model.Ends.First()];
        var most = model.Model.Sizes.ContextLength - model.Model.VirtualTokens - opening.Length;
        if (answer > most)
            throw new InputException($"The candidate '{choice}' has {answer} tokens, more than the model's context. Filter such rows with "
                + "where, or take a model of a longer context.");
        int[] ids = [.. opening, .. all.TakeLast(most)];
        var learn = new float[ids.Length];
        Array.Fill(learn, 1, ids.Length - answer, answer);
        return new TokenRow(ids, learn, choice);
    }

    private double[] Sums(List<TokenRow> rows, CancellationToken stop)
    {
        using var frozen = no_grad();
        var sums = new double[rows.Count];
        var first = 0;
        foreach (var part in TokenChunks.Of(rows, row => row.Length, TokenChunks.Measured))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var batch = model.Model.Lay(part, shares: true);
            var each = model.Model.LogProbabilities(batch).to(ScalarType.Float32).cpu().data<float>().ToArray();
            for (var i = 0; i < each.Length; i++) sums[first + batch.TargetRows[i]] += each[i];
            first += part.Count;
        }
        return sums;
    }
}
