"""A model whose weights or likelihood are not finite: an error in one sentence, or a failed run; never a number."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bytegap import plugins
from bytegap.cli import main
from bytegap.errors import ModelError
from bytegap.finite import check_logits, check_nats
from bytegap.harness import stage as harness
from bytegap.likelihood import score_windows, stream, symbol_nats, window_nats
from bytegap.objectives._base import Vocabulary
from bytegap.plan import stage as plan
from bytegap.pretrained import own
from bytegap.probe.models import Asked, entropy_nats, surprisal_nats
from bytegap.records import Harness, HarnessTask, RunRecord, Score
from bytegap.samplers._base import Settings, choose
from bytegap.store import Folder, read_record
from bytegap.study import load
from bytegap.tensors import read_tensors, write_tensors
from bytegap.train import run as training
from bytegap.train.run import train_run
from bytegap.trained import spec_of
from bytegap.windows import Windows
from tests.finished import ARMS, finish

INF, NAN = float("inf"), float("nan")
VOCABULARY = Vocabulary(4)
WINDOWS = Windows(symbols=np.array([0, 1, 2, 3, 0, 1]), counts=np.array([3, 3]), bytes=6, sha256="")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A study's folder, with a finished run of each of these arms."""
    place = tmp_path_factory.mktemp("finite")
    finish(place, {arm: ARMS[arm] for arm in ("byte-ar", "byte-mdm", "byte-block", "byte-anyorder")})
    return place


@pytest.fixture
def spoilt(home, tmp_path):
    """Gives the run of an arm, two rows of its head replaced."""

    def made(arm, value):
        shutil.copytree(home / "out", tmp_path / "out")
        folder = Folder(tmp_path / "out" / "tiny")
        (run,) = [run for run in folder.runs.iterdir() if spec_of(run).arm == arm]
        weights, words = read_tensors(run / "weights.safetensors")
        head = weights["lm_head.weight"]
        head[0], head[1] = value, -value  # of the two logits one is huge, whatever is asked
        write_tensors(run / "weights.safetensors", weights, words)
        return folder, run

    return made


def one_sentence(told, run):
    assert f"{spec_of(run).arm} {spec_of(run).id}: " in told
    assert "not finite" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("value", [NAN, INF, 3e38])
