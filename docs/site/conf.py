"""How Sphinx builds the documentation: `nox -s site`, or `sphinx-build -W -b html -c docs/site . build/site`.

The source folder is the whole clone, so that pages link to one another as they do in the clone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import anyarray_mlp  # noqa: E402

project = "anyarray-mlp"
author = "The anyarray-mlp developers"
release = version = anyarray_mlp.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "site_pages"]
master_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/*.md",
    "docs/decisions/*.md",
    "docs/examples/*.md",
    "docs/reference/*.md",
    "examples/README.md",
    "benchmarks/results/*.md",
    "benchmarks/tables/README.md",
]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["dollarmath", "smartquotes"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "none"
default_role = "literal"
html_theme = "furo"
html_title = f"anyarray-mlp {release}"
html_copy_source = False


def setup(app: Any) -> None:
    """The picture of the rooms is shown as it is written."""
    from pygments.lexers.special import TextLexer

    app.add_lexer("mermaid", TextLexer)
