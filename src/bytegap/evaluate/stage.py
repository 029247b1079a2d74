"""The verb `evaluate`: score files with a model, and print a table or JSON.

Reads the model, a run's folder or `hf:PATH`, and the files; writes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from bytegap.console import show, track
from bytegap.cost.bits import bits_per_byte
from bytegap.errors import EvaluateError, counted
from bytegap.evaluate.byte_classes import by_script, by_utf8_role
from bytegap.evaluate.corruption import CORRUPTIONS, corrupt
from bytegap.evaluate.score import ByteScores, score_bytes, standard_error, with_mc_passes
from bytegap.evaluate.utf8_validity import validity_of_samples
from bytegap.io.paths import as_text
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.length_mass import length_mass
from bytegap.lm.open_model import open_model
from bytegap.lm.unmasking_rules import NELBO, RULES, check_likelihood, num_orders
from bytegap.schema.base import FrozenDict
from bytegap.schema.evaluate import (
    ClassNumbers,
    CorruptedNumbers,
    Corruption,
    Evaluation,
    FileNumbers,
    TextNumbers,
)


@dataclass(frozen=True)
class EvaluateOptions:
    """What `evaluate` does besides scoring the files."""

    context: int | None = None
    """Sequence length in tokens, for `hf:` models; None: the model's own."""
    mc_passes: int | None = None
    """Monte Carlo passes of the NELBO; None: the model's own number."""
    likelihood: str = NELBO
    """Of a masked model: `nelbo`, an unmasking rule, or `orders:K`. An exact likelihood is always scored as it is."""
    stride: int | None = None
    """Tokens that each sequence scores after those it is given; None: sequences do not overlap."""
    corruption_rate: float = 0.0
    """Share of the bytes to corrupt; 0: none."""
    samples: int = 0
    """Texts to generate."""
    length_mass_bytes: int = 0
    """Length n, in bytes, of which Z(n) is estimated; 0: none."""
    as_json: bool = False
    """Print JSON instead of tables."""


def run(model_name: str, files: Sequence[Path], options: EvaluateOptions) -> Evaluation:
    """Score the files, each and together, and print the result.

    EvaluateError where there is nothing to do, or a file cannot be read or is empty.
    """
    if not files and (options.corruption_rate or options.mc_passes or options.likelihood != NELBO):
        raise EvaluateError("--corrupt, --mc-passes and --likelihood are about files: name some after the model")
    if not files and not options.samples and not options.length_mass_bytes:
        raise EvaluateError("name the files to score after the model: bytegap evaluate MODEL FILE...")
    texts = [_read(file) for file in files]
    model, likelihood = _open(model_name, options), options.likelihood
    scored = [score_bytes(model, text, likelihood, options.stride) for text in track(texts, f"scoring {model.name}")]
    evaluation = Evaluation(
        model=model.name,
        exact=model.objective.is_exact or likelihood in RULES,
        mc_passes=model.num_passes if likelihood == NELBO else max(1, num_orders(likelihood)),
        seq_len=model.seq_len,
        stride=options.stride,
        likelihood="exact" if model.objective.is_exact else likelihood,
        files=tuple(
            FileNumbers(file=as_text(file), **vars(_together([own]))) for file, own in zip(files, scored, strict=True)
        ),
        total=_together(scored) if scored else None,
        by_script=_by_class(scored, by_script),
        by_utf8_role=_by_class(scored, by_utf8_role),
        corruption=_corrupted(model, scored, options) if options.corruption_rate and scored else None,
        samples=validity_of_samples(model, options.samples) if options.samples else None,
        length_mass=length_mass(model, options.length_mass_bytes).numbers if options.length_mass_bytes else None,
    )
    if options.as_json:
        print(evaluation.model_dump_json(indent=1))
    else:
        _print(evaluation)
    return evaluation


def _open(model_name: str, options: EvaluateOptions) -> LanguageModel:
    """The model; EvaluateError where it does not have the likelihood, or needs no passes."""
    model = open_model(model_name, options.context)
    check_likelihood(options.likelihood, model)
    if options.stride is not None:
        if options.stride > model.seq_len:
            raise EvaluateError(
                f"--stride {options.stride} is more than the {model.seq_len} tokens of {model.name}'s sequences: "
                "tokens would be left out"
            )
        if options.likelihood != NELBO:
            raise EvaluateError(
                f"--stride goes with exact likelihoods and the {NELBO}, not with '{options.likelihood}'"
            )
    if options.mc_passes is not None and model.objective.is_exact:
        raise EvaluateError(
            f"--mc-passes {options.mc_passes} has no effect on {model.name}, whose likelihood is exact: leave it out"
        )
    if options.likelihood == NELBO:
        return with_mc_passes(model, options.mc_passes)
    if options.mc_passes is not None:
        raise EvaluateError(
            f"--mc-passes is for the {NELBO}, and has no effect on '{options.likelihood}': leave it out"
        )
    return model


