"""The package as a whole: public names, what is not imported, layers, the README."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import grimp
import pytest
from sklearn.datasets import load_digits

import anyarray_mlp
from anyarray_mlp.cli import COMMANDS
from tools import architecture, documents, public_names

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


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_loads_nothing_slow(command):
    code = f"from anyarray_mlp.cli import run; run([*{command}, '--help'])"
    assert modules_after(code) & {"numpy", *HEAVY} <= {"click"}


def test_every_public_name_is_there_and_listed():
    assert sorted(anyarray_mlp.__all__) == sorted(anyarray_mlp.HOMES)
    for name in anyarray_mlp.__all__:
        assert getattr(anyarray_mlp, name).__doc__
    assert set(anyarray_mlp.__all__) <= set(dir(anyarray_mlp))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = anyarray_mlp.nonsense


def lazy_packages():
    """The packages whose names are loaded when first used."""
    packages = [import_module(public_names.module_name(name)) for name in public_names.PACKAGES]
    return [package for package in packages if hasattr(package, "HOMES")]


@pytest.mark.parametrize("package", lazy_packages(), ids=lambda package: package.__name__)
def test_type_checkers_see_the_names_that_are_loaded_lazily(package):
    tree = ast.parse(Path(package.__file__).read_text())
    (for_checkers,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(for_checkers.test) == "TYPE_CHECKING"
    imported = {
        alias.name: node.module.removeprefix(f"{package.__name__}.")
        for node in ast.walk(for_checkers)
        if isinstance(node, ast.ImportFrom) and node.module.startswith(f"{package.__name__}.")
        for alias in node.names
    }
    assert imported == package.HOMES
    assert sorted(package.__all__) == sorted(package.HOMES)
    # A module of the same name would take the name's place once it is imported.
    assert not {module.name for module in iter_modules(package.__path__)} & set(package.HOMES)


def test_the_layers_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def modules():
    """The files of the package."""
    return sorted((ROOT / "anyarray_mlp").rglob("*.py"))


def test_every_module_says_what_it_is():
    assert [
        path for path in modules() if ast.get_docstring(ast.parse(path.read_text())) is None
    ] == []


def test_the_list_of_public_names_is_that_of_the_code():
    written, true = public_names.API.read_text().splitlines(), public_names.text().splitlines()
    hint = "run `python -m tools` to rewrite it after a change that you mean"
    assert sorted(set(written) ^ set(true)) == [], f"docs/api.txt differs from the code: {hint}"
    assert written == true, f"docs/api.txt has another order: {hint}"


def test_a_signature_is_written_without_what_differs_between_machines():
    def f(a, b=1, *c, d=(2, print), e=print, g=int, **h): ...

    class Record:
        def __init__(self, a, b=None): ...

    assert public_names.signature(f) == "(a, b=1, *c, d=(2, ...), e=..., g=int, **h)"
    assert public_names.signature_of(ValueError) == public_names.signature_of(Record) == ""
    Record.__module__ = "anyarray_mlp.somewhere"
    assert public_names.signature_of(Record) == "(a, b=None)"


@pytest.mark.parametrize("package", public_names.PACKAGES)
def test_every_public_name_and_member_is_documented(package):
    exported = public_names.names_of(package)
    assert exported
    for name, value in exported.items():
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, name
        if inspect.isclass(value):
            for member, code in public_names.members_of(value):
                function = public_names.unwrapped(code)
                assert not inspect.isfunction(function) or inspect.getdoc(getattr(value, member)), (
                    f"{name}.{member}"
                )


def test_the_face_gathers_names_of_public_packages():
    for name, home in anyarray_mlp.HOMES.items():
        assert home in public_names.PACKAGES
        assert name in public_names.names_of(home)


def own_imports(code):
    """(module, name) of what some code imports from this package."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anyarray_mlp"):
            yield from ((node.module, alias.name) for alias in node.names)


def test_documents_and_examples_import_public_names_only():
    public = {
        public_names.module_name(package): {*public_names.names_of(package), *public_names.PACKAGES}
        for package in public_names.PACKAGES
    }
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    codes = {
        f"{page.name}, block {number}": block
        for page in pages
        for number, block in enumerate(blocks(page, "python"))
    }
    codes |= {path.name: path.read_text() for path in (ROOT / "examples").rglob("*.py")}
    imported = {
        where: {f"{m}.{n}" for m, n in own_imports(code) if n not in public.get(m, ())}
        for where, code in codes.items()
    }
    assert len(imported) > 20
    assert {where: names for where, names in imported.items() if names} == {}


@pytest.mark.parametrize("page", documents.PARTS)
def test_what_documents_list_is_what_there_is(page):
    hint = f"run `python -m tools` to rewrite it: {page} lists other things than the code has"
    assert (ROOT / page).read_text(encoding="utf-8") == documents.written(page), hint


def drawn():
    """The layers and the arrows of the picture in docs/design.md."""
    (block,) = blocks(ROOT / "docs" / "design.md", "mermaid")
    layers = [
        part.split() for part in re.findall(r'subgraph \w+\[" "\]\n(.*?)  end', block, re.DOTALL)
    ]
    return layers, re.findall(r"^  (\w+) --> (\w+)$", block, re.MULTILINE)


