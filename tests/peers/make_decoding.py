"""Makes reference answers: transformers' generate with beams and penalties on the cases of make_models.py.

Use: python3 make_decoding.py FOLDER-OF-CASES FILE
"""
import json
import os
import sys

import torch
import transformers as t
from safetensors.torch import load_file

cases = []
for name in ("llama-rope-linear", "qwen3-bias-tied", "t5-untied", "gpt2-scaled-relu"):
    folder = os.path.join(sys.argv[1], name)
    model = (t.AutoModelForSeq2SeqLM if name.startswith("t5") else t.AutoModelForCausalLM).from_pretrained(folder).eval()
    ids = load_file(os.path.join(folder, "reference.safetensors"))["input_ids"][:1]
    for width in (5, 11):
        prompt = ids[:, :width]
        for settings in (dict(num_beams=3), dict(num_beams=4, length_penalty=0.3), dict(num_beams=2, length_penalty=2.0), dict(repetition_penalty=1.4), dict(repetition_penalty=1.2, num_beams=3)):
            # Ends that do come: tokens of the answer that no end cuts short, one early, one late, and one that is not there.
            with torch.no_grad():
                free = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=10, eos_token_id=None, pad_token_id=0, bos_token_id=1, **settings)[0].tolist()[1 if name.startswith("t5") else width:]
            for end in (free[3], free[7], 2):
                with torch.no_grad():
                    out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=10, eos_token_id=end, pad_token_id=end, bos_token_id=1, **settings)
                answer = out[0].tolist()[1 if name.startswith("t5") else width:]
                answer = answer[:answer.index(end)] if end in answer else answer
                cases.append(dict(model=name, prompt=prompt[0].tolist(), end=end, beams=settings.get("num_beams", 1), lengthPenalty=settings.get("length_penalty", 1.0), repetitionPenalty=settings.get("repetition_penalty", 1.0), answer=answer))
json.dump(cases, open(sys.argv[2], "w"))
print(len(cases), sum(len(case["answer"]) < 10 for case in cases))
