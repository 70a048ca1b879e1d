"""Writes ten steps of each optimizer and the curve of each schedule, by PyTorch, transformers and the authors' own code.

Use: python3 make_optimizers.py BITSANDBYTES LION FIXTURES
BITSANDBYTES: a checkout of bitsandbytes (its Python code alone; the CPU backend needs nothing compiled). LION: the folder `lion` of a
checkout of google/automl. FIXTURES: tests/Polymath.Tests/fixtures/optimizers, where optimizers.safetensors and
schedules.json are written. Needs torch 2.9 or later (torch.optim.Muon), transformers and safetensors. Made with torch 2.14.1,
transformers 5.12.1, bitsandbytes at 95f9af309 (0.50.2.dev0) and google/automl at 6a54c8741.

A weight's start, its gradients and what became of it after ten steps are numbers in 32 bits, as the peers' CPU code makes them. Gradients
are not kept: gradient(name, step) says them in whole numbers, so that any program makes the same ones.
"""
import json
import math
import os
import sys
import types

import torch
import transformers
from transformers import optimization as schedules

BITSANDBYTES, LION, FIXTURES = sys.argv[1:4]
sys.path[:0] = [BITSANDBYTES, LION]
torch.set_num_threads(1)
os.environ["TORCHDYNAMO_DISABLE"] = "1"

STEPS = 10
# A vector, a matrix, a tall one, and one whose moments are kept in 8 bits: 4123 elements, so that the last block of 256 is not full.
SHAPES = {"vector": (37,), "wide": (6, 11), "tall": (13, 5), "large": (7, 589)}


def numbers(seed, count):
    """Whole numbers from a linear congruential generator (Knuth's MMIX), brought between -1 and 1."""
    state, out = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append((state >> 40) / 2**23 - 1)
    return out


def values(seed, shape):
    return torch.tensor(numbers(seed, math.prod(shape)), dtype=torch.float32).reshape(shape)


def start(name):
    return values(1000 + len(name), SHAPES[name])


def gradient(name, step):
    # Of several sizes, so that scales and clipping matter.
    size = [1.0, 0.01, 0.3, 3.0, 0.001][step % 5]
    return values(step * 7919 + len(name), SHAPES[name]) * size


def decayed(name, decay):
    return decay if len(SHAPES[name]) > 1 else 0.0


def steps(make, names, rate=None):
    """Ten steps of one optimizer for each weight, so that norms and biases can be spared."""
    out = {}
    for name in names:
        weight = torch.nn.Parameter(start(name))
        optimizer = make(name, weight)
        for step in range(1, STEPS + 1):
            weight.grad = gradient(name, step)
            if rate is not None:
                for group in optimizer.param_groups:
                    group["lr"] = rate(step)
            optimizer.step()
        out[name] = (weight.detach().clone(), optimizer.state[weight])
    return out


def adamw8bit(name, weight):
    from bitsandbytes.optim import AdamW8bit

    return AdamW8bit([weight], lr=2e-2, betas=(0.9, 0.95), eps=1e-6, weight_decay=decayed(name, 0.1))


def muon(nesterov, adjust):
    return lambda name, weight: torch.optim.Muon(
        [weight], lr=2e-2, weight_decay=0.1, momentum=0.95, nesterov=nesterov, adjust_lr_fn=adjust)


def adafactor(**more):
    def make(name, weight):
        settings = {"lr": 2e-2, "scale_parameter": False, "relative_step": False, "warmup_init": False, **more}
        return schedules.Adafactor([weight], weight_decay=decayed(name, 0.1), **settings)

    return make


def lion(name, weight):
    from lion_pytorch import Lion

    return Lion([weight], lr=1e-3, betas=(0.9, 0.99), weight_decay=decayed(name, 0.1))


def sgd(**more):
    return lambda name, weight: torch.optim.SGD([weight], lr=5e-2, weight_decay=decayed(name, 0.1), **more)


def adamw(name, weight):
    return torch.optim.AdamW([weight], lr=2e-2, betas=(0.9, 0.95), eps=1e-6, weight_decay=decayed(name, 0.1))


def save(path, tensors):
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in tensors.items()}, path)


