"""Families that transformers has no class for, for make_fuzz.py: the same mathematics under their published names and fusions.

A family is a function of a source of chance: it gives the names of transformers' configuration and model, the settings, what becomes of the
names of weights, and the configuration that is written.
"""
import re

import torch

from fuzz_families import base, heads, place, width_of


def internlm(c):
    biased = c.flag()
    s = place(c, base(c, **heads(c), attention_bias=biased), kinds=("default", "linear", "dynamic"))
    s["num_key_value_heads"] = s["num_attention_heads"]
    return "Llama", s, lambda state: state, dict(model_type="internlm", bias=biased)


def internlm3(c):
    inner, both = c.flag(), c.flag()
    s = place(c, base(c, **heads(c, free=True)), kinds=("default", "linear", "dynamic"))
    s["head_dim"] = width_of(s)
    if both:
        # Biases of queries, keys and values alone are Qwen 2's.
        s.update(attention_bias=inner, mlp_bias=inner)
        return "Llama", s, lambda state: state, dict(model_type="internlm3", qkv_bias=inner, bias=inner)
    return "Qwen2", s, lambda state: state, dict(model_type="internlm3", qkv_bias=True, bias=False)


def yi(c):
    s = place(c, base(c, **heads(c)), kinds=("default", "linear"))

    def named(state):
        return {name.replace("input_layernorm", "ln1").replace("post_attention_layernorm", "ln2"): of for name, of in state.items()}
    return "Llama", s, named, dict(model_type="Yi")


def fused(state, parts, whole, join):
    """Puts several weights of each layer into one: PREFIX + each of parts becomes PREFIX + whole."""
    made = {}
    for name, of in state.items():
        at = re.match(rf"(.*)\b({'|'.join(map(re.escape, parts))})\.(weight|bias)$", name)
        if not at:
            made[name] = of
        elif at.group(2) == parts[0]:
            made[f"{at.group(1)}{whole}.{at.group(3)}"] = join([state[f"{at.group(1)}{part}.{at.group(3)}"] for part in parts])
    return made


def renamed(state, names):
    for old, new in names:
        state = {re.sub(old, new, name): of for name, of in state.items()}
    return state


def internlm2(c):
    biased = c.flag(0.3)
    s = place(c, base(c, **heads(c), attention_bias=biased), kinds=("default", "linear", "dynamic"))
    shared, width = s["num_key_value_heads"], width_of(s)

    def join(of):
        # Group by group: its queries, its key, its value.
        groups = [part.view(shared, -1, width, *part.shape[1:]) for part in of]
        return torch.cat(groups, 1).reshape(-1, *of[0].shape[1:])

    def named(state):
        state = fused(state, ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], "attention.wqkv", join)
        return renamed(state, [
            ("model.embed_tokens", "model.tok_embeddings"), ("self_attn.o_proj", "attention.wo"), ("input_layernorm", "attention_norm"),
            ("post_attention_layernorm", "ffn_norm"), ("mlp.gate_proj", "feed_forward.w1"), ("mlp.up_proj", "feed_forward.w3"),
            ("mlp.down_proj", "feed_forward.w2"), ("lm_head", "output")])
    return "Llama", s, named, dict(model_type="internlm2", bias=biased)


def equal(c):
    made = heads(c, grouped=False)
    return dict(made, num_key_value_heads=made["num_attention_heads"])


def baichuan(c):
    s = place(c, base(c, **equal(c)), kinds=("default",), theta=(10000.0,))

    def named(state):
        return fused(state, ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], "self_attn.W_pack", torch.cat)
    return "Llama", s, named, dict(model_type="baichuan")


def qwen(c):
    s = place(c, base(c, **equal(c), rms_norm_eps=c.of(1e-6, 1e-3)), kinds=("default",))

    def named(state):
        state = fused(state, ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], "attn.c_attn", torch.cat)
        return renamed(state, [
            ("model.embed_tokens", "transformer.wte"), ("model.layers", "transformer.h"), ("self_attn.o_proj", "attn.c_proj"),
            ("input_layernorm", "ln_1"), ("post_attention_layernorm", "ln_2"), ("mlp.gate_proj", "mlp.w2"), ("mlp.up_proj", "mlp.w1"),
            ("mlp.down_proj", "mlp.c_proj"), ("model.norm", "transformer.ln_f")])
    return "Qwen2", s, named, dict(
        model_type="qwen", intermediate_size=2 * s["intermediate_size"], layer_norm_epsilon=s["rms_norm_eps"], no_bias=True,
        rotary_emb_base=s["rope_parameters"]["rope_theta"], rotary_pct=1.0, kv_channels=width_of(s), seq_length=128, use_dynamic_ntk=True,
        use_logn_attn=True)


def minicpm(c):
    s = base(c, **heads(c), tie_word_embeddings=c.flag())
    layers, depth, narrow, vectors = s["num_hidden_layers"], c.of(1.4, 0.9), c.of(8, 16), c.of(12.0, 2.0)
    s.update(embedding_multiplier=vectors, residual_multiplier=depth / layers ** 0.5, logits_scaling=s["hidden_size"] / narrow,
             attention_multiplier=width_of(s) ** -0.5)
    place(c, s, kinds=("default", "linear", "dynamic"))
    return "Granite", s, lambda state: state, dict(
        model_type="minicpm", scale_emb=vectors, scale_depth=depth, dim_model_base=narrow)


def minicpm3(c):
    s = base(c, num_attention_heads=c.of(2, 4), q_lora_rank=c.of(12, 20), kv_lora_rank=c.of(12, 24), qk_nope_head_dim=c.of(8, 16),
             qk_rope_head_dim=c.of(4, 8), n_routed_experts=2, first_k_dense_replace=9, rope_interleave=False)
    s.update(v_head_dim=c.of(8, 12), num_key_value_heads=s["num_attention_heads"])
    s["hidden_size"] = s["num_attention_heads"] * s["v_head_dim"]
    place(c, dict(s, head_dim=s["qk_rope_head_dim"]), kinds=("default", "longrope"))
    made = place(c, dict(head_dim=s["qk_rope_head_dim"]), kinds=("default", "longrope"))
    if made["rope_parameters"]["rope_type"] == "longrope":
        # The factor of the contexts is not among the settings of the published files.
        made["rope_parameters"]["factor"] = 128 / made["rope_parameters"]["original_max_position_embeddings"]
        s["original_max_position_embeddings"] = made["original_max_position_embeddings"]
    s["rope_parameters"] = made["rope_parameters"]
    depth, narrow, vectors = c.of(1.4, 0.9), c.of(8, 16), c.of(12.0, 2.0)
    branch, head = depth / s["num_hidden_layers"] ** 0.5, s["hidden_size"] / narrow

    def named(state, gradients=False):
        # The factors are taken out of the weights that they stand beside.
        made = {}
        for name, of in state.items():
            factor = {"embed_tokens": vectors, "lm_head": 1 / head, "o_proj": branch, "down_proj": branch}.get(name.split(".")[-2], 1)
            made[name] = of * factor if gradients else of / factor
        return made
    return "DeepseekV3", s, named, dict(
        model_type="minicpm3", scale_emb=vectors, scale_depth=depth, dim_model_base=narrow, q_lora_rank=s["q_lora_rank"],
        kv_lora_rank=s["kv_lora_rank"], qk_nope_head_dim=s["qk_nope_head_dim"], qk_rope_head_dim=s["qk_rope_head_dim"])


RENAMED = {family.__name__: family for family in [internlm, internlm2, internlm3, yi, baichuan, qwen, minicpm, minicpm3]}
