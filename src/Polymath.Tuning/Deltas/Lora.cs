using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Low-rank adaptation (Hu et al. 2021, eq. 3): y = Wx + b + s·B(A(dropout x)), s = α/r, or α/√r when rank-stabilised (Kalajdzievski
/// 2023). A starts uniform in ±1/√in (Kaiming with a = √5), B at zero, so that a fresh delta changes nothing. With a magnitude m it is
/// DoRA (Liu et al. 2024): the changed weight's rows are scaled to the lengths m, which start as W's own; a row's length counts as a
/// constant in the gradient (section 4.3), and b is outside.
/// </summary>
public sealed class Lora : Delta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Lora,
        "LORA",
        [
            "r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "bias", "init_lora_weights",
            "lora_bias", "layer_replication", "trainable_token_indices", "loftq_config", "eva_config", "qalora_group_size",
            "target_parameters",
        ],
        Attach)
    {
        Check = Check,
        StackKey = LoraExperts.Key,
        HasBias = true,
        KnowsTransposed = true,
        Idle =
        [
            IdleSetting.Always("qalora_group_size", "QALoRA is not known here; leave it out"),
            IdleSetting.Unless("loftq_config", "init_lora_weights", "loftq"),
            IdleSetting.Unless("eva_config", "init_lora_weights", "eva"),
        ],
        Defaults = new JsonObject
        {
            ["alpha_pattern"] = new JsonObject(),
            ["auto_mapping"] = null,
            ["exclude_modules"] = null,
            ["fan_in_fan_out"] = false,
            ["init_lora_weights"] = true,
            ["layers_pattern"] = null,
            ["layers_to_transform"] = null,
            ["lora_alpha"] = 8,
            ["lora_bias"] = false,
            ["lora_dropout"] = 0,
            ["modules_to_save"] = null,
            ["r"] = 8,
            ["rank_pattern"] = new JsonObject(),
            ["use_dora"] = false,
            ["use_rslora"] = false,
        },
    };

    // Initializations that do not change the base.
    private static readonly string[] plainStarts = ["true", "false", "gaussian", "orthogonal", "mica"];

    private readonly DeltaSwitch state;
    private readonly double dropout;
    private readonly (Tensor A, Tensor B)? anchor;

    /// <summary>A delta for a projection.</summary>
    /// <param name="a">A [r, in].</param>
    /// <param name="b">B [out, r].</param>
    /// <param name="scale">s.</param>
    /// <param name="dropout">The share of the input that is dropped in training.</param>
    /// <param name="state">Whether the deltas of the set are on, and whether they train.</param>
    /// <param name="magnitude">m [out], or null.</param>
    /// <param name="anchor">Factors A₀ [r, in] and B₀ [out, r] whose product is subtracted, or null (PiSSA, OLoRA).</param>
    /// <param name="bias">c [out], which the delta adds to B's output, or null.</param>
    /// <param name="map">The projection, which must have a bias for c to be merged into.</param>
    public Lora(
        Weight a,
        Weight b,
        double scale,
        double dropout,
        DeltaSwitch state,
        Weight? magnitude = null,
        (Tensor A, Tensor B)? anchor = null,
        Weight? bias = null,
        Projection? map = null)
    {
        (A, B, Scale, this.dropout, this.state, Magnitude, this.anchor, Bias) = (a, b, scale, dropout, state, magnitude, anchor, bias);
        Merges = bias is null || map?.Bias is not null;
        Weights = [.. new[] { a, b, magnitude, bias }.OfType<Weight>()];
    }

    /// <summary>A [r, in].</summary>
    public Weight A { get; }

    /// <summary>B [out, r].</summary>
    public Weight B { get; }

    /// <summary>s.</summary>
    public double Scale { get; }

    /// <summary>m [out], or null.</summary>
    public Weight? Magnitude { get; }

    /// <summary>c [out], or null.</summary>
    public Weight? Bias { get; }

    /// <inheritdoc/>
    public override bool Merges { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(inner);
        var y = inner(x);
        if (!state.On) return y;
        var dropped = dropout > 0 && state.Training ? Dropout.Of(x, dropout) : x;
        if (anchor is { } start)
            y = addmm(
                y,
                nn.functional.linear(x, start.A),
                start.B.t(),
                1f,
                (float)-Scale);
        var low = nn.functional.linear(dropped, A.Value);                                           // [tokens, r]
        if (Magnitude is null)
        {
            y = addmm(
                y,
                low,
                B.Value.t(),
                1f,
                (float)Scale);                                       // [tokens, out]
            return Bias is null ? y : y + Bias.Value * Scale;
        }
        var gain = Gain(map.Matrix());
        var plain = map.Plain(dropped, withBias: false);
        if (anchor is { } off)
            plain = addmm(
                plain,
                nn.functional.linear(dropped, off.A),
                off.B.t(),
                1f,
                (float)-Scale);
        return y + plain * (gain - 1) + nn.functional.linear(low, B.Value, Bias?.Value) * (gain * Scale);
    }

    // m divided by the rows' lengths, which count as constants.
    private Tensor Gain(Tensor weight)
    {
        Tensor lengths;
        using (no_grad()) lengths = (weight + Change()).norm(1);
        return Magnitude!.Value / lengths;
    }

    /// <summary>s·(BA − B₀A₀) [out, in].</summary>
    public Tensor Change() => (anchor is { } start ? B.Value.mm(A.Value) - start.B.mm(start.A) : B.Value.mm(A.Value)) * Scale;

    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Merge(Tensor weight, Tensor? bias)
    {
        ArgumentNullException.ThrowIfNull(weight);
        var gain = Magnitude is null ? null : Gain(weight);
        if (Bias is not null) bias = bias! + (gain is null ? Bias.Value : Bias.Value * gain) * Scale;
        var changed = weight + Change();
        return (gain is null ? changed : changed * gain.unsqueeze(1), bias);
    }

    // DoRA's rows have lost their old lengths; the part that PiSSA and OLoRA subtract belongs to the base.
    /// <inheritdoc/>
    public override bool Unmerges => Magnitude is null && anchor is null && Merges;

    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Unmerge(Tensor weight, Tensor? bias)
    {
        if (Unmerges) return (weight - Change(), Bias is null ? bias : bias! - Bias.Value * Scale);
        return base.Unmerge(weight, bias);
    }

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        Check(configuration);
        var rank = configuration.Whole("r", 8);
        var alpha = configuration.Number("lora_alpha", 8);
        var start = LoraStart.Of(configuration);
        var guessed = start.StartsWith("pissa_niter_", StringComparison.Ordinal);
        // PEFT's fast initialization of PiSSA uses random numbers, so the part that it took off the base cannot be computed again. A fresh
        // adapter here starts from the exact parts, and its file says so.
        if (guessed && !parts.IsFresh)
            throw configuration.Fault(
                "init_lora_weights",
                "what PEFT took off the base depends on random numbers and is not in the file; save it converted (save_pretrained with "
                    + "path_initial_model_for_weight_conversion)");
        if (guessed) configuration.Set("init_lora_weights", "pissa");
        (int Rank, double Scale) Size(string name)
        {
            var own = configuration.SpecialSize("rank_pattern", name, rank);
            var numerator = configuration.Special("alpha_pattern", name, alpha);
            return (own, configuration.Flag("use_rslora") ? numerator / Math.Sqrt(own) : numerator / own);
        }
        var plugged = new List<(Projection, Lora)>();
        foreach (var target in parts.Targets)
        {
            var delta = Beside(parts, target, Size(target.Name), start);
            parts.Plug(target, delta);
            plugged.Add((target, delta));
        }
        LoraExperts.Attach(parts, Size);
        if (start == "eva" && parts.IsFresh) parts.Follow(new Eva(parts, plugged));
        // From here on, it is plain low-rank adaptation of the quantized base.
        if (start == "loftq") configuration.Started();
        if (configuration.Has("trainable_token_indices")) TrainableTokens.AttachBeside(parts);
        if (parts.TargetsTokens) AttachToTokens(parts, Size(parts.Model.Tokens.Name));
    }

    // A delta of one map.
    private static Lora Beside(DeltaParts parts, Projection target, (int Rank, double Scale) size, string start)
    {
        var configuration = parts.Configuration;
        var (own, scale) = size;
        var prefix = AdapterConfiguration.Prefix + target.Name;
        var starts = LoraStart.Draws(start, own, target.InputWidth);
        var a = parts.Named(prefix + ".lora_A.weight", starts.A, [own, target.InputWidth], stream: prefix);
        var b = start == "mica" ? parts.Fixed(prefix + ".lora_B.weight", starts.B, target.OutputWidth, own) : parts.Weight(
            target.Name,
            "lora_B.weight",
            starts.B,
            target.OutputWidth,
            own);
        if (start == "orthogonal" && parts.IsFresh) LoraStart.Orthogonal(parts, target, a, b);
        if (start == "mica" && parts.IsFresh) LoraStart.Begin(b, () => LoraStart.Least(target.Matrix(), own));
        var magnitude = configuration.Flag("use_dora")
            ? parts.Weight(target.Name, "lora_magnitude_vector", Start.One, target.OutputWidth)
            : null;
        var anchor = LoraStart.Anchor(parts, target, size, start);
        if (anchor is { } first && parts.IsFresh)
        {
            a.Assign(first.A);
            b.Assign(first.B);
        }
        if (start == "loftq" && parts.IsFresh)
            LoftQ.Start(
                configuration,
                target,
                a,
                b,
                scale);
        var bias = configuration.Flag("lora_bias") ? parts.Weight(target.Name, "lora_B.bias", Start.Zero, target.OutputWidth) : null;
        var delta = new Lora(
            a,
            b,
            scale,
            configuration.Number("lora_dropout", 0),
            parts.State,
            magnitude,
            anchor,
            bias,
            target);
        if (parts.IsFresh && magnitude is not null) LoraStart.Begin(magnitude, () => (target.Matrix() + delta.Change()).norm(1));
        return delta;
    }

    private static void AttachToTokens(DeltaParts parts, (int Rank, double Scale) size)
    {
        var configuration = parts.Configuration;
        var table = parts.Model.Tokens;
        var (words, width) = (table.Embedding.Value.size(0), table.Embedding.Value.size(1));
        Weight left = parts.Weight(
            table.Name,
            "lora_embedding_A",
            Start.Zero,
            size.Rank,
            words),
            right = parts.Weight(
                table.Name,
                "lora_embedding_B",
                Start.Normal(1),
                width,
                size.Rank);
        var lengths = configuration.Flag("use_dora") ? parts.Weight(table.Name, "lora_magnitude_vector", Start.One, width) : null;
        var tokens = new LoraTokens(
            left,
            right,
            size.Scale,
            parts.State,
            table.Embedding,
            lengths);
        if (parts.IsFresh && lengths is not null) LoraStart.Begin(lengths, () => tokens.Lengths(table.Embedding.Value));
        parts.Plug(tokens);
    }

    private static void Check(AdapterConfiguration configuration)
    {
        if (configuration.Number("lora_dropout", 0) is not (>= 0 and < 1))
            throw configuration.Fault("lora_dropout", "a number from 0 to below 1 is needed");
        var start = LoraStart.Of(configuration);
        var loftq = start == "loftq";
        if (!LoraStart.IsAnchored(start) && !loftq && start != "eva" && !plainStarts.Contains(start))
            throw configuration.Fault(
                "init_lora_weights",
                "known are true, false, \"gaussian\", \"orthogonal\", \"mica\", \"pissa\", \"olora\", \"loftq\" and \"eva\"; convert "
                    + "another to a plain one first (PEFT's save_pretrained with path_initial_model_for_weight_conversion)");
        if (loftq && configuration.Flag("use_dora"))
            throw configuration.Fault("init_lora_weights", "DoRA starts from the full weight; use true");
        if (configuration.Has("layer_replication"))
            throw configuration.Fault(
                "layer_replication",
                "a base whose layers are repeated is another model. Write that one first (config.json with more layers, and their weights "
                    + "under the new numbers), then train or attach the adapter on it");
        if (start == "eva") Eva.Check(configuration);
    }

    /// <summary>The configuration of low-rank factors that were made or read elsewhere.</summary>
    /// <param name="rank">r.</param>
    /// <param name="alpha">α.</param>
    /// <param name="targets">The projections' names or their ends.</param>
    /// <param name="basis">The base model's name or folder.</param>
    /// <param name="task">PEFT's <c>task_type</c>.</param>
    internal static AdapterConfiguration Configure(
        int rank,
        double alpha,
        IReadOnlyList<string> targets,
        string basis,
        string? task)
    {
        var configuration = AdapterConfiguration.Of(new JsonObject
        {
            ["base_model_name_or_path"] = basis,
            ["bias"] = "none",
            ["inference_mode"] = true,
            // PEFT writes an integer alpha without a decimal point.
            ["lora_alpha"] = alpha == Math.Floor(alpha) ? JsonValue.Create((long)alpha) : JsonValue.Create(alpha),
            ["peft_type"] = Method.Type,
            ["r"] = rank,
            ["revision"] = null,
            ["target_modules"] = AdapterConfiguration.Named(targets),
            ["task_type"] = task,
        }, "the recipe");
        configuration.Fill(Method.Defaults);
        return configuration;
    }
}
