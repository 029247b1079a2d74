"""Order controls and probes: tables hold every digit, figures are drawn, and neither is shown without its record."""

import csv
import io

import pytest
from scipy import stats

from bytegap.report import stage
from bytegap.report.figures import probes
from bytegap.report.inputs import read_inputs
from bytegap.schema.data import OrderControl, OrderControls
from bytegap.schema.probe import ContextLoss, LinearProbe, NeighbourAblation, Probe, Reconstruction, Segmentation
from bytegap.study.directory import ORDER_CONTROLS, PROBE

RUN = {"run": "0123456789ab", "arm": "byte-mdm", "budget_flops": 1e15, "non_embedding_parameters": 9000}


def controls():
    def one(permutation, kept):
        return OrderControl(
            tokenizer="byte", permutation=permutation, bytes=4000, bytes_per_token=1.0, same_histogram=True,
            distances=[1, 2, 4, 16, 64], information_bits=[kept, 0.4, 0.1, 0.004, 0.00002],
            pairs_kept=[kept, 1.0, 1.0, 1.0, 1.0], local_bits=1.7, local_kept=kept, added_bits_per_token=0.0,
        )  # fmt: skip

    return OrderControls(inputs_sha256="", controls=[one("identity", 1.0), one("within_window (size 4)", 0.35)])


def probe():
    segmentation = [
        Segmentation(**RUN, conditioning=conditioning, boundary=boundary, score=score, auc=0.8123456789,
                     average_precision=0.5, best_f1=0.6, base_rate=0.3, positions=4000)
        for conditioning in ("left context", "mask 0.5")
        for boundary in ("word", "bpe")
        for score in ("entropy", "surprisal")
    ]  # fmt: skip
    ablation = NeighbourAblation(
        **RUN, out_of_distribution=False, mask_ratio=0.5, radius=1, visible=[0, 1, 2], nats=[2.5, 2.0, 1.4],
        nats_se=[0.05, 0.05, 0.04], nats_per_neighbour=0.55, nats_per_neighbour_se=0.03,
    )  # fmt: skip
    reconstruction = Reconstruction(
        **RUN, pattern="scattered", hidden=2, words=400, nats_per_byte=1.5, nats_per_byte_se=0.1, exact_match=0.2
    )
    context = ContextLoss(**RUN, lengths=[1, 2, 4], nats=[2.5, 2.0, 1.9], nats_se=[0.1, 0.1, 0.1], effective=4)
    linear = [
        LinearProbe(**RUN, conditioning=f"mask {ratio}", mask_ratio=ratio, at="visible", label=label, labels=50,
                    chance=0.2, accuracy=[0.25, 0.4, 0.4321987654], positions=900)
        for ratio in (0.1, 0.5) for label in ("word", "bpe")
    ]  # fmt: skip
    return Probe(
        inputs_sha256="", windows=400, segmentation=segmentation, neighbour_ablation=[ablation],
        reconstruction=[reconstruction], linear_probe=linear, context=[context],
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(study, build, tmp_path_factory):
    study_dir = build(tmp_path_factory.mktemp("probes") / "out")
    study_dir.write(ORDER_CONTROLS, controls())
    study_dir.write(PROBE, probe())
    return stage.run(study, study_dir)


def test_every_figure_and_table_is_in_the_page(page):
    html = page.read_text(encoding="utf-8")
    for name in ("mutual_information", "boundaries", "neighbour_ablation", "linear_probes"):
        assert (page.parent / "figures" / f"{name}.png").stat().st_size > 5000
        assert f'id="{name}"' in html
    for name in ("order_controls", "segmentation", "neighbour_ablation", "reconstruction", "linear_probe", "context"):
        assert f'id="table-{name}"' in html


def test_tables_keep_every_digit(page):
    def rows(name):
        return list(csv.DictReader(io.StringIO((page.parent / "tables" / f"{name}.csv").read_text())))

    assert {row["auc"] for row in rows("segmentation")} == {"0.8123456789"}
    assert [row["local_kept"] for row in rows("order_controls")] == ["1.0", "0.35"]
    assert rows("order_controls")[0]["information_bits_64"] == "2e-05"
    assert rows("neighbour_ablation")[0]["none_visible_nats"] == "2.5"
    assert rows("reconstruction")[0]["exact_match"] == "0.2"
    assert rows("linear_probe")[0]["layer_2"] == "0.4321987654"


@pytest.mark.parametrize("windows", [400, 3])
def test_bars_of_the_neighbour_ablation_are_t_intervals(study, build, tmp_path, windows):
    study_dir = build(tmp_path / "out")
    study_dir.write(PROBE, probe().model_copy(update={"windows": windows}))
    figures = {figure.name: figure for figure in probes.figures(read_inputs(study_dir, study.name, study.arms))}
    (rows,) = figures["neighbour_ablation"].spec["datasets"].values()
    expected = [
        stats.t.interval(0.95, windows - 1, loc=nats, scale=se)
        for nats, se in zip((2.5, 2.0, 1.4), (0.05, 0.05, 0.04), strict=True)
    ]
    assert [(row["low"], row["high"]) for row in rows] == [pytest.approx(ends) for ends in expected]


def test_a_study_without_records_shows_neither(study, build, tmp_path):
    html = stage.run(study, build(tmp_path / "out")).read_text(encoding="utf-8")
    assert "Order controls" not in html
    assert "Probe:" not in html
