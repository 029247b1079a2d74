"""The scaling laws that a power analysis assumes: read from a TOML file, or made up for a study. Writes nothing.

The file has one table for each arm of the study:

    noise = 0.005            # standard deviation between runs, as a share of BPB
    [arms.byte-ar]
    bpb = 2.4                # the loss of the best model ...
    flops = 1e12             # ... at this compute ...
    params = 50_000          # ... which has this many non-embedding parameters
    irreducible_loss = 0.9   # E; this, alpha and beta may be left out
    alpha = 0.34
    beta = 0.30
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import Field, ValidationError

from bytegap.errors import StudyError, nearest, sentence
from bytegap.io.toml import read_toml
from bytegap.objectives.base import objective
from bytegap.scaling.laws import Law
from bytegap.schema.base import FrozenDict
from bytegap.study.config import Study, Table

_RENAMED_KEYS = {"floor": "irreducible_loss", "parameters": "params"}

# The laws of `default_laws`: BPE-AR's loss, and multiples of its compute for the same loss, of the size that the
# quickstart finds (assumptions).
_BPE_AR_BPB, _BPE_AR_FLOPS, _BPE_AR_PARAMS = 1.8, 1e12, 1e5
_BYTES_COST_EXACT, _BYTES_COST_BOUND = 3.0, 7.0
_BOUND_COST = 45.0


class ArmLaw(Table):
    """The Chinchilla law of one arm, by a point of its frontier."""

    bpb: float = Field(gt=0)
    """The loss of the best model ..."""
    flops: float = Field(gt=0)
    """... at this compute ..."""
    params: float = Field(gt=0)
    """... which has this many non-embedding parameters."""
    irreducible_loss: float = Field(default=0.9, ge=0)
    """E, in BPB."""
    alpha: float = Field(default=0.34, gt=0)
    """Exponent of N."""
    beta: float = Field(default=0.30, gt=0)
    """Exponent of D."""

    @property
    def law(self) -> Law:
        """The law through that point."""
        return Law.through(self.bpb, self.flops, self.params, self.irreducible_loss, (self.alpha, self.beta))


class AssumedLaws(Table):
    """A law for each arm, and how much runs scatter around it."""

    noise: float = Field(default=0.005, gt=0, lt=1)
    """Standard deviation between runs, as a share of BPB."""
    arms: FrozenDict[str, ArmLaw]

    @property
    def world(self) -> dict[str, Law]:
        """The law of each arm."""
        return {name: arm.law for name, arm in self.arms.items()}


def read_laws(path: Path, study: Study) -> AssumedLaws:
    """The laws in a file; StudyError where the file is wrong, or does not have the study's arms."""
    raw = read_toml(path, "no such law file; 'bytegap plan --help' shows one")
    try:
        _check_renamed(raw)
        laws = AssumedLaws.model_validate(raw)
        _check_arms(laws, study)
    except ValidationError as error:
        raise StudyError(f"{path}: {sentence(error, AssumedLaws)}") from None
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None
    return laws


def _check_renamed(raw: Mapping[str, object]) -> None:
    """StudyError for a key under an earlier name."""
    arms = raw.get("arms")
    for name, arm in cast("Mapping[str, object]", arms if isinstance(arms, dict) else {}).items():
        for old, new in _RENAMED_KEYS.items():
            if isinstance(arm, dict) and old in arm:
                raise StudyError(f"[arms.{name}] {old} is now called {new}: rename it")


def _check_arms(laws: AssumedLaws, study: Study) -> None:
    for name, arm in laws.arms.items():
        if name not in study.arms:
            raise StudyError(f"[arms.{name}]: {nearest(name, study.arms)}")
        if arm.bpb <= arm.irreducible_loss:
            raise StudyError(
                f"[arms.{name}] bpb = {arm.bpb:g} is not above irreducible_loss = {arm.irreducible_loss:g}: raise it"
            )
    for name in study.arms:
        if name not in laws.arms:
            raise StudyError(f"[arms.{name}] is missing: give a law for every arm of the study")


def default_laws(study: Study) -> AssumedLaws:
    """Laws to plan with where none are known: their numbers are assumptions, of the size that the quickstart finds.

    BPE-AR reaches 1.8 BPB at 1e12 FLOPs. Bytes cost 3 times the compute under an exact likelihood, and 7 times under a
    bound; the bound costs BPE 45 times. Each arm's best size is what the study expects.
    """
    base = Law.through(_BPE_AR_BPB, _BPE_AR_FLOPS, _BPE_AR_PARAMS)
    arms: dict[str, ArmLaw] = {}
    for name, arm in study.arms.items():
        is_bytes = study.tokenizers[arm.tokenizer].name == "bytes"
        is_exact = objective(arm.objective.name, arm.objective.options).is_exact
        cost = (_BYTES_COST_EXACT if is_exact else _BYTES_COST_BOUND) if is_bytes else 1.0
        cost *= 1.0 if is_exact else _BOUND_COST
        arms[name] = ArmLaw(
            bpb=base.bpb(arm.expected_optimum.flops / cost),
            flops=arm.expected_optimum.flops,
            params=arm.expected_optimum.params,
        )
    return AssumedLaws(arms=FrozenDict(arms))
