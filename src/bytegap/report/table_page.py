"""The page of a table of runs, which has no study: `fit-table --report FILE.html`.

FILE.html                 the page, which contains its charts and the library that draws them
FILE-NAME.svg, .png       every figure
FILE-NAME.csv             every table
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bytegap.console import say
from bytegap.io.atomic import write_bytes
from bytegap.report import html_page, render
from bytegap.report.figures import estimands, frontiers, isoflop
from bytegap.report.html_page import PageFiles
from bytegap.report.inputs import ArmTraits, Inputs
from bytegap.report.tables import fit as tables
from bytegap.schema.fit import Fit
from bytegap.study.directory import StudyDir


@dataclass(frozen=True)
class TableInputs(Inputs):
    """The fit of a table of runs, of which there are no records."""

    traits_by_arm: Mapping[str, ArmTraits] = field(default_factory=dict[str, ArmTraits])
    bytes_arms: frozenset[str] = frozenset()

    def traits(self, arm: str) -> ArmTraits:
        """An arm's tokenizer and objective as the table has them."""
        return self.traits_by_arm.get(arm, ArmTraits("", ""))

    @property
    def has_records(self) -> bool:
        """A table has none."""
        return False

    def is_bytes(self, arm: str) -> bool:
        """Whether the arm was named as one of bytes."""
        return arm in self.bytes_arms

    def run_link(self, run: str) -> str:
        """None: a row of a table has no page."""
        del run
        return ""


def table_inputs(
    name: str, fit: Fit, traits: Mapping[str, ArmTraits], bytes_arms: frozenset[str], loss_name: str
) -> TableInputs:
    """What the page of a table shows."""
    return TableInputs(
        study_dir=StudyDir(Path(), read_only=True),
        study_name=name,
        study_arms=tuple(traits),
        runs=[],
        fit=fit,
        corpus=None,
        tokenizers=[],
        windows=None,
        plan=None,
        audit=None,
        order_controls=None,
        probe=None,
        baselines=None,
        reference=None,
        digest=fit.inputs_sha256,
        loss_name=loss_name,
        loss_unit=_SHORT.get(loss_name, loss_name),
        size_name="parameters N",
        traits_by_arm=traits,
        bytes_arms=bytes_arms,
    )


_SHORT = {"bits per byte": "BPB"}


def write(path: Path, inputs: TableInputs) -> None:
    """Write the page and its files."""
    figures = [
        figure
        for figure in (
            frontiers.figure(inputs),
            isoflop.figure(inputs),
            *(estimands.figure(inputs, name) for name in ("overhead", "interaction", "gap")),
        )
        if figure
    ]
    shown = [
        tables.cells(inputs),
        *([tables.estimands(inputs)] if inputs.fit.estimands else []),
        tables.frontiers(inputs),
    ]
    for figure in figures:
        for ending, data in render.images(figure, inputs).items():
            write_bytes(path.with_name(f"{path.stem}-{figure.name}.{ending}"), data)
    for table in shown:
        write_bytes(path.with_name(f"{path.stem}-{table.about.name}.csv"), table.csv().encode())
    files = PageFiles(f"{path.stem}-", "svg", f"{path.stem}-")
    write_bytes(path, html_page.render(inputs, figures, shown, files).encode())
    say("fit", f"{len(figures)} figures, {len(shown)} tables: {path}")
