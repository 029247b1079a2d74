"""The whole quickstart, from text to report, against the sum of its steps.

    python bench/road.py [--study STUDY.toml] [--out FOLDER]

FOLDER keeps the study; it must not have it yet.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bytegap import study as study_file
from bytegap.records import Plan, Timings
from bytegap.store import Folder, read_record
from results import Row, write

QUICKSTART = Path(__file__).parents[1] / "studies" / "quickstart.toml"


def main() -> None:
    """Walk the road once in an empty folder, and write bench/results/road.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=QUICKSTART)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    study = asked.study
    with tempfile.TemporaryDirectory() as spare:
        out = asked.out or Path(spare)
        folder = Folder(out / study_file.load(study).name)
        if folder.root.exists():
            sys.exit(f"{folder.root} is there already: name another folder")
        start = time.perf_counter()
        road = [sys.executable, "-m", "bytegap", "quickstart", str(study), "--out", str(out)]
        subprocess.run(road, check=True)  # noqa: S603
        wall_s = time.perf_counter() - start
        plan = read_record(folder.plan, Plan, "plan")
        timings = [read_record(folder.run(spec.id) / "timings.json", Timings, "train") for spec in plan.runs]
    steps_s = sum(each.train_s for each in timings) / plan.workers
    scoring_s = sum(each.evaluate_s for each in timings) / plan.workers
    rows: list[Row] = [
        {
            "what": f"{study.stem}: text to report, {len(timings)} runs",
            "s": wall_s,
            "of the steps": wall_s / steps_s,
        },
        {"what": f"training steps, {plan.workers} workers", "s": steps_s, "of the steps": 1.0},
        {"what": f"evaluation, {plan.workers} workers", "s": scoring_s, "of the steps": scoring_s / steps_s},
    ]
    write("road", "The quickstart against the sum of its steps", rows)


if __name__ == "__main__":
    main()
