"""Numbers as people read them: FLOPs as in the study file (3e15), counts with SI prefixes, answers with intervals."""

from collections.abc import Callable

from bytegap.records import Estimand, Quantity

Show = Callable[[float], str]
"""How a number is written."""

NONE = "\N{EN DASH}"
LAW = "L(C) = E + A C\N{SUPERSCRIPT MINUS}\N{MODIFIER LETTER SMALL G}"
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUS = "\N{MINUS SIGN}"


def flops(value: float) -> str:
    """FLOPs in the study file's own notation: 1e15, 3.162e15."""
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def count(value: float) -> str:
    """A count of parameters, symbols or bytes to three figures: 1.23M."""
    rounded = float(f"{value:.3g}")
    for size, prefix in _PREFIXES:
        if rounded >= size:
            return f"{rounded / size:.3g}{prefix}"
    return f"{rounded:.0f}"


def bpb(value: float) -> str:
    """Bits per byte."""
    return f"{value:.4f}"


def ratio(value: float) -> str:
    """A multiple of compute."""
    return f"{value:.3g}\N{MULTIPLICATION SIGN}" if value < 1e4 else f"{flops(value)}\N{MULTIPLICATION SIGN}"


def signed(value: float) -> str:
    """A difference, its sign shown."""
    return f"{value:+.3g}".replace("-", _MINUS)


def whole(value: float) -> str:
    """A whole number in groups of three digits."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def six(value: float) -> str:
    """A ratio that ought to be one, to six decimals."""
    return f"{value:.6f}"


def general(value: float) -> str:
    """Any other number, to four figures."""
    return f"{value:.4g}".replace("-", _MINUS)


def quantity(item: Quantity, show: Show) -> str:
    """A value with its 95 % interval in brackets."""
    if item.value is None:
        return NONE
    return f"{show(item.value)} {interval(item, show)}".strip()


def interval(item: Quantity, show: Show) -> str:
    """The 95 % interval in brackets; empty where there is none."""
    return f"[{show(item.ci95[0])}, {show(item.ci95[1])}]" if item.ci95 else ""


SHOW: dict[str, Show] = {
    "overhead": ratio,
    "interaction": signed,
    "gap": signed,
    "slope": signed,
    "parity": flops,
}
"""How each estimand's value is written."""

UNIT = {
    "overhead": "",
    "interaction": "(natural log)",
    "gap": "BPB",
    "slope": "",
    "parity": "FLOPs",
}
"""What follows the value."""

LONG = {
    "overhead": "compute overhead of bytes, k",
    "interaction": "interaction, difference of two ln k",
    "gap": "loss gap at equal compute",
    "slope": "slope, d log k / d log C",
    "parity": "compute at parity, k = 1",
}
"""What each estimand is, in words."""


def place(item: Estimand) -> str:
    """Where an estimand is taken: at which loss, compute, or both."""
    loss = [f"{general(item.at_bpb)} BPB"] if item.at_bpb is not None else []
    compute = [f"{flops(item.at_flops)} FLOPs"] if item.at_flops is not None else []
    return f"at {', '.join(loss + compute)}" if loss or compute else ""


def answer(item: Estimand) -> str:
    """An estimand's value: a bound keeps its side."""
    if item.quantity.value is None:
        return NONE
    side = f"{item.bound} " if item.bound else ""
    return f"{side}{SHOW[item.name](item.quantity.value)}"
