using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// P-tuning, version 1 (Liu et al. 2021): the vectors of virtual tokens come from a small encoder over trained embeddings: a network of
/// three layers with ReLU, or two bidirectional LSTM layers and two more layers. The encoder connects the tokens during training.
/// </summary>
public sealed class PromptEncoder : ComputedPrompt
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.PTuning,
        "P_TUNING",
        [.. Keys, "encoder_reparameterization_type", "encoder_hidden_size", "encoder_num_layers", "encoder_dropout"],
        Attach)
    {
        SizeKey = "num_virtual_tokens",
        HasSockets = false,
        Idle =
        [
            .. IdleSetting.OfPrompts,
            IdleSetting.Always("encoder_dropout", "the encoder has no dropout here; leave it out"),
            IdleSetting.Unless("encoder_num_layers", "encoder_reparameterization_type", "LSTM"),
        ],
    };

    private readonly Func<Tensor> compute;

    private PromptEncoder(Func<Tensor> compute, IReadOnlyList<Weight> weights, int length, DeltaSwitch state)
        : base(state, length) => (this.compute, Weights) = (compute, weights);

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Embeddings() => compute();

    private static void Attach(DeltaParts parts)
    {
        int count = Tokens(parts), width = Width(parts), inner = parts.Configuration.Whole("encoder_hidden_size", width);
        if (!parts.HoldsEncoder)
        {
            // PEFT's file has only the encoder's output; it is used and trained directly.
            var vectors = parts.Named(Key, Start.Zero, [Rows(parts), width]);
            parts.Plug(new PromptEncoder(() => vectors.Value, [vectors], count, parts.State));
            return;
        }
        var weights = new List<Weight>();
        Weight Take(string name, double bound, params long[] shape)
        {
            weights.Add(parts.Named(name, bound == 0 ? Start.Normal(1) : new Start(0, bound, Uniform: true), shape));
            return weights[^1];
        }
        var embedding = Take("embedding.weight", 0, Rows(parts), width);
        (Weight W, Weight B) Map(string name, int output, int input) =>
            (Take(name + ".weight", 1 / Math.Sqrt(input), output, input), Take(name + ".bias", 1 / Math.Sqrt(input), output));
        Tensor Through((Weight W, Weight B) map, Tensor x) => nn.functional.linear(x, map.W.Value, map.B.Value);
        if ((parts.Configuration.Text("encoder_reparameterization_type") ?? "MLP") == "MLP")
        {
            (Weight W, Weight B)[] maps =
                [Map("mlp_head.0", inner, width), Map("mlp_head.2", inner, inner), Map("mlp_head.4", width, inner)];
            parts.Plug(new PromptEncoder(
                () => Through(maps[2], Through(maps[1], Through(maps[0], embedding.Value).relu()).relu()), weights, count, parts.State));
            return;
        }
        if (parts.Configuration.Text("encoder_reparameterization_type") != "LSTM")
            throw parts.Fault("encoder_reparameterization_type", "known are \"MLP\" and \"LSTM\"");
        var layers = parts.Configuration.Whole("encoder_num_layers", 2);
        var cells = new List<(LstmDirection Forward, LstmDirection Backward)>();
        for (var layer = 0; layer < layers; layer++)
        {
            LstmDirection Cell(string end) => LstmDirection.Of(
                name => $"lstm_head.{name}_l{layer}{end}",
                layer == 0 ? width : 2 * inner,
                inner,
                (name, shape) => Take(name, 1 / Math.Sqrt(inner), shape));
            cells.Add((Cell(""), Cell("_reverse")));
        }
        (Weight W, Weight B)[] heads = [Map("mlp_head.0", 2 * inner, 2 * inner), Map("mlp_head.2", width, 2 * inner)];
        parts.Plug(new PromptEncoder(() =>
        {
            var x = embedding.Value;
            foreach (var (forward, backward) in cells) x = cat([forward.Run(x, reversed: false), backward.Run(x, reversed: true)], 1);
            return Through(heads[1], Through(heads[0], x).relu());
        }, weights, count, parts.State));
    }
}
