"""The documentation builds without a warning, and contains every page of docs/."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for page in [*DOCS.glob("*.md"), *DOCS.glob("*.ipynb"), *DOCS.glob("decisions/*.md")]:
        assert (tmp_path / page.relative_to(DOCS)).with_suffix(".html").is_file(), page
    reference = (tmp_path / "reference.html").read_text()
    for shown in ("load_runs", "mc_passes", "forward_terms", "StudyError", "token_bytes"):
        assert shown in reference
    assert "STUDY-TABLES" not in reference
