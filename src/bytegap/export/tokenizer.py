"""A run's tokenizer as a `tokenizer.json` that `transformers` loads: the same ids, then EOS, BOS and MASK."""

import json
from pathlib import Path
from typing import cast

import tokenizers

from bytegap.data.tokenizers.base import tokenizer_class
from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import ModelError

Json = dict[str, object]


def files(folder: Path, kind: str, vocabulary: Vocabulary, max_positions: int) -> dict[str, Json]:
    """`tokenizer.json` and `tokenizer_config.json`, by name, of the tokenizer that a study keeps in `folder`.

    TokenizerError where tokenizers of that kind cannot be written with the same ids, ModelError where this one cannot.
    """
    table = dict(tokenizer_class(kind).tokenizer_json(folder))
    known = set(tokenizers.Tokenizer.from_str(json.dumps(table)).get_vocab())
    special = {"eos": vocabulary.eos, "bos": vocabulary.bos, "mask": vocabulary.mask}
    names = {part: _unused(f"<|{part}|>", known) for part in special}
    added = cast("list[object]", table["added_tokens"])
    table["added_tokens"] = [*added, *(_special_token(names[part], id_) for part, id_ in special.items())]
    table["post_processor"] = _bos_first(names["bos"], vocabulary.bos)
    pre_tokenizer = cast("Json | None", table["pre_tokenizer"]) or {}
    if table["decoder"] is None and pre_tokenizer.get("type") == "ByteLevel":
        table["decoder"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    written = tokenizers.Tokenizer.from_str(json.dumps(table))
    if any(written.token_to_id(names[part]) != id_ for part, id_ in special.items()):
        raise ModelError(
            f"{folder}: ids are missing among its tokens, so that EOS would not be {vocabulary.eos}: such a tokenizer "
            "cannot be exported; export a run of another arm"
        )
    config: Json = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{part}_token": name for part, name in names.items()},
        "model_max_length": max_positions,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # their names in a text are text
    }
    return {"tokenizer.json": table, "tokenizer_config.json": config}


def _unused(name: str, known: set[str]) -> str:
    """The name, in angle brackets until the vocabulary does not have it."""
    while name in known:
        name = f"<{name}>"
    return name


def _special_token(name: str, id_: int) -> Json:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": id_, "content": name, **flags}


def _bos_first(name: str, id_: int) -> Json:
    """The template that puts BOS before a text, as before every sequence in training."""
    bos, text = {"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [bos, text],
        "pair": [bos, text, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {name: {"id": name, "ids": [id_], "tokens": [name]}},
    }
