"""Reads a study file: TOML into a `Study`. Every mistake is a StudyError that names the file, the key and the fix."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from bytegap.errors import StudyError, nearest, sentence
from bytegap.io.toml import read_toml
from bytegap.schema.base import PLAIN_NAME
from bytegap.study import registry
from bytegap.study.config import Corpus, Fit, Study
from bytegap.study.directory import FIT, StudyDir

Raw = Mapping[str, object]
"""A table as TOML has it."""

_CORPUS_KEYS = Corpus.model_fields.keys() - {"source"}
"""Keys of [corpus] that are not options of its source."""

# Keys that had another name before; * stands for the name of a tokenizer or an arm.
_RENAMED_KEYS: dict[tuple[str, ...], str] = {
    ("tokens",): "[tokens] is now called [tokenizers]",
    ("track",): "[track] is now called [logging]",
    ("context", "symbols"): "[context] symbols is now called tokens",
    ("tokenizers", "*", "vocabulary"): "[tokenizers.*] vocabulary is now called vocab_size",
    ("arms", "*", "tokens"): "[arms.*] tokens is now called tokenizer",
    ("arms", "*", "order"): "[arms.*] order is now called permutation",
    ("arms", "*", "optimum"): "[arms.*] optimum = N is now expected_optimum = { params = N, flops = 1e12 }",
    ("arms", "*", "objective", "of"): "[arms.*] objective: the option of is now called units",
    ("arms", "*", "permutation", "fresh"): "[arms.*] permutation: the option fresh is now called per_sequence",
    ("grid", "end_seeds"): "[grid] end_seeds is now called seeds_at_ends",
    ("grid", "evaluation_passes"): "[grid] evaluation_passes is now called mc_passes",
    ("compute", "rows_at_once"): "[compute] rows_at_once is now called micro_batch_size",
    ("report", "over"): "[report] over is now called compare_to",
}
_RENAMED_PARTS = {
    ("objective", "anyorder"): "any_order",
    ("objective", "block"): "block_diffusion",
    ("objective", "span"): "span_mdm",
    ("objective", "words"): "whole_word_mdm",
    ("permutation", "window"): "within_window",
    ("permutation", "blocks"): "block_shuffle",
}


def load_study(path: Path) -> Study:
    """Read and check a study file; a StudyError says what is wrong and where."""
    raw = read_toml(path, "no such study file: 'bytegap init' writes an example")
    try:
        _check_renamed(raw)
        study = Study.model_validate(with_plugins(raw))
        _check_names(study)
        _check_plugins(study)
        _check_report(study)
        _check_fit(study)
    except ValidationError as error:
        raise StudyError(f"{path}: {sentence(error, Study)}") from None
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None
    return study


def with_plugins(raw: Raw) -> dict[str, object]:
    """The tables of a study file with each plug-in's options moved into `Plugin.options`."""
    result = dict(raw)
    if corpus := _table(raw.get("corpus")):
        own = {key: value for key, value in corpus.items() if key in _CORPUS_KEYS}
        rest = {key: value for key, value in corpus.items() if key not in _CORPUS_KEYS}
        result["corpus"] = own | {"source": _plugin(rest, "source", "corpus")}
    if tokenizers := _table(raw.get("tokenizers")):
        result["tokenizers"] = {
            name: _plugin(table, "kind", f"tokenizers.{name}") for name, table in tokenizers.items()
        }
    if arms := _table(raw.get("arms")):
        result["arms"] = {name: _arm(table, name) for name, table in arms.items()}
    return result


def _table(value: object) -> Raw | None:
    """A TOML table; None for any other value, of which pydantic complains later."""
    return cast("Raw", value) if isinstance(value, dict) else None


def _arm(value: object, name: str) -> object:
    table = _table(value)
    if table is None:
        return value
    return {
        key: _plugin({"name": each} if isinstance(each, str) else each, "name", f"arms.{name}.{key}")
        if key in {"objective", "permutation", "model"}
        else each
        for key, each in table.items()
    }


def _plugin(value: object, key: str, where: str) -> dict[str, object]:
    table = _table(value)
    if table is None or not isinstance(table.get(key), str):
        raise StudyError(f"[{where}] needs '{key}', the name of a plug-in")
    return {"name": table[key], "options": {k: v for k, v in table.items() if k != key}}


def _check_renamed(raw: Raw) -> None:
    """StudyError for a key or a part under a name that it had before."""
    for path, value in _walk(raw, ()):
        table, name, key = path[0], "".join(path[1:2]), "".join(path[2:3])
        pattern = (table, "*", *path[2:]) if table in {"tokenizers", "arms"} and name else path
        if pattern in _RENAMED_KEYS:
            raise StudyError(f"{_RENAMED_KEYS[pattern].replace('*', name)}: rename it")
        names_part = table == "arms" and path[3:] in {(), ("name",)}
        if names_part and isinstance(value, str) and (key, value) in _RENAMED_PARTS:
            raise StudyError(f"[arms.{name}] {key} '{value}' is now called '{_RENAMED_PARTS[key, value]}': rename it")


