using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>The table of token vectors, and the output head, which is the same table when they are tied.</summary>
/// <param name="embedding">The token vectors [vocabulary, width].</param>
/// <param name="head">The output weights [vocabulary, width]; the same object as <paramref name="embedding"/> when they are tied.</param>
/// <param name="headName">The head's module in files, even when it is tied.</param>
public sealed class TokenTable(Weight embedding, Weight head, string headName = "lm_head")
{
    /// <summary>The token vectors [vocabulary, width].</summary>
    public Weight Embedding { get; } = embedding;

    /// <summary>The output weights [vocabulary, width].</summary>
    public Weight Head { get; private set; } = head;

    /// <summary>The bias of the logits [vocabulary], or null (BERT).</summary>
    public Weight? HeadBias { get; init; }

    /// <summary>The bias as a vector [vocabulary], or null; BART's file holds it as [1, vocabulary].</summary>
    public Tensor? Bias => HeadBias?.Value.view(-1);

    /// <summary>The soft cap of logits: cap·tanh(x/cap); 0 for none (Gemma 2).</summary>
    public double SoftCap { get; init; }

    /// <summary>Whether each row of the head is divided by its length before use, with the gradient through it (Baichuan 2).</summary>
    public bool NormsHead { get; init; }

    /// <summary>The head's matrix as it is used [vocabulary, width].</summary>
    public Tensor HeadMatrix => NormsHead ? nn.functional.normalize(Head.Value.to(ScalarType.Float32)) : Head.Value;

    /// <summary>The head as a linear map with a socket; its bias is <see cref="HeadBias"/>, added after.</summary>
    public Projection HeadMap { get; } = new(
        headName,
        Role.Head,
        -1,
        head,
        null);

    /// <summary>The logits of states [n, width] before a cap: [n, vocabulary].</summary>
    /// <param name="states">The states.</param>
    internal Tensor Logits(Tensor states)
    {
        if (HeadMap.Deltas.Count == 0) return HalfProduct.Linear(states, HeadMatrix, Bias);
        var logits = HeadMap.Forward(states);
        // A delta is added to the head as it is used, not to the head as it is stored.
        if (NormsHead) logits = logits - HalfProduct.Linear(states, Head.Value) + HalfProduct.Linear(states, HeadMatrix);
        return Bias is { } bias ? logits + bias : logits;
    }

    /// <summary>Whether the head is the table of the token vectors.</summary>
    public bool IsTied => ReferenceEquals(Embedding, Head);

    /// <summary>Sets another weight of the head.</summary>
    /// <param name="weight">The weight [vocabulary, width].</param>
    internal void UseAsHead(Weight weight)
    {
        Head = weight;
        HeadMap.Weight = weight;
    }

    /// <summary>The factor of the vectors of tokens (Gemma 2); vectors of virtual tokens are not scaled.</summary>
    public double Scale { get; init; } = 1;

    /// <summary>The module of the vectors in files.</summary>
    public string Name => Embedding.Name[..Embedding.Name.LastIndexOf('.')];

    /// <summary>The deltas of the vectors, in the order they were attached.</summary>
    public IReadOnlyList<TokenDelta> Deltas => deltas;

    private readonly List<TokenDelta> deltas = [];

    /// <summary>Attaches a delta of the vectors.</summary>
    /// <param name="delta">The delta.</param>
    public void Plug(TokenDelta delta) => deltas.Add(delta);

    /// <summary>Detaches a delta of the vectors.</summary>
    /// <param name="delta">The delta.</param>
    public void Unplug(TokenDelta delta) => deltas.Remove(delta);

    /// <summary>The prompt of virtual tokens, whose ids follow the vocabulary; or null.</summary>
    public SoftPrompt? Prompt { get; set; }

    /// <summary>The id of the first soft token within rows' texts.</summary>
    public int InlineStart => (int)Embedding.Shape[0] + InlinePrompt.Start;

    /// <summary>The soft tokens within rows' texts, or null.</summary>
    public InlinePrompt? Inline { get; set; }

    /// <summary>The vectors of tokens [n] as [n, width].</summary>
    /// <param name="ids">The tokens, 64-bit; virtual and soft tokens have ids above the vocabulary.</param>
    public Tensor Embed(Tensor ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var vocabulary = Embedding.Value.size(0);
        var prompt = Prompt is { IsOn: true } ? Prompt : null;
        var known = prompt is null && Inline is null ? ids : ids.clamp(max: vocabulary - 1);
        var x = Embedding.Value.index_select(0, known).to(ScalarType.Float32);
        foreach (var delta in deltas) x = delta.Change(known, x);
        if (Scale != 1) x = x * Scale;
        var inline = vocabulary + InlinePrompt.Start;
        if (prompt is not null) x = Placed(x, ids, (vocabulary, inline), prompt.Vectors);
        return Inline is null ? x : Placed(x, ids, (inline, long.MaxValue), Inline.Vectors);
    }

    // The vectors with those of the tokens from a first id up to another one, which are given.
    private static Tensor Placed(Tensor x, Tensor ids, (long First, long End) numbers, Func<Tensor> vectors)
    {
        using var places = (ids.ge(numbers.First) & ids.lt(numbers.End)).nonzero().squeeze(1);
        return places.numel() == 0
            ? x
            : x.index_copy(0, places, vectors().index_select(0, ids.index_select(0, places) - numbers.First));
    }
}
