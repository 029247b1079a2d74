"""FLOP/s of a training step of every rung of the ladder and every arm, as a share of this machine's matmul peak.

    python bench/train.py [--nanogpt FOLDER] [--widths 8 16 32 64 128 256] [--rounds 5] [--no-compile]

One thread, since runs go side by side, one a core; all that is compared takes turns, the matmul that sets the peak too.
FLOPs are those that must be multiplied: attended pairs, head at the supervised positions. At width 256 nanoGPT's own
model and optimiser, from a folder that you give, take the same steps in float32 and bfloat16, as they ship (compiled)
and not, and so does Hugging Face's Llama, by itself and under its Trainer, which keeps its own loop and is timed after
the others. Last, whether FLOP/s hold as the work grows: 4 times the context, 4 times the width.
"""

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import product, takewhile
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bytegap import plugins
from bytegap.accounting.flops import Convention, training_flops
from bytegap.console import track
from bytegap.models import transformer
from bytegap.plan.estimate import stepper
from bytegap.plan.measure import cores
from bytegap.records import Numerics, RunSpec
from results import Row, interleaved, write

MULTIPLIED = Convention(attention="attended", head="supervised")
ARMS = {"byte-ar": (256, "ar"), "bpe-ar": (2048, "ar"), "byte-mdm": (256, "mdm"), "bpe-mdm": (2048, "mdm")}
ROW_SYMBOLS, WIDE_ROW_SYMBOLS = 256, 512
BATCH_ROWS = 8
GROWTH = [(64, 256), (64, 1024), (256, 256), (256, 1024)]
SQUARE = 1536
SQUARE_FLOPS = 2 * SQUARE**3


def spec(width: int, arm: str, numerics: Numerics, row: int = 0) -> RunSpec:
    """As much of a run as a step needs; rows as long as suit the width, or of so many symbols."""
    symbols, objective = ARMS[arm]
    row = row or (WIDE_ROW_SYMBOLS if width >= 256 else ROW_SYMBOLS)
    ladder = transformer.ladder(vocabulary=symbols + 3, positions=row + 1)
    shape = next(
        (shape for shape in takewhile(lambda shape: shape.width <= width, ladder) if shape.width == width), None
    )
    if shape is None:
        sys.exit(f"--widths {width}: not on the ladder; 2^k and 3 x 2^k are")
    return RunSpec.model_construct(
        model="transformer",
        shape=shape.model_dump(),
        objective=objective,
        objective_options={},
        rows_per_batch=BATCH_ROWS,
        row_symbols=row,
        numerics=numerics,
    )


def flops(run: RunSpec) -> float:
    """Multiplied by a step."""
    objective = plugins.load("objectives", run.objective)
    row = objective.row(run.row_symbols, plugins.options("objectives", run.objective, {}))
    return run.rows_per_batch * training_flops(transformer.costs(transformer.Shape(**run.shape)), row, MULTIPLIED)


def peaks(threads: int) -> dict[str, float]:
    """FLOP/s of a square matmul on so many threads, by type."""
    torch.set_num_threads(threads)
    times = interleaved({dtype: square(dtype) for dtype in ("float32", "bfloat16")}, 3)
    return {dtype: SQUARE_FLOPS / seconds for dtype, seconds in times.items()}


def square(dtype: str) -> Callable[[], Tensor]:
    """A matmul as fast as the machine does any."""
    factor = torch.randn(SQUARE, SQUARE).to(getattr(torch, dtype))
    return partial(torch.mm, factor, factor)


def forms(dtypes: list[str], *, compiled: bool) -> dict[str, Numerics]:
    """Ways to compute a step, by name."""
    found = {}
    for dtype, form, compile_ in product(dtypes, ["sdpa", "matmul"], [False, True] if compiled else [False]):
        name = f"{dtype}, {form}{', compiled' * compile_}"
        found[name] = Numerics(device="cpu", dtype=dtype, threads=1, attention=form, compile=compile_)
    return found


def timed(what: str, actions: dict[str, tuple[Callable[[], object], float]], best: str, rounds: int) -> list[Row]:
    """Of each action, a step and its FLOPs: milliseconds, FLOP/s, and those as a share of a matmul's beside it."""
    steps = {name: step for name, (step, _) in actions.items()}
    seconds = interleaved({"": square(best)} | steps, rounds)
    peak = SQUARE_FLOPS / seconds.pop("")
    return [
        {
            "what": f"{what}: {name}",
            "ms a step": 1e3 * each,
            "GFLOP/s": actions[name][1] / each / 1e9,
            "of the peak": actions[name][1] / each / peak,
        }
        for name, each in seconds.items()
    ]


def nanogpt(folder: Path, row: int, dtype: torch.dtype, *, compiled: bool) -> Callable[[], None]:
    """A step of its GPT at the widest shape: its own optimiser, clipping and, where asked, autocast and compiler."""
    model_file = _module(folder / "model.py")
    shape = next(shape for shape in transformer.ladder(vocabulary=259, positions=row) if shape.width == 256)
    # Its MLP is 4 wide and not gated, 8 D^2 weights a layer as the gated one of 8/3.
    config = model_file.GPTConfig(
        block_size=row, vocab_size=259, n_layer=shape.depth, n_head=shape.heads, n_embd=256, dropout=0.0, bias=False
    )
    model = model_file.GPT(config)
    optimiser = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cpu")
    x_BP = torch.randint(256, (BATCH_ROWS, row))
    context = nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype)
    forward = torch.compile(model) if compiled else model

    def step() -> None:
        with context:
            _, loss = forward(x_BP, x_BP)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def hugging_face(run: RunSpec) -> Callable[[], None]:
    """A step of its Llama of the same shape under AdamW."""
    model = llama(run)
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    ids = torch.randint(256, (run.rows_per_batch, run.row_symbols + 1))

    def step() -> None:
        optimiser.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step


