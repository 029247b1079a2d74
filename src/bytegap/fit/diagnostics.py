"""Warnings about a table of runs, each of the form `name: what it means`; none of them stops a fit.

Suffix: R = rows.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bytegap.fit.read_table import LEAST_ROWS, TableRow
from bytegap.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN, Array

OFF_6ND = 0.2
SAME = 1.1
"""A column whose values are within this ratio does not vary."""
COLLINEAR = 0.999
OUTLIER_DEVIATIONS = 6.0
"""Robust standard deviations from which on a row is an outlier."""
NORMAL_OVER_MAD = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""
LEAST_OUTLIER = 0.01
"""Of ln L: a residual below 1 % is no outlier, however well the other rows fit."""
SHOWN = 8

ASSUMED_UNITS = (
    "assumed_units: the loss is taken as given, in nats or bits, per token or byte, and so are E, A and B; params "
    "with or without the embedding, and tokens and flops, are taken as the table counts them"
)


def row_warnings(rows: Sequence[TableRow]) -> list[str]:
    """Repeated rows, and rows whose compute is not 6 N D."""
    found: list[str] = []
    same: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for row in rows:
        same[row.params, row.tokens, row.flops, row.loss].append(row.row)
    repeated = [numbers for numbers in same.values() if len(numbers) > 1]
    if repeated:
        groups = [f"{name_rows(numbers)} are equal" for numbers in repeated[:SHOWN]]
        more = f"; {len(repeated) - SHOWN} more groups" if len(repeated) > SHOWN else ""
        found.append(f"repeated_rows: {'; '.join(groups)}{more}; each counts, leave copies out")
    off = [
        row.row
        for row in rows
        if abs(row.flops / (FLOPS_PER_PARAMETER_AND_TOKEN * row.params * row.tokens) - 1) > OFF_6ND
    ]
    if off:
        found.append(
            f"off_6nd: flops differ from 6 params tokens by more than {OFF_6ND:.0%} in {name_rows(off)}; the law's own "
            "frontier is in 6 N D, the budgets' in flops"
        )
    return found


def not_identified(rows: Sequence[TableRow]) -> list[str]:
    """Why these rows do not determine the constants of the Chinchilla law; empty where they do."""
    params_R, tokens_R, flops_R = np.array([(row.params, row.tokens, row.flops) for row in rows]).T
    consequence = "E, A, B, alpha and beta are not identified: their values are one choice of many, without interval"
    for name, column_R, reason in (
        ("single_budget", flops_R, "every run costs the same compute"),
        ("single_size", params_R, "params do not vary"),
        ("single_data", tokens_R, "tokens do not vary"),
    ):
        if column_R.max() < SAME * column_R.min():
            return [f"{name}: {reason} (within {SAME - 1:.0%}): {consequence}"]
    points = len({(row.params, row.tokens) for row in rows})
    if points < LEAST_ROWS:
        return [f"few_points: the runs have only {points} different (params, tokens): {consequence}"]
    correlation = float(np.corrcoef(np.log(params_R), np.log(tokens_R))[0, 1])
    if abs(correlation) > COLLINEAR:
        reason = "tokens are a power of params in every run, as with a fixed number of tokens per parameter"
        return [f"fixed_ratio: {reason}: {consequence}"]
    return []


def outliers(rows: Sequence[TableRow], residual_R: Array) -> list[str]:
    """Rows far from the law that the others follow."""
    limit = max(OUTLIER_DEVIATIONS * NORMAL_OVER_MAD * float(np.median(np.abs(residual_R))), LEAST_OUTLIER)
    far = [row.row for row, residual in zip(rows, residual_R.tolist(), strict=True) if abs(residual) > limit]
    if not far:
        return []
    verb = "is" if len(far) == 1 else "are"
    fix = "check them, or leave them out with --drop-worst"
    return [f"outliers: {name_rows(far)} {verb} more than {limit:.2g} of ln loss from the law; {fix}"]


def name_rows(numbers: Sequence[int]) -> str:
    """`row 4`, `rows 4 and 9`, `rows 4, 9, 12 and 3 more`."""
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    if len(numbers) > SHOWN:
        return f"rows {', '.join(map(str, numbers[:SHOWN]))} and {len(numbers) - SHOWN} more"
    return f"rows {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
