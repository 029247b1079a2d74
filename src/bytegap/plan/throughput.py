"""What runs take on this machine: steps of a few sizes are timed, and the seconds of any run follow.

A step takes step_s + batch size x sequence_s, measured at two batch sizes.
Sizes beyond those timed take the largest one's seconds in proportion to their FLOPs.
Suffixes: T = sizes timed, ascending.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.autotune.step_timer import seconds_per_step
from bytegap.plan.grid import ArmContext, can_train, resolve_run
from bytegap.schema.pilot import SizeTiming
from bytegap.schema.plan import RunSpec

_TOKENS_PER_PARAMETER = 20
"""D / N of a run that is about compute-optimal (Hoffmann et al. 2022): what is timed is what could be trained."""
_LARGEST_SHARE = 0.2
"""Of the hours of all workers: no size is timed of which one such run would take more."""
_BATCHES = (1, 8)
"""Multiples of a run's batch at which steps are timed."""
_LEAST_SIZES = 4


@dataclass(frozen=True)
class Throughput:
    """Seconds of the runs of one arm."""

    timings: Sequence[SizeTiming]
    slowdown: float = 1.0
    """Of training with all workers busy, relative to the timings."""
    evaluate_sequences: float = 0.0
    """Seconds of scoring a run over its size's `sequence_s`."""

    def seconds(self, spec: RunSpec) -> float:
        """Of training and scoring one run."""
        step_s, sequence_s = self._of_size(spec.non_embedding_parameters)
        train_s = self.slowdown * spec.steps * (step_s + spec.batch_size * sequence_s)
        return train_s + self.evaluate_sequences * sequence_s

    def sequence_s(self, spec: RunSpec) -> float:
        """Of one sequence of a training step."""
        return self._of_size(spec.non_embedding_parameters)[1]

    def _of_size(self, params: int) -> tuple[float, float]:
        """(step_s, sequence_s) between the sizes timed, linear in N; beyond the largest, in proportion to N."""
        params_T = [timing.non_embedding_parameters for timing in self.timings]
        beyond = max(1.0, params / params_T[-1])
        step_s, sequence_s = (
            float(np.interp(params, params_T, [getattr(timing, name) for timing in self.timings]))
            for name in ("step_s", "sequence_s")
        )
        return step_s * beyond, sequence_s * beyond


def time_sizes(context: ArmContext, worker_seconds: float) -> tuple[SizeTiming, ...]:
    """Time steps of the arm's sizes, from the smallest up to the largest of use in so many seconds of training."""
    found: list[SizeTiming] = []
    for config in context.sizes():
        params = config.parameters().non_embedding
        budget_flops = 6.0 * _TOKENS_PER_PARAMETER * params**2
        while not can_train(context, config, budget_flops):
            budget_flops *= 2
        spec = resolve_run(context, config, budget_flops, context.study.seed)
        batches = [factor * spec.batch_size for factor in _BATCHES]
        small_s, large_s = (seconds_per_step(spec.model_copy(update={"batch_size": batch})) for batch in batches)
        sequence_s = max(0.0, large_s - small_s) / (batches[1] - batches[0]) or large_s / batches[1]
        step_s = max(0.0, small_s - batches[0] * sequence_s)
        found.append(SizeTiming(non_embedding_parameters=params, step_s=step_s, sequence_s=sequence_s))
        run_s = spec.steps * (step_s + spec.batch_size * sequence_s)
        if len(found) >= _LEAST_SIZES and run_s > _LARGEST_SHARE * worker_seconds:
            break
    return tuple(found)
