"""Build the wheel and use it as a user would, outside the checkout: `make wheel-test`. Needs a package index.

First with the extra `all`, whose packages are borrowed from `.venv`: a tiny study from text to report, and the public
functions. Then in an environment of its own without extras: its size, `--help`, `fit-table`, `flops`, the study's
`collect` and `fit`, and what a verb prints whose extra is missing. Both make sure that the wheel's code is what runs.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.helpers.tiny_study import STUDY, write_study  # noqa: E402 - the path comes first

MOST_BYTES = 110_000_000
"""Of the base installation, pip and setuptools excluded."""
MOST_HELP_S = 0.3
SHAPE = {"d_model": 256, "n_layers": 4, "vocab_size": 32003, "context": 1024}
RUNS = "params,tokens,flops,loss\n" + "".join(
    f"{N:.0f},{D:.0f},{6 * N * D:.6g},{1.7 + 400 / N**0.34 + 410 / D**0.28:.6f}\n"
    for N in (1e7, 3e7, 1e8, 3e8)
    for D in (1e9, 3e9, 1e10)
)


class Environment:
    """A virtual environment in which the wheel is installed, used from a folder outside the checkout."""

    def __init__(self, home: Path, wheel: Path, extras: str = "", borrowed: Path | None = None) -> None:
        """Install the wheel with `extras`; with `borrowed`, from the packages of that folder alone."""
        venv.create(home / "venv", with_pip=True)
        self.home = home
        self.bin = home / "venv" / "bin"
        [self.packages] = (home / "venv" / "lib").glob("python*/site-packages")
        self.environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        if borrowed:
            (self.packages / "borrowed.pth").write_text(f"{borrowed}\n", encoding="utf-8")
            flags = ["--no-index", "--ignore-installed", "--no-deps"]
            self.run(
                "pip", "uninstall", "--quiet", "--yes", "setuptools"
            )  # Python 3.11's own, which torch finds too old
        else:
            flags = ["--constraint", str(ROOT / "constraints.txt")]
        self.run("pip", "install", "--quiet", *flags, f"{wheel}{extras}")
        if borrowed:  # every requirement of the extras is met
            self.run("pip", "install", "--quiet", "--no-index", f"{wheel}{extras}")
        module = self.run("python", "-c", "import bytegap; print(bytegap.__file__)").stdout.strip()
        assert module == str(self.packages / "bytegap" / "__init__.py"), module

    def run(self, program: str, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment, and make sure that it ends with `code`."""
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=self.home,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{program} {' '.join(arguments)}: {done.returncode}\n{done.stderr}"
        return done

    def size_bytes(self) -> int:
        """What the wheel and its requirements take on disk; not pip and setuptools, which come with the environment."""
        tools = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
        files = [path for path in self.packages.rglob("*") if path.is_file()]
        return sum(
            path.stat().st_size for path in files if not path.relative_to(self.packages).parts[0].startswith(tools)
        )


def main() -> None:
    """Build the wheel and check it in both environments."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(home), str(ROOT)]
        subprocess.run(build, check=True)
        [wheel] = home.glob("*.whl")
        for name, check in (("all", check_all), ("base", check_base)):
            (home / name).mkdir()
            started = time.monotonic()
            print(f"{name}: {check(home / name, wheel)}; {time.monotonic() - started:.0f} s", flush=True)


def check_base(home: Path, wheel: Path) -> str:
    """The wheel without extras, also on the study that `check_all` left in the folder next to `home`."""
    user = Environment(home, wheel)
    helped_s = []
    for _ in range(10):
        started = time.perf_counter()
        user.run("bytegap", "--help")
        helped_s.append(time.perf_counter() - started)
    help_s = min(helped_s)  # the others waited for other processes
    user.run("bytegap", "--version")
    (home / "runs.csv").write_text(RUNS, encoding="utf-8")
    fit = json.loads(user.run("bytegap", "fit-table", "runs.csv", "--json", "--bootstraps", "40").stdout)
    assert abs(fit["chinchilla"]["alpha"]["value"] - 0.34) < 0.01, fit["chinchilla"]
    (home / "shapes.json").write_text(json.dumps([SHAPE]), encoding="utf-8")
    counts = json.loads(user.run("bytegap", "flops", "shapes.json", "--json").stdout)["breakdowns"]
    assert {count["objective"] for count in counts} == {"ar", "mdm"}
    user.run("bytegap", "init", "mine.toml")
    shutil.copytree(home.parent / "all" / "out", home / "out")
    shutil.copy(home.parent / "all" / "tiny.toml", home)
    table = (home / "out" / "tiny" / "runs.jsonl").read_bytes()
    for stale in ("runs.jsonl", "fit.json"):
        (home / "out" / "tiny" / stale).unlink()
    user.run("bytegap", "collect", "tiny.toml", "--audit")
    assert (home / "out" / "tiny" / "runs.jsonl").read_bytes() == table
    user.run("bytegap", "fit", "tiny.toml")
    refused = user.run("bytegap", "quickstart", code=2).stderr
    assert "pip install 'bytegap[train,report,quickstart]'" in refused, refused
    refused = user.run("bytegap", "compress", "runs.csv", "-o", "runs.bg", "--run", ".", code=2).stderr
    assert "pip install 'bytegap[train,codec]'" in refused, refused
    assert user.size_bytes() < MOST_BYTES, f"{user.size_bytes():,} bytes"
    assert help_s < MOST_HELP_S, f"--help takes {help_s:.2f} s"
    return f"{user.size_bytes() / 1e6:.0f} MB installed, --help in {help_s:.2f} s"


def check_all(home: Path, wheel: Path) -> str:
    """The wheel with every extra."""
    user = Environment(home, wheel, "[all]", borrowed=Path(sysconfig.get_path("purelib")))
    study = write_study(home, STUDY.replace("[1e10]", "[4e9]"))
    user.run("bytegap", "run", str(study))
    out = home / "out" / "tiny"
    rows = (out / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    assert (out / "report" / "index.html").is_file()
    script = (
        "import bytegap\nfrom pathlib import Path\n"
        "print(len(bytegap.load_runs('out/tiny')), bytegap.load_study('tiny.toml').name)\n"
        "run = next(Path('out/tiny/runs').iterdir())\n"
        "print(bytegap.score_text(bytegap.open_model(run), 'the text').bits_per_byte > 0)"
    )
    printed = user.run("python", "-c", script).stdout.split()
    assert printed == [str(len(rows)), "tiny", "True"], printed
    return f"a study of {len(rows)} runs, from text to report"


if __name__ == "__main__":
    main()
