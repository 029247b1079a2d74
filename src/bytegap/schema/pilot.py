"""pilot.json: the small runs from which a study that names hours places its budgets, and what steps cost here."""

from bytegap.schema.base import FrozenDict, FrozenModel, Record
from bytegap.schema.plan import Execution, RunSpec


class SizeTiming(FrozenModel):
    """Seconds of a training step of one size of one arm: `step_s` + batch size x `sequence_s`."""

    non_embedding_parameters: int
    step_s: float
    sequence_s: float


class Pilot(Record):
    """pilot.json: a plan follows from it and the study alone."""

    inputs_sha256: str
    """SHA-256 of everything that the pilot was made from."""
    study: str
    """The study's name."""
    hours: float
    """Of the study, the pilot's own included."""
    execution: Execution
    workers: int
    """Runs trained at the same time."""
    timings: FrozenDict[str, tuple[SizeTiming, ...]]
    """By arm, measured before the pilot or after its first cell, ascending in size."""
    runs: tuple[RunSpec, ...] = ()
    """In the order in which they were added; no fit uses them."""
    finished: bool = False
    """Whether no run will be added."""
    validation_bpb: FrozenDict[str, float] = FrozenDict()
    """By run id, once finished; a run that failed has none."""
    unigram_bpb: FrozenDict[str, float] = FrozenDict()
    """Validation BPB of the unigram model of each arm's tokenizer."""
    slowdown: float = 1.0
    """Seconds that training took over those predicted from `timings`, when runs were last added."""
    timed_again: bool = False
    """Whether the machine was measured a second time, because runs took far more or less than predicted."""
    evaluate_sequences: FrozenDict[str, float] = FrozenDict()
    """By arm, when runs were last added: seconds of scoring a run over `sequence_s` of its size."""

    @property
    def specs(self) -> list[RunSpec]:
        """All runs to train."""
        return list(self.runs)
