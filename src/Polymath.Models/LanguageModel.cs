using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>The sizes that every family has.</summary>
/// <param name="VocabularySize">The number of tokens.</param>
/// <param name="HiddenSize">The width of the residual stream.</param>
/// <param name="Layers">The number of blocks.</param>
/// <param name="Heads">The number of query heads.</param>
/// <param name="KeyValueHeads">The number of key and value heads.</param>
/// <param name="HeadWidth">The width of a head.</param>
/// <param name="ContextLength">The most tokens of a row.</param>
public sealed record ModelSizes(int VocabularySize, int HiddenSize, int Layers, int Heads, int KeyValueHeads, int HeadWidth, int ContextLength);

/// <summary>A language model: rows of tokens become hidden states, hidden states become logits, and logits are only made where they are wanted.</summary>
public abstract class LanguageModel : IDisposable
{
    /// <summary>The sizes.</summary>
    public abstract ModelSizes Sizes { get; }

    /// <summary>The configuration as Hugging Face's <c>config.json</c> has it.</summary>
    public abstract JsonObject Configuration { get; }

    /// <summary>Every weight once, in the order of the model. Deltas' weights are not among them.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>The sockets of linear maps, in the order of the model.</summary>
    public abstract IReadOnlyList<Projection> Projections { get; }

    /// <summary>The token vectors and the output head.</summary>
    public abstract TokenTable Tokens { get; }

    /// <summary>The projections that low-rank deltas go to when nothing is said, by the end of their names, as PEFT has it for the family.</summary>
    public abstract IReadOnlyList<string> DefaultTargets { get; }

    /// <summary>The last hidden states [tokens, hidden], normalised, ready for the head.</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="cache">What was read before, when generating.</param>
    public abstract Tensor Hidden(Batch batch, KeyValueCache? cache = null);

    /// <summary>The logits [n, vocabulary] of hidden states [n, hidden].</summary>
    /// <param name="hidden">The states.</param>
    public Tensor Unembed(Tensor hidden) => nn.functional.linear(hidden, Tokens.Head.Value);

    /// <summary>Σ weight · −log p over the batch's targets, as a scalar with a gradient.</summary>
    /// <param name="batch">The rows.</param>
    public Tensor NegativeLogLikelihood(Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return OutputHead.NegativeLogLikelihood(Hidden(batch).index_select(0, batch.Places), Tokens.Head.Value, batch.Targets, batch.Weights);
    }

    /// <summary>log p of each of the batch's targets [targets], with a gradient.</summary>
    /// <param name="batch">The rows.</param>
    public Tensor LogProbabilities(Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return OutputHead.LogProbabilities(Hidden(batch).index_select(0, batch.Places), Tokens.Head.Value, batch.Targets);
    }

    /// <summary>An empty cache for generating.</summary>
    /// <param name="slots">The rows.</param>
    /// <param name="capacity">The most tokens of a row.</param>
    public KeyValueCache NewCache(int slots, int capacity) => new(Sizes.Layers, slots, Sizes.KeyValueHeads, capacity, Sizes.HeadWidth);

    /// <summary>Where the weights lie.</summary>
    public Device Device => Tokens.Embedding.Value.device;

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the weights.</summary>
    /// <param name="disposing">Always true: there is no finalizer.</param>
    protected virtual void Dispose(bool disposing)
    {
        foreach (var weight in Weights) weight.Value.Dispose();
    }
}
