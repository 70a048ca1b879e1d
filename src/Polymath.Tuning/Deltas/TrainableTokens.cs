using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>Chosen tokens' vectors are trained, those of all others stay (PEFT's trainable tokens): new words for a vocabulary. Where the output head is tied, it reads the same vectors.</summary>
public sealed class TrainableTokens : TokenDelta
{
    /// <summary>How PEFT's files say it.</summary>
    public static DeltaMethod Method { get; } = new(["token_indices", "init_weights"], Attach);

    readonly Weight vectors;
    readonly Tensor tokens, placeOf;
    readonly DeltaSwitch state;

    TrainableTokens(Weight vectors, Tensor tokens, Tensor placeOf, DeltaSwitch state) => (this.vectors, this.tokens, this.placeOf, this.state, Weights) = (vectors, tokens, placeOf, state, [vectors]);

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Change(Tensor ids, Tensor vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (!state.On) return vectors;
        var places = placeOf.index_select(0, ids);
        using var mine = places.ge(0).nonzero().squeeze(1);
        return mine.numel() == 0 ? vectors : vectors.index_copy(0, mine, this.vectors.Value.index_select(0, places.index_select(0, mine)));
    }

    /// <inheritdoc/>
    public override Tensor Merge(Tensor table)
    {
        ArgumentNullException.ThrowIfNull(table);
        return table.index_copy(0, tokens, vectors.Value);
    }

    static void Attach(DeltaParts parts)
    {
        if (parts.Configuration.Has("target_modules") && !parts.TargetsTokens) throw parts.Fault("target_modules", $"the token vectors are {parts.Model.Tokens.Name}");
        Attach(parts, "token_indices", parts.Configuration.Raw("token_indices"), "trainable_tokens_delta");
    }

    /// <summary>Trains tokens beside an adapter of another kind, as its <c>trainable_token_indices</c> say: a list, or one under the name of the table.</summary>
    internal static void AttachBeside(DeltaParts parts)
    {
        const string Key = "trainable_token_indices";
        var (said, table) = (parts.Configuration.Raw(Key), parts.Model.Tokens.Name);
        if (parts.TargetsTokens) throw parts.Fault(Key, $"target_modules name {table}, too; its tokens are trained by one of the two");
        if (said is JsonObject named)
            said = named.Count == 1 && named.Single() is var (module, list) && (table == module || table.EndsWith("." + module, StringComparison.Ordinal))
                ? list
                : throw parts.Fault(Key, $"the tokens of the table {table} can be trained, and no other module's; where the head is tied it reads the same vectors");
        Attach(parts, Key, said, "token_adapter.trainable_tokens_delta");
    }

    static void Attach(DeltaParts parts, string key, JsonNode? said, string name)
    {
        var table = parts.Model.Tokens;
        var indices = (said as JsonArray ?? []).Select(node => long.TryParse(node?.ToString(), out var index) && index >= 0 && index < table.Embedding.Value.size(0) ? index : throw parts.Fault(key, $"token numbers below {table.Embedding.Value.size(0)} are needed")).ToArray();
        if (indices.Length == 0 || indices.Distinct().Count() < indices.Length) throw parts.Fault(key, "the numbers of the tokens to train are needed, each once");
        var weight = parts.Weight(table.Name, name, Start.Zero, indices.Length, table.Embedding.Value.size(1));
        Tensor tokens = parts.Own(tensor(indices)), placeOf = parts.Own(full(table.Embedding.Value.size(0), -1L, dtype: ScalarType.Int64));
        using (no_grad())
        {
            using var scope = NewDisposeScope();
            placeOf.index_copy_(0, tokens, arange(indices.Length, dtype: ScalarType.Int64));
            if (parts.IsFresh) weight.Assign(table.Embedding.Value.index_select(0, tokens).to(ScalarType.Float32));
        }
        parts.Plug(new TrainableTokens(weight, tokens, placeOf, parts.State));
        if (ReferenceEquals(table.Embedding, table.Head)) parts.Plug(table.HeadMap, new Logits(weight, tokens, parts.State));
    }

    // The tied head's logits of the chosen tokens.
    sealed class Logits(Weight vectors, Tensor tokens, DeltaSwitch state) : Delta
    {
        public override IReadOnlyList<Weight> Weights => [];

        public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner) => state.On ? inner(x).index_copy(1, tokens, nn.functional.linear(x, vectors.Value)) : inner(x);

        public override (Tensor Weight, Tensor? Bias) Merge(Tensor weight, Tensor? bias) => (weight.index_copy(0, tokens, vectors.Value), bias);
    }
}
