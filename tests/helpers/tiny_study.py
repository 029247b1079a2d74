"""A whole study small enough for a test: text, study file, and the stages that bring it to runs."""

import random
import string
from pathlib import Path

from bytegap.study.config import Study
from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study

STUDY = """\
name = "tiny"
seed = 1

[corpus]
source = "files"
paths = ["{text}/*.txt"]
validation = 0.1
test = 0.1

[context]
bytes = 96

[tokenizers.byte]
kind = "bytes"

[tokenizers.bpe]
kind = "bpe"
vocab_size = 300

[arms.byte-ar]
tokenizer = "byte"
objective = "ar"
budgets = [1e10]

[arms.bpe-mdm]
tokenizer = "bpe"
objective = "mdm"
budgets = [1e10]

[grid]
sizes = 4
spacing = 1
extensions = 0

[compute]
workers = 2
"""


def with_hours(hours: float, objectives: tuple[str, ...] = ("ar", "mdm"), text: str = STUDY) -> str:
    """The tiny study with byte and BPE arms under these objectives, and hours in place of budgets."""
    arms = "".join(
        f'[arms.{tokenizer}-{objective}]\ntokenizer = "{tokenizer}"\nobjective = "{objective}"\n\n'
        for objective in objectives
        for tokenizer in ("byte", "bpe")
    )
    head, rest = text[: text.index("[arms.")], text[text.index("[grid]") :]
    return f"{head}{arms}[plan]\nhours = {hours}\n\n{rest}"


def write_text(folder: Path, documents: int = 60, seed: int = 0) -> None:
    """Documents of words drawn from a small vocabulary: text with something to learn."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 8))) for _ in range(200)]
    weights = [1 / (rank + 1) for rank in range(200)]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(documents):
        text = " ".join(draw.choices(words, weights, k=draw.randint(80, 160)))
        (folder / f"{number:03}.txt").write_text(text + ".\n", encoding="utf-8")


def write_study(home: Path, text: str = STUDY, **changes: str) -> Path:
    """The study file, with `old=new` changes made to its text by keyword `old_new` pairs of strings."""
    if not (home / "text").exists():
        write_text(home / "text")
    for old, new in changes.items():
        text = text.replace(old, new)
    path = home / "tiny.toml"
    path.write_text(text.replace("{text}", str(home / "text")), encoding="utf-8")
    return path


def opened(home: Path) -> tuple[Study, StudyDir]:
    """The tiny study and its study_dir."""
    return load_study(write_study(home)), StudyDir(home / "out" / "tiny")
