"""Which arms a fit compares, and for which hours place budgets.

A byte arm is compared with every arm of another tokenizer that has the same objective, permutation and model. A pair of
another objective is further compared with the AR pair of the same tokenizers, and a pair of permuted text with the pair
of the text as written. A study file can name more of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from bytegap.study.config import TwoNames


@dataclass(frozen=True, kw_only=True)
class ArmTraits:
    """What decides with which others an arm is compared."""

    name: str
    tokenizer: str
    is_bytes: bool
    objective: str
    """Label: name and options."""
    permutation: str
    """Label: name and options."""
    model: str
    """Label: name and options."""
    architecture: str
    """Name of the model alone."""


A = TypeVar("A", bound=ArmTraits)
Pair = tuple[ArmTraits, ArmTraits]
"""The arms of an overhead: the byte arm, and the arm that it is compared with."""


@dataclass(frozen=True)
class Comparisons:
    """The arms of every overhead, and the two overheads of every interaction, each once, those of [fit] last."""

    pairs: tuple[TwoNames, ...]
    interactions: tuple[tuple[TwoNames, TwoNames], ...]
    """(an overhead, the one that it is compared with)."""

    @property
    def names(self) -> list[tuple[str, ...]]:
        """The two arms of each overhead, then the four of each interaction."""
        return [*self.pairs, *((*pair, *base) for pair, base in self.interactions)]


def comparisons(
    arms: Sequence[ArmTraits], pairs: Sequence[TwoNames] = (), interactions: Sequence[tuple[TwoNames, TwoNames]] = ()
) -> Comparisons:
    """What follows from the arms, and the `pairs` and `interactions` that the study names, if all of them have runs."""
    alike = byte_pairs(arms)
    both = [
        *(each for each in product(alike, alike) if is_over_ar(*each)),
        *(each for each in product(alike, alike) if is_over_identity(*each)),
    ]
    all_pairs = [*map(_names, alike), *pairs, *(pair for each in interactions for pair in each)]
    all_interactions = [*((_names(pair), _names(base)) for pair, base in both), *interactions]
    known = {arm.name for arm in arms}
    return Comparisons(
        tuple(pair for pair in dict.fromkeys(all_pairs) if known.issuperset(pair)),
        tuple(each for each in dict.fromkeys(all_interactions) if known.issuperset((*each[0], *each[1]))),
    )


def _names(pair: Pair) -> TwoNames:
    return pair[0].name, pair[1].name


def byte_pairs(arms: Sequence[A]) -> list[tuple[A, A]]:
    """Each byte arm with each arm of another tokenizer that is equal in objective, permutation and model."""
    return [pair for pair in product(arms, arms) if is_alike(pair)]


def is_alike(pair: Pair) -> bool:
    """Whether these are a byte arm and another that differs from it in the tokenizer alone."""
    byte, other = pair
    return byte.is_bytes and not other.is_bytes and _conditions(byte) == _conditions(other)


def is_over_ar(pair: Pair, base: Pair) -> bool:
    """Whether a pair of another objective is compared with the AR pair of the same text."""
    same = pair[0].permutation == base[0].permutation
    return same and pair[0].objective != "ar" and base[0].objective == "ar" and _only_tokenizers_differ(pair, base)


def is_over_identity(pair: Pair, base: Pair) -> bool:
    """Whether a pair of permuted text is compared with the pair of the text as written."""
    unpermuted = pair[0].permutation != "identity" and base[0].permutation == "identity"
    return unpermuted and pair[0].objective == base[0].objective and _only_tokenizers_differ(pair, base)


def _only_tokenizers_differ(pair: Pair, base: Pair) -> bool:
    """Whether each is a byte arm and another like it, of the same two tokenizers and the same model in both pairs."""
    same_tokenizers = [arm.tokenizer for arm in pair] == [arm.tokenizer for arm in base]
    return is_alike(pair) and is_alike(base) and pair[0].model == base[0].model and same_tokenizers


def _conditions(arm: ArmTraits) -> tuple[str, str, str]:
    return arm.objective, arm.permutation, arm.model


def compared(arms: Sequence[ArmTraits]) -> str:
    """What is compared, as in `Estimand.objective`: the conditions, or the arms' names where a pair is not alike."""
    byte, other, *base = arms
    pair = (byte, other)
    if not base:
        return _label([byte, other]) if is_alike(pair) else f"{byte.name} / {other.name}"
    base_pair = (base[0], base[1])
    if is_over_ar(pair, base_pair) or is_over_identity(pair, base_pair):
        return _label(arms)
    return f"{compared(pair)} - {compared(base_pair)}"


def _label(arms: Sequence[ArmTraits]) -> str:
    """Objectives, permutations unless there are none, models with options; each once."""
    objectives = " - ".join(dict.fromkeys(arm.objective for arm in arms))
    permutations = " - ".join(dict.fromkeys(arm.permutation for arm in arms))
    models = " - ".join(dict.fromkeys(arm.model for arm in arms if arm.model != arm.architecture))
    return ", ".join(filter(None, [objectives, "" if permutations == "identity" else permutations, models]))
