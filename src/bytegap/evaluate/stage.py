"""Bits per byte of files under a model, and what else it can be asked. Reads the model and the files; writes nothing.

The model is a run's folder or `hf:PATH`, a folder in safetensors.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from bytegap.accounting.bits import bits_per_byte
from bytegap.console import show, track
from bytegap.errors import EvaluateError
from bytegap.evaluate import classes, noise
from bytegap.evaluate.score import Scored, score, standard_error
from bytegap.evaluate.valid import of_samples
from bytegap.pretrained import open_model
from bytegap.trained import Trained

Found = dict[str, Any]


def run(  # noqa: PLR0913 - one call site, everything is named
    model: str,
    files: Sequence[Path],
    *,
    context: int | None,
    passes: int | None,
    noise_rate: float,
    samples: int,
    as_json: bool,
) -> Found:
    """Score every file, in total and by itself; EvaluateError where there is none, or one cannot be read."""
    if not files and not samples:
        message = "name the files to score after the model: bytegap evaluate MODEL FILE..."
        raise EvaluateError(message)
    texts = [_read(file) for file in files]
    trained = open_model(model, context)
    passes = passes or trained.passes
    if passes < 2 and not trained.objective.EXACT:
        message = "--passes 1: a single estimate has no standard error: ask for 2 or more"
        raise EvaluateError(message)
    scored = [score(trained, text, passes) for text in track(texts, f"scoring {trained.name}")]
    found: Found = {
        "model": trained.name,
        "exact": trained.objective.EXACT,
        "passes": 1 if trained.objective.EXACT else passes,
        "row_symbols": trained.row_symbols,
        "files": [{"file": str(file), **_numbers([own])} for file, own in zip(files, scored, strict=True)],
    }
    if scored:
        found["total"] = _numbers(scored)
        found["script"] = _by_class(scored, classes.by_script)
        found["place"] = _by_class(scored, classes.by_place)
    if noise_rate and scored:
        found["noise"] = _noise(trained, scored, passes, noise_rate)
    if samples:
        found["samples"] = of_samples(trained, samples)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        _print(found)
    return found


def _read(file: Path) -> bytes:
    try:
        text = file.read_bytes()
    except OSError as error:
        message = f"{file}: {error.strerror}: name files to score"
        raise EvaluateError(message) from None
    if not text:
        message = f"{file} is empty: bits per byte are of some bytes"
        raise EvaluateError(message)
    return text


def _numbers(scored: list[Scored]) -> Found:
    n_bytes = sum(len(own.text) for own in scored)
    pass_nats = np.sum([own.pass_nats for own in scored], 0)
    return {
        "bits_per_byte": bits_per_byte(float(pass_nats.mean()), n_bytes),
        "se": standard_error(pass_nats, n_bytes),
        "bytes": n_bytes,
        "symbols": sum(own.symbols for own in scored),
        "rows": sum(own.rows for own in scored),
        "eos_bits": bits_per_byte(sum(own.eos_nats for own in scored), 1),
    }


def _by_class(scored: list[Scored], name: Any) -> Found:
    """Bits per byte, and bytes, of every class, the commonest first; with EOS's bits they add up to the total."""
    names = np.concatenate([name(own.text) for own in scored])
    nats = np.concatenate([own.byte_nats for own in scored])
    known, which, counts = np.unique(names, return_inverse=True, return_counts=True)
    sums = np.bincount(which, nats)
    return {
        str(known[i]): {"bits_per_byte": bits_per_byte(float(sums[i]), int(counts[i])), "bytes": int(counts[i])}
        for i in np.argsort(-counts)
    }


def _noise(trained: Trained, scored: list[Scored], passes: int, rate: float) -> Found:
    """BPB lost to each kind of noise, and the entropy of where it hits: what the noise itself can be worth at most."""
    clean = _numbers(scored)["bits_per_byte"]
    worth = -sum(p * np.log2(p) for p in (rate, 1 - rate) if p)
    result: Found = {"rate": rate, "worth_at_most": worth}
    for way in track(list(noise.WAYS), "spoiling"):
        spoilt = [noise.spoilt(own.text, way, rate, trained.seed) for own in scored]
        if not any(spoilt):
            message = f"the noise '{way}' leaves no byte of the text: lower --noise, or score a longer text"
            raise EvaluateError(message)
        own = _numbers([score(trained, text, passes) for text in spoilt if text])
        result[way] = {**own, "lost": own["bits_per_byte"] - clean}
    return result


def _print(found: Found) -> None:
    if "total" in found:
        _print_scores(found)
    for title in ("script", "place"):
        if title in found:
            table = _table(title, "bits per byte", "bytes")
            for name, own in found[title].items():
                table.add_row(name, f"{own['bits_per_byte']:.4f}", f"{own['bytes']:,}")
            show(table)
    if "noise" in found:
        given = found["noise"]
        table = _table(f"{given['rate']:.0%} of the bytes", "bits per byte", "lost")
        for way in noise.WAYS:
            table.add_row(way, f"{given[way]['bits_per_byte']:.4f}", f"{given[way]['lost']:+.4f}")
        table.add_row("the noise itself, at most", "", f"{given['worth_at_most']:+.4f}")
        show(table)
    if "samples" in found:
        given = found["samples"]
        print(
            f"{given['texts']} texts drawn, {given['bytes']:,} bytes: {given['valid_texts']} are valid UTF-8; "
            f"{given['valid_bytes'] / max(1, given['bytes']):.2%} of the bytes are"
        )


def _print_scores(found: Found) -> None:
    table = _table(found["model"], "bits per byte", "se", "bytes", "symbols")
    for own in [*found["files"], {"file": "all", **found["total"]}][: 1 if len(found["files"]) == 1 else None]:
        error = f"{own['se']:.4f}" if not found["exact"] else "exact"
        row = (own["file"], f"{own['bits_per_byte']:.4f}", error, f"{own['bytes']:,}", f"{own['symbols']:,}")
        table.add_row(*row)
    show(table)


def _table(*headings: str) -> Table:
    table = Table()
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    return table
