"""Tasks for lm-evaluation-harness made here, in a cache that the tests delete."""

import json

import numpy as np
import pytest
from lm_eval.tasks import TaskManager

WORDS = ("the", "people", "of", "united", "states", "congress", "year", "government", "upon", "great", "caf\u00e9")
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


@pytest.fixture
def sentence():
    """A function of (generator, fewest, most) that returns a sentence of random words."""
    return random_sentence


def random_sentence(rng, fewest, most):
    return " ".join(rng.choice(WORDS, rng.integers(fewest, most + 1)))


@pytest.fixture(scope="session")
def tasks(tmp_path_factory):
    """(the harness's task manager, the examples, the folder of the tasks)."""
    home = tmp_path_factory.mktemp("tasks")
    rng = np.random.default_rng(1)
    examples = [
        {
            "question": random_sentence(rng, 2, 30),
            "choices": [random_sentence(rng, 1, 3) for _ in range(3)],
            "answer": int(rng.integers(3)),
        }
        for _ in range(6)
    ]
    data = home / "examples.jsonl"
    data.write_text("".join(json.dumps(example) + "\n" for example in examples), encoding="utf-8")
    for name, text in TASKS.items():
        common = (
            f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
        )
        (home / f"{name}.yaml").write_text(common + text, encoding="utf-8")
    return TaskManager(include_path=str(home), include_defaults=False), examples, home


@pytest.fixture(scope="package", autouse=True)
def temporary_data_cache(tmp_path_factory):
    """Have `datasets` cache in a folder of the tests."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")
    yield
    datasets.config.HF_DATASETS_CACHE = before
