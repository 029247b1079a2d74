"""Finished runs of a few steps, one an arm, for tests of what uses trained models."""

from bytegap.data import prepare, tokenize
from bytegap.data.windows import read_windows
from bytegap.plan import stage as plan
from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study
from bytegap.train.run import train_run
from tests.helpers.tiny_study import STUDY, write_study

ARMS = {
    "byte-ar": ("byte", '"ar"'),
    "bpe-ar": ("bpe", '"ar"'),
    "unigram-ar": ("unigram", '{ name = "ar", dropped = 0.1 }'),
    "byte-mdm": ("byte", '"mdm"'),
    "bpe-mdm": ("bpe", '"mdm"'),
    "byte-block": ("byte", '{ name = "block_diffusion", size = 4 }'),
    "byte-anyorder": ("byte", '"any_order"'),
}
"""Tokenizer and objective, as in a study file, by arm."""
TOKENIZERS = {
    "byte": 'kind = "bytes"',
    "bpe": 'kind = "bpe"\nvocab_size = 300',
    "unigram": 'kind = "unigram"\nvocab_size = 270',
}


def study_text(arms):
    """A tiny study of these arms and their tokenizers."""
    used = {tokenizer for tokenizer, _ in arms.values()}
    head, _, rest = STUDY.partition("[tokenizers.byte]")
    tables = [f"[tokenizers.{name}]\n{kind}\n" for name, kind in TOKENIZERS.items() if name in used]
    tables += [
        f'[arms.{arm}]\ntokenizer = "{tokenizer}"\nobjective = {objective}\nbudgets = [1e10]\n'
        for arm, (tokenizer, objective) in arms.items()
    ]
    return "\n".join([head, *tables, rest[rest.index("[grid]") :]])


def finish(home, arms=ARMS, steps=12):
    """(study folder, {arm: folder of its smallest run, trained for `steps`})."""
    study = load_study(write_study(home, study_text(arms)))
    study_dir = StudyDir(home / "out" / "tiny")
    prepare.run(study, study_dir)
    tokenize.run(study, study_dir)
    runs = {}
    for spec in plan.resolve_plan(study, study_dir).runs:
        if spec.arm not in runs:
            short = spec.model_copy(update={"steps": steps})
            assert train_run(short, study_dir).status == "finished"
            runs[spec.arm] = study_dir.run(short.id)
    return study_dir, runs


def windows_of(run, split="test"):
    """The scoring windows of a split in the tokens of a run."""
    study_dir = run.study_dir
    return read_windows(study_dir.windows_dir, study_dir.windows().splits[split], run.spec().tokenizer)
