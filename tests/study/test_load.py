"""Reading study files: each mistake is one sentence that names the file, the key and the fix."""

import pytest

from bytegap.errors import StudyError
from bytegap.study.load import load_study
from tests.helpers.tiny_study import STUDY, write_study


def test_a_study_is_read(tmp_path):
    study = load_study(write_study(tmp_path))
    assert study.arms["bpe-mdm"].objective.name == "mdm"
    assert study.arms["byte-ar"].permutation.name == "identity"
    assert study.tokenizers["bpe"].options == {"vocab_size": 300}
    assert study.corpus.source.options["paths"]


def test_fit_margin_is_none_by_default(tmp_path):
    assert load_study(write_study(tmp_path)).fit.margin is None
    assert load_study(write_study(tmp_path, STUDY + "\n[fit]\nmargin = 1.1\n")).fit.margin == 1.1


def test_studies_of_the_repository_are_read(request):
    for path in (request.config.rootpath / "studies").glob("*.toml"):
        if path.stem != "downstream":  # a task file: tests/lm_eval reads it
            assert load_study(path).name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed = 1", "sed = 1", ["unknown key 'sed'", "did you mean 'seed'"]),
        ("bytes = 96", "byte = 32", ["context.byte", "did you mean 'bytes'"]),
        ("bytes = 96", "bytes = 96\ntokens = 64", ["'context'", "give either bytes or tokens"]),
        ("bytes = 96", "", ["'context'", "give either bytes or tokens"]),
        ("sizes = 4", "size = 4", ["grid.size", "did you mean 'sizes'"]),
        ("sizes = 4", "sizes = 2", ["'grid.sizes'", "not 2"]),
        ("vocab_size = 300", "vocab_sise = 300", ["tokenizers.bpe", "did you mean 'vocab_size'"]),
        ("paths =", "path =", ["corpus", "did you mean 'paths'"]),
        ('objective = "mdm"', 'objective = "mdn"', ["arms.bpe-mdm.objective", "did you mean 'mdm'"]),
        ('objective = "mdm"', 'objective = {name = "mdm", shedule = "linear"}', ["did you mean 'schedule'"]),
        ('objective = "mdm"', 'objective = {name = "mdm", schedule = "sine"}', ["option 'schedule'"]),
        ('tokenizer = "bpe"', 'tokenizer = "bpee"', ["arms.bpe-mdm", "did you mean 'bpe'"]),
        ('kind = "bytes"', 'kind = "byts"', ["tokenizers.byte", "did you mean 'bytes'"]),
        ('source = "files"', 'source = "file"', ["corpus", "did you mean 'files'"]),
        ('source = "files"', "", ["[corpus] needs 'source'"]),
        ("budgets = [1e10]\n\n[arms.bpe", "budgets = [2e10, 1e10]\n\n[arms.bpe", ["byte-ar", "ascending"]),
        (
            "budgets = [1e10]\n\n[arms.bpe",
            "budgets = []\n\n[arms.bpe",
            ["[arms.byte-ar] has no budgets", "[plan] hours"],
        ),
        ('name = "tiny"', 'name = "../up"', ["'name'"]),
        ("[tokenizers.byte]", '[tokenizers."../up"]', ["[tokenizers.'../up']", "a folder gets this name"]),
        ('name = "tiny"', "", ["'name' is missing"]),
        ("[grid]", "[grid", ["not valid TOML"]),
        ("[grid]", "[fit]\nmargn = 1.1\n[grid]", ["unknown key 'fit.margn'", "did you mean 'margin'"]),
        ("[grid]", "[fit]\nmargin = 1\n[grid]", ["'fit.margin'", "above 1"]),
        (
            "[grid]",
            '[fit]\nslopes = [["byte-ar", "byte-arr"]]\n[grid]',
            ["[fit] slopes: 'byte-arr'", "did you mean 'byte-ar'"],
        ),
        ("[grid]", '[fit]\nlosses = [["byte-ar", "byte-ar"]]\n[grid]', ["[fit] losses", "is compared with itself"]),
        ("[grid]", '[fit]\nlosses = [["byte-arr", "byte-ar"]]\n[grid]', ["[fit] losses: 'byte-arr'", "byte-ar"]),
        ("[grid]", '[fit]\nslopes = [["byte-ar", "byte-ar"]]\n[grid]', ["[fit] slopes", "is compared with itself"]),
        ("[grid]", '[fit]\nslopes = [["byte-ar", "bpe-mdm"]]\n[grid]', ["[fit] slopes", "give slope_margin too"]),
        (
            "[grid]",
            '[report]\ncompare_to = "nowhere"\n[grid]',
            ["[report] compare_to = 'nowhere'", "no fit.json there"],
        ),
        ("seed = 1", "seed = nan", ["'seed'"]),
    ],
)
def test_a_mistake_is_named_with_its_fix(tmp_path, old, new, words):
    assert old in STUDY
    path = write_study(tmp_path, STUDY.replace(old, new, 1))
    with pytest.raises(StudyError) as caught:
        load_study(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(StudyError, match="no such study file"):
        load_study(tmp_path / "none.toml")
    with pytest.raises(StudyError, match="is a folder"):
        load_study(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[tokenizers.byte]", "[tokens.byte]", "[tokens] is now called [tokenizers]"),
        ("[grid]", '[track]\nto = "wandb"\n[grid]', "[track] is now called [logging]"),
        ("bytes = 96", "symbols = 64", "[context] symbols is now called tokens"),
        ("vocab_size = 300", "vocabulary = 300", "[tokenizers.bpe] vocabulary is now called vocab_size"),
        ('tokenizer = "bpe"', 'tokens = "bpe"', "[arms.bpe-mdm] tokens is now called tokenizer"),
        (
            'tokenizer = "bpe"',
            'tokenizer = "bpe"\norder = "fixed"',
            "[arms.bpe-mdm] order is now called permutation",
        ),
        (
            'tokenizer = "bpe"',
            'tokenizer = "bpe"\noptimum = 100',
            "[arms.bpe-mdm] optimum = N is now expected_optimum = { params = N, flops = 1e12 }",
        ),
        ("sizes = 4", "sizes = 4\nend_seeds = 2", "[grid] end_seeds is now called seeds_at_ends"),
        ("sizes = 4", "sizes = 4\nevaluation_passes = 8", "[grid] evaluation_passes is now called mc_passes"),
        ("workers = 2", "rows_at_once = 2", "[compute] rows_at_once is now called micro_batch_size"),
        ("[grid]", '[report]\nover = "x"\n[grid]', "[report] over is now called compare_to"),
        ('objective = "mdm"', 'objective = "words"', "[arms.bpe-mdm] objective 'words' is now called 'whole_word_mdm'"),
        (
            'objective = "mdm"',
            'objective = { name = "block", size = 4 }',
            "[arms.bpe-mdm] objective 'block' is now called 'block_diffusion'",
        ),
        (
            'objective = "mdm"',
            'objective = { name = "whole_word_mdm", of = "bpe" }',
            "[arms.bpe-mdm] objective: the option of is now called units",
        ),
        (
            'objective = "mdm"',
            'objective = "mdm"\npermutation = { name = "window", size = 4 }',
            "[arms.bpe-mdm] permutation 'window' is now called 'within_window'",
        ),
        (
            'objective = "mdm"',
            'objective = "mdm"\npermutation = { name = "within_window", fresh = true }',
            "[arms.bpe-mdm] permutation: the option fresh is now called per_sequence",
        ),
    ],
)
def test_an_earlier_name_is_answered_with_the_present_one(tmp_path, old, new, words):
    assert old in STUDY
    path = write_study(tmp_path, STUDY.replace(old, new, 1))
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert str(caught.value) == f"{path}: {words}: rename it"


def test_a_study_is_immutable_and_can_be_hashed(tmp_path):
    study = load_study(write_study(tmp_path))
    with pytest.raises(TypeError, match="cannot be changed"):
        study.arms["new"] = study.arms["byte-ar"]
    assert study.corpus.source.options["paths"] == (f"{tmp_path}/text/*.txt",)
    assert hash(study) == hash(load_study(write_study(tmp_path)))
