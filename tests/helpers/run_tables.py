"""Tables of runs for `fit-table`: made from a known law, fitted, or refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from bytegap.cli.main import main
from bytegap.scaling import laws

LAW = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
FLOPS = tuple(1e18 * 4.0**step for step in range(6))


def runs(
    law: dict = LAW, noise: float = 0.0, flops: tuple = FLOPS, sizes: int = 7, arm: str = "", seed: int = 0
) -> list[dict]:
    """Runs of `sizes` sizes about each budget's optimum."""
    rng = np.random.default_rng(seed)
    made: list[dict] = []
    pairs = (law["A"], law["B"]), (law["alpha"], law["beta"])
    for budget in flops:
        best, _ = laws.chinchilla_optimum(budget, *pairs)
        for params in (best * np.geomspace(0.25, 4, sizes)).tolist():
            tokens = budget / 6 / params
            loss = float(laws.chinchilla_bpb(params, tokens, law["E"], *pairs)) * np.exp(noise * rng.standard_normal())
            row = {"flops": budget, "params": params, "tokens": tokens, "loss": float(loss)}
            made.append(row | ({"arm": arm} if arm else {}))
    return made


def write(path: Path, rows: list[dict], end: str = "\n") -> Path:
    lines = [",".join(rows[0]), *(",".join(str(each) for each in row.values()) for row in rows)]
    path.write_text(end.join(lines) + end, encoding="utf-8", newline="")
    return path


def fitted(capsys: pytest.CaptureFixture, path: Path, *flags: str) -> dict:
    assert main(["fit-table", str(path), "--json", "--bootstraps", "40", *flags]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    assert main(["fit-table", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bytegap: ")
    assert len(err.splitlines()) == 1
    return err


def warned(fit: dict, name: str) -> str:
    found = [warning for warning in fit["warnings"] if warning.startswith(f"{name}: ")]
    assert len(found) == 1, fit["warnings"]
    return found[0]
