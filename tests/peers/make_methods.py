"""Makes the reference cases of adapter methods beside the shared ones, with PEFT itself on the shared models.

Use: python3 make_methods.py MODELS OUT [CASE...]      (needs torch, transformers, peft, safetensors; MODELS holds fixtures/models and fixtures/own/models, OUT is fixtures/own)
adapters/NAME: an adapter of PEFT's with logits, loss, every gradient and merged logits. adalora: twelve plain steps with PEFT's allocator. eva: what PEFT's EVA starts from.
"""
import json
import os
import sys

import torch
import transformers
from peft import (
    AdaLoraConfig, AdaptionPromptConfig, BOFTConfig, EvaConfig, FourierFTConfig, IA3Config, LoraConfig, OFTConfig, PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig,
    ShiraConfig, get_peft_model, initialize_lora_eva_weights,
)
from safetensors.torch import load_file, save_file

MODELS, OUT = sys.argv[1:3]


def base(name):
    folder = os.path.join(MODELS, name)
    architecture = json.load(open(os.path.join(folder, "config.json")))["architectures"][0]
    return getattr(transformers, architecture).from_pretrained(folder, dtype=torch.float32)


ADAPTERS = {
    "shira": ("llama", ShiraConfig(r=2, target_modules=["q_proj", "v_proj"], random_seed=7, task_type="CAUSAL_LM")),
    "llama-adapter": ("llama", AdaptionPromptConfig(adapter_len=5, adapter_layers=2, task_type="CAUSAL_LM")),
    "llama-adapter-mistral": ("mistral-unsaid", AdaptionPromptConfig(adapter_len=4, adapter_layers=1, task_type="CAUSAL_LM")),
    "llama-adapter-gpt2": ("gpt2", AdaptionPromptConfig(adapter_len=4, adapter_layers=2, task_type="CAUSAL_LM")),
    "lora-bias": ("llama-rope-linear", LoraConfig(r=3, lora_alpha=6, lora_bias=True, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")),
    "lora-tokens": ("llama", LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"], trainable_token_indices=[5, 17, 190], task_type="CAUSAL_LM")),
    "lora-tokens-tied": ("llama3-rope-tied", LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"], trainable_token_indices={"embed_tokens": [5, 17]}, task_type="CAUSAL_LM")),
    # What settings mean in PEFT where they could mean something else: see tests/peers/README.md.
    "adalora-no-task": ("bert-untied", AdaLoraConfig(init_r=3, target_r=2, total_step=10, lora_alpha=4, target_modules=["value"])),
    "boft-one-factor": ("bert-tag", BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=2, target_modules=["key"], task_type="TOKEN_CLS")),
    "fourierft-whole-name": ("bloom-six-heads", FourierFTConfig(n_frequency=20, n_frequency_pattern={"dense": 7, "transformer.h.1.mlp.dense_h_to_4h": 30, "h.0.mlp.dense_h_to_4h": 9}, target_modules=["dense", "dense_h_to_4h"], task_type="CAUSAL_LM")),
    "ia3-ends": ("t5-untied", IA3Config(target_modules=["wo", "k"], feedforward_modules=".*wo", exclude_modules=r"decoder\..*\.k", task_type="SEQ_2_SEQ_LM")),
    "lora-dora-pissa": ("llama-rope-yarn", LoraConfig(r=3, lora_alpha=4, use_dora=True, init_lora_weights="pissa", target_modules=["o_proj"], task_type="CAUSAL_LM")),
    "lora-dora-vectors": ("glm4-no-bias", LoraConfig(r=2, lora_alpha=5, use_dora=True, target_modules=["embed_tokens", "lm_head"], task_type="CAUSAL_LM")),
    "lora-beside-experts": ("qwen3-moe-dense-layer", LoraConfig(r=2, lora_alpha=4, target_modules=["down_proj"], task_type="CAUSAL_LM")),
    "lora-experts": ("mixtral-window", LoraConfig(r=2, lora_alpha=3, rank_pattern={"experts.down_proj": 3}, target_modules=["q_proj"], target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"], task_type="CAUSAL_LM")),
    # Experts that files hold in one weight for all: Granite's in modules of their own, gpt-oss's transposed, Llama 4's as PEFT reads them.
    "lora-stack-granite": ("granitemoe", LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj"], target_parameters=["input_linear.weight", "output_linear.weight"], task_type="CAUSAL_LM")),
    "lora-stack-gpt-oss": ("gpt_oss", LoraConfig(r=2, lora_alpha=3, rank_pattern={"experts.down_proj": 3}, target_parameters=["experts.gate_up_proj", "experts.down_proj"], task_type="CAUSAL_LM")),
    "lora-stack-llama4": ("llama4_text", LoraConfig(r=2, lora_alpha=3, use_rslora=True, target_modules=["v_proj"], target_parameters=["experts.gate_up_proj", "experts.down_proj"], task_type="CAUSAL_LM")),
    "lora-stack-gemma4": ("gemma4_text-moe", LoraConfig(r=2, lora_alpha=3, target_modules=["down_proj"], target_parameters=["experts.down_proj"], task_type="CAUSAL_LM")),
    "lora-mica": ("gpt-neox-sequential", LoraConfig(r=3, lora_alpha=6, init_lora_weights="mica", target_modules=["query_key_value"], layers_to_transform=1, layers_pattern=["h", "layers"], task_type="CAUSAL_LM")),
    "lora-saved-block": ("roberta-classify", LoraConfig(r=2, lora_alpha=4, bias="all", target_modules=["query"], layers_to_transform=[1], task_type="SEQ_CLS")),
    "lora-saved-head": ("gpt2-scaled-relu", LoraConfig(r=2, lora_alpha=4, fan_in_fan_out=True, target_modules=["c_fc"], modules_to_save=["lm_head"], task_type="CAUSAL_LM")),
    "lora-saved-vectors": ("qwen3-bias-tied", LoraConfig(r=2, lora_alpha=4, target_modules=["v_proj", "down_proj"], modules_to_save=["embed_tokens", "q_norm", "model.layers.0.mlp"], task_type="CAUSAL_LM")),
    "lora-tokens-head": ("llama-rope-linear", LoraConfig(r=2, lora_alpha=4, target_modules=["up_proj"], trainable_token_indices={"embed_tokens": [5, 9], "lm_head": [9]}, task_type="CAUSAL_LM")),
    "oft-nearest-size": ("llama-rope-dynamic", OFTConfig(oft_block_size=5, target_modules=["down_proj", "k_proj"], task_type="CAUSAL_LM")),
    "p-tuning-t5": ("t5-untied", PromptEncoderConfig(num_virtual_tokens=3, encoder_hidden_size=8, task_type="SEQ_2_SEQ_LM")),
    "prefix-tuning-classify": ("bert-regress", PrefixTuningConfig(num_virtual_tokens=3, task_type="SEQ_CLS")),
    "prefix-tuning-first-token": ("gpt2-scaled-relu", PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")),
    "prefix-tuning-t5": ("t5", PrefixTuningConfig(num_virtual_tokens=4, task_type="SEQ_2_SEQ_LM")),
    "prefix-tuning-tag": ("mistral-tag", PrefixTuningConfig(num_virtual_tokens=3, task_type="TOKEN_CLS")),
    "prompt-tuning-classify": ("bert-regress", PromptTuningConfig(num_virtual_tokens=3, task_type="SEQ_CLS")),
    "prompt-tuning-gemma2": ("gemma2", PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")),
}


def adapters(name):
    basis, config = ADAPTERS[name]
    config.base_model_name_or_path = "models/" + basis
    inputs = load_file(os.path.join(MODELS, basis, "reference.safetensors"))
    torch.manual_seed(len(name))
    model = get_peft_model(base(basis), config)
    folder = os.path.join(OUT, "adapters", name)
    # Away from where it starts, so that what is missing shows.
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad:
            spread = 1.0 if "adaption" in parameter_name else 0.1
            parameter.data += torch.randn_like(parameter) * spread
    model.eval()
    fed = {key: inputs[key] for key in ("input_ids", "attention_mask", "labels")}
    output = model(**fed)
    output.loss.backward()
    tensors = {"logits": output.logits, "loss": output.loss.reshape(1)}
    tensors.update({"grad." + key: parameter.grad for key, parameter in model.named_parameters() if parameter.grad is not None})
    model.peft_config["default"].base_model_name_or_path = "models/" + basis
    model.save_pretrained(folder)
    if os.path.exists(os.path.join(folder, "README.md")):
        os.remove(os.path.join(folder, "README.md"))
    merged = hasattr(model.base_model, "merge_and_unload") and "adapter" not in name and not model.peft_config["default"].is_prompt_learning
    if merged:
        with torch.no_grad():
            tensors["merged_logits"] = model.merge_and_unload()(**fed).logits
    save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, os.path.join(folder, "reference.safetensors"))
    json.dump({"base": basis, "has_merged": merged}, open(os.path.join(folder, "reference.json"), "w"), indent=1)
    print(name, float(output.loss), os.listdir(folder))


def adalora():
    torch.manual_seed(0)
    config = AdaLoraConfig(init_r=4, target_r=2, tinit=2, tfinal=3, deltaT=2, total_step=12, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(base("llama"), config).train()
    for name, parameter in model.named_parameters():
        if "lora_E" in name:
            parameter.data = torch.randn_like(parameter) * 0.3
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    tensors = {name.replace(".default", ""): parameter.detach().clone() for name, parameter in trained.items()}
    ids = torch.tensor([range(5, 13), range(21, 29)])
    losses, values = [], []
    for step in range(1, 13):
        fed = (ids + step * 3) % 199
        loss = model(input_ids=fed, labels=fed).loss
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in trained.values():
                parameter -= 0.05 * parameter.grad
        model.base_model.update_and_allocate(step)
        losses.append(loss.item())
        values.append([parameter.detach().view(-1).tolist() for name, parameter in trained.items() if "lora_E" in name])
    model.eval()
    with torch.no_grad():
        after = model(input_ids=ids).logits
    folder = os.path.join(OUT, "adalora")
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    save_file({**tensors, "after": after, "losses": torch.tensor(losses), "e": torch.tensor(values)}, os.path.join(folder, "steps.safetensors"))
    with torch.no_grad():
        again = PeftModel.from_pretrained(base("llama"), folder).eval()(input_ids=ids).logits
    print("adalora", (after - again).abs().max())


def eva():
    ids = torch.randint(3, 199, (12, 20), generator=torch.Generator().manual_seed(5))
    labels = ids.clone()
    labels[:, :7] = -100
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "o_proj", "down_proj"], init_lora_weights="eva", eva_config=EvaConfig(rho=2.0, tau=0.9999), task_type="CAUSAL_LM")
    model = get_peft_model(base("llama"), config, low_cpu_mem_usage=True)
    initialize_lora_eva_weights(model, [dict(input_ids=ids, labels=labels)], show_progress_bar=False)
    folder = os.path.join(OUT, "eva")
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    save_file({"ids": ids, "labels": labels}, os.path.join(folder, "data.safetensors"))
    print("eva", model.peft_config["default"].rank_pattern)


def main():
    wanted = sys.argv[3:]
    for name in ADAPTERS:
        if not wanted or name in wanted:
            adapters(name)
    for case in (adalora, eva):
        if not wanted or case.__name__ in wanted:
            case()


main()
