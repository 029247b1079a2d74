"""Runs of a few steps, one an arm, for tests of what is done with finished ones."""

from bytegap.corpus import stage as corpus
from bytegap.plan import stage as plan
from bytegap.records import WindowsManifest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record
from bytegap.study import load
from bytegap.tokens import stage as tokens
from bytegap.train.run import train_run
from bytegap.trained import spec_of
from bytegap.windows import Windows
from tests.tiny import STUDY, write_study

ARMS = {
    "byte-ar": ("byte", '"ar"'),
    "bpe-ar": ("bpe", '"ar"'),
    "unigram-ar": ("unigram", '{ name = "ar", dropped = 0.1 }'),
    "byte-mdm": ("byte", '"mdm"'),
    "bpe-mdm": ("bpe", '"mdm"'),
    "byte-block": ("byte", '{ name = "block", size = 4 }'),
    "byte-anyorder": ("byte", '"anyorder"'),
}
KINDS = {
    "byte": 'kind = "bytes"',
    "bpe": 'kind = "bpe"\nvocabulary = 300',
    "unigram": 'kind = "unigram"\nvocabulary = 270',
}


def study_text(arms=ARMS):
    """A tiny study of these arms, and of the symbols that they need."""
    used = {of for of, _ in arms.values()}
    head, _, rest = STUDY.partition("[tokens.byte]")
    tables = [f"[tokens.{name}]\n{kind}\n" for name, kind in KINDS.items() if name in used]
    tables += [
        f'[arms.{arm}]\ntokens = "{of}"\nobjective = {asked}\nbudgets = [1e10]\n' for arm, (of, asked) in arms.items()
    ]
    return "\n".join([head, *tables, rest[rest.index("[grid]") :]])


def finish(home, arms=ARMS, steps=12):
    """The study's folder, and the folder of a finished run of each arm, its smallest, by arm."""
    study = load(write_study(home, study_text(arms)))
    folder = Folder(home / "out" / "tiny")
    corpus.run(study, folder)
    tokens.run(study, folder)
    runs = {}
    for spec in plan.resolve(study, folder).runs:
        if spec.arm not in runs:
            short = spec.model_copy(update={"steps": steps})
            assert train_run(short, folder, lambda *_: None).status == "finished"
            runs[spec.arm] = folder.run(short.id)
    return folder, runs


def windows_of(folder, run):
    """The test windows in the symbols of a run."""
    split = read_record(folder.windows_manifest, WindowsManifest, "tokens").splits["test"]
    own, place = split.tokens[spec_of(run).tokens], folder.tokens / "windows"
    return Windows(read_array(place, own.symbols), read_array(place, own.counts), split.bytes, split.sha256)