def _walk(table: Raw, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every key of a table, and of the tables in it, as a path, with its value."""
    for key, value in table.items():
        yield (*path, key), value
        if (inner := _table(value)) is not None:
            yield from _walk(inner, (*path, key))


def _check_names(study: Study) -> None:
    """Names that one table gives and another refers to."""
    if not study.tokenizers:
        raise StudyError('[tokenizers] is empty: name at least one, such as [tokenizers.byte] with kind = "bytes"')
    for name in study.tokenizers:
        if not re.fullmatch(PLAIN_NAME, name):
            raise StudyError(
                f"[tokenizers.'{name}']: a folder gets this name: use letters, digits, dots, dashes and underscores"
            )
    if "windows" in study.tokenizers:
        raise StudyError("[tokenizers.windows]: the scoring windows' folder has this name; choose another")
    if not study.arms:
        raise StudyError("[arms] is empty: name at least one, such as [arms.byte-ar]")
    for name, arm in study.arms.items():
        if arm.tokenizer not in study.tokenizers:
            known = nearest(arm.tokenizer, study.tokenizers)
            raise StudyError(f"[arms.{name}] tokenizer = '{arm.tokenizer}': {known}")
        if arm.budgets and (arm.budgets[0] <= 0 or list(arm.budgets) != sorted(set(arm.budgets))):
            raise StudyError(f"[arms.{name}] budgets: give positive FLOPs, each once, in ascending order")
    _check_budgets(study)


def _check_budgets(study: Study) -> None:
    """Either every arm has budgets, or the study has hours."""
    for name, arm in study.arms.items():
        if study.plan.hours is None and not arm.budgets:
            raise StudyError(
                f"[arms.{name}] has no budgets: give them, or give [plan] hours for the whole study, in place of the "
                "budgets of all arms"
            )
        own = [key for key in ("budgets", "expected_optimum") if key in arm.model_fields_set]
        if study.plan.hours is not None and own:
            raise StudyError(
                f"[plan] hours and [arms.{name}] {' and '.join(own)}: hours choose budgets and sizes of every arm; "
                "remove one or the other"
            )


def _check_fit(study: Study) -> None:
    """Arms that [fit] names."""
    of_interactions = tuple(pair for each in study.fit.interactions for pair in each)
    of_gaps = tuple(pair for each in study.fit.gaps_closed for pair in each)
    for key, pairs in (
        ("pairs", study.fit.pairs),
        ("interactions", of_interactions),
        ("slopes", study.fit.slopes),
        ("slopes_not_below", study.fit.slopes_not_below),
        ("gaps_closed", of_gaps),
        ("losses", study.fit.losses),
    ):
        for one, other in pairs:
            for name in (one, other):
                if name not in study.arms:
                    raise StudyError(f"[fit] {key}: '{name}': {nearest(name, study.arms)}")
            if one == other:
                raise StudyError(f"[fit] {key}: '{one}' is compared with itself: name two different arms")
    _check_tests(study.fit)


def _check_tests(fit: Fit) -> None:
    """Pairs that differ, and a margin where a test needs one."""
    for key, both in (("interactions", fit.interactions), ("gaps_closed", fit.gaps_closed)):
        for pair, base in both:
            if pair == base:
                raise StudyError(f"[fit] {key}: {' / '.join(pair)} is compared with itself: name two different pairs")
    for key, pairs in (("slopes", fit.slopes), ("slopes_not_below", fit.slopes_not_below)):
        if pairs and fit.slope_margin is None:
            raise StudyError(
                f"[fit] {key}: give slope_margin too, the largest difference that counts as none, e.g. 0.02"
            )


def _check_report(study: Study) -> None:
    """The study that [report] names."""
    other = study.report.compare_to
    if other and not StudyDir(other).path(FIT).is_file():
        raise StudyError(
            f"[report] compare_to = '{other}': no fit.json there; name the folder of a finished study, or leave it out"
        )


def _check_plugins(study: Study) -> None:
    """Every plug-in exists and takes the options that it is given."""
    chosen = [("corpus source", "corpus", study.corpus.source)]
    chosen += [("tokenizer", f"tokenizers.{name}", plugin) for name, plugin in study.tokenizers.items()]
    for name, arm in study.arms.items():
        chosen += [
            ("objective", f"arms.{name}.objective", arm.objective),
            ("permutation", f"arms.{name}.permutation", arm.permutation),
            ("model", f"arms.{name}.model", arm.model),
        ]
    for kind, where, plugin in chosen:
        try:
            registry.check(kind, plugin.name, plugin.options)
        except StudyError as error:
            raise StudyError(f"[{where}] {error}") from None
