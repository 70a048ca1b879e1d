"""Writes small files of PyTorch's own format, and hostile ones, for the tests. Run inside the peers' root, where torch is.

    python3 make_pickles.py FOLDER FIXTURES
"""
import collections
import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file

out = sys.argv[1]
os.makedirs(out, exist_ok=True)


def tensors():
    torch.manual_seed(5)
    table = torch.randn(6, 4)
    every = collections.OrderedDict()
    for type_ in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
        every["of " + str(type_)[6:]] = (torch.randn(2, 3) * 20).abs().to(type_)
    every["parameter"] = torch.nn.Parameter(torch.randn(3))
    every["tied.a"] = table
    every["tied.b"] = table
    every["turned"] = table.t()
    every["part"] = table[1:5:2, 1:3]
    every["scalar"] = torch.tensor(2.5)
    every["empty"] = torch.zeros(0, 3)
    every["expanded from one"] = torch.ones(1, 2)
    return every


state = tensors()
torch.save(state, os.path.join(out, "zip.bin"))
torch.save(state, os.path.join(out, "legacy.bin"), _use_new_zipfile_serialization=False)
torch.save({"model": state, "epoch": 3, "args": {"lr": 0.1}}, os.path.join(out, "wrapped.pt"))
torch.save({"a": torch.arange(4.0)}, os.path.join(out, "protocol4.pt"), pickle_protocol=4)
module = torch.nn.Sequential(torch.nn.Linear(2, 3))
torch.save(module.state_dict(), os.path.join(out, "metadata.bin"))
torch.save(module, os.path.join(out, "module.pt"))
eights = {"e4m3": torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn), "e5m2": torch.arange(256, dtype=torch.uint8).view(torch.float8_e5m2)}
torch.save(eights, os.path.join(out, "eights.bin"))
save_file(eights, os.path.join(out, "eights.safetensors"))
save_file({name: value.to(torch.float32) for name, value in eights.items()}, os.path.join(out, "eights-wide.safetensors"))
save_file({name: value.detach().contiguous().clone() for name, value in state.items()}, os.path.join(out, "same.safetensors"))

# The adapter of the fixtures as scripts save it that keep only what was trained, and a model of the fixtures in two shards.
fixtures = sys.argv[2]
adapter = load_file(os.path.join(fixtures, "adapters", "lora", "adapter_model.safetensors"))
torch.save({name.replace("base_model.model.", "").replace(".weight", ".default.weight"): value for name, value in adapter.items()}, os.path.join(out, "lora.pt"))
torch.save(adapter, os.path.join(out, "adapter_model.bin"))
weights = load_file(os.path.join(fixtures, "own", "models", "gpt2-scaled-relu", "model.safetensors"))
weights["lm_head.weight"] = weights["transformer.wte.weight"]
names = sorted(weights)
shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
for shard, held in shards.items():
    torch.save({name: weights[name] for name in held}, os.path.join(out, shard))
total = sum(value.numel() * value.element_size() for value in weights.values())
json.dump({"metadata": {"total_size": total}, "weight_map": {name: shard for shard, held in shards.items() for name in held}}, open(os.path.join(out, "pytorch_model.bin.index.json"), "w"), indent=1)
print(json.dumps({name: list(value.shape) for name, value in state.items()}))
