using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>The table of token vectors, and the output head, which is the same table where the model ties them.</summary>
/// <param name="embedding">The token vectors [vocabulary, width].</param>
/// <param name="head">The output weights [vocabulary, width]; the same object as <paramref name="embedding"/> where they are tied.</param>
/// <param name="headName">The head's module in files, also where it is tied.</param>
public sealed class TokenTable(Weight embedding, Weight head, string headName = "lm_head")
{
    /// <summary>The token vectors [vocabulary, width].</summary>
    public Weight Embedding { get; } = embedding;

    /// <summary>The output weights [vocabulary, width].</summary>
    public Weight Head { get; private set; } = head;

    /// <summary>What is added to the logits [vocabulary], or null (BERT).</summary>
    public Weight? HeadBias { get; init; }

    /// <summary>What logits are bent towards: cap·tanh(x/cap); 0 for none (Gemma 2).</summary>
    public double SoftCap { get; init; }

    /// <summary>The head as a linear map with a socket; its bias is <see cref="HeadBias"/>, added after.</summary>
    public Projection HeadMap { get; } = new(
        headName,
        Role.Head,
        -1,
        head,
        null);

    /// <summary>Whether the head is the table of the token vectors.</summary>
    public bool IsTied => ReferenceEquals(Embedding, Head);

    /// <summary>Lets the head read another weight from here on.</summary>
    /// <param name="weight">The weight [vocabulary, width].</param>
    internal void UseAsHead(Weight weight)
    {
        Head = weight;
        HeadMap.Weight = weight;
    }

    /// <summary>What the vectors of tokens are multiplied with; virtual tokens' are taken as they are (Gemma 2).</summary>
    public double Scale { get; init; } = 1;

    /// <summary>The module of the vectors in files.</summary>
    public string Name => Embedding.Name[..Embedding.Name.LastIndexOf('.')];

    /// <summary>What changes the vectors, in the order it was plugged in.</summary>
    public IReadOnlyList<TokenDelta> Deltas => deltas;

    private readonly List<TokenDelta> deltas = [];

    /// <summary>Puts a delta of the vectors into the socket.</summary>
    /// <param name="delta">The delta.</param>
    public void Plug(TokenDelta delta) => deltas.Add(delta);

    /// <summary>Takes one out of the socket.</summary>
    /// <param name="delta">The delta.</param>
    public void Unplug(TokenDelta delta) => deltas.Remove(delta);

    /// <summary>The prompt of virtual tokens, whose numbers follow the vocabulary; or null.</summary>
    public SoftPrompt? Prompt { get; set; }

    /// <summary>The vectors of tokens [n] as [n, width].</summary>
    /// <param name="ids">The tokens, 64-bit; virtual ones stand above the vocabulary.</param>
    public Tensor Embed(Tensor ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var vocabulary = Embedding.Value.size(0);
        var known = Prompt is { IsOn: true } ? ids.clamp(max: vocabulary - 1) : ids;
        var x = Embedding.Value.index_select(0, known).to(ScalarType.Float32);
        foreach (var delta in deltas) x = delta.Change(known, x);
        if (Scale != 1) x = x * Scale;
        if (Prompt is not { IsOn: true } prompt) return x;
        using var places = ids.ge(vocabulary).nonzero().squeeze(1);
        return places.numel() == 0
            ? x
            : x.index_copy(0, places, prompt.Vectors().index_select(0, ids.index_select(0, places) - vocabulary));
    }
}
