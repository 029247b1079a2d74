"""Models under the real lm-evaluation-harness: against its own `hf` model, `bytegap evaluate`, and by hand."""

import math
import shutil

import numpy as np
import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from bytegap.data.windows import Windows, chunk_lengths
from bytegap.errors import EvaluateError, GenerateError
from bytegap.evaluate.score import score_bytes
from bytegap.export import stage as export
from bytegap.lm.likelihood import rng_for, score_windows
from bytegap.lm_eval.model import BytegapLM, sampling_settings
from bytegap.sampling.base import SamplingSettings
from tests.helpers.pretrained_folders import change_config

ARMS = ("byte-ar", "bpe-ar", "byte-mdm", "byte-block", "byte-anyorder")


@pytest.fixture(scope="module")
def runs(finished_study):
    """Paths of the runs' folders, by arm."""
    return {arm: run.path for arm, run in finished_study[1].items()}


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    home = tmp_path_factory.mktemp("exported")
    for arm in ("byte-ar", "bpe-ar"):
        export.run(runs[arm], home / arm)
    return home


def instances(kind, arguments, task="by hand"):
    return [Instance(kind, {}, one, number, (task, number, 1)) for number, one in enumerate(arguments)]


@pytest.fixture
def pairs(sentence):
    def made(number, words=(6, 3), seed=0):
        """Contexts and continuations of so many words at most, with spaces of every kind; some without context."""
        rng = np.random.default_rng(seed)
        result = []
        for i in range(number):
            context = "" if i % 10 == 0 else sentence(rng, 1, words[0]) + ("", " ", "  ", "\n")[i % 4]
            result.append((context, ("", " ")[i % 2] + sentence(rng, 1, words[1])))
        return result

    return made


