"""Makes small tokenizers and their cases beside the shared ones, run by Hugging Face's tokenizers itself.

Use: python3 make_tokenizers.py FOLDER      (needs tokenizers)
"""
import json
import os
import sys

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

PAIRS = [("aaaaa aaaaa aaaaa", "bbbbbbbb bbbb"), ("aaaaaaaa aaaa", "bbbbb bbbbb bbbbb"), ("aaaaaaaaa", "bbbbbbbbb"), ("aaaaaaaaX", "bbbbbbbb"), ("aaXaaaaaaX", "bbbbbbbbbX"),
         ("aaaaaaaa aaaa", "bbbbb Xb bbbbb"), ("", "bbbbb bbbbb"), ("aaaaa aaaaa", ""), ("aa", "bb"), ("X X X X X X X X a", "b X X X X X X X X"), ("aaaa aaaa aaaa", "b"), ("a", "bbbb bbbb bbbb"),
         ("a", "b"), ("a", "bb bb"), ("aa", "b b"), ("X", "b X b"), ("X", "X b X"), ("a a", "b"), ("a", "b b b b b b"), ("a a a a a", "b"), ("b", "aXaaXbbbb X")]


def spelled(direction, strategy, length):
    t = Tokenizer(models.BPE({"a": 0, "b": 1, "[S]": 2}, []))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.add_tokens(["X"])
    t.post_processor = processors.BertProcessing(("[S]", 2), ("[S]", 2))
    t.enable_truncation(max_length=length, direction=direction, strategy=strategy)
    return t


def renamed(normalizer):
    t = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<S>": 2, "[U]": 3}, unk_token="[U]"))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.normalizer = normalizer
    t.add_special_tokens([AddedToken("<S>", normalized=True, special=True), AddedToken("<T>", normalized=True, special=True), AddedToken("<R>", normalized=False, special=True)])
    return t


def main():
    made = {f"trunc_words_{strategy}_{direction}": spelled(direction, strategy, 8) for direction in ("left", "right") for strategy in ("longest_first", "only_first", "only_second")}
    made |= {"special_prepend": renamed(normalizers.Prepend("_")), "special_lowercase": renamed(normalizers.Lowercase())}
    for name, tokenizer in made.items():
        cases = []
        for text in ["", "a b", "<S> a", "<T> a b", "a <T> <S>", "<R> b <R>", "a", "b  a", "<S>", "<T><S>", "aaaa bbbb aaaa", "Xab X"]:
            try:
                ids, plain = tokenizer.encode(text), tokenizer.encode(text, add_special_tokens=False)
            except BaseException:  # It cannot cut a second text where there is none.
                continue
            cases.append({"text": text, "ids": ids.ids, "ids_plain": plain.ids, "tokens": plain.tokens, "decoded": tokenizer.decode(plain.ids, skip_special_tokens=False), "decoded_skip": tokenizer.decode(ids.ids)})
        for pair in PAIRS if name.startswith("trunc") else []:
            try:
                both = tokenizer.encode(*pair)
            except BaseException:  # The library refuses to cut the one text so far that nothing is left.
                continue
            cases.append({"pair": list(pair), "ids": both.ids, "type_ids": both.type_ids})
        folder = os.path.join(sys.argv[1], name)
        os.makedirs(folder, exist_ok=True)
        tokenizer.save(os.path.join(folder, "tokenizer.json"))
        json.dump({"kind": "", "made_with": "tokenizers", "cases": cases}, open(os.path.join(folder, "cases.json"), "w"), indent=1)


main()
