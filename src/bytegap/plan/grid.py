"""The runs of one arm at one budget: which model sizes, how many steps each, and every other number of a run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, takewhile
from math import log

from bytegap.cost.flops import DEFAULT, SIX_ND, Convention, conventions, six_nd, training_flops
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.data.permutations.base import Permutation, permutation
from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import PlanError, StudyError
from bytegap.models.base import ModelConfig, ModelFamily, model_family
from bytegap.objectives.base import Objective, objective
from bytegap.plan import hyperparameters
from bytegap.plan.hyperparameters import RULE, Setting
from bytegap.schema.base import FrozenDict, FrozenJson, digest
from bytegap.schema.data import TokenizerManifest, WindowsManifest
from bytegap.schema.plan import Execution, RunSpec
from bytegap.study.config import Arm, Study

FLOPS_TOLERANCE = 0.01
"""Largest relative difference between a run's FLOPs and its budget."""
_REPETITIONS, _SIZES = 1000, 1000
"""More than a study has of either."""
MIN_STEPS = 50
"""Steps of the shortest run: with fewer, whole steps do not match a budget within the tolerance, nor train anything."""
REPEAT_SEED_STRIDE = 1_000_000
"""Difference in the study's seed between two of its repeats: more than the seeds of one repeat span."""


@dataclass(frozen=True)
class ArmContext:
    """What all runs of one arm share."""

    study: Study
    arm_name: str
    arm: Arm
    tokenizer: TokenizerManifest
    windows: WindowsManifest
    execution: Execution
    conditioning_tokenizer: TokenizerManifest | None = None
    """The tokenizer whose token starts the objective needs, if it needs one and the study has it."""
    repeat: int = 0
    """Which repeat of the study, from 0; its study has that repeat's seed."""

    @property
    def tokens_sha256(self) -> str:
        """Checksum of the tokens, and of the conditioning tokens if there are any."""
        own = self.tokenizer.content_sha256
        conditioning = self.conditioning_tokenizer
        return digest([own, conditioning.content_sha256]) if conditioning else own

    @property
    def seq_len(self) -> int:
        """S, tokens of a training sequence."""
        return self.windows.seq_len[self.arm.tokenizer]

    @cached_property
    def objective(self) -> Objective:
        """The arm's objective."""
        return objective(self.arm.objective.name, self.arm.objective.options)

    @cached_property
    def permutation(self) -> Permutation:
        """The arm's permutation."""
        return permutation(self.arm.permutation.name, self.arm.permutation.options)

    @cached_property
    def model_family(self) -> ModelFamily:
        """The arm's architecture."""
        return model_family(self.arm.model.name, self.arm.model.options)

    @property
    def model_options(self) -> FrozenDict[str, FrozenJson]:
        """The options of the architecture that are not at their defaults."""
        fields: Mapping[str, object] = getattr(self.model_family, "__dataclass_fields__", {})
        defaults = {name: getattr(field, "default", None) for name, field in fields.items()}
        given = self.arm.model.options.items()
        return FrozenDict(
            {name: value for name, value in given if value != getattr(defaults[name], "default", defaults[name])}
        )

    @cached_property
    def sequence_cost(self) -> SequenceCost:
        """What a training sequence costs."""
        return self.objective.sequence_cost(self.seq_len)

    def size_index(self, non_embedding_parameters: int) -> int:
        """The index among `sizes` of the size with so many parameters."""
        parameters = (config.parameters().non_embedding for config in self.sizes())
        return next(index for index, size in enumerate(parameters) if size == non_embedding_parameters)

    def repeats(self) -> list["ArmContext"]:
        """The arm in each repeat of the study, `[grid] studies` in all: the same but for the study's seed."""
        seeds = [self.study.seed + repeat * REPEAT_SEED_STRIDE for repeat in range(self.study.grid.studies)]
        return [
            replace(self, study=self.study.model_copy(update={"seed": seed}), repeat=repeat)
            for repeat, seed in enumerate(seeds)
        ]

    def sizes(self) -> Iterator[ModelConfig]:
        """Model sizes for this arm in ascending order, without end."""
        return self.model_family.sizes(
            n_ids=Vocabulary(self.tokenizer.vocab_size).n_ids, max_positions=self.seq_len + 1
        )


def check(context: ArmContext) -> None:
    """StudyError where the arm's objective or permutation does not suit its tokenizer or its sequence length."""
    where = f"[arms.{context.arm_name}]"
    objective_name = f"objective '{context.arm.objective.name}'"
    _check_tokenizer(context, f"{where} {objective_name}")
    permutation_name = f"permutation '{context.arm.permutation.name}'"
    for name, part in ((objective_name, context.objective), (permutation_name, context.permutation)):
        try:
            part.check(context.seq_len)
        except StudyError as error:
            raise StudyError(f"{where} {name}: {error}") from None
    if context.model_family.mixes_neighbours and context.objective.attention is None:
        raise StudyError(
            f"{where} model: it mixes neighbours in the row, and {objective_name} does not say that its rows are in "
            "the order of the text, so that a token might see hidden text; leave the convolution out"
        )


def _check_tokenizer(context: ArmContext, where: str) -> None:
    if context.objective.bytes_only and context.tokenizer.kind != "bytes":
        raise StudyError(f"{where} requires a byte tokenizer; '{context.arm.tokenizer}' is not one")
    if name := context.objective.conditioning_tokenizer:
        conditioning = context.conditioning_tokenizer
        if conditioning is None or conditioning.kind == "bytes":
            raise StudyError(f"{where}: '{name}' must be one of [tokenizers] that is not a byte tokenizer")
        if not context.permutation.is_identity:
            raise StudyError(
                f"{where} cannot be combined with permutation '{context.arm.permutation.name}': token boundaries are "
                "undefined after permuting; remove 'permutation'"
            )


