"""The parts of docs/extending.md, installed as another package would be, pass the tests of bytegap's own."""

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

from bytegap.data.permutations.base import permutation
from bytegap.data.tokenizers.base import tokenizer_class, tokenizer_spec
from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import StudyError, TokenizerError
from bytegap.io.records import read_table
from bytegap.models.base import model_family
from bytegap.objectives.base import Sequences, objective
from bytegap.schema.runs import RunRow
from bytegap.study import registry
from tests.cost import test_flops
from tests.data.permutations import test_permutations
from tests.data.tokenizers import test_lossless
from tests.objectives import test_likelihood_truth

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
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return home


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(install(tmp_path / "site"))
    importlib.invalidate_caches()
    for cached in (registry.names, registry.part_class):
        cached.cache_clear()
    yield tmp_path / "site"
    for cached in (registry.names, registry.part_class):
        cached.cache_clear()
    for name in [name for name in sys.modules if name.startswith("bytegap_examples")]:
        del sys.modules[name]


def test_every_example_is_a_part_and_on_the_page(installed):
    page = (DOCS / "extending.md").read_text()
    shown = {path.stem for path in (installed / "bytegap_examples").glob("[a-z]*.py")}
    named = {name for points in PACKAGE["entry-points"].values() for name in points}
    assert shown == named
    kinds = {group: kind for kind, group in registry.PACKAGES.items()}
    for group, points in PACKAGE["entry-points"].items():
        for name in points:
            assert name in registry.names(kinds[group])
            assert f"examples/bytegap_examples/{name}.py" in page
    assert "examples/pyproject.toml" in page
    assert "examples/study.toml" in page


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("head", ["all", "supervised"])
@pytest.mark.parametrize(
    ("model_name", "objective_name"),
    [
        ("transformer", "stretch"),
        *(("squared", name) for name in ("ar", "mdm", "block_diffusion", "any_order", "stretch")),
    ],
)
def test_flops_equal_the_counter(model_name, objective_name, head):
    for rows, seq_len, size in ((3, 12, 0), (2, 31, 3)):
        test_flops.test_flops_equal_the_counter_forward_and_backward(
            model_name, objective_name, {}, head, rows, seq_len, size
        )


@pytest.mark.usefixtures("installed")
def test_the_models_parameters_are_counted():
    for size in (0, 2, 5):
        test_flops.test_parameters_are_those_of_the_built_model("squared", {}, size)
    sizes = [model_family(name).sizes(n_ids=259, max_positions=65) for name in ("squared", "transformer")]
    for ours, theirs in zip(*sizes, strict=False):
        if ours.d_model % 3 == 0:  # elsewhere Llama's MLP is rounded up
            assert ours.parameters() == theirs.parameters()
        if ours.d_model > 500:
            break


@pytest.mark.usefixtures("installed")
def test_the_objective_masks_one_stretch_and_is_scored_by_a_bound():
    test_flops.test_supervised_and_attended_pairs_are_the_means_over_all_times("stretch", {})
    test_likelihood_truth.test_a_model_without_context_has_the_same_nats_under_every_objective("stretch")
    test_likelihood_truth.test_bos_is_first_and_never_a_target("stretch")
    stretch, vocabulary = objective("stretch", {"share": 0.5}), Vocabulary(5)
    tokens_BS, t_B = torch.zeros(500, 20, dtype=torch.long), (torch.arange(500) + 0.5) / 500
    batch = stretch.training_batch(Sequences(tokens_BS, t_B, torch.Generator().manual_seed(0), vocabulary))
    masked_BS = (batch.inputs_BP[:, 1:] == vocabulary.mask).long()
    borders_B = (masked_BS.diff(prepend=torch.zeros(500, 1), append=torch.zeros(500, 1)) != 0).sum(1)
    assert (borders_B == 2).all()
    assert masked_BS.sum(1).max() == 10
    assert masked_BS.any(0).all(), "anywhere in the sequence"
    assert len(batch.positions_M) / 500 == pytest.approx(stretch.sequence_cost(20).supervised, rel=0.01)
    assert float(batch.weights_M.sum()) / 500 == pytest.approx(20, rel=0.01), "as if all tokens were targets"


@pytest.mark.usefixtures("installed")
def test_the_permutation_swaps_neighbours_and_is_inverted():
    for seq_len in (24, 23, 9, 1):
        test_permutations.test_restore_inverts_permute_and_each_row_depends_on_its_key("swap", {}, seq_len)
    assert permutation("swap").permute(np.arange(5)[None], np.zeros(1)).tolist() == [[1, 0, 3, 2, 4]]
    with pytest.raises(StudyError, match="has no option"):
        permutation("swap", {"size": 2})


@pytest.mark.usefixtures("installed")
def test_the_tokenizer_is_lossless_and_has_the_most_frequent_pairs(tmp_path):
    prepared = tokenizer_spec("digrams", {"vocab_size": 258}).prepare([b"the the then", b"th"], tmp_path)
    assert prepared.token_bytes[256:] == [b"th", b"he"]
    loaded = tokenizer_class("digrams").load(tmp_path)
    assert loaded.encode_batch([b"thehe"])[0].tolist() == [256, ord("e"), 257]
    test_lossless.check(loaded, test_lossless.HARD)
    with pytest.raises(TokenizerError, match="lower vocab_size = 300"):
        tokenizer_spec("digrams", {"vocab_size": 300}).prepare([b"ab"], tmp_path)


@pytest.mark.slow
def test_a_study_of_the_examples_runs_end_to_end(tmp_path):
    """In processes of their own, workers included, as with any package on the path."""
    home = install(tmp_path / "site")
    path = os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])])

    def bytegap(*arguments):
        command = [sys.executable, "-m", "bytegap", *arguments, str(EXAMPLES / "study.toml"), "--out", str(tmp_path)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path}, timeout=400
        )

    done = bytegap("run")
    assert done.returncode == 0, done.stderr
    rows = read_table(tmp_path / "extended" / "runs.jsonl", RunRow, "runs")
    assert {(row.arm, row.objective, row.permutation, row.model, row.tokenizer_kind) for row in rows} == {
        ("swapped", "ar", "swap", "squared", "digrams"),
        ("stretched", "stretch", "identity", "squared", "digrams"),
    }
    assert all(row.status == "finished" and row.bpb < row.unigram_bpb for row in rows if row.arm == "swapped")
    assert all(abs(row.spent_flops / row.flops - 1) < 0.01 for row in rows)
    assert json.loads((tmp_path / "extended" / "audit.json").read_text())["warnings"] == []
    assert "digrams" in (tmp_path / "extended" / "report" / "index.html").read_text()
