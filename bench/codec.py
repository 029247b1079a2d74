"""Size and speed of `bytegap compress` on one core, on files and on random bytes.

python bench/codec.py AR_RUN FILE...      (the folder of a finished run, out/STUDY/runs/ID)
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np

from bytegap.codec import stage as codec
from bytegap.evaluate.score import score_text
from bytegap.lm.language_model import load_run
from bytegap.study.directory import RunDir
from results import Row, write

NOISE_BYTES = 50_000


def main() -> None:
    """Measure, and write bench/results/codec.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    texts = {file.name: file.read_bytes() for file in arguments.files}
    texts["random bytes"] = np.random.default_rng(0).bytes(NOISE_BYTES)
    model = load_run(RunDir(arguments.run))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        given, packed, back = (Path(folder) / name for name in ("given", "packed", "back"))
        for name, text in texts.items():
            given.write_bytes(text)
            times = [time.perf_counter()]
            codec.compress(given, packed, arguments.run)
            times.append(time.perf_counter())
            codec.decompress(packed, back, arguments.run)
            times.append(time.perf_counter())
            assert back.read_bytes() == text
            evaluated = score_text(model, text).nats / math.log(2) / 8
            size = packed.stat().st_size
            rows.append(
                {
                    "what": name,
                    "bytes": len(text),
                    "as evaluated": round(evaluated),
                    "compressed": size,
                    "over, %": 100 * (size / min(evaluated, len(text)) - 1),
                    "compressing, KB/s": len(text) / (times[1] - times[0]) / 1e3,
                    "decompressing, KB/s": len(text) / (times[2] - times[1]) / 1e3,
                }
            )
    write("codec", f"Compressing with {model.name} on one core", rows)


if __name__ == "__main__":
    main()
