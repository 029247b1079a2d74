"""The study folder: which files it has, and typed access to them.

Each file is declared once, as an `Artifact`: its path, the record that it holds, and the verb that writes it.
`ARTIFACTS` lists them all, for code that looks at every file.

out/STUDY/
  corpus/               manifest.json and the text of the splits
  tokens/NAME/          manifest.json and the training text as tokens, for each tokenizer
  tokens/windows.json   and tokens/windows/, the scoring windows as tokens
  order-controls.json   pilot.json   plan.json   jobs.json
  runs/ID/              spec.json, record.json, timings.json, weights and checkpoints of a run;
                        likelihoods.json of runs of the best sizes
  runs.jsonl            tuning.jsonl  audit.json  fit.json  probe.json  baselines.json  lm-eval.json
  report/
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from bytegap.errors import StudyDirError
from bytegap.io import records
from bytegap.io.array_size import wrong_size
from bytegap.schema.base import ArrayFile, Record, arrays_in
from bytegap.schema.data import CorpusManifest, OrderControls, TokenizerManifest, WindowsManifest
from bytegap.schema.evaluate import Baselines, LmEvalResults
from bytegap.schema.fit import Fit
from bytegap.schema.pilot import Pilot
from bytegap.schema.plan import Plan, RunSpec
from bytegap.schema.probe import Probe
from bytegap.schema.runs import Audit, Jobs, RunLikelihoods, RunRecord, RunRow, Timings, TuningRunRow

R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ArtifactFile(Generic[R_co]):
    """A kind of file in a study folder that holds records of type `model`."""

    pattern: str
    """Path below the study folder; `*` stands for the name of a tokenizer or the id of a run."""
    model: type[R_co]
    verb: str
    """The verb that writes it."""

    @property
    def file_name(self) -> str:
        """The last part of its path."""
        return self.pattern.rpartition("/")[2]

    def path(self, root: Path, name: str = "") -> Path:
        """Its path in the study folder `root`; `name` takes the place of `*`."""
        assert bool(name) == ("*" in self.pattern), f"{self.pattern} for the name {name!r}"
        return root / self.pattern.replace("*", name)

    def names(self, root: Path) -> list[str]:
        """Names for which the file exists; [""] or [] where its path has none."""
        if "*" not in self.pattern:
            return [""] if self.path(root).exists() else []
        before, after = self.pattern.split("*")
        pattern = re.compile(re.escape(before) + "([^/.][^/]*)" + re.escape(after))
        paths = [path.relative_to(root).as_posix() for path in root.glob(self.pattern)]
        return sorted(found[1] for path in paths if (found := pattern.fullmatch(path)))


@dataclass(frozen=True)
class Artifact(ArtifactFile[R_co]):
    """A JSON file of one record."""

    arrays: str | None = None
    """Folder of the arrays that the record describes, relative to the file's own; None where it describes none."""

    def read(self, path: Path) -> R_co:
        """The record; StudyDirError if it is missing or damaged."""
        return records.read_record(path, self.model, self.verb)


class TableArtifact(ArtifactFile[R_co]):
    """A JSON lines file, one record per line."""

    def read(self, path: Path) -> list[R_co]:
        """The records; StudyDirError if the file is missing or a line is damaged."""
        return records.read_table(path, self.model, self.verb)


CORPUS = Artifact("corpus/manifest.json", CorpusManifest, "corpus", arrays=".")
TOKENIZER = Artifact("tokens/*/manifest.json", TokenizerManifest, "tokenize", arrays=".")
WINDOWS = Artifact("tokens/windows.json", WindowsManifest, "tokenize", arrays="windows")
ORDER_CONTROLS = Artifact("order-controls.json", OrderControls, "order-controls")
PILOT = Artifact("pilot.json", Pilot, "plan")
PLAN = Artifact("plan.json", Plan, "plan")
JOBS = Artifact("jobs.json", Jobs, "train")
SPEC = Artifact("runs/*/spec.json", RunSpec, "train")
RECORD = Artifact("runs/*/record.json", RunRecord, "train")
TIMINGS = Artifact("runs/*/timings.json", Timings, "train")
LIKELIHOODS = Artifact("runs/*/likelihoods.json", RunLikelihoods, "train")
RUNS = TableArtifact("runs.jsonl", RunRow, "collect")
TUNING = TableArtifact("tuning.jsonl", TuningRunRow, "collect")
AUDIT = Artifact("audit.json", Audit, "collect")
FIT = Artifact("fit.json", Fit, "fit")
PROBE = Artifact("probe.json", Probe, "probe")
BASELINES = Artifact("baselines.json", Baselines, "baselines")
LM_EVAL = Artifact("lm-eval.json", LmEvalResults, "lm-eval")

ARTIFACTS: tuple[Artifact[Record] | TableArtifact[Record], ...] = (
    CORPUS,
    TOKENIZER,
    WINDOWS,
    ORDER_CONTROLS,
    PILOT,
    PLAN,
    JOBS,
    SPEC,
    RECORD,
    TIMINGS,
    LIKELIHOODS,
    RUNS,
    TUNING,
    AUDIT,
    FIT,
    PROBE,
    BASELINES,
    LM_EVAL,
)
"""Every file of records in a study folder, in the order in which the verbs write them."""


