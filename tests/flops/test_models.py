"""`bytegap flops` of config files: published totals, models of transformers, torch's counter, wrong files, no torch."""

import json
import subprocess
import sys

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from bytegap.cli.main import main
from bytegap.cost import flops, llama, sequence_cost
from bytegap.cost.flops import SIX_ND, Convention, conventions, forward_terms, training_flops
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.flops.config import read_models
from bytegap.models.base import model_family
from bytegap.objectives.base import objective

LLAMA_2_7B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
}  # fmt: skip
TINY_LLAMA = LLAMA_2_7B | {
    "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
}  # fmt: skip
SMALL = {
    "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 4, "vocab_size": 61, "max_position_embeddings": 64, "tie_word_embeddings": False,
}  # fmt: skip
CONFIGS = {
    "llama": ("LlamaForCausalLM", {}),
    "llama, shared heads": ("LlamaForCausalLM", {"num_key_value_heads": 2}),
    "llama, one shared head": ("LlamaForCausalLM", {"num_key_value_heads": 1, "num_hidden_layers": 3}),
    "llama, tied": ("LlamaForCausalLM", {"tie_word_embeddings": True, "num_key_value_heads": 2}),
    "llama, biases": ("LlamaForCausalLM", {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 2}),
    "llama, wide heads": ("LlamaForCausalLM", {"head_dim": 20, "num_key_value_heads": 2}),
    "mistral": ("MistralForCausalLM", {"num_key_value_heads": 2, "head_dim": 12, "sliding_window": None}),
    "qwen2": ("Qwen2ForCausalLM", {"num_key_value_heads": 2}),
    "qwen3": ("Qwen3ForCausalLM", {"num_key_value_heads": 2, "head_dim": 16}),
    "qwen3, biases": ("Qwen3ForCausalLM", {"num_key_value_heads": 2, "head_dim": 16, "attention_bias": True}),
}


def written(folder, given, name="config.json"):
    path = folder / name
    path.write_text(json.dumps(given), encoding="utf-8")
    return path


def read_back(folder, theirs):
    """The model as read from the file that transformers writes for it."""
    (found,) = read_models(written(folder, theirs.to_dict()), None)
    return found.model


def built(name, device="meta"):
    kind, changes = CONFIGS[name]
    model = getattr(transformers, kind)
    theirs = model.config_class(**SMALL | changes, attn_implementation="eager", use_cache=False)
    with torch.device(device):
        return model(theirs), theirs


@pytest.mark.parametrize(("given", "total"), [(LLAMA_2_7B, 6_738_415_616), (TINY_LLAMA, 1_100_048_384)])
def test_published_totals(tmp_path, given, total):
    (found,) = read_models(written(tmp_path, given, "tiny-llama.json"), None)
    assert llama.parameters(found.model).total == total
    assert (found.name, found.seq_len) == ("tiny-llama", 2048)


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_those_of_transformers(tmp_path, name):
    model, theirs = built(name)
    ours = llama.parameters(read_back(tmp_path, theirs))
    assert ours.total == sum(weight.numel() for weight in model.parameters())
    body = sum(
        weight.numel() for key, weight in model.named_parameters() if key.startswith(("model.layers", "model.norm"))
    )
    assert ours.non_embedding == body


