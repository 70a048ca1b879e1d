using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Stages;

namespace Polymath.Training.Lessons;

/// <summary>Reads answers as rows of tokens: they must be learned from, and fit.</summary>
/// <param name="stage">The stage's name, for messages.</param>
/// <param name="model">The model, for its layout and the marks that its rows need.</param>
/// <param name="batch">The most tokens of a row, and what happens to longer ones; <c>cut</c> keeps the start.</param>
/// <param name="report">Receives what is not learned of the rows.</param>
internal sealed class AnswerRows(string stage, TextModel model, BatchSpec batch, SourceReport report)
{
    private readonly int most = batch.MaxLength!.Value;

    /// <summary>What became of the rows.</summary>
    internal RowChanges Changes { get; } = new();

    /// <summary>A conversation with one learned answer, as tokens.</summary>
    /// <param name="row">The row that it comes from.</param>
    /// <param name="talk">The conversation.</param>
    internal TokenRow Read(Row row, Dialogue talk)
    {
        var rendering = model.Contract.Render(talk, model.Tokenizer);
        report.Count(rendering);
        return rendering.Tokenize(model.Tokenizer) with { Data = row.Data };
    }

    /// <summary>Refuses an answer that nothing can be learned from.</summary>
    /// <param name="row">The row that it comes from.</param>
    /// <param name="answer">The answer's tokens.</param>
    /// <exception cref="InputException">The answer trains no token, or the row lacks a mark that the model needs.</exception>
    internal void Check(Row row, TokenRow answer)
    {
        if (answer.Targets == 0)
            throw new InputException($"Stage {stage}: an answer of {row.Name} trains no token. Leave the row out with where, or choose "
                + "another chat template.");
        PromptEndCheck.Refuse(stage, answer, model.Model.PromptEnd, model.Tokenizer);
    }

    /// <summary>The answers to one prompt, cut to the most tokens; null when they are left out.</summary>
    /// <param name="row">The row that they come from.</param>
    /// <param name="answers">The answers.</param>
    /// <exception cref="InputException">One is too long, and the policy refuses it.</exception>
    internal TokenRow[]? Fitting(Row row, TokenRow[] answers)
    {
        if (answers.All(answer => answer.Length <= most)) return answers;
        if (batch.Overlong == OverlongPolicy.Refuse)
            throw new InputException($"Stage {stage}: {row.Name} has {answers.Max(answer => answer.Length)} tokens, more than the {most} "
                + "allowed, and batch.overlong is refuse. Choose cut or drop, or raise maxLength.");
        if (batch.Overlong == OverlongPolicy.Drop) return Without(row, $"longer than {most:N0} tokens");
        TokenRow[] cut = [.. answers.Select(Cut)];
        if (cut.Any(answer => answer.Targets == 0)) return Without(row, $"no answer within {most:N0} tokens");
        if (cut.Length > 1 && cut[0].Ids.AsSpan().SequenceEqual(cut[1].Ids))
            return Without(row, $"the answers do not differ within {most:N0} tokens");
        Changes.Count($"cut to {most:N0} tokens", false, row.Name);
        return cut;
    }

    private TokenRow Cut(TokenRow answer) =>
        answer.Length <= most ? answer : answer with { Ids = answer.Ids[..most], Learn = answer.Learn[..most] };

    private TokenRow[]? Without(Row row, string why)
    {
        Changes.Count($"left out: {why}", true, row.Name);
        return null;
    }
}