def llama(run: RunSpec) -> Any:
    """Hugging Face's model of a run's shape."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = transformer.Shape(**run.shape)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            intermediate_size=shape.hidden,
            num_hidden_layers=shape.depth,
            num_attention_heads=shape.heads,
        )
    )


def trainer(run: RunSpec, best: str, rounds: int, *, bf16: bool) -> Row:
    """The same model in Hugging Face's Trainer: steps of its own loop, a matmul between each and the next."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    peak_s: list[float] = []
    step_s: list[float] = []

    class Clock(TrainerCallback):
        """From where a step begins, its batch already there, to where the next one's is asked for."""

        start = 0.0
        multiply = staticmethod(square(best))

        def on_step_begin(self, *_: object, **__: object) -> None:
            self.start = time.perf_counter()

        def on_step_end(self, *_: object, **__: object) -> None:
            step_s.append(time.perf_counter() - self.start)
            self.multiply()
            peak_s.append(time.perf_counter() - self.start - step_s[-1])

    ids = torch.randint(256, (run.rows_per_batch * (rounds + 1), run.row_symbols + 1))
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder,
            max_steps=rounds + 1,
            per_device_train_batch_size=run.rows_per_batch,
            use_cpu=True,
            bf16=bf16,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        rows = [{"input_ids": row, "labels": row} for row in ids]
        Trainer(llama(run), settings, train_dataset=rows, callbacks=[Clock()]).train()
    seconds, flops_s = median(step_s[1:]), flops(run) / median(step_s[1:])
    peak = SQUARE_FLOPS / median(peak_s[1:])
    name = f"Hugging Face Trainer, {'bfloat16' if bf16 else 'float32'}"
    return {
        "what": f"width 256, byte-ar: {name}",
        "ms a step": 1e3 * seconds,
        "GFLOP/s": flops_s / 1e9,
        "of the peak": flops_s / peak,
    }


def _module(file: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location("nanogpt_model", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


def main() -> None:
    """Measure, and write bench/results/train.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path)
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--no-compile", action="store_true", help="leave out compiled steps: half a minute each to make"
    )
    asked = parser.parse_args()
    rows: list[Row] = [
        {"what": f"matmul peak, {dtype}, {threads} threads", "GFLOP/s": flops_s / 1e9}
        for threads in range(2, cores() + 1)
        for dtype, flops_s in peaks(threads).items()
    ]
    peak = peaks(1)
    best = max(peak, key=lambda dtype: peak[dtype])
    rows += [{"what": f"matmul peak, {dtype}", "GFLOP/s": flops_s / 1e9} for dtype, flops_s in peak.items()]
    dtypes = [dtype for dtype in peak if peak[dtype] >= peak["float32"]]
    ways = forms(dtypes, compiled=not asked.no_compile)
    for width, arm in track(list(product(asked.widths, ARMS)), "training steps"):
        runs = {name: spec(width, arm, numerics) for name, numerics in ways.items()}
        actions: dict[str, tuple[Callable[[], object], float]] = {
            name: (stepper(run)[0], flops(run)) for name, run in runs.items()
        }
        compared = width == 256 and arm == "byte-ar"
        run = next(iter(runs.values()))
        if compared:
            actions["Hugging Face Llama, float32"] = (hugging_face(run), flops(run))
            for dtype, compiled in product(["float32", "bfloat16"], [False] if asked.no_compile else [False, True]):
                name = f"nanoGPT, {dtype}{', compiled' * compiled}{', as it ships' * (dtype == 'float32' and compiled)}"
                if asked.nanogpt is not None and dtype in dtypes:
                    step = nanogpt(asked.nanogpt, run.row_symbols, getattr(torch, dtype), compiled=compiled)
                    actions[name] = (step, flops(run))
                else:
                    rows.append({"what": f"width {width}, {arm}: {name}"})
        rows += timed(f"width {width}, {arm}", actions, best, asked.rounds)
        if compared:
            rows += [trainer(run, best, asked.rounds, bf16=dtype == "bfloat16") for dtype in dtypes]
    fastest = list(ways.values())[-1]  # matmuls, compiled, in the shorter type where that is the faster
    for arm in track(["byte-ar", "byte-mdm"], "growing work"):
        grown = {f"width {width}, rows of {row}": spec(width, arm, fastest, row) for width, row in GROWTH}
        rows += timed(
            f"growth, {arm}", {name: (stepper(run)[0], flops(run)) for name, run in grown.items()}, best, asked.rounds
        )
    for row in rows:
        for column in ("ms a step", "GFLOP/s", "of the peak"):
            row.setdefault(column, "" if "peak" in str(row["what"]) else None)
    write("train", "Training steps on one core", rows)


if __name__ == "__main__":
    main()