@pytest.mark.parametrize(("arm", "words"), [("byte-ar", (6, 3)), ("bpe-ar", (4, 2))])
def test_loglikelihoods_of_ar_equal_those_of_the_harness_for_the_export(runs, exported, pairs, arm, words):
    ours, theirs = BytegapLM(str(runs[arm])), HFLM(pretrained=str(exported / arm), device="cpu", batch_size=8)
    requests = instances("loglikelihood", pairs(100, words))
    longest = max(len(ours.tok_encode("".join(request.args))) for request in requests)
    assert longest <= ours.model.seq_len + 1, "none is cut"
    expected = theirs.loglikelihood(requests, disable_tqdm=True)
    found = ours.loglikelihood(requests)
    assert np.ptp([nats for nats, _ in expected]) > 10
    assert [nats for nats, _ in found] == pytest.approx([nats for nats, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-ar"])
def test_ar_generates_and_scores_documents_as_the_harness_does(runs, exported, pairs, arm):
    ours = BytegapLM(str(runs[arm]))
    theirs = HFLM(pretrained=str(exported / arm), device="cpu", batch_size=1, add_bos_token=False)
    texts = instances("loglikelihood_rolling", [("the people of the law",), ("congress",)])
    assert ours.loglikelihood_rolling(texts) == pytest.approx(theirs.loglikelihood_rolling(texts), abs=1e-4)
    theirs = HFLM(pretrained=str(exported / arm), device="cpu", batch_size=1)
    for kwargs in ({"max_gen_toks": 12}, {"max_gen_toks": 10, "until": [" ", "th"]}, {"until": "e", "max_gen_toks": 8}):
        prompts = instances("generate_until", [(text, kwargs) for text, _ in pairs(8, (3, 1), seed=2) if text])
        assert ours.generate_until(prompts) == theirs.generate_until(prompts, disable_tqdm=True)


def test_a_continuation_is_greedy_if_greedy_generation_gives_it(runs):
    for arm in ARMS:
        harness = BytegapLM(str(runs[arm]), mc_passes=2, points=1)
        model, tokens = harness.model, harness.tok_encode("the people")[1:]
        sequence_S = torch.tensor([*tokens, *[model.vocabulary.mask] * 4])
        settings = SamplingSettings(0.0, None, "low_confidence")
        with torch.no_grad():
            for _ in model.objective.sampler().generate(model, sequence_S, settings, rng_for(0)):
                pass
        greedy = sequence_S[len(tokens) :].tolist()
        other = [*greedy[:-1], (greedy[-1] + 1) % 200]
        context = [harness.prefix_token_id, *tokens]
        results = harness._loglikelihood_tokens([(("", ""), context, greedy), (("", ""), context, other)])
        assert [is_greedy for _, is_greedy in results] == [True, False], arm
        assert results[0][0] != results[1][0]


@pytest.mark.parametrize("arm", ARMS)
def test_every_kind_of_task_runs(runs, tasks, arm):
    manager, examples, folder = tasks
    arguments = {"run": str(runs[arm]), "mc_passes": 4, "points": 4}
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    found = simple_evaluate(
        "bytegap", arguments, tasks=names, task_manager=manager, bootstrap_iters=0, log_samples=True
    )
    assert sorted(found["results"]) == names
    errors = found["config"]["likelihood_error"]
    assert errors["choice"]["requests"] == 3 * len(examples)
    assert errors["rolling"]["requests"] == len(examples)
    for error in (errors["choice"]["mean_se_nats"], errors["rolling"]["bits_per_byte_se"]):
        assert (error == 0) == arm.endswith("-ar")
    choices = [sample["resps"] for sample in found["samples"]["choice"]]
    correct = 0
    for example, responses in zip(examples, choices, strict=True):
        nats = [-response[0][0] for response in responses]
        correct += int(np.argmin(nats)) == example["answer"]
    assert found["results"]["choice"]["acc,none"] == pytest.approx(correct / len(examples))
    for sample in found["samples"]["writing"]:
        text = sample["resps"][0][0]
        assert "e" not in text
        assert len(text) <= 12 * (1 if arm.startswith("byte") else 8)
    assert 1 < found["results"]["rolling"]["bits_per_byte,none"] < 10, "a hardly trained model"


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-ar", "byte-mdm", "byte-block"])
def test_bits_per_byte_equal_those_of_evaluate_without_eos(runs, tasks, arm):
    """`bytegap evaluate` charges the end of a document as a token, the harness does not."""
    manager, examples, _ = tasks
    texts = [example["question"].encode() for example in examples]
    harness = BytegapLM(str(runs[arm]), mc_passes=32)
    model, n_bytes = harness.model, sum(map(len, texts))
    found = simple_evaluate(harness, tasks=["rolling"], task_manager=manager, bootstrap_iters=0)
    bpb = found["results"]["rolling"]["bits_per_byte,none"]
    error = found["config"]["likelihood_error"]["rolling"]["bits_per_byte_se"] or 0.0
    assert any(len(text) > model.seq_len for text in texts), "some fill more than a sequence"
    scored = [score_bytes(model, text) for text in texts]
    with_eos = sum(own.nats for own in scored) / math.log(2) / n_bytes
    eos = sum(own.eos_nats for own in scored) / math.log(2) / n_bytes
    assert eos > 0.001
    if model.objective.is_exact:
        assert bpb == pytest.approx(with_eos - eos, abs=1e-6)
        return
    # For a masked model EOS is one more token that is visible or masked: the bound without it is a different one.
    tokens = [model.tokenizer.encode_batch([text])[0].astype(np.int64) for text in texts]
    counts = [length for own in tokens for length in chunk_lengths(len(own), model.seq_len)]
    windows = Windows(np.concatenate(tokens), np.array(counts), n_bytes, "")
    own = score_windows(model, windows)
    assert bpb == pytest.approx(own.bpb, abs=4 * math.hypot(error, own.bpb_se))
    assert own.bpb_se < 0.03 * own.bpb
    assert bpb < with_eos + 4 * error


def test_where_eos_is_a_sequence_of_its_own_the_estimates_differ_by_it(runs):
    """A text that fills its sequences; what remains is the same estimate."""
    harness = BytegapLM(str(runs["byte-mdm"]), mc_passes=48)
    text = ("the people of the united states " * 40)[: 6 * harness.model.seq_len]
    nats = -harness.loglikelihood_rolling(instances("loglikelihood_rolling", [(text,)]))[0]
    error = harness.likelihood_errors()["by hand"].mean_se_nats
    scored = score_bytes(harness.model, text.encode())
    other = scored.pass_nats.std(ddof=1) / 48**0.5
    assert nats == pytest.approx(scored.nats - scored.eos_nats, abs=4 * math.hypot(error, other))
    assert error < 0.03 * nats


def test_a_long_context_loses_its_beginning_and_a_long_continuation_fills_several_sequences(runs):
    harness = BytegapLM(str(runs["byte-ar"]))
    S = harness.model.seq_len
    context, continuation = "x" * 7 + "the people of the law " * 20, "and of the nation"
    kept = context[-(S - len(continuation)) :]
    cut, uncut = harness.loglikelihood(instances("loglikelihood", [(context, continuation), (kept, continuation)]))
    assert cut[0] == pytest.approx(uncut[0], abs=1e-6)
    long = ("the nation and the law of the people " * 20)[: 2 * S + 5]
    nats = harness.loglikelihood(instances("loglikelihood", [("", long)]))[0][0]
    assert nats == pytest.approx(harness.loglikelihood_rolling(instances("loglikelihood_rolling", [(long,)]))[0])


@pytest.mark.parametrize("arm", ["byte-ar", "byte-mdm", "byte-block"])
def test_text_continues_beyond_a_sequence_and_requests_have_seeds_of_their_own(runs, arm):
    harness = BytegapLM(str(runs[arm]), steps=4)
    S = harness.model.seq_len
    options = {"do_sample": True, "temperature": 1.0, "max_gen_toks": 2 * S}
    texts = harness.generate_until(instances("generate_until", [("the people", options)] * 2))
    assert texts[0] != texts[1]
    texts = harness.generate_until(instances("generate_until", [("a" * S, options)] * 4))
    assert max(len(text.encode()) for text in texts) > S // 2
    [short] = harness.generate_until(instances("generate_until", [("", {"max_gen_toks": 3})]))
    assert len(short) <= 3


def test_a_causal_model_of_transformers_is_scored_and_generates(exported, pairs, tmp_path):
    """An export without the key `bytegap`: loaded by `transformers`, without a cache or a MASK."""
    folder = shutil.copytree(exported / "bpe-ar", tmp_path / "model")
    change_config(folder, "bytegap")
    change_config(folder, "mask_token_id")
    ours, theirs = BytegapLM(f"hf:{folder}"), HFLM(pretrained=str(folder), device="cpu", batch_size=8)
    assert ours.model.vocabulary.mask == -1
    requests = instances("loglikelihood", pairs(12, (4, 2)))
    found, expected = ours.loglikelihood(requests), theirs.loglikelihood(requests, disable_tqdm=True)
    assert [nats for nats, _ in found] == pytest.approx([nats for nats, _ in expected], abs=1e-4)
    options = [("the people", {"max_gen_toks": 9}), ("law", {"max_gen_toks": 9, "until": "e"})]
    prompts = instances("generate_until", options)
    assert ours.generate_until(prompts) == theirs.generate_until(prompts, disable_tqdm=True)


def test_generation_is_greedy_unless_the_task_says_to_sample():
    for options in ({}, {"do_sample": False, "temperature": 0.7}, {"do_sample": True, "temperature": 0}):
        assert sampling_settings(options, 3) == SamplingSettings(0.0, 3, "low_confidence")
    assert sampling_settings({"do_sample": True}, None) == SamplingSettings(1.0, None, "random")
    assert sampling_settings({"temperature": 0.5, "until": []}, None) == SamplingSettings(0.5, None, "random")


def test_unknown_sampling_options_and_model_arguments_are_refused(runs):
    harness = BytegapLM(str(runs["byte-ar"]))
    with pytest.raises(GenerateError, match="'top_p'"):
        harness.generate_until(instances("generate_until", [("a", {"do_sample": True, "top_p": 0.9})]))
    assert harness.generate_until(instances("generate_until", [("a", {"top_p": 0.9, "max_gen_toks": 1})]))
    with pytest.raises(EvaluateError, match="model argument 'passes': known: run, context, mc_passes"):
        BytegapLM(str(runs["byte-ar"]), passes=3)


@pytest.mark.parametrize("arm", ["byte-mdm", "byte-block", "bpe-ar"])
def test_an_export_scores_as_its_run(runs, pairs, tmp_path, arm):
    export.run(runs[arm], tmp_path / "model")
    requests = instances("loglikelihood", pairs(5))
    one, other = (
        BytegapLM(name, mc_passes=3, points=2).loglikelihood(requests)
        for name in (str(runs[arm]), f"hf:{tmp_path / 'model'}")
    )
    for mine, theirs in zip(one, other, strict=True):
        assert mine == pytest.approx(theirs)
