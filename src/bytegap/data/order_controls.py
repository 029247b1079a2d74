"""What each permutation of a study does to the bytes of its text, compared with the text itself.

Reads tokens/; writes order-controls.json: one line per tokenizer and permutation.
R sequences of S tokens.
"""

import numpy as np

from bytegap.console import say, track
from bytegap.data import mutual_information as statistics
from bytegap.data.permutations.base import permutation
from bytegap.data.tokenizers.base import load_prepared
from bytegap.data.train_sequences import Tokens
from bytegap.io.arrays import read_array
from bytegap.schema.base import digest, label
from bytegap.schema.data import OrderControl, OrderControls, TokenizerManifest
from bytegap.study.config import Plugin, Study
from bytegap.study.directory import ORDER_CONTROLS, StudyDir

SAMPLE_BYTES = 4_000_000
"""Bytes of training text, from its start: the bias of plug-in estimates, about 1e-3 bits, is then known to 1e-4."""
LONGEST = 1024
"""Largest distance between bytes."""
LOCAL = 4
"""Distances up to this one are local."""
_UNPERMUTED = "identity"


def run(study: Study, study_dir: StudyDir) -> OrderControls:
    """The controls of every permutation that an arm has, unless they are current."""
    pairs = sorted({(arm.tokenizer, _label(arm.permutation)) for arm in study.arms.values()})
    permutations = {_label(arm.permutation): arm.permutation for arm in study.arms.values()}
    seq_len = study_dir.windows().seq_len
    manifests = {name: study_dir.tokenizer(name) for name in {tokenizer for tokenizer, _ in pairs}}
    contents = {name: [manifest.content_sha256, seq_len[name]] for name, manifest in manifests.items()}
    inputs = digest({"pairs": pairs, "tokens": contents, "sample": SAMPLE_BYTES})
    if current := study_dir.load_if_current(ORDER_CONTROLS, inputs):
        say("order-controls", "up to date")
        _say_findings(current)
        return current
    controls: list[OrderControl] = []
    for name in sorted(manifests):
        sample = _Sample(study_dir, manifests[name], seq_len[name])
        plain = _Text.of(sample, sample.tokens_RS)
        for tokenizer, key in track(pairs, f"permutations of {name}"):
            if tokenizer == name:
                controls.append(_control(permutations[key], sample, plain))
    made = OrderControls(inputs_sha256=inputs, controls=tuple(controls))
    study_dir.write(ORDER_CONTROLS, made)
    say("order-controls", f"{len(controls)} permutations, on {controls[0].bytes:,} bytes of text")
    _say_findings(made)
    return made


def _say_findings(found: OrderControls) -> None:
    """How much of the local information each permutation keeps."""
    kept = [
        f"{each.local_kept:.0%} under {each.permutation} of {each.tokenizer} tokens"
        for each in found.controls
        if each.permutation != _UNPERMUTED
    ]
    listed = ", ".join(kept) or "nothing is permuted"
    say(
        "order-controls",
        f"information between bytes at most {LOCAL} apart that is kept: {listed}; see 'bytegap report'",
    )


def _label(plugin: Plugin) -> str:
    return label(plugin.name, plugin.options)


class _Sample:
    """Training sequences of one tokenizer."""

    def __init__(self, study_dir: StudyDir, manifest: TokenizerManifest, seq_len: int) -> None:
        folder = study_dir.tokenizer_dir(manifest.name)
        stream = read_array(folder, manifest.stream)
        n_sequences = min(len(stream), int(SAMPLE_BYTES / manifest.bytes_per_token)) // seq_len
        self.tokenizer = manifest.name
        self.tokens_RS: Tokens = stream[: n_sequences * seq_len].reshape(n_sequences, seq_len).astype(np.int64)
        self.token_bytes = [*load_prepared(manifest, folder).token_bytes, b""]
        """The bytes of each token; none for EOS, which is last."""


class _Text:
    """A sample as bytes, and its statistics."""

    def __init__(self, text: bytes) -> None:
        self.bytes = np.frombuffer(text, np.uint8)
        self.distances = statistics.distances(min(LONGEST, len(self.bytes) - 1))
        self.pairs = {d: statistics.pairs(self.bytes, d) for d in self.distances}
        self.information = statistics.mutual_information(self.bytes, self.distances)

    @classmethod
    def of(cls, sample: _Sample, tokens_RS: Tokens) -> "_Text":
        return cls(b"".join(map(sample.token_bytes.__getitem__, tokens_RS.ravel().tolist())))

    def local_bits(self) -> float:
        """Sum of I(d) over local distances."""
        return sum(bits for d, bits in zip(self.distances, self.information, strict=True) if d <= LOCAL)


def _control(plugin: Plugin, sample: _Sample, plain: _Text) -> OrderControl:
    part = permutation(plugin.name, plugin.options)
    text = _Text.of(sample, part.permute(sample.tokens_RS, np.arange(len(sample.tokens_RS))))
    local = text.local_bits()
    return OrderControl(
        tokenizer=sample.tokenizer,
        permutation=_label(plugin),
        bytes=len(text.bytes),
        bytes_per_token=len(text.bytes) / sample.tokens_RS.size,
        same_histogram=bool((statistics.histogram(text.bytes) == statistics.histogram(plain.bytes)).all()),
        distances=tuple(text.distances),
        information_bits=tuple(text.information),
        pairs_kept=tuple(statistics.overlap(text.pairs[d], plain.pairs[d]) for d in text.distances),
        local_bits=local,
        local_kept=local / plain.local_bits(),
        added_bits_per_token=part.added_bits(),
    )
