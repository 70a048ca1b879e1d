using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>Reads labels from logits of the vocabulary, by the words that stand for the labels.</summary>
public abstract class WordVerbalizer : IDisposable
{
    private const double Tiny = 1e-15;

    /// <summary>The words as tensors.</summary>
    public abstract WordTable Table { get; }

    /// <summary>
    /// The logits [V] of a prompt without content, or the mean over unlabelled examples, by which the words' probabilities are divided
    /// (Zhao et al. 2021; Hu et al. 2022, eq. 4); null for none.
    /// </summary>
    public virtual Tensor? Calibration { get; set; }

    /// <summary>Whether words' logits become log-probabilities among all words; calibration needs it.</summary>
    public bool Normalizes { get; init; } = true;

    /// <summary>The labels' scores [n, C].</summary>
    /// <param name="logits">The logits of the vocabulary [n, V] where the answer is read.</param>
    public Tensor Scores(Tensor logits) =>
        Read(Table.Project(logits), Calibration is { } bare ? Table.Project(bare.detach().unsqueeze(0)) : null);

    /// <summary>The labels' scores [n, C].</summary>
    /// <param name="logits">The logits [n, tokens] of the table's tokens where the answer is read.</param>
    /// <param name="bare">Those of a prompt without content [tokens]; null for no calibration.</param>
    public Tensor TokenScores(Tensor logits, Tensor? bare = null) =>
        Read(Table.ProjectTokens(logits), bare is null ? null : Table.ProjectTokens(bare.detach().unsqueeze(0)));

    /// <summary>The words' probabilities among all words of all labels [n, C, W], calibrated where something is given.</summary>
    /// <param name="logits">The logits [n, tokens] of the table's tokens where the answer is read.</param>
    /// <param name="bare">Those of a prompt without content [tokens]; null for no calibration.</param>
    public Tensor WordShares(Tensor logits, Tensor? bare = null)
    {
        var shares = Shares(Table.ProjectTokens(logits));
        return bare is null ? shares : Calibrated(shares, Shares(Table.ProjectTokens(bare.detach().unsqueeze(0))));
    }

    private Tensor Read(Tensor words, Tensor? bare)
    {
        if (!Normalizes) return Together(words);
        return Together(((bare is null ? Shares(words) : Calibrated(Shares(words), Shares(bare))) + Tiny).log());
    }

    /// <summary>The labels' scores [n, C] from the words' [n, C, W].</summary>
    /// <param name="words">The words' scores.</param>
    protected abstract Tensor Together(Tensor words);

    /// <summary>The mean of the words that each label has, (Σ m·x) / Σ m.</summary>
    /// <param name="words">The words' scores [n, C, W].</param>
    protected Tensor Mean(Tensor words)
    {
        ArgumentNullException.ThrowIfNull(words);
        var mask = Table.Mask.to(words.device);
        return (words * mask).sum(-1) / mask.sum(-1);
    }

    // Probabilities among all words of all labels.
    private static Tensor Shares(Tensor words) => words.flatten(1).softmax(-1).view_as(words);

    // p_w / q_w, divided by its sum, where q is what the prompt alone says.
    private static Tensor Calibrated(Tensor shares, Tensor bare)
    {
        var ratio = shares / (bare + Tiny);
        return (ratio.flatten(1) / ratio.flatten(1).sum(-1, keepdim: true)).view_as(shares);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the tensors.</summary>
    /// <param name="disposing">Always true: there is no finalizer.</param>
    protected virtual void Dispose(bool disposing) => Table.Dispose();
}
