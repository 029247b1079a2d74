"""The package as it is installed: its public interface, its extras, and what pyproject.toml says of it."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import bytegap
from bytegap.cli.main import main
from bytegap.extras import EXTRAS, is_installed

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements):
    """The distributions that a list of requirements names, normalized."""
    return {re.split(r"[>=<\[; ]", each)[0].lower().replace("_", "-") for each in requirements}


def test_the_public_interface_is_this():
    assert bytegap.__all__ == ["__version__", "fit_table", "load_runs", "load_study", "open_model", "score_text"]
    assert all(hasattr(bytegap, name) for name in bytegap.__all__)
    public = {name for name, value in vars(bytegap).items() if callable(value) and not name.startswith("_")}
    assert public - {"Path"} == set(bytegap.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="module 'bytegap' has no attribute 'load_run'"):
        _ = bytegap.load_run


def test_the_version_is_that_of_pyproject():
    assert bytegap.__version__ == PROJECT["version"]


def test_importing_bytegap_loads_nothing_beyond_the_standard_library():
    code = "import sys, bytegap; print({'numpy', 'torch', 'pydantic', 'rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"set()"


def test_the_package_is_typed():
    assert (Path(bytegap.__file__).parent / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_the_base_needs_three_packages():
    assert names(PROJECT["dependencies"]) == {"numpy", "pydantic", "rich"}


def test_the_extras_are_those_of_pyproject():
    declared = PROJECT["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - {"all"}
    distributions = packages_distributions()
    for extra, packages in EXTRAS.items():
        owners = [set(distributions[package.partition(".")[0]]) for package in packages]
        wanted = names(declared[extra])
        assert len(owners) == len(wanted), extra
        assert all(names(owner) & wanted for owner in owners), extra


def test_all_is_every_extra():
    [everything] = PROJECT["optional-dependencies"]["all"]
    assert everything == f"bytegap[{','.join(sorted(EXTRAS))}]"


def test_every_requirement_is_pinned_in_constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = names(line for line in lines if not line.startswith("#"))
    extras = [each for extra, group in PROJECT["optional-dependencies"].items() if extra != "all" for each in group]
    assert names(PROJECT["dependencies"] + extras) <= pinned


def test_fit_table_is_what_the_verb_prints(tmp_path, capsys):
    (tmp_path / "runs.csv").write_text(
        "Size,tokens,loss\n"
        + "".join(
            f"{N:.0f},{D:.0f},{1.7 + 400 / N**0.34 + 410 / D**0.28:.6f}\n"
            for N in (1e7, 3e7, 1e8, 3e8)
            for D in (1e9, 3e9, 1e10)
        )
    )
    fit = bytegap.fit_table(
        tmp_path / "runs.csv", columns={"params": "Size"}, convention="6nd", drop_worst=1, bootstraps=40, seed=2
    )
    flags = "--columns params=Size --convention 6nd --drop-worst 1 --bootstraps 40 --seed 2 --json"
    assert main(["fit-table", str(tmp_path / "runs.csv"), *flags.split()]) == 0
    assert capsys.readouterr().out == fit.model_dump_json(indent=2) + "\n"


@pytest.mark.parametrize(("package", "installed"), [("numpy", True), ("no_such", False), ("no_such.part", False)])
def test_a_package_is_installed_or_not(package, installed):
    assert is_installed(package) is installed
