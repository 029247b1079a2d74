"""Sphinx: `make docs` writes out/docs/index.html."""

project = "bytegap"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "bytegap"
exclude_patterns = ["README.md", "examples"]
