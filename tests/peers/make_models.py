"""Makes reference cases beside the shared ones: tiny random models of other shapes and options, run by transformers itself.

Use: python3 make_models.py FOLDER [CASE...]      (needs torch, transformers, safetensors)
Each case is a model folder with reference.safetensors: inputs, logits, loss, every gradient, greedy tokens.
"""
import json
import os
import sys

import torch
import transformers as t
from safetensors.torch import save_file

OUT = sys.argv[1]
VOCABULARY, HIDDEN = 67, 32

LLAMA = dict(vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
ROPE = dict(rope_theta=10000.0)
ENCODER = dict(vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=40, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, rope_theta=10000.0)

CASES = {
    "llama-rope-linear": (t.LlamaConfig, t.LlamaForCausalLM, dict(LLAMA, rope_parameters=dict(ROPE, rope_type="linear", factor=3.0), attention_bias=True, mlp_bias=True)),
    "llama-rope-dynamic": (t.LlamaConfig, t.LlamaForCausalLM, dict(LLAMA, max_position_embeddings=8, rope_parameters=dict(ROPE, rope_type="dynamic", factor=2.0))),
    "llama-rope-yarn": (t.LlamaConfig, t.LlamaForCausalLM, dict(LLAMA, rope_parameters=YARN, head_dim=12)),
    "qwen2-rope-yarn-window": (t.Qwen2Config, t.Qwen2ForCausalLM, dict(LLAMA, rope_parameters=dict(YARN, truncate=False, beta_fast=16.0), use_sliding_window=True, sliding_window=5, max_window_layers=1)),
    "qwen3-bias-tied": (t.Qwen3Config, t.Qwen3ForCausalLM, dict(LLAMA, head_dim=16, attention_bias=True, tie_word_embeddings=True)),
    "qwen3-moe-dense-layer": (t.Qwen3MoeConfig, t.Qwen3MoeForCausalLM, dict(LLAMA, head_dim=8, num_experts=3, num_experts_per_tok=1, moe_intermediate_size=24, norm_topk_prob=False, mlp_only_layers=[1])),
    "mixtral-window": (t.MixtralConfig, t.MixtralForCausalLM, dict(LLAMA, num_local_experts=5, num_experts_per_tok=3, sliding_window=4)),
    "phi3-longrope": (t.Phi3Config, t.Phi3ForCausalLM, dict(LLAMA, original_max_position_embeddings=8, rope_parameters=dict(ROPE, rope_type="longrope", long_factor=[1.0, 1.5, 2.0, 3.0], short_factor=[1.0, 1.0, 1.1, 1.2], original_max_position_embeddings=8), sliding_window=6)),
    "glm4-no-bias": (t.Glm4Config, t.Glm4ForCausalLM, dict(LLAMA, head_dim=8, attention_bias=False)),
    "gpt2-scaled-relu": (t.GPT2Config, t.GPT2LMHeadModel, dict(vocab_size=VOCABULARY, n_embd=HIDDEN, n_layer=2, n_head=2, n_positions=40, n_inner=40, activation_function="relu", scale_attn_by_inverse_layer_idx=True, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=1, eos_token_id=2)),
    "gpt-neox-sequential": (t.GPTNeoXConfig, t.GPTNeoXForCausalLM, dict(vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, use_parallel_residual=False, attention_bias=False, rope_parameters=dict(ROPE, rope_type="default", partial_rotary_factor=0.5), max_position_embeddings=40, hidden_dropout=0.0, attention_dropout=0.0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True)),
    "opt-projected": (t.OPTConfig, t.OPTForCausalLM, dict(vocab_size=VOCABULARY, hidden_size=HIDDEN, word_embed_proj_dim=20, ffn_dim=40, num_hidden_layers=2, num_attention_heads=4, do_layer_norm_before=False, max_position_embeddings=40, dropout=0.0, bos_token_id=1, eos_token_id=2, pad_token_id=0)),
    "bloom-six-heads": (t.BloomConfig, t.BloomForCausalLM, dict(vocab_size=VOCABULARY, hidden_size=36, n_layer=2, n_head=6, apply_residual_connection_post_layernorm=True, hidden_dropout=0.0, attention_dropout=0.0)),
    "bert-untied": (t.BertConfig, t.BertForMaskedLM, dict(ENCODER, hidden_act="gelu_new", layer_norm_eps=1e-5)),
    "t5-untied": (t.T5Config, t.T5ForConditionalGeneration, dict(vocab_size=VOCABULARY, d_model=HIDDEN, d_kv=6, d_ff=40, num_layers=2, num_decoder_layers=2, num_heads=4, relative_attention_num_buckets=8, relative_attention_max_distance=12, dropout_rate=0.0, feed_forward_proj="gated-silu", tie_word_embeddings=False, decoder_start_token_id=0)),
    "llama-classify": (t.LlamaConfig, t.LlamaForSequenceClassification, dict(LLAMA, num_labels=3)),
    "qwen2-reward": (t.Qwen2Config, t.Qwen2ForSequenceClassification, dict(LLAMA, num_labels=1)),
    "gpt2-classify-several": (t.GPT2Config, t.GPT2ForSequenceClassification, dict(vocab_size=VOCABULARY, n_embd=HIDDEN, n_layer=2, n_head=2, n_positions=40, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, pad_token_id=0, num_labels=4, problem_type="multi_label_classification")),
    "mistral-tag": (t.MistralConfig, t.MistralForTokenClassification, dict(LLAMA, num_labels=5, sliding_window=7)),
    "bert-tag": (t.BertConfig, t.BertForTokenClassification, dict(ENCODER, num_labels=4)),
    "bert-regress": (t.BertConfig, t.BertForSequenceClassification, dict(ENCODER, num_labels=1)),
    "t5-classify": (t.T5Config, t.T5ForSequenceClassification, dict(vocab_size=VOCABULARY, d_model=HIDDEN, d_kv=8, d_ff=40, num_layers=2, num_heads=4, decoder_start_token_id=0, dropout_rate=0.0, classifier_dropout=0.0, num_labels=3)),
    "t5-tag": (t.T5Config, t.T5ForTokenClassification, dict(vocab_size=VOCABULARY, d_model=HIDDEN, d_kv=8, d_ff=40, num_layers=2, num_heads=4, decoder_start_token_id=0, dropout_rate=0.0, classifier_dropout=0.0, num_labels=4, feed_forward_proj="gated-gelu")),
    "roberta-silu-untied": (t.RobertaConfig, t.RobertaForMaskedLM, dict(ENCODER, hidden_act="silu", type_vocab_size=1, pad_token_id=2, tie_word_embeddings=False)),
    "opt-plain-norms": (t.OPTConfig, t.OPTForCausalLM, dict(vocab_size=VOCABULARY, hidden_size=HIDDEN, ffn_dim=40, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=40, dropout=0.0, layer_norm_elementwise_affine=False, enable_bias=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)),
    "llama-past-context": (t.LlamaConfig, t.LlamaForCausalLM, dict(LLAMA, max_position_embeddings=8)),
    "glm-unsaid": (t.GlmConfig, t.GlmForCausalLM, dict(LLAMA, head_dim=8, rope_parameters=dict(ROPE, rope_type="linear", factor=2.0, partial_rotary_factor=1.0), attention_bias=True, rms_norm_eps=0.00000015625)),
    "mistral-unsaid": (t.MistralConfig, t.MistralForCausalLM, dict(LLAMA, hidden_size=64, num_attention_heads=16, num_key_value_heads=8)),
    "gemma2-unsaid": (t.Gemma2Config, t.Gemma2ForCausalLM, dict(LLAMA, head_dim=8, query_pre_attn_scalar=256)),
    "qwen3-moe-unsaid": (t.Qwen3MoeConfig, t.Qwen3MoeForCausalLM, dict(LLAMA, head_dim=8, num_experts=3, num_experts_per_tok=2, moe_intermediate_size=24, rms_norm_eps=1e-6)),
    "roberta-tag": (t.RobertaConfig, t.RobertaForTokenClassification, dict(ENCODER, num_labels=4, type_vocab_size=1, pad_token_id=1)),
}

# What is left out of a case's config.json: the reader must take what transformers takes where nothing is said.
UNSAID = {
    "glm-unsaid": ["attention_bias", "rms_norm_eps", "num_key_value_heads"],
    "mistral-unsaid": ["num_key_value_heads", "head_dim", "sliding_window", "rms_norm_eps"],
    "gemma2-unsaid": ["attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "sliding_window", "layer_types", "tie_word_embeddings", "hidden_activation"],
    "qwen3-moe-unsaid": ["rms_norm_eps", "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers", "rope_parameters"],
}


def inputs(model, config, kind):
    torch.manual_seed(3)
    rows, width = 3, 19
    ids = torch.randint(3, VOCABULARY, (rows, width))
    mask = torch.ones_like(ids)
    pad = config.pad_token_id if config.pad_token_id is not None else 0
    for row, length in ((1, 13), (2, 6)):
        mask[row, length:] = 0
        ids[row, length:] = pad
    labels = {
        "causal": torch.where(mask == 1, ids, -100),
        "masked": torch.where((mask == 1) & (torch.rand(rows, width) < 0.4), torch.randint(3, VOCABULARY, (rows, width)), -100),
        "tag": torch.where(mask == 1, torch.randint(0, getattr(config, "num_labels", 2) or 2, (rows, width)), -100),
        "seq2seq": torch.cat([torch.randint(3, VOCABULARY, (rows, 8)), torch.full((rows, 1), 1)], 1),
    }.get(kind)
    if kind == "classify":
        if config.problem_type == "multi_label_classification":
            labels = (torch.rand(rows, config.num_labels) < 0.5).float()
        elif config.num_labels == 1:
            labels = torch.randn(rows)
        else:
            labels = torch.randint(0, config.num_labels, (rows,))
    if kind == "seq2seq":
        labels[1, 6:] = -100
    if config.model_type == "t5" and kind == "classify":
        # Its head reads the state at the end-of-text token, of which each row has one.
        for row in range(rows):
            ids[row, int(mask[row].sum()) - 1] = config.eos_token_id
    return ids, mask, labels


def main():
    for name, (config_type, model_type, settings) in CASES.items():
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        torch.manual_seed(len(name))
        config = config_type(**settings)
        unsaid = UNSAID.get(name, [])
        # Read as a file is, with the keys left out, so that the numbers are those of what is written.
        said = {key: value for key, value in config.to_dict().items() if key not in unsaid}
        if unsaid:
            config = config_type.from_dict(dict(said))
        # Without it Gemma's scores are not capped.
        model = model_type._from_config(config, attn_implementation="eager" if config.model_type == "gemma2" else None).eval()
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                # Norms and biases away from one and zero, so that a missing one shows.
                parameter.normal_(1.0 if parameter.dim() == 1 and "bias" not in parameter_name else 0.0, 0.15 if parameter.dim() > 1 else 0.2)
        name_of = model_type.__name__
        kind = "classify" if "SequenceClass" in name_of else "tag" if "TokenClass" in name_of else "masked" if "MaskedLM" in name_of else "seq2seq" if "Conditional" in name_of else "causal"
        ids, mask, labels = inputs(model, config, kind)
        output = model(input_ids=ids, attention_mask=mask, labels=labels)
        output.loss.backward()
        tensors = {"input_ids": ids, "attention_mask": mask, "labels": labels, "logits": output.logits, "loss": output.loss.reshape(1)}
        for parameter_name, parameter in model.named_parameters():
            if parameter.grad is not None:
                tensors["grad." + parameter_name] = parameter.grad
        # Beyond its first context, transformers' own answers depend on what the model read before.
        if kind in ("causal", "seq2seq") and name not in ("llama-rope-dynamic", "phi3-longrope"):
            prompt = ids[:1, :7]
            with torch.no_grad():
                greedy = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, min_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)
            tensors.update(prompt=prompt, greedy=greedy)
        folder = os.path.join(OUT, name)
        os.makedirs(folder, exist_ok=True)
        model.save_pretrained(folder)
        if unsaid:
            json.dump(dict(said, architectures=[name_of], dtype="float32"), open(os.path.join(folder, "config.json"), "w"), indent=2)
        for left in ("generation_config.json",):
            if os.path.exists(os.path.join(folder, left)):
                os.remove(os.path.join(folder, left))
        save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, os.path.join(folder, "reference.safetensors"))
        json.dump({"kind": kind, "architecture": name_of, "transformers": t.__version__, "torch": torch.__version__}, open(os.path.join(folder, "reference.json"), "w"), indent=1)
        print(name, float(output.loss))


main()
