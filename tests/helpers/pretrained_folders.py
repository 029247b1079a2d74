"""Folders of tiny models of other projects: tokenizer, config, weights."""

import json

import torch
from safetensors.torch import save_file

from bytegap.data.tokenizers.bytes import Bytes

EOS = 256


def write_tokenizer(folder, *special):
    """tokenizer.json: bytes, then special tokens, `<|endoftext|>` the first."""
    folder.mkdir(parents=True, exist_ok=True)
    table = Bytes.tokenizer_json(folder)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    names = ["<|endoftext|>", *special]
    table["added_tokens"] = [{"id": EOS + i, "content": name, **flags} for i, name in enumerate(names)]
    (folder / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")


def write_config(folder, **config):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def change_config(folder, remove=None, **changes):
    config = json.loads((folder / "config.json").read_text())
    config.pop(remove, None)
    (folder / "config.json").write_text(json.dumps(config | changes))


def write_weights(folder, weights, name="model.safetensors"):
    save_file(
        {key: weight.detach().clone().contiguous() for key, weight in weights.items()}, folder / name, {"format": "pt"}
    )


def random_weights(shapes, seed=0):
    """Random weights of those shapes, gains about 1."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator) * 0.2 + (len(shape) == 1 and name.endswith("weight"))
        for name, shape in shapes.items()
    }


def random_ids(rows, positions, below, seed=0):
    return torch.randint(below, (rows, positions), generator=torch.Generator().manual_seed(seed))
