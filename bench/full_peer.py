"""Training every weight with transformers: full_peer.py FOLDER ROWS.json [ROWS_OF_A_PASS] [EXPERTS]. Needs PyTorch and transformers.

Rows of a pass are padded on the right to the longest, as the usual collator does; the eight rows of a step are one optimizer step, its loss the mean over all targets. EXPERTS is
transformers' way to compute experts (eager, batched_mm, grouped_mm); its own choice when left out.
"""
import json
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, rows, size = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 8
more = {"experts_implementation": sys.argv[4]} if len(sys.argv) > 4 else {}
torch.manual_seed(1)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa", **more)
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
tokens, started = 0, 0.0
for step in json.load(open(rows)):
    targets = sum(len(row["ids"]) - row["first"] for row in step)
    total = 0.0
    for at in range(0, len(step), size):
        part = step[at : at + size]
        width = max(len(row["ids"]) for row in part)
        ids, labels, mask = torch.zeros(len(part), width, dtype=torch.long), torch.full((len(part), width), -100), torch.zeros(len(part), width, dtype=torch.long)
        for i, row in enumerate(part):
            length = len(row["ids"])
            ids[i, :length] = torch.tensor(row["ids"])
            mask[i, :length] = 1
            labels[i, row["first"] : length] = ids[i, row["first"] : length]
        loss = model(input_ids=ids, attention_mask=mask, labels=labels, num_items_in_batch=targets, use_cache=False).loss
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    print(f"loss {total:.6f}", flush=True)
    if not started:
        started = time.time()
    else:
        tokens += sum(len(row["ids"]) for row in step)
print(f"{tokens / (time.time() - started):.1f} tokens/s, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6:.0f} MB")
