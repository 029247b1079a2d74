"""The probe of a whole tiny study: token starts are the tokenizer's, and a missing checkpoint is named."""

import numpy as np
import pytest
import torch

from bytegap.corpus import stage as corpus
from bytegap.errors import StoreError
from bytegap.plan import stage as plan
from bytegap.probe import stage
from bytegap.probe.models import Asked
from bytegap.probe.texts import past_space, read
from bytegap.records import Plan
from bytegap.store import Folder, read_record
from bytegap.study import load
from bytegap.symbols import reopen
from bytegap.tokens import stage as tokens
from bytegap.train import stage as train
from tests.tiny import STUDY, write_study

QUICK = STUDY.replace("budgets = [1e10]", "budgets = [2e9]").replace('tokens = "bpe"', 'tokens = "byte"')


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("probe")
    study, folder = load(write_study(home, QUICK)), Folder(home / "out")
    corpus.run(study, folder)
    tokens.run(study, folder)
    plan.run(study, folder)
    with pytest.raises(StoreError, match="has no finished run to probe"):
        stage.run(study, folder)
    train.run(folder)
    return study, folder


def test_every_way_of_asking_is_there(finished, capsys):
    probe = stage.run(*finished)
    assert {row.arm for row in probe.segmentation} == {"bigram", "byte-ar", "bpe-mdm"}
    assert {row.boundary for row in probe.segmentation} == {"word", "bpe", "bpe, past its space"}
    assert {row.reach for row in probe.fragility if row.arm == "byte-ar"} == {1, 2, 4, 8}
    assert {row.arm for row in probe.reconstruction} == {"bpe-mdm"}
    assert {row.label for row in probe.semantics} == {"word", "bpe"}
    assert {len(row.accuracy) for row in probe.semantics} == {3}
    assert all(0 < row.base_rate < 1 for row in probe.segmentation)
    stage.run(*finished)
    assert "up to date" in capsys.readouterr().err


def test_starts_are_where_the_tokenizer_cuts(finished):
    study, folder = finished
    tokenizer = reopen(folder, tokens.symbols_of("bpe", study, folder))
    seen = 0
    for text in read(folder, "byte", 40):
        for key, row, starts in zip(text.keys_B, text.symbols_BS, text.starts["bpe"], strict=True):
            whole = bytes(int(symbol) for symbol in row if symbol < 256)
            (symbols,) = tokenizer.encode_batch([whole])
            widths = [len(tokenizer.symbol_bytes[symbol]) for symbol in symbols]
            expected = np.cumsum([0, *widths[:-1]]).tolist()
            assert [place for place in starts.nonzero()[:, 0].tolist() if place < len(whole)] == expected
            inside = np.repeat(symbols, widths).tolist()
            assert text.labels["bpe"][list(text.keys_B).index(key), : len(whole)].tolist() == inside
            seen += 1
    assert seen == 40


def test_states_are_those_that_the_head_reads(finished):
    _, folder = finished
    plan = read_record(folder.plan, Plan, "plan")
    spec = next(spec for spec in plan.runs if spec.arm == "bpe-mdm")
    asked = Asked(folder, spec)
    text = next(read(folder, "byte", 40))
    hidden_BS = torch.rand(text.symbols_BS.shape) < 0.5
    states_LBSD = asked.states(text.symbols_BS, hidden_BS)
    logits_BSV = asked.model.lm_head(asked.model.norm(states_LBSD[-1]))
    expected = asked.hidden_ones(text.symbols_BS, hidden_BS, hidden_BS)
    torch.testing.assert_close(logits_BSV.log_softmax(-1)[hidden_BS], expected)


def test_a_row_that_is_not_cut_is_as_it_was(finished):
    _, folder = finished
    plan = read_record(folder.plan, Plan, "plan")
    asked = Asked(folder, next(spec for spec in plan.runs if spec.arm == "byte-ar"))
    rows = next(read(folder, "byte", 40)).symbols_BS
    everywhere = torch.ones_like(rows, dtype=torch.bool)
    first = torch.zeros(len(rows), dtype=torch.long)
    plain = asked.next_ones(rows, everywhere)
    torch.testing.assert_close(asked.next_ones(rows, everywhere, first_B=first), plain)
    assert not torch.allclose(asked.next_ones(rows, everywhere, first_B=first + 9), plain, atol=1e-3)


def test_a_start_that_is_a_space_moves_to_what_follows():
    text = torch.tensor([list(b"We the 3rd, too")])
    starts = torch.tensor([[char in b" ,W" for char in b"We the 3rd, too"]])
    found = past_space(starts, text)[0].nonzero()[:, 0].tolist()
    assert [chr(int(text[0, place])) for place in found] == ["W", "t", "3", ",", "t"]


def test_a_missing_checkpoint_is_named_with_its_mend(finished):
    study, folder = finished
    folder.probe.unlink(missing_ok=True)
    weights = next(folder.runs.glob("*/weights.safetensors"))
    for path in folder.runs.glob("*/weights.safetensors"):
        path.rename(path.with_suffix(".away"))
    with pytest.raises(StoreError, match=r"weights\.safetensors is missing: the run's weights are needed"):
        stage.run(study, folder)
    for path in folder.runs.glob("*/weights.away"):
        path.rename(path.with_suffix(".safetensors"))
    assert weights.exists()
