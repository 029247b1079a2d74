"""The tables of a study file, as immutable pydantic models. `load.py` reads and checks the file.

A study names a corpus, a context length, its tokenizers and its arms; `study/quickstart.toml` is an example.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from bytegap.schema.base import PLAIN_NAME, FrozenDict, FrozenJson, FrozenModel
from bytegap.schema.data import Edge

MOST_HOURS = 8760
"""A year: more is a slip of the keyboard, and budgets are not searched for so far."""


class Table(FrozenModel):
    """A table of a study file."""


class Plugin(Table):
    """A plug-in by name, with its options."""

    name: str
    options: FrozenDict[str, FrozenJson] = FrozenDict()


class Corpus(Table):
    """Where the text comes from and how much of it is held out. Splits go by document hash."""

    source: Plugin
    """`sotu`, `files`, `hub`, or a source of another package, with its options as further keys."""
    validation: float = Field(default=0.01, gt=0, lt=0.5)
    """Share of the documents for validation: grids are extended, and the tuning rule is audited, by their loss."""
    test: float = Field(default=0.02, gt=0, lt=0.5)
    """Share of the documents for testing: every reported loss is on them."""
    held_out_bytes_per_document: int | None = Field(default=None, ge=8)
    """Most text of each validation or test document that is scored: whole windows from a start that is drawn at random.
    Many documents, of each a few kB, tell more than all of a few documents, at the same cost. All of it if left out."""


class Context(Table):
    """The context length, equal for every arm: in bytes of text, or in tokens."""

    bytes: int | None = Field(default=None, ge=8)
    """Most text in a scoring window, and mean text in a training sequence. Give this or `tokens`."""
    tokens: int | None = Field(default=None, ge=8)
    """Tokens in a training sequence of every arm, however much text they hold. Scoring windows are the same text for
    all arms, and so no longer than fits the arm with the shortest tokens."""
    edges: Edge = "tokens"
    """Where scoring windows end. `tokens`: where every tokenizer of the study, run on the whole document, has a token
    boundary, so that no arm pays for a token cut in two; another tokenizer in the study moves the windows of all arms.
    `words`: before white space. `any`: at any code point, each window encoded by itself, which costs BPE more than
    bytes. Runs are scored under the other two as well, on the same text."""

    @model_validator(mode="after")
    def _one_of_them(self) -> "Context":
        if (self.bytes is None) == (self.tokens is None):
            raise ValueError("give either bytes or tokens")
        return self


class ExpectedOptimum(Table):
    """The compute-optimal model size expected at one budget."""

    params: float = Field(default=30_000, gt=0)
    """N, non-embedding parameters."""
    flops: float = Field(default=1e12, gt=0)
    """Training FLOPs at which N is expected; for other budgets N is scaled in proportion to C^0.5."""


class Arm(Table):
    """Tokenizer, objective, permutation and model, and budgets in FLOPs."""

    tokenizer: str
    """The NAME of one of `[tokenizers.NAME]`."""
    objective: Plugin
    """A name, or a table of `name` and options."""
    permutation: Plugin = Plugin(name="identity")
    """A name, or a table of `name` and options."""
    model: Plugin = Plugin(name="transformer")
    """A name, or a table of `name` and options."""
    budgets: tuple[float, ...] = ()
    """Training FLOPs, ascending; a frontier needs two, and a useful interval three or more. Left out where `[plan]`
    has `hours`."""
    expected_optimum: ExpectedOptimum = ExpectedOptimum()
    """The centre of each budget's model sizes; more sizes are added where the best turns out to lie elsewhere."""


class Grid(Table):
    """Runs at each budget: model sizes, seeds, and passes of the likelihood estimate."""

    sizes: int = Field(default=5, ge=4)
    """Model sizes at each budget."""
    spacing: int = Field(default=2, ge=1)
    """Steps of the model family's list of sizes from one size to the next, each step a factor of about 2 in N. A
    minimum is bracketed by sizes well away from it on both sides."""
    seeds: int = Field(default=1, ge=1)
    """Runs of each size."""
    seeds_at_ends: int = Field(default=1, ge=1)
    """Runs of each size at an arm's smallest and largest budget, if more than `seeds`: these determine a frontier's
    slope."""
    studies: int = Field(default=1, ge=1, le=100)
    """How often the whole study is run, each time under other seeds on the same text: the spread between the repeats
    shows what one study's intervals are worth. At most 100."""
    extensions: int = Field(default=2, ge=0)
    """Most rounds in which sizes are added where the best size is the smallest or largest."""
    mc_passes: int = Field(default=8, ge=8)
    """Independent passes of a Monte Carlo likelihood estimate; an exact likelihood takes one."""


