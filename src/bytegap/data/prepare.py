"""Prepare a study's corpus: its text, read from its source, split by document, written to `corpus/`.

Reads what the source reads; writes `corpus/SPLIT.bin`, `corpus/SPLIT.ends` and, last, `corpus/manifest.json`.
"""

from bytegap.console import say
from bytegap.data.corpora.base import corpus_source
from bytegap.data.dedup_split import spool, write_splits
from bytegap.errors import CorpusError
from bytegap.io.atomic import replace_dir
from bytegap.io.records import write_record
from bytegap.schema.base import FrozenDict, digest
from bytegap.schema.data import CorpusManifest
from bytegap.study.config import Study
from bytegap.study.directory import CORPUS, StudyDir


def run(study: Study, study_dir: StudyDir) -> CorpusManifest:
    """Prepare the text unless that is done; CorpusError where there is none or too little."""
    source = corpus_source(study.corpus.source.name, study.corpus.source.options)
    inputs = inputs_sha256(study)
    manifest = study_dir.load_if_current(CORPUS, inputs)
    if manifest is not None:
        say("corpus", f"{_summary(manifest)} (up to date)")
        return manifest
    name = study.corpus.source.name
    with replace_dir(study_dir.corpus_dir) as building:
        spooled = spool(source.documents(), building / "spool")
        if not len(spooled.digests):
            raise CorpusError(f"corpus '{name}' gave no text: name a source that has some in [corpus]")
        splits = write_splits(spooled, building, validation=study.corpus.validation, test=study.corpus.test)
        spooled.path.unlink()
        kept = sum(part.documents for part in splits.values())
        manifest = CorpusManifest(
            inputs_sha256=inputs,
            source=name,
            documents_read=spooled.documents_read,
            duplicates_dropped=len(spooled.digests) - kept,
            empty_dropped=spooled.empty,
            splits=FrozenDict(splits),
        )
        write_record(building / CORPUS.file_name, manifest)
    say("corpus", _summary(manifest))
    return manifest


def inputs_sha256(study: Study) -> str:
    """Hash of all that decides the corpus: its table in the study and its source's fingerprint.

    CorpusError where the source has no text.
    """
    source = corpus_source(study.corpus.source.name, study.corpus.source.options)
    return digest({"corpus": study.corpus.model_dump(mode="json"), "fingerprint": source.fingerprint()})


def _summary(manifest: CorpusManifest) -> str:
    kept = sum(part.documents for part in manifest.splits.values())
    sizes = ", ".join(f"{name} {part.bytes:,} bytes" for name, part in manifest.splits.items())
    dropped = f"{manifest.duplicates_dropped:,} duplicates dropped"
    return f"{manifest.source}: {kept:,} documents, {sizes}; {dropped}"
