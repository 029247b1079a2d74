"""The plug-ins of docs/extending.md, installed as another package would be, held to the tests of bytegap's own."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from bytegap import plugins
from bytegap.errors import StudyError, TokensError
from bytegap.objectives._base import Vocabulary
from bytegap.records import RunRow
from bytegap.store import read_table
from tests.accounting import test_flops
from tests.objectives import test_likelihood_truth
from tests.orders import test_orders
from tests.tokens import test_lossless

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
PACKAGE = tomllib.loads((EXAMPLES / "pyproject.toml").read_text())["project"]


def install(home: Path) -> Path:
    """The package's files, and its entry points as pip would write them."""
    shutil.copytree(EXAMPLES / "bytegap_examples", home / "bytegap_examples")
    info = home / "bytegap_examples-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE['name']}\nVersion: {PACKAGE['version']}\n")
    lines = []
    for group, points in PACKAGE["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return home


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(install(tmp_path / "site"))
    importlib.invalidate_caches()
    for cached in (plugins.names, plugins.load):
        cached.cache_clear()
    yield tmp_path / "site"
    for cached in (plugins.names, plugins.load):
        cached.cache_clear()
    for name in [name for name in sys.modules if name.startswith("bytegap_examples")]:
        del sys.modules[name]


def test_every_example_is_a_plugin_and_on_the_page(installed):
    page = (DOCS / "extending.md").read_text()
    shown = {path.stem for path in (installed / "bytegap_examples").glob("[a-z]*.py")}
    named = {name for points in PACKAGE["entry-points"].values() for name in points}
    assert shown == named
    for group, points in PACKAGE["entry-points"].items():
        for name in points:
            assert name in plugins.names(group.removeprefix("bytegap."))
            assert f"examples/bytegap_examples/{name}.py" in page
    assert "examples/pyproject.toml" in page
    assert "examples/study.toml" in page


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("head", ["all", "supervised"])
@pytest.mark.parametrize(
    ("model", "objective"),
    [("transformer", "stretch"), *(("squared", name) for name in ("ar", "mdm", "block", "anyorder", "stretch"))],
)
def test_flops_are_the_counters(model, objective, head):
    for rows, row, rung in ((3, 12, 0), (2, 31, 3)):
        test_flops.test_flops_equal_the_counter_forward_and_backward(model, objective, head, rows, row, rung)


@pytest.mark.usefixtures("installed")
def test_the_model_has_the_parameters_that_it_says():
    for rung in (0, 2, 5):
        test_flops.test_parameters_are_those_of_the_built_model("squared", rung)
    module, other = plugins.load("models", "squared"), plugins.load("models", "transformer")
    told = {"vocabulary": 259, "positions": 65}
    for ours, theirs in zip(module.ladder(**told), other.ladder(**told), strict=False):
        if ours.width % 3 == 0:  # elsewhere Llama's MLP is rounded up
            assert module.parameters(ours) == other.parameters(theirs)
        if ours.width > 500:
            break


@pytest.mark.usefixtures("installed")
def test_the_objective_hides_one_stretch_and_is_scored_by_a_bound():
    test_flops.test_supervised_is_the_mean_over_a_batch_of_every_time("transformer", "stretch")
    test_likelihood_truth.test_without_context_every_objective_gives_the_same_nats("stretch")
    test_likelihood_truth.test_bos_is_first_and_never_asked("stretch")
    stretch, vocabulary = plugins.load("objectives", "stretch"), Vocabulary(5)
    rows, u = torch.zeros(500, 20, dtype=torch.long), (torch.arange(500) + 0.5) / 500
    question = stretch.ask(rows, u, torch.Generator().manual_seed(0), vocabulary, stretch.Options(share=0.5))
    hidden_BS = (question.inputs_BP[:, 1:] == vocabulary.mask).long()
    borders_B = (hidden_BS.diff(prepend=torch.zeros(500, 1), append=torch.zeros(500, 1)) != 0).sum(1)
    assert (borders_B == 2).all()
    assert hidden_BS.sum(1).max() == 10
    assert hidden_BS.any(0).all(), "anywhere in the row"
    assert len(question.positions_M) / 500 == pytest.approx(
        stretch.row(20, stretch.Options(share=0.5)).supervised, rel=0.01
    )
    assert float(question.weights_M.sum()) / 500 == pytest.approx(20, rel=0.01), "as if all of the row had been asked"


@pytest.mark.usefixtures("installed")
def test_the_order_is_undone_and_swaps_neighbours():
    for symbols in (24, 23, 9, 1):
        test_orders.test_an_order_loses_nothing_and_is_undone("swap", {}, symbols)
    swap = plugins.load("orders", "swap")
    moved = swap.permute(np.arange(5)[None], np.zeros(1), plugins.Options())
    assert moved.tolist() == [[1, 0, 3, 2, 4]]
    with pytest.raises(StudyError, match="has no option"):
        plugins.options("orders", "swap", {"size": 2})


@pytest.mark.usefixtures("installed")
def test_the_tokens_are_lossless_and_the_commonest_pairs(tmp_path):
    digrams = plugins.load("tokens", "digrams")
    options = plugins.options("tokens", "digrams", {"vocabulary": 258})
    prepared = digrams.prepare(options, [b"the the then", b"th"], tmp_path)
    assert prepared.symbol_bytes[256:] == [b"th", b"he"]
    reopened = digrams.reopen(tmp_path)
    assert reopened.encode_batch([b"thehe"])[0].tolist() == [256, ord("e"), 257]
    test_lossless.check(reopened, test_lossless.HARD)
    with pytest.raises(TokensError, match="lower vocabulary = 300"):
        digrams.prepare(plugins.options("tokens", "digrams", {"vocabulary": 300}), [b"ab"], tmp_path)


@pytest.mark.slow
def test_a_study_of_them_alone_walks_the_road(tmp_path):
    """In processes of their own, workers included: what any package on the path may do."""
    home = install(tmp_path / "site")
    path = os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])])

    def bytegap(*arguments):
        command = [sys.executable, "-m", "bytegap", *arguments, str(EXAMPLES / "study.toml"), "--out", str(tmp_path)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path}, timeout=400
        )

    done = bytegap("quickstart")
    assert done.returncode == 0, done.stderr
    rows = read_table(tmp_path / "extended" / "runs.jsonl", RunRow, "runs")
    assert {(row.arm, row.objective, row.order, row.model, row.tokens_kind) for row in rows} == {
        ("swapped", "ar", "swap", "squared", "digrams"),
        ("stretched", "stretch (share 0.5)", "identity", "squared", "digrams"),
    }
    assert all(row.status == "finished" and row.bpb < row.unigram_bpb for row in rows if row.arm == "swapped")
    assert all(abs(row.spent_flops / row.flops - 1) < 0.01 for row in rows)
    assert json.loads((tmp_path / "extended" / "audit.json").read_text())["warnings"] == []
    assert "digrams" in (tmp_path / "extended" / "report" / "index.html").read_text()
