"""Makes tiny models in the layouts of quantized checkpoints, with the logits of the numbers that their codes stand for.

Use: python3 make_quantized.py FOLDER [CASE...]      (needs torch, transformers, safetensors)
Codes, zeros and scales are drawn; the numbers follow from them by each method's formula, element by element, BEFORE anything is packed. The packing follows the
published packers (named at each function). The numbers go into transformers' own model, whose logits are the reference: nothing here unpacks.
"""
import json
import os
import sys

import torch
import transformers as t
from safetensors.torch import save_file

VOCABULARY, HIDDEN, INNER = 29, 32, 48
LLAMA = t.LlamaConfig(
    vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=32, pad_token_id=0, bos_token_id=1, eos_token_id=2, rope_parameters=dict(rope_theta=10000.0, rope_type="default"))
GPT_OSS = t.GptOssConfig(
    vocab_size=29, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
    num_local_experts=3, num_experts_per_tok=2, sliding_window=4, max_position_embeddings=64,
    rope_parameters=dict(rope_type="default", rope_theta=10000.0))
GPT2 = t.GPT2Config(
    vocab_size=VOCABULARY, n_embd=HIDDEN, n_layer=1, n_head=2, n_positions=32, n_inner=INNER, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    bos_token_id=1, eos_token_id=2)
NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
       0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]
FP4 = [0.0, 0.0052083333, 0.6666667, 1.0, 0.3333333, 0.5, 0.1666667, 0.25, -0.0, -0.0052083333, -0.6666667, -1.0, -0.3333333, -0.5, -0.1666667, -0.25]


def draw(low, high, *shape):
    """Whole numbers from low up to high, both drawn."""
    return torch.randint(low, high + 1, shape, dtype=torch.int64)


def scales(*shape, size=0.02):
    return (torch.rand(shape) + 0.5) * size


def words(codes, bits, order=None):
    """[..., n] codes to [..., n*bits/32] words of 32 bits; code order[i] of each word's lot goes to bits i*bits and up."""
    lot = 32 // bits
    grouped = codes.reshape(*codes.shape[:-1], -1, lot)
    word = torch.zeros(grouped.shape[:-1], dtype=torch.int64)
    for i in range(lot):
        word |= grouped[..., order[i] if order else i] << (bits * i)
    return torch.where(word >= 2 ** 31, word - 2 ** 32, word).to(torch.int32)