@dataclass(frozen=True)
class RunDir:
    """The folder of one run, `runs/ID`."""

    path: Path

    @property
    def study_dir(self) -> "StudyDir":
        """The study folder that it is in; StudyDirError where it is elsewhere."""
        runs_dir = self.path.resolve().parent
        study_dir = StudyDir(runs_dir.parent)
        if runs_dir.name != "runs" or not study_dir.tokens_dir.is_dir():
            raise StudyDirError(
                f"{self.path} is not in its study's folder, whose tokens/ it needs: name it as out/STUDY/runs/ID"
            )
        return study_dir

    @property
    def weights_path(self) -> Path:
        """The trained weights; written when training ends."""
        return self.path / "weights.safetensors"

    @property
    def checkpoint_path(self) -> Path:
        """The last checkpoint; deleted when training ends."""
        return self.path / "checkpoint.safetensors"

    @property
    def previous_checkpoint_path(self) -> Path:
        """The checkpoint before the last one."""
        return self.path / "checkpoint.before"

    @property
    def lock_path(self) -> Path:
        """The file that the process training the run has locked."""
        return self.path / "lock"

    @property
    def has_record(self) -> bool:
        """Whether the run ended, finished or failed: its record is the last file that training writes."""
        return self._path(RECORD).exists()

    @property
    def was_started(self) -> bool:
        """Whether its training began here: its spec is the first file that training writes."""
        return self._path(SPEC).exists() or self.has_record

    def spec(self) -> RunSpec:
        """What was planned; StudyDirError where the folder is not a run's."""
        if self.has_record and not self._path(SPEC).exists():
            raise StudyDirError(
                f"{self._path(SPEC)} is missing, and the run has ended: delete its folder and its line of "
                f"{RUNS.pattern}, and run 'bytegap train' again"
            )
        if not self._path(SPEC).is_file():
            raise StudyDirError(
                f"{self.path} is not a run's folder: name one of out/STUDY/runs/; 'bytegap collect' lists them"
            )
        return SPEC.read(self._path(SPEC))

    def record(self) -> RunRecord:
        """What the run did."""
        return RECORD.read(self._path(RECORD))

    def find_record(self) -> RunRecord | None:
        """What the run did; None if it has not ended."""
        return self.record() if self.has_record else None

    def timings(self) -> Timings:
        """How long the run took."""
        return TIMINGS.read(self._path(TIMINGS))

    def find_timings(self) -> Timings | None:
        """How long the run took; None if it has not ended."""
        return self.timings() if self._path(TIMINGS).exists() else None

    def write(self, artifact: Artifact[R], record: R) -> None:
        """Write one of SPEC, RECORD, TIMINGS and LIKELIHOODS atomically."""
        records.write_record(self._path(artifact), record)

    def _path(self, artifact: ArtifactFile[Record]) -> Path:
        return self.path / artifact.file_name


