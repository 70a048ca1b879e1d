using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>What a router says of tokens.</summary>
/// <param name="Weights">The weights of the chosen blocks [tokens, chosen].</param>
/// <param name="Indices">Their numbers [tokens, chosen].</param>
/// <param name="Logits">The router's logits of all blocks [tokens, experts].</param>
public sealed record Routed(Tensor Weights, Tensor Indices, Tensor Logits);

/// <summary>A bias that corrects which experts are chosen (DeepSeek V3).</summary>
/// <param name="Weight">The bias [experts], which has no gradient.</param>
/// <param name="Load">How many tokens went through each expert, in passes with gradients, since the bias was last moved.</param>
public sealed record ExpertBias(Weight Weight, long[] Load);

/// <summary>What the routers of a model said in its last pass, and how often each expert was chosen.</summary>
public sealed class RouterRecord
{
    private List<Tensor> logits = [];
    private readonly SortedDictionary<int, long[]> counts = [];

    /// <summary>The biases that correct which experts are chosen, in the order of the layers; none in most families.</summary>
    public IReadOnlyCollection<ExpertBias> Biases => biases.Values;

    private readonly SortedDictionary<int, ExpertBias> biases = [];

    internal void Correct(int layer, Weight bias, int experts) => biases[layer] = new ExpertBias(bias, new long[experts]);

    /// <summary>Whether the model has experts.</summary>
    public bool Exist { get; private set; }

    /// <summary>Whether logits are kept, with their gradients, for <see cref="Balance"/>.</summary>
    public bool IsOn { get; set; }

    /// <summary>For each layer with experts, how many tokens went through each expert in the last pass.</summary>
    public IReadOnlyDictionary<int, long[]> Counts => counts;

    /// <summary>How many blocks a token goes through.</summary>
    public int Chosen { get; private set; }

    /// <summary>
    /// The load of the busiest expert of any layer: its share of the choices times the number of experts. It is 1 where all are used
    /// equally. It is 0 for a model without experts.
    /// </summary>
    public double Busiest => counts.Values.Select(layer => layer.Max() * layer.Length / (double)Math.Max(1, layer.Sum()))
        .DefaultIfEmpty().Max();

    /// <summary>The experts of all layers that no token chose, as a share of all experts.</summary>
    public double Idle => counts.Count == 0
        ? 0
        : counts.Values.Sum(layer => layer.Count(tokens => tokens == 0)) / (double)counts.Values.Sum(layer => layer.Length);

    // Announces a router.
    internal RouterRecord Known()
    {
        Exist = true;
        return this;
    }

    internal void Clear()
    {
        logits = [];
        counts.Clear();
    }

    internal void Add(int layer, Routed routed, int[] tokens)
    {
        Chosen = (int)routed.Indices.size(1);
        counts[layer] = Array.ConvertAll(tokens, count => (long)count);
        if (IsOn) logits.Add(routed.Logits);
        // A block that is computed again for its gradient counts once: its first pass has none.
        if (!is_grad_enabled() || !biases.TryGetValue(layer, out var bias)) return;
        for (var expert = 0; expert < tokens.Length; expert++) bias.Load[expert] += tokens[expert];
    }

    /// <summary>
    /// The balancing loss (Fedus et al. 2021, equations 4 to 6; transformers' <c>load_balancing_loss_func</c>): the number of experts
    /// times the sum over experts of the share of tokens that chose it and of its mean probability, over all layers together. It is as
    /// small as it can be, the number of chosen blocks, where all experts are used equally.
    /// </summary>
    /// <returns>A scalar with a gradient; null where no logits were kept.</returns>
    public Tensor? Balance()
    {
        if (logits.Count == 0) return null;
        var probabilities = cat([.. logits], 0).softmax(-1);                                    // [layers·tokens, experts]
        var experts = probabilities.size(1);
        using var indices = probabilities.detach().topk(Chosen, -1).indexes;
        var shares = zeros_like(probabilities).detach().scatter(1, indices, ones(indices.shape, device: indices.device)).mean([0L]);
        return (shares * probabilities.mean([0L])).sum() * experts;
    }

    // Within a part whose intermediate tensors are freed or computed again, logits leave as further columns of the result.
    internal Func<Tensor[], Tensor> Beside(Func<Tensor[], Tensor> part) => given =>
    {
        var outer = logits;
        logits = [];
        try
        {
            var result = part(given);
            return logits.Count == 0 ? result : cat([result, .. logits], 1);
        }
        finally
        {
            logits = outer;
        }
    };

    // The result without those columns, which are kept.
    internal Tensor Aside(Tensor all, long width)
    {
        if (all.size(1) == width) return all;
        logits.Add(all.narrow(1, width, all.size(1) - width));
        return all.narrow(1, 0, width);
    }
}