def isoflop_cell(context: ArmContext, budget_flops: float) -> list[RunSpec]:
    """A budget's first runs: `grid.sizes` sizes, `grid.spacing` apart, centred in log N on the expected optimum.

    PlanError if the budget is too small for so many sizes.
    """
    grid, expected = context.study.grid, context.arm.expected_optimum
    centre = hyperparameters.expected_optimum(expected.params, expected.flops, budget_flops)
    trainable = list(takewhile(lambda config: can_train(context, config, budget_flops), context.sizes()))
    span = (grid.sizes - 1) * grid.spacing + 1
    if len(trainable) < span:
        raise PlanError(
            f"[arms.{context.arm_name}] budgets: {budget_flops:g} FLOPs is too small: {len(trainable)} sizes can be "
            f"trained for at least {MIN_STEPS} steps within it, {span} are needed: raise the budget"
        )
    offsets = [abs(log(config.parameters().non_embedding / centre)) for config in trainable]
    starts = range(len(trainable) - span + 1)
    start = min(starts, key=lambda first: max(offsets[first], offsets[first + span - 1]))
    return [
        run for index in range(start, start + span, grid.spacing) for run in runs_of_size(context, budget_flops, index)
    ]


def runs_of_size(context: ArmContext, budget_flops: float, size: int) -> list[RunSpec]:
    """The runs of the size with this index: `grid.seeds`, or at the arm's smallest and largest budget `seeds_at_ends`.

    The larger of the two numbers applies there.
    """
    grid = context.study.grid
    at_an_end = budget_flops in {min(context.arm.budgets), max(context.arm.budgets)}
    repetitions = max(grid.seeds, grid.seeds_at_ends) if at_an_end else grid.seeds
    config = next(islice(context.sizes(), size, None))
    return [
        resolve_run(context, config, budget_flops, run_seed(context.study.seed, repetition, size))
        for repetition in range(repetitions)
    ]


def run_seed(study_seed: int, repetition: int, size: int) -> int:
    """The seed of a run: its study's, its repetition and the index of its size among those of its family, in decimals.

    Sizes of a cell share no seed, so that what one seed does to all of them does not pass for a property of the budget.
    """
    assert 0 <= repetition < _REPETITIONS
    assert 0 <= size < _SIZES
    return (study_seed * _REPETITIONS + repetition) * _SIZES + size


def can_train(context: ArmContext, config: ModelConfig, budget_flops: float, setting: Setting = RULE) -> bool:
    """Whether the budget pays for at least `MIN_STEPS` steps of this size."""
    batch_size = _batch_size(context, config, budget_flops, setting)
    return budget_flops / (batch_size * _sequence_flops(context, config)) >= MIN_STEPS


def resolve_run(
    context: ArmContext, config: ModelConfig, budget_flops: float, seed: int, setting: Setting = RULE
) -> RunSpec:
    """One run: the number of whole steps whose FLOPs come nearest to the budget, and what follows from it."""
    parameters = config.parameters()
    batch_size = _batch_size(context, config, budget_flops, setting)
    steps = round(budget_flops / (batch_size * _sequence_flops(context, config)))
    tokens = steps * batch_size * context.seq_len
    planned = {
        convention.name: steps * batch_size * _sequence_flops(context, config, convention)
        for convention in conventions()
    }
    planned[SIX_ND] = six_nd(parameters.non_embedding, tokens)
    flops = planned[DEFAULT.name]
    assert abs(flops / budget_flops - 1) <= FLOPS_TOLERANCE, "budget matched within 1 %"
    return RunSpec(
        arm=context.arm_name,
        tokenizer=context.arm.tokenizer,
        objective=context.arm.objective.name,
        objective_options=context.arm.objective.options,
        tight_likelihood=context.objective.can_be_tight,
        permutation=context.arm.permutation.name,
        permutation_options=context.arm.permutation.options,
        model=context.arm.model.name,
        model_shape=FrozenDict(config.model_dump()),
        embedding_parameters=parameters.embedding,
        head_parameters=parameters.head,
        non_embedding_parameters=parameters.non_embedding,
        budget_flops=budget_flops,
        seq_len=context.seq_len,
        batch_size=batch_size,
        steps=steps,
        tokens=tokens,
        bytes=round(tokens * context.tokenizer.bytes_per_token),
        epochs=tokens / context.tokenizer.tokens,
        flops=flops,
        flops_by_convention=FrozenDict(planned),
        optimizer=hyperparameters.optimizer(parameters.non_embedding, steps, setting),
        seed=seed,
        mc_passes=context.study.grid.mc_passes,
        execution=context.execution,
        tokens_sha256=context.tokens_sha256,
        windows_manifest_sha256=context.windows.content_sha256,
        repeat=context.repeat,
        model_options=context.model_options,
    )


def _batch_size(context: ArmContext, config: ModelConfig, budget_flops: float, setting: Setting) -> int:
    tokens = context.seq_len * budget_flops / _sequence_flops(context, config)
    share = context.sequence_cost.supervised / context.seq_len
    batch_tokens = hyperparameters.batch_tokens(tokens, share)
    return max(1, round(setting.batch_size_factor * batch_tokens / context.seq_len))


def _sequence_flops(context: ArmContext, config: ModelConfig, convention: Convention = DEFAULT) -> float:
    return training_flops(config.costs(), context.sequence_cost, convention)
