"""The verbs `compress` and `decompress`. Read a run's folder and a file; write the file that is named.

The compressed size is what `evaluate` reports of the same file and run, plus a header; a file that would grow is stored
unchanged.
Decoding needs probabilities equal to the bit, which depend on processor and library: a file is decompressed where it
was compressed, or on a machine like it. Others are detected by the model's fingerprint and refused.
"""

import hashlib
import time
from pathlib import Path

import numpy as np
import torch

from bytegap.codec import coder
from bytegap.codec.container import CODED, STORED, Header, unpack
from bytegap.console import say
from bytegap.errors import CodecError
from bytegap.io.atomic import check_output, write_bytes
from bytegap.lm.language_model import LanguageModel, load_run
from bytegap.study.directory import RunDir

_THREADS = 1  # sums over several threads depend on how many there are


def compress(file: Path, out: Path, run_dir: Path) -> None:
    """Write `file`, compressed with the run in `run_dir`, to `out`; an interrupted write leaves no file.

    CodecError where the file cannot be read, the run is not autoregressive, or does not read from left to right.
    """
    check_output(out, file, run_dir)
    text = _read(file)
    torch.set_num_threads(_THREADS)
    model = _load_autoregressive(run_dir)
    started = time.perf_counter()
    tokens = model.tokenizer.encode_batch([text])[0].astype(np.int64)
    code = coder.encode(model, tokens).astype("<u4").tobytes()
    seconds = time.perf_counter() - started
    content = CODED if len(code) < len(text) else STORED
    fingerprint = coder.fingerprint(model) if content == CODED else bytes(4)
    header = Header(content, RunDir(run_dir).spec().id, fingerprint, len(text), len(tokens), _sha256(text))
    data = header.packed() + (code if content == CODED else text)
    write_bytes(out, data)
    bpb = f", {8 * len(data) / len(text):.4f} bits per byte" if text else ""
    stored = "" if content == CODED else " (stored unchanged: its code would be longer)"
    say("codec", f"{len(text):,} bytes to {len(data):,}{bpb}, {len(text) / seconds:,.0f} bytes a second: {out}{stored}")


def decompress(file: Path, out: Path, run_dir: Path) -> None:
    """Write the text of a compressed file to `out`; an interrupted write leaves no file.

    CodecError where the file is damaged, or was compressed with another run or on a machine with other arithmetic.
    """
    check_output(out, file, run_dir)
    header, content = unpack(file, _read(file))
    spec = RunDir(run_dir).spec()
    if header.run != spec.id:
        raise CodecError(f"{file} was compressed with the run {header.run}, not {spec.id}: name that run's folder")
    started = time.perf_counter()
    text = content if header.content == STORED else _decoded(file, header, content, run_dir)
    if len(text) != header.length_bytes or _sha256(text) != header.sha256:
        raise CodecError(f"{file} is damaged: the decompressed text has another checksum than the original")
    write_bytes(out, text)
    seconds = time.perf_counter() - started
    say("codec", f"{len(text):,} bytes restored, {len(text) / seconds:,.0f} bytes a second: {out}")


def _decoded(file: Path, header: Header, code: bytes, run_dir: Path) -> bytes:
    torch.set_num_threads(_THREADS)
    model = _load_autoregressive(run_dir)
    if coder.fingerprint(model) != header.fingerprint:
        raise CodecError(
            f"{file} was compressed on a machine with different floating-point results (another processor, or another "
            "version of torch): decompress it there"
        )
    damaged = f"{file} is damaged: its code is not as long as its header says"
    if len(code) % 4 or header.tokens > coder.max_tokens(model, len(code)):
        raise CodecError(damaged)
    try:
        tokens = coder.decode(model, np.frombuffer(code, "<u4").astype(np.uint32), header.tokens)
    except CodecError:
        raise CodecError(damaged) from None
    return model.decode(torch.from_numpy(tokens))


def _load_autoregressive(run_dir: Path) -> LanguageModel:
    """The run; CodecError unless its likelihood is exact and it reads from left to right, as the coder does."""
    model = load_run(RunDir(run_dir))
    if not model.objective.is_exact:
        raise CodecError(
            f"{run_dir} is {model.name}, which has no exact probabilities: compress with an autoregressive run"
        )
    if not model.objective.reads_left_to_right:
        raise CodecError(
            f"{run_dir} is {model.name}, which does not read plain sequences from left to right, as the coder does: "
            "compress with an autoregressive run"
        )
    return model


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CodecError(f"{file}: {error.strerror}: name a file to read") from None


def _sha256(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:8]
