"""Sphinx: `make docs` writes out/docs/index.html, from files alone: nothing is fetched."""

import json
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx

project = "bytegap"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "bytegap"
exclude_patterns = ["README.md", "examples"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "undoc-members": False}
suppress_warnings = ["autodoc.mocked_object"]


class Notebook(MystParser):
    """A Jupyter notebook as the page that its cells are: text as it is, code as code; pictures are files beside it."""

    supported = ("ipynb",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Fill `document` from the notebook's JSON."""
        pages = {"markdown": "{}", "code": "```python\n{}\n```"}
        cells = json.loads(inputstring)["cells"]
        text = [pages[cell["cell_type"]].format("".join(cell["source"])) for cell in cells]
        super().parse("\n\n".join(text), document)


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls."""
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(Notebook)
    return {"parallel_read_safe": True}
