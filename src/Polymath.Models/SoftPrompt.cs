using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>A change of the token vectors.</summary>
public abstract class TokenDelta
{
    /// <summary>The delta's own weights, under their names in files.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>Changes the vectors of tokens.</summary>
    /// <param name="ids">The tokens [n], 64-bit.</param>
    /// <param name="vectors">Their vectors [n, width].</param>
    public abstract Tensor Change(Tensor ids, Tensor vectors);

    /// <summary>The table [vocabulary, width] with the change in it.</summary>
    /// <param name="table">The table.</param>
    public abstract Tensor Merge(Tensor table);

    /// <summary>The table from before the change was merged; null when the change cannot be taken out.</summary>
    /// <param name="table">The table.</param>
    public virtual Tensor? Unmerge(Tensor table) => null;
}

/// <summary>
/// Soft tokens within a row's text: learned vectors in the place of words. Their ids lie far above the vocabulary, beyond those of any
/// virtual tokens, so that rows mean the same with and without a prompt before them.
/// </summary>
public abstract class InlinePrompt
{
    /// <summary>How far above the vocabulary their ids begin.</summary>
    public const int Start = 1 << 20;

    /// <summary>The prompt's own weights, under their names in files.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>
    /// Whether each place of a row has its own vector, whatever number the template gives it (P-tuning); otherwise places with one number
    /// share a vector.
    /// </summary>
    public virtual bool CountsPlaces => false;

    /// <summary>The vectors of all soft tokens [tokens, width], with a gradient.</summary>
    public abstract Tensor Vectors();
}

/// <summary>
/// Virtual tokens before each row: learned vectors instead of words (Lester et al. 2021; Liu et al. 2021), or learned keys and values in
/// every layer (Li &amp; Liang 2021). They are treated like other tokens: they have ids above the vocabulary, positions, attention and a
/// place in the cache. Only their vectors come from here.
/// </summary>
public abstract class SoftPrompt
{
    /// <summary>The virtual tokens before a row, or before an encoder-decoder's source.</summary>
    public abstract int Length { get; }

    /// <summary>The prompt's own weights, under their names in files.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>The table of them, which has a vector for each virtual token; an encoder may follow it.</summary>
    public Weight Table => Weights[0];

    /// <summary>Whether rows begin with it.</summary>
    public abstract bool IsOn { get; }

    /// <summary>The vectors of all virtual tokens [at least length, width], with a gradient.</summary>
    public abstract Tensor Vectors();

    /// <summary>Whether a layer's keys and values of the virtual tokens come from the prompt, not from their vectors.</summary>
    public virtual bool GivesKeysAndValues => false;

    /// <summary>
    /// Whether every layer of an encoder-decoder's encoder has keys and values before a source. They are no tokens: only attention within
    /// the encoder sees them.
    /// </summary>
    public virtual bool GivesSource => false;

    /// <summary>A layer's keys and values before a source, each [length, keyValueHeads, D].</summary>
    /// <param name="layer">The layer of the encoder.</param>
    public virtual (Tensor Keys, Tensor Values) SourceKeysAndValues(int layer) =>
        throw new InvalidOperationException("This prompt has no keys and values for an encoder.");

    /// <summary>A layer's keys and values of the virtual tokens, each [length, keyValueHeads, D].</summary>
    /// <param name="layer">The layer.</param>
    public virtual (Tensor Keys, Tensor Values) KeysAndValues(int layer) =>
        throw new InvalidOperationException("This prompt has vectors, but no keys and values.");
}
