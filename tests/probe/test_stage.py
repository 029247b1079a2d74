"""The verb `probe` on a tiny study: every probe has rows, and token starts are the tokenizer's."""

import numpy as np
import pytest
import torch

from bytegap.data.tokenizers.base import load_tokenizer
from bytegap.errors import CommandError, StudyDirError
from bytegap.lm.language_model import load_run
from bytegap.probe import linear_probe, stage
from bytegap.probe.infilling import GAPS
from bytegap.probe.predict import cut_context_logp, hidden_states, target_logp, target_states
from bytegap.probe.windows import past_space, read_windows
from bytegap.study.directory import PROBE
from bytegap.study.load import load_study
from bytegap.train.run import train_run
from bytegap.tuning.cells import NamedCells
from tests.helpers.tiny_study import STUDY
from tests.helpers.trainers import planned

QUICK = STUDY.replace("budgets = [1e10]", "budgets = [2e9]").replace('tokenizer = "bpe"', 'tokenizer = "byte"')


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """(study, its folder) with a finished run of each arm; both are of bytes, the tokenizer `bpe` gives boundaries."""
    home = tmp_path_factory.mktemp("probe")
    tiny = planned(home, QUICK)
    study = load_study(home / "tiny.toml")
    with pytest.raises(StudyDirError, match="has no finished run to probe"):
        stage.run(study, tiny.study_dir)
    for spec in tiny.specs.values():
        train_run(spec, tiny.study_dir)
    return study, tiny.study_dir


def test_only_the_cells_that_are_named_are_probed(study, monkeypatch):
    probed = []

    def record(study_dir, specs, inputs_sha256):
        del study_dir, inputs_sha256
        probed.extend(spec.arm for spec in specs)
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "_probe", record)
    for named in (NamedCells(arms=("bpe-mdm",)), NamedCells()):
        with pytest.raises(KeyboardInterrupt):
            stage.run(*study, named)
    assert probed == ["bpe-mdm", "byte-ar", "bpe-mdm"]
    with pytest.raises(CommandError, match="--at 7: not a budget of bpe-mdm"):
        stage.run(*study, NamedCells(at=(7.0,), arms=("bpe-mdm",)))


def model_of(study_dir, arm):
    specs = [spec for spec, _ in study_dir.records(study_dir.plan().runs) if spec.arm == arm]
    return load_run(study_dir.run(specs[0].id))


def test_every_probe_has_rows_and_is_not_run_again(study, capsys, monkeypatch):
    """On few windows, with linear probes of few positions that are fitted roughly: all of them take minutes."""
    monkeypatch.setattr(stage, "WINDOWS", 8)
    monkeypatch.setattr(linear_probe, "MIN_POSITIONS", 50)
    monkeypatch.setattr(linear_probe, "_ITERATIONS", 5)
    probe = stage.run(*study)
    assert {row.arm for row in probe.segmentation} == {"bigram", "byte-ar", "bpe-mdm"}
    assert {row.boundary for row in probe.segmentation} == {"word", "bpe", "bpe, past its space"}
    assert {row.radius for row in probe.neighbour_ablation if row.arm == "byte-ar"} == {1, 2, 4, 8}
    assert {row.arm for row in probe.reconstruction} == {"bpe-mdm"}
    assert {row.gap for row in probe.infilling if row.arm == "bpe-mdm"} == set(GAPS)
    windows = study[1].windows().splits["test"]
    assert {(row.arm, row.windows) for row in probe.infilling if row.gap == 1} == {("bpe-mdm", windows.windows)}
    assert all(len(row.document_nats) == windows.n_documents for row in probe.infilling)
    assert all(0 <= row.exact_match <= row.bytes_restored <= 1 for row in probe.infilling)
    assert {row.label for row in probe.linear_probe} == {"word", "bpe"}
    assert {len(row.accuracy) for row in probe.linear_probe} == {3}
    assert all(0 < row.base_rate < 1 for row in probe.segmentation)
    capsys.readouterr()
    stage.run(*study)
    printed = capsys.readouterr().err
    assert "up to date" in printed
    best = max(probe.segmentation, key=lambda row: row.auc)
    assert f"{best.score} of {best.arm}" in printed
    assert f"AUC {best.auc:.3f}" in printed
    [used] = [row for row in probe.context if row.arm == "byte-ar"]
    assert f"{used.effective} of {used.lengths[-1]} by byte-ar" in printed
    assert "see 'bytegap report'" in printed


