"""What in a study folder was made from other text, tokens or options than the study has now."""

from collections.abc import Callable, Iterator

from bytegap.console import say
from bytegap.data import eval_windows, prepare, tokenize
from bytegap.errors import BytegapError, StudyDirError
from bytegap.study.config import Study
from bytegap.study.directory import CORPUS, PLAN, TOKENIZER, WINDOWS, StudyDir

Findings = Iterator[str]
"""Sentences: what is wrong, where, and what to do."""


def files(study: Study, study_dir: StudyDir) -> Findings:
    """The first of the corpus, each tokenizer and the scoring windows that is stale; what follows is made from it."""
    if (corpus := study_dir.find_readable(CORPUS)) is None:
        return
    where = str(study_dir.path(CORPUS))
    if _differs(where, corpus.inputs_sha256, lambda: prepare.inputs_sha256(study)):
        yield f"{where}: the text or [corpus] changed since it was made: run 'bytegap {CORPUS.verb}' again"
        return
    found = {name: study_dir.find_readable(TOKENIZER, name) for name in study.tokenizers}
    manifests = {name: manifest for name, manifest in found.items() if manifest}
    for name, manifest in manifests.items():
        where, train = str(study_dir.path(TOKENIZER, name)), corpus.splits["train"]
        if _differs(where, manifest.inputs_sha256, lambda n=name, t=train: tokenize.inputs_sha256(study, n, t)):
            yield f"{where}: the text or its options changed since it was made: run 'bytegap {TOKENIZER.verb}' again"
            return
    windows, where = study_dir.find_readable(WINDOWS), str(study_dir.path(WINDOWS))
    if windows is None or len(manifests) < len(study.tokenizers):
        return
    if _differs(where, windows.inputs_sha256, lambda: eval_windows.inputs_sha256(study, corpus, manifests)):
        yield f"{where}: the tokens or [context] changed since it was made: run 'bytegap {WINDOWS.verb}' again"


def plan(study: Study, study_dir: StudyDir) -> Findings:
    """Whether the plan was made from another study file, or from other tokens. Needs torch."""
    from bytegap.plan.stage import is_stale

    if (current := study_dir.find_readable(PLAN)) is None:
        return
    try:
        stale = is_stale(study, study_dir, current)
    except StudyDirError:
        return  # reported with what is missing
    if stale:
        where = study_dir.path(PLAN)
        yield f"{where}: the study or its tokens changed since it was made: run 'bytegap {PLAN.verb}' to apply it"


def _differs(where: str, recorded: str, inputs_sha256: Callable[[], str]) -> bool:
    """Whether a file's inputs are not those recorded in it; False, and said, where they are not here to compare."""
    try:
        return inputs_sha256() != recorded
    except (BytegapError, ModuleNotFoundError) as error:
        say("check", f"{where} is not compared with what it was made from: {error}")
        return False
