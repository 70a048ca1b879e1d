using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// The vectors of chosen tokens are trained, all others are frozen (PEFT's trainable tokens), for example for new words of a vocabulary. A
/// tied output head uses the same vectors.
/// </summary>
public sealed class TrainableTokens : TokenDelta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.TrainableTokens,
        "TRAINABLE_TOKENS",
        ["token_indices", "init_weights"],
        Attach)
    {
        Roles = [Socket.Embedding],
        HasLayers = false,
        Idle = [IdleSetting.OneStart()],
    };

    private readonly Weight vectors;
    private readonly Tensor tokens, placeOf;
    private readonly DeltaSwitch state;

    private TrainableTokens(Weight vectors, Tensor tokens, Tensor placeOf, DeltaSwitch state) =>
        (this.vectors, this.tokens, this.placeOf, this.state, Weights) = (vectors, tokens, placeOf, state, [vectors]);

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Change(Tensor ids, Tensor vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (!state.On) return vectors;
        var places = placeOf.index_select(0, ids);
        using var mine = places.ge(0).nonzero().squeeze(1);
        // When gradients are computed, an empty one is computed, too: a batch may have none of the tokens.
        return mine.numel() == 0 && !is_grad_enabled()
            ? vectors
            : vectors.index_copy(0, mine, this.vectors.Value.index_select(0, places.index_select(0, mine)));
    }

    /// <inheritdoc/>
    public override Tensor Merge(Tensor table)
    {
        ArgumentNullException.ThrowIfNull(table);
        return table.index_copy(0, tokens, vectors.Value);
    }

    private static void Attach(DeltaParts parts)
    {
        var (table, indices) = (parts.Model.Tokens, parts.Configuration.Raw("token_indices"));
        var head = parts.Configuration.Has("target_modules") && parts.Model.Labels is null
            && parts.Configuration.Targets(table.HeadMap.Name, linear: false);
        if (parts.Configuration.Has("target_modules") && !parts.TargetsTokens && !head)
            throw parts.Fault("target_modules", $"the token vectors are {table.Name}");
        Attach(
            parts,
            "token_indices",
            head && !parts.TargetsTokens ? null : indices,
            head ? indices : null,
            "trainable_tokens_delta");
    }

    /// <summary>
    /// Trains tokens together with an adapter of another kind, by its <c>trainable_token_indices</c>: a list, or lists under the names of
    /// the table and of the output head.
    /// </summary>
    internal static void AttachBeside(DeltaParts parts)
    {
        const string Key = "trainable_token_indices";
        var (said, table) = (parts.Configuration.Raw(Key), parts.Model.Tokens);
        if (parts.TargetsTokens) throw parts.Fault(Key, $"target_modules name {table.Name}, too; only one of the two can train its tokens");
        JsonNode? vectors = said as JsonArray, head = null;
        foreach (var (module, list) in said as JsonObject ?? [])
            if (AdapterConfiguration.Means(module, table.Name)) vectors = list;
            else if (AdapterConfiguration.Means(module, table.HeadMap.Name) && parts.Model.Labels is null) head = list;
            else
                throw parts.Fault(
                    Key, $"the tokens of the table {table.Name} can be "
                        + $"trained{(parts.Model.Labels is null ? $" and those of the head {table.HeadMap.Name}" : "")}, and no other "
                        + "module's");
        Attach(
            parts,
            Key,
            vectors,
            head,
            "token_adapter.trainable_tokens_delta");
    }

    // Tied vectors and head stay tied when both name the same tokens, or when only the vectors are named.
    private static void Attach(
        DeltaParts parts,
        string key,
        JsonNode? vectors,
        JsonNode? head,
        string name)
    {
        var table = parts.Model.Tokens;
        if (vectors is null && head is null) throw parts.Fault(key, "the numbers of the tokens to train are needed, each once");
        if (vectors is not null && table.IsTied && JsonNode.DeepEquals(vectors, head)) head = null;
        if (head is not null) parts.Untie();
        if (vectors is not null)
        {
            var (weight, tokens) = Rows(
                parts,
                key,
                vectors,
                table.Name,
                name,
                table.Embedding);
            var placeOf = parts.Own(full(table.Embedding.Value.size(0), -1L, dtype: ScalarType.Int64));
            using (no_grad())
            {
                using var scope = NewDisposeScope();
                placeOf.index_copy_(0, tokens, arange(tokens.numel(), dtype: ScalarType.Int64));
            }
            parts.Plug(new TrainableTokens(weight, tokens, placeOf, parts.State));
            if (table.IsTied && parts.Model.Labels is null) parts.Plug(table.HeadMap, new Logits(weight, tokens, parts.State));
            foreach (var twin in Twins(table).Where(twin => head is null || twin != table.HeadMap.Name))
                parts.Echo(weight, $"{AdapterConfiguration.Prefix}{twin}.{name}");
        }
        if (head is null) return;
        var (own, of) = Rows(
            parts,
            key,
            head,
            table.HeadMap.Name,
            name,
            table.Head);
        parts.Plug(table.HeadMap, new Logits(own, of, parts.State));
    }

    // Modules that share the table in transformers; PEFT's trainable tokens write the same vectors again for them.
    private static IEnumerable<string> Twins(TokenTable table)
    {
        yield return table.HeadMap.Name;
        if (!table.Name.EndsWith("shared", StringComparison.Ordinal)) yield break;
        foreach (var side in new[] { "encoder", "decoder" }) yield return table.Name[..^"shared".Length] + side + ".embed_tokens";
    }

    private static (Weight Weight, Tensor Tokens) Rows(
        DeltaParts parts,
        string key,
        JsonNode said,
        string module,
        string name,
        Weight table)
    {
        var rows = table.Value.size(0);
        var indices = (said as JsonArray ?? [])
            .Select(node => long.TryParse(node?.ToString(), out var index) && index >= 0 && index < rows
                ? index
                : throw parts.Fault(key, $"token numbers below {rows} are needed"))
            .ToArray();
        if (indices.Length == 0 || indices.Distinct().Count() < indices.Length)
            throw parts.Fault(key, "the numbers of the tokens to train are needed, each once");
        var weight = parts.Weight(
            module,
            name,
            Start.Zero,
            indices.Length,
            table.Value.size(1));
        var tokens = parts.Own(tensor(indices));
        if (!parts.IsFresh) return (weight, tokens);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        weight.Assign(table.Value.index_select(0, tokens).to(ScalarType.Float32));
        return (weight, tokens);
    }

    // The head's logits of the chosen tokens.
    private sealed class Logits(Weight vectors, Tensor tokens, DeltaSwitch state) : Delta
    {
        public override IReadOnlyList<Weight> Weights => [];

        public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner) =>
            state.On ? inner(x).index_copy(1, tokens, nn.functional.linear(x, vectors.Value)) : inner(x);

        public override (Tensor Weight, Tensor? Bias) Merge(Tensor weight, Tensor? bias) =>
            (weight.index_copy(0, tokens, vectors.Value), bias);
    }
}
