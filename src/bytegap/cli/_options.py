"""What the verbs share: the declaration of a verb, the arguments that several take, and the types of their values."""

import textwrap
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from bytegap.audit.claims import ClaimedNumber
    from bytegap.study.config import Study
    from bytegap.study.directory import StudyDir

Number = TypeVar("Number")

RUN = "a finished run's folder, out/STUDY/runs/ID"


@dataclass(frozen=True)
class Verb:
    """One verb of the command line."""

    name: str
    summary: str
    """One sentence, shown by `bytegap --help` and at the top of the verb's own help."""
    run: Callable[[Namespace], int | None]
    """Returns an exit code where it is not 0."""
    add_arguments: Callable[[ArgumentParser], None]
    examples: str
    """Command lines, one a line, without indentation."""
    details: str = ""
    """Paragraphs for the verb's own help."""
    extras: tuple[str, ...] = ()
    """The extras without which the verb cannot run. What only some studies or files need is checked when it is used."""
    also: str = ""
    """A sentence on extras that only some studies or files need."""

    @property
    def epilog(self) -> str:
        """The end of the verb's help: details, examples and what to install."""
        details = [_wrapped(paragraph) for paragraph in self.details.split("\n\n") if paragraph]
        examples = "\n".join(f"  {line}" for line in self.examples.splitlines())
        needs = f"pip install 'bytegap[{','.join(self.extras)}]'." if self.extras else "the base install."
        return "\n\n".join([*details, f"examples:\n{examples}", _wrapped(f"needs: {needs} {self.also}".rstrip())])


def _wrapped(paragraph: str) -> str:
    """The paragraph in lines of at most 100 characters; a list, which is indented, as it is."""
    return paragraph if paragraph.startswith(" ") else textwrap.fill(paragraph, 100)


def study_argument(parser: ArgumentParser) -> None:
    """`STUDY.toml` and `--out`."""
    parser.add_argument("study", type=Path, metavar="STUDY.toml", help="the study file")
    out_argument(parser)


def out_argument(parser: ArgumentParser) -> None:
    """`--out`, the parent of the study folders."""
    parser.add_argument(
        "--out", type=Path, default=Path("out"), metavar="DIR", help="parent of study folders (default: %(default)s)"
    )


def json_argument(parser: ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, on standard output")


def open_study(options: Namespace, *, read_only: bool = False) -> "tuple[Study, StudyDir]":
    """The study of `options.study` and its folder under `options.out`; StudyError if the file is wrong."""
    from bytegap.study.directory import StudyDir
    from bytegap.study.load import load_study

    study = load_study(options.study)
    return study, StudyDir(options.out / study.name, read_only=read_only)


def positive(text: str) -> int:
    """An integer of at least 1."""
    return _checked(text, int, lambda value: value >= 1, "an integer of at least 1")


def hours(text: str) -> float:
    """A number above 0, at most a year."""
    from bytegap.study.config import MOST_HOURS

    expected = f"a number above 0, at most {MOST_HOURS:g}"
    return _checked(text, float, lambda value: 0 < value <= MOST_HOURS, expected)


def fraction(text: str) -> float:
    """A number above 0 and below 1."""
    return _checked(text, float, lambda value: 0 < value < 1, "a number above 0 and below 1")


def flops(text: str) -> float:
    """A finite number of FLOPs above 0."""
    return _checked(text, float, lambda value: 0 < value < float("inf"), "a number of FLOPs such as 2e11")


def claim(text: str) -> "ClaimedNumber":
    """A finite number above 0, with the digits that it is written with."""
    from bytegap.audit.claims import ClaimedNumber

    return _checked(text, ClaimedNumber.parse, lambda value: value.value > 0, "a number above 0, such as 1.2244")


def temperature(text: str) -> float:
    """A finite number of at least 0."""
    return _checked(text, float, lambda value: 0 <= value < float("inf"), "a finite number of at least 0")


def _checked(text: str, kind: Callable[[str], Number], is_valid: Callable[[Number], bool], description: str) -> Number:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not is_valid(value):
        raise ArgumentTypeError(f"'{text}' is not {description}")
    return value