@pytest.mark.parametrize(("batch", "tokens"), [(1, 7), (3, 32)])
@pytest.mark.parametrize("name", CONFIGS)
def test_flops_are_those_of_torchs_counter(tmp_path, name, batch, tokens):
    """Forward and training, projections and maps apart; rotary angles, a matmul in some versions, are taken off."""
    model, theirs = built(name, "cpu")
    ids = torch.randint(61, (batch, tokens), generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as forward:
        logits = model(input_ids=ids).logits
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    by_module = forward.get_flop_counts()
    angles = sum(sum(ops.values()) for key, ops in by_module.items() if key.endswith("rotary_emb"))
    maps = sum(count for op, count in by_module["Global"].items() if "bmm" in str(op)) - angles
    costs = llama.costs(read_back(tmp_path, theirs))
    full = SequenceCost(tokens, tokens, tokens, attended_pairs=tokens**2)
    terms = forward_terms(costs, full)
    assert batch * terms["attention"] == maps
    assert batch * sum(terms.values()) == forward.get_total_flops() - angles
    assert (
        batch * training_flops(costs, full)
        == sum(counter.get_total_flops() for counter in (forward, backward)) - angles
    )


def test_the_rule_by_which_mdm_masks_is_named(tmp_path, capsys):
    assert main(["flops", str(written(tmp_path, TINY_LLAMA))]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "bytegap's own rule, k = ceil(t^2 S) with t uniform, masks a third on average" in said


def printed(capsys, *arguments):
    assert main(["flops", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_json_has_every_convention(tmp_path, capsys):
    path = written(tmp_path, TINY_LLAMA)
    document = json.loads(printed(capsys, path, "--json", "--context", 1024))
    ar, mdm = document["breakdowns"]
    assert [each["convention"] for each in ar["flops"]] == [*(each.name for each in conventions()), SIX_ND]
    by_name = {each["convention"]: each for each in ar["flops"]}
    everything, estimate = by_name["attention=full head=all"], by_name[SIX_ND]
    parameters = ar["parameters"]
    # 6N with the head, and 12 L S d of full maps: all but the gains, which multiply nothing in a matmul.
    gains = 2048 * (2 * 22 + 1)
    expected = 6 * (parameters["non_embedding"] - gains + parameters["head"]) + 12 * 22 * 1024 * 2048
    assert everything["training_flops_per_token"] == expected
    assert everything["training_flops_per_sequence"] == 1024 * expected
    assert everything["forward_flops_per_token"] == pytest.approx(expected / 3)
    assert sum(everything["forward_terms_flops_per_token"].values()) == pytest.approx(expected / 3)
    assert estimate["training_flops_per_token"] == 6 * parameters["non_embedding"]
    assert (ar["positions_per_sequence"], ar["supervised_per_sequence"]) == (1024, 1024)
    assert mdm["positions_per_sequence"] == 1025
    assert mdm["supervised_per_sequence"] == pytest.approx(
        1024 / 3 + 1 / 2, abs=0.01
    )  # Euler-Maclaurin's first two terms
    maps = {each["convention"]: each["forward_terms_flops_per_token"].get("attention") for each in mdm["flops"]}
    assert maps["attention=full head=all"] == maps["attention=attended head=all"]


def test_a_list_of_shapes_is_counted_as_our_transformer(tmp_path, capsys):
    shapes = [
        {"d_model": 64, "n_layers": 2, "vocab_size": 259, "context": 128},
        {"d_model": 64, "n_layers": 2, "vocab_size": 259, "context": 128, "n_heads": 4, "d_ff": 100},
    ]
    first, _, second, _ = json.loads(printed(capsys, written(tmp_path, shapes), "--json"))["breakdowns"]
    sizes = model_family("transformer").sizes(n_ids=259, max_positions=129)
    ours = next(config for config in sizes if config.d_model == 64)
    assert ours.n_layers == 2
    assert first["parameters"]["total"] == ours.parameters().total
    expected = training_flops(ours.costs(), sequence_cost.autoregressive(128))
    assert first["flops"][0]["training_flops_per_sequence"] == expected
    assert second["parameters"]["non_embedding"] == 2 * (4 * 64**2 + 3 * 64 * 100 + 2 * 64) + 64


def test_tables_show_terms_and_conventions(tmp_path, capsys):
    text = printed(capsys, written(tmp_path, TINY_LLAMA))
    for words in (
        "1,100,048,384",
        "attention projections",
        "attention, attended",
        "full supervised",
        "6nd",
        "train/sequence",
        "mdm",
    ):
        assert words in text


def test_costs_are_those_of_the_objectives():
    assert objective("ar").sequence_cost(31) == sequence_cost.autoregressive(31)
    assert objective("mdm").sequence_cost(31) == sequence_cost.masked(31)


def test_terms_of_one_name_add_up():
    shared = llama.Llama(d_model=48, n_layers=2, n_heads=4, d_ff=80, vocab_size=61, key_value_heads=2)
    terms = forward_terms(llama.costs(shared), sequence_cost.autoregressive(1), Convention())
    assert terms["attention projections"] == 2 * 2 * (2 * 48 * 48 + 2 * 48 * 24)
    assert flops.six_nd(10, 7) == 420


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (LLAMA_2_7B | {"model_type": "lama"}, ["model_type is 'lama'", "did you mean 'llama'?"]),
        ({"hidden_size": 3}, ["model_type is None"]),
        ({key: LLAMA_2_7B[key] for key in LLAMA_2_7B if key != "vocab_size"}, ["'vocab_size' is missing"]),
        (LLAMA_2_7B | {"model_type": "mistral"}, ["'num_key_value_heads' is missing"]),
        (LLAMA_2_7B | {"num_key_value_heads": 5}, ["not a multiple of 'num_key_value_heads' 5"]),
        (LLAMA_2_7B | {"num_attention_heads": 30}, ["not a multiple of 'num_attention_heads'"]),
        (LLAMA_2_7B | {"hidden_size": "4096"}, ["'hidden_size'", "not '4096'"]),
        (LLAMA_2_7B | {"max_position_embeddings": None}, ["give --context TOKENS"]),
        (
            SMALL | {"model_type": "mistral", "sliding_window": 32},
            ["'sliding_window' is 32", "--context shorter than it"],
        ),
        ([{"d_model": 64, "n_layers": 2, "vocab_size": 259}], ["shape 1", "'context' is missing"]),
        (
            [{"d_model": 64, "n_layer": 2, "vocab_size": 259, "context": 8}],
            ["unknown key 'n_layer'", "did you mean 'n_layers'?"],
        ),
        (
            [{"d_model": 64, "n_layers": 2, "vocab_size": 9, "context": 8, "n_heads": 7}],
            ["not a multiple of 'n_heads' 7"],
        ),
        ([{"width": 64, "depth": 2}], ["shape 1: 'width' is now called 'd_model': rename it"]),
        ([3], ["shape 1", "expected a JSON object"]),
        ([], ["neither"]),
        (7, ["neither"]),
    ],
)
def test_an_error_names_the_file_and_the_fix(tmp_path, capsys, given, words):
    path = written(tmp_path, given)
    assert main(["flops", str(path)]) == 2
    said = capsys.readouterr().err
    for word in [str(path), *words]:
        assert word in said
    assert said.count("\n") == 1


def test_a_file_that_is_missing_or_not_json_is_refused(tmp_path, capsys):
    (tmp_path / "torn.json").write_text("{", encoding="utf-8")
    for name, words in (("torn.json", "not valid JSON"), ("none.json", "no such file"), ("", "is a folder")):
        assert main(["flops", str(tmp_path / name)]) == 2
        assert words in capsys.readouterr().err


def test_counting_a_config_imports_no_torch(tmp_path):
    path = written(tmp_path, TINY_LLAMA)
    script = (
        f"import sys; from bytegap.cli.main import main; main(['flops', {str(path)!r}]); "
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
