"""OpenPrompt's speed on the tasks that `bench` prompts measures: a few-shot training, and a zero-shot pass with related words.

Needs PyTorch, transformers and OpenPrompt's folder on the path:  PYTHONPATH=OPENPROMPT python3 openprompt_peer.py MODEL REVIEWS [train|kpt]
REVIEWS is a file of lines, a label (0 or 1), a tab and a text. Prints seconds of the wall and of the processor.
"""
import json
import sys
import time

import torch
from transformers import AutoTokenizer, RobertaForMaskedLM

from openprompt import PromptDataLoader, PromptForClassification
from openprompt.data_utils import InputExample
from openprompt.plms.mlm import MLMTokenizerWrapper
from openprompt.prompts import KnowledgeableVerbalizer, ManualTemplate, ManualVerbalizer

model_folder, reviews, what = sys.argv[1:4]
tokenizer = AutoTokenizer.from_pretrained(model_folder)
plm = RobertaForMaskedLM.from_pretrained(model_folder)
rows = [line.rstrip("\n").split("\t", 1) for line in open(reviews, encoding="utf-8")]
examples = [InputExample(guid=i, text_a=text, label=int(label)) for i, (label, text) in enumerate(rows)]
template = ManualTemplate(text='{"placeholder":"text_a"} It was {"mask"}.', tokenizer=tokenizer)


def loader(batch):
    return PromptDataLoader(
        dataset=examples, template=template, tokenizer=tokenizer, tokenizer_wrapper_class=MLMTokenizerWrapper,
        max_seq_length=128, decoder_max_length=3, batch_size=batch, shuffle=False, truncate_method="tail")


def timed(name, run):
    wall, processor = time.perf_counter(), time.process_time()
    run()
    print(f"{name}: {time.perf_counter() - wall:.1f} s, {time.process_time() - processor:.1f} s of processor time", flush=True)


def train():
    """Four passes over the rows, eight a step, every weight with AdamW."""
    words = ManualVerbalizer(tokenizer, num_classes=2, label_words=[["bad"], ["good"]])
    model = PromptForClassification(plm=plm, template=template, verbalizer=words, freeze_plm=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    loss = torch.nn.CrossEntropyLoss()
    data = loader(8)
    model.train()
    for _ in range(4):
        for batch in data:
            loss(model(batch), batch["label"]).backward()
            optimizer.step()
            optimizer.zero_grad()


def kpt():
    """One pass over the rows with the related words of both labels."""
    related = json.load(open(sys.argv[4], encoding="utf-8"))
    words = ManualVerbalizer(tokenizer, num_classes=2, label_words=related)
    model = PromptForClassification(plm=plm, template=template, verbalizer=words, freeze_plm=True)
    model.eval()
    with torch.no_grad():
        for batch in loader(32):
            model(batch)


timed(what, {"train": train, "kpt": kpt}[what])
