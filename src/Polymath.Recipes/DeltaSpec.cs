namespace Polymath.Recipes;

/// <summary>The forms of a delta.</summary>
public enum DeltaForm
{
    /// <summary>Low-rank adaptation (Hu et al. 2021); its settings make it rank-stabilised or DoRA.</summary>
    Lora,

    /// <summary>Adaptive low-rank adaptation (Zhang et al. 2023).</summary>
    Adalora,

    /// <summary>Vectors between shared random matrices (Kopiczko et al. 2024).</summary>
    Vera,

    /// <summary>A low-rank Hadamard product (Hyeon-Woo et al. 2022).</summary>
    Loha,

    /// <summary>A low-rank Kronecker product (Yeh et al. 2024).</summary>
    Lokr,

    /// <summary>Orthogonal fine-tuning (Qiu et al. 2023).</summary>
    Oft,

    /// <summary>Orthogonal butterfly fine-tuning (Liu et al. 2024).</summary>
    Boft,

    /// <summary>Householder reflections (Yuan et al. 2024).</summary>
    Hra,

    /// <summary>A sparse spectrum (Gao et al. 2024).</summary>
    Fourierft,

    /// <summary>A few elements of each weight, in PEFT's file (Bhardwaj et al. 2024).</summary>
    Shira,

    /// <summary>A factor for each activation (Liu et al. 2022).</summary>
    Ia3,

    /// <summary>Norms only (Zhao et al. 2024).</summary>
    NormTuning,

    /// <summary>Biases only (Ben Zaken et al. 2022).</summary>
    Bitfit,

    /// <summary>A few elements of each weight (Sung et al. 2021).</summary>
    Sparse,

    /// <summary>Intrinsic dimension (Aghajanyan et al. 2021).</summary>
    Said,

    /// <summary>Bottleneck adapters (Houlsby et al. 2019; He et al. 2022).</summary>
    Adapter,

    /// <summary>The vectors of chosen tokens.</summary>
    TrainableTokens,

    /// <summary>Vectors of virtual tokens (Lester et al. 2021).</summary>
    PromptTuning,

    /// <summary>Virtual tokens from an encoder: P-tuning (Liu et al. 2021).</summary>
    PTuning,

    /// <summary>
    /// Keys and values of virtual tokens in every layer: prefix tuning (Li &amp; Liang 2021), P-tuning v2 (Liu et al. 2022).
    /// </summary>
    PrefixTuning,

    /// <summary>Vectors that the uppermost layers attend to, behind a gate: LLaMA-Adapter (Zhang et al. 2023).</summary>
    AdaptionPrompt,
}

/// <summary>How the frozen weights of a model are stored while a delta is trained, or while the model generates.</summary>
public enum BasePrecision
{
    /// <summary>32 bits a number.</summary>
    Float32,

    /// <summary>16 bits, bfloat16.</summary>
    Bfloat16,

    /// <summary>16 bits, float16.</summary>
    Float16,

    /// <summary>8 bits, with a scale for each output (Dettmers et al. 2022).</summary>
    Int8,

    /// <summary>4 bits, NF4 with quantised scales: QLoRA (Dettmers et al. 2023).</summary>
    Nf4,
}

/// <summary>What a socket is for, in names that are the same for every family.</summary>
public enum Socket
{
    /// <summary>Attention's query map; the fused map where a family has one.</summary>
    Query,

    /// <summary>Attention's key map.</summary>
    Key,

    /// <summary>Attention's value map.</summary>
    Value,

    /// <summary>Attention's output map.</summary>
    Output,

    /// <summary>All of attention's maps.</summary>
    Attention,

    /// <summary>The gate map of the feed-forward block.</summary>
    Gate,

    /// <summary>The up map of the feed-forward block.</summary>
    Up,

    /// <summary>The down map of the feed-forward block.</summary>
    Down,

    /// <summary>All of the feed-forward block's maps.</summary>
    FeedForward,

    /// <summary>Norms.</summary>
    Norm,

    /// <summary>The table of token vectors.</summary>
    Embedding,

    /// <summary>The output head.</summary>
    Head,
}

/// <summary>
/// Delta learning: a small change is trained while the model is frozen. One description covers all methods (He et al. 2022): which sockets,
/// which layers, which form, which size.
/// </summary>
/// <param name="Form">The form of the change.</param>
/// <param name="Roles">The sockets, by what they are for; the form's own choice when left out.</param>
/// <param name="TargetModules">The sockets by the end of their names, instead of <paramref name="Roles"/>; <c>all-linear</c> for every map
/// except the head.</param>
/// <param name="Layers">The blocks, from 0; all when left out.</param>
/// <param name="Budget">How many parameters it may have: <c>0.5%</c> of the model's, <c>8k</c>, <c>1.5m</c> or a number. The size setting
/// is computed from it.</param>
/// <param name="Settings">The form's own settings, by PEFT's names, such as <c>r</c>, <c>lora_alpha</c>, <c>use_dora</c>.</param>
/// <param name="Merge">Whether the delta is merged into the model when the stage ends; forms that cannot be merged are saved apart.</param>
/// <param name="Base">How the frozen weights are stored during training; as in the files when left out. <c>nf4</c> is QLoRA. The saved
/// model has the rounded weights.</param>
public sealed record DeltaSpec(
    DeltaForm Form,
    IReadOnlyList<Socket>? Roles = null,
    IReadOnlyList<string>? TargetModules = null,
    [Bounds(0, 100000)] IReadOnlyList<int>? Layers = null,
    string? Budget = null,
    IReadOnlyDictionary<string, string>? Settings = null,
    bool Merge = false,
    BasePrecision? Base = null) : MethodSpec
{
    /// <inheritdoc/>
    public override string Kind => "delta";

    /// <summary>Whether it trains a low-rank B, for which LoRA+ sets its own learning rate. MiCA does not train B.</summary>
    public bool TrainsB() => Form is DeltaForm.Lora or DeltaForm.Adalora
        && Settings?.GetValueOrDefault("init_lora_weights")?.Equals("mica", StringComparison.OrdinalIgnoreCase) != true;
}
