"""Suite fresh: transformers loads every family's folder that the suite wrote, and answers with the same logits.

Use: python3 fresh_check.py FOLDER      (needs torch, transformers, safetensors)
"""
import json
import os
import sys

import torch
import transformers as t
from safetensors.torch import load_file

FAULTS = 0
for name in sorted(os.listdir(sys.argv[1])):
    folder = os.path.join(sys.argv[1], name)
    if not os.path.exists(os.path.join(folder, "logits.safetensors")):
        continue
    said = json.load(open(os.path.join(folder, "config.json")))
    model_type = getattr(t, said["architectures"][0], None)
    if model_type is None:
        print(f"{name}: transformers has no {said['architectures'][0]}")
        continue
    try:
        model, notes = model_type.from_pretrained(folder, attn_implementation="eager", output_loading_info=True)
        model.eval()
        of = load_file(os.path.join(folder, "logits.safetensors"))
        ends, answers, worst = of["offsets"].tolist(), of["answer_offsets"].tolist(), 0.0
        with torch.no_grad():
            for first, last, begin, end in zip(ends, ends[1:], answers, answers[1:]):
                ids = of["ids"][first:last].unsqueeze(0)
                more = dict(decoder_input_ids=of["answers"][begin:end].unsqueeze(0)) if model.config.is_encoder_decoder else {}
                logits = model(input_ids=ids, **more).logits[0]
                worst = max(worst, (logits - of["logits"][begin:end]).abs().max().item())
        lost = {key: sorted(of) for key, of in notes.items() if of and key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
        good = worst < 2e-4 and not lost
        FAULTS += not good
        print(f"{name}: {'ok' if good else 'DIFFERS'} {worst:.1e} {lost or ''}")
    except Exception as fault:
        FAULTS += 1
        print(f"{name}: {type(fault).__name__}: {str(fault).splitlines()[0][:200]}")
sys.exit(FAULTS > 0)
