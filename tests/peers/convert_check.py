"""Holds a folder that `polymath model convert` wrote against the one it was made from: transformers must load both to the same logits. The suite `convert`.

    python3 convert_check.py BEFORE AFTER [TYPE]

TYPE is the type AFTER was written in: the weights of BEFORE are rounded to it first, so that the logits must be equal.
"""
import sys

import torch
import transformers

before, after = sys.argv[1:3]
kind = getattr(torch, sys.argv[3]) if len(sys.argv) > 3 else torch.float32
left = transformers.AutoModelForCausalLM.from_pretrained(before, dtype=torch.float32).eval()
# The weights alone: rotary frequencies are no weights and stay exact.
for parameter in left.parameters():
    parameter.data = parameter.data.to(kind).float()
right = transformers.AutoModelForCausalLM.from_pretrained(after, dtype=torch.float32).eval()
stored = transformers.AutoConfig.from_pretrained(after).dtype
ids = torch.arange(3, 43)[None] % left.config.vocab_size
with torch.no_grad():
    gap = (left(ids).logits - right(ids).logits).abs().max().item()
print(f"{after}: dtype {stored}, the logits differ by {gap:.3g}")
sys.exit(0 if gap < 1e-5 and stored == kind else 1)
