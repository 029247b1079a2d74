"""Study files: each mistake is one sentence naming file, key and mend."""

import pytest

from bytegap.errors import StudyError
from bytegap.study import load
from tests.tiny import STUDY, write_study


def test_a_study_is_read(tmp_path):
    study = load(write_study(tmp_path))
    assert study.arms["bpe-mdm"].objective.name == "mdm"
    assert study.arms["byte-ar"].order.name == "identity"
    assert study.tokens["bpe"].options == {"vocabulary": 300}
    assert study.corpus.source.options["paths"]


def test_a_margin_is_none_unless_named(tmp_path):
    assert load(write_study(tmp_path)).fit.margin is None
    assert load(write_study(tmp_path, STUDY + "\n[fit]\nmargin = 1.1\n")).fit.margin == 1.1


def test_the_studies_of_the_repository_are_read(request):
    for path in (request.config.rootpath / "studies").glob("*.toml"):
        if path.stem != "downstream":  # of finished models: tests/harness reads it
            assert load(path).name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed = 1", "sed = 1", ["unknown key 'sed'", "did you mean 'seed'"]),
        ("bytes = 96", "byte = 32", ["context.byte", "did you mean 'bytes'"]),
        ("bytes = 96", "bytes = 96\nsymbols = 64", ["'context'", "give either bytes or symbols"]),
        ("bytes = 96", "", ["'context'", "give either bytes or symbols"]),
        ("sizes = 4", "size = 4", ["grid.size", "did you mean 'sizes'"]),
        ("sizes = 4", "sizes = 2", ["'grid.sizes'", "not 2"]),
        ("vocabulary = 300", "vocabluary = 300", ["tokens.bpe", "did you mean 'vocabulary'"]),
        ("paths =", "path =", ["corpus", "did you mean 'paths'"]),
        ('objective = "mdm"', 'objective = "mdn"', ["arms.bpe-mdm.objective", "did you mean 'mdm'"]),
        ('objective = "mdm"', 'objective = {name = "mdm", shedule = "linear"}', ["did you mean 'schedule'"]),
        ('objective = "mdm"', 'objective = {name = "mdm", schedule = "sine"}', ["option 'schedule'"]),
        ('tokens = "bpe"', 'tokens = "bpee"', ["arms.bpe-mdm", "did you mean 'bpe'"]),
        ('kind = "bytes"', 'kind = "byts"', ["tokens.byte", "did you mean 'bytes'"]),
        ('source = "files"', 'source = "file"', ["corpus", "did you mean 'files'"]),
        ('source = "files"', "", ["[corpus] needs 'source'"]),
        ("budgets = [1e10]\n\n[arms.bpe", "budgets = [2e10, 1e10]\n\n[arms.bpe", ["byte-ar", "ascending"]),
        ("budgets = [1e10]\n\n[arms.bpe", "budgets = []\n\n[arms.bpe", ["arms.byte-ar.budgets"]),
        ('name = "tiny"', 'name = "../up"', ["'name'"]),
        ("[tokens.byte]", '[tokens."../up"]', ["[tokens.'../up']", "a folder is named so"]),
        ('name = "tiny"', "", ["'name' is missing"]),
        ("[grid]", "[grid", ["not TOML"]),
        ("[grid]", "[fit]\nmargn = 1.1\n[grid]", ["unknown key 'fit.margn'", "did you mean 'margin'"]),
        ("[grid]", "[fit]\nmargin = 1\n[grid]", ["'fit.margin'", "greater than 1"]),
        (
            "[grid]",
            '[fit]\nslopes = [["byte-ar", "byte-arr"]]\n[grid]',
            ["[fit] slopes: 'byte-arr'", "did you mean 'byte-ar'"],
        ),
        ("[grid]", '[fit]\nslopes = [["byte-ar", "byte-ar"]]\n[grid]', ["[fit] slopes", "beside itself"]),
        ("[grid]", '[fit]\nslopes = [["byte-ar", "bpe-mdm"]]\n[grid]', ["[fit] slopes", "name slope_margin too"]),
        ("[grid]", '[report]\nover = "nowhere"\n[grid]', ["[report] over = 'nowhere'", "no fit.json there"]),
        ("seed = 1", "seed = nan", ["'seed'"]),
    ],
)
def test_a_mistake_is_named_with_its_mend(tmp_path, old, new, words):
    assert old in STUDY
    path = write_study(tmp_path, STUDY.replace(old, new, 1))
    with pytest.raises(StudyError) as caught:
        load(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_study_and_a_folder_are_refused(tmp_path):
    with pytest.raises(StudyError, match="no such study file"):
        load(tmp_path / "none.toml")
    with pytest.raises(StudyError, match="is a folder"):
        load(tmp_path)