def test_token_starts_and_labels_are_the_tokenizers(study):
    _, study_dir = study
    tokenizer = load_tokenizer(study_dir.tokenizer("bpe").kind, study_dir.tokenizer_dir("bpe"))
    seen = 0
    for windows in read_windows(study_dir, "byte", 40):
        starts_BS, labels_BS = windows.starts["bpe"], windows.labels["bpe"]
        for tokens_S, starts_S, labels_S in zip(windows.tokens_BS, starts_BS, labels_BS, strict=True):
            text = bytes(int(token) for token in tokens_S if token < 256)
            (tokens,) = tokenizer.encode_batch([text])
            widths = [len(tokenizer.token_bytes[token]) for token in tokens]
            starts = [index for index in starts_S.nonzero()[:, 0].tolist() if index < len(text)]
            assert starts == np.cumsum([0, *widths[:-1]]).tolist()
            assert labels_S[: len(text)].tolist() == np.repeat(tokens, widths).tolist()
            seen += 1
    assert seen == 40


def test_the_last_hidden_states_are_those_that_the_head_reads(study):
    _, study_dir = study
    model = model_of(study_dir, "bpe-mdm")
    tokens_BS = next(read_windows(study_dir, "byte", 40)).tokens_BS
    hidden_BS = torch.rand(tokens_BS.shape) < 0.5
    states_LBSD = hidden_states(model, tokens_BS, hidden_BS)
    logits_BSV = model.network.lm_head(model.network.norm(states_LBSD[-1]))
    expected = target_logp(model, tokens_BS, hidden_BS, hidden_BS)
    torch.testing.assert_close(logits_BSV.log_softmax(-1)[hidden_BS], expected)
    torch.testing.assert_close(target_states(model, tokens_BS, hidden_BS, hidden_BS), states_LBSD[:, hidden_BS])


def test_positions_of_a_sequence_that_is_not_cut_are_the_usual_ones(study):
    _, study_dir = study
    model = model_of(study_dir, "byte-ar")
    tokens_BS = next(read_windows(study_dir, "byte", 40)).tokens_BS
    last_BS = (torch.arange(tokens_BS.shape[1]) == tokens_BS.shape[1] - 1).expand(tokens_BS.shape)
    first_B = torch.zeros(len(tokens_BS), dtype=torch.long)
    expected = target_logp(model, tokens_BS, last_BS, torch.zeros_like(last_BS))
    torch.testing.assert_close(cut_context_logp(model, tokens_BS, first_B), expected)
    moved = cut_context_logp(model, tokens_BS, first_B + 9)
    assert not torch.allclose(moved, expected, atol=1e-3)


def test_a_start_at_a_space_moves_to_the_next_byte():
    text = torch.tensor([list(b"We the 3rd, too")])
    starts = torch.tensor([[char in b" ,W" for char in b"We the 3rd, too"]])
    found = past_space(starts, text)[0].nonzero()[:, 0].tolist()
    assert [chr(int(text[0, index])) for index in found] == ["W", "t", "3", ",", "t"]


def test_missing_weights_are_named_with_the_fix(study):
    own_study, study_dir = study
    study_dir.path(PROBE).unlink(missing_ok=True)
    weights = list(study_dir.runs_dir.glob("*/weights.safetensors"))
    assert weights
    for path in weights:
        path.rename(path.with_suffix(".away"))
    with pytest.raises(StudyDirError, match=r"weights\.safetensors is missing: the run's weights are needed"):
        stage.run(own_study, study_dir)
    for path in weights:
        path.with_suffix(".away").rename(path)
