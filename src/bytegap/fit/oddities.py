"""What is odd about a table's rows, each a warning `name: what, of which rows`; nothing here stops a fit.

Suffix: R = rows.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bytegap.fit.table import LEAST_ROWS, Row
from bytegap.laws import FLOPS_PER_PARAMETER_AND_SYMBOL, Array

OFF_6ND = 0.2
SAME = 1.1
"""Values of a column that lie within this ratio do not vary."""
COLLINEAR = 0.999
FAR = 6.0
"""Deviations, estimated from the median, from which on a row is an outlier."""
NORMAL_OVER_MAD = 1.4826
LEAST_OUTLIER = 0.01
"""Of ln L: nobody's table is wrong by less than a per cent because it fits better still elsewhere."""
SHOWN = 8

ASSUMED_UNITS = (
    "assumed_units: the loss is taken as it stands, in nats or bits, per token or byte, and so are E, A and B; params "
    "with or without the embedding, and tokens and flops, are counted as the table counts them"
)


def of_rows(rows: Sequence[Row]) -> list[str]:
    """Repeated rows, and compute that is not 6 N D."""
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
        if abs(row.flops / (FLOPS_PER_PARAMETER_AND_SYMBOL * row.params * row.tokens) - 1) > OFF_6ND
    ]
    if off:
        found.append(
            f"off_6nd: flops differ from 6 params tokens by more than {OFF_6ND:.0%} in {name_rows(off)}; the law's own "
            "frontier is in 6 N D, the budgets' in flops"
        )
    return found


def not_identified(rows: Sequence[Row]) -> list[str]:
    """Why the constants of the law cannot be told from these rows; empty where they can."""
    params_R, tokens_R, flops_R = np.array([(row.params, row.tokens, row.flops) for row in rows]).T
    says = "E, A, B, alpha and beta are not identified, their values are one choice of many and have no interval"
    for name, column_R, what in (
        ("single_budget", flops_R, "every run costs the same compute"),
        ("single_size", params_R, "params do not vary"),
        ("single_data", tokens_R, "tokens do not vary"),
    ):
        if column_R.max() < SAME * column_R.min():
            return [f"{name}: {what} (within {SAME - 1:.0%}): {says}"]
    points = len({(row.params, row.tokens) for row in rows})
    if points < LEAST_ROWS:
        return [f"few_points: the runs have only {points} different (params, tokens): {says}"]
    correlation = float(np.corrcoef(np.log(params_R), np.log(tokens_R))[0, 1])
    if abs(correlation) > COLLINEAR:
        what = "tokens are a power of params in every run, as with a fixed number of tokens a parameter"
        return [f"fixed_ratio: {what}: {says}"]
    return []


def outliers(rows: Sequence[Row], residual_R: Array) -> list[str]:
    """Rows far from the law that the others follow."""
    scale = max(FAR * NORMAL_OVER_MAD * float(np.median(np.abs(residual_R))), LEAST_OUTLIER)
    far = [row.row for row, residual in zip(rows, residual_R.tolist(), strict=True) if abs(residual) > scale]
    if not far:
        return []
    lie = "lies" if len(far) == 1 else "lie"
    mend = "look at them, or leave them out with --drop-worst"
    return [f"outliers: {name_rows(far)} {lie} more than {scale:.2g} of ln loss from the law; {mend}"]


def name_rows(numbers: Sequence[int]) -> str:
    """`row 4`, `rows 4 and 9`, `rows 4, 9, 12 and 3 more`."""
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    if len(numbers) > SHOWN:
        return f"rows {', '.join(map(str, numbers[:SHOWN]))} and {len(numbers) - SHOWN} more"
    return f"rows {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
