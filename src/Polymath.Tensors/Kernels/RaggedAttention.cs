using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Attention over rows that are packed end to end: a query sees a span of its own row's keys (see <see cref="Reach"/>), never another row.
/// Query heads share key and value heads in groups (Ainslie et al. 2023) without repeating them. Backward recomputes the weights from the
/// saved log-sum-exp (Dao et al. 2022).
/// </summary>
public sealed unsafe class RaggedAttention : Fused
{
    private readonly Reach reach;
    private readonly AttentionForm form;
    private readonly int zero;
    private Tensor? query, key, value, table, result, logSum;

    private RaggedAttention(Reach reach, AttentionForm form, int zero) => (this.reach, this.form, this.zero) = (reach, form, zero);

    /// <inheritdoc/>
    protected internal override int InputCount => table is null ? 3 : 4;

    /// <summary>
    /// Causal attention of query [tokens, heads, D] over key and value [tokens, keyValueHeads, D]; row r is the tokens offsets[r] to
    /// offsets[r + 1].
    /// </summary>
    public static Tensor Of(
        Tensor query,
        Tensor key,
        Tensor value,
        int[] offsets,
        double scale) => Of(
            query,
            key,
            value,
            Reach.Causal(offsets),
            new AttentionForm(scale));

    /// <summary>Attention of query [queries, heads, D] over key and value [keys, keyValueHeads, D].</summary>
    /// <param name="query">The queries.</param>
    /// <param name="key">The keys.</param>
    /// <param name="value">The values.</param>
    /// <param name="reach">The keys that each query sees.</param>
    /// <param name="form">How scores become weights.</param>
    /// <param name="bias">A bias by distance, or null.</param>
    public static Tensor Of(
        Tensor query,
        Tensor key,
        Tensor value,
        Reach reach,
        AttentionForm form,
        DistanceBias? bias = null)
    {
        ArgumentNullException.ThrowIfNull(reach);
        ArgumentNullException.ThrowIfNull(form);
        reach.Check(bias);
        if (!FastPath.Takes(query, key, value) || (bias is not null && !FastPath.Takes(bias.Table)))
            return Plain(
                query,
                key,
                value,
                reach,
                form,
                bias);
        var op = new RaggedAttention(reach, form, bias?.Zero ?? 0) { table = bias?.Table };
        return bias is null ? op.Apply(query, key, value) : op.Apply(query, key, value, bias.Table);
    }

    /// <summary>The same in libtorch's operations, row by row.</summary>
    public static Tensor Plain(
        Tensor query,
        Tensor key,
        Tensor value,
        int[] offsets,
        double scale) => Plain(
            query,
            key,
            value,
            Reach.Causal(offsets),
            new AttentionForm(scale));

