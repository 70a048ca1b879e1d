"""Greedy decoding of one row after a prompt of 16 tokens with transformers: decode_peer.py FOLDER [float32|bfloat16] [TOKENS]. Needs PyTorch and transformers."""
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, kind, count = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "float32", int(sys.argv[3]) if len(sys.argv) > 3 else 128
started = time.time()
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, kind)).eval()
print(f"opened in {time.time() - started:.3f} s")
prompt = torch.arange(3, 19).unsqueeze(0)


def seconds(tokens):
    begun = time.time()
    with torch.no_grad():
        model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0)
    return time.time() - begun


seconds(8)
for _ in range(3):
    opening = seconds(1)
    print(f"{(count - 1) / (seconds(count) - opening):.1f} tokens/s after the first")
