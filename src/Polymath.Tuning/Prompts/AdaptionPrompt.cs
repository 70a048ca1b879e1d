using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// LLaMA-Adapter (Zhang et al. 2023, eq. 4 to 8): in the uppermost layers every token also attends to n learned vectors, from which the
/// layer's own maps compute keys and values. The result is weighed by a gate g for each layer and added: g·softmax(q·Kᵀ/√D)·V. The
/// gate starts at zero, the vectors are normally distributed. The vectors have no position: their keys are not rotated.
/// </summary>
public sealed class AdaptionPrompt : AttentionAddition
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.AdaptionPrompt,
        "ADAPTION_PROMPT",
        ["adapter_len", "adapter_layers"],
        Attach)
    {
        SizeKey = "adapter_len",
        HasSockets = false,
        NoLayers = "adaption prompts go to the uppermost layers; say how many with settings: {adapter_layers: ...}",
        Idle = IdleSetting.OfPrompts,
    };

    private readonly Weight vectors, gate;
    private readonly DeltaSwitch state;

    private AdaptionPrompt(Weight vectors, Weight gate, DeltaSwitch state) =>
        (this.vectors, this.gate, this.state, Weights) = (vectors, gate, state, [vectors, gate]);

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override bool IsOn => state.On;

    /// <inheritdoc/>
    public override Tensor Vectors => vectors.Value[0];

    /// <inheritdoc/>
    public override Tensor Mix(Tensor query, Tensor key, Tensor value)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        long heads = query.size(1), width = query.size(2), shared = heads / key.size(1);
        Tensor Each(Tensor x) => x.repeat_interleave(shared, 1).transpose(0, 1);                                     // [heads, n, D]
        var scores = query.transpose(0, 1).bmm(Each(key).transpose(1, 2)) / Math.Sqrt(width);                     // [heads, tokens, n]
        return (scores.softmax(-1) * gate.Value).bmm(Each(value)).transpose(0, 1).flatten(1);
    }

    private static void Attach(DeltaParts parts)
    {
        var sockets = parts.Model.Attentions;
        var family = parts.Model.Configuration["model_type"];
        if (sockets.Count == 0)
            throw new InputException($"{parts.Configuration.Origin}: the attention of a {family} does not support adaption prompts. "
                + "They are for decoders with attention; use prefix tuning.");
        int length = parts.Configuration.Whole("adapter_len", 10),
            layers = parts.Configuration.Whole("adapter_layers", sockets.Count),
            width = (int)parts.Model.Tokens.Embedding.Value.size(1);
        if (layers > sockets.Count)
            throw parts.Fault("adapter_layers", $"the model has {sockets.Count} layers of attention that can take them");
        var end = sockets[0].Name[(sockets[0].Name.LastIndexOf('.') + 1)..];
        if ((parts.Configuration.Text("target_modules") ?? end) != end)
            throw parts.Fault("target_modules", $"the attention of a {family} is called {end}");
        // PEFT counts the layers from the top.
        foreach (var socket in sockets.Skip(sockets.Count - layers))
            parts.Plug(socket, new AdaptionPrompt(
                parts.Weight(
                    socket.Name,
                    "adaption_prompt",
                    Start.Normal(1),
                    1,
                    length,
                    width),
                parts.Weight(socket.Name, "adaption_gate", Start.Zero, 1),
                parts.State));
        parts.Configuration.Set("target_modules", end);
        parts.Configuration.Set("adapter_layers", layers);
        parts.Configuration.Set("adapter_len", length);
    }
}
