"""The random tiny configurations of every family, for make_fuzz.py.

A family is a function of a source of chance: it gives the names of transformers' configuration and model, and the settings. Every setting
that changes the mathematics is drawn, so that one which is read wrongly shows sooner or later.
"""
import random

FULL, SLIDING, LINEAR, CHUNKED = "full_attention", "sliding_attention", "linear_attention", "chunked_attention"
GATES = ("silu", "silu", "silu", "gelu", "gelu_pytorch_tanh", "relu", "gelu_new", "tanh")
INNERS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "quick_gelu", "gelu_fast", "relu2", "mish", "sigmoid", "leaky_relu")
ROPES = ("default", "default", "default", "linear", "dynamic", "yarn", "llama3", "longrope")


class Chance(random.Random):
    """A source of chance with the choices that configurations need."""

    def flag(self, share=0.5):
        return self.random() < share

    def of(self, *choices):
        return self.choice(choices)

    def layers(self, count, *kinds):
        """A kind for each layer, with at least two kinds where there are layers enough."""
        types = [self.choice(kinds) for _ in range(count)]
        if count >= len(kinds):
            for place, kind in zip(self.sample(range(count), len(kinds)), kinds):
                types[place] = kind
        return types


def base(c, **more):
    return dict(
        dict(
            vocab_size=c.of(61, 96, 130), intermediate_size=c.of(20, 36, 48), num_hidden_layers=c.of(2, 3, 4), max_position_embeddings=128,
            pad_token_id=0, bos_token_id=1, eos_token_id=2),
        **more)


def heads(c, free=False, width=None, grouped=True):
    """Sizes of attention; where the width of a head is free, it is not the heads' share of the hidden width."""
    count = c.of(2, 4, 4, 6)
    shared = c.of(*[n for n in range(1, count + 1) if count % n == 0]) if grouped else count
    width = width or c.of(8, 12, 16)
    sizes = dict(num_attention_heads=count, hidden_size=count * width)
    if grouped:
        sizes["num_key_value_heads"] = shared
    if free and c.flag(0.6):
        sizes.update(head_dim=width, hidden_size=count * c.of(6, 10, 14))
    elif free and c.flag():
        sizes["head_dim"] = width
    return sizes


def width_of(settings):
    return settings.get("head_dim") or settings["hidden_size"] // settings["num_attention_heads"]


