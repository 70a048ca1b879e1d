"""Makes random tiny models of every family, with random options, run by transformers itself: a fuzz of how configurations are read.

Use: python3 make_fuzz.py FOLDER [--count N] [--seed S] [FAMILY...]      (needs torch, transformers, safetensors)
Each case is a model folder with reference.safetensors, as make_models.py writes it: inputs, logits, loss, every gradient, greedy tokens.
A case whose numbers would be noise is drawn again: choices of experts near a tie, logits far from those in 64 bits, a second token near
the best one. Then: POLYMATH_FUZZ=FOLDER dotnet test --filter "suite=fuzz" -- xUnit.Explicit=only
"""
import argparse
import copy
import json
import math
import os
import resource
import shutil
import sys
import traceback

import torch
import transformers as t
from safetensors.torch import load_file, save_file

from fuzz_families import DECODERS, ENCODERS, FAMILIES, PAIRS, Chance
from fuzz_renamed import RENAMED

ALLOWED = 1e-4


def classes(c, family, stem):
    """The configuration's class, the model's class and the kind of its labels."""
    config = next(getattr(t, stem + end) for end in ("TextConfig", "Config") if hasattr(t, stem + end))
    tasks = [("ForSequenceClassification", "classify"), ("ForTokenClassification", "tag")]
    if family in ENCODERS:
        tasks, usual = tasks * 2, ("ForMaskedLM", "masked")
    elif family in PAIRS:
        tasks, usual = tasks[:1], ("ForConditionalGeneration", "seq2seq")
    else:
        usual = ("LMHeadModel" if stem == "GPT2" else "ForCausalLM", "causal")
    end, kind = c.choice([usual] * (4 if family in ENCODERS else 8) + tasks)
    # Several text models have heads over labels only for the multimodal model around them.
    if not hasattr(t, stem + end) or stem.startswith(("Gemma3", "Gemma4")) and kind != "causal":
        end, kind = usual
    return config, getattr(t, stem + end), kind


def fill(model, generator):
    """Random weights: norms and biases away from one and zero, maps so that no layer fades or explodes."""
    def normal(of, mean, spread):
        of.copy_(torch.randn(of.shape, generator=generator) * spread + mean)
    with torch.no_grad():
        for name, of in list(model.named_parameters()) + list(model.named_buffers()):
            if not of.is_floating_point() or "inv_freq" in name or "embed_positions" in name and not of.requires_grad:
                continue
            if name.endswith(("embed_scale", "softmax_offset", "final_logits_bias")):
                if name.endswith("final_logits_bias"):
                    normal(of, 0, 0.3)
            elif name.endswith(("A_log", "dt_bias", "sinks")):
                normal(of, 0, 0.6)
            elif name.endswith("e_score_correction_bias"):
                normal(of, 0, 0.2)
            elif of.dim() <= 1 or "norm" in name.lower().split(".")[-2] and "bias" not in name:
                normal(of, 0 if "bias" in name else 1, 0.2)
            elif "embed" in name or "wte" in name or "shared.weight" == name.split("model.")[-1]:
                normal(of, 0, 0.5)
            else:
                normal(of, 0, 1.0 / math.sqrt(of.shape[-1]))


def published(model, config):
    """What transformers leaves out and the published code has."""
    rope = getattr(config, "rope_parameters", None) or {}
    if config.model_type == "deepseek_v2":
        for module in model.modules():
            if hasattr(module, "topk_method") and not hasattr(module, "num_experts"):
                module.num_experts = config.n_routed_experts
            every = rope.get("mscale_all_dim", 0)
            if rope.get("rope_type") == "yarn" and every and hasattr(module, "kv_lora_rank") and hasattr(module, "scaling"):
                module.scaling *= (0.1 * every * math.log(rope["factor"]) + 1) ** 2


def inputs(c, config, kind, family):
    vocabulary, first = config.vocab_size, 3
    # Rows of linear attention are also longer than its chunks.
    width = c.of(17, 23) if family.__name__ not in ("qwen3_next", "qwen3_5", "qwen3_5_moe", "mamba2") or c.flag(0.7) else 70
    generator = torch.Generator().manual_seed(c.randrange(1 << 30))
    ids = torch.randint(first, vocabulary, (3, width), generator=generator)
    mask = torch.ones_like(ids)
    pad = config.pad_token_id if config.pad_token_id is not None else 0
    for row, length in ((1, width - 6), (2, 6)):
        mask[row, length:] = 0
        ids[row, length:] = pad
    if family in PAIRS and kind == "classify":
        for row in range(3):
            ids[row, int(mask[row].sum()) - 1] = config.eos_token_id
    labels = None
    if kind == "causal":
        labels = torch.where(mask == 1, ids, -100)
    elif kind == "masked":
        chosen = (mask == 1) & (torch.rand(3, width, generator=generator) < 0.4)
        labels = torch.where(chosen, torch.randint(first, vocabulary, (3, width), generator=generator), -100)
    elif kind == "tag":
        labels = torch.where(mask == 1, torch.randint(0, config.num_labels, (3, width), generator=generator), -100)
    elif kind == "seq2seq":
        labels = torch.cat([torch.randint(first, vocabulary, (3, 8), generator=generator), torch.full((3, 1), config.eos_token_id)], 1)
        labels[1, 6:] = -100
    elif config.problem_type == "multi_label_classification":
        labels = (torch.rand(3, config.num_labels, generator=generator) < 0.5).float()
    elif config.num_labels == 1:
        labels = torch.randn(3, generator=generator)
    else:
        labels = torch.randint(0, config.num_labels, (3,), generator=generator)
    return ids, mask, labels