def optimizers():
    every, matrices = list(SHAPES), [name for name, shape in SHAPES.items() if len(shape) == 2]
    small = [name for name in SHAPES if name != "large"]
    cases = {
        "adamw": (adamw, small),
        "adamw8bit": (adamw8bit, every),
        "adafactor": (adafactor(), small),
        "adafactorMoment": (adafactor(beta1=0.9, clip_threshold=0.5, decay_rate=-0.5), small),
        "adafactorRelative": (adafactor(lr=None, scale_parameter=True, relative_step=True), small),
        "adafactorWarmup": (adafactor(lr=None, relative_step=True, warmup_init=True), small),
        "lion": (lion, small),
        "muon": (muon(True, "original"), [name for name in matrices if name in small]),
        "muonMatched": (muon(False, "match_rms_adamw"), [name for name in matrices if name in small]),
        "sgd": (sgd(), small),
        "sgdMomentum": (sgd(momentum=0.9), small),
        "sgdNesterov": (sgd(momentum=0.9, nesterov=True), small),
    }
    tensors = {f"start.{name}": start(name) for name in SHAPES}
    tensors |= {f"gradient.{name}": gradient(name, STEPS) for name in small}
    for case, (make, names) in cases.items():
        for name, (weight, state) in steps(make, names).items():
            tensors[f"{case}.{name}"] = weight
            if case == "adamw8bit" and name == "large":
                for key in ("state1", "state2", "absmax1", "absmax2", "qmap1", "qmap2"):
                    tensors[f"{case}.{name}.{key}"] = state[key]
    # PyTorch turns matrices to bfloat16; the same code in 32 bits says what ours makes on a CPU.
    original = torch.Tensor.bfloat16
    torch.Tensor.bfloat16 = lambda self: self.clone()
    for case in ("muon", "muonMatched"):
        for name, (weight, _) in steps(*cases[case]).items():
            tensors[f"{case}32.{name}"] = weight
    torch.Tensor.bfloat16 = original
    save(os.path.join(FIXTURES, "optimizers.safetensors"), tensors)


def curve(lambda_, steps):
    return [lambda_(step) for step in range(steps + 1)]


def schedule_curves():
    """The share of the peak at each step from 0, as transformers' lambdas say it."""
    fake = types.SimpleNamespace(defaults={"lr": 0.5})

    def of(make, **settings):
        captured = {}

        def keep(optimizer, lr_lambda, last_epoch=-1):
            captured["lambda"] = lr_lambda

        original, schedules.LambdaLR = schedules.LambdaLR, keep
        make(fake, **settings)
        schedules.LambdaLR = original
        return captured["lambda"]

    n, w = 40, 6
    rows = []

    def row(kind, ours, lambda_):
        rows.append({"kind": kind, "steps": n, "warmup": ours.get("warmup", w), **ours, "shares": curve(lambda_, n)})

    for shape, theirs in (("linear", "linear"), ("cosine", "cosine"), ("oneMinusSqrt", "1-sqrt")):
        for floor in (0.0, 0.1):
            row("wsd", {"decaySteps": 9, "decayShape": shape, "floor": floor}, of(
                schedules.get_wsd_schedule, num_warmup_steps=w, num_decay_steps=9, num_training_steps=n, decay_type=theirs,
                min_lr_ratio=floor))
    row("inverseSqrt", {}, of(schedules.get_inverse_sqrt_schedule, num_warmup_steps=w))
    row("inverseSqrt", {"timescale": 20}, of(schedules.get_inverse_sqrt_schedule, num_warmup_steps=w, timescale=20))
    row("inverseSqrt", {"warmup": 0}, of(schedules.get_inverse_sqrt_schedule, num_warmup_steps=0))
    for power in (1.0, 2.0, 0.5):
        row("polynomial", {"power": power, "floor": 0.2}, of(
            schedules.get_polynomial_decay_schedule_with_warmup, num_warmup_steps=w, num_training_steps=n, lr_end=0.1, power=power))
    for cycles in (1, 3):
        row("restarts", {"cycles": cycles}, of(
            schedules.get_cosine_with_hard_restarts_schedule_with_warmup, num_warmup_steps=w, num_training_steps=n, num_cycles=cycles))
    with open(os.path.join(FIXTURES, "schedules.json"), "w") as file:
        json.dump({"made with": f"transformers {transformers.__version__}", "rows": rows}, file, indent=1)
        file.write("\n")


os.makedirs(FIXTURES, exist_ok=True)
optimizers()
schedule_curves()
print("torch", torch.__version__, "transformers", transformers.__version__)
