"""What orders do and what probes found: tables hold every digit, figures are drawn, and neither is there unasked."""

import csv
import io

import pytest

from bytegap.records import ContextLoss, Control, Controls, Fragility, Probe, Reconstruction, Segmentation, Semantics
from bytegap.report import stage
from bytegap.store import write_record

WHO = {"run": "0123456789ab", "arm": "byte-mdm", "budget_flops": 1e15, "non_embedding_parameters": 9000}


def controls():
    def one(order, kept):
        return Control(
            tokens="byte", order=order, bytes=4000, bytes_per_symbol=1.0, same_histogram=True,
            distances=[1, 2, 4, 16, 64], information_bits=[kept, 0.4, 0.1, 0.004, 0.00002],
            pairs_kept=[kept, 1.0, 1.0, 1.0, 1.0], local_bits=1.7, local_kept=kept, added_bits_per_symbol=0.0,
        )  # fmt: skip

    return Controls(inputs="", controls=[one("identity", 1.0), one("window (size 4)", 0.35)])


def probe():
    found = [
        Segmentation(**WHO, given=given, boundary=boundary, signal=signal, auc=0.8123456789, average_precision=0.5,
                     best_f1=0.6, base_rate=0.3, positions=4000)
        for given in ("left context", "mask 0.5") for boundary in ("word", "bpe") for signal in ("entropy", "surprisal")
    ]  # fmt: skip
    fragile = Fragility(
        **WHO, out_of_distribution=False, mask_ratio=0.5, reach=1, visible=[0, 1, 2], nats=[2.5, 2.0, 1.4],
        nats_se=[0.05, 0.05, 0.04], nats_a_neighbour=0.55, nats_a_neighbour_se=0.03,
    )  # fmt: skip
    words = Reconstruction(
        **WHO, pattern="scattered", hidden=2, words=400, nats_a_byte=1.5, nats_a_byte_se=0.1, all_right=0.2
    )
    cut = ContextLoss(**WHO, lengths=[1, 2, 4], nats=[2.5, 2.0, 1.9], nats_se=[0.1, 0.1, 0.1], effective=4)
    known = [
        Semantics(**WHO, given=f"mask {ratio}", mask_ratio=ratio, at="visible", label=label, labels=50, chance=0.2,
                  accuracy=[0.25, 0.4, 0.4321987654], positions=900)
        for ratio in (0.1, 0.5) for label in ("word", "bpe")
    ]  # fmt: skip
    return Probe(
        inputs="", windows=400, segmentation=found, fragility=[fragile], reconstruction=[words], semantics=known,
        context=[cut],
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(study, build, tmp_path_factory):
    folder = build(tmp_path_factory.mktemp("probes") / "out")
    write_record(folder.controls, controls())
    write_record(folder.probe, probe())
    return stage.run(study, folder)


def test_every_figure_is_drawn_and_every_table_is_there(page):
    html = page.read_text(encoding="utf-8")
    for name in ("information", "boundaries", "neighbours", "states"):
        assert (page.parent / "figures" / f"{name}.png").stat().st_size > 5000
        assert f'id="{name}"' in html
    for name in ("controls", "segmentation", "fragility", "reconstruction", "semantics", "context"):
        assert f'id="table-{name}"' in html


def test_tables_keep_every_digit(page):
    def rows(name):
        return list(csv.DictReader(io.StringIO((page.parent / "tables" / f"{name}.csv").read_text())))

    assert {row["auc"] for row in rows("segmentation")} == {"0.8123456789"}
    assert [row["local_kept"] for row in rows("controls")] == ["1.0", "0.35"]
    assert rows("controls")[0]["information_bits_64"] == "2e-05"
    assert rows("fragility")[0]["none_visible_nats"] == "2.5"
    assert rows("reconstruction")[0]["all_right"] == "0.2"
    assert rows("semantics")[0]["layer_2"] == "0.4321987654"


def test_a_study_without_them_shows_neither(study, build, tmp_path):
    html = stage.run(study, build(tmp_path / "out")).read_text(encoding="utf-8")
    assert "Order controls" not in html
    assert "Probe:" not in html
