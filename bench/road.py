"""The whole quickstart, from text to report, against the sum of its steps: `python bench/road.py [STUDY.toml]`."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bytegap.records import Plan, Timings
from bytegap.store import Folder, read_record
from results import Row, write

QUICKSTART = Path(__file__).parents[1] / "studies" / "quickstart.toml"


def main() -> None:
    """Walk the road once in an empty folder, and write bench/results/road.json."""
    study = sys.argv[1] if len(sys.argv) > 1 else str(QUICKSTART)
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "bytegap", "quickstart", study, "--out", out], check=True)  # noqa: S603
        wall_s = time.perf_counter() - start
        folder = Folder(next(Path(out).iterdir()))
        plan = read_record(folder.plan, Plan, "plan")
        timings = [read_record(folder.run(spec.id) / "timings.json", Timings, "train") for spec in plan.runs]
    steps_s = sum(each.train_s for each in timings) / plan.workers
    scoring_s = sum(each.evaluate_s for each in timings) / plan.workers
    rows: list[Row] = [
        {
            "what": f"{Path(study).stem}: text to report, {len(timings)} runs",
            "s": wall_s,
            "of the steps": wall_s / steps_s,
        },
        {"what": f"training steps, {plan.workers} workers", "s": steps_s, "of the steps": 1.0},
        {"what": f"evaluation, {plan.workers} workers", "s": scoring_s, "of the steps": scoring_s / steps_s},
    ]
    write("road", "The quickstart against the sum of its steps", rows)


if __name__ == "__main__":
    main()