@pytest.mark.parametrize("arm", ["byte-ar", "byte-mdm", "byte-block", "byte-anyorder"])
def test_evaluate_refuses_what_is_not_finite(spoilt, tmp_path, capsys, arm, value):
    """Of weights, or of logits that finite weights bring forth."""
    _, run = spoilt(arm, value)
    (tmp_path / "text").write_bytes(b"the people of the united states " * 4)
    for flag in ([], ["--json"]):
        assert main(["evaluate", str(run), str(tmp_path / "text"), *flag]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        one_sentence(told.err, run)


@pytest.mark.parametrize("arm", ["byte-ar", "byte-mdm", "byte-block", "byte-anyorder"])
@pytest.mark.parametrize("value", [NAN, 3e38])
def test_sample_refuses_what_is_not_finite(spoilt, capsys, arm, value):
    _, run = spoilt(arm, value)
    assert main(["sample", str(run), "--symbols", "8"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    one_sentence(told.err, run)


@pytest.mark.parametrize("value", [NAN, 3e38])
def test_compress_refuses_what_is_not_finite(spoilt, tmp_path, capsys, value):
    _, run = spoilt("byte-ar", value)
    (tmp_path / "text").write_bytes(b"the people of the united states " * 4)
    assert main(["compress", str(tmp_path / "text"), "--run", str(run), "-o", str(tmp_path / "made")]) == 2
    one_sentence(capsys.readouterr().err, run)
    assert not (tmp_path / "made").exists()


def test_another_model_with_weights_that_are_not_finite_is_refused(home, tmp_path, capsys):
    (run,) = [run for run in Folder(home / "out" / "tiny").runs.iterdir() if spec_of(run).arm == "byte-ar"]
    assert main(["export", str(run), "--out", str(tmp_path / "made")]) == 0
    path, config = tmp_path / "made" / "model.safetensors", tmp_path / "made" / "config.json"
    words = json.loads(config.read_text())
    del words[own.KEY]  # read as anybody's Llama, by no checksum of ours
    config.write_text(json.dumps(words))
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    next(iter(weights.values())).view(-1)[0] = NAN
    save_file(weights, path, {"format": "pt"})
    (tmp_path / "text").write_bytes(b"the people")
    capsys.readouterr()
    assert main(["evaluate", f"hf:{tmp_path / 'made'}", str(tmp_path / "text")]) == 2
    assert f"bytegap: {tmp_path / 'made'}: its weights are not finite: " in (told := capsys.readouterr().err)
    assert "holds NaN or infinity" in told


def test_noise_that_leaves_nothing_to_score_is_told(home, tmp_path, capsys):
    (run,) = [run for run in Folder(home / "out" / "tiny").runs.iterdir() if spec_of(run).arm == "byte-ar"]
    (tmp_path / "text").write_bytes(b"a")
    assert main(["evaluate", str(run), str(tmp_path / "text"), "--noise", "0.999"]) == 2
    assert "the noise 'dropped' leaves no byte of the text" in capsys.readouterr().err


def test_a_metric_that_is_not_finite_is_shown_as_such(capsys):
    told = {"model": "out/run", "weights": "", "asked": "task", "name": "arm", "exact": True, "questions": {"task": 1}}
    metrics = {"task": {"perplexity,none": None, "acc,none": 0.5}}
    task = HarnessTask(**told, metrics=metrics, shots={}, versions={}, estimate={})
    harness._print(Harness(inputs="", tasks=[task]))
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "perplexity" in line]
    assert "not finite" in line


def test_the_harness_refuses_what_is_not_finite(spoilt):
    from lm_eval.api.instance import Instance

    from bytegap.harness.model import Harnessed

    model = Harnessed(str(spoilt("byte-mdm", 3e38)[1]), passes=2, points=1)
    request = Instance("loglikelihood", {}, ("the", " people"), 0, ("task", 0, 1))
    with pytest.raises(ModelError, match=r"byte-mdm .*not finite"):
        model.loglikelihood([request])


@pytest.mark.parametrize("arm", ["byte-ar", "byte-mdm"])
def test_a_probe_refuses_logits_that_are_not_finite(spoilt, arm):
    folder, run = spoilt(arm, 3e38)
    asked = Asked(folder, spec_of(run))
    rows_BS, all_BS = torch.zeros(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.bool)
    with pytest.raises(ModelError, match=f"{arm} .*not finite"):
        asked.next_ones(rows_BS, all_BS) if asked.causal else asked.hidden_ones(rows_BS, all_BS, all_BS)


def test_a_probe_refuses_states_that_are_not_finite(spoilt):
    folder, run = spoilt("byte-ar", 0.0)
    asked = Asked(folder, spec_of(run))
    asked.model.embed_tokens.weight.data.fill_(NAN)
    with pytest.raises(ModelError, match=r"byte-ar .*hidden states are not finite"):
        asked.states(torch.zeros(2, 8, dtype=torch.long), torch.zeros(2, 8, dtype=torch.bool))


def test_a_probes_signals_hold_where_a_symbol_is_impossible():
    logp = torch.tensor([[0.5, 0.5, 0.0]]).log()
    assert float(entropy_nats(logp)) == pytest.approx(np.log(2))
    assert float(surprisal_nats(logp, torch.tensor([1]))) == pytest.approx(np.log(2))
    with pytest.raises(ModelError, match="probability 0"):
        surprisal_nats(logp, torch.tensor([2]))


def score(model, objective, way):
    module = plugins.load("objectives", objective)
    given = (model, module, plugins.options("objectives", objective, {}), WINDOWS)
    if way == "score_windows":
        return score_windows(*given, VOCABULARY, passes=2, seed=0, permute=lambda symbols, _: symbols).nats
    if way == "symbol_nats":
        return float(symbol_nats(*given, VOCABULARY, passes=2, seed=0)[1].mean())
    return float(window_nats(*given, torch.tensor([1, 0]), VOCABULARY, passes=2, points=2, seed=0)[0].sum())


@pytest.mark.parametrize("way", ["score_windows", "symbol_nats", "window_nats"])
@pytest.mark.parametrize("objective", ["ar", "mdm"])
def test_scores_are_finite_or_an_error(objective, way):
    def model(symbol, value):
        def logits(inputs_BP, positions_M, sight):
            del inputs_BP, sight
            return torch.zeros(len(positions_M), VOCABULARY.ids).index_fill(1, torch.tensor([symbol]), value)

        return logits

    assert np.isfinite(score(model(VOCABULARY.mask, -INF), objective, way)), "no target: it may be impossible"
    for symbol, value, said in [
        (VOCABULARY.mask, NAN, "is NaN"),
        (VOCABULARY.mask, INF, "the model: the likelihood of the text is "),
        (1, -INF, "is infinite, because it gives a symbol of the text probability 0"),
    ]:
        with pytest.raises(ModelError, match=said):
            score(model(symbol, value), objective, way)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_symbol_is_chosen_only_from_finite_logits(temperature):
    def chosen(*logits):
        given = torch.tensor([logits])
        return choose(given, Settings(temperature=temperature), VOCABULARY, stream(0)).tolist()

    assert chosen(-INF, 0.0, -INF, -INF, -INF, NAN, NAN) == [1], "BOS and MASK are not drawn, whatever they are"
    for logits in [(NAN, *[0.0] * 6), (INF, *[0.0] * 6), (*[-INF] * 5, 0.0, 0.0)]:
        with pytest.raises(ModelError, match="not finite"):
            chosen(*logits)


def test_the_checks_let_finite_numbers_pass():
    logits = torch.tensor([[0.0, -INF], [-INF, 1.0]])
    assert check_logits(logits, "it") is logits
    assert len(check_logits(logits[:0], "it")) == 0
    assert check_nats(logits[:0], "it").numel() == 0


@pytest.fixture
def short(home):
    """A run of few steps that nobody has trained, and its folder."""
    folder = Folder(home / "out" / "tiny")
    specs = plan.resolve(load(home / "tiny.toml"), folder).runs
    return folder, next(spec for spec in specs if spec.arm == "byte-ar").model_copy(update={"steps": 4})


def failed(folder, spec):
    record = train_run(spec, folder, lambda *_: None)
    assert record == read_record(folder.run(spec.id) / "record.json", RunRecord, "train")
    assert record.status == "failed"
    assert not isinstance(record.validation, Score)
    assert not isinstance(record.test, Score)
    shutil.rmtree(folder.run(spec.id))
    return record.reason


def test_a_run_whose_scores_are_not_finite_is_a_failed_one(short, monkeypatch):
    trained = training._train

    def spoil(state, *rest):
        took_s = trained(state, *rest)
        with torch.no_grad():
            state.model.lm_head.weight[0, 0] = NAN
        return took_s

    monkeypatch.setattr(training, "_train", spoil)
    assert failed(*short).startswith("its scores are not finite: ")


@pytest.mark.parametrize("at", [2, 3])
def test_a_step_that_leaves_no_numbers_ends_a_run_with_its_reason(short, monkeypatch, at):
    """Step 2 is the middle one, whose update is measured; 3 is the last, after which there is no other to notice."""
    step, done = torch.optim.AdamW.step, []

    def spoil(self, *rest):
        step(self, *rest)
        done.append(1)
        if len(done) == at + 1:
            self.param_groups[0]["params"][0].data.fill_(NAN)

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    said = failed(*short)
    assert ("gradient norm nan" in said) if at == 2 else said.startswith("its scores are not finite: ")
