"""Random tiny models of every family that llama.cpp knows of ours, with real tokenizers, for gguf_check.py. Run inside the peers' root.

    python3 make_tiny.py FOLDER LLAMA_KIND GPT2_KIND     (folders with a tokenizer.json each: pieces with byte fallback, and byte-level)
"""
import json
import os
import shutil
import sys

import torch
import transformers as t

out, pieces, byte_level = sys.argv[1:4]
SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0)
CASES = {
    "llama": (pieces, t.LlamaConfig, t.LlamaForCausalLM, SIZES),
    "llama3-rope": (pieces, t.LlamaConfig, t.LlamaForCausalLM, dict(SIZES, tie_word_embeddings=True, rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64))),
    "mistral": (pieces, t.MistralConfig, t.MistralForCausalLM, dict(SIZES, sliding_window=128)),
    "qwen2": (byte_level, t.Qwen2Config, t.Qwen2ForCausalLM, SIZES),
    "qwen3": (byte_level, t.Qwen3Config, t.Qwen3ForCausalLM, dict(SIZES, head_dim=32)),
    "gemma2": (pieces, t.Gemma2Config, t.Gemma2ForCausalLM, dict(SIZES, head_dim=32, query_pre_attn_scalar=32, sliding_window=64)),
    "phi3": (pieces, t.Phi3Config, t.Phi3ForCausalLM, dict(SIZES, original_max_position_embeddings=256)),
    "gpt2": (byte_level, t.GPT2Config, t.GPT2LMHeadModel, dict(n_embd=64, n_layer=2, n_head=4, n_positions=256, bos_token_id=1, eos_token_id=2)),
    "gpt-neox": (byte_level, t.GPTNeoXConfig, t.GPTNeoXForCausalLM, dict(hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256, bos_token_id=1, eos_token_id=2)),
    "bloom": (byte_level, t.BloomConfig, t.BloomForCausalLM, dict(hidden_size=64, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)),
}
for name, (tokenizer, config_type, model_type, settings) in CASES.items():
    words = json.load(open(os.path.join(tokenizer, "tokenizer.json")))
    size = max(list(words["model"]["vocab"].values()) + [token["id"] for token in words["added_tokens"]]) + 1
    torch.manual_seed(len(name))
    model = model_type(config_type(vocab_size=size, **settings)).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.normal_(1.0 if parameter.dim() == 1 and "bias" not in parameter_name and name != "gemma2" else 0.0, 0.25 if parameter.dim() > 1 else 0.2)
    folder = os.path.join(out, "tiny-" + name)
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        if os.path.exists(os.path.join(tokenizer, file)):
            shutil.copy(os.path.join(tokenizer, file), folder)
