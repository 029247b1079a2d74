"""Models whose weights or likelihood are not finite end in one sentence or a failed run, never in a number."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bytegap.cli.main import main
from bytegap.data.vocabulary import Vocabulary
from bytegap.data.windows import Windows
from bytegap.errors import ModelError
from bytegap.io.tensors import read_tensors, write_tensors
from bytegap.lm.language_model import load_run
from bytegap.lm.likelihood import rng_for, score_windows, token_nats, window_nats
from bytegap.lm.pretrained import exported
from bytegap.lm_eval import stage as lm_eval
from bytegap.nn.finite import check_logits, check_nats
from bytegap.objectives.base import objective
from bytegap.plan import stage as plan
from bytegap.probe.predict import (
    entropy_nats,
    hidden_states,
    surprisal_nats,
    target_logp,
)
from bytegap.sampling.base import SamplingSettings, draw_tokens
from bytegap.schema.evaluate import LmEvalResults, LmEvalTask
from bytegap.study.load import load_study
from bytegap.train.run import train_run
from bytegap.train.trainer import Trainer
from tests.helpers.finished_runs import ARMS, finish
from tests.helpers.language_models import language_model

INF, NAN = float("inf"), float("nan")
VOCABULARY = Vocabulary(4)
WINDOWS = Windows(tokens=np.array([0, 1, 2, 3, 0, 1]), counts=np.array([3, 3]), bytes=6, sha256="")
ONE_OF_EACH = ["byte-ar", "byte-mdm", "byte-block", "byte-anyorder"]
TEXT = b"the people of the united states " * 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(study folder, {arm: folder of a finished run})."""
    return finish(tmp_path_factory.mktemp("finite"), {arm: ARMS[arm] for arm in ONE_OF_EACH})


@pytest.fixture
def damaged(finished, tmp_path):
    """Copies the study, replaces two rows of the head of an arm's run, and returns the run's folder."""

    def damage(arm, value):
        study_dir, runs = finished
        shutil.copytree(study_dir.root, tmp_path / "out" / "tiny")
        run_dir = type(study_dir)(tmp_path / "out" / "tiny").run(runs[arm].path.name)
        weights, metadata = read_tensors(run_dir.weights_path)
        head = weights["lm_head.weight"]
        head[0], head[1] = value, -value  # one of their logits is huge, whatever the input
        write_tensors(run_dir.weights_path, weights, metadata)
        return run_dir

    return damage


def assert_one_sentence(stderr, run_dir):
    assert f"{run_dir.spec().arm} {run_dir.spec().id}: " in stderr
    assert "not finite" in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("value", [NAN, INF, 3e38])
