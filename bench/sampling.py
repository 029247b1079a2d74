"""Speed of generation on one core: an autoregressive run here and in `transformers`; a masked run by its steps.

python bench/sampling.py AR_RUN MDM_RUN      (folders of finished runs, out/STUDY/runs/ID)
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import get_args

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from bytegap.evaluate.score import score_text
from bytegap.export import stage as export
from bytegap.lm.language_model import LanguageModel, load_run
from bytegap.lm.likelihood import rng_for
from bytegap.models.transformer import TransformerFamily, as_llama
from bytegap.sampling.base import Remasking, SamplingSettings
from bytegap.study.directory import RunDir
from results import Row, interleaved, write

ROUNDS = 9
WIDTHS = (64, 128, 256, 512)
TEXTS = 24
PLAIN = SamplingSettings()


def main() -> None:
    """Measure, and write bench/results/sampling.json and steps.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ar", type=Path)
    parser.add_argument("masked", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    autoregressive, masked = load_run(RunDir(arguments.ar)), load_run(RunDir(arguments.masked))
    write("sampling", "Generating text on one core", against_transformers(arguments.ar, autoregressive))
    rows = by_steps(masked, autoregressive)
    write("steps", f"Generating text with {masked.name} in fewer steps, on one core", rows)


def against_transformers(run_dir: Path, model: LanguageModel) -> list[Row]:
    """The same network, precision and number of tokens, both with a KV cache: the run, then larger ones untrained."""
    with tempfile.TemporaryDirectory() as folder:
        export.run(run_dir, Path(folder) / "model")
        exported = AutoModelForCausalLM.from_pretrained(Path(folder) / "model", dtype=torch.float32)
    pairs = [(model, exported), *(untrained(model, d_model) for d_model in WIDTHS)]
    return [row for ours, theirs in pairs for row in _side_by_side(ours, theirs)]


def untrained(like: LanguageModel, d_model: int) -> tuple[LanguageModel, LlamaForCausalLM]:
    """A model of that d_model with uniform predictions, as ours and as theirs."""
    S, n_ids = like.seq_len, like.vocabulary.n_ids
    sizes = TransformerFamily().sizes(n_ids=n_ids, max_positions=S + 1)
    ours = next(config for config in sizes if config.d_model == d_model)
    network = ours.build()
    network.initialize(0)
    network.lm_head.weight.data.zero_()
    config = LlamaConfig(
        vocab_size=n_ids,
        hidden_size=d_model,
        intermediate_size=ours.d_ff,
        num_hidden_layers=ours.n_layers,
        num_attention_heads=ours.n_heads,
        max_position_embeddings=S + 1,
        rope_parameters={"rope_theta": ours.rope_base, "rope_type": "default"},
        bos_token_id=like.vocabulary.bos,
        eos_token_id=like.vocabulary.eos,
    )
    theirs = LlamaForCausalLM(config).eval()
    theirs.load_state_dict(as_llama(network.state_dict()))
    return replace(like, name=f"untrained, d_model {d_model}", network=network.eval()), theirs


def _side_by_side(model: LanguageModel, theirs: LlamaForCausalLM) -> list[Row]:
    tokens = model.seq_len
    bos = torch.tensor([[model.vocabulary.bos]])
    seed = next(seed for seed in range(1000) if len(_generated(model, seed, PLAIN)) == tokens)
    times = interleaved(
        {
            "bytegap generate": lambda: _generated(model, seed, PLAIN),
            "transformers generate": lambda: theirs.generate(  # pyright: ignore[reportAttributeAccessIssue]
                bos, attention_mask=torch.ones_like(bos), max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True
            ),
        },
        ROUNDS,
    )
    parameters = sum(weight.numel() for weight in model.network.parameters())
    return [
        {
            "what": f"{model.name}: {name}",
            "parameters": parameters,
            "tokens/s": tokens / seconds,
            "times theirs": times["transformers generate"] / seconds,
        }
        for name, seconds in times.items()
    ]


def by_steps(masked: LanguageModel, judge: LanguageModel) -> list[Row]:
    """Sequences generated in few or many steps: speed, and the bits per byte of the text under another run."""
    rows: list[Row] = []
    steps = [masked.seq_len // share for share in (1, 2, 4, 8, 16) if masked.seq_len >= share]
    for remasking in get_args(Remasking):
        for number in steps:
            settings = SamplingSettings(steps=number, remasking=remasking)
            seconds: list[float] = []
            texts: list[bytes] = []
            for seed in range(TEXTS):
                started = time.perf_counter()
                texts.append(masked.decode(torch.tensor(_generated(masked, seed, settings))))
                seconds.append(time.perf_counter() - started)
            bits = [score_text(judge, text).bits_per_byte * len(text) for text in texts]
            row: Row = {
                "what": remasking,
                "steps": number,
                "bytes/s": sum(map(len, texts)) / TEXTS / median(seconds),
                f"bits per byte under {judge.name}": sum(bits) / sum(map(len, texts)),
            }
            rows.append(row)
    return rows


@torch.no_grad()
def _generated(model: LanguageModel, seed: int, settings: SamplingSettings) -> list[int]:
    """The tokens of one generated sequence."""
    sequence_S = torch.full((model.seq_len,), model.vocabulary.mask)
    for _ in model.objective.sampler().generate(model, sequence_S, settings, rng_for(seed)):
        pass
    return sequence_S[sequence_S != model.vocabulary.mask].tolist()


if __name__ == "__main__":
    main()