class Plan(Table):
    """How much is planned, in place of each arm's `budgets` and `expected_optimum`."""

    hours: float | None = Field(default=None, gt=0, le=MOST_HOURS)
    """Wall-clock hours of training on this machine, those of a pilot included. The pilot shows where each arm learns;
    budgets and sizes follow from it."""


class Compute(Table):
    """How the machine is used: worker processes, and threads in each."""

    workers: int = Field(default=0, ge=0)
    """Runs trained at the same time. 0: the number that `plan` measures to be fastest."""
    threads: int = Field(default=0, ge=0)
    """CPU threads of each. 0: the number that `plan` measures to be fastest."""
    micro_batch_size: int = Field(default=0, ge=0)
    """Sequences in one forward pass, gradients summed over passes, for batches that exceed memory. 0: the batch."""


class Launch(Table):
    """Resources of each run on a cluster, for `bytegap train --on slurm`."""

    partition: str | None = None
    """Slurm partition; the cluster's default if left out."""
    account: str | None = None
    """Slurm account; the cluster's default if left out."""
    minutes: int = Field(default=1440, ge=1)
    """Time limit of a job; after it the run is queued again and continues from its checkpoint."""
    gpus: int = Field(default=0, ge=0)
    """Of each run."""
    memory_gb: float | None = Field(default=None, gt=0)
    """Of each run; the cluster's default if left out."""
    parallel: int = Field(default=256, ge=1)
    """Most runs at the same time."""


class Logging(Table):
    """Where training curves are logged; has no effect on training."""

    to: Literal["tensorboard", "wandb"]
    """TensorBoard files in `tensorboard/` of the study's folder, or Weights & Biases through its own client."""
    project: str | None = None
    """Weights & Biases project; the study's name if left out."""


TwoNames = tuple[str, str]
"""The names of two arms; of an overhead, the one in the numerator, which bytes usually are, first."""


class Fit(Table):
    """Hypotheses named before the runs are seen."""

    margin: float | None = Field(default=None, gt=1)
    """Equivalence margin of a compute ratio: a ratio below it counts as none."""
    pairs: tuple[TwoNames, ...] = ()
    """Overheads to estimate besides those of byte arms and arms that differ from them in the tokenizer alone."""
    interactions: tuple[tuple[TwoNames, TwoNames], ...] = ()
    """Overheads to compare at equal loss, the first with the second, besides those of another objective with AR's and
    of permuted text with that as written."""
    slopes: tuple[TwoNames, ...] = ()
    """Pairs of arms whose frontiers are tested for equal slopes."""
    slopes_not_below: tuple[TwoNames, ...] = ()
    """Pairs of arms of which the first's slope is tested for being not below the second's by `slope_margin`."""
    slope_margin: float | None = Field(default=None, gt=0)
    """Margin of a difference in g of L = A C^-g."""
    gaps_closed: tuple[tuple[TwoNames, TwoNames], ...] = ()
    """Overheads of a variant, each with the overhead of the plain arm of which it closes a share."""
    losses: tuple[TwoNames, ...] = ()
    """Pairs of arms whose losses at equal compute are compared, the first less the second."""


class Report(Table):
    """What the report shows besides the study."""

    compare_to: Path | None = None
    """Folder of a finished study, such as `results/laptop`, whose frontiers are drawn behind the study's own."""


class Study(Table):
    """A study file."""

    name: str = Field(pattern=PLAIN_NAME)
    """Name of the study and of its folder."""
    seed: int = Field(default=0, ge=0, lt=2**40)
    """Seed of everything random in the study."""
    corpus: Corpus
    context: Context
    tokenizers: FrozenDict[str, Plugin]
    arms: FrozenDict[str, Arm]
    plan: Plan = Plan()
    grid: Grid = Grid()
    compute: Compute = Compute()
    launch: Launch = Launch()
    logging: Logging | None = None
    fit: Fit = Fit()
    report: Report = Report()