def bnb4(name, out, width, levels=NF4, kind="nf4", dtype="bfloat16", nested=True, block=64, storage=torch.uint8):
    """bitsandbytes QuantState.as_dict and quantize_4bit: two codes a byte, the first in the upper half; statistics quantized once more where nested."""
    codes = draw(0, 15, out * width)
    blocks = -(-out * width // block)
    table = torch.tensor(levels)
    state = dict(quant_type=kind, blocksize=block, dtype=dtype, shape=[out, width])
    files = {}
    if nested:
        inner, offset = draw(0, 255, blocks), 0.03125
        inner_map, inner_block = torch.sort(torch.rand(256) * 2 - 1).values, 4
        inner_largest = scales(-(-blocks // inner_block))
        largest = torch.tensor([inner_map[inner[i]].item() * inner_largest[i // inner_block].item() for i in range(blocks)]) + offset
        state.update(nested_blocksize=inner_block, nested_dtype="float32", nested_offset=offset)
        files.update({name + ".absmax": inner.to(torch.uint8), name + ".nested_absmax": inner_largest, name + ".nested_quant_map": inner_map})
    else:
        largest = scales(blocks, size=0.1)
        files[name + ".absmax"] = largest
    numbers = torch.stack([table[codes[i]] * largest[i // block] for i in range(out * width)]).to(getattr(torch, dtype)).reshape(out, width)
    packed = (codes[0::2] << 4 | codes[1::2]).to(torch.uint8)
    files[name] = packed.view(storage).unsqueeze(1)
    files[name + ".quant_map"] = table
    files[name + ".quant_state.bitsandbytes__" + kind] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    return numbers, files


def bnb8(name, out, width):
    """bitsandbytes Int8Params: codes in rows, SCB the rows' largest values; int8_vectorwise_dequant multiplies with 1/127."""
    codes, largest = draw(-127, 127, out, width), scales(out, size=0.1)
    numbers = codes.float() * largest[:, None] * 7.874015718698502e-3
    module = name.removesuffix("weight")
    return numbers, {name: codes.to(torch.int8), module + "SCB": largest, module + "weight_format": torch.tensor(0, dtype=torch.uint8)}


def fp8(name, out, width, grid=None, ending="weight_scale_inv", dtype=torch.bfloat16, scale_type=torch.float32, extra=()):
    """Floats of eight bits; grid is (rows, columns) that share a scale, None for one scale; DeepSeek-V3's weight_dequant, transformers' Fp8Dequantize."""
    codes = (torch.randn(out, width)).to(torch.float8_e4m3fn)
    rows, columns = grid or (out, width)
    table = scales(-(-out // rows), -(-width // columns)).to(scale_type)
    numbers = torch.tensor([[codes[i, j].float() * table[i // rows, j // columns].float() for j in range(width)] for i in range(out)]).to(dtype)
    module = name.removesuffix("weight")
    files = {name: codes, module + ending: table if grid else table.reshape([])}
    files.update({module + key: torch.tensor([1.5]) for key in extra})
    return numbers, files


def mx8(name, out, width):
    """MXFP8: a byte of exponent for 32 columns."""
    codes, exponents = torch.randn(out, width).to(torch.float8_e4m3fn), draw(119, 123, out, width // 16)
    numbers = torch.tensor([[codes[i, j].float() * 2.0 ** (exponents[i, j // 16].item() - 127) for j in range(width)] for i in range(out)])
    return numbers.to(torch.bfloat16), {name: codes, name + "_scale_inv": exponents.to(torch.uint8)}


def gptq(name, out, width, bits=4, group=16, act=False, offset=1, listed=True, turned=False):
    """AutoGPTQ's QuantLinear.pack: qweight along the input, qzeros (less one in the first format) along the output."""
    if group < 0:
        group = width
    count = width // group
    codes, zeros = draw(0, 2 ** bits - 1, width, out), draw(1, 2 ** bits - 1, count, out)
    scale = scales(count, out, size=0.3 / 2 ** bits).half()
    places = torch.arange(width) // group
    if act:
        places = places[torch.randperm(width)]
    numbers = torch.stack([(codes[i] - zeros[places[i]]).half() * scale[places[i]] for i in range(width)])
    module = name.removesuffix("weight")
    files = {module + "qweight": words(codes.t(), bits).t(), module + "qzeros": words(zeros - offset, bits), module + "scales": scale}
    if listed:
        files[module + "g_idx"] = places.to(torch.int32)
    return numbers if turned else numbers.t(), files


def awq(name, out, width, group=16):
    """AutoAWQ's WQLinear_GEMM.from_linear: eight outputs a word in the order 0, 2, 4, 6, 1, 3, 5, 7."""
    order, count = [0, 2, 4, 6, 1, 3, 5, 7], width // group
    codes, zeros, scale = draw(0, 15, width, out), draw(0, 15, count, out), scales(count, out).half()
    numbers = torch.stack([(codes[i] - zeros[i // group]).half() * scale[i // group] for i in range(width)]).t()
    module = name.removesuffix("weight")
    return numbers, {module + "qweight": words(codes, 4, order), module + "qzeros": words(zeros, 4, order), module + "scales": scale}


def packed(name, out, width, bits=4, group=16, zero=False, act=False):
    """compressed-tensors' pack_to_int32: codes above zero by half their range; zeros packed along the output."""
    half, count = 2 ** (bits - 1), width // group
    codes, scale = draw(-half, half - 1, out, width), scales(out, count).bfloat16()
    zeros = draw(-half, half - 1, out, count) if zero else torch.zeros(out, count, dtype=torch.int64)
    places = torch.arange(width) // group
    if act:
        places = places[torch.randperm(width)]
    numbers = torch.stack([(codes[:, j] - zeros[:, places[j]]).bfloat16() * scale[:, places[j]] for j in range(width)], 1)
    files = {name + "_packed": words(codes + half, bits), name + "_scale": scale, name + "_shape": torch.tensor([out, width])}
    if zero:
        files[name + "_zero_point"] = words((zeros + half).t(), bits).t()
    if act:
        files[name + "_g_idx"] = places.to(torch.int32)
    return numbers, files


def int8(name, out, width):
    codes, scale = draw(-128, 127, out, width), scales(out, 1, size=0.001).bfloat16()
    return codes.bfloat16() * scale, {name: codes.to(torch.int8), name + "_scale": scale}


def mx4(name, experts, width, out):
    """Stacks of experts in MXFP4, as gpt-oss is published; transformers' own function says what they stand for."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    blocks = torch.randint(0, 256, (experts, out, width // 32, 16), dtype=torch.uint8)
    exponents = torch.randint(122, 127, (experts, out, width // 32), dtype=torch.uint8)
    numbers = convert_moe_packed_tensors(blocks.clone(), exponents.clone(), dtype=torch.bfloat16)
    return numbers, {name + "_blocks": blocks, name + "_scales": exponents}


def config(**settings):
    return dict(quantization_config=settings)


def groups(**weights):
    return dict(config_groups=dict(group_0=dict(targets=["Linear"], weights=weights)), ignore=["lm_head"])


B4 = dict(quant_method="bitsandbytes", load_in_4bit=True)
CASES = {
    "bnb-nf4": (bnb4, {}, config(**B4, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True), LLAMA, "bfloat16"),
    "bnb-nf4-single": (bnb4, dict(nested=False, dtype="float16", block=128, storage=torch.bfloat16), config(**B4), LLAMA, "float16"),
    "bnb-fp4": (bnb4, dict(levels=FP4, kind="fp4", dtype="float32", nested=False), config(**B4), LLAMA, "float32"),
    "bnb-int8": (bnb8, {}, config(quant_method="bitsandbytes", load_in_8bit=True), LLAMA, "float32"),
    "bnb-nf4-gpt2": (bnb4, dict(dtype="float32"), config(load_in_4bit=True), GPT2, "float32"),
    "fp8-block": (fp8, dict(grid=(32, 20), extra=["activation_scale"]), config(quant_method="fp8", weight_block_size=[32, 20]), LLAMA, "bfloat16"),
    "fbgemm-fp8": (fp8, dict(grid=(1, 64), ending="weight_scale", extra=["input_scale_ub"]), config(quant_method="fbgemm_fp8"), LLAMA, "bfloat16"),
    "mxfp4": (mx4, {}, config(quant_method="mxfp4", modules_to_not_convert=["model.layers.*.self_attn", "lm_head"]), GPT_OSS, "bfloat16"),
    "mxfp8": (mx8, {}, config(quant_method="mxfp8", weight_block_size=[1, 16]), LLAMA, "bfloat16"),
    "ct-float": (fp8, dict(ending="weight_scale", scale_type=torch.bfloat16, extra=["input_scale"]),
                 config(quant_method="compressed-tensors", format="float-quantized", **groups(num_bits=8, type="float")), LLAMA, "bfloat16"),
    "ct-int8": (int8, {}, config(quant_method="compressed-tensors", format="int-quantized", **groups(num_bits=8, type="int")), LLAMA, "bfloat16"),
    "ct-pack": (packed, {}, config(quant_method="compressed-tensors", format="pack-quantized", **groups(num_bits=4, group_size=16)), LLAMA, "bfloat16"),
    "ct-pack-zeros": (packed, dict(zero=True, act=True), dict(compression_config=dict(format="pack-quantized", **groups(num_bits=4))), LLAMA, "bfloat16"),
    "gptq": (gptq, {}, config(quant_method="gptq", bits=4, group_size=16, desc_act=False), LLAMA, "float16"),
    "gptq-act": (gptq, dict(act=True), config(quant_method="gptq", bits=4, group_size=16, desc_act=True, checkpoint_format="gptq"), LLAMA, "float16"),
    "gptq-v2": (gptq, dict(offset=0, group=-1, listed=False), config(quant_method="gptq", bits=4, group_size=-1, checkpoint_format="gptq_v2"), LLAMA, "float16"),
    "gptq-8": (gptq, dict(bits=8), config(quant_method="gptq", bits=8, group_size=16, sym=True), LLAMA, "float16"),
    "gptq-gpt2": (gptq, dict(turned=True), config(quant_method="gptq", bits=4, group_size=16), GPT2, "float16"),
    "awq": (awq, {}, config(quant_method="awq", bits=4, group_size=16, version="gemm", zero_point=True), LLAMA, "float16"),
}


def make(case, folder):
    layout, settings, extra, configuration, dtype = CASES[case]
    torch.manual_seed(sum(case.encode()))
    gpt2 = configuration is GPT2
    model = t.AutoModelForCausalLM.from_config(configuration, attn_implementation="eager").float().eval()
    files = {}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name == "lm_head.weight" and gpt2:
                continue
            if weight.dim() == 3:
                numbers, parts = layout(name, *weight.shape)
                files.update(parts)
                weight.copy_(numbers.float())
            elif layout is not mx4 and weight.dim() == 2 and ("proj" in name or ".c_" in name):
                out, width = reversed(weight.shape) if gpt2 else weight.shape
                numbers, parts = layout(name, out, width, **settings)
                if gpt2 and layout is bnb4:
                    numbers = numbers.t()
                files.update(parts)
                weight.copy_(numbers.float())
            else:
                weight.copy_((torch.randn(weight.shape) * 0.2 + (1 if weight.dim() == 1 else 0)).to(getattr(torch, dtype)).float())
                files[name] = weight.to(getattr(torch, dtype))
        ids = torch.randint(3, VOCABULARY, (2, 9))
        answer = model(input_ids=ids, labels=ids)
    place = os.path.join(folder, case)
    os.makedirs(place, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in files.items()}, os.path.join(place, "model.safetensors"), metadata={"format": "pt"})
    save_file(dict(input_ids=ids, labels=ids.clone(), logits=answer.logits.contiguous(), loss=answer.loss), os.path.join(place, "reference.safetensors"))
    content = dict(model.config.to_dict(), dtype=dtype, **extra)
    content["architectures"] = [type(model).__name__]
    with open(os.path.join(place, "config.json"), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)


for chosen in sys.argv[2:] or CASES:
    make(chosen, sys.argv[1])
