"""Wall clock of the quickstart from text to report, relative to the sum of its training steps.

    python bench/end_to_end.py [--study STUDY.toml] [--out DIR]

Writes the study to DIR, which must not have it yet, and bench/results/end_to_end.json.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study
from results import Row, write

QUICKSTART = Path(__file__).parents[1] / "src" / "bytegap" / "study" / "quickstart.toml"


def main() -> None:
    """Run the study once in an empty folder, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=QUICKSTART)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    study: Path = options.study
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        study_dir = StudyDir(out / load_study(study).name)
        if study_dir.root.exists():
            sys.exit(f"{study_dir.root} exists already: name another folder")
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "bytegap", "run", str(study), "--out", str(out)], check=True)  # noqa: S603
        wall_s = time.perf_counter() - start
        plan = study_dir.plan()
        timings = [study_dir.run(spec.id).timings() for spec in plan.runs]
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
    write("end_to_end", "The quickstart relative to the sum of its steps", rows)


if __name__ == "__main__":
    main()
