"""The real harness on tasks made here: its numbers against its own `hf` model, against `bytegap evaluate`, by hand."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from bytegap.errors import SampleError
from bytegap.evaluate.score import score
from bytegap.export import stage as export
from bytegap.harness.model import Harnessed, _settings
from bytegap.likelihood import score_windows, stream
from bytegap.samplers._base import Settings, way_of
from bytegap.windows import Windows
from tests.finished import ARMS, finish

OURS = ("byte-ar", "bpe-ar", "byte-mdm", "byte-block", "byte-anyorder")
WORDS = [
    "the",
    "people",
    "of",
    "united",
    "states",
    "congress",
    "year",
    "government",
    "upon",
    "great",
    "nation",
    "caf\u00e9",
    "law",
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("harness"), {arm: ARMS[arm] for arm in OURS})[1]


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    home = tmp_path_factory.mktemp("exported")
    for arm in ("byte-ar", "bpe-ar"):
        export.run(runs[arm], home / arm)
    return home


def sentence(draw, least, most):
    return " ".join(draw.choice(WORDS, draw.integers(least, most + 1)))


def asked(kind, arguments, task="by hand"):
    return [Instance(kind, {}, one, number, (task, number, 1)) for number, one in enumerate(arguments)]


def pairs(number, words=(6, 3), seed=0):
    """Contexts and continuations, of so many words at most, with spaces of every kind between, some without context."""
    draw = np.random.default_rng(seed)
    result = []
    for i in range(number):
        context = "" if i % 10 == 0 else sentence(draw, 1, words[0]) + ("", " ", "  ", "\n")[i % 4]
        result.append((context, ("", " ")[i % 2] + sentence(draw, 1, words[1])))
    return result


TASKS = {
    "choice": """\
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc}, {metric: acc_norm}]
""",
    "rolling": """\
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list: [{metric: bits_per_byte}, {metric: word_perplexity}]
""",
    "writing": """\
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {until: ["\\n", "e"], max_gen_toks: 12}
metric_list: [{metric: exact_match}]
""",
}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """(the harness's task manager, the questions, the folder of the tasks)."""
    home = tmp_path_factory.mktemp("tasks")
    draw = np.random.default_rng(1)
    questions = [
        {
            "question": sentence(draw, 2, 30),
            "choices": [sentence(draw, 1, 3) for _ in range(3)],
            "answer": int(draw.integers(3)),
        }
        for _ in range(6)
    ]
    data = home / "questions.jsonl"
    data.write_text("".join(json.dumps(question) + "\n" for question in questions), encoding="utf-8")
    for name, text in TASKS.items():
        common = (
            f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
        )
        (home / f"{name}.yaml").write_text(common + text, encoding="utf-8")
    return TaskManager(include_path=str(home), include_defaults=False), questions, home


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Data sets are put where nothing outlives the tests."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")
    yield
    datasets.config.HF_DATASETS_CACHE = before


