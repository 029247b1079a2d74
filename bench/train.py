"""FLOP/s of a training step at every d_model and of every arm, as a share of this machine's matmul peak.

    python bench/train.py [--nanogpt DIR] [--widths 8 16 32 64 128 256] [--rounds 5] [--no-compile]

Steps run in one thread, as a study trains one run per core.
Everything that is compared is timed in turns, including the matmul that sets the peak.
FLOPs are those that must be multiplied: attended pairs, head at the supervised positions.
At d_model 256, nanoGPT's model and optimizer, from its repository in DIR, take the same steps in float32 and bfloat16,
compiled (as it ships) and not.
So does Hugging Face's Llama, alone and under its Trainer, which has a loop of its own and is timed after the others.
Last, FLOP/s as the work grows: with 4 times the context, and with 4 times the d_model.
Writes bench/results/train.json.
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
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bytegap.autotune.backends import available_cores
from bytegap.autotune.step_timer import make_step, model_config
from bytegap.console import track
from bytegap.cost.flops import Convention, training_flops
from bytegap.models.base import ModelConfig, model_family
from bytegap.models.transformer import TransformerConfig
from bytegap.objectives.base import objective
from bytegap.schema.base import frozen
from bytegap.schema.plan import Execution, RunSpec
from results import Row, interleaved, write

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

MULTIPLIED = Convention(attention="attended", head="supervised")
ARMS = {"byte-ar": (256, "ar"), "bpe-ar": (2048, "ar"), "byte-mdm": (256, "mdm"), "bpe-mdm": (2048, "mdm")}
"""Vocabulary and objective of each arm."""
SEQ_LEN, WIDE_SEQ_LEN, WIDE_D_MODEL = 256, 512, 256
BATCH_SIZE = 8
GROWTH = [(64, 256), (64, 1024), (256, 256), (256, 1024)]
"""(d_model, sequence length)."""
SQUARE = 1536
SQUARE_FLOPS = 2 * SQUARE**3

StepFn = Callable[[], object]


def config_of(d_model: int, n_ids: int, max_positions: int) -> ModelConfig:
    """The config of the transformer family with this d_model."""
    sizes = model_family("transformer").sizes(n_ids=n_ids, max_positions=max_positions)
    found = [config for config in takewhile(lambda size: size.d_model <= d_model, sizes) if config.d_model == d_model]
    if not found:
        sys.exit(f"--widths {d_model}: there is no such size; 2^k and 3 x 2^k are sizes")
    return found[0]


def run_of(d_model: int, arm: str, execution: Execution, seq_len: int = 0) -> RunSpec:
    """As much of a run as a step needs; without `seq_len`, with sequences as long as suit the d_model."""
    vocab_size, objective_name = ARMS[arm]
    seq_len = seq_len or (WIDE_SEQ_LEN if d_model >= WIDE_D_MODEL else SEQ_LEN)
    return RunSpec.model_construct(
        model="transformer",
        model_shape=frozen(config_of(d_model, vocab_size + 3, seq_len + 1).model_dump()),
        objective=objective_name,
        objective_options=frozen({}),
        batch_size=BATCH_SIZE,
        seq_len=seq_len,
        execution=execution,
    )


def flops(run: RunSpec) -> float:
    """FLOPs of a step."""
    sequence = objective(run.objective).sequence_cost(run.seq_len)
    return run.batch_size * training_flops(model_config(run).costs(), sequence, MULTIPLIED)


def peaks(threads: int) -> dict[str, float]:
    """FLOP/s of a square matmul in so many threads, by dtype."""
    torch.set_num_threads(threads)
    times = interleaved({dtype: square(dtype) for dtype in ("float32", "bfloat16")}, 3)
    return {dtype: SQUARE_FLOPS / seconds for dtype, seconds in times.items()}


def square(dtype: str) -> Callable[[], Tensor]:
    """A large square matmul."""
    factor = torch.randn(SQUARE, SQUARE).to(getattr(torch, dtype))
    return partial(torch.mm, factor, factor)


def executions(dtypes: list[str], *, compiled: bool) -> dict[str, Execution]:
    """Executions of a step, by name."""
    found: dict[str, Execution] = {}
    for dtype, attention, compile_ in product(dtypes, ["sdpa", "matmul"], [False, True] if compiled else [False]):
        name = f"{dtype}, {attention}{', compiled' * compile_}"
        found[name] = Execution(device="cpu", dtype=dtype, threads=1, attention=attention, compile=compile_)
    return found


def timed(what: str, actions: dict[str, tuple[StepFn, float]], best: str, rounds: int) -> list[Row]:
    """Milliseconds, FLOP/s and share of a matmul's FLOP/s of each action: (a step, its FLOPs)."""
    steps: dict[str, StepFn] = {name: step for name, (step, _) in actions.items()}
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


