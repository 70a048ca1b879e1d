using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>What a prompt's answers are read from.</summary>
/// <param name="Model">The model.</param>
/// <param name="States">The last hidden states [n, answers, hidden] where the answers are read.</param>
/// <param name="Bare">Those of rows that say nothing [m, answers, hidden], without a gradient; null for none.</param>
public sealed record AskedStates(LanguageModel Model, Tensor States, Tensor? Bare = null)
{
    /// <summary>The states where the answers of a batch's rows are read.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">Its rows.</param>
    public static AskedStates At(LanguageModel model, Batch batch, IReadOnlyList<TokenRow> rows)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(rows);
        return new(model, Of(model.Hidden(batch), batch, [.. rows.Select((row, at) => (row, at))]));
    }

    /// <summary>The states [rows, answers, hidden] of some rows of a batch, which all have as many answers.</summary>
    /// <param name="hidden">The states of the batch [tokens, hidden].</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">The rows, each with its place in the batch.</param>
    internal static Tensor Of(Tensor hidden, Batch batch, IReadOnlyList<(TokenRow Row, int At)> rows)
    {
        // Virtual tokens may stand before a row, and a beginning that it shares elsewhere.
        long[] places = [.. rows.SelectMany(row => (row.Row.Answers ?? [row.Row.Length - 1])
            .Select(place => (long)batch.PlaceOf(row.At, row.Row.Length - 1 - place)))];
        return hidden.index_select(0, tensor(places, device: hidden.device)).view(rows.Count, places.Length / rows.Count, -1);
    }
}

/// <summary>How labels are read where a prompt's answers stand: the verbalizer of a task.</summary>
public abstract class LabelReading : IDisposable
{
    /// <summary>How many answers it reads in a row.</summary>
    public virtual int Answers => 1;

    /// <summary>The labels' scores [n, C], whose softmax gives their probabilities.</summary>
    /// <param name="asked">What is read.</param>
    public abstract Tensor Scores(AskedStates asked);

    /// <summary>The probabilities of the labels' words among all their words [n, C, W]; null where no words are read.</summary>
    /// <param name="asked">What is read.</param>
    public virtual Tensor? WordShares(AskedStates asked) => null;

    /// <summary>Frees its tensors.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees its tensors; the task's weights are not its own.</summary>
    /// <param name="disposing">Always true: there is no finalizer.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}
