"""Scoring held-out text on one core, as a share of what a matmul reaches: AR's one pass, MDM's several.

python bench/evaluation.py
"""

from collections.abc import Callable

import numpy as np
import torch

from bytegap import plugins
from bytegap.accounting.flops import Convention, forward_terms
from bytegap.likelihood import score_windows
from bytegap.models import transformer
from bytegap.objectives._base import Vocabulary
from bytegap.windows import Windows
from results import Row, interleaved, write

WIDTHS = (32, 128)
SYMBOLS, WINDOWS, PASSES = 128, 400, 8
MATMUL = 1024


def main() -> None:
    """Measure, and write bench/results/evaluation.json."""
    torch.set_num_threads(1)
    square = torch.randn(MATMUL, MATMUL)
    actions: dict[str, Callable[[], object]] = {"peak": lambda: square @ square}
    flops = {"peak": 2.0 * MATMUL**3}  # of one pass
    passes: dict[str, int] = {}
    for objective in ("ar", "mdm"):
        for width in WIDTHS:
            name = f"byte-{objective}, width {width}"
            actions[name], flops[name], passes[name] = scorer(objective, width)
    times = interleaved(actions, 3)
    peak = flops.pop("peak") / times.pop("peak")
    rows: list[Row] = [{"what": "matmul peak, float32", "GFLOP/s": peak / 1e9}]
    for name, seconds in times.items():
        rows.append(
            {
                "what": f"{name}, passes {passes[name]}",
                "GFLOP/s": passes[name] * flops[name] / seconds / 1e9,
                "of the peak": passes[name] * flops[name] / seconds / peak,
                "KB of text/s": WINDOWS * SYMBOLS / seconds / 1e3,
            }
        )
    write("evaluation", "Scoring held-out text on one core", rows)


def scorer(objective: str, width: int) -> tuple[Callable[[], object], float, int]:
    """What scores the windows, the FLOPs of one pass, its head where it is asked, and how many passes it takes."""
    module = plugins.load("objectives", objective)
    vocabulary = Vocabulary(256)
    shapes = transformer.ladder(vocabulary=vocabulary.ids, positions=SYMBOLS + 1)
    shape = next(shape for shape in shapes if shape.width == width)
    model = transformer.build(shape)
    model.initialise(0)
    symbols = np.random.default_rng(0).integers(0, 256, WINDOWS * SYMBOLS).astype(np.uint16)
    windows = Windows(symbols, np.full(WINDOWS, SYMBOLS, np.uint32), len(symbols), "")
    options = module.Options()

    def score() -> object:
        return score_windows(
            model, module, options, windows, vocabulary, passes=PASSES, seed=0, permute=lambda symbols_BS, _: symbols_BS
        )

    asked = module.row(SYMBOLS, options)
    row = sum(forward_terms(transformer.costs(shape), asked, Convention(head="supervised")).values())
    return score, WINDOWS * row, 1 if module.EXACT else PASSES


if __name__ == "__main__":
    main()
