"""Reads tokens/; writes controls.json: every (symbols, order) of a study beside the text as it was written."""

import numpy as np

from bytegap import plugins
from bytegap.console import say, track
from bytegap.controls import statistics
from bytegap.records import Control, Controls, TokensManifest, WindowsManifest, digest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record, standing, write_record
from bytegap.study import Plugin, Study
from bytegap.symbols import reopen
from bytegap.windows import Symbols

SAMPLE_BYTES = 4_000_000
"""Of the training text, from its start: the plug-in's bias, some 1e-3 bits, is then known to 1e-4."""
LONGEST = 1024
LOCAL = 4
"""Distances up to this are local."""


def run(study: Study, folder: Folder) -> Controls:
    """The controls of every order that an arm has, made anew only where tokens or orders changed."""
    asked = sorted({(arm.tokens, plugins.label(arm.order.name, arm.order.options)) for arm in study.arms.values()})
    orders = {plugins.label(arm.order.name, arm.order.options): arm.order for arm in study.arms.values()}
    rows = read_record(folder.windows_manifest, WindowsManifest, "tokens").row_symbols
    manifests = {
        name: read_record(folder.tokens_of(name) / "manifest.json", TokensManifest, "tokens")
        for name in {tokens for tokens, _ in asked}
    }
    contents = {name: [manifest.content, rows[name]] for name, manifest in manifests.items()}
    inputs = digest({"asked": asked, "tokens": contents, "sample": SAMPLE_BYTES})
    if found := standing(folder.controls, Controls, inputs):
        say("controls", "up to date")
        return found
    controls: list[Control] = []
    for name in sorted(manifests):
        symbols_RS, of_symbol = _sample(folder, manifests[name], rows[name])
        plain = _Text.of(symbols_RS, of_symbol)
        for tokens, order in track(asked, f"controls of {name}"):
            if tokens == name:
                controls.append(_control(name, orders[order], symbols_RS, of_symbol, plain))
    made = Controls(inputs=inputs, controls=controls)
    write_record(folder.controls, made)
    say("controls", f"{len(controls)} orders of text, on {controls[0].bytes:,} bytes")
    return made


def _sample(folder: Folder, manifest: TokensManifest, row: int) -> tuple[Symbols, list[bytes]]:
    """Whole rows of training symbols, and each one's bytes, none for EOS."""
    of_symbol = reopen(folder, manifest).symbol_bytes
    stream = read_array(folder.tokens_of(manifest.name), manifest.stream)
    rows = min(len(stream), int(SAMPLE_BYTES / manifest.bytes_per_symbol)) // row
    return stream[: rows * row].reshape(rows, row).astype(np.int64), [*of_symbol, b""]


class _Text:
    """A sample as bytes, and what is counted of it."""

    def __init__(self, text: bytes) -> None:
        self.bytes = np.frombuffer(text, np.uint8)
        self.at = statistics.distances(min(LONGEST, len(self.bytes) - 1))
        self.pairs = {d: statistics.pairs(self.bytes, d) for d in self.at}
        self.information = statistics.mutual_information(self.bytes, self.at)

    @classmethod
    def of(cls, symbols_RS: Symbols, of_symbol: list[bytes]) -> "_Text":
        return cls(b"".join(map(of_symbol.__getitem__, symbols_RS.ravel().tolist())))


def _control(tokens: str, order: Plugin, symbols_RS: Symbols, of_symbol: list[bytes], plain: _Text) -> Control:
    module = plugins.load("orders", order.name)
    options = plugins.options("orders", order.name, order.options)
    text = _Text.of(module.permute(symbols_RS, np.arange(len(symbols_RS)), options), of_symbol)
    local = sum(bits for d, bits in zip(text.at, text.information, strict=True) if d <= LOCAL)
    local_before = sum(bits for d, bits in zip(plain.at, plain.information, strict=True) if d <= LOCAL)
    return Control(
        tokens=tokens,
        order=plugins.label(order.name, order.options),
        bytes=len(text.bytes),
        bytes_per_symbol=len(text.bytes) / symbols_RS.size,
        same_histogram=bool((statistics.histogram(text.bytes) == statistics.histogram(plain.bytes)).all()),
        distances=text.at,
        information_bits=text.information,
        pairs_kept=[statistics.overlap(text.pairs[d], plain.pairs[d]) for d in text.at],
        local_bits=local,
        local_kept=local / local_before,
        added_bits_per_symbol=module.added_bits(options) if hasattr(module, "added_bits") else 0.0,
    )
