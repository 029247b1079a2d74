"""A study folder small enough to read: four arms, three budgets, five sizes, written by hand from one law an arm."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from bytegap.records import (
    ArrayFile,
    Audit,
    AuditRow,
    Cell,
    CorpusManifest,
    Estimand,
    Fit,
    Floor,
    Frontier,
    Quantity,
    Recount,
    RunRow,
    Split,
    TuningRow,
    digest,
)
from bytegap.store import Folder, write_record, write_table
from bytegap.study import Arm, Context, Corpus, Plugin, Study

BUDGETS = (1e13, 1e14, 1e15)
# tokens, objective, floor of L(C), amplitude, exponent
ARMS = {
    "bpe-ar": ("bpe", "ar", 1.2, 420.0, 0.19),
    "byte-ar": ("byte", "ar", 1.2, 430.0, 0.185),
    "bpe-mdm": ("bpe", "mdm", 1.2, 560.0, 0.19),
    "byte-mdm": ("byte", "mdm", 1.2, 560.0, 0.181),
}
UNIGRAM = {"bpe": 3.05, "byte": 4.72}
BIGRAM = {"bpe": 2.61, "byte": 3.64}
_WINDOWS = "ab" * 32


def _loss(arm: str, flops: float) -> float:
    _, _, floor, amplitude, exponent = ARMS[arm]
    return floor + amplitude * flops**-exponent


def _around(value: float, part: float) -> Quantity:
    return Quantity(value=value, ci95=(value * (1 - part), value * (1 + part)))


def _row(arm: str, name: str, budget: float, n: int, bpb: float) -> RunRow:
    tokens, objective, *_ = ARMS.get(name, ARMS["byte-mdm"])
    symbols = int(budget / 6 / n)
    return RunRow(
        run=f"{digest([name, budget, n])[:12]}", status="finished", reason="", arm=arm, tokens=tokens,
        tokens_kind="bytes" if tokens == "byte" else "bpe", objective=objective, order="identity", model="transformer",
        vocabulary=256 if tokens == "byte" else 2048, context_bytes=256, width=64, depth=4, non_embedding_parameters=n,
        embedding_parameters=1000, head_parameters=1000, budget_flops=budget, flops=budget * 1.003,
        flops_by_convention={"full all spent": budget}, spent_flops=budget * 1.003, symbols=symbols, bytes=symbols * 2,
        epochs=0.4, steps=800, batch_symbols=4096, learning_rate=3e-3, seed=0, bpb=bpb,
        bpb_se=0.0 if objective == "ar" else 0.008, validation_bpb=bpb, unigram_bpb=UNIGRAM[tokens],
        bigram_bpb=BIGRAM[tokens], windows_sha256=_WINDOWS,
    )  # fmt: skip


def _cell(arm: str, name: str, budget: float) -> tuple[Cell, list[RunRow]]:
    best, lowest = 0.09 * budget**0.45, _loss(name, budget)

    def bpb(n: float) -> float:
        return lowest + 0.045 * math.log(n / best) ** 2

    sizes = [int(best * 2.0**step) for step in (-2, -1, 0, 1, 2)]
    rows = [_row(arm, name, budget, n, bpb(n) + 0.006 * (-1) ** at) for at, n in enumerate(sizes)]
    kept = not (name == "byte-mdm" and budget == BUDGETS[0])
    grid = [sizes[0] * (sizes[-1] / sizes[0]) ** (step / 24) for step in range(25)]
    cell = Cell(
        arm=arm, budget_flops=budget, runs=[row.run for row in rows], parameters=sizes,
        symbols=[row.symbols for row in rows], bpb=[row.bpb or 0 for row in rows],
        bpb_se=[row.bpb_se or 0 for row in rows], optimum_parameters=_around(best, 0.2),
        optimum_symbols=_around(budget / 6 / best, 0.2), optimum_bpb=_around(lowest, 0.006),
        curvature=_around(0.045, 0.3), bracketed=True, learns_context=kept, in_frontier=kept,
        note="" if kept else "not yet 0.5 BPB below its own unigram", curve=[(n, bpb(n)) for n in grid],
    )  # fmt: skip
    return cell, rows


def _frontier(arm: str, name: str, form: str, shift: float) -> Frontier:
    _, _, floor, amplitude, exponent = ARMS[name]
    grid = [BUDGETS[0] * 10 ** (step / 12) for step in range(25)]
    curve = [(c, _loss(name, c) + shift, _loss(name, c) * 0.99 + shift, _loss(name, c) * 1.01 + shift) for c in grid]
    return Frontier(
        arm=arm, form=form, floor_bpb=_around(floor, 0.1), amplitude=_around(amplitude, 0.2),
        exponent=_around(exponent, 0.1), flops_observed=(BUDGETS[0], BUDGETS[-1]),
        bpb_observed=(curve[-1][1], curve[0][1]), curve=curve,
    )  # fmt: skip


def _estimands() -> list[Estimand]:
    found: list[Estimand] = []
    for form, tilt in (("shared floor", 0.0), ("no floor", 0.15)):
        for objective, level in (("ar", 1.5), ("mdm", 2.4)):
            for at, loss in enumerate((2.4, 2.2, 2.0, 1.9, 1.8)):
                label = "estimated" if at < 3 else "censored" if at == 3 else "extrapolated"
                k = (level + tilt) * (1 + 0.25 * at * (objective == "mdm"))
                found.append(Estimand(
                    name="overhead", objective=objective, arms=[f"byte-{objective}", f"bpe-{objective}"], form=form,
                    at_bpb=loss, quantity=_around(k, 0.2) if at != 3 else Quantity(value=k),
                    bound=">" if at == 3 else "", label=label, headline=at == 2 and not tilt,
                ))  # fmt: skip
            found += [
                Estimand(name="gap", objective=objective, arms=[f"byte-{objective}", f"bpe-{objective}"], form=form,
                         at_flops=budget, quantity=_around(0.2 * level, 0.2), label="estimated")
                for budget in BUDGETS
            ]  # fmt: skip
        for at, loss in enumerate((2.4, 2.2, 2.0)):
            found.append(Estimand(
                name="interaction", objective="mdm - ar", arms=list(ARMS), form=form, at_bpb=loss,
                quantity=Quantity(value=0.4 + 0.2 * at + tilt, ci95=(0.1 + 0.2 * at, 0.8 + 0.2 * at)),
                label="estimated", headline=at == 2 and not tilt,
            ))  # fmt: skip
        found.append(Estimand(
            name="parity", objective="ar", arms=["byte-ar", "bpe-ar"], form=form,
            quantity=Quantity(value=3.1e22, ci95=(2e20, 9e25)), label="extrapolated",
        ))  # fmt: skip
    return found


def _by_convention() -> list[Recount]:
    headlines = [item for item in _estimands() if item.headline]
    return [
        Recount(convention=name, bootstraps=200, largest_move=move, cells_in_frontier=11, left_out=left_out, estimands=[
            item.model_copy(update={"quantity": _around(item.quantity.value * move, 0.2)}) for item in headlines
        ])
        for name, move, left_out in (
            ("full, all, spent", 1.0, []), ("attention=attended head=all", 1.1, []), ("6nd", 1.6, ["bpe-ar", "byte-ar"])
        )
    ]  # fmt: skip


def build(root: Path, rename: Mapping[str, str] = MappingProxyType({})) -> Folder:
    """Write the study; `rename` gives arms other names."""
    folder = Folder(root)
    cells: list[Cell] = []
    rows: list[RunRow] = []
    for name in ARMS:
        for budget in BUDGETS:
            cell, found = _cell(rename.get(name, name), name, budget)
            cells.append(cell)
            rows += found
    file = ArrayFile(file="text.bin", dtype="uint8", length=1000, sha256=_WINDOWS)
    split = Split(text=file, ends=file, documents=1234, bytes=5_678_901)
    write_table(folder.table, rows)
    write_record(folder.corpus_manifest, CorpusManifest(
        inputs="", source="fixture", documents_read=1300, duplicates_dropped=12, empty_dropped=1,
        splits={"train": split, "validation": split, "test": split},
    ))  # fmt: skip
    write_record(folder.audit, Audit(
        inputs="", summary=["Spent FLOPs are within 0.1 % of plan in every run."],
        warnings=["byte-mdm: 3 runs clipped more than half their steps."],
        runs=[
            AuditRow(run=row.run, arm=row.arm, budget_flops=row.budget_flops, planned_flops=row.flops,
                     spent_flops=row.spent_flops, ratio=1.0, supervised_per_step=2048.5, epochs=row.epochs,
                     gradient_norm_median=0.41, clipped_fraction=0.02, update_rms_body=None, windows_sha256=_WINDOWS)
            for row in rows
        ],
        tuning=[
            TuningRow(arm=arm, budget_flops=budget, non_embedding_parameters=9000,
                      rates=[(0.5, 2.1), (1.0, 2.0), (2.0, 2.05)], batches=[(0.5, 2.02), (1.0, 2.0), (2.0, 2.08)],
                      best_rate=_around(1.1, 0.2), best_batch=_around(0.9, 0.2), bracketed=arm != "byte-mdm",
                      seed_log_bpb=0.004, lost_bpb=_around(0.003, 0.5), lost_compute=Quantity(value=0.01))
            for arm in ("bpe-ar", "byte-mdm") for budget in (BUDGETS[0], BUDGETS[-1])
        ],
    ))  # fmt: skip
    write_record(folder.fit, Fit(
        inputs="", convention="full, all, spent", bootstraps=400, noise_log_bpb={"ar": 0.0031, "mdm": 0.0062},
        floors=[Floor(tokens=tokens, vocabulary=256 if tokens == "byte" else 2048, unigram_bpb=UNIGRAM[tokens],
                      bigram_bpb=BIGRAM[tokens]) for tokens in UNIGRAM],
        cells=cells,
        frontiers=[_frontier(rename.get(name, name), name, form, shift)
                   for form, shift in (("shared floor", 0.0), ("no floor", 0.015)) for name in ARMS],
        estimands=_estimands(), by_convention=_by_convention(), identified=True,
        verdict=[
            "At 2.0 BPB bytes cost masked diffusion 3.6 times the compute and autoregression 1.5 times.",
            "Their interaction, 0.80 [0.50, 1.20], lies above 0 and grows as loss falls.",
            "byte-mdm at 1e13 FLOPs has not learnt context and is left out.",
        ],
        warnings=["Three budgets: per-arm floors are not identified."],
    ))  # fmt: skip
    first = rows[0].run
    (folder.run(first)).mkdir(parents=True)
    (folder.run(first) / "record.json").write_text("{}")
    return folder


@pytest.fixture(scope="session")
def study() -> Study:
    """The study file that goes with the folder."""
    arms = {
        name: Arm(tokens=tokens, objective=Plugin(name=objective), budgets=BUDGETS)
        for name, (tokens, objective, *_) in ARMS.items()
    }
    return Study(
        name="fixture", corpus=Corpus(source=Plugin(name="fixture")), context=Context(bytes=256),
        tokens={"bpe": Plugin(name="bpe"), "byte": Plugin(name="bytes")}, arms=arms,
    )  # fmt: skip


@pytest.fixture(scope="session", name="build")
def _build() -> Callable[..., Folder]:
    """Writes a study folder, arms renamed as asked."""
    return build