class StudyDir:
    """One study's folder, `out/STUDY`. Reading raises StudyDirError for a file that is missing or damaged.

    `read_only` says that the caller writes nothing, so that a stale file is not said to be made again.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self.root = root
        self._again = "would be made again" if read_only else "is made again"

    @cached_property
    def corpus_dir(self) -> Path:
        """Text of the splits and their manifest."""
        return self.root / "corpus"

    @cached_property
    def tokens_dir(self) -> Path:
        """A folder for each tokenizer, and the scoring windows."""
        return self.root / "tokens"

    @cached_property
    def windows_dir(self) -> Path:
        """Arrays of the scoring windows, which `windows()` describes."""
        return self.tokens_dir / "windows"

    @cached_property
    def runs_dir(self) -> Path:
        """A folder for each run."""
        return self.root / "runs"

    @cached_property
    def report_dir(self) -> Path:
        """The report's page, figures and tables."""
        return self.root / "report"

    def tokenizer_dir(self, name: str) -> Path:
        """The folder of one tokenizer: its vocabulary, its manifest, and the training text as its tokens."""
        return self.tokens_dir / name

    def run(self, run: str) -> RunDir:
        """The folder of one run, by its id."""
        return RunDir(self.runs_dir / run)

    def path(self, artifact: ArtifactFile[Record], name: str = "") -> Path:
        """The path of a file."""
        return artifact.path(self.root, name)

    def names(self, artifact: ArtifactFile[Record]) -> list[str]:
        """Tokenizers or runs that have the file; [""] or [] where there is one for the study."""
        return artifact.names(self.root)

    def read(self, artifact: Artifact[R], name: str = "") -> R:
        """The record in a file."""
        return artifact.read(self.path(artifact, name))

    def find(self, artifact: Artifact[R], name: str = "") -> R | None:
        """The record in a file; None if there is no such file."""
        path = self.path(artifact, name)
        return artifact.read(path) if path.exists() else None

    def find_readable(self, artifact: Artifact[R], name: str = "") -> R | None:
        """The record in a file; None also where it is damaged: for readers that can do without it."""
        try:
            return self.find(artifact, name)
        except StudyDirError:
            return None

    def write(self, artifact: Artifact[R], record: R, name: str = "") -> None:
        """Write a record atomically."""
        records.write_record(self.path(artifact, name), record)

    def write_rows(self, artifact: TableArtifact[R], rows: Iterable[R]) -> None:
        """Write a table atomically."""
        records.write_table(self.path(artifact), rows)

    def load_if_current(self, artifact: Artifact[R], inputs_sha256: str, name: str = "") -> R | None:
        """The record in a file if it was made from these inputs; None, logged, where it must be made again."""
        path = self.path(artifact, name)
        if not path.exists():
            return None
        try:
            record = records.parse(path.read_bytes(), artifact.model)
        except ValueError as error:
            _logger.info("%s: %s; it %s", path, error, self._again, extra={"stage": "stale"})
            return None
        if getattr(record, "inputs_sha256", None) != inputs_sha256:
            problem = f"{path}: an input changed"
        else:
            problem = next(filter(None, (wrong_size(*each) for each in self.arrays(artifact, record, name))), "")
        if problem:
            _logger.info("%s; it %s", problem, self._again, extra={"stage": "stale"})
            return None
        return record

    def arrays(self, artifact: Artifact[R], record: R, name: str = "") -> Iterator[tuple[Path, ArrayFile]]:
        """Every array that the record of a file describes, with its folder."""
        if artifact.arrays is not None:
            folder = self.path(artifact, name).parent / artifact.arrays
            yield from ((folder, array) for array in arrays_in(record))

    def corpus(self) -> CorpusManifest:
        """The manifest of the corpus."""
        return self.read(CORPUS)

    def tokenizer(self, name: str) -> TokenizerManifest:
        """The manifest of one tokenizer."""
        return self.read(TOKENIZER, name)

    def windows(self) -> WindowsManifest:
        """The manifest of the scoring windows."""
        return self.read(WINDOWS)

    def plan(self) -> Plan:
        """The plan."""
        return self.read(PLAN)

    def pilot_runs(self) -> list[RunSpec]:
        """The runs of the pilot of a study that names hours; none where there is no pilot."""
        pilot = self.find(PILOT)
        return pilot.specs if pilot else []

    def runs(self) -> list[RunRow]:
        """The rows of runs.jsonl."""
        return RUNS.read(self.path(RUNS))

    def tuning_runs(self) -> list[TuningRunRow]:
        """The rows of tuning.jsonl; none where no tuning audit was made."""
        path = self.path(TUNING)
        return TUNING.read(path) if path.exists() else []

    def audit(self) -> Audit:
        """The audit of the runs."""
        return self.read(AUDIT)

    def fit(self) -> Fit:
        """The fit."""
        return self.read(FIT)

    def records(self, specs: Iterable[RunSpec]) -> list[tuple[RunSpec, RunRecord]]:
        """The runs among `specs` that ended, finished or failed, with their records."""
        found = ((spec, self.run(spec.id).find_record()) for spec in specs)
        return [(spec, record) for spec, record in found if record is not None]

    def runs_with_validation_bpb(self, specs: Iterable[RunSpec]) -> list[tuple[RunSpec, float]]:
        """The runs among `specs` whose record has a validation score, with their BPB."""
        return [(spec, record.validation.bpb) for spec, record in self.records(specs) if record.validation is not None]

    def rows_without_folder(self, specs: Iterable[RunSpec]) -> dict[str, RunRow]:
        """The rows of runs.jsonl and tuning.jsonl, by run id, of finished runs among `specs` that have no folder here.

        A study that is published without its weights has such rows; their runs count as done. None of a table that is
        damaged, which is logged.
        """
        rows: dict[str, RunRow] = {}
        for table in (TUNING, RUNS):
            if not self.path(table).exists():
                continue
            try:
                rows |= {row.run: row for row in table.read(self.path(table)) if row.status == "finished"}
            except StudyDirError as error:
                _logger.warning("%s; no run is taken from it", error, extra={"stage": "stale"})
        return {spec.id: rows[spec.id] for spec in specs if spec.id in rows and not self.run(spec.id).was_started}

    def validation_bpb(self, specs: Iterable[RunSpec]) -> dict[str, float]:
        """Validation BPB by run id, of the runs among `specs` that have one, in their folder or in runs.jsonl."""
        specs = list(specs)
        kept = self.rows_without_folder(specs)
        in_table = {run: row.validation_bpb for run, row in kept.items() if row.validation_bpb is not None}
        return in_table | {spec.id: bpb for spec, bpb in self.runs_with_validation_bpb(specs)}

    def unfinished(self, specs: Iterable[RunSpec]) -> list[RunSpec]:
        """The runs among `specs` that have not ended."""
        specs = list(specs)
        kept = self.rows_without_folder(specs)
        return [spec for spec in specs if not (spec.id in kept or self.run(spec.id).has_record)]
