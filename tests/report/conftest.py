"""A small study directory: four arms, three budgets, five sizes, with numbers from one law per arm."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from bytegap.schema.base import ArrayFile, Quantity, digest
from bytegap.schema.claims import Claim
from bytegap.schema.data import CorpusManifest, Split
from bytegap.schema.fit import Cell, ConventionResult, Estimand, Fit, NgramBaseline
from bytegap.schema.frontier import Frontier
from bytegap.schema.runs import Audit, AuditRow, RunRow
from bytegap.schema.tuning import TuningRow
from bytegap.study.config import Arm, Context, Corpus, Plugin, Study
from bytegap.study.directory import AUDIT, CORPUS, FIT, RECORD, RUNS, StudyDir
from tests.report import chromium, records

BUDGETS = (1e13, 1e14, 1e15)
# tokenizer, objective, irreducible loss, amplitude and exponent of L(C)
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
    _, _, irreducible_loss, amplitude, exponent = ARMS[arm]
    return irreducible_loss + amplitude * flops**-exponent


def _quantity(value: float, half_width: float) -> Quantity:
    """A value with an interval of this relative half-width."""
    return Quantity(value=value, ci95=(value * (1 - half_width), value * (1 + half_width)))


def _row(arm: str, name: str, budget: float, n: int, bpb: float) -> RunRow:
    tokenizer, objective, *_ = ARMS.get(name, ARMS["byte-mdm"])
    tokens = int(budget / 6 / n)
    return RunRow(
        run=f"{digest([name, budget, n])[:12]}", status="finished", reason="", arm=arm, tokenizer=tokenizer,
        tokenizer_kind="bytes" if tokenizer == "byte" else "bpe", objective=objective, objective_options={},
        tight_likelihood=True, permutation="identity", permutation_options={}, model="transformer",
        vocab_size=256 if tokenizer == "byte" else 2048, context_bytes=256, d_model=64, n_layers=4,
        non_embedding_parameters=n,
        embedding_parameters=1000, head_parameters=1000, budget_flops=budget, flops=budget * 1.003,
        flops_by_convention={"full all spent": budget}, spent_flops=budget * 1.003, tokens=tokens, bytes=tokens * 2,
        epochs=0.4, steps=800, batch_tokens=4096, learning_rate=3e-3, seed=0, bpb=bpb,
        bpb_se=0.0 if objective == "ar" else 0.008, validation_bpb=bpb, unigram_bpb=UNIGRAM[tokenizer],
        bigram_bpb=BIGRAM[tokenizer], windows_sha256=_WINDOWS,
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
        tokens=[row.tokens for row in rows], bpb=[row.bpb or 0 for row in rows],
        bpb_se=[row.bpb_se or 0 for row in rows], optimum_parameters=_quantity(best, 0.2),
        optimum_tokens=_quantity(budget / 6 / best, 0.2), optimum_bpb=_quantity(lowest, 0.006),
        curvature=_quantity(0.045, 0.3), bracketed=True, learns_context=kept, in_frontier=kept,
        note="" if kept else "not yet 0.5 BPB below its own unigram", curve=[(n, bpb(n)) for n in grid],
    )  # fmt: skip
    return cell, rows


def _frontier(arm: str, name: str, form: str, shift: float) -> Frontier:
    _, _, irreducible_loss, amplitude, exponent = ARMS[name]
    grid = [BUDGETS[0] * 10 ** (step / 12) for step in range(25)]
    curve = [(c, _loss(name, c) + shift, _loss(name, c) * 0.99 + shift, _loss(name, c) * 1.01 + shift) for c in grid]
    return Frontier(
        arm=arm, form=form, irreducible_loss_bpb=_quantity(irreducible_loss, 0.1), amplitude=_quantity(amplitude, 0.2),
        exponent=_quantity(exponent, 0.1), flops_observed=(BUDGETS[0], BUDGETS[-1]),
        bpb_observed=(curve[-1][1], curve[0][1]), curve=curve,
    )  # fmt: skip


def _estimands() -> list[Estimand]:
    found: list[Estimand] = []
    for form, tilt in (("shared irreducible loss", 0.0), ("power law", 0.15)):
        for objective, level in (("ar", 1.5), ("mdm", 2.4)):
            for at, loss in enumerate((2.4, 2.2, 2.0, 1.9, 1.8)):
                label = "estimated" if at < 3 else "censored" if at == 3 else "extrapolated"
                k = (level + tilt) * (1 + 0.25 * at * (objective == "mdm"))
                found.append(Estimand(
                    name="overhead", objective=objective, arms=[f"byte-{objective}", f"bpe-{objective}"], form=form,
                    at_bpb=loss, quantity=_quantity(k, 0.2) if at != 3 else Quantity(value=k),
                    bound=">" if at == 3 else "", label=label, headline=at == 2 and not tilt,
                ))  # fmt: skip
            found += [
                Estimand(name="gap", objective=objective, arms=[f"byte-{objective}", f"bpe-{objective}"], form=form,
                         at_flops=budget, quantity=_quantity(0.2 * level, 0.2), label="estimated")
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


def _by_convention() -> list[ConventionResult]:
    headlines = [item for item in _estimands() if item.headline]
    return [
        ConventionResult(
            convention=name, bootstraps=200, largest_adjustment=move, cells_in_frontier=11, excluded_arms=left_out,
            estimands=[
            item.model_copy(update={"quantity": _quantity(item.quantity.value * move, 0.2)}) for item in headlines
        ])
        for name, move, left_out in (
            ("full, all, spent", 1.0, []), ("attention=attended head=all", 1.1, []), ("6nd", 1.6, ["bpe-ar", "byte-ar"])
        )
    ]  # fmt: skip


def build(root: Path, rename: Mapping[str, str] = MappingProxyType({})) -> StudyDir:
    """Write the study directory; `rename` maps names of arms to other names."""
    study_dir = StudyDir(root)
    cells: list[Cell] = []
    rows: list[RunRow] = []
    for name in ARMS:
        for budget in BUDGETS:
            cell, found = _cell(rename.get(name, name), name, budget)
            cells.append(cell)
            rows += found
    file = ArrayFile(file="text.bin", dtype="uint8", length=1000, sha256=_WINDOWS)
    split = Split(text=file, ends=file, documents=1234, bytes=5_678_901)
    study_dir.write_rows(RUNS, rows)
    study_dir.write(CORPUS, CorpusManifest(
        inputs_sha256="", source="fixture", documents_read=1300, duplicates_dropped=12, empty_dropped=1,
        splits={"train": split, "validation": split, "test": split},
    ))  # fmt: skip
    study_dir.write(AUDIT, Audit(
        inputs_sha256="", summary=["Spent FLOPs are within 0.1 % of plan in every run."],
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
                      weight_decays=[(0.0, 2.01), (1.0, 2.0), (3.0, 2.04)], best_weight_decay=_quantity(0.8, 0.2),
                      best_rate=_quantity(1.1, 0.2), best_batch=_quantity(0.9, 0.2), bracketed=arm != "byte-mdm",
                      seed_log_bpb=0.004, lost_bpb=_quantity(0.003, 0.5), lost_compute=Quantity(value=0.01))
            for arm in ("bpe-ar", "byte-mdm") for budget in (BUDGETS[0], BUDGETS[-1])
        ],
    ))  # fmt: skip
    study_dir.write(FIT, Fit(
        inputs_sha256="", convention="full, all, spent", bootstraps=400, noise_log_bpb={"ar": 0.0031, "mdm": 0.0062},
        ngram_baselines=[
            NgramBaseline(tokenizer=tokenizer, vocab_size=256 if tokenizer == "byte" else 2048,
                          unigram_bpb=UNIGRAM[tokenizer], bigram_bpb=BIGRAM[tokenizer])
            for tokenizer in UNIGRAM
        ],
        cells=cells,
        frontiers=[_frontier(rename.get(name, name), name, form, shift)
                   for form, shift in (("shared irreducible loss", 0.0), ("power law", 0.015)) for name in ARMS],
        estimands=_estimands(), by_convention=_by_convention(), identified=True, noise=records.NOISE,
        curvature=records.curvature({name: rename.get(name, name) for name in ARMS}),
        skew=records.skew({name: rename.get(name, name) for name in ARMS}), by_edge=records.by_edge(_estimands()),
        by_gate=records.by_gate(_estimands()), by_repeat=records.by_repeat(_estimands()),
        repeat_spread=records.repeat_spread(_estimands()), likelihoods=records.likelihoods(cells, rename),
        claims=[Claim(kind="overhead", objective="ar", arms=("byte-ar", "bpe-ar"), at_bpb=2.0, status="estimated",
                      value=1.5, ci95=(1.2, 1.8), forms=2, sentence="At 2.0 BPB bytes cost AR 1.5 times the compute.")],
        verdict=[
            "At 2.0 BPB bytes cost masked diffusion 3.6 times the compute and autoregression 1.5 times.",
            "Their interaction, 0.80 [0.50, 1.20], lies above 0 and grows as loss falls.",
            "byte-mdm at 1e13 FLOPs has not learned context and is excluded.",
        ],
        warnings=["Three budgets: the irreducible loss of each arm is not identified."],
    ))  # fmt: skip
    first = rows[0].run
    record = study_dir.path(RECORD, first)
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    return study_dir


@pytest.fixture(scope="session")
def study() -> Study:
    """The study file of the study directory."""
    arms = {
        name: Arm(tokenizer=tokenizer, objective=Plugin(name=objective), budgets=BUDGETS)
        for name, (tokenizer, objective, *_) in ARMS.items()
    }
    return Study(
        name="fixture", corpus=Corpus(source=Plugin(name="fixture")), context=Context(bytes=256),
        tokenizers={"bpe": Plugin(name="bpe"), "byte": Plugin(name="bytes")}, arms=arms,
    )  # fmt: skip


@pytest.fixture(scope="session", name="build")
def _build() -> Callable[..., StudyDir]:
    """Writes a study directory; arms can be renamed."""
    return build


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for all tests of the page."""
    chrome = chromium.start()
    yield chrome
    chrome.quit()
