"""The package as a whole: public names, what is not imported, layers, the README."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import anyarray_mlp

ROOT = Path(__file__).parent.parent
HEAVY = ("sklearn", "pandas", "torch", "jax", "cupy", "scipy", "matplotlib", "rich", "click")


def modules_after(code):
    """Top-level modules that a fresh interpreter has loaded after some code."""
    program = f"{code}\nimport sys, json; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import anyarray_mlp", set()),
        ("import anyarray_mlp; anyarray_mlp.MLP((2, 3))", set()),
        ("import anyarray_mlp; anyarray_mlp.select_backend()", set()),
        ("import anyarray_mlp.data, anyarray_mlp.backends, anyarray_mlp.training", set()),
        ("import anyarray_mlp.cli", {"click"}),
    ],
)
def test_no_array_library_beyond_numpy_is_loaded(code, allowed):
    assert modules_after(code) & set(HEAVY) <= allowed


def test_help_loads_nothing_slow():
    code = "from anyarray_mlp.cli import run; run(['--help'])"
    assert modules_after(code) & {"numpy", *HEAVY} <= {"click"}


def test_every_public_name_is_there_and_listed():
    assert sorted(anyarray_mlp.__all__) == sorted(anyarray_mlp.HOMES)
    for name in anyarray_mlp.__all__:
        assert getattr(anyarray_mlp, name).__doc__
    assert set(anyarray_mlp.__all__) <= set(dir(anyarray_mlp))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = anyarray_mlp.nonsense


def test_type_checkers_see_the_names_that_are_loaded_lazily():
    tree = ast.parse(Path(anyarray_mlp.__file__).read_text())
    imported = {
        alias.name: node.module.removeprefix("anyarray_mlp.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("anyarray_mlp.")
        for alias in node.names
    }
    assert imported == anyarray_mlp.HOMES


def test_the_layers_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_every_module_says_what_it_is():
    paths = sorted((ROOT / "anyarray_mlp").rglob("*.py"))
    assert [path for path in paths if ast.get_docstring(ast.parse(path.read_text())) is None] == []


@pytest.mark.parametrize("room", ["backends", "data", "persistence", "arithmetic"])
def test_every_exported_name_of_a_room_is_documented(room):
    module = importlib.import_module(f"anyarray_mlp.{room}")
    exported = [getattr(module, name) for name in module.__all__]
    assert exported
    for value in exported:
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, value


#: What reads as if translated, as a pattern: write fix, again, below, resume or continue, already exists, if.
TRANSLATED = (
    r"mend(s|ed|ing)?",
    r"anew",
    r"beneath",
    r"(go|goes|going|gone|went) on (from|with)",
    r"is there already",
    r"None where",
    r"Error`? where",
    r"where there (is|are)",
)
#: Rooms and modules of the package, and pages, that have been read for it.
PLAIN_ENGLISH = (
    *("arithmetic", "backends", "checking", "data", "estimators", "parity", "parity_suite"),
    *("persistence", "errors.py", "metrics.py", "streams.py"),
    *("README.md", "docs/backends.md", "docs/data.md", "docs/model-file.md", "docs/parity.md"),
    *("docs/reliability.md", "docs/reproducible.md", "docs/scikit-learn.md"),
)


@pytest.mark.parametrize("place", PLAIN_ENGLISH)
def test_texts_are_plain_english(place):
    path = ROOT / place if place.endswith(".md") else ROOT / "anyarray_mlp" / place
    paths = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    assert paths
    found = [
        f"{path.relative_to(ROOT)}, line {number}: {words[0]}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for words in re.finditer(rf"\b({'|'.join(TRANSLATED)})\b", line)
    ]
    assert found == []


def readme_blocks(language):
    """The README's fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_readme_script_has_ten_lines_and_runs(capsys):
    (script,) = [block for block in readme_blocks("python") if "MLP(" in block]
    statements = [line for line in script.splitlines() if line and "import" not in line]
    assert len(statements) <= 10
    exec(compile(script, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert float(re.search(r"accuracy (\S+)", printed)[1]) >= 0.95


def test_the_readme_parts_run(tmp_path, monkeypatch, capsys):
    from anyarray_mlp.cli import run

    monkeypatch.chdir(tmp_path)
    assert run(["train", "digits", "--epochs", "5", "--quiet"]) == 0
    first, second, *_ = readme_blocks("python")
    names = {}
    exec(compile(first + second, "README.md", "exec"), names)
    assert capsys.readouterr().out.splitlines()[-1] == "True"
    assert (names["labels"] == names["y"]).mean() > 0.9


def test_the_guide_to_diagnose_quotes_what_its_snippet_prints(capsys):
    text = (ROOT / "docs" / "diagnose.md").read_text()
    snippet, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.DOTALL).groups()
    exec(compile(snippet, "docs/diagnose.md", "exec"), {})

    def words(output):
        return re.sub(r"-?\d[\d.]*", "#", output)

    assert words(capsys.readouterr().out) == words(printed)


def test_the_readme_commands_exist():
    from anyarray_mlp.cli import cli

    text = "\n".join(readme_blocks("sh"))
    commands = set(re.findall(r"anyarray-mlp (\w+)", text))
    assert commands <= set(cli.list_commands(None))
    assert "pip install . && anyarray-mlp train digits" in text
    assert text.count("python -m pytest") == 1


def test_every_linked_page_is_there():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
            if "://" not in link:
                assert (path.parent / link).exists(), f"{path.name} links to {link}"