def test_the_picture_of_the_architecture_is_that_of_the_contract_and_the_imports():
    layers, arrows = drawn()
    assert layers == architecture.layers()
    rooms = [room for layer in layers for room in layer]
    assert sorted(rooms) == sorted(
        {path.relative_to(ROOT / "anyarray_mlp").parts[0].removesuffix(".py") for path in modules()}
        - {"__init__", "__main__"}
    )
    ways = {room: {b for a, b in arrows if a == room} for room in rooms}
    graph = grimp.build_graph("anyarray_mlp", cache_dir=None)
    for room in rooms:
        true = {
            other
            for other in rooms
            if other != room
            and graph.direct_import_exists(
                importer=f"anyarray_mlp.{room}", imported=f"anyarray_mlp.{other}", as_packages=True
            )
        }
        assert ways[room] <= true <= architecture.reachable(ways, room)


def test_arrows_that_others_imply_are_left_out():
    arrows = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": set()}
    assert architecture.thinned(arrows) == {"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": set()}


def test_every_room_has_tests_of_its_name():
    names = [path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")]
    rooms = [room for layer in architecture.layers() for room in layer]
    # Errors are raised by the tests of all other rooms; the suite for authors is run by `test_parity_command.py`;
    # types are mypy's to check.
    untested = [
        room for room in rooms if not any(f"{name}_".startswith(f"{room}_") for name in names)
    ]
    assert set(untested) <= {"parity_suite", "errors", "typing"}


def blocks(page, language):
    """A page's fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


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
    *(
        "accelerate",
        "arithmetic",
        "backends",
        "backprop",
        "checking",
        "cli",
        "data",
        "diagnosis",
        "estimators",
    ),
    *(
        "network",
        "parity",
        "parity_suite",
        "persistence",
        "pipeline",
        "serving",
        "tracking",
        "training",
        "tuning",
    ),
    *("errors.py", "metrics.py", "streams.py", "typing.py"),
    *("README.md", "docs/backends.md", "docs/data.md", "docs/model-file.md", "docs/parity.md"),
    *(
        "docs/reliability.md",
        "docs/reproducible.md",
        "docs/scikit-learn.md",
        "docs/accelerate.md",
        "docs/serve.md",
    ),
    *(
        "docs/check-backprop.md",
        "docs/diagnose.md",
        "docs/network.md",
        "docs/design.md",
        "docs/fit.md",
    ),
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
    return blocks(ROOT / "README.md", language)


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


#: A network as a beginner writes it, whose hidden layer's gradient lacks the derivative of tanh.
MY_NETWORK = """
import numpy as np

rng = np.random.default_rng(0)
x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 1))

class Net:
    def __init__(self):
        self.W1, self.W2 = rng.normal(size=(3, 4)), rng.normal(size=(4, 1))
        self.b1, self.b2 = np.zeros((1, 4)), np.zeros((1, 1))

    def forward(self, x):
        self.a1 = np.tanh(x @ self.W1 + self.b1)
        return self.a1 @ self.W2 + self.b2

    def loss(self, output, y):
        return np.mean((output - y) ** 2)

    def backward(self, x, y, output):
        d2 = 2 * (output - y) / len(x)
        d1 = d2 @ self.W2.T
        return x.T @ d1, self.a1.T @ d2, d1.sum(0, keepdims=True), d2.sum(0, keepdims=True)

net = Net()
"""


def test_each_capability_is_at_most_five_lines_of_the_readme(tmp_path, monkeypatch, capsys):
    """A table (run in test_pipeline.py), an estimator, and a network of one's own."""
    blocks = {
        name: next(block for block in readme_blocks("python") if f"{name}(" in block)
        for name in ("train_table", "MLPClassifier", "check_backprop")
    }
    for block in blocks.values():
        assert sum(bool(line.strip()) for line in block.splitlines()) <= 5
    x, y = load_digits(return_X_y=True)
    exec(compile(blocks["MLPClassifier"], "README.md", "exec"), {"x": x / 16.0, "y": y})
    assert float(capsys.readouterr().out) > 0.88
    (tmp_path / "my_network.py").write_text(MY_NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, object] = {}
    exec(compile(blocks["check_backprop"], "README.md", "exec"), names)
    assert "d1 = d2 @ self.W2.T * (1 - self.a1 ** 2)" in capsys.readouterr().out
    assert names["report"].causes[0] == "derivative_missing"
    del sys.modules["my_network"]


def test_the_readme_commands_exist():
    from anyarray_mlp.cli import cli

    text = "\n".join(readme_blocks("sh"))
    commands = set(re.findall(r"anyarray-mlp (\w+)", text))
    assert commands <= set(cli.list_commands(None))
    assert "pip install . && anyarray-mlp train digits" in text
    assert text.count("python -m pytest") == 1


def test_every_linked_page_is_there():
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
            if "://" not in link:
                assert (path.parent / link).exists(), f"{path.name} links to {link}"
