using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using static TorchSharp.torch;

namespace Polymath.Training;

/// <summary>Pairs of answers that people ranked, with what the model thought of them before the stage.</summary>
static class PreferenceItems
{
    private const int TokensAtOnce = 8192;

    /// <summary>The items of some rows: the chosen answer, then the rejected one.</summary>
    /// <param name="stage">The stage's name, for messages.</param>
    /// <param name="rows">Rows of the shape preference.</param>
    /// <param name="model">The model as the stage finds it: the reference policy.</param>
    /// <param name="maxLength">The most tokens of a row; longer pairs are left out.</param>
    /// <returns>The items, and how many pairs were left out.</returns>
    /// <exception cref="InputException">A row is no pair, both answers of all pairs are the same, or none fits.</exception>
    internal static (IReadOnlyList<Item> Items, int Dropped) Of(string stage, IEnumerable<Row> rows, TextModel model, int maxLength)
    {
        var items = new List<Item>();
        var dropped = 0;
        foreach (var row in rows)
        {
            if (!row.Fields.TryGetValue("chosen", out var chosen) || !row.Fields.TryGetValue("rejected", out var rejected))
                throw new InputException($"Stage {stage}: the row {row.Key} has no chosen and rejected answer. Give its source shape: "
                    + "preference.");
            TokenRow[] pair = [Tokens(row, chosen, model), Tokens(row, rejected, model)];
            if (pair.Any(answer => answer.Targets == 0))
                throw new InputException($"Stage {stage}: an answer of the row {row.Key} trains no token. Leave the row out with where, or "
                    + "choose another chat template.");
            if (pair.Any(answer => answer.Length > maxLength) || chosen == rejected) dropped++;
            else items.Add(new Item(pair));
        }
        if (items.Count == 0)
            throw new InputException($"Stage {stage} has no pair to learn from: {dropped} are longer than batch.maxLength {maxLength} or "
                + "have two equal answers. Raise maxLength, or name other data.");
        return (WithReference(items, model.Model), dropped);
    }

    // Only the last answer is compared: earlier ones are the same on both sides.
    private static TokenRow Tokens(Row row, string answer, TextModel model)
    {
        var tokens = model.Contract.Render(RowTalk.Of(row.Key, row.Fields, answer), model.Tokenizer).Tokenize(model.Tokenizer);
        var end = Array.FindLastIndex(tokens.Learn, weight => weight != 0);
        for (var i = end; i >= 0; i--)
        {
            if (tokens.Learn[i] != 0) continue;
            Array.Clear(tokens.Learn, 0, i);
            break;
        }
        return tokens with { Data = row.Data };
    }

    private static List<Item> WithReference(List<Item> items, LanguageModel model)
    {
        using var frozen = no_grad();
        var result = new List<Item>(items.Count);
        while (result.Count < items.Count)
        {
            var tokens = 0;
            var part = items.Skip(result.Count).TakeWhile((item, i) => (tokens += item.Tokens) <= TokensAtOnce || i == 0).ToList();
            using var scope = NewDisposeScope();
            using var batch = model.Lay([.. part.SelectMany(item => item.Rows)]);
            var sums = DirectPreference.RowSums(model, batch).cpu().data<float>().ToArray();
            result.AddRange(part.Select((item, i) => item with { Reference = [sums[2 * i], sums[2 * i + 1]] }));
        }
        return result;
    }
}
