using Polymath.Models;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>Rows of filled prompts, laid out for a model, and the places where their answers are read.</summary>
public sealed class PromptRows : IDisposable
{
    private readonly LanguageModel model;
    private readonly IReadOnlyList<PromptRow> rows;

    /// <summary>Lays rows out.</summary>
    /// <param name="model">The model; its inline prompt has the vectors of soft tokens.</param>
    /// <param name="rows">The rows.</param>
    public PromptRows(LanguageModel model, IReadOnlyList<PromptRow> rows)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(rows);
        (this.model, this.rows) = (model, rows);
        int[][] ids = [.. rows.Select(Ids)];
        Batch = model.Reading switch
        {
            Reading.Encoder => model.LayMasked(ids, [.. ids.Select(row => Array.ConvertAll(row, _ => -100))]),
            Reading.EncoderDecoder => model.LayPairs(ids, [.. rows.Select(row => Learned(row.DecoderIds!, row.LossIds))]),
            _ => model.Lay([.. rows.Select((row, r) => Learned(ids[r], row.LossIds))]),
        };
    }

    /// <summary>The batch.</summary>
    public Batch Batch { get; }

    /// <summary>The last hidden states [answers, hidden] where answers are read, row by row.</summary>
    public Tensor StatesAtAnswers() => model.Hidden(Batch).index_select(0, Places(row => row.Answers));

    /// <summary>The logits [answers, V] where answers are read, row by row.</summary>
    public Tensor LogitsAtAnswers() => model.Unembed(StatesAtAnswers());

    /// <summary>
    /// The logits [targets, V] that predict filled answers: those at the token before each place with a loss, row by row.
    /// </summary>
    public Tensor LogitsBeforeTargets() => model.Unembed(model.Hidden(Batch).index_select(0, Places(Before)));

    /// <summary>
    /// The mean over the rows of the negative log-likelihood of each row's filled answers, summed over their tokens.
    /// </summary>
    /// <param name="logits">The logits of <see cref="LogitsBeforeTargets"/>.</param>
    public Tensor TargetLoss(Tensor logits)
    {
        ArgumentNullException.ThrowIfNull(logits);
        var targets = rows.SelectMany(row => Before(row).Select(place => (long)(row.DecoderIds ?? row.Ids)[place + 1])).ToArray();
        var each = logits.log_softmax(-1).gather(1, tensor(targets, device: logits.device).unsqueeze(1)).squeeze(1);
        return -each.sum() / rows.Count;
    }

    /// <inheritdoc/>
    public void Dispose() => Batch.Dispose();

    private static int[] Before(PromptRow row) =>
        [.. Enumerable.Range(1, row.LossIds.Length - 1).Where(i => row.LossIds[i] > 0).Select(i => i - 1)];

    private Tensor Places(Func<PromptRow, int[]> ofRow)
    {
        var places = new List<long>();
        for (var r = 0; r < rows.Count; r++)
        {
            // Virtual tokens may stand before a row.
            var first = Batch.Offsets[r + 1] - (rows[r].DecoderIds ?? rows[r].Ids).Length;
            places.AddRange(ofRow(rows[r]).Select(place => (long)first + place));
        }
        return tensor(places.ToArray(), device: model.Device);
    }

    private int[] Ids(PromptRow row)
    {
        var ids = (int[])row.Ids.Clone();
        var seen = 0;
        for (var i = 0; i < ids.Length; i++)
        {
            if (row.SoftIds[i] == 0) continue;
            if (model.Tokens.Inline is not { } prompt)
                throw new InvalidOperationException("The rows have soft tokens, but the model has no vectors for them.");
            ids[i] = model.Tokens.InlineStart + (prompt.CountsPlaces ? seen++ : row.SoftIds[i] - 1);
        }
        return ids;
    }

    private static TokenRow Learned(int[] ids, int[] loss) => new(ids, [.. loss.Select(x => x > 0 ? 1f : 0f)], "prompt");
}
