"""Studies drawn before anything is spent: the fit is real, the laws are known."""

import numpy as np
import pytest

from bytegap import study as study_file
from bytegap.cli import main
from bytegap.errors import StudyError
from bytegap.fit.stage import fit_rows
from bytegap.laws import Law
from bytegap.plan import simulate, stage
from bytegap.records import Estimand, Quantity, WindowsManifest
from bytegap.store import read_record
from tests.tiny import STUDY, write_study

WORLD = simulate.World(
    arms={
        name: simulate.ArmLaw(bpb=bpb, flops=1e12, parameters=1e5) for name, bpb in [("a", 2.6), ("b", 2.2), ("c", 2.1)]
    }
)
ARM = "[arms.{}]\nbpb = {}\nflops = 1e10\nparameters = 3_000\n"


@pytest.fixture
def study(tmp_path):
    return study_file.load(write_study(tmp_path, STUDY))


def test_rows_follow_their_law(prepared):
    _, study, folder = prepared
    windows = read_record(folder.windows_manifest, WindowsManifest, "tokens")
    spec = stage.resolve(study, folder).runs[0]
    world = simulate.assumed(study)
    law = world.arms[spec.arm].law
    rng = np.random.default_rng(0)
    drawn = [simulate._row(spec, windows, study, world, rng).bpb for _ in range(400)]
    ideal = float(law.bpb_of(spec.non_embedding_parameters, spec.flops))
    assert np.mean(drawn) == pytest.approx(ideal, rel=5 * world.noise / 20)
    assert np.std(drawn) / ideal == pytest.approx(world.noise, rel=0.15)


def test_the_assumed_world_is_what_it_says(study):
    laws = {name: arm.law for name, arm in simulate.assumed(study).arms.items()}
    base = Law.through(1.8, 1e12, 1e5)
    for name, law in laws.items():
        is_bytes, is_ar = study.tokens[study.arms[name].tokens].name == "bytes", study.arms[name].objective.name == "ar"
        cost = {(False, True): 1, (True, True): 3, (False, False): 45, (True, False): 315}[is_bytes, is_ar]
        assert law.bpb(1e12) == pytest.approx(base.bpb(1e12 / cost))
        assert law.optimum(1e12) == pytest.approx(study.arms[name].optimum)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("noise = 2", "noise"),
        ("nois = 0.1\n[arms]", "did you mean 'noise'"),
        ("[arms.byte-arr]\nbpb = 2\nflops = 1\nparameters = 1", "did you mean 'byte-ar'"),
        ("[arms.byte-ar]\nbbp = 2", "did you mean 'bpb'"),
        ("[arms.byte-ar]\nbpb = 2\nflops = 1\nparameters = 1", "every arm of the study needs a law"),
        ("arms = ", "not TOML"),
    ],
)
def test_a_law_file_that_is_none_is_refused(study, tmp_path, text, says):
    path = tmp_path / "law.toml"
    path.write_text(text)
    with pytest.raises(StudyError, match=r"law\.toml") as refused:
        simulate.load(path, study)
    assert says in str(refused.value)


def test_a_loss_below_its_floor_is_refused(study, tmp_path):
    path = tmp_path / "law.toml"
    path.write_text("".join(ARM.format(name, 0.5) for name in study.arms))
    with pytest.raises(StudyError, match="not above its floor"):
        simulate.load(path, study)


def test_a_drawn_study_goes_through_the_fit(prepared):
    _, study, folder = prepared
    windows = read_record(folder.windows_manifest, WindowsManifest, "tokens")
    plan, seen = stage.resolve(study, folder), []

    def fit(rows, bootstraps, seed):
        seen.extend(rows)
        return fit_rows(rows, bootstraps, seed)

    simulate._one(0, plan=plan, windows=windows, study=study, world=simulate.assumed(study), fit=fit)
    assert [row.run for row in seen] == [spec.id for spec in plan.runs]


def test_the_truth_of_a_headline_is_the_laws():
    laws = {name: arm.law for name, arm in WORLD.arms.items()}
    overhead = estimand("overhead", ["a", "b"], (2.0, 4.0))
    truth = np.log(laws["a"].flops(2.5) / laws["b"].flops(2.5))
    found = simulate._finding(overhead, laws)
    assert (found.truth, found.low, found.high) == pytest.approx((truth, np.log(2.0), np.log(4.0)))
    interaction = estimand("interaction", ["a", "b", "b", "c"], (0.1, 0.7))
    truth -= np.log(laws["b"].flops(2.5) / laws["c"].flops(2.5))
    found = simulate._finding(interaction, laws)
    assert (found.truth, found.low, found.high) == pytest.approx((truth, 0.1, 0.7))


def estimand(name, arms, ci95):
    return Estimand(
        name=name,
        objective="ar",
        arms=arms,
        form="no floor",
        at_bpb=2.5,
        quantity=Quantity(value=1.0, ci95=ci95),
        label="estimated",
        headline=True,
    )


def test_a_missing_law_file_is_a_users_mistake(tmp_path, capsys):
    path = write_study(tmp_path, STUDY)
    assert main(["plan", str(path), "--out", str(tmp_path), "--simulate", str(tmp_path / "none.toml")]) == 2
    assert "no such law file" in capsys.readouterr().err
