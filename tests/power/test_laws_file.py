"""The laws that a power analysis assumes: read from a file, or made up for a study."""

import pytest

from bytegap.cli.main import main
from bytegap.errors import StudyError
from bytegap.power.laws_file import default_laws, read_laws
from bytegap.scaling.laws import Law
from bytegap.study.load import load_study
from tests.helpers.tiny_study import STUDY, write_study

ARM = "[arms.{}]\nbpb = {}\nflops = 1e10\nparams = 3_000\n"


@pytest.fixture
def study(tmp_path):
    return load_study(write_study(tmp_path, STUDY))


def test_laws_are_read_from_a_file(study, tmp_path):
    path = tmp_path / "law.toml"
    path.write_text("noise = 0.01\n" + "".join(ARM.format(name, 2.5) for name in study.arms))
    laws = read_laws(path, study)
    assert laws.noise == 0.01
    for name in study.arms:
        law = laws.arms[name].law
        assert (law.bpb(1e10), law.optimum(1e10)) == (pytest.approx(2.5), pytest.approx(3000))


def test_default_laws_are_as_documented(study):
    base = Law.through(1.8, 1e12, 1e5)
    for name, arm in default_laws(study).arms.items():
        is_bytes = study.tokenizers[study.arms[name].tokenizer].name == "bytes"
        is_ar = study.arms[name].objective.name == "ar"
        cost = {(False, True): 1, (True, True): 3, (False, False): 45, (True, False): 315}[is_bytes, is_ar]
        assert arm.law.bpb(1e12) == pytest.approx(base.bpb(1e12 / cost))
        assert arm.law.optimum(1e12) == pytest.approx(study.arms[name].expected_optimum.params)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noise = 2", "noise"),
        ("nois = 0.1\n[arms]", "did you mean 'noise'"),
        ("[arms.byte-arr]\nbpb = 2\nflops = 1\nparams = 1", "did you mean 'byte-ar'"),
        ("[arms.byte-ar]\nbbp = 2", "did you mean 'bpb'"),
        ("[arms.byte-ar]\nbpb = 2\nflops = 1\nparams = 1", "give a law for every arm of the study"),
        ("[arms.byte-ar]\nbpb = 2\nfloor = 0.9", "[arms.byte-ar] floor is now called irreducible_loss"),
        ("[arms.byte-ar]\nbpb = 2\nparameters = 1", "[arms.byte-ar] parameters is now called params"),
        ("arms = 3", "arms"),
        ("arms = ", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused(study, tmp_path, text, message):
    path = tmp_path / "law.toml"
    path.write_text(text)
    with pytest.raises(StudyError, match=r"law\.toml") as refused:
        read_laws(path, study)
    assert message in str(refused.value)


def test_a_loss_below_the_irreducible_loss_is_refused(study, tmp_path):
    path = tmp_path / "law.toml"
    path.write_text("".join(ARM.format(name, 0.5) for name in study.arms))
    with pytest.raises(StudyError, match=r"bpb = 0.5 is not above irreducible_loss = 0.9: raise it"):
        read_laws(path, study)


def test_a_missing_file_is_one_sentence(tmp_path, capsys):
    path = write_study(tmp_path, STUDY)
    assert main(["plan", str(path), "--out", str(tmp_path), "--simulate", str(tmp_path / "none.toml")]) == 2
    assert "no such law file" in capsys.readouterr().err
