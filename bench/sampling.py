"""Drawing text on one core: an autoregressive run here and through `transformers`; a masked one, step by step.

python bench/sampling.py AR_RUN MDM_RUN      (folders of finished runs, out/STUDY/runs/ID)
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Literal, cast

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from bytegap.evaluate.score import score
from bytegap.export import stage as export
from bytegap.likelihood import stream
from bytegap.models import transformer
from bytegap.samplers._base import Settings, way_of
from bytegap.trained import Trained, open_run
from results import Row, interleaved, write

ROUNDS = 9
WIDTHS = (64, 128, 256, 512)
TEXTS = 24
PLAIN = Settings()
HOW = ("first-hitting", "ancestral", "confidence")


def main() -> None:
    """Measure, and write bench/results/sampling.json and steps.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ar", type=Path)
    parser.add_argument("masked", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    left, masked = open_run(chosen.ar), open_run(chosen.masked)
    write("sampling", "Drawing text on one core", against_transformers(chosen.ar, left))
    write("steps", f"Drawing text with {masked.name} in fewer steps, on one core", step_by_step(masked, left))


def against_transformers(home: Path, trained: Trained) -> list[Row]:
    """The same network, precision and number of symbols, both with a KV cache: the run, then larger ones untrained."""
    with tempfile.TemporaryDirectory() as folder:
        export.run(home, Path(folder) / "model")
        exported = AutoModelForCausalLM.from_pretrained(Path(folder) / "model", dtype=torch.float32)
    pairs = [(trained, exported), *(untrained(trained, width) for width in WIDTHS)]
    return [row for ours, theirs in pairs for row in _side_by_side(ours, theirs)]


def untrained(like: Trained, width: int) -> tuple[Trained, LlamaForCausalLM]:
    """A model of that width which finds all symbols equally likely, as ours and as theirs."""
    S, ids = like.row_symbols, like.vocabulary.ids
    shape = next(shape for shape in transformer.ladder(vocabulary=ids, positions=S + 1) if shape.width == width)
    network = transformer.build(shape)
    network.initialise(0)
    network.lm_head.weight.data.zero_()
    config = LlamaConfig(
        vocab_size=ids,
        hidden_size=width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        max_position_embeddings=S + 1,
        rope_theta=shape.rotary_base,
        bos_token_id=like.vocabulary.bos,
        eos_token_id=like.vocabulary.eos,
    )
    theirs = LlamaForCausalLM(config).eval()
    theirs.load_state_dict(transformer.as_llama(network.state_dict()))
    return replace(like, name=f"untrained, width {width}", network=network.eval()), theirs


def _side_by_side(trained: Trained, theirs: LlamaForCausalLM) -> list[Row]:
    symbols = trained.row_symbols
    bos = torch.tensor([[trained.vocabulary.bos]])
    seed = next(seed for seed in range(1000) if len(_symbols(trained, seed, PLAIN)) == symbols)  # none that ends early
    times = interleaved(
        {
            "bytegap sample": lambda: _symbols(trained, seed, PLAIN),
            "transformers generate": lambda: theirs.generate(
                bos, attention_mask=torch.ones_like(bos), max_new_tokens=symbols, min_new_tokens=symbols, do_sample=True
            ),
        },
        ROUNDS,
    )
    parameters = sum(weight.numel() for weight in trained.network.parameters())
    return [
        {
            "what": f"{trained.name}: {name}",
            "parameters": parameters,
            "symbols/s": symbols / seconds,
            "times theirs": times["transformers generate"] / seconds,
        }
        for name, seconds in times.items()
    ]


def step_by_step(masked: Trained, judge: Trained) -> list[Row]:
    """Rows drawn in few steps or many: how fast, and how many bits per byte another run gives what is drawn."""
    rows: list[Row] = []
    steps = [masked.row_symbols // share for share in (1, 2, 4, 8, 16) if masked.row_symbols >= share]
    for how in HOW:
        for number in steps:
            settings = Settings(steps=number, how=cast("Literal['first-hitting', 'ancestral', 'confidence']", how))
            seconds: list[float] = []
            texts: list[bytes] = []
            for seed in range(TEXTS):
                started = time.perf_counter()
                texts.append(_drawn(masked, settings, seed))
                seconds.append(time.perf_counter() - started)
            bits = [score(judge, text, 1).bits_per_byte * len(text) for text in texts]
            row: Row = {
                "what": how,
                "steps": number,
                "bytes/s": sum(map(len, texts)) / TEXTS / median(seconds),
                f"bits a byte under {judge.name}": sum(bits) / sum(map(len, texts)),
            }
            rows.append(row)
    return rows


def _drawn(trained: Trained, settings: Settings, seed: int) -> bytes:
    """A row of text."""
    of_symbol = [*trained.tokenizer.symbol_bytes, b"", b"", b""]
    return b"".join(of_symbol[symbol] for symbol in _symbols(trained, seed, settings))


@torch.no_grad()
def _symbols(trained: Trained, seed: int, settings: Settings) -> list[int]:
    """What was drawn of a row."""
    canvas_S = torch.full((trained.row_symbols,), trained.vocabulary.mask)
    for _ in way_of(trained).draw(trained, canvas_S, settings, stream(seed)):
        pass
    return canvas_S[canvas_S != trained.vocabulary.mask].tolist()


if __name__ == "__main__":
    main()
