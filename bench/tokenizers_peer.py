"""Encodes a file line by line with Hugging Face's tokenizers: the other side of `Polymath.Bench tokenizers`.

taskset -c 0 env TOKENIZERS_PARALLELISM=false RAYON_NUM_THREADS=1 python3 bench/tokenizers_peer.py FOLDER FILE [MEGABYTES]
"""
import sys
import time

from tokenizers import Tokenizer

folder, file = sys.argv[1:3]
most = float(sys.argv[3]) * 1e6 if len(sys.argv) > 3 else float("inf")
tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
tokenizer.no_padding()
size = ids = total = 0
seconds = 0.0


def encode(batch):
    global ids, total, seconds
    started = time.perf_counter()
    rows = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
    seconds += time.perf_counter() - started
    for row in rows:
        ids += len(row.ids)
        total += sum(row.ids)


batch = []
with open(file, encoding="utf-8", newline="\n") as lines:
    for line in lines:
        batch.append(line.rstrip("\n"))
        size += len(line.encode())
        if len(batch) == 1000:
            encode(batch)
            batch = []
            if size > most:
                break
encode(batch)
print(f"{size / 1e6 / seconds:.2f} MB/s  {ids} ids  sum {total}  {size / 1e6:.1f} MB in {seconds:.2f} s")