def greedy(model, config, ids, pairs):
    """Greedy tokens, with and without transformers' cache; None when they differ or a second token is near."""
    prompt, wanted = ids[:1, :7], 9
    with torch.no_grad():
        cached = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=wanted, min_new_tokens=wanted,
                                do_sample=False, eos_token_id=None, pad_token_id=0, forced_eos_token_id=None)
        row = cached[:, :1] if pairs else prompt
        for _ in range(wanted):
            output = model(input_ids=prompt, decoder_input_ids=row, use_cache=False) if pairs else model(input_ids=row, use_cache=False)
            best = output.logits[0, -1].topk(2)
            if best.values[0] - best.values[1] < 2e-3:
                return None
            row = torch.cat([row, best.indices[:1].unsqueeze(0)], 1)
    return (prompt, cached) if torch.equal(row, cached) else None


def noise(model, batch, logits):
    """How far the logits are from those in 64 bits, and how far weights that differ a little move them."""
    with torch.no_grad():
        other = copy.deepcopy(model)
        for of in other.parameters():
            of.mul_(1 + 1e-6 * torch.randn(of.shape))
        moved = (other(**batch).logits - logits).abs().max().item()
        try:
            exact = (copy.deepcopy(model).double()(**batch).logits.float() - logits).abs()
            exact = exact[exact.isfinite()].max().item()
        except RuntimeError:
            exact = 0
    return exact, moved


