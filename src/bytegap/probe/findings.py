"""The main finding of each probe as a line of text, for the terminal; the report has all of them."""

from collections.abc import Iterable

from bytegap.schema.probe import Probe


def findings(probe: Probe) -> list[str]:
    """At most two lines: how well token boundaries are detected, and how much context AR models use."""
    return [*_boundaries(probe), *_context(probe)]


def _boundaries(probe: Probe) -> Iterable[str]:
    """The best detector of all."""
    if probe.segmentation:
        best = max(probe.segmentation, key=lambda row: row.auc)
        yield (
            f"boundaries are detected best by the {best.score} of {best.arm} at {best.budget_flops:.2g} FLOPs (given: "
            f"{best.conditioning}), at beginnings of '{best.boundary}': AUC {best.auc:.3f}, 0.5 by chance"
        )


def _context(probe: Probe) -> Iterable[str]:
    """The effective context of each arm at its largest budget."""
    largest = {row.arm: row for row in sorted(probe.context, key=lambda row: row.budget_flops)}
    if largest:
        listed = ", ".join(f"{row.effective} of {row.lengths[-1]} by {arm}" for arm, row in sorted(largest.items()))
        yield f"bytes of context that are used, to within 1 % of the loss: {listed}"
