"""Simulated studies of a plan: the fit is the real one, the laws are known."""

import tomllib
from dataclasses import replace

import numpy as np
import pytest

from bytegap.cli.main import main
from bytegap.plan.stage import resolve_plan
from bytegap.power import simulate
from bytegap.power.laws_file import ArmLaw, AssumedLaws, default_laws
from bytegap.power.simulate import SimulatedFit, assumed, headline_interval, simulate_fit, simulate_row
from bytegap.schema.base import Quantity
from bytegap.schema.fit import Estimand

LAWS = {name: ArmLaw(bpb=bpb, flops=1e12, params=1e5).law for name, bpb in [("a", 2.6), ("b", 2.2), ("c", 2.1)]}


@pytest.fixture
def simulation(tokenized):
    _, study, study_dir = tokenized
    return assumed(study, study_dir, resolve_plan(study, study_dir), default_laws(study))


def test_rows_scatter_around_their_law(simulation):
    run, rng = simulation.plan.runs[0], np.random.default_rng(0)
    law, noise = simulation.world(0)[run.arm], simulation.noise[run.arm]
    bpb = [simulate_row(simulation, run, law, rng).bpb for _ in range(400)]
    expected = float(law.bpb_of(run.non_embedding_parameters, run.flops))
    assert np.mean(bpb) == pytest.approx(expected, rel=5 * noise / 20)
    assert np.std(bpb) / expected == pytest.approx(noise, rel=0.15)


def test_simulated_studies_take_the_worlds_in_turn(simulation):
    many = replace(simulation, worlds=[{"a": 0}, {"a": 1}, {"a": 2}])
    assert [many.world(seed)["a"] for seed in range(5)] == [0, 1, 2, 0, 1]


def test_every_run_of_the_plan_is_fitted(simulation, monkeypatch):
    seen, fit_rows = [], simulate.fit_rows

    def recording(rows, *arguments):
        seen.extend(rows)
        return fit_rows(rows, *arguments)

    monkeypatch.setattr(simulate, "fit_rows", recording)
    simulate_fit(simulation, 0)
    assert [row.run for row in seen] == [run.id for run in simulation.plan.runs]


def test_the_truth_of_a_headline_follows_from_the_laws():
    overhead = estimand("overhead", ["a", "b"], (2.0, 4.0))
    truth = np.log(LAWS["a"].flops(2.5) / LAWS["b"].flops(2.5))
    found = headline_interval(overhead, LAWS)
    assert (found.truth, found.low, found.high) == pytest.approx((truth, np.log(2.0), np.log(4.0)))
    interaction = estimand("interaction", ["a", "b", "b", "c"], (0.1, 0.7))
    truth -= np.log(LAWS["b"].flops(2.5) / LAWS["c"].flops(2.5))
    found = headline_interval(interaction, LAWS)
    assert (found.truth, found.low, found.high) == pytest.approx((truth, 0.1, 0.7))


def estimand(name, arms, ci95):
    return Estimand(
        name=name,
        objective="ar",
        arms=arms,
        form="power law",
        at_bpb=2.5,
        quantity=Quantity(value=1.0, ci95=ci95),
        label="estimated",
        headline=True,
    )


def test_plan_simulate_prints_what_fits_find(tokenized, tmp_path, capsys):
    home, study, _ = tokenized
    law = "[arms.{}]\nbpb = 2.5\nflops = 1e10\nparams = 3_000\n"
    path = tmp_path / "law.toml"
    path.write_text("".join(law.format(name) for name in study.arms))
    arguments = ["plan", str(home / "tiny.toml"), "--out", str(home / "out"), "--studies", "1"]
    assert main([*arguments, "--simulate", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "simulated studies: 1, with a noise of 0.50% between runs" in " ".join(err.split())
    assert ("no headline was ever estimated" in err) is (out == ""), "a table only where it has rows"


def test_no_table_is_printed_where_nothing_is_estimated(simulation, capsys):
    simulate._print(simulation, [SimulatedFit((), (), 0)])
    out, err = capsys.readouterr()
    assert out == ""
    assert "no headline was ever estimated" in err


def test_the_example_in_the_help_is_a_law_file(capsys):
    with pytest.raises(SystemExit):
        main(["plan", "--help"])
    lines = capsys.readouterr().out.partition("  noise = ")[2].partition("\n\n")[0]
    laws = AssumedLaws.model_validate(tomllib.loads(f"noise = {lines}"))
    assert list(laws.arms) == ["byte-ar"]
