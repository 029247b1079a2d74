"""What torchrun starts twice: some steps of one run, from a checkpoint if it is there, to another; losses as JSON."""

import json
import sys
from itertools import islice
from pathlib import Path

from bytegap.records import Plan, TokensManifest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record
from bytegap.train import checkpoint
from bytegap.train.devices import Devices, joined, part
from bytegap.train.loop import Training


def train(root: str, arm: str, steps: int, before: str, after: str, devices: Devices) -> list[float]:
    """The losses of all steps so far."""
    folder = Folder(Path(root))
    spec = next(spec for spec in read_record(folder.plan, Plan, "plan").runs if spec.arm == arm)
    manifest = read_record(folder.tokens_of(spec.tokens) / "manifest.json", TokensManifest, "tokens")
    training = Training(spec, read_array(folder.tokens_of(spec.tokens), manifest.stream), devices)
    checkpoint.resume(Path(before), training)
    list(islice(training.steps(), steps))
    checkpoint.write(Path(after), training)
    return training.ledger.losses


if __name__ == "__main__":
    root, arm, steps, before, after, sharded, rows, out = sys.argv[1:]
    here = joined(sharded=sharded == "sharded", rows_at_once=int(rows))
    losses = train(root, arm, int(steps), before, after, here)
    if here.is_first:
        Path(out).write_text(json.dumps(losses))
    part()
