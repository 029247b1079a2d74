"""Numbers as text: FLOPs as in the study file (3e15), counts with SI prefixes, estimates with their intervals."""

from collections.abc import Callable

from bytegap.schema.base import Quantity
from bytegap.schema.fit import Estimand

Formatter = Callable[[float], str]
"""Writes a number as text."""

MISSING = "\N{EN DASH}"
"""Stands for a number that is not known."""
FRONTIER_LAW = "L(C) = E + A C\N{SUPERSCRIPT MINUS}\N{MODIFIER LETTER SMALL G}"
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
MINUS = "\N{MINUS SIGN}"


def flops(value: float) -> str:
    """FLOPs to four significant digits, as in a study file: 1e15, 3.162e15."""
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def count(value: float) -> str:
    """A count of parameters, tokens or bytes to three significant digits: 1.23M."""
    rounded = float(f"{value:.3g}")
    for size, prefix in _PREFIXES:
        if rounded >= size:
            return f"{rounded / size:.3g}{prefix}"
    return f"{rounded:.0f}"


def bpb(value: float) -> str:
    """Bits per byte to four decimals."""
    return f"{value:.4f}"


def ratio(value: float) -> str:
    """A multiple, such as an overhead in compute: 3.6x."""
    return f"{value:.3g}\N{MULTIPLICATION SIGN}" if value < 1e4 else f"{flops(value)}\N{MULTIPLICATION SIGN}"


def signed(value: float) -> str:
    """A difference to three significant digits, with its sign."""
    return f"{value:+.3g}".replace("-", MINUS)


def percent(value: float) -> str:
    """A share as a percentage to three significant digits."""
    return f"{four_digits(float(f'{100 * value:.3g}'))}\N{NO-BREAK SPACE}%"


def whole_percent(value: float) -> str:
    """A share in whole percent, without the sign of percent."""
    return str(round(100 * value)).replace("-", MINUS)


def integer(value: float) -> str:
    """An integer in groups of three digits."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def six_decimals(value: float) -> str:
    """A ratio that should be one, to six decimals."""
    return f"{value:.6f}"


def four_digits(value: float) -> str:
    """Any other number, to four significant digits."""
    return f"{value:.4g}".replace("-", MINUS)


def with_interval(quantity: Quantity, formatter: Formatter) -> str:
    """A value followed by its 95 % confidence interval in brackets."""
    if quantity.value is None:
        return MISSING
    return f"{formatter(quantity.value)} {interval(quantity, formatter)}".strip()


def interval(quantity: Quantity, formatter: Formatter) -> str:
    """The 95 % confidence interval in brackets; empty if there is none."""
    return f"[{formatter(quantity.ci95[0])}, {formatter(quantity.ci95[1])}]" if quantity.ci95 else ""


ESTIMAND_FORMATTERS: dict[str, Formatter] = {
    "overhead": ratio,
    "interaction": signed,
    "gap": signed,
    "slope": signed,
    "parity": flops,
    "size_ratio": ratio,
    "size_gap": signed,
}
"""How each estimand's value is written."""

ESTIMAND_UNITS = {
    "overhead": "",
    "interaction": "(natural log)",
    "gap": "BPB",
    "slope": "",
    "parity": "FLOPs",
    "size_ratio": "",
    "size_gap": "BPB",
}
"""The unit after each estimand's value."""

ESTIMAND_NAMES = {
    "overhead": "compute overhead of bytes, k",
    "interaction": "interaction, difference of ln k",
    "gap": "loss gap at equal compute",
    "slope": "slope, d ln k / d ln C",
    "parity": "compute at parity, k = 1",
    "size_ratio": "ratio of optimal sizes at equal loss",
    "size_gap": "loss gap at equal optimal size",
}
"""Each estimand's full name."""


def evaluated_at(estimand: Estimand, loss_unit: str = "BPB") -> str:
    """The loss, compute or size at which an estimand is evaluated: "at 2 BPB"; empty for a parity or slope."""
    loss = [f"{four_digits(estimand.at_bpb)} {loss_unit}"] if estimand.at_bpb is not None else []
    compute = [f"{flops(estimand.at_flops)} FLOPs"] if estimand.at_flops is not None else []
    size = [f"N = {count(estimand.at_parameters)}"] if estimand.at_parameters is not None else []
    listed = ", ".join(loss + compute + size)
    return f"at {listed}" if listed else ""


def shown_quantity(estimand: Estimand) -> Quantity:
    """An estimand's value and interval; a bound alone, because what is known of one side has no interval of two."""
    return Quantity(value=estimand.quantity.value) if estimand.bound else estimand.quantity


def value_or_bound(estimand: Estimand) -> str:
    """An estimand's value; "> 12" or "< 12" where only a bound is known."""
    if estimand.quantity.value is None:
        return MISSING
    side = f"{estimand.bound} " if estimand.bound else ""
    return f"{side}{ESTIMAND_FORMATTERS[estimand.name](estimand.quantity.value)}"
