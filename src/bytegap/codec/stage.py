"""Compress a file with an autoregressive run, and get it back. Reads the run's folder; writes the file that is named.

The size is what `evaluate` says of the same file with the same run, and a header; a file that would grow is held as it
is. The code is read back by the same arithmetic or not at all: it depends on processor and library, so that a file is
decompressed where it was compressed, or on a machine like it; another is told so before it tries.
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
from bytegap.store import write_bytes
from bytegap.trained import Trained, open_run, spec_of

_THREADS = 1  # the sums of several depend on how many there are


def compress(file: Path, out: Path, home: Path) -> None:
    """Write `file` compressed by the run in `home` to `out`, whole or not at all."""
    text = _bytes(file)
    torch.set_num_threads(_THREADS)
    trained = _autoregressive(home)
    started = time.perf_counter()
    symbols = trained.tokenizer.encode_batch([text])[0].astype(np.int64)
    code = coder.encode(trained, symbols).astype("<u4").tobytes()
    took_s = time.perf_counter() - started
    held = CODED if len(code) < len(text) else STORED
    answers = coder.answers(trained) if held == CODED else bytes(4)
    header = Header(held, spec_of(home).id, answers, len(text), len(symbols), _sha256(text))
    data = header.packed() + (code if held == CODED else text)
    write_bytes(out, data)
    bpb = f", {8 * len(data) / len(text):.4f} bits a byte" if text else ""
    stored = "" if held == CODED else " (held as it is: the model would have made it longer)"
    say("codec", f"{len(text):,} bytes to {len(data):,}{bpb}, {len(text) / took_s:,.0f} bytes a second: {out}{stored}")


def decompress(file: Path, out: Path, home: Path) -> None:
    """Write what was compressed as `file` to `out`, whole or not at all; CodecError if it is not the same any more."""
    header, code = unpack(file, _bytes(file))
    spec = spec_of(home)
    if header.run != spec.id:
        message = f"{file} was compressed by the run {header.run}, not {spec.id}: name that run's folder"
        raise CodecError(message)
    started = time.perf_counter()
    text = code if header.held == STORED else _decoded(file, header, code, home)
    if len(text) != header.length_bytes or _sha256(text) != header.sha256:
        message = f"{file} is damaged: what it gives back is not what was compressed"
        raise CodecError(message)
    write_bytes(out, text)
    took_s = time.perf_counter() - started
    say("codec", f"{len(text):,} bytes back, {len(text) / took_s:,.0f} bytes a second: {out}")


def _decoded(file: Path, header: Header, code: bytes, home: Path) -> bytes:
    torch.set_num_threads(_THREADS)
    trained = _autoregressive(home)
    if coder.answers(trained) != header.answers:
        message = (
            f"{file} was compressed where the run's arithmetic comes out otherwise (another processor, or another "
            "version of torch): decompress it there"
        )
        raise CodecError(message)
    damaged = f"{file} is damaged: its code does not end where it should"
    if len(code) % 4 or header.symbols > coder.most_symbols(trained, len(code)):
        raise CodecError(damaged)
    try:
        symbols = coder.decode(trained, np.frombuffer(code, "<u4").astype(np.uint32), header.symbols)
    except CodecError:
        raise CodecError(damaged) from None
    of_symbol = [*trained.tokenizer.symbol_bytes, b"", b"", b""]
    return b"".join(map(of_symbol.__getitem__, symbols.tolist()))


def _autoregressive(home: Path) -> Trained:
    """The run; CodecError unless it gives each symbol's probability given those before it."""
    trained = open_run(home)
    if not trained.objective.EXACT:
        message = f"{home} is {trained.name}: only an autoregressive run gives the exact probabilities a code needs"
        raise CodecError(message)
    return trained


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        message = f"{file}: {error.strerror}: name a file to read"
        raise CodecError(message) from None


def _sha256(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:8]