@pytest.mark.parametrize("arm", ONE_OF_EACH)
def test_evaluate_refuses_a_model_that_is_not_finite(damaged, tmp_path, capsys, arm, value):
    """Its weights, or logits that finite weights give."""
    run_dir = damaged(arm, value)
    (tmp_path / "text").write_bytes(TEXT)
    for flag in ([], ["--json"]):
        assert main(["evaluate", str(run_dir.path), str(tmp_path / "text"), *flag]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert_one_sentence(captured.err, run_dir)


@pytest.mark.parametrize("arm", ONE_OF_EACH)
@pytest.mark.parametrize("value", [NAN, 3e38])
def test_generate_refuses_a_model_that_is_not_finite(damaged, capsys, arm, value):
    run_dir = damaged(arm, value)
    assert main(["generate", str(run_dir.path), "--max-new-tokens", "8"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert_one_sentence(captured.err, run_dir)


@pytest.mark.parametrize("value", [NAN, 3e38])
def test_compress_refuses_a_model_that_is_not_finite(damaged, tmp_path, capsys, value):
    run_dir, output = damaged("byte-ar", value), tmp_path / "compressed"
    (tmp_path / "text").write_bytes(TEXT)
    assert main(["compress", str(tmp_path / "text"), "--run", str(run_dir.path), "-o", str(output)]) == 2
    assert_one_sentence(capsys.readouterr().err, run_dir)
    assert not output.exists()


def test_a_pretrained_model_with_weights_that_are_not_finite_is_refused(finished, tmp_path, capsys):
    folder = tmp_path / "exported"
    assert main(["export", str(finished[1]["byte-ar"].path), "--out", str(folder)]) == 0
    path, config_path = folder / "model.safetensors", folder / "config.json"
    config = json.loads(config_path.read_text())
    del config[exported.KEY]  # read as any Llama, without a checksum of ours
    config_path.write_text(json.dumps(config))
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    next(iter(weights.values())).view(-1)[0] = NAN
    save_file(weights, path, {"format": "pt"})
    (tmp_path / "text").write_bytes(b"the people")
    capsys.readouterr()
    assert main(["evaluate", f"hf:{folder}", str(tmp_path / "text")]) == 2
    stderr = capsys.readouterr().err
    assert f"bytegap: {folder}: its weights are not finite: " in stderr
    assert "holds NaN or infinity" in stderr


def test_a_corruption_that_leaves_nothing_to_score_is_an_error(finished, tmp_path, capsys):
    (tmp_path / "text").write_bytes(b"a")
    run = str(finished[1]["byte-ar"].path)
    assert main(["evaluate", run, str(tmp_path / "text"), "--corrupt", "0.999"]) == 2
    assert "corruption 'delete' leaves no byte of the text" in capsys.readouterr().err


def test_lm_eval_prints_a_metric_that_is_not_finite_as_such(capsys):
    task = LmEvalTask(
        model="out/run",
        weights_sha256="",
        requested="task",
        name="arm",
        exact=True,
        examples={"task": 1},
        metrics={"task": {"perplexity,none": None, "acc,none": 0.5}},
        shots={},
        versions={},
        likelihood_error={},
    )
    lm_eval._print(LmEvalResults(inputs_sha256="", tasks=[task]))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "perplexity" in line]
    assert "not finite" in line


def test_lm_eval_refuses_a_model_that_is_not_finite(damaged):
    from lm_eval.api.instance import Instance

    from bytegap.lm_eval.model import BytegapLM

    model = BytegapLM(str(damaged("byte-mdm", 3e38).path), mc_passes=2, points=1)
    request = Instance("loglikelihood", {}, ("the", " people"), 0, ("task", 0, 1))
    with pytest.raises(ModelError, match=r"byte-mdm .*not finite"):
        model.loglikelihood([request])


@pytest.mark.parametrize("arm", ["byte-ar", "byte-mdm"])
def test_probes_refuse_logits_that_are_not_finite(damaged, arm):
    model = load_run(damaged(arm, 3e38))
    tokens_BS, all_BS = torch.zeros(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.bool)
    with pytest.raises(ModelError, match=f"{arm} .*not finite"):
        target_logp(model, tokens_BS, all_BS, all_BS)


def test_probes_refuse_hidden_states_that_are_not_finite(damaged):
    model = load_run(damaged("byte-ar", 0.0))
    model.network.embed_tokens.weight.data.fill_(NAN)
    with pytest.raises(ModelError, match=r"byte-ar .*hidden states are not finite"):
        hidden_states(model, torch.zeros(2, 8, dtype=torch.long), torch.zeros(2, 8, dtype=torch.bool))


def test_entropy_and_surprisal_where_a_token_is_impossible():
    logp = torch.tensor([[0.5, 0.5, 0.0]]).log()
    assert float(entropy_nats(logp)) == pytest.approx(np.log(2))
    assert float(surprisal_nats(logp, torch.tensor([1]))) == pytest.approx(np.log(2))
    with pytest.raises(ModelError, match="probability 0"):
        surprisal_nats(logp, torch.tensor([2]))


class ConstantNetwork(torch.nn.Module):
    """Logits that are 0, but for one token's."""

    def __init__(self, token, value):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(VOCABULARY.n_ids).index_fill(0, torch.tensor([token]), value))

    def forward(self, inputs_BP, positions_M, attention):
        del inputs_BP, attention
        return self.weight.expand(len(positions_M), -1)


def score(token, value, name, function):
    model = language_model(ConstantNetwork(token, value), objective(name), VOCABULARY, 3, mc_passes=2)
    if function == "score_windows":
        return score_windows(model, WINDOWS).nats
    if function == "token_nats":
        return float(token_nats(model, WINDOWS)[1].mean())
    return float(window_nats(model, WINDOWS, torch.tensor([1, 0]), points=2)[0].sum())


@pytest.mark.parametrize("function", ["score_windows", "token_nats", "window_nats"])
@pytest.mark.parametrize("name", ["ar", "mdm"])
def test_scores_are_finite_or_an_error(name, function):
    assert np.isfinite(score(VOCABULARY.mask, -INF, name, function)), "MASK is no target and may be impossible"
    for token, value, message in [
        (VOCABULARY.mask, NAN, "its logits are not finite"),
        (VOCABULARY.mask, INF, "its logits are not finite"),
        (1, -INF, "is infinite, because it gives a token of the text probability 0"),
    ]:
        with pytest.raises(ModelError, match=f"test model: .*{message}"):
            score(token, value, name, function)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_tokens_are_drawn_only_from_finite_logits(temperature):
    def draw(*logits):
        settings = SamplingSettings(temperature=temperature)
        return draw_tokens(torch.tensor([logits]), settings, VOCABULARY, rng_for(0)).tolist()

    assert draw(-INF, 0.0, -INF, -INF, -INF, NAN, NAN) == [1], "BOS and MASK are never drawn, whatever their logits"
    for logits in [(NAN, *[0.0] * 6), (INF, *[0.0] * 6), (*[-INF] * 5, 0.0, 0.0)]:
        with pytest.raises(ModelError, match="not finite"):
            draw(*logits)


def test_the_checks_return_finite_numbers():
    logits = torch.tensor([[0.0, -INF], [-INF, 1.0]])
    assert check_logits(logits, "model") is logits
    assert len(check_logits(logits[:0], "model")) == 0
    assert check_nats(logits[:0], "model").numel() == 0


@pytest.fixture
def short(finished):
    """A study folder, and a run of few steps that is not trained yet."""
    study_dir, _ = finished
    study = load_study(study_dir.root.parents[1] / "tiny.toml")
    specs = plan.resolve_plan(study, study_dir).runs
    return study_dir, next(spec for spec in specs if spec.arm == "byte-ar").model_copy(update={"steps": 4})


def failure_reason(study_dir, spec):
    record, run_dir = train_run(spec, study_dir), study_dir.run(spec.id)
    assert record == run_dir.record()
    assert record.status == "failed"
    assert record.validation is record.test is None
    shutil.rmtree(run_dir.path)
    return record.reason


def test_a_run_whose_scores_are_not_finite_fails(short, monkeypatch):
    steps = Trainer.steps

    def damage(trainer):
        yield from steps(trainer)
        with torch.no_grad():
            trainer.network.lm_head.weight[0, 0] = NAN

    monkeypatch.setattr(Trainer, "steps", damage)
    assert failure_reason(*short).startswith("its scores are not finite: ")


@pytest.mark.parametrize("damaged_step", [2, 3])
def test_a_run_whose_weights_become_nan_fails_with_a_reason(short, monkeypatch, damaged_step):
    """Step 2 is the middle one, whose update is measured; after step 3, the last, no other step notices."""
    step, done = torch.optim.AdamW.step, []

    def damage(self, *rest):
        step(self, *rest)
        done.append(1)
        if len(done) == damaged_step + 1:
            self.param_groups[0]["params"][0].data.fill_(NAN)

    monkeypatch.setattr(torch.optim.AdamW, "step", damage)
    reason = failure_reason(*short)
    if damaged_step == 2:
        assert "gradient norm nan" in reason
    else:
        assert reason.startswith("its scores are not finite: ")
