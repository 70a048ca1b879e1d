"""Makes initial-values.json: the mean, spread and largest entry of every weight of transformers' fresh models.

Use: python3 make_initial.py CONFIGURATIONS FILE      (needs torch, transformers)
CONFIGURATIONS is a folder of one config.json for each family, NAME.json.
"""
import json
import os
import sys

import torch
import transformers as t


def main():
    made = {}
    for file in sorted(os.listdir(sys.argv[1])):
        said = json.load(open(os.path.join(sys.argv[1], file)))
        model_type = getattr(t, said["architectures"][0], None)
        if model_type is None:
            continue
        torch.manual_seed(5)
        model = model_type._from_config(model_type.config_class.from_dict(dict(said)))
        weights = {}
        for name, of in [*model.named_parameters(), *model.named_buffers()]:
            if of.is_floating_point():
                of = of.detach().double()
                weights[name] = {key: float(f"{value.item():.6g}") for key, value in dict(
                    mean=of.mean(), std=of.std(unbiased=False), max=of.abs().max()).items()}
        made[file[:-5]] = dict(config=said, weights=weights)
    with open(sys.argv[2], "w") as to:
        to.write("{\n" + ",\n".join(f'"{name}": {json.dumps(of, separators=(",", ":"))}' for name, of in made.items()) + "\n}\n")
    print(len(made), "families")


main()
