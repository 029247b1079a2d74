"""Sphinx configuration: `make docs` writes out/docs/index.html from local files alone, without a network."""

import json
from typing import TypedDict

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from bytegap.study import config

project = "bytegap"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "bytegap"
exclude_patterns = ["README.md", "examples"]

default_role = "code"  # docstrings quote code in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}

TABLES: dict[str, type[config.Table]] = {
    "corpus": config.Corpus,
    "context": config.Context,
    "arms.NAME": config.Arm,
    "arms.NAME.expected_optimum": config.ExpectedOptimum,
    "grid": config.Grid,
    "compute": config.Compute,
    "launch": config.Launch,
    "logging": config.Logging,
    "fit": config.Fit,
    "report": config.Report,
}
"""The tables of a study file whose keys are the same for every plug-in."""


class ExtensionMetadata(TypedDict):
    """What `setup` tells Sphinx about this file."""

    parallel_read_safe: bool


class Notebook(MystParser):
    """Renders a Jupyter notebook as a page: text cells as Markdown, code cells as Python blocks."""

    supported = ("ipynb",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Fill `document` from the notebook's JSON."""
        pages = {"markdown": "{}", "code": "```python\n{}\n```"}
        cells = json.loads(inputstring)["cells"]
        text = [pages[cell["cell_type"]].format("".join(cell["source"])) for cell in cells]
        super().parse("\n\n".join(text), document)


def study_tables() -> str:
    """The tables of a study file in Markdown, with the docstrings of the classes that read them."""
    docstrings = ModuleAnalyzer.for_module(config.__name__).find_attr_docs()
    text = ""
    for name, table in TABLES.items():
        text += f"### [{name}]\n\n{table.__doc__}\n\n| key | default | meaning |\n|---|---|---|\n"
        for key, field in table.model_fields.items():
            meaning = " ".join(docstrings.get((table.__name__, key), [])).strip()
            text += f"| `{key}` | {default(field)} | {meaning} |\n"
        text += "\n"
    return text


def default(field: FieldInfo) -> str:
    """The default of a key as the reference shows it."""
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, config.Plugin):
        return f"`{value.name}`"
    if isinstance(value, config.ExpectedOptimum):
        return f"`{{ params = {value.params:_g}, flops = {toml_number(value.flops)} }}`"
    if isinstance(value, float):
        return f"`{toml_number(value)}`"
    return "none" if value in {None, ()} else f"`{value}`"


def toml_number(value: float) -> str:
    """A number as a study file would have it: `0.01`, `30000`, `1e12`."""
    return f"{value:g}".replace("e+", "e")


def fill(_app: Sphinx, page: str, source: list[str]) -> None:
    """Insert the tables of a study file into the reference."""
    if page == "reference":
        source[0] = source[0].replace("STUDY-TABLES", study_tables())


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx when the build starts."""
    app.connect("source-read", fill)
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(Notebook)
    return {"parallel_read_safe": True}