def rope(c, width, kinds=ROPES, partial=None, theta=(10000.0, 500000.0, 300.0)):
    """One set of rotary settings. Contexts are small, so that rows are longer than the first context."""
    kind = c.of(*kinds)
    made = dict(rope_type=kind, rope_theta=c.of(*theta))
    turned = width if partial is None else int(width * partial)
    if partial is not None:
        made["partial_rotary_factor"] = partial
    if kind in ("linear", "dynamic"):
        made["factor"] = c.of(1.5, 2.0, 4.0)
    elif kind == "yarn":
        made.update(factor=c.of(2.0, 4.0, 8.0), original_max_position_embeddings=c.of(8, 16, 64))
        if c.flag():
            made.update(beta_fast=c.of(8.0, 16.0, 32.0), beta_slow=c.of(1.0, 2.0))
        if c.flag(0.3):
            made["truncate"] = False
        if c.flag(0.3):
            made["attention_factor"] = c.of(0.7, 1.2)
        elif c.flag(0.4):
            made.update(mscale=c.of(0.7, 1.0), mscale_all_dim=c.of(0.5, 0.9, 1.0))
    elif kind == "llama3":
        made.update(factor=c.of(4.0, 8.0), low_freq_factor=1.0, high_freq_factor=c.of(2.0, 4.0), original_max_position_embeddings=c.of(16, 64))
    elif kind == "longrope":
        grown = sorted(round(c.uniform(1, 4), 3) for _ in range(turned // 2))
        made.update(
            short_factor=[round(1 + (f - 1) / 6, 3) for f in grown], long_factor=grown, original_max_position_embeddings=c.of(8, 64),
            factor=c.of(2.0, 4.0))
        if c.flag(0.3):
            made["attention_factor"] = c.of(0.8, 1.1)
    return made


def place(c, settings, **options):
    """Adds rotary settings to a configuration."""
    made = rope(c, width_of(settings), **options)
    settings["rope_parameters"] = made
    if made["rope_type"] == "longrope":
        settings["original_max_position_embeddings"] = made["original_max_position_embeddings"]
    return settings


def windows(c, settings, share=0.5):
    if c.flag(share):
        settings["sliding_window"] = c.of(3, 4, 7)
    else:
        settings["sliding_window"] = None
    return settings


def experts(c, **names):
    count = c.of(3, 4, 6)
    made = {names.get("count", "num_experts"): count, "num_experts_per_tok": c.of(1, 2, min(3, count))}
    if c.flag(0.3):
        # The balancing loss.
        made.update(output_router_logits=True, router_aux_loss_coef=c.of(0.02, 0.5))
    return made


def llama(c):
    s = base(c, **heads(c, free=True), hidden_act=c.of(*GATES), attention_bias=c.flag(0.4), mlp_bias=c.flag(0.4),
             tie_word_embeddings=c.flag(0.3), rms_norm_eps=c.of(1e-5, 1e-6, 1e-3))
    return "Llama", place(c, s)


def mistral(c):
    s = base(c, **heads(c, free=True), hidden_act=c.of(*GATES), tie_word_embeddings=c.flag(0.3))
    return "Mistral", windows(c, place(c, s), 0.7)


def qwen2(c, name="Qwen2", **more):
    s = base(c, **more, hidden_act=c.of(*GATES), tie_word_embeddings=c.flag(0.4))
    if "num_attention_heads" not in s:
        s.update(heads(c))
    if c.flag():
        s.update(use_sliding_window=True, sliding_window=c.of(3, 5))
        if c.flag():
            s["max_window_layers"] = c.of(0, 1, s["num_hidden_layers"])
        else:
            s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    elif c.flag():
        s.update(use_sliding_window=False, sliding_window=4)
    return name, place(c, s)


def qwen3(c):
    return qwen2(c, "Qwen3", **heads(c, free=True), attention_bias=c.flag())


def qwen2_moe(c):
    name, s = qwen2(c, "Qwen2Moe", **experts(c), moe_intermediate_size=c.of(12, 20), shared_expert_intermediate_size=c.of(12, 28),
                    norm_topk_prob=c.flag(), qkv_bias=c.flag(0.7))
    sparse(c, s)
    return name, s


def sparse(c, s):
    if c.flag(0.4):
        s["decoder_sparse_step"] = 2
    if c.flag(0.4):
        s["mlp_only_layers"] = [c.randrange(s["num_hidden_layers"])]


def qwen3_moe(c):
    s = base(c, **heads(c, free=True), **experts(c), moe_intermediate_size=c.of(12, 20), norm_topk_prob=c.flag(),
             attention_bias=c.flag(0.3), tie_word_embeddings=c.flag(0.3), hidden_act=c.of(*GATES))
    sparse(c, s)
    if c.flag(0.4):
        s.update(use_sliding_window=True, sliding_window=c.of(3, 5))
    return "Qwen3Moe", place(c, s)


def mixtral(c):
    s = base(c, **heads(c, free=True), **experts(c, count="num_local_experts"), hidden_act=c.of(*GATES), tie_word_embeddings=c.flag(0.3))
    return "Mixtral", windows(c, place(c, s))


def gemma(c):
    s = base(c, **heads(c), head_dim=c.of(8, 16), attention_bias=c.flag(0.3), hidden_act=c.of("gelu_pytorch_tanh", "gelu", "silu"),
             tie_word_embeddings=c.flag(0.8))
    return "Gemma", place(c, s)


def gemma2(c, name="Gemma2"):
    s = base(c, **heads(c), head_dim=c.of(8, 16), query_pre_attn_scalar=c.of(8, 20, 144), sliding_window=c.of(3, 5),
             attention_bias=c.flag(0.3), hidden_activation=c.of("gelu_pytorch_tanh", "gelu", "silu"), tie_word_embeddings=c.flag(0.8),
             final_logit_softcapping=c.of(None, 5.0, 30.0), attn_logit_softcapping=c.of(None, 2.0, 50.0))
    if c.flag():
        s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    return name, place(c, s)


def gemma3(c):
    name, s = gemma2(c, "Gemma3")
    del s["rope_parameters"]
    width, kinds = s["head_dim"], ("default", "default", "linear", "yarn", "llama3")
    if c.flag(0.7):
        s["rope_parameters"] = {FULL: rope(c, width, kinds), SLIDING: rope(c, width, ("default", "default", "linear"))}
    if c.flag(0.3) and "layer_types" not in s:
        s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    return name, s


def gemma4(c):
    layers = c.of(3, 4, 5)
    types = c.layers(layers, FULL, SLIDING)
    types[-1] = FULL
    s = base(c, **heads(c), num_hidden_layers=layers, layer_types=types, head_dim=c.of(8, 16), global_head_dim=c.of(16, 32),
             sliding_window=c.of(3, 5), attention_bias=c.flag(0.3), hidden_activation=c.of("gelu_pytorch_tanh", "gelu", "silu"),
             tie_word_embeddings=c.flag(0.8), final_logit_softcapping=c.of(None, 8.0), use_double_wide_mlp=c.flag(),
             hidden_size_per_layer_input=c.of(0, 0, 8, 12))
    s["vocab_size_per_layer_input"] = s["vocab_size"]
    shared = c.randrange(layers - 1)
    if shared and set(types[:layers - shared]) == {FULL, SLIDING}:
        s["num_kv_shared_layers"] = shared
    else:
        s["num_kv_shared_layers"] = 0
    if c.flag(0.4):
        s["attention_k_eq_v"] = True
        s["num_global_key_value_heads"] = c.of(1, s["num_key_value_heads"])
        if s["num_attention_heads"] % s["num_global_key_value_heads"]:
            s["num_global_key_value_heads"] = 1
    if c.flag(0.4):
        s.update(enable_moe_block=True, num_experts=c.of(3, 4), top_k_experts=c.of(1, 2), moe_intermediate_size=c.of(12, 20))
    if c.flag(0.7):
        full = dict(rope_type="proportional", rope_theta=c.of(1e6, 1e4), partial_rotary_factor=c.of(0.25, 0.5, 1.0))
        s["rope_parameters"] = {FULL: full, SLIDING: rope(c, 8, ("default", "linear"))}
    return "Gemma4", s


def phi3(c):
    partial = c.of(None, None, 0.5, 0.75)
    s = base(c, **heads(c, width=16), hidden_act=c.of(*GATES), tie_word_embeddings=c.flag(0.3), original_max_position_embeddings=c.of(8, 64))
    place(c, s, kinds=("default", "default", "longrope", "longrope"), partial=partial)
    return "Phi3", windows(c, s, 0.5)


def glm(c, name="Glm"):
    partial = c.of(0.5, 0.5, 1.0, 0.25)
    s = base(c, **heads(c), attention_bias=c.flag(), hidden_act=c.of(*GATES), tie_word_embeddings=c.flag(0.3))
    s["head_dim"] = c.of(8, 16)
    return name, place(c, s, kinds=("default", "default", "linear", "yarn", "dynamic"), partial=partial)


def glm4_moe(c):
    partial = c.of(0.5, 0.5, 1.0)
    groups = c.of(1, 1, 2)
    s = base(c, **heads(c), n_routed_experts=c.of(4, 6), num_experts_per_tok=c.of(1, 2), n_shared_experts=c.of(1, 2), n_group=groups,
             topk_group=c.of(1, groups), moe_intermediate_size=c.of(12, 20), first_k_dense_replace=c.of(0, 1, 2),
             norm_topk_prob=c.flag(0.7), routed_scaling_factor=c.of(1.0, 1.7), use_qk_norm=c.flag(), attention_bias=c.flag(),
             hidden_act=c.of(*GATES), tie_word_embeddings=c.flag(0.3))
    s["head_dim"] = c.of(8, 16)
    return "Glm4Moe", place(c, s, kinds=("default", "default", "linear", "yarn"), partial=partial)


def latent(c):
    groups = c.of(1, 2, 2)
    s = base(c, hidden_size=c.of(24, 32, 48), num_attention_heads=c.of(2, 4), q_lora_rank=c.of(None, 12, 20), kv_lora_rank=c.of(12, 24),
             qk_nope_head_dim=c.of(8, 16, 20), qk_rope_head_dim=c.of(4, 8), v_head_dim=c.of(8, 12, 32), n_routed_experts=c.of(4, 8),
             num_experts_per_tok=c.of(1, 2), n_shared_experts=c.of(1, 2), n_group=groups, topk_group=c.of(1, groups),
             moe_intermediate_size=c.of(12, 20), first_k_dense_replace=c.of(0, 1, 2), norm_topk_prob=c.flag(0.7),
             routed_scaling_factor=c.of(1.0, 1.7), attention_bias=c.flag(0.3), hidden_act=c.of(*GATES), tie_word_embeddings=c.flag(0.3))
    s["num_key_value_heads"] = s["num_attention_heads"]
    return s


def deepseek_v3(c):
    s = latent(c)
    s["rope_parameters"] = rope(c, s["qk_rope_head_dim"], ("default", "yarn", "yarn", "linear"))
    if c.flag(0.3):
        s["rope_interleave"] = False
    return "DeepseekV3", s


def deepseek_v2(c):
    s = latent(c)
    # Not drawn: what transformers errs in (NOTES.md): normalised weights, and groups in 5.12.
    s.update(norm_topk_prob=False, topk_method=c.of("greedy", "group_limited_greedy"), mlp_bias=c.flag(0.3))
    s["rope_parameters"] = rope(c, s["qk_rope_head_dim"], ("default", "yarn", "linear"))
    return "DeepseekV2", s


def gpt_oss(c):
    s = base(c, **heads(c), **experts(c, count="num_local_experts"), sliding_window=c.of(3, 5), attention_bias=c.flag(0.7),
             tie_word_embeddings=c.flag(0.3))
    s["head_dim"] = c.of(8, 16)
    if c.flag():
        s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    return "GptOss", place(c, s, kinds=("default", "yarn", "yarn", "linear"))


def next_like(c, **more):
    key, group = c.of(1, 2), c.of(1, 2, 3)
    s = base(c, **heads(c), linear_num_key_heads=key, linear_num_value_heads=key * group, linear_key_head_dim=c.of(8, 12),
             linear_value_head_dim=c.of(8, 16), linear_conv_kernel_dim=c.of(2, 3, 4), attention_bias=c.flag(0.3),
             tie_word_embeddings=c.flag(0.3), hidden_act=c.of("silu", "silu", "gelu"), **more)
    s["head_dim"] = c.of(8, 16)
    if c.flag():
        s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, LINEAR)
    else:
        s.update(num_hidden_layers=4)
    return place(c, s, kinds=("default", "default", "linear", "yarn"), partial=c.of(0.25, 0.5, 1.0))


def shared_mixture(c):
    return dict(experts(c), moe_intermediate_size=c.of(12, 20), shared_expert_intermediate_size=c.of(12, 28))


def qwen3_next(c):
    s = next_like(c, **shared_mixture(c), norm_topk_prob=c.flag())
    sparse(c, s)
    return "Qwen3Next", s


def qwen3_5(c):
    return "Qwen3_5", next_like(c)


def qwen3_5_moe(c):
    return "Qwen3_5Moe", next_like(c, **shared_mixture(c))


def llama4(c):
    s = base(c, **heads(c), num_local_experts=c.of(2, 4), num_experts_per_tok=c.of(1, 2), intermediate_size_mlp=c.of(28, 40),
             interleave_moe_layer_step=c.of(1, 2), use_qk_norm=c.flag(), attention_bias=c.flag(0.3), tie_word_embeddings=c.flag(0.3),
             attention_chunk_size=c.of(4, 6, 64), attn_temperature_tuning=c.flag(), floor_scale=c.of(3, 5), attn_scale=c.of(0.1, 0.4),
             hidden_act=c.of(*GATES))
    s["head_dim"] = c.of(8, 16)
    if c.flag():
        s["no_rope_layers"] = [c.of(0, 1) for _ in range(s["num_hidden_layers"])]
    else:
        s["no_rope_layer_interval"] = 2
    return "Llama4", place(c, s, kinds=("default", "llama3", "linear"))


def ministral(c):
    s = base(c, **heads(c, free=True), sliding_window=c.of(3, 5), tie_word_embeddings=c.flag(0.3), hidden_act=c.of(*GATES))
    if c.flag(0.7):
        s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    return "Ministral", place(c, s)


def ministral3(c):
    s = base(c, **heads(c), tie_word_embeddings=c.flag(0.3), hidden_act=c.of(*GATES), sliding_window=c.of(None, None, 4))
    s["head_dim"] = c.of(8, 16)
    place(c, s, kinds=("yarn", "yarn", "default", "llama3"))
    s["rope_parameters"].setdefault("original_max_position_embeddings", c.of(4, 8))
    s["rope_parameters"]["llama_4_scaling_beta"] = c.of(0.1, 0.4)
    return "Ministral3", s


def olmo(c):
    s = base(c, **heads(c), clip_qkv=c.of(None, 0.5, 8.0), attention_bias=c.flag(0.3), tie_word_embeddings=c.flag(0.3),
             hidden_act=c.of(*GATES))
    return "Olmo", place(c, s)


def olmo2(c, name="Olmo2"):
    s = base(c, **heads(c), attention_bias=c.flag(0.3), tie_word_embeddings=c.flag(0.3), hidden_act=c.of(*GATES),
             rms_norm_eps=c.of(1e-5, 1e-3))
    return name, place(c, s)


def olmo3(c):
    name, s = olmo2(c, "Olmo3")
    s["sliding_window"] = c.of(3, 5)
    if c.flag():
        s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    return name, s


def smollm3(c):
    s = base(c, **heads(c), attention_bias=c.flag(0.3), mlp_bias=c.flag(0.3), tie_word_embeddings=c.flag(), hidden_act=c.of(*GATES))
    if c.flag():
        s["no_rope_layers"] = [c.of(0, 1) for _ in range(s["num_hidden_layers"])]
    else:
        s["no_rope_layer_interval"] = c.of(2, 3)
    if c.flag():
        s.update(use_sliding_window=True, sliding_window=c.of(3, 5))
        if c.flag():
            s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    return "SmolLM3", place(c, s)


def granite(c, name="Granite", **more):
    s = base(c, **heads(c), attention_bias=c.flag(0.3), tie_word_embeddings=c.flag(), hidden_act=c.of(*GATES),
             embedding_multiplier=c.of(1.0, 3.0), attention_multiplier=c.of(1.0, 0.2), residual_multiplier=c.of(1.0, 0.4),
             logits_scaling=c.of(1.0, 2.5), **more)
    return name, place(c, s)


def granite_dense(c):
    return granite(c, mlp_bias=c.flag(0.3))


def granite_moe(c):
    return granite(c, "GraniteMoe", **experts(c, count="num_local_experts"))


def cohere(c):
    s = base(c, **heads(c), attention_bias=c.flag(0.3), tie_word_embeddings=c.flag(0.8), logit_scale=c.of(0.0625, 0.5),
             use_qk_norm=c.flag(), hidden_act=c.of(*GATES))
    return "Cohere", place(c, s)


def cohere2(c):
    s = base(c, **heads(c), attention_bias=c.flag(0.3), tie_word_embeddings=c.flag(0.8), logit_scale=c.of(0.0625, 0.5),
             sliding_window=c.of(3, 5), hidden_act=c.of(*GATES))
    s["head_dim"] = width_of(s)
    if c.flag():
        s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    return "Cohere2", place(c, s)


def phi(c):
    s = base(c, **heads(c, width=16), qk_layernorm=c.flag(), hidden_act=c.of(*INNERS), tie_word_embeddings=c.flag(0.3))
    return "Phi", place(c, s, kinds=("default", "default", "linear", "yarn"), partial=c.of(0.5, 0.25, 1.0))


def stablelm(c):
    s = base(c, **heads(c, width=16), use_qkv_bias=c.flag(), qk_layernorm=c.flag(), use_parallel_residual=c.flag(),
             hidden_act=c.of(*GATES), tie_word_embeddings=c.flag(0.3))
    return "StableLm", place(c, s, kinds=("default", "default", "linear", "dynamic"), partial=c.of(0.25, 0.5, 1.0))


def starcoder2(c):
    s = base(c, **heads(c), use_bias=c.flag(0.6), hidden_act=c.of(*INNERS), tie_word_embeddings=c.flag())
    return "Starcoder2", windows(c, place(c, s))


def falcon(c):
    s = base(c, **heads(c), alibi=c.flag(0.3), new_decoder_architecture=c.flag(0.4), multi_query=c.flag(), parallel_attn=c.flag(0.6),
             bias=c.flag(), activation=c.of("gelu", "gelu_new", "relu"), tie_word_embeddings=c.flag(0.8))
    s["num_kv_heads"] = s.pop("num_key_value_heads")
    s["ffn_hidden_size"] = s.pop("intermediate_size")
    if s["new_decoder_architecture"] and c.flag():
        s["num_ln_in_parallel_attn"] = c.of(1, 2)
    s["multi_query"] = s["multi_query"] and not s["new_decoder_architecture"]
    return "Falcon", s if s["alibi"] else place(c, s, kinds=("default", "default", "linear", "dynamic", "yarn"))


def exaone4(c):
    s = base(c, **heads(c), tie_word_embeddings=c.flag(), hidden_act=c.of(*GATES))
    if c.flag(0.3):
        s["sliding_window"] = None
    else:
        s["sliding_window"] = c.of(3, 5)
        if c.flag():
            s["sliding_window_pattern"] = c.of(2, 3)
        else:
            s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    return "Exaone4", place(c, s)


def ernie(c):
    s = base(c, **heads(c), use_bias=c.flag(), tie_word_embeddings=c.flag(), hidden_act=c.of(*GATES))
    s["head_dim"] = c.of(8, 16)
    return "Ernie4_5", place(c, s)


def hunyuan(c):
    s = base(c, **heads(c), attention_bias=c.flag(0.3), tie_word_embeddings=c.flag(), hidden_act=c.of(*GATES))
    s["head_dim"] = width_of(s)
    place(c, s, kinds=("default", "dynamic", "dynamic", "linear", "yarn"))
    if s["rope_parameters"]["rope_type"] == "dynamic" and c.flag(0.7):
        s["rope_parameters"]["alpha"] = c.of(3.0, 1000.0)
    return "HunYuanDenseV1", s


def mamba2(c):
    width, count, expand = 8, c.of(4, 6, 8), 2
    s = dict(vocab_size=c.of(61, 96), hidden_size=width * count // expand, num_heads=count, head_dim=width, expand=expand,
             state_size=c.of(8, 16), n_groups=c.of(1, 2), num_hidden_layers=c.of(2, 3), conv_kernel=c.of(2, 4), use_bias=c.flag(),
             use_conv_bias=c.flag(), chunk_size=c.of(4, 8, 256), hidden_act=c.of("silu", "silu", "gelu"), pad_token_id=0, bos_token_id=1,
             eos_token_id=2, tie_word_embeddings=c.flag(), layer_norm_epsilon=c.of(1e-5, 1e-3))
    if c.flag(0.4):
        s["time_step_limit"] = (0.02, c.of(0.5, 1.0))
    if c.flag(0.2):
        s["rms_norm"] = False
    return "Mamba2", s


def gpt2(c):
    count = c.of(2, 4)
    s = dict(vocab_size=c.of(61, 96), n_embd=count * c.of(8, 12), n_layer=c.of(2, 3), n_head=count, n_positions=64, n_inner=c.of(None, 40),
             activation_function=c.of(*INNERS), scale_attn_weights=c.flag(0.8), scale_attn_by_inverse_layer_idx=c.flag(0.3),
             resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=1, eos_token_id=2, pad_token_id=0,
             tie_word_embeddings=c.flag(0.8))
    return "GPT2", s


def gpt_neox(c):
    s = base(c, **heads(c, width=16, grouped=False), use_parallel_residual=c.flag(), attention_bias=c.flag(0.7), hidden_act=c.of(*INNERS),
             tie_word_embeddings=c.flag(0.3), hidden_dropout=0.0, attention_dropout=0.0)
    return "GPTNeoX", place(c, s, kinds=("default", "default", "linear", "dynamic", "yarn"), partial=c.of(0.25, 0.5, 1.0))


def opt(c):
    count = c.of(2, 4)
    before = c.flag(0.7)
    s = dict(vocab_size=c.of(61, 96), hidden_size=count * c.of(8, 12), ffn_dim=c.of(24, 40), num_hidden_layers=c.of(2, 3),
             num_attention_heads=count, max_position_embeddings=64, do_layer_norm_before=before, activation_function=c.of("relu", "gelu"),
             enable_bias=c.flag(0.7), layer_norm_elementwise_affine=c.flag(0.7), dropout=0.0, pad_token_id=0, bos_token_id=1, eos_token_id=2,
             tie_word_embeddings=c.flag(0.8))
    s["word_embed_proj_dim"] = s["hidden_size"] if before and c.flag(0.7) else 16
    if before and c.flag(0.2):
        s["_remove_final_layer_norm"] = True
    return "OPT", s


def bloom(c):
    count = c.of(2, 3, 4, 6)
    return "Bloom", dict(vocab_size=c.of(61, 96), hidden_size=count * 8, n_layer=c.of(2, 3), n_head=count,
                         apply_residual_connection_post_layernorm=c.flag(), hidden_dropout=0.0, attention_dropout=0.0, pad_token_id=0,
                         bos_token_id=1, eos_token_id=2, tie_word_embeddings=c.flag(0.8))


def encoder(c, **more):
    count = c.of(2, 4)
    return dict(dict(vocab_size=c.of(61, 96), hidden_size=count * c.of(8, 12), intermediate_size=c.of(24, 40), num_hidden_layers=c.of(2, 3),
                     num_attention_heads=count, max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                     type_vocab_size=c.of(1, 2), layer_norm_eps=c.of(1e-12, 1e-5, 1e-3), pad_token_id=0, hidden_act=c.of(*INNERS)), **more)


def bert(c):
    return "Bert", encoder(c, tie_word_embeddings=c.flag(0.8))


def roberta(c, name="Roberta"):
    return name, encoder(c, tie_word_embeddings=c.flag(0.8), pad_token_id=c.of(0, 1, 1), bos_token_id=0, eos_token_id=2)


def distilbert(c):
    count = c.of(2, 4)
    return "DistilBert", dict(vocab_size=c.of(61, 96), dim=count * 8, n_heads=count, n_layers=c.of(2, 3), hidden_dim=c.of(24, 40),
                              max_position_embeddings=64, sinusoidal_pos_embds=c.flag(), activation=c.of("gelu", "relu"), dropout=0.0,
                              attention_dropout=0.0, seq_classif_dropout=0.0, pad_token_id=0, tie_word_embeddings=c.flag(0.8))


def electra(c):
    return "Electra", encoder(c, embedding_size=c.of(12, 16, 32), tie_word_embeddings=c.flag(0.8), classifier_dropout=0.0)


def albert(c):
    layers = c.of(2, 3, 4)
    return "Albert", encoder(c, embedding_size=c.of(12, 16), num_hidden_layers=layers, num_hidden_groups=c.of(1, 2),
                             inner_group_num=c.of(1, 2), classifier_dropout_prob=0.0, tie_word_embeddings=c.flag(0.8))


def modernbert(c):
    count = c.of(2, 4)
    s = dict(vocab_size=c.of(61, 96), hidden_size=count * 8, num_attention_heads=count, intermediate_size=c.of(24, 40),
             num_hidden_layers=c.of(3, 4), max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1,
             sep_token_id=2, local_attention=c.of(4, 6), norm_bias=c.flag(0.3), attention_bias=c.flag(0.3), mlp_bias=c.flag(0.3),
             classifier_bias=c.flag(0.3), decoder_bias=c.flag(0.7), norm_eps=c.of(1e-5, 1e-3), hidden_activation=c.of("gelu", "silu"),
             classifier_activation=c.of("gelu", "silu"), classifier_pooling=c.of("cls", "mean"), tie_word_embeddings=c.flag(0.8),
             attention_dropout=0.0, embedding_dropout=0.0, mlp_dropout=0.0, classifier_dropout=0.0)
    if c.flag():
        s["global_attn_every_n_layers"] = c.of(2, 3)
    else:
        s["layer_types"] = c.layers(s["num_hidden_layers"], FULL, SLIDING)
    if c.flag(0.6):
        s["rope_parameters"] = {FULL: rope(c, 8, ("default", "linear")), SLIDING: rope(c, 8, ("default",))}
    return "ModernBert", s


def deberta(c):
    s = encoder(c, relative_attention=c.flag(0.85), pos_att_type=c.of([], ["c2p"], ["p2c"], ["p2c", "c2p"], ["c2p", "p2c"]),
                position_buckets=c.of(-1, 4, 8), max_relative_positions=c.of(-1, 16), share_att_key=c.flag(),
                norm_rel_ebd=c.of("none", "layer_norm"), position_biased_input=c.flag(), type_vocab_size=c.of(0, 2),
                pooler_hidden_act=c.of("gelu", "tanh"), pooler_dropout=0.0, hidden_act=c.of("gelu", "relu"), tie_word_embeddings=c.flag(0.7),
                legacy=c.flag(0.8))
    s["pooler_hidden_size"] = s["hidden_size"]
    if c.flag(0.3):
        s.update(conv_kernel_size=c.of(3, 5), conv_groups=c.of(1, 2), conv_act=c.of("tanh", "gelu"))
    if c.flag(0.2):
        s["embedding_size"] = 12
    return "DebertaV2", s


def t5(c, name="T5"):
    s = dict(vocab_size=c.of(61, 96), d_model=c.of(24, 32), d_kv=c.of(6, 8), d_ff=c.of(24, 40), num_layers=c.of(2, 3),
             num_heads=c.of(2, 4), relative_attention_num_buckets=c.of(8, 32), relative_attention_max_distance=c.of(12, 128),
             dropout_rate=0.0, classifier_dropout=0.0, feed_forward_proj=c.of("relu", "gated-gelu", "gated-silu", "gelu", "gated-relu"),
             decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, layer_norm_epsilon=c.of(1e-6, 1e-3),
             tie_word_embeddings=c.flag())
    s["num_decoder_layers"] = c.of(1, 2, s["num_layers"])
    if c.flag(0.3):
        s["scale_decoder_outputs"] = c.flag()
    return name, s


def mt5(c):
    return t5(c, "MT5")


def bart(c, name="Bart"):
    count, other = c.of(2, 4), c.of(2, 4)
    s = dict(vocab_size=c.of(61, 96), d_model=c.of(16, 32), encoder_layers=c.of(1, 2, 3), decoder_layers=c.of(1, 2, 3),
             encoder_attention_heads=count, decoder_attention_heads=other, encoder_ffn_dim=c.of(24, 40), decoder_ffn_dim=c.of(24, 40),
             max_position_embeddings=64, activation_function=c.of("gelu", "relu", "silu"), scale_embedding=c.flag(), dropout=0.0,
             attention_dropout=0.0, activation_dropout=0.0, classifier_dropout=0.0, pad_token_id=1, bos_token_id=0, eos_token_id=2,
             decoder_start_token_id=2, forced_eos_token_id=None, forced_bos_token_id=None)
    if name == "Pegasus":
        s.update(pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, bos_token_id=None)
    if name == "MBart":
        s["decoder_start_token_id"] = None
    return name, s


def mbart(c):
    return bart(c, "MBart")


def pegasus(c):
    return bart(c, "Pegasus")


DECODERS = [llama, mistral, qwen2, qwen3, mixtral, qwen3_moe, gemma, gemma2, gemma3, gemma4, phi3, glm, glm4_moe, deepseek_v2, deepseek_v3,
            gpt_oss, qwen2_moe, qwen3_next, qwen3_5, qwen3_5_moe, llama4, ministral, ministral3, olmo, olmo2, olmo3, smollm3, granite_dense,
            granite_moe, cohere, cohere2, phi, stablelm, starcoder2, falcon, exaone4, ernie, hunyuan, mamba2, gpt2, gpt_neox, opt, bloom]


def glm4(c):
    return glm(c, "Glm4")


def xlm_roberta(c):
    return roberta(c, "XLMRoberta")


DECODERS.append(glm4)
ENCODERS = [bert, roberta, xlm_roberta, distilbert, electra, albert, modernbert, deberta]
PAIRS = [t5, mt5, bart, mbart, pegasus]
FAMILIES = {family.__name__: family for family in DECODERS + ENCODERS + PAIRS}
