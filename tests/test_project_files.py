"""What a newcomer meets: the sessions of nox, the workflow, the changelog, what is said of security."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import anyarray_mlp

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOXFILE = ast.parse((ROOT / "noxfile.py").read_text())


#: Modules that run code for what they read.
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "runpy"}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sessions() -> set[str]:
    """The names of nox's sessions, read without nox."""
    names = set()
    for node in NOXFILE.body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                options = decorator.keywords if isinstance(decorator, ast.Call) else []
                named = [o.value.value for o in options if isinstance(o.value, ast.Constant)]
                names.add(str(named[0]) if named else node.name)
    return names


def constant(name: str) -> tuple[str, ...]:
    """A tuple of texts that noxfile.py defines."""
    (value,) = [
        ast.literal_eval(node.value)
        for node in NOXFILE.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]
    assert isinstance(value, tuple)
    return value


@pytest.mark.parametrize("name", ["FAST", "DOCUMENTS"])
def test_the_files_that_a_session_runs_are_there(name: str) -> None:
    files = constant(name)
    assert files
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_every_test_of_a_document_is_in_the_session_docs() -> None:
    reading = [
        f"tests/{path.name}"
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        if re.search(r'/ "docs"|/ "README|README\.read_text', path.read_text(encoding="utf-8"))
    ]
    assert reading
    assert set(reading) <= set(constant("DOCUMENTS"))


@pytest.mark.parametrize(
    "page",
    ["CONTRIBUTING.md", "docs/testing.md", ".github/workflows/ci.yml"],
)
def test_the_sessions_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"nox -s ([\w-]+)", text_of(page)))
    assert named
    assert named <= sessions()


def test_the_workflow_runs_every_python_that_is_declared() -> None:
    lowest = PROJECT["requires-python"].removeprefix(">=")
    classified = [
        found[1]
        for classifier in PROJECT["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier))
    ]
    (matrix,) = re.findall(r"python: \[(.*)\]", text_of(".github/workflows/ci.yml"))
    assert re.findall(r'"([\d.]+)"', matrix) == classified
    assert classified[0] == lowest
    tools = tomllib.loads(text_of("pyproject.toml"))["tool"]
    assert tools["mypy"]["python_version"] == lowest
    assert tools["ruff"]["target-version"] == "py" + lowest.replace(".", "")


def test_every_dependency_has_a_lowest_version_and_no_highest() -> None:
    for requirement in PROJECT["dependencies"]:
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement)


def test_the_release_has_one_section_of_each_kind() -> None:
    changelog = text_of("CHANGELOG.md")
    assert "\n## [Unreleased]\n" in changelog
    assert f"\n## [{anyarray_mlp.__version__}]" in changelog
    for release in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", release, re.MULTILINE)
        assert len(kinds) == len(set(kinds)), release.splitlines()[0]
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {anyarray_mlp.__version__}\n" in text_of("CITATION.cff")


def test_every_decision_is_listed_and_has_its_three_parts() -> None:
    folder = ROOT / "docs" / "decisions"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text()) == records
    for number, name in enumerate(records, 1):
        text = (folder / name).read_text()
        assert name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04}: ")
        for part in ("Context", "Decision", "Consequences"):
            assert f"\n**{part}.** " in text, name


def calls_of(path: Path) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


#: What runs a user's script, and what tells joblib how an estimator goes to a process that it has started.
MAY_IMPORT = {"accelerate/__main__.py": {"runpy"}, "accelerate/workers.py": {"joblib"}}


def test_nothing_in_the_package_unpickles_or_evaluates() -> None:
    """As SECURITY.md says. `exec_module` and one `exec` run a user's file, in `check_file` alone."""
    runs_files = []
    runs_scripts = ROOT / "anyarray_mlp" / "backprop" / "scripts" / "running.py"
    for path in sorted((ROOT / "anyarray_mlp").rglob("*.py")):
        place = path.relative_to(ROOT / "anyarray_mlp").as_posix()
        refused = UNPICKLERS - MAY_IMPORT.get(place, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {a.name.split(".")[0] for a in node.names} & refused, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in refused, path
        for call in calls_of(path):
            name = ast.unparse(call.func)
            if name == "exec" and path == runs_scripts:
                continue
            assert name not in ("eval", "exec", "np.load", "numpy.load", "torch.load"), path
            for option in call.keywords:
                if option.arg == "allow_pickle":
                    assert ast.unparse(option.value) == "False", path
            if name.endswith("exec_module"):
                runs_files.append(path.relative_to(ROOT / "anyarray_mlp").parts[0])
    assert runs_files == ["backprop"]
