"""Sphinx: `make docs` writes out/docs/index.html, from files alone: nothing is fetched."""

import json
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from bytegap import study

project = "bytegap"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "bytegap"
exclude_patterns = ["README.md", "examples"]

default_role = "code"  # what stands in backticks in a docstring
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}


class Notebook(MystParser):
    """A Jupyter notebook as the page that its cells are: text as it is, code as code; pictures are files beside it."""

    supported = ("ipynb",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Fill `document` from the notebook's JSON."""
        pages = {"markdown": "{}", "code": "```python\n{}\n```"}
        cells = json.loads(inputstring)["cells"]
        text = [pages[cell["cell_type"]].format("".join(cell["source"])) for cell in cells]
        super().parse("\n\n".join(text), document)


def study_tables() -> str:
    """Every table of a study file and its keys, from the models that read it."""
    analyzer = ModuleAnalyzer.for_module("bytegap.study")
    told = {key: " ".join(lines).strip() for key, lines in analyzer.find_attr_docs().items()}
    named = {"corpus": study.Corpus, "context": study.Context, "arms.NAME": study.Arm, "grid": study.Grid}
    named |= {"compute": study.Compute, "launch": study.Launch, "track": study.Track}
    named |= {"fit": study.Fit, "report": study.Report}
    text = ""
    for name, table in named.items():
        text += f"### [{name}]\n\n{table.__doc__}\n\n| key | left out | what |\n|---|---|---|\n"
        for key, field in table.model_fields.items():
            default = field.default.name if isinstance(field.default, study.Plugin) else field.default
            left_out = "must be given" if field.is_required() else "-" if default in {None, ()} else f"`{default}`"
            text += f"| `{key}` | {left_out} | {told.get((table.__name__, key), '')} |\n"
        text += "\n"
    return text


def fill(_app: Sphinx, page: str, source: list[str]) -> None:
    """Put the study's tables where the reference wants them."""
    if page == "reference":
        source[0] = source[0].replace("STUDY-TABLES", study_tables())


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls."""
    app.connect("source-read", fill)
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(Notebook)
    return {"parallel_read_safe": True}