def _read(file: Path) -> bytes:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise EvaluateError(f"{file}: {error.strerror}: name files to score") from None
    if not text:
        raise EvaluateError(f"{file} is empty, and bits per byte of an empty file are undefined: name another")
    return text


def _together(scored: Sequence[ByteScores]) -> TextNumbers:
    n_bytes = sum(len(own.text) for own in scored)
    pass_nats = np.sum([own.pass_nats for own in scored], 0)
    return TextNumbers(
        bits_per_byte=bits_per_byte(float(pass_nats.mean()), n_bytes),
        se=standard_error(pass_nats, n_bytes),
        bytes=n_bytes,
        tokens=sum(own.tokens for own in scored),
        sequences=sum(own.sequences for own in scored),
        eos_bits=bits_per_byte(sum(own.eos_nats for own in scored), 1),
    )


def _by_class(
    scored: Sequence[ByteScores], classes: Callable[[bytes], NDArray[np.str_]]
) -> FrozenDict[str, ClassNumbers]:
    """Bits per byte of each class, the most frequent first; with EOS's bits they add up to the total."""
    if not scored:
        return FrozenDict()
    names = np.concatenate([classes(own.text) for own in scored])
    nats = np.concatenate([own.byte_nats for own in scored])
    distinct, index, counts = np.unique(names, return_inverse=True, return_counts=True)
    sums = np.bincount(index, nats)
    return FrozenDict(
        {
            str(distinct[i]): ClassNumbers(
                bits_per_byte=bits_per_byte(float(sums[i]), int(counts[i])), bytes=int(counts[i])
            )
            for i in np.argsort(-counts)
        }
    )


def _corrupted(model: LanguageModel, scored: Sequence[ByteScores], options: EvaluateOptions) -> Corruption:
    """Score the files under each corruption."""
    rate, clean = options.corruption_rate, _together(scored).bits_per_byte
    scores: dict[str, CorruptedNumbers] = {}
    for name in track(list(CORRUPTIONS), "scoring corrupted text"):
        texts = [corrupt(own.text, name, rate, model.seed) for own in scored]
        if not any(texts):
            raise EvaluateError(
                f"corruption '{name}' leaves no byte of the text: lower --corrupt, or score a longer text"
            )
        own = _together([score_bytes(model, text, options.likelihood, options.stride) for text in texts if text])
        scores[name] = CorruptedNumbers(**vars(own), increase=own.bits_per_byte - clean)
    entropy = -sum(p * float(np.log2(p)) for p in (rate, 1 - rate) if p)  # H(rate), of each byte
    return Corruption(rate=rate, entropy=entropy, scores=FrozenDict(scores))


def _print(evaluation: Evaluation) -> None:
    if evaluation.total is not None:
        _print_scores(evaluation, evaluation.total)
    for title, classes in (("script", evaluation.by_script), ("UTF-8 role", evaluation.by_utf8_role)):
        if classes:
            _print_classes(title, classes)
    if corruption := evaluation.corruption:
        table = _table(f"{corruption.rate:.0%} of the bytes corrupted", "bits per byte", "increase")
        for name, own in corruption.scores.items():
            table.add_row(name, f"{own.bits_per_byte:.4f}", f"{own.increase:+.4f}")
        table.add_row("entropy of which bytes", "", f"{corruption.entropy:+.4f}")
        show(table)
    if samples := evaluation.samples:
        print(
            f"{samples.texts} texts generated, {samples.bytes:,} bytes: {samples.valid_texts} texts are valid UTF-8, "
            f"and {samples.valid_bytes / max(1, samples.bytes):.2%} of the bytes"
        )
    if (mass := evaluation.length_mass) and mass.log_mass is not None:
        error = f" +- {mass.log_mass_se:.4f}" if mass.log_mass_se >= 0.00005 else ""  # less is 0 at these digits
        print(f"ln Z({counted(mass.bytes, 'byte')}) = {mass.log_mass:z.4f}{error} nats")
    elif mass:
        print(f"ln Z({counted(mass.bytes, 'byte')}): no sampled text has that many bytes")


def _print_scores(evaluation: Evaluation, total: TextNumbers) -> None:
    rule = "" if evaluation.likelihood in {"exact", NELBO} else f" ({evaluation.likelihood})"
    table = _table(evaluation.model + rule, "bits per byte", "se", "bytes", "tokens")
    rows: list[tuple[str, TextNumbers]] = [(own.file, own) for own in evaluation.files]
    if len(rows) > 1:
        rows.append(("all", total))
    for name, own in rows:
        error = "exact" if evaluation.exact else f"{own.se:.4f}"
        table.add_row(name, f"{own.bits_per_byte:.4f}", error, f"{own.bytes:,}", f"{own.tokens:,}")
    show(table)


def _print_classes(title: str, classes: Mapping[str, ClassNumbers]) -> None:
    table = _table(title, "bits per byte", "bytes")
    for name, own in classes.items():
        table.add_row(name, f"{own.bits_per_byte:.4f}", f"{own.bytes:,}")
    show(table)


def _table(*headings: str) -> Table:
    table = Table()
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    return table
