"""What `bytegap fit --table --json` prints: typed, unknown keys rejected, NaN never written."""

from typing import Literal

from pydantic import Field

from bytegap.records import Part, Quantity, SeparateLaws


class Chinchilla(Part):
    """L(N, D) = E + A / N^alpha + B / D^beta, loss in the table's unit, N and D as it counts them."""

    E: Quantity
    A: Quantity
    B: Quantity
    alpha: Quantity
    beta: Quantity
    objective: float
    """Sum over the rows of Huber's loss (delta 1e-3) of ln L."""
    rows: int
    """Fitted, the dropped ones not counted."""


class Exponents(Part):
    """N_opt rises as C^N_exponent, D_opt as C^D_exponent."""

    N_exponent: Quantity
    D_exponent: Quantity


class Optimal(Exponents):
    """By the Chinchilla law; `isoflop` by the minima of the budgets, where there are two."""

    isoflop: Exponents | None = None


class Budget(Part):
    """Runs of about equal compute and their parabola's minimum."""

    budget: float
    """Nominal: the table's own column, else the runs' mean."""
    flops: float
    """Mean of the runs'."""
    runs: int
    optimum_params: Quantity
    optimum_tokens: Quantity
    optimum_loss: Quantity
    curvature: Quantity
    """Of the loss in (ln N)^2."""
    bracketed: bool
    note: str


class LossFrontier(Part):
    """L(C) = E + A C^-g of compute-optimal runs."""

    form: Literal["no floor", "own floor"]
    floor: Quantity
    amplitude: Quantity
    exponent: Quantity
    flops_observed: tuple[float, float]
    source: Literal["isoflop minima", "chinchilla law"]


class TableFit(Part):
    """One arm's answers; a warning is `name: what, of which rows`."""

    chinchilla: Chinchilla
    optimal: Optimal
    isoflop: list[Budget]
    frontier: LossFrontier | None
    warnings: list[str]


class ArmsFit(Part):
    """A table of several arms."""

    arms: dict[str, TableFit] = Field(min_length=2)
    separate_laws: SeparateLaws | None
    """None where fewer than two arms have a frontier."""
    warnings: list[str]
