"""Holds exported files of a trained model against llama.cpp by the command line alone: text in, text out. The test suite `gguf` holds logits, tokens and bytes.

    python3 gguf_check.py POLYMATH PEERS MODEL...

POLYMATH is the command line (./polymath), PEERS the root folder that holds llama.cpp, MODEL folders in Hugging Face's layout. The answer in 32 bits must be the
same; the other types are shown beside that of the 32 bits, which they may leave where two words are nearly as likely.
"""
import json
import os
import subprocess
import sys

polymath, peers, models = sys.argv[1], sys.argv[2], sys.argv[3:]
PROMPT, TOKENS = "Once upon a time", 48
bad = 0
for model in models:
    name = os.path.basename(model.rstrip("/"))
    said = subprocess.run([polymath, "generate", model, "--raw", "--json", "--prompt", PROMPT, "--temperature", "0", "--max-new-tokens", str(TOKENS)], capture_output=True, text=True)
    if said.returncode:
        print(name, said.stderr)
        bad += 1
        continue
    ours = json.loads(said.stdout.strip().splitlines()[-1])["text"]
    for kind in ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_k"):
        file = os.path.join(peers, "tmp", f"{name}-{kind}.gguf")
        made = subprocess.run([polymath, "model", "export", model, "--gguf", file, "--type", kind], capture_output=True, text=True)
        if made.returncode:
            print(name, kind, made.stderr)
            bad += 1
            continue
        run = subprocess.run(["chroot", peers, "llama-completion", "-m", f"/tmp/{name}-{kind}.gguf", "-p", PROMPT, "-n", str(TOKENS), "--temp", "0", "-no-cnv", "--no-display-prompt", "--simple-io", "--no-warmup", "-t", "2", "-s", "1", "-ctk", "f32", "-ctv", "f32", "-fa", "off"], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        theirs = run.stdout.replace(" [end of text]", "").strip()
        alike = len(os.path.commonprefix([ours.strip(), theirs]))
        # llama.cpp stops where a model ends its text, ours goes on from plain text.
        same = alike == len(theirs)
        print(f"{name:24} {kind:5} {alike:4} of {len(theirs):4} letters the same, loaded={run.returncode == 0}")
        if run.returncode or not same and kind == "f32":
            bad += 1
            print("  ours:  ", repr(ours[:200]), "\n  theirs:", repr(theirs[:200]), run.stderr[-600:] if run.returncode else "")
sys.exit(1 if bad else 0)
