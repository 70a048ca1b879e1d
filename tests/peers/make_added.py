"""Makes folders whose tokens stand beside tokenizer.json, with the ids that transformers' AutoTokenizer gives.

Use: python3 make_added.py BASE FOLDER      (needs transformers; BASE is a folder with tokenizer.json)
"""
import json
import os
import shutil
import sys

from transformers import AutoTokenizer

BASE, OUT = sys.argv[1:3]
TEXTS = ["a <|x|> b <|y|>c", "q<zz>w <img>i", "é<Nn> x[PAD]z", "one<|x|><|y|><s>", "<s>two words</s>", "wordup up word", ""]


def token(content, **flags):
    return dict(dict(content=content, lstrip=False, rstrip=False, normalized=False, single_word=False, special=True), **flags)


def decoder():
    return {"90010": token("<|y|>", lstrip=True), "90020": token("<|x|>", rstrip=True, special=False), "90030": token("word", single_word=True, special=False, normalized=True)}


CASES = {
    "decoder": {"tokenizer_config.json": dict(added_tokens_decoder=decoder(), eos_token="<|x|>")},
    "named": {"tokenizer_config.json": dict(pad_token="[PAD]", bos_token="<s>", additional_special_tokens=["<zz>", "<Nn>"], image_token="<img>")},
    "both": {"tokenizer_config.json": dict(added_tokens_decoder=decoder(), pad_token="[PAD]", additional_special_tokens=["<zz>"]),
             "added_tokens.json": {"<Nn>": 90040}, "special_tokens_map.json": {"bos_token": "<s>"}},
    "older": {"tokenizer_config.json": dict(bos_token="<|y|>"), "added_tokens.json": {"<|x|>": 90050, "<|y|>": 90040, "<zz>": 90045},
              "special_tokens_map.json": {"pad_token": dict(content="[PAD]", lstrip=True, rstrip=False, normalized=False, single_word=False), "bos_token": "<s>"}},
    "map": {"special_tokens_map.json": {"pad_token": "[PAD]", "additional_special_tokens": ["<img>"]}},
    "flags": {"tokenizer_config.json": dict(added_tokens_decoder={"0": token("<|own|>", lstrip=True, rstrip=True)})},
}

for name, files in CASES.items():
    place = os.path.join(OUT, name)
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    content = json.load(open(os.path.join(BASE, "tokenizer.json"), encoding="utf-8"))
    content["added_tokens"] = [dict(id=len(content["model"]["vocab"]), **token("<|own|>", special=False))] if name == "flags" else []
    json.dump(content, open(os.path.join(place, "tokenizer.json"), "w", encoding="utf-8"), ensure_ascii=False)
    for file, settings in files.items():
        if file == "tokenizer_config.json":
            settings = dict(settings, tokenizer_class="PreTrainedTokenizerFast")
        json.dump(settings, open(os.path.join(place, file), "w", encoding="utf-8"), indent=1)
    if "tokenizer_config.json" not in files:
        json.dump(dict(tokenizer_class="PreTrainedTokenizerFast"), open(os.path.join(place, "tokenizer_config.json"), "w"))
    tokenizer = AutoTokenizer.from_pretrained(place)
    cases = []
    for text in TEXTS + ["k <|own|> l"]:
        ids = tokenizer.encode(text, add_special_tokens=False)
        cases.append(dict(text=text, ids_plain=ids, decoded=tokenizer.decode(ids), decoded_skip=tokenizer.decode(ids, skip_special_tokens=True)))
    json.dump(dict(cases=cases), open(os.path.join(place, "cases.json"), "w", encoding="utf-8"), ensure_ascii=False)
