"""Decoding after prompts of 16 tokens with transformers: decode_peer.py FOLDER [float32|bfloat16] [TOKENS] [ROWS] [TEMPERATURE].
Needs PyTorch and transformers."""
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, kind, count, rows, temperature = sys.argv[1], *(sys.argv[2:] + ["float32", "128", "1", "0"][len(sys.argv) - 2:])
count, rows, temperature = int(count), int(rows), float(temperature)
started = time.time()
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, kind)).eval()
print(f"opened in {time.time() - started:.3f} s")
prompts = torch.stack([torch.arange(3 + row, 19 + row) for row in range(rows)])
how = dict(do_sample=True, temperature=temperature, top_k=0) if temperature > 0 else dict(do_sample=False)


def seconds(tokens):
    begun, before = time.time(), time.process_time()
    with torch.no_grad():
        model.generate(
            prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=0, **how)
    return time.time() - begun, time.process_time() - before


seconds(8)
for _ in range(3):
    (opening, used), (whole, all_used) = seconds(1), seconds(count)
    made = rows * (count - 1)
    print(f"{made / (whole - opening):.1f} tokens/s after the first; {(all_used - used) / made * 1000:.2f} ms of processor time a token")
