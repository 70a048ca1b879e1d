using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>
/// Refuses settings of a fresh adapter that would have no effect: those of PEFT's files without a meaning here, and those that belong to
/// another choice. Existing files may have them.
/// </summary>
static class IdleSettings
{
    private const string Any = "";

    private static readonly string[] prompts = ["PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT"];
    private static readonly string[] steady = ["OFT", "BOFT", "HRA", "LOHA", "LOKR", "VERA", "IA3", "TRAINABLE_TOKENS"];

    private sealed record Rule(
        string Type,
        string Key,
        Func<AdapterConfiguration, bool> Idle,
        string Wish,
        bool BySize = false);

    private static readonly Rule[] rules =
    [
        Always("ADALORA", "r", "the ranks of AdaLoRA are init_r and target_r; leave it out"),
        Always("ADALORA", "use_rslora", "AdaLoRA has no such scale; leave it out"),
        Always("ADALORA", "alpha_pattern", "AdaLoRA has one alpha; leave it out"),
        Always("ADALORA", "init_lora_weights", "AdaLoRA has only one initialization; leave it out"),
        new("ADALORA", "target_r", configuration => configuration.Whole("target_r", 8, least: 0) > configuration.Whole("init_r", 12),
            "it is the number of ranks left of init_r, so it must be smaller; lower it, or raise init_r", BySize: true),
        Always("VERA", "projection_prng_key", "the recipe's seed chooses the projections; leave it out"),
        Always("SHIRA", "random_seed", "the recipe's seed chooses the mask; leave it out"),
        Always("LOHA", "rank_dropout_scale", "the kept rows are always scaled up; leave it out"),
        Always("LOHA", "use_effective_conv2d", "there are no convolutions; leave it out"),
        Always("LOKR", "use_effective_conv2d", "there are no convolutions; leave it out"),
        Always("LORA", "qalora_group_size", "QALoRA is not known here; leave it out"),
        Always("ADALORA", "qalora_group_size", "QALoRA is not known here; leave it out"),
        Always("P_TUNING", "encoder_dropout", "the encoder has no dropout here; leave it out"),
        Always("PROMPT_TUNING", "tokenizer_name_or_path", "the text is read by the model's own tokenizer; leave it out"),
        Always("PROMPT_TUNING", "tokenizer_kwargs", "the text is read by the model's own tokenizer; leave it out"),
        Unless("LORA", "loftq_config", "init_lora_weights", "loftq"),
        Unless("LORA", "eva_config", "init_lora_weights", "eva"),
        Unless("SHIRA", "fisher_rows", "mask_type", "fisher"),
        Unless("POLYMATH_SPARSE", "fisher_rows", "choose", "fisher"),
        Unless("PROMPT_TUNING", "prompt_tuning_init_text", "prompt_tuning_init", "TEXT"),
        Unless("P_TUNING", "encoder_num_layers", "encoder_reparameterization_type", "LSTM"),
        Unless("PREFIX_TUNING", "encoder_hidden_size", "prefix_projection", "true"),
        Unless("OFT", "eps", "coft", "true"),
        new(
            "LOKR",
            "decompose_factor",
            configuration => configuration.Whole("decompose_factor", -1, least: -1) == 0,
            "0 splits as 1 does; write 1, or -1 for two factors near each other"),
        new(
            "OFT",
            "num_cayley_neumann_terms",
            configuration => !configuration.Flag("use_cayley_neumann", otherwise: true),
            "it belongs to use_cayley_neumann: true"),
        new(
            "POLYMATH_BOTTLENECK",
            "phm_rank",
            configuration => configuration.Whole("phm_dim", 0, least: 0) == 0,
            "it belongs to phm_dim, which makes the adapter Compacter"),
        new(
            "POLYMATH_BOTTLENECK",
            "scale",
            configuration => configuration.Text("composition") == "gated",
            "a gated adapter is weighed by its gate; leave it out, or use composition: add"),
        new(
            "POLYMATH_BOTTLENECK",
            "learned_scale",
            configuration => configuration.Text("composition") == "gated",
            "a gated adapter is weighed by its gate; leave it out, or use composition: add"),
        new(
            Any,
            "layers_pattern",
            configuration => !configuration.Has("layers_to_transform"),
            "it says where the numbers of layers are in names; name some layers, or leave it out"),
        new(
            Any,
            "ensure_weight_tying",
            configuration => configuration.Flag("ensure_weight_tying") && configuration.Texts("modules_to_save").Count == 0,
            "it belongs to modules_to_save"),
        .. steady.Select(type => new Rule(
            type,
            type == "IA3" ? "init_ia3_weights" : "init_weights",
            configuration => configuration.Text(type == "IA3" ? "init_ia3_weights" : "init_weights") != "true",
            "a fresh one has only one initialization; leave it out")),
        .. prompts.SelectMany(type => new[]
        {
            Always(type, "layers_to_transform", "a prompt has no layers to choose; leave layers out"),
            Always(type, "exclude_modules", "a prompt has no sockets; leave it out"),
        }),
    ];

    private static Rule Always(string type, string key, string wish) => new(type, key, _ => true, wish);

    private static Rule Unless(string type, string key, string other, string value) =>
        new(
            type,
            key,
            configuration => !string.Equals(configuration.Text(other), value, StringComparison.OrdinalIgnoreCase),
            $"it belongs to {other}: {value}");

    /// <summary>Checks the settings of a fresh adapter.</summary>
    /// <param name="configuration">The settings.</param>
    /// <param name="sized">Whether the adapter's size is already known; a budget may still determine it.</param>
    /// <exception cref="InputException">One of them would have no effect.</exception>
    internal static void Check(AdapterConfiguration configuration, bool sized = true)
    {
        foreach (var rule in rules.Where(rule => sized || !rule.BySize))
            if ((rule.Type == Any || rule.Type == configuration.Type) && configuration.Has(rule.Key) && rule.Idle(configuration))
                throw configuration.Fault(rule.Key, rule.Wish);
    }
}
