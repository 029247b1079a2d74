"""The harness's own command line, `bytegap` among its models: python -m bytegap.harness run --model bytegap ..."""

from lm_eval.__main__ import cli_evaluate

import bytegap.harness.model  # noqa: F401 - registers it

cli_evaluate()
