"""A run's symbols as a `tokenizer.json` that `transformers` loads: the same ids, and EOS, BOS, MASK behind them."""

import json
from pathlib import Path
from typing import Any

import tokenizers

from bytegap import plugins
from bytegap.errors import ModelError
from bytegap.objectives._base import Vocabulary


def files(folder: Path, kind: str, vocabulary: Vocabulary, positions: int) -> dict[str, Any]:
    """What `tokenizer.json` and `tokenizer_config.json` hold, by name, for the symbols that `folder` keeps.

    ModelError where symbols of that kind, or this vocabulary, have no such file with the same ids.
    """
    plugin = plugins.load("tokens", kind)
    if not hasattr(plugin, "tokenizer_json"):
        message = (
            f"{folder}: symbols of kind '{kind}' have no tokenizer.json with the same ids: export another arm's run"
        )
        raise ModelError(message)
    table = plugin.tokenizer_json(folder)
    known = set(tokenizers.Tokenizer.from_str(json.dumps(table)).get_vocab())
    names = {part: _fresh(f"<|{part}|>", known) for part in ("eos", "bos", "mask")}
    ids = {name: getattr(vocabulary, part) for part, name in names.items()}
    table["added_tokens"] = [*table["added_tokens"], *(_special(name, i) for name, i in ids.items())]
    table["post_processor"] = _bos_first(names["bos"], vocabulary.bos)
    if table["decoder"] is None and (table["pre_tokenizer"] or {}).get("type") == "ByteLevel":
        table["decoder"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    loaded = tokenizers.Tokenizer.from_str(json.dumps(table))
    if any(loaded.token_to_id(name) != i for name, i in ids.items()):
        message = (
            f"{folder}: ids are missing among its symbols, so that EOS would not be {vocabulary.eos}: not exported"
        )
        raise ModelError(message)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{part}_token": name for part, name in names.items()},
        "model_max_length": positions,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # their literals in a text are text
    }
    return {"tokenizer.json": table, "tokenizer_config.json": config}


def _fresh(name: str, known: set[str]) -> str:
    """A token that the vocabulary does not have."""
    while name in known:
        name = f"<{name}>"
    return name


def _special(name: str, i: int) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": i, "content": name, **plain, "special": True}


def _bos_first(name: str, i: int) -> dict[str, Any]:
    """BOS before a text, as before every row in training."""
    bos, text = {"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [bos, text],
        "pair": [bos, text, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {name: {"id": name, "ids": [i], "tokens": [name]}},
    }
