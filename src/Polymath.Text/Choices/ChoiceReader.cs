using System.Globalization;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Text.Choices;

/// <summary>Reads questions with their candidates from rows, as a recipe says, or in the format of a benchmark.</summary>
public sealed class ChoiceReader
{
    private readonly ChoiceFormat? format;
    private readonly FieldText? question, answer, before;
    private readonly IReadOnlyList<FieldText> choices;
    private readonly bool fromList;

    /// <summary>A reader.</summary>
    /// <param name="spec">What is asked.</param>
    public ChoiceReader(ChoiceAbility spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        format = spec.Format;
        choices = [.. (spec.Choices ?? []).Select(text => new FieldText(text))];
        fromList = choices.Count == 1;
        before = spec.Before is null ? null : new FieldText(spec.Before);
        if (format is null) (question, answer) = (new FieldText(spec.Question!), new FieldText(spec.Answer!));
    }

    /// <summary>The question of a row.</summary>
    /// <param name="row">The row.</param>
    /// <exception cref="InputException">A field is missing, there are fewer than two candidates, or none is the answer.</exception>
    public ChoiceRow Read(Row row)
    {
        ArgumentNullException.ThrowIfNull(row);
        if (format is { } known) return BenchmarkFormats.Read(known, row);
        List<string> candidates = [.. choices.Select(text => text.Fill(row.Fields))];
        if (fromList) candidates = [.. candidates[0].Split('\n')];
        return Of(row, question!.Fill(row.Fields), candidates, answer!.Fill(row.Fields));
    }

    /// <summary>What stands before all questions that are like a row.</summary>
    /// <param name="row">The row.</param>
    public string Before(Row row)
    {
        ArgumentNullException.ThrowIfNull(row);
        if (before is not null) return before.Fill(row.Fields);
        return format is { } known ? BenchmarkFormats.Before(known, row) : "";
    }

    /// <summary>A question whose answer is said in one of the usual ways.</summary>
    /// <param name="row">The row.</param>
    /// <param name="question">The question.</param>
    /// <param name="choices">The candidates.</param>
    /// <param name="answer">The answer: a candidate, its letter, or its number from 0.</param>
    /// <exception cref="InputException">There are fewer than two candidates, or none is the answer.</exception>
    internal static ChoiceRow Of(
        Row row,
        string question,
        IReadOnlyList<string> choices,
        string answer)
    {
        if (choices.Count < 2)
            throw new InputException($"{row.Name} has {choices.Count} candidates, and a choice needs two. Name the list's field, or one "
                + "text for each candidate, under choices.");
        if (choices.Any(choice => choice.Length == 0))
            throw new InputException($"{row.Name} has an empty candidate. Filter such rows with where.");
        var right = NumberOf(answer.Trim(), choices);
        if (right < 0)
            throw new InputException($"{row.Name} has the answer '{answer}', which is none of its {choices.Count} candidates, none of "
                + $"their letters and no number from 0 to {choices.Count - 1}. Correct answer.");
        return new ChoiceRow(
            row.Name,
            question,
            choices,
            right,
            choices[right]);
    }

    private static int NumberOf(string answer, IReadOnlyList<string> choices)
    {
        var own = choices.ToList().FindIndex(choice => choice.Trim() == answer);
        if (own >= 0) return own;
        if (answer.Length == 1 && char.IsAsciiLetter(answer[0])) return Within(char.ToUpperInvariant(answer[0]) - 'A', choices.Count);
        return int.TryParse(answer, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? Within(number, choices.Count) : -1;
    }

    private static int Within(int number, int count) => number < count ? number : -1;
}
