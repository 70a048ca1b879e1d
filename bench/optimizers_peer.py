"""One step of the peers' optimizers over the weights of bench/Polymath.Bench/OptimizerKinds.cs.

Use: OMP_NUM_THREADS=2 python3 optimizers_peer.py [BITSANDBYTES [LION]]     (checkouts, as tests/peers/make_optimizers.py takes them)
"""
import sys
import time

import torch
from transformers.optimization import Adafactor

sys.path[:0] = sys.argv[1:]
WEIGHTS, ROWS, COLUMNS, STEPS = 200, 250, 500, 7


def measure(name, make):
    weights = [torch.nn.Parameter(torch.randn(ROWS, COLUMNS)) for _ in range(WEIGHTS)]
    for weight in weights:
        weight.grad = torch.randn(ROWS, COLUMNS)
    optimizer, times = make(weights), []
    for _ in range(STEPS):
        started = time.perf_counter()
        optimizer.step()
        times.append((time.perf_counter() - started) * 1e3)
    print(f"{name:<20}{sorted(times)[STEPS // 2]:10.1f} ms", flush=True)


measure("adamw fused", lambda weights: torch.optim.AdamW(weights, 1e-3, fused=True))
measure("adamw", lambda weights: torch.optim.AdamW(weights, 1e-3))
measure("adafactor", lambda weights: Adafactor(weights, 1e-3, scale_parameter=False, relative_step=False))
measure("muon", lambda weights: torch.optim.Muon(weights, 1e-3))
measure("sgd", lambda weights: torch.optim.SGD(weights, 1e-3, momentum=0.9))
if len(sys.argv) > 1:
    from bitsandbytes.optim import AdamW8bit

    measure("adamw8bit", lambda weights: AdamW8bit(weights, 1e-3))
if len(sys.argv) > 2:
    from lion_pytorch import Lion

    measure("lion", lambda weights: Lion(weights, 1e-3))
