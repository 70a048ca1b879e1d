using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>What <see cref="RowAttention"/> adds to scores.</summary>
/// <param name="Sinks">A logit of each head [heads] that joins the softmax and whose share is dropped, or null.</param>
/// <param name="Keys">For a number of keys, a bias of each head and key [heads, keys]; or null.</param>
public sealed record RowBias(Tensor? Sinks = null, Func<int, Tensor>? Keys = null);

/// <summary>Attention in libtorch's operations, row by row, for forms that the kernels lack.</summary>
public static class RowAttention
{
    /// <summary>Causal attention over a batch's rows, or over a cache: [tokens, heads·D].</summary>
    /// <param name="place">The layer's properties.</param>
    /// <param name="batch">The rows.</param>
    /// <param name="query">[tokens, heads, D].</param>
    /// <param name="key">[tokens, keyValueHeads, D].</param>
    /// <param name="value">[tokens, keyValueHeads, D].</param>
    /// <param name="cache">The cache of earlier tokens, or null.</param>
    /// <param name="bias">What is added to the scores.</param>
    public static Tensor Of(
        AttentionPlace place,
        Batch batch,
        Tensor query,
        Tensor key,
        Tensor value,
        KeyValueCache? cache,
        RowBias bias)
    {
        ArgumentNullException.ThrowIfNull(place);
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(bias);
        (key, value) = place.Prompted(batch, key, value);
        cache?.Put(place.Layer, batch, key.contiguous(), value.contiguous());
        var group = query.size(1) / key.size(1);
        var rows = new List<Tensor>();
        for (var r = 0; r < batch.Rows; r++)
        {
            int start = batch.Offsets[r], length = batch.Offsets[r + 1] - start;
            var (keys, values) = cache?.Row(place.Layer, batch, r) ?? (batch.WithBeginning(key, r), batch.WithBeginning(value, r));
            Tensor Heads(Tensor of) => of.transpose(0, 1).repeat_interleave(group, 0);                  // [heads, keys, D]
            var scores = query.narrow(0, start, length).transpose(0, 1).bmm(Heads(keys).transpose(1, 2)) * place.Form.Scale;
            var count = (int)keys.size(0);
            if (bias.Keys is not null) scores = scores + bias.Keys(count).unsqueeze(1);
            using var places = arange(count, device: query.device);
            var own = tensor(batch.Positions.AsSpan(start, length).ToArray(), device: query.device).unsqueeze(1);
            var hidden = places.gt(own);
            if (place.Window > 0) hidden = hidden.logical_or(places.le(own - place.Window));
            scores = scores.masked_fill(hidden, float.NegativeInfinity);                                // [heads, queries, keys]
            if (bias.Sinks is { } sinks) scores = cat([scores, sinks.view(-1, 1, 1).expand(-1, length, 1)], -1);
            rows.Add(scores.softmax(-1).narrow(-1, 0, count).bmm(Heads(values)).transpose(0, 1));
        }
        return cat(rows, 0).reshape(query.size(0), -1);
    }
}
