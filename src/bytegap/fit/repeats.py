"""The headlines in each repeat of a study, `[grid] studies` in all, and the spread between the repeats.

The fit takes the runs of all repeats together, so its intervals are those of the pooled estimate. The spread is not
added to them: it checks the noise that they assume. Repeats share text, tokenizers and held-out documents, so it does
not contain what these contribute.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bytegap.errors import FitError
from bytegap.fit.reestimate import DefaultFit, refit
from bytegap.schema.claims import Claim
from bytegap.schema.fit import Estimand, RepeatResult, RepeatSpread
from bytegap.schema.runs import RunRow


def by_repeat(
    rows_by_repeat: Mapping[int, Sequence[RunRow]], default: DefaultFit, bootstraps: int, seed: int
) -> tuple[list[RepeatResult], list[str]]:
    """(each repeat fitted alone, warnings); both empty with fewer than two repeats.

    A repeat of too few runs for a fit is left out with a warning.
    """
    found: list[RepeatResult] = []
    warnings: list[str] = []
    if len(rows_by_repeat) < 2:
        return found, warnings
    for repeat, rows in sorted(rows_by_repeat.items()):
        try:
            again = refit(rows, default, bootstraps, seed)
        except FitError as error:
            warnings.append(f"repeat {repeat} has no fit of its own, and no part in the spread of repeats: {error}")
        else:
            finished = sum(row.status == "finished" for row in rows)
            found.append(RepeatResult(repeat=repeat, runs=finished, **vars(again)))
    return found, warnings


def spreads(
    repeats: Sequence[RepeatResult], estimands: Sequence[Estimand], claims: Sequence[Claim]
) -> Iterator[RepeatSpread]:
    """The spread of each headline that a claim states as an estimate; nothing without repeats."""
    intervals = {(claim.arms, claim.at_bpb): claim.ci95 for claim in claims if claim.is_estimate}
    for row in estimands if repeats else ():
        interval = intervals.get((row.arms, row.at_bpb))
        if not row.headline or row.at_bpb is None or interval is None:
            continue
        values = [value for repeat in repeats if (value := _estimate_of(row, repeat)) is not None]
        ln_values = values if row.name == "interaction" else np.log(values).tolist()
        yield RepeatSpread(
            name=row.name,
            objective=row.objective,
            arms=row.arms,
            form=row.form,
            at_bpb=row.at_bpb,
            repeats=len(values),
            values=tuple(values),
            sd_ln=float(np.std(ln_values, ddof=1)) if len(values) > 1 else None,
            within=sum(interval[0] <= value <= interval[1] for value in values),
        )


def _estimate_of(headline: Estimand, repeat: RepeatResult) -> float | None:
    """The headline's value in one repeat; None where it is no estimate there."""
    key = (headline.name, headline.arms, headline.form, headline.at_bpb)
    same = [row for row in repeat.estimands if (row.name, row.arms, row.form, row.at_bpb) == key]
    return next((row.quantity.value for row in same if row.label == "estimated"), None)
