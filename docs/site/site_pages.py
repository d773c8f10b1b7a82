"""The pages of the site that are made of the code: a reference of the public names, and the examples, which run.

Written when a build begins, to `docs/reference` and `docs/examples`, which are not kept.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.public_names import PACKAGES, module_name, names_of

ROOT = Path(__file__).parent.parent.parent
REFERENCE, EXAMPLES = ROOT / "docs" / "reference", ROOT / "docs" / "examples"
#: Seconds that a small form of an example may take.
LIMIT = 300
FENCE = "`" * 3


def write_reference(folder: Path) -> None:
    """A page for each public package, and one that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    seen: set[int] = set()
    for package in PACKAGES:
        full = module_name(package)
        lines = [f"# `{full}`", "", f"{FENCE}{{eval-rst}}", f".. currentmodule:: {full}", ""]
        for name, value in names_of(package).items():
            if id(value) in seen or not callable(value):
                continue
            seen.add(id(value))
            if isinstance(value, type):
                lines += [f".. autoclass:: {name}", "   :members:", ""]
            else:
                lines += [f".. autofunction:: {name}", ""]
        if lines[-1] == "" and len(lines) == 5:
            continue  # the face, whose names have homes
        page = package or "face"
        (folder / f"{page}.md").write_text("\n".join([*lines, FENCE, ""]), encoding="utf-8")
        pages.append(page)
    listed = "\n".join(pages)
    (folder / "index.md").write_text(
        f"# Reference\n\n{FENCE}{{toctree}}\n{listed}\n{FENCE}\n", encoding="utf-8"
    )


def write_examples(folder: Path, run: bool) -> None:
    """A page for each example: what it is about, its picture, its source, and if they `run`, what its small form
    printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    for path in sorted((ROOT / "examples").glob("[0-9]*.py")):
        source = path.read_text(encoding="utf-8")
        title, _, rest = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
        page = [
            f"# {escaped(title)}",
            "",
            escaped(rest.strip()),
            "",
            f"![{escaped(title)}](../../examples/pictures/{path.stem}.png)",
            "",
            *(shown_run(path.stem) if run else ()),
            f"{FENCE}{{literalinclude}} ../../examples/{path.name}",
            ":language: python",
            FENCE,
            "",
        ]
        (folder / f"{path.stem}.md").write_text("\n".join(page), encoding="utf-8")
        pages.append(path.stem)
    listed = "\n".join(pages)
    (folder / "index.md").write_text(
        f"# Examples\n\n{FENCE}{{toctree}}\n{listed}\n{FENCE}\n", encoding="utf-8"
    )


def shown_run(name: str) -> list[str]:
    """Lines on what the small form of an example prints."""
    return [
        f"A small form, `python -m examples.{name} --quick`, printed while this page was made:",
        "",
        f"{FENCE}text",
        printed(name),
        FENCE,
        "",
    ]


def escaped(text: str) -> str:
    """Plain text as Markdown: bars and brackets are what they are."""
    return re.sub(r"([\\|\[\]<>])", r"\\\1", text)


def printed(name: str) -> str:
    """What the small form of an example prints; `RuntimeError` if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}", "--quick"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"examples.{name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.rstrip()


def as_markup(lines: list[str]) -> list[str]:
    """A docstring as reStructuredText: names before what is said of them become lists, headings bold."""
    result: list[str] = []
    in_section = False
    for block in blocks_of(lines):
        if len(block) > 1 and set(block[1]) == {"-"}:
            result += [f"**{block[0]}**", ""]
            block, in_section = block[2:], True
        elif in_section and not block[0].startswith(" ") and " : " not in block[0]:
            in_section = False
        listed = in_section or any(line.startswith(" ") for line in block)
        for line in block:
            continued = line.startswith(" ")
            mark = "" if not listed else "  " if continued else "- "
            result.append(mark + code_and_text(line.strip()))
        result.append("")
    return result


def blocks_of(lines: list[str]) -> list[list[str]]:
    """What stands between empty lines."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def code_and_text(line: str) -> str:
    """A line in which what stands in backticks is code, and the rest says what it says."""
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(
        f"`{part}`" if part.startswith("`") else re.sub(r"([\\*|_])", r"\\\1", part)
        for part in parts
    )


def rewrite(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text, with names in backticks."""
    lines[:] = as_markup(lines)


def write_pages(app: Any) -> None:
    """Write the pages that Sphinx is about to read."""
    write_reference(REFERENCE)
    write_examples(EXAMPLES, app.config.run_examples)


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_config_value("run_examples", True, "env", (bool,))
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", rewrite)
    return {"parallel_read_safe": True}
