"""Tiny models of other people's families, as folders."""

import json

import torch
from safetensors.torch import save_file

from bytegap.tokens import bytes as byte_symbols

EOS = 256


def write_tokenizer(home, *special):
    """Bytes, and special tokens behind them, `<|endoftext|>` the first."""
    home.mkdir(parents=True, exist_ok=True)
    table = byte_symbols.tokenizer_json(home)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    names = ["<|endoftext|>", *special]
    table["added_tokens"] = [{"id": EOS + i, "content": name, **flags} for i, name in enumerate(names)]
    (home / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")


def write_config(home, **config):
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.json").write_text(json.dumps(config), encoding="utf-8")


def write_weights(home, weights, name="model.safetensors"):
    save_file(
        {key: weight.detach().clone().contiguous() for key, weight in weights.items()}, home / name, {"format": "pt"}
    )


def shaken(shapes, seed=0):
    """Random weights of those shapes, gains about 1."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator) * 0.2 + (len(shape) == 1 and name.endswith("weight"))
        for name, shape in shapes.items()
    }


def ids_of(rows, row, below, seed=0):
    return torch.randint(below, (rows, row), generator=torch.Generator().manual_seed(seed))
