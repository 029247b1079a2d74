"""The audit: planned against spent compute, and whether all arms were scored on the same text."""

import pytest

from bytegap.runs.audit import audit
from bytegap.runs.row import rows_by_repeat
from bytegap.schema.plan import Execution, OptimizerConfig, RunSpec
from bytegap.schema.runs import RunRecord, Score
from tests.helpers.synthetic_runs import simulated_rows


def run(arm="byte-ar", *, spent=1e10, epochs=0.5, windows="w", status="finished", seed=0):
    spec = RunSpec(
        arm=arm,
        tokenizer="byte",
        objective="ar",
        objective_options={},
        tight_likelihood=True,
        permutation="identity",
        permutation_options={},
        model="transformer",
        model_shape={"d_model": 8, "n_layers": 2},
        embedding_parameters=1,
        head_parameters=1,
        non_embedding_parameters=1000,
        budget_flops=1e10,
        seq_len=96,
        batch_size=2,
        steps=100,
        tokens=19_200,
        bytes=19_200,
        epochs=epochs,
        flops=1e10,
        flops_by_convention={},
        optimizer=OptimizerConfig(
            learning_rate=1e-3,
            warmup_steps=10,
            decay="linear",
            weight_decay=0.1,
            beta1=0.9,
            beta2=0.95,
            epsilon=1e-8,
            clip_norm=1,
        ),
        seed=seed,
        mc_passes=8,
        execution=Execution(device="cpu", dtype="float32", threads=1, attention="sdpa", compile=False),
        tokens_sha256="t",
        windows_manifest_sha256="w",
    )
    score = Score(nats=1, nats_se=0, bytes=1, bpb=1.44, bpb_se=0, windows_sha256=windows)
    record = RunRecord(
        run=spec.id,
        status=status,
        reason="" if status == "finished" else "gradient norm nan at step 3",
        steps=100,
        supervised_tokens=19_200,
        counted_step_flops=spent / 100,
        counted_supervised_step_flops=5e7,
        analytic_supervised_step_flops=5e7,
        spent_flops=spent,
        clipped_steps=25,
        update_rms={"body": 1e-3},
        test=score if status == "finished" else None,
    )
    return spec, record


def test_equal_runs_give_no_warning():
    found = audit([run(), run("bpe-ar", seed=1)])
    assert found.warnings == ()
    assert "all within 1 %" in found.summary[0]
    assert "the same text for every run" in found.summary[2]
    assert found.runs[0].ratio == pytest.approx(1)
    assert found.runs[0].supervised_per_step == 192
    assert found.runs[0].clipped_fraction == 0.25
    assert sum("25% of steps" in line for line in found.summary) == 2


def test_compute_off_by_more_than_one_percent_gives_a_warning():
    found = audit([run(), run("bpe-ar", spent=1.02e10)])
    assert "NOT all within 1 %" in found.summary[0]
    assert [line for line in found.warnings if "1.020 of its planned FLOPs" in line]


def test_different_windows_give_a_warning():
    found = audit([run(), run("bpe-ar", windows="other")])
    assert "2 DIFFERENT texts" in found.summary[2]
    assert "not all runs were scored on the same test windows: they must not be compared" in found.warnings


def test_repeated_text_and_failures_give_warnings():
    found = audit([run(epochs=1.4), run("bpe-ar", status="failed", spent=1e9)])
    assert any("byte-ar saw its training text more than once" in line and "1.40" in line for line in found.warnings)
    assert any("failed: gradient norm nan" in line for line in found.warnings)
    assert not any("of its planned FLOPs" in line for line in found.warnings)


def test_inputs_hash_changes_with_the_records():
    assert audit([run()]).inputs_sha256 == audit([run()]).inputs_sha256
    assert audit([run()]).inputs_sha256 != audit([run(spent=1.001e10)]).inputs_sha256


def test_rows_are_split_by_repeat():
    rows = [row.model_copy(update={"repeat": i % 3}) for i, row in enumerate(simulated_rows(sizes=4))]
    repeats = rows_by_repeat(reversed(rows))
    assert list(repeats) == [0, 1, 2]
    assert {repeat: {row.run for row in own} for repeat, own in repeats.items()} == {
        repeat: {row.run for row in rows[repeat::3]} for repeat in range(3)
    }
