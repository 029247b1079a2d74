"""What `bytegap fit-table --json` prints and `bytegap.fit_table` returns."""

from typing import Literal

from pydantic import Field

from bytegap.schema.base import FrozenDict, FrozenModel, Quantity
from bytegap.schema.fit import Label
from bytegap.schema.frontier import SeparateLaws


class Chinchilla(FrozenModel):
    """L(N, D) = E + A / N^alpha + B / D^beta; the loss in the table's unit, N and D as the table counts them."""

    E: Quantity
    A: Quantity
    B: Quantity
    alpha: Quantity
    beta: Quantity
    objective: float
    """Sum over the rows of Huber's loss (delta 1e-3) of the residual of ln L."""
    rows: int
    """Rows fitted, without dropped ones."""


class Exponents(FrozenModel):
    """N_opt ~ C^N_exponent and D_opt ~ C^D_exponent."""

    N_exponent: Quantity
    D_exponent: Quantity


class Optimal(Exponents):
    """Exponents by the Chinchilla law, and by IsoFLOP minima where at least two budgets have one."""

    isoflop: Exponents | None = None


class Budget(FrozenModel):
    """Runs of about equal compute and the minimum of their parabola."""

    budget: float
    """Nominal compute: the table's own column, else the mean of the runs."""
    flops: float
    """Mean compute of the runs."""
    runs: int
    optimum_params: Quantity
    optimum_tokens: Quantity
    optimum_loss: Quantity
    curvature: Quantity
    """Coefficient of (ln N)^2, in units of the loss."""
    bracketed: bool
    """The optimum is within the range of sizes, and the curvature's interval is above 0."""
    note: str
    """Why it is not bracketed; else empty."""


class LossFrontier(FrozenModel):
    """L(C) = E + A C^-g of compute-optimal runs."""

    form: Literal["power law", "own irreducible loss"]
    irreducible_loss: Quantity
    amplitude: Quantity
    exponent: Quantity
    flops_observed: tuple[float, float]
    source: Literal["isoflop minima", "chinchilla law"]


class TableFit(FrozenModel):
    """The fit of a table of one arm; each warning has the form `name: what it means`."""

    chinchilla: Chinchilla
    optimal: Optimal
    isoflop: tuple[Budget, ...]
    frontier: LossFrontier | None
    warnings: tuple[str, ...]


class LabelledValue(FrozenModel):
    """An estimate of a comparison, and how it is known."""

    at_loss: float | None = None
    """Loss that it is evaluated at, in the table's unit."""
    at_flops: float | None = None
    """Compute that it is evaluated at."""
    value: float
    """If `label` is `censored`, a bound."""
    ci95: tuple[float, float] | None
    """Covers all forms of the frontier that were fitted."""
    label: Label
    bound: Literal["", ">", "<"] = ""
    """Side of a bound: the true value is above or below `value`."""
    headline: bool = False
    """The middle of the estimates; without one, the tightest bound."""


class TablePair(FrozenModel):
    """Two arms of a table compared; what the arms do not determine is empty or None."""

    bytes: str
    bpe: str
    """The arm that `bytes` is compared with, whatever it is."""
    overhead: tuple[LabelledValue, ...]
    """Compute of `bytes` over compute of `bpe` at equal loss, by rising loss."""
    gap: tuple[LabelledValue, ...]
    """Loss of `bytes` less loss of `bpe` at equal compute."""
    slope: LabelledValue | None
    """d ln k / d ln C: negative where the overhead falls as compute rises."""
    parity: LabelledValue | None
    """The least compute from which on `bytes` needs no more."""
    note: str
    """Why there is no estimate; else empty."""


class TableInteraction(FrozenModel):
    """Two pairs compared."""

    first: tuple[str, str]
    """The arms `bytes` and `bpe`."""
    second: tuple[str, str]
    values: tuple[LabelledValue, ...]
    """ln k of the first pair less ln k of the second at equal loss, by rising loss."""


class ArmsFit(FrozenModel):
    """The fit of a table of several arms."""

    arms: FrozenDict[str, TableFit] = Field(min_length=2)
    separate_laws: SeparateLaws | None
    """Whether the arms need separate exponents; None where fewer than two arms have a frontier."""
    warnings: tuple[str, ...]
    pairs: tuple[TablePair, ...] = ()
    """Arms that were named to be compared."""
    interactions: tuple[TableInteraction, ...] = ()
    """Of every two of the pairs."""