@pytest.mark.parametrize(("arm", "words"), [("byte-ar", (6, 3)), ("bpe-ar", (4, 2))])
def test_ar_is_what_the_harness_itself_makes_of_the_export(runs, exported, arm, words):
    ours, theirs = Harnessed(str(runs[arm])), HFLM(pretrained=str(exported / arm), device="cpu", batch_size=8)
    S = ours.trained.row_symbols
    requests = asked("loglikelihood", pairs(100, words))
    assert max(len(ours.tok_encode("".join(request.args))) for request in requests) <= S + 1, "none is cut"
    expected = theirs.loglikelihood(requests, disable_tqdm=True)
    got = ours.loglikelihood(requests)
    assert np.ptp([nats for nats, _ in expected]) > 10
    assert [nats for nats, _ in got] == pytest.approx([nats for nats, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in got] == [greedy for _, greedy in expected]


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-ar"])
def test_ar_writes_and_rolls_what_the_harness_itself_does(runs, exported, arm):
    ours = Harnessed(str(runs[arm]))
    theirs = HFLM(pretrained=str(exported / arm), device="cpu", batch_size=1, add_bos_token=False)
    texts = asked("loglikelihood_rolling", [("the people of the law",), ("congress",)])
    assert ours.loglikelihood_rolling(texts) == pytest.approx(theirs.loglikelihood_rolling(texts), abs=1e-4)
    theirs = HFLM(pretrained=str(exported / arm), device="cpu", batch_size=1)
    for kwargs in ({"max_gen_toks": 12}, {"max_gen_toks": 10, "until": [" ", "th"]}, {"until": "e", "max_gen_toks": 8}):
        prompts = asked("generate_until", [(text, kwargs) for text, _ in pairs(8, (3, 1), seed=2) if text])
        assert ours.generate_until(prompts) == theirs.generate_until(prompts, disable_tqdm=True)


def test_a_greedy_continuation_is_told(runs):
    for arm in OURS:
        model = Harnessed(str(runs[arm]), passes=2, points=1)
        symbols = model.tok_encode("the people")[1:]
        canvas_S = torch.tensor([*symbols, *[model.trained.vocabulary.mask] * 4])
        with torch.no_grad():
            for _ in way_of(model.trained).draw(model.trained, canvas_S, Settings(0.0, None, "confidence"), stream(0)):
                pass
        drawn = canvas_S[len(symbols) :].tolist()
        other = [*drawn[:-1], (drawn[-1] + 1) % 200]
        context_ids = [model.prefix_token_id, *symbols]
        answers = model._loglikelihood_tokens([(("", ""), context_ids, drawn), (("", ""), context_ids, other)])
        assert [greedy for _, greedy in answers] == [True, False], arm
        assert answers[0][0] != answers[1][0]


@pytest.mark.parametrize("arm", OURS)
def test_every_kind_of_task_runs(runs, tasks, arm):
    manager, questions, _ = tasks
    arguments = {"run": str(runs[arm]), "passes": 4, "points": 4}
    found = simple_evaluate(
        "bytegap", arguments, tasks=list(TASKS), task_manager=manager, bootstrap_iters=0, log_samples=True
    )
    assert set(found["results"]) == set(TASKS)
    estimate = found["config"]["estimate"]
    exact = arm.endswith("-ar")
    assert estimate["choice"]["requests"] == 3 * len(questions)
    assert estimate["rolling"]["requests"] == len(questions)
    for own in (estimate["choice"]["mean_se_nats"], estimate["rolling"]["bits_per_byte_se"]):
        assert (own == 0) == exact
    choices = [sample["resps"] for sample in found["samples"]["choice"]]
    right = 0
    for question, answers in zip(questions, choices, strict=True):
        nats = [-answer[0][0] for answer in answers]
        right += int(np.argmin(nats)) == question["answer"]
    assert found["results"]["choice"]["acc,none"] == pytest.approx(right / len(questions))
    for sample in found["samples"]["writing"]:
        text = sample["resps"][0][0]
        assert "e" not in text
        assert len(text) <= 12 * (1 if arm.startswith("byte") else 8)
    bits = found["results"]["rolling"]["bits_per_byte,none"]
    assert 1 < bits < 9, "a hardly trained model"


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-ar", "byte-mdm", "byte-block"])
def test_bits_per_byte_are_those_of_evaluate_but_for_eos(runs, tasks, arm):
    """A document's end costs `bytegap evaluate` a symbol, and the harness nothing."""
    manager, questions, _ = tasks
    texts = [question["question"].encode() for question in questions]
    model = Harnessed(str(runs[arm]), passes=32)
    found = simple_evaluate(model, tasks=["rolling"], task_manager=manager, bootstrap_iters=0)
    bits = found["results"]["rolling"]["bits_per_byte,none"]
    error = found["config"]["estimate"]["rolling"]["bits_per_byte_se"]
    trained, n_bytes = model.trained, sum(map(len, texts))
    assert any(len(text) > trained.row_symbols for text in texts), "some fill more than a row"
    scored = [score(trained, text, 32) for text in texts]
    with_eos = sum(own.nats for own in scored) / math.log(2) / n_bytes
    eos = sum(own.eos_nats for own in scored) / math.log(2) / n_bytes
    assert eos > 0.001
    if trained.objective.EXACT:
        assert bits == pytest.approx(with_eos - eos, abs=1e-6)
        return
    # To a masked model EOS is one more symbol seen and hidden: its bound without it is another, scored here by itself.
    symbols = [trained.tokenizer.encode_batch([text])[0].astype(np.int64) for text in texts]
    counts = [
        len(own[start : start + trained.row_symbols])
        for own in symbols
        for start in range(0, len(own), trained.row_symbols)
    ]
    windows = Windows(np.concatenate(symbols), np.array(counts), n_bytes, "")
    how = {"passes": 32, "seed": 9, "permute": lambda rows, _: rows}
    own = score_windows(trained, trained.objective, trained.options, windows, trained.vocabulary, **how)
    assert bits == pytest.approx(own.bpb, abs=4 * math.hypot(error, own.bpb_se))
    assert own.bpb_se < 0.03 * own.bpb
    assert bits < with_eos + 4 * error


def test_where_eos_stands_alone_the_estimates_differ_by_it(runs):
    """A text that fills its rows: EOS is a row of its own, and what is left the same estimate."""
    model = Harnessed(str(runs["byte-mdm"]), passes=48)
    text = ("the people of the united states " * 40)[: 6 * model.trained.row_symbols]
    nats = -model.loglikelihood_rolling(asked("loglikelihood_rolling", [(text,)]))[0]
    error = model.get_model_info()["estimate"]["by hand"]["mean_se_nats"]
    scored = score(model.trained, text.encode(), 48)
    theirs = scored.pass_nats.std(ddof=1) / 48**0.5
    assert nats == pytest.approx(scored.nats - scored.eos_nats, abs=4 * math.hypot(error, theirs))
    assert error < 0.03 * nats


def test_a_long_context_is_cut_from_the_left_and_a_long_continuation_into_rows(runs):
    model = Harnessed(str(runs["byte-ar"]))
    S = model.trained.row_symbols
    context, continuation = "x" * 7 + "the people of the law " * 20, "and of the nation"
    kept = context[-(S - len(continuation)) :]
    cut, whole = model.loglikelihood(asked("loglikelihood", [(context, continuation), (kept, continuation)]))
    assert cut[0] == pytest.approx(whole[0], abs=1e-6)
    long = ("the nation and the law of the people " * 20)[: 2 * S + 5]
    long_answer = model.loglikelihood(asked("loglikelihood", [("", long)]))[0][0]
    assert long_answer == pytest.approx(model.loglikelihood_rolling(asked("loglikelihood_rolling", [(long,)]))[0])


@pytest.mark.parametrize("arm", ["byte-ar", "byte-mdm", "byte-block"])
def test_text_goes_on_beyond_a_row_and_seeds_differ_by_request(runs, arm):
    model = Harnessed(str(runs[arm]), steps=4)
    S = model.trained.row_symbols
    sampled = {"do_sample": True, "temperature": 1.0, "max_gen_toks": 2 * S}
    texts = model.generate_until(asked("generate_until", [("the people", sampled)] * 2))
    assert texts[0] != texts[1]
    longest = max(
        len(text.encode()) for text in model.generate_until(asked("generate_until", [("a" * S, sampled)] * 4))
    )
    assert longest > S // 2
    [empty] = model.generate_until(asked("generate_until", [("", {"max_gen_toks": 3})]))
    assert len(empty) <= 3


def test_anothers_causal_model_is_scored_and_drawn_from(exported, tmp_path):
    """An export that does not say whose it is: opened by `transformers`, without a cache or a MASK."""
    home = shutil.copytree(exported / "bpe-ar", tmp_path / "model")
    given = json.loads((home / "config.json").read_text())
    del given["bytegap"], given["mask_token_id"]
    (home / "config.json").write_text(json.dumps(given))
    ours, theirs = Harnessed(f"hf:{home}"), HFLM(pretrained=str(home), device="cpu", batch_size=8)
    assert ours.trained.vocabulary.mask == -1
    requests = asked("loglikelihood", pairs(12, (4, 2)))
    nats, expected = ours.loglikelihood(requests), theirs.loglikelihood(requests, disable_tqdm=True)
    assert [own for own, _ in nats] == pytest.approx([own for own, _ in expected], abs=1e-4)
    prompts = asked("generate_until", [("the people", {"max_gen_toks": 9}), ("law", {"max_gen_toks": 9, "until": "e"})])
    assert ours.generate_until(prompts) == theirs.generate_until(prompts, disable_tqdm=True)


def test_greedy_is_the_default_and_sampling_from_the_models_own_law():
    for asked_for in ({}, {"do_sample": False, "temperature": 0.7}, {"do_sample": True, "temperature": 0}):
        assert _settings(asked_for, 3) == Settings(0.0, 3, "confidence")
    assert _settings({"do_sample": True}, None) == Settings(1.0, None, "first-hitting")
    assert _settings({"temperature": 0.5, "until": []}, None) == Settings(0.5, None, "first-hitting")


def test_an_unknown_way_of_sampling_is_refused(runs):
    model = Harnessed(str(runs["byte-ar"]))
    with pytest.raises(SampleError, match="'top_p'"):
        model.generate_until(asked("generate_until", [("a", {"do_sample": True, "top_p": 0.9})]))
    assert model.generate_until(asked("generate_until", [("a", {"top_p": 0.9, "max_gen_toks": 1})]))


@pytest.mark.parametrize("arm", ["byte-mdm", "byte-block", "bpe-ar"])
def test_an_export_answers_as_its_run(runs, tmp_path, arm):
    export.run(runs[arm], tmp_path / "model")
    requests = asked("loglikelihood", pairs(5))
    answers = [
        Harnessed(run, passes=3, points=2).loglikelihood(requests)
        for run in (str(runs[arm]), f"hf:{tmp_path / 'model'}")
    ]
    for one, other in zip(*answers, strict=True):
        assert one == pytest.approx(other)
