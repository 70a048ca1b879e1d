"""Writes numbers and the blocks that ggml's own library makes of them, for the tests. Run inside the peers' root, where libggml and python3-gguf are.

    python3 make_blocks.py FOLDER
"""
import ctypes
import ctypes.util
import glob
import os
import sys

import gguf
import numpy
import torch
from safetensors.torch import save_file

out = sys.argv[1]
library = ctypes.CDLL(sorted(glob.glob("/usr/lib/*/libggml-base.so*") + glob.glob("/usr/lib/*/ggml/libggml-base.so*"))[0])
quantize = library.ggml_quantize_chunk
quantize.restype = ctypes.c_size_t
quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
random = numpy.random.default_rng(3)
x = random.normal(0, 0.05, (12, 256)).astype(numpy.float32)
x[1] = 0
x[2] = 0.25
x[3] = numpy.linspace(-1, 2, 256)
x[4] = numpy.abs(x[4])
x[5] = -numpy.abs(x[5])
x[6, 40] = 9
x[7, :32] = 0
x[8] *= 1e-6
x[9] *= 1e3
tensors = {"x": torch.from_numpy(x)}
for name, code in (("q8_0", 8), ("q4_0", 2), ("q4_k", 12)):
    kind = gguf.GGMLQuantizationType(code)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    made = numpy.zeros(x.size // block * size, dtype=numpy.uint8)
    quantize(code, x.ctypes.data, made.ctypes.data, 0, x.shape[0], x.shape[1], None)
    tensors[name] = torch.from_numpy(made)
    tensors[name + ".back"] = torch.from_numpy(gguf.quants.dequantize(made.reshape(x.shape[0], -1), kind).astype(numpy.float32).copy())
os.makedirs(out, exist_ok=True)
save_file(tensors, os.path.join(out, "blocks.safetensors"))
print({name: tuple(value.shape) for name, value in tensors.items()})
