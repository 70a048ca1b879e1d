using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Recipes;
using Polymath.Text.Prompts;
using Polymath.Text.Templates;

namespace Polymath.Text.Choices;

/// <summary>
/// The formats of published benchmarks, from their published columns to the texts that lm-evaluation-harness makes of them (version 0.4).
/// </summary>
internal static partial class BenchmarkFormats
{
    private static readonly string[] letters = ["A", "B", "C", "D"];

    /// <summary>The question of a row.</summary>
    /// <exception cref="InputException">A column is missing, or none of the candidates is the answer.</exception>
    internal static ChoiceRow Read(ChoiceFormat format, Row row)
    {
        string Of(string name) => FieldText.Value(row.Fields, name);
        return format switch
        {
            ChoiceFormat.Mmlu => Lettered(row, Of("question"), Of("answer"), "Answer:"),
            ChoiceFormat.Ceval => Lettered(row, Of("question"), Of("answer"), "答案："),
            ChoiceFormat.Cmmlu => Lettered(row, Of("Question"), Of("Answer"), "答案："),
            ChoiceFormat.Hellaswag => ChoiceReader.Of(
                row,
                Clean($"{Of("activity_label")}: {Of("ctx_a")} {new Letters("capitalize").Apply(Of("ctx_b"))}"),
                [.. Of("endings").Split('\n').Select(Clean)],
                Of("label")),
            ChoiceFormat.Piqa => ChoiceReader.Of(row, $"Question: {Of("goal")}\nAnswer:", [Of("sol1"), Of("sol2")], Of("label")),
            ChoiceFormat.Arc => Arc(row, Of("question"), Of("choices"), Of("answerKey")),
            _ => new ChoiceRow(
                row.Name,
                $"Question: {Of("question")}\nAnswer:",
                [],
                0,
                Of("answer")),
        };
    }

    /// <summary>What stands before all questions that are like a row.</summary>
    internal static string Before(ChoiceFormat format, Row row) => format == ChoiceFormat.Mmlu && row.Fields.ContainsKey("subject")
        ? $"The following are multiple choice questions (with answers) about {row.Fields["subject"].Replace('_', ' ')}.\n\n"
        : "";

    // The candidates are shown, and their letters are scored.
    private static ChoiceRow Lettered(
        Row row,
        string question,
        string answer,
        string ask)
    {
        string[] shown = row.Fields.ContainsKey("A")
            ? [.. letters.Select(letter => FieldText.Value(row.Fields, letter))]
            : FieldText.Value(row.Fields, "choices").Split('\n');
        if (shown.Length != letters.Length)
            throw new InputException($"{row.Name} has {shown.Length} candidates, and the format has four. Filter such rows with where.");
        var lines = string.Concat(letters.Select((letter, i) => $"\n{letter}. {shown[i]}"));
        return ChoiceReader.Of(row, $"{question.Trim()}{lines}\n{ask}", letters, answer);
    }

    // Candidates are {text: [...], label: [...]}, and the answer is one of the labels.
    private static ChoiceRow Arc(
        Row row,
        string question,
        string choices,
        string answer)
    {
        JsonNode? read = null;
        try
        {
            read = JsonNode.Parse(choices);
        }
        catch (JsonException)
        {
        }
        if (read?["text"] is not JsonArray texts || read["label"] is not JsonArray labels || texts.Count != labels.Count)
            throw new InputException($"{row.Name}: choices has not the form {{text: [...], label: [...]}} of ARC. Name a file of that "
                + "form, or write question, choices and answer in place of the format.");
        var right = labels.Select(label => label!.ToString()).ToList().IndexOf(answer);
        if (right < 0)
            throw new InputException($"{row.Name} has the answerKey '{answer}', and its labels are {string.Join(", ", labels)}. Correct "
                + "the row.");
        return ChoiceReader.Of(
            row,
            $"Question: {question}\nAnswer:",
            [.. texts.Select(text => text!.ToString())],
            right.ToString(System.Globalization.CultureInfo.InvariantCulture)) with { Answer = right, Solution = texts[right]!.ToString() };
    }

    // HellaSwag's texts have marks of the wiki that they are from.
    private static string Clean(string text) => Marks().Replace(
        text.Trim().Replace(" [title]", ". ", StringComparison.Ordinal), "").Replace("  ", " ", StringComparison.Ordinal);

    [GeneratedRegex(@"\[.*?\]", RegexOptions.CultureInvariant)]
    private static partial Regex Marks();
}
