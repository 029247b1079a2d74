"""Time of scoring held-out text on one core, as a share of the peak of a matmul: AR in one pass, MDM in several.

python bench/evaluation.py
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from bytegap.cost.flops import Convention, forward_terms
from bytegap.data.tokenizers.bytes import ByteTokenizer
from bytegap.data.vocabulary import Vocabulary
from bytegap.data.windows import Windows
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import score_windows
from bytegap.models.base import model_family
from bytegap.objectives.base import objective
from results import Row, interleaved, write

WIDTHS = (32, 128)
SEQ_LEN, WINDOWS, PASSES = 128, 400, 8
MATMUL = 1024


@dataclass(frozen=True)
class Scoring:
    """Scores the windows with one model."""

    score: Callable[[], object]
    pass_flops: float
    """FLOPs of one pass, the head at the supervised positions."""
    passes: int


def main() -> None:
    """Measure, and write bench/results/evaluation.json."""
    torch.set_num_threads(1)
    square = torch.randn(MATMUL, MATMUL)
    scorings = {
        f"byte-{name}, d_model {d_model}": scoring(name, d_model) for name in ("ar", "mdm") for d_model in WIDTHS
    }
    actions: dict[str, Callable[[], object]] = {"peak": lambda: square @ square}
    times = interleaved(actions | {name: each.score for name, each in scorings.items()}, 3)
    peak = 2.0 * MATMUL**3 / times["peak"]
    rows: list[Row] = [{"what": "matmul peak, float32", "GFLOP/s": peak / 1e9}]
    for name, each in scorings.items():
        flops_per_s = each.passes * each.pass_flops / times[name]
        rows.append(
            {
                "what": f"{name}, passes {each.passes}",
                "GFLOP/s": flops_per_s / 1e9,
                "of the peak": flops_per_s / peak,
                "KB of text/s": WINDOWS * SEQ_LEN / times[name] / 1e3,
            }
        )
    write("evaluation", "Scoring held-out text on one core", rows)


def scoring(objective_name: str, d_model: int) -> Scoring:
    """Scoring with a model of that width with initial weights."""
    part, vocabulary = objective(objective_name), Vocabulary(256)
    sizes = model_family("transformer").sizes(n_ids=vocabulary.n_ids, max_positions=SEQ_LEN + 1)
    config = next(config for config in sizes if config.d_model == d_model)
    network = config.build()
    network.initialize(0)
    tokens = np.random.default_rng(0).integers(0, 256, WINDOWS * SEQ_LEN).astype(np.uint16)
    windows = Windows(tokens, np.full(WINDOWS, SEQ_LEN, np.uint32), len(tokens), "")
    model = LanguageModel(
        name=objective_name,
        network=network,
        objective=part,
        vocabulary=vocabulary,
        tokenizer=ByteTokenizer(),
        seq_len=SEQ_LEN,
        mc_passes=PASSES,
    )
    terms = forward_terms(config.costs(), part.sequence_cost(SEQ_LEN), Convention(head="supervised"))
    passes = 1 if part.is_exact else PASSES
    return Scoring(lambda: score_windows(model, windows), WINDOWS * sum(terms.values()), passes)


if __name__ == "__main__":
    main()