def nanogpt_step(repository: Path, seq_len: int, dtype: torch.dtype, *, compiled: bool) -> Callable[[], None]:
    """A step of nanoGPT's model at d_model 256, with its optimizer, clipping, autocast and compiler."""
    module = import_nanogpt(repository / "model.py")
    # Its MLP is 4 wide and not gated: 8 D^2 weights a layer, as many as a gated one of 8/3 has.
    config = module.GPTConfig(
        block_size=seq_len,
        vocab_size=259,
        n_layer=config_of(256, 259, seq_len).n_layers,
        n_head=TransformerConfig.model_validate(config_of(256, 259, seq_len)).n_heads,
        n_embd=256,
        dropout=0.0,
        bias=False,
    )
    model = module.GPT(config)
    optimizer = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cpu")
    ids_BP = torch.randint(256, (BATCH_SIZE, seq_len))
    context = nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype)
    forward = torch.compile(model) if compiled else model

    def step() -> None:
        with context:
            _, loss = forward(ids_BP, ids_BP)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def hugging_face_step(run: RunSpec) -> Callable[[], None]:
    """A step of Hugging Face's Llama of the same size under AdamW."""
    model = llama(run)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ids = torch.randint(256, (run.batch_size, run.seq_len + 1))

    def step() -> None:
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def llama(run: RunSpec) -> "LlamaForCausalLM":
    """Hugging Face's model of a run's size."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = TransformerConfig.model_validate(dict(run.model_shape))
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.n_ids,
            hidden_size=config.d_model,
            intermediate_size=config.d_ff,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
        )
    )


def hugging_face_trainer(run: RunSpec, best: str, rounds: int, *, bf16: bool) -> Row:
    """Steps of the same model in Hugging Face's Trainer, with a matmul between them."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    peak_s: list[float] = []
    step_s: list[float] = []

    class Clock(TrainerCallback):
        """Times from the begin of a step, when it has its batch, to its end."""

        start = 0.0
        multiply = staticmethod(square(best))

        def on_step_begin(self, *_: object, **__: object) -> None:
            self.start = time.perf_counter()

        def on_step_end(self, *_: object, **__: object) -> None:
            step_s.append(time.perf_counter() - self.start)
            self.multiply()
            peak_s.append(time.perf_counter() - self.start - step_s[-1])

    ids = torch.randint(256, (run.batch_size * (rounds + 1), run.seq_len + 1))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=rounds + 1,
            per_device_train_batch_size=run.batch_size,
            use_cpu=True,
            bf16=bf16,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        rows = [{"input_ids": row, "labels": row} for row in ids]
        Trainer(llama(run), arguments, train_dataset=rows, callbacks=[Clock()]).train()
    seconds, flops_s = median(step_s[1:]), flops(run) / median(step_s[1:])
    peak = SQUARE_FLOPS / median(peak_s[1:])
    name = f"Hugging Face Trainer, {'bfloat16' if bf16 else 'float32'}"
    return {
        "what": f"d_model 256, byte-ar: {name}",
        "ms a step": 1e3 * seconds,
        "GFLOP/s": flops_s / 1e9,
        "of the peak": flops_s / peak,
    }


