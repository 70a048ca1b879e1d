using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>
/// The recurrence of state spaces and of linear attention. Each head keeps a matrix S [K, V]; for each token, S ← exp(g)·S +
/// k·uᵀ, and the output is Sᵀ·q. Without the delta rule u = v (Mamba 2, Dao &amp; Gu 2024); with it u = β·(v − exp(g)·Sᵀ·k),
/// so that S holds v under k afterwards (gated DeltaNet, Yang et al. 2024). Chunks of a row are computed at once: within a
/// chunk, the outputs are sums over pairs of tokens, and the u of the delta rule solve a triangular system.
/// </summary>
public static class DecayScan
{
    private const int Chunk = 64;

    /// <summary>The outputs [tokens, heads, V].</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="cache">The cache that carries S from token to token, or null.</param>
    /// <param name="name">The layer's name, for the cache.</param>
    /// <param name="query">q [tokens, heads, K].</param>
    /// <param name="key">k [tokens, heads, K].</param>
    /// <param name="value">v [tokens, heads, V].</param>
    /// <param name="decay">g [tokens, heads], at most 0.</param>
    /// <param name="beta">β [tokens, heads] of the delta rule; null for none.</param>
    public static Tensor Of(
        Batch batch,
        KeyValueCache? cache,
        string name,
        Tensor query,
        Tensor key,
        Tensor value,
        Tensor decay,
        Tensor? beta = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(decay);
        var results = new List<Tensor>();
        for (var r = 0; r < batch.Rows; r++)
        {
            var state = cache?.State(name, batch, r) ?? zeros(query.size(1), query.size(2), value.size(2), device: query.device);
            for (var at = batch.Offsets[r]; at < batch.Offsets[r + 1]; at += Chunk)
            {
                var count = Math.Min(Chunk, batch.Offsets[r + 1] - at);
                Tensor Part(Tensor of) => of.narrow(0, at, count).transpose(0, 1);                  // [heads, tokens, ...]
                (var made, state) = Step(
                    state,
                    Part(query),
                    Part(key),
                    Part(value),
                    Part(decay),
                    beta is null ? null : Part(beta).unsqueeze(-1));
                results.Add(made.transpose(0, 1));
            }
            cache?.Leave(name, batch, r, state);
        }
        return cat(results, 0);
    }

    private static (Tensor Result, Tensor State) Step(
        Tensor state,
        Tensor query,
        Tensor key,
        Tensor value,
        Tensor decay,
        Tensor? beta)
    {
        var count = query.size(1);
        var sum = decay.cumsum(-1);                                                                 // [heads, tokens]
        using var later = ones(count, count, dtype: ScalarType.Bool, device: query.device).triu(1);
        // exp(g of the tokens after j up to i) for j ≤ i; the difference is masked first, so that nothing overflows.
        var between = (sum.unsqueeze(-1) - sum.unsqueeze(-2)).masked_fill(later, float.NegativeInfinity).exp();
        var fromStart = sum.exp().unsqueeze(-1);                                                    // [heads, tokens, 1]
        var inner = value;
        if (beta is not null)
        {
            var pairs = (key * beta).bmm(key.transpose(1, 2)) * between;
            var system = pairs.tril(-1) + eye(count, device: query.device);
            inner = linalg.solve(system, (value - (key * fromStart).bmm(state)) * beta);
        }
        var result = (query * fromStart).bmm(state) + (query.bmm(key.transpose(1, 2)) * between).bmm(inner);
        var last = sum.narrow(1, count - 1, 1);
        var toEnd = (last - sum).exp().unsqueeze(-1);
        return (result, state * last.exp().unsqueeze(-1) + (key * toEnd).transpose(1, 2).bmm(inner));
    }
}
