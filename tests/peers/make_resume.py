"""Makes adapters whose training PEFT, torch.optim.AdamW and the Trainer's groups stopped in the middle, and the weights they would have had a step later.

Use: python3 make_resume.py MODELS OUT      (needs torch, transformers, peft, safetensors; MODELS holds fixtures/models, OUT is fixtures/own)
resume/NAME: adapter_config.json, adapter_model.safetensors and optimizer.pt after two steps, third.safetensors with the adapter after the third, rows.json.
resume/order.json: for each model with linear maps, those of a LoRA in the order of named_parameters(), which is how an optimizer's state is numbered.
"""
import json
import os
import sys

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM
from transformers.trainer_pt_utils import get_parameter_names

MODELS, OUT = sys.argv[1:3]
RATE, DECAY = 1e-2, 0.1
# As Trainer.get_decay_parameter_names has it.
PLAIN = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]

CASES = {
    "plain": ("llama", LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"), False),
    "bias": ("qwen2", LoraConfig(r=2, lora_alpha=4, lora_bias=True, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"), False),
    "dora": ("llama", LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["q_proj"], task_type="CAUSAL_LM"), True),
}


def groups(model):
    decayed = get_parameter_names(model, [torch.nn.LayerNorm], PLAIN)
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for name, parameter in trained if name in decayed], "weight_decay": DECAY},
        {"params": [parameter for name, parameter in trained if name not in decayed], "weight_decay": 0.0},
    ]


def resume(name):
    basis, config, undecayed = CASES[name]
    torch.manual_seed(len(name))
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(os.path.join(MODELS, basis), dtype=torch.float32), config).train()
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            parameter.data += torch.randn_like(parameter) * 0.05
    parts = groups(model)
    if undecayed:
        for part in parts:
            part["weight_decay"] = 0.0
    optimizer = torch.optim.AdamW(parts, lr=RATE, betas=(0.9, 0.99), eps=1e-6)
    rows = [[(i * 37 + step * 11 + row * 5) % 190 + 3 for i in range(12)] for step in range(3) for row in range(2)]
    folder = os.path.join(OUT, "resume", name)
    for step in range(3):
        ids = torch.tensor(rows[2 * step:2 * step + 2])
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step == 1:
            model.peft_config["default"].base_model_name_or_path = "models/" + basis
            model.save_pretrained(folder)
            os.remove(os.path.join(folder, "README.md"))
            torch.save(optimizer.state_dict(), os.path.join(folder, "optimizer.pt"))
    save_file({key: value.detach().contiguous().clone() for key, value in get_peft_model_state_dict(model).items()}, os.path.join(folder, "third.safetensors"))
    json.dump({"base": basis, "rows": rows, "rate": RATE, "beta2": 0.99, "epsilon": 1e-6, "weightDecay": 0.0 if undecayed else DECAY}, open(os.path.join(folder, "rows.json"), "w"))
    print(name, os.listdir(folder), [len(part["params"]) for part in parts])


def order():
    kinds = {"ForCausalLM": AutoModelForCausalLM, "LMHeadModel": AutoModelForCausalLM, "ForMaskedLM": AutoModelForMaskedLM, "ForConditionalGeneration": AutoModelForSeq2SeqLM}
    found = {}
    for name in sorted(os.listdir(MODELS)):
        path = os.path.join(MODELS, name)
        if not os.path.isfile(os.path.join(path, "config.json")):
            continue
        settings = json.load(open(os.path.join(path, "config.json")))
        kind = next((kinds[end] for end in kinds if settings["architectures"][0].endswith(end)), None)
        if kind is None or settings["model_type"] in ("chatglm", "mixtral", "qwen3_moe"):
            continue
        model = get_peft_model(kind.from_pretrained(path), LoraConfig(r=1, target_modules="all-linear"))
        found[name] = [key[len("base_model.model."):-len(".lora_A.default.weight")] for key, parameter in model.named_parameters() if parameter.requires_grad and "lora_A" in key]
        print(name, len(found[name]), found[name][:9])
    json.dump(found, open(os.path.join(OUT, "resume", "order.json"), "w"), indent=0)


for case in CASES:
    resume(case)
order()