def import_nanogpt(file: Path) -> Any:
    """The model.py of nanoGPT as a module."""
    found = importlib.util.spec_from_file_location("nanogpt_model", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


def peak_rows() -> tuple[list[Row], dict[str, float]]:
    """Matmul peaks as rows; the peak of one thread by dtype."""
    rows: list[Row] = [
        {"what": f"matmul peak, {dtype}, {threads} threads", "GFLOP/s": flops_s / 1e9}
        for threads in range(2, available_cores() + 1)
        for dtype, flops_s in peaks(threads).items()
    ]
    peak = peaks(1)
    rows += [{"what": f"matmul peak, {dtype}", "GFLOP/s": flops_s / 1e9} for dtype, flops_s in peak.items()]
    return rows, peak


def others(options: argparse.Namespace, run: RunSpec, dtypes: list[str]) -> dict[str, tuple[StepFn, float] | None]:
    """Steps of other code that compare with the run's, and their FLOPs; None for those that cannot be timed here."""
    found: dict[str, tuple[StepFn, float] | None] = {
        "Hugging Face Llama, float32": (hugging_face_step(run), flops(run))
    }
    for dtype, compiled in product(["float32", "bfloat16"], [False] if options.no_compile else [False, True]):
        name = f"nanoGPT, {dtype}{', compiled' * compiled}{', as it ships' * (dtype == 'float32' and compiled)}"
        found[name] = None
        if options.nanogpt is not None and dtype in dtypes:
            step = nanogpt_step(options.nanogpt, run.seq_len, getattr(torch, dtype), compiled=compiled)
            found[name] = (step, flops(run))
    return found


def main() -> None:
    """Measure, and write bench/results/train.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, metavar="DIR")
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--no-compile", action="store_true", help="leave out compiled steps, which take half a minute each to compile"
    )
    options = parser.parse_args()
    rows, peak = peak_rows()
    best = max(peak, key=lambda dtype: peak[dtype])
    dtypes = [dtype for dtype in peak if peak[dtype] >= peak["float32"]]
    chosen = executions(dtypes, compiled=not options.no_compile)
    for d_model, arm in track(list(product(options.widths, ARMS)), "training steps"):
        runs = {name: run_of(d_model, arm, execution) for name, execution in chosen.items()}
        actions: dict[str, tuple[StepFn, float]] = {
            name: (make_step(run).take, flops(run)) for name, run in runs.items()
        }
        is_compared, run = (d_model, arm) == (256, "byte-ar"), next(iter(runs.values()))
        if is_compared:
            other = others(options, run, dtypes)
            actions |= {name: action for name, action in other.items() if action}
            rows += [{"what": f"d_model {d_model}, {arm}: {name}"} for name, action in other.items() if not action]
        rows += timed(f"d_model {d_model}, {arm}", actions, best, options.rounds)
        if is_compared:
            rows += [hugging_face_trainer(run, best, options.rounds, bf16=dtype == "bfloat16") for dtype in dtypes]
    fastest = list(chosen.values())[-1]  # matmul attention, compiled, in the shorter dtype where that is faster
    for arm in track(["byte-ar", "byte-mdm"], "growing work"):
        grown = {
            f"d_model {d_model}, rows of {seq_len}": run_of(d_model, arm, fastest, seq_len)
            for d_model, seq_len in GROWTH
        }
        steps: dict[str, tuple[StepFn, float]] = {
            name: (make_step(run).take, flops(run)) for name, run in grown.items()
        }
        rows += timed(f"growth, {arm}", steps, best, options.rounds)
    for row in rows:
        for column in ("ms a step", "GFLOP/s", "of the peak"):
            row.setdefault(column, "" if "peak" in str(row["what"]) else None)
    write("train", "Training steps on one core", rows)


if __name__ == "__main__":
    main()
