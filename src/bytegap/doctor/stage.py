"""Look a study folder over, file by file, and say what to do. Reads everything in it; writes nothing.

What a kill leaves behind is no damage: the same command mends it. What is altered, at odds or in the way is named.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from bytegap.console import say, track
from bytegap.errors import StoreError
from bytegap.records import (
    ArrayFile,
    Audit,
    Controls,
    CorpusManifest,
    Fit,
    Plan,
    Probe,
    Record,
    RunRecord,
    RunRow,
    RunSpec,
    TokensManifest,
    WindowsManifest,
)
from bytegap.shards import verify
from bytegap.store import Folder, file_digest, read_record, read_table
from bytegap.tensors import read_tensors

Findings = Iterator[str]
R = TypeVar("R", bound=Record)
_WEIGHT_BYTES, _CHECKPOINT_COPIES = 4, 6  # weights and two moments, of the last checkpoint and the one before


def run(folder: Folder) -> None:
    """Say what is wrong, each with its mend; StoreError if anything is."""
    if not folder.root.is_dir():
        message = f"{folder.root} is not there: run 'bytegap quickstart' with this study first"
        raise StoreError(message)
    found: list[str] = []
    for look in track([_files, _runs, _leftovers, _disk], "looking the folder over"):
        found += look(folder)
    for line in found:
        say("doctor", line)
    if found:
        message = f"{len(found)} thing{'s' * (len(found) > 1)} to mend in {folder.root}"
        raise StoreError(message)
    say("doctor", f"all is well in {folder.root}")


def _files(folder: Folder) -> Findings:
    """Manifests and the arrays that they vouch for; the plan, the table, and what was made of them."""
    yield from _arrays(
        folder.corpus_manifest,
        CorpusManifest,
        "corpus",
        lambda manifest: [array for split in manifest.splits.values() for array in (split.text, split.ends)],
    )
    yield from _arrays(
        folder.windows_manifest,
        WindowsManifest,
        "tokens",
        lambda manifest: [
            array
            for split in manifest.splits.values()
            for array in (split.ends, *(a for own in split.tokens.values() for a in (own.symbols, own.counts)))
        ],
        folder.tokens / "windows",
    )
    for path in sorted(folder.tokens.glob("[!.]*/manifest.json")):
        yield from _arrays(path, TokensManifest, "tokens", lambda manifest: [manifest.stream, manifest.lengths])
    later: list[tuple[Path, type[Record], str]] = [
        (folder.plan, Plan, "plan"),
        (folder.audit, Audit, "runs"),
        (folder.fit, Fit, "fit"),
        (folder.controls, Controls, "controls"),
        (folder.probe, Probe, "probe"),
    ]
    for path, model, verb in later:
        if path.exists():
            yield from _complaint(read_record, path, model, verb)
    if folder.table.exists():
        yield from _complaint(read_table, folder.table, RunRow, "runs")


def _arrays(
    path: Path, model: type[R], verb: str, arrays: Callable[[R], list[ArrayFile]], home: Path | None = None
) -> Findings:
    """A manifest's complaint, or those of its arrays; none of a stage that was not made yet."""
    if not path.exists():
        return
    try:
        manifest = read_record(path, model, verb)
    except StoreError as error:
        yield str(error)
        return
    for array in arrays(manifest):
        yield from _complaint(verify, home or path.parent, array)


def _complaint(read: Callable[..., object], *what: object) -> Findings:
    try:
        read(*what)
    except StoreError as error:
        yield str(error)


def _runs(folder: Folder) -> Findings:
    """Records against the plan, weights against records, checkpoints against themselves."""
    specs = _specs(folder)
    for spec in specs:
        home = folder.run(spec.id)
        if not home.is_dir():
            continue
        if (home / "record.json").exists():
            yield from _finished(home, spec)
        elif _is_claimed(home):
            say("doctor", f"run {spec.id} is being trained now")
        else:
            for path in (home / "checkpoint.safetensors", home / "checkpoint.before"):
                if path.exists():
                    yield from (
                        f"{line}: delete it; the run goes on without" for line in _complaint(read_tensors, path)
                    )
    done = sum((folder.run(spec.id) / "record.json").exists() for spec in specs)
    if done < len(specs):
        say("doctor", f"{len(specs) - done} of {len(specs)} runs are still to be trained: 'bytegap train' continues")


def _finished(home: Path, spec: RunSpec) -> Findings:
    again = f"delete {home} and run 'bytegap train' again"
    try:
        record = read_record(home / "record.json", RunRecord, "train")
        written = read_record(home / "spec.json", RunSpec, "train")
    except StoreError as error:
        yield str(error)
        return
    weights = home / "weights.safetensors"
    if written.content != spec.content or record.run != spec.id:
        yield f"{home} holds another run than the plan's {spec.id}: {again}"
    elif record.status == "failed":
        yield f"run {spec.id} ({spec.arm}) failed: {record.reason}: {again}, or leave it out of the fit as it is"
    elif not weights.exists():
        yield f"{weights} is missing, which only 'bytegap probe' needs: {again}"
    elif file_digest(weights) != record.weights_sha256:
        yield f"{weights} is not what its record vouches for: {again}"


def _is_claimed(home: Path) -> bool:
    """Whether a living worker holds the run; a dead one's claim is free, its file means nothing."""
    if not (home / "lock").exists():
        return False
    try:
        with FileLock(home / "lock", timeout=0):
            return False
    except Timeout:
        return True


def _leftovers(folder: Folder) -> Findings:
    """What killed writers left, and runs that no plan knows; while nobody works here."""
    if any(_is_claimed(home) for home in folder.runs.glob("*") if home.is_dir()):
        return
    for path in sorted(path for path in folder.root.rglob(".*") if path.parent.name[:1] != "."):
        yield f"{path} was being written when its writer was killed: delete it"
    known = {spec.id for spec in _specs(folder)}
    for home in sorted(folder.runs.glob("[!.]*")):
        if known and home.name not in known:
            yield f"{home} belongs to no run of the plan: an earlier plan's, delete it if that is not wanted back"


def _disk(folder: Folder) -> Findings:
    """Whether what is still to be trained fits."""
    specs = [spec for spec in _specs(folder) if not (folder.run(spec.id) / "record.json").exists()]
    sizes = [
        _WEIGHT_BYTES * (spec.embedding_parameters + spec.head_parameters + spec.non_embedding_parameters)
        for spec in specs
    ]
    needed, free = sum(sizes) + _CHECKPOINT_COPIES * max(sizes, default=0), shutil.disk_usage(folder.root).free
    if needed > free:
        yield f"{needed / 1e9:.2f} GB are needed for what is to be trained, {free / 1e9:.2f} GB are free: make room"


def _specs(folder: Folder) -> list[RunSpec]:
    """Of the plan; none where there is none to read, of which `_files` speaks."""
    try:
        return read_record(folder.plan, Plan, "plan").specs
    except StoreError:
        return []