    /// <summary>The same in libtorch's operations, row by row.</summary>
    /// <param name="query">The queries.</param>
    /// <param name="key">The keys.</param>
    /// <param name="value">The values.</param>
    /// <param name="reach">The keys that each query sees.</param>
    /// <param name="form">How scores become weights.</param>
    /// <param name="bias">A bias by distance, or null.</param>
    public static Tensor Plain(
        Tensor query,
        Tensor key,
        Tensor value,
        Reach reach,
        AttentionForm form,
        DistanceBias? bias = null)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(reach);
        ArgumentNullException.ThrowIfNull(form);
        var group = query.size(1) / key.size(1);
        var rows = new List<Tensor>();
        for (var r = 0; r < reach.Rows; r++)
        {
            int start = reach.QueryOffsets[r], length = reach.QueryOffsets[r + 1] - start, keys = reach.KeysOf(r), begun = reach.BegunOf(r);
            Tensor Whole(Tensor x)
            {
                var own = x.narrow(0, reach.KeyOffsets[r], keys - begun);
                return begun == 0 ? own : cat([x.narrow(0, reach.KeyOffsets[reach.Roots![r]], begun), own], 0);
            }
            Tensor Keys(Tensor x) => Whole(x).transpose(0, 1).repeat_interleave(group, 0);
            // [heads, queries, keys]
            var scores = query.narrow(0, start, length).transpose(0, 1).bmm(Keys(key).transpose(1, 2)) * form.Scale;
            if (form.SoftCap > 0) scores = (scores / form.SoftCap).tanh() * form.SoftCap;
            var places = arange(keys, device: query.device);
            if (bias is not null)
            {
                var columns = (places.unsqueeze(0) - arange(begun, begun + length, device: query.device).unsqueeze(1) + bias.Zero)
                    .clamp(0, bias.Table.size(1) - 1);
                scores += bias.Table.index_select(1, columns.flatten()).view(-1, length, keys);
            }
            Tensor Bound(int[] of) => tensor(of.AsSpan(start, length).ToArray(), device: query.device).unsqueeze(1);
            var hidden = places.lt(Bound(reach.First)).logical_or(places.ge(Bound(reach.Last)));
            rows.Add(scores.masked_fill(hidden, float.NegativeInfinity).softmax(-1).bmm(Keys(value)).transpose(0, 1));
        }
        return cat(rows, 0);
    }

    /// <inheritdoc/>
    protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        (query, key, value) = (SaveForBackward(inputs[0]), SaveForBackward(inputs[1]), SaveForBackward(inputs[2]));
        var made = empty_like(query);
        (result, logSum) = (SaveForBackward(made), SaveForBackward(empty(query.size(0), query.size(1), dtype: ScalarType.Float32)));
        var state = Shape();
        fixed (int* rows = reach.QueryOffsets, keyRows = reach.KeyOffsets, first = reach.First, last = reach.Last, roots = reach.Roots)
        {
            state.Offsets = rows;
            state.KeyOffsets = keyRows;
            state.First = first;
            state.Last = last;
            state.Roots = roots;
            LibTorch.For((long)reach.Rows * state.KeyHeads, 1, &RaggedLoops.ForwardItems, &state);
        }
        GC.KeepAlive(table);
        return made;
    }

    /// <inheritdoc/>
    protected internal override Tensor?[] Backward(Tensor gradient)
    {
        using var dense = gradient.contiguous();
        Tensor gradQuery = empty_like(query!), gradKey = zeros_like(key!), gradValue = zeros_like(value!);
        var state = Shape();
        // Each row sums its own part of the table's gradient, and the parts are added in order, so the result has the same bits for any
        // number of threads.
        using var partial = table is { requires_grad: true } ? zeros(reach.Rows, state.Heads, state.Distances) : null;
        state.Gradient = (float*)LibTorch.Data(dense);
        state.GradQuery = (float*)LibTorch.Data(gradQuery);
        state.GradKey = (float*)LibTorch.Data(gradKey);
        state.GradValue = (float*)LibTorch.Data(gradValue);
        state.GradBias = partial is null ? null : (float*)LibTorch.Data(partial);
        fixed (int* rows = reach.QueryOffsets, keyRows = reach.KeyOffsets, first = reach.First, last = reach.Last, roots = reach.Roots)
        fixed (int* trees = reach.TreeOffsets)
        {
            state.Offsets = rows;
            state.KeyOffsets = keyRows;
            state.First = first;
            state.Last = last;
            state.Roots = roots;
            state.Trees = trees;
            // All rows that begin alike add to the gradient of their beginning, so one thread goes through them.
            LibTorch.For((reach.TreeOffsets.Length - 1L) * state.KeyHeads, 1, &RaggedLoops.BackwardItems, &state);
        }
        return table is null ? [gradQuery, gradKey, gradValue] : [gradQuery, gradKey, gradValue, partial?.sum(dim: 0)];
    }

    private RaggedLoops.State Shape() => new()
    {
        Query = (float*)LibTorch.Data(query!),
        Key = (float*)LibTorch.Data(key!),
        Value = (float*)LibTorch.Data(value!),
        Bias = table is null ? null : (float*)LibTorch.Data(table),
        Out = (float*)LibTorch.Data(result!),
        LogSum = (float*)LibTorch.Data(logSum!),
        Heads = (int)query!.size(1),
        KeyHeads = (int)key!.size(1),
        Width = (int)query.size(2),
        Longest = (reach.LongestKeys + 15) & ~15,
        Distances = (int)(table?.size(1) ?? 0),
        Zero = zero,
        Scale = (float)form.Scale,
        Cap = (float)form.SoftCap,
    };
}
