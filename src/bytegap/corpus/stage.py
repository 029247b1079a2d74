"""The corpus stage: a study's text, read from its source, split by document, written to `corpus/`.

Reads what the source plug-in reads. Writes `corpus/SPLIT.bin`, `corpus/SPLIT.ends` and, last, `corpus/manifest.json`.
"""

from bytegap import plugins
from bytegap.console import say
from bytegap.corpus import split
from bytegap.errors import CorpusError
from bytegap.records import CorpusManifest, digest
from bytegap.store import Folder, new_folder, standing, write_record
from bytegap.study import Study


def inputs(study: Study) -> str:
    """Hash of all that decides the corpus: its table in the study and its source's fingerprint."""
    source = study.corpus.source
    options = plugins.options("corpus", source.name, source.options)
    fingerprint: str = plugins.load("corpus", source.name).fingerprint(options)
    return digest({"corpus": study.corpus.model_dump(mode="json"), "fingerprint": fingerprint})


def run(study: Study, folder: Folder) -> CorpusManifest:
    """Prepare the text, or find it standing; CorpusError where there is none or too little."""
    made_from = inputs(study)
    manifest = standing(folder.corpus_manifest, CorpusManifest, made_from)
    if manifest is not None:
        say("corpus", f"{_summary(manifest)} (up to date)")
        return manifest
    source = study.corpus.source
    options = plugins.options("corpus", source.name, source.options)
    with new_folder(folder.corpus) as building:
        documents = plugins.load("corpus", source.name).documents(options)
        spooled = split.spool(documents, building / "spool")
        if not len(spooled.digests):
            message = f"corpus '{source.name}' gave no text: name a source that has some in [corpus]"
            raise CorpusError(message)
        splits = split.write_splits(spooled, building, validation=study.corpus.validation, test=study.corpus.test)
        spooled.path.unlink()
        kept = sum(part.documents for part in splits.values())
        manifest = CorpusManifest(
            inputs=made_from,
            source=source.name,
            documents_read=spooled.documents_read,
            duplicates_dropped=len(spooled.digests) - kept,
            empty_dropped=spooled.empty,
            splits=splits,
        )
        write_record(building / folder.corpus_manifest.name, manifest)
    say("corpus", _summary(manifest))
    return manifest


def _summary(manifest: CorpusManifest) -> str:
    kept = sum(part.documents for part in manifest.splits.values())
    sizes = ", ".join(f"{name} {part.bytes:,} bytes" for name, part in manifest.splits.items())
    dropped = f"{manifest.duplicates_dropped:,} duplicates dropped"
    return f"{manifest.source}: {kept:,} documents, {sizes}; {dropped}"
