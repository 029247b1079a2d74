"""The command line of lm-evaluation-harness with `bytegap` among its models: python -m bytegap.lm_eval run ..."""

from lm_eval.__main__ import cli_evaluate

import bytegap.lm_eval.model  # noqa: F401 # pyright: ignore[reportUnusedImport] - registers the model

cli_evaluate()