def older(config):
    """The rotary settings under the keys that files had before transformers 5."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    partial = rope.pop("partial_rotary_factor", None)
    if partial is not None:
        config["partial_rotary_factor"] = partial
    if rope.get("rope_type", "default") != "default":
        rope["type"] = rope.pop("rope_type")
        config["rope_scaling"] = rope
    return config


def write(folder, model, config, c):
    """Saves the model; its configuration in one of the forms that files have. Says what form it is."""
    model.save_pretrained(folder)
    left = os.path.join(folder, "generation_config.json")
    if os.path.exists(left):
        os.remove(left)
    place = os.path.join(folder, "config.json")
    whole = json.load(open(place))
    if whole.get("output_router_logits") is False:
        del whole["output_router_logits"]
    form = c.of("whole", "whole", "older", "short")
    rope = whole.get("rope_parameters") or {}
    if form == "older" and "rope_theta" in rope:
        whole = older(whole)
    elif form == "short":
        # Only what differs from the family's defaults.
        said = config.to_diff_dict()
        whole = {key: value for key, value in whole.items() if key in said or key in ("architectures", "model_type", "vocab_size")}
        usual = type(config)().to_dict()
        for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "d_model", "d_kv", "d_ff", "num_layers"):
            if key in usual and hasattr(config, key):
                whole[key] = getattr(config, key)
    else:
        form = "whole"
    json.dump(whole, open(place, "w"), indent=1)
    return form


def make(family, seed, out):
    c = Chance(seed)
    stem, settings = family(c)
    config_type, model_type, kind = classes(c, family, stem)
    if kind in ("classify", "tag"):
        settings["num_labels"] = c.of(1, 2, 3, 4) if kind == "classify" else c.of(2, 3)
        if kind == "classify" and settings["num_labels"] > 1 and c.flag(0.3):
            settings["problem_type"] = "multi_label_classification"
    usual = config_type().to_dict()
    for key in ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"):
        if key in usual and key not in settings and c.flag(0.3):
            settings[key] = c.of(1e-3, 1e-5)
    config = config_type(**settings)
    config._experts_implementation = "eager"
    attention = "sdpa" if settings.get("alibi") else "eager"
    model = model_type._from_config(config, attn_implementation=attention).eval()
    fill(model, torch.Generator().manual_seed(seed))
    model.tie_weights()
    published(model, config)
    ids, mask, labels = inputs(c, config, kind, family)
    batch = dict(input_ids=ids, attention_mask=mask, labels=labels)
    output = model(**batch)
    output.loss.backward()
    logits = output.logits.detach()
    exact, moved = noise(model, batch, logits)
    if not logits.isfinite().all() or exact > ALLOWED or moved > 1e-2:
        return f"noise {exact:.1e} {moved:.1e}"
    tensors = dict(batch, logits=logits, loss=output.loss.reshape(1))
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            tensors["grad." + name] = parameter.grad
    if kind in ("causal", "seq2seq"):
        # While it generates, transformers 5.12 cannot compute the balancing loss.
        balanced, config.output_router_logits = getattr(config, "output_router_logits", False), False
        model.config.output_router_logits = False
        answer = greedy(model, config, ids, kind == "seq2seq")
        config.output_router_logits = model.config.output_router_logits = balanced
        if answer:
            tensors.update(prompt=answer[0], greedy=answer[1])
    name = f"{family.__name__}-{seed}"
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    form = write(folder, model, config, c)
    # What is written must be what transformers itself reads; if it reads otherwise, the form is given up for the whole one.
    for last in (False, True):
        try:
            again = model_type.from_pretrained(folder, attn_implementation=attention).eval()
            again.config._experts_implementation = "eager"
            published(again, again.config)
            with torch.no_grad():
                apart = (again(**batch).logits - logits).abs().max().item()
        except Exception as fault:
            apart = f"{type(fault).__name__}: {fault}"
        # A masked DeBERTa of the newer kind cannot be loaded by transformers 5.12.
        if isinstance(apart, float) and apart <= max(1e-5, exact) or kind == "masked" and not getattr(config, "legacy", True):
            break
        if last or form == "whole":
            shutil.rmtree(folder)
            return f"reads back otherwise: {apart}"
        model.save_pretrained(folder)
        form = "whole"
    left = os.path.join(folder, "generation_config.json")
    if os.path.exists(left):
        os.remove(left)
    save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, os.path.join(folder, "reference.safetensors"))
    json.dump(dict(kind=kind, padding="right", seed=seed, form=form, float64=exact, jitter=moved, attn_implementation=attention,
                   architecture=model_type.__name__, transformers=t.__version__, torch=torch.__version__),
              open(os.path.join(folder, "reference.json"), "w"), indent=1)
    return None


def make_renamed(family, seed, out):
    """A family without a class of its own: the numbers of another family's model under its names."""
    c = Chance(seed)
    stem, settings, named, said = family(c)
    config = getattr(t, stem + "Config")(**settings)
    model = getattr(t, stem + "ForCausalLM")._from_config(config, attn_implementation="eager").eval()
    fill(model, torch.Generator().manual_seed(seed))
    model.tie_weights()
    ids, mask, labels = inputs(c, config, "causal", family)
    batch = dict(input_ids=ids, attention_mask=mask, labels=labels)
    output = model(**batch)
    output.loss.backward()
    exact, moved = noise(model, batch, output.logits.detach())
    if exact > ALLOWED or moved > 1e-2:
        return f"noise {exact:.1e} {moved:.1e}"
    tensors = dict(batch, logits=output.logits, loss=output.loss.reshape(1))
    scaled = dict(gradients=True) if family.__name__ == "minicpm3" else {}
    grads = named({name: of.grad for name, of in model.named_parameters() if of.grad is not None}, **scaled)
    tensors.update({"grad." + name: of for name, of in grads.items()})
    answer = greedy(model, config, ids, False)
    if answer:
        tensors.update(prompt=answer[0], greedy=answer[1])
    folder = os.path.join(out, f"{family.__name__}-{seed}")
    os.makedirs(folder, exist_ok=True)
    kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
            "max_position_embeddings", "rms_norm_eps", "hidden_act", "tie_word_embeddings", "rope_parameters", "bos_token_id",
            "eos_token_id", "pad_token_id", "original_max_position_embeddings")
    whole = older({key: value for key, value in config.to_dict().items() if key in kept and value is not None})
    if family.__name__ not in ("internlm3",):
        whole.pop("head_dim", None)
    json.dump(dict(whole, architectures=[family.__name__ + "ForCausalLM"], **said), open(os.path.join(folder, "config.json"), "w"), indent=1)
    weights = named({name: of for name, of in model.named_parameters()})
    for name, of in ("model.safetensors", weights), ("reference.safetensors", tensors):
        save_file({key: value.detach().contiguous().clone() for key, value in of.items()}, os.path.join(folder, name))
    json.dump(dict(kind="causal", seed=seed, derived_from=stem, float64=exact), open(os.path.join(folder, "reference.json"), "w"), indent=1)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=5, help="cases of each family")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("families", nargs="*")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    t.logging.set_verbosity_error()
    t.logging.disable_progress_bar()
    # A default that is taken for a size that was meant would fill the machine.
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    for name in asked.families or [*FAMILIES, *RENAMED]:
        made, tried = 0, 0
        while made < asked.count and tried < 4 * asked.count:
            seed = asked.seed * 1000 + tried
            tried += 1
            try:
                reason = (make(FAMILIES[name], seed, asked.folder) if name in FAMILIES
                          else make_renamed(RENAMED[name], seed, asked.folder))
            except Exception:
                reason = traceback.format_exc(limit=-3).strip().replace("\n", " | ")
            if reason:
                print(f"{name}-{seed}: left out: {reason}", file=sys.stderr)
            else:
                made += 1
        print(name, made, flush=True)


main()
