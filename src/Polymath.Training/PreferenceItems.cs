using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;

namespace Polymath.Training;

/// <summary>Pairs of answers that people ranked, with what the model thought of them before the stage.</summary>
static class PreferenceItems
{
    /// <summary>The items of some rows: the chosen answer, then the rejected one.</summary>
    /// <param name="stage">The stage's name, for messages.</param>
    /// <param name="rows">Rows of the shape preference.</param>
    /// <param name="model">The model as the stage finds it: the reference policy.</param>
    /// <param name="maxLength">The most tokens of a row; longer pairs are left out.</param>
    /// <param name="report">Takes what of the rows is not learned.</param>
    /// <returns>The items, and how many pairs were left out.</returns>
    /// <exception cref="InputException">A row is no pair, both answers of all pairs are the same, or none fits.</exception>
    internal static (IReadOnlyList<Item> Items, int Dropped) Of(
        string stage,
        IEnumerable<Row> rows,
        TextModel model,
        int maxLength,
        SourceReport report)
    {
        var items = new List<Item>();
        var dropped = 0;
        foreach (var row in rows)
        {
            if (!row.Fields.ContainsKey("chosen") || !row.Fields.ContainsKey("rejected"))
                throw new InputException($"Stage {stage}: {row.Name} has no chosen and rejected answer. Give its source shape: "
                    + "preference.");
            TokenRow[] pair = [Tokens(row, "chosen", model, report), Tokens(row, "rejected", model, report)];
            if (pair.Any(answer => answer.Targets == 0))
                throw new InputException($"Stage {stage}: an answer of {row.Name} trains no token. Leave the row out with where, or choose "
                    + "another chat template.");
            foreach (var answer in pair)
                PromptEndCheck.Refuse(stage, answer, model.Model.PromptEnd, model.Tokenizer);
            if (pair.Any(answer => answer.Length > maxLength) || pair[0].Ids.AsSpan().SequenceEqual(pair[1].Ids)) dropped++;
            else items.Add(new Item(pair));
        }
        if (items.Count == 0)
            throw new InputException($"Stage {stage} has no pair to learn from: {dropped} are longer than batch.maxLength {maxLength} or "
                + "have two equal answers. Raise maxLength, or name other data.");
        return ([.. items.Zip(ReferenceScores.Of(items, model.Model), (item, sums) => item with { Reference = sums })], dropped);
    }

    private static TokenRow Tokens(Row row, string side, TextModel model, SourceReport report)
    {
        var rendering = model.Contract.Render(RowTalk.Side(row, side), model.Tokenizer);
        report.Count(rendering);
        return rendering.Tokenize(model.Tokenizer) with { Data = row.Data };
    }
}
