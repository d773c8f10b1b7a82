"""The commands of CONTRIBUTING.md: `nox` checks and runs the quick tests, `nox --list` names the rest.

`.ci/run` is the judge: a clean clone in a fresh environment. These sessions are for the time before that.
"""

from __future__ import annotations

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["check", "test-fast"]
nox.options.reuse_existing_virtualenvs = True

#: More threads in each of several test processes only get in the others' way.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
#: The backends that need no GPU.
BACKENDS = ("torch>=2.6", "jax>=0.5")
#: Tests that together take less than a minute on two cores: what the math is, the names, the values, the files, the
#: package as a whole. NumPy is the only array library that they need. A new file that is quick belongs here.
FAST = (
    "tests/test_package.py",
    "tests/test_project_files.py",
    "tests/test_network_layout.py",
    "tests/test_network_functional.py",
    "tests/test_network_initializers.py",
    "tests/test_network_mlp.py",
    "tests/test_network_optimizers.py",
    "tests/test_network_schedules.py",
    "tests/test_checking_names.py",
    "tests/test_checking_values.py",
    "tests/test_metrics.py",
    "tests/test_streams.py",
    "tests/test_persistence_model_file.py",
    "tests/test_pipeline_trained_model.py",
)
#: The tests that run what documents, READMEs and examples say.
DOCUMENTS = (
    "tests/test_package.py",
    "tests/test_examples.py",
    "tests/test_backprop_mistakes.py",
    "tests/test_network_page.py",
    "tests/test_pipeline.py",
    "tests/test_parity_command.py",
    "tests/test_parity_exact.py",
    "tests/test_project_files.py",
    "tests/test_training_page.py",
    "tests/test_tutorial_page.py",
    "tests/test_tables_reading.py",
    "tests/test_typing.py",
)

#: Builds the site; a warning, such as a link that leads nowhere, is an error.
SITE = ("python", "-m", "sphinx", "-W", "-q", "-b", "html", "-c", "docs/site", ".", "build/site")


def lowest_versions() -> list[str]:
    """What the package depends on, each in the lowest version that it declares."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    return [requirement.replace(">=", "==") for requirement in project["dependencies"]]


def pytest(session: nox.Session, *arguments: str) -> None:
    """Run pytest on two processes, with what follows `--` on nox's command line."""
    session.run("python", "-m", "pytest", "-n", "2", *arguments, *session.posargs, env=ONE_THREAD)


@nox.session
def check(session: nox.Session) -> None:
    """Style, format, types, import contracts."""
    session.install("-e", ".[test,lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session(name="test-fast")
def test_fast(session: nox.Session) -> None:
    """The tests of `FAST`, with NumPy alone."""
    session.install("-e", ".[test]")
    pytest(session, *FAST)


@nox.session
def test(session: nox.Session) -> None:
    """All tests, with every backend that needs no GPU."""
    session.install("-e", ".[test,lint,mutation]", *BACKENDS)
    pytest(session)


@nox.session
def lowest(session: nox.Session) -> None:
    """All tests with the lowest versions that the package declares, NumPy as the only backend."""
    session.install("-e", ".[test]", *lowest_versions())
    pytest(session)


@nox.session
def docs(session: nox.Session) -> None:
    """The documents: their code runs, their links lead somewhere, their lists are those of the code."""
    session.install("-e", ".[test]", *BACKENDS)
    pytest(session, *DOCUMENTS)


@nox.session
def site(session: nox.Session) -> None:
    """The documentation as a site, in build/site; warnings are errors, and the examples run."""
    session.install("-e", ".[docs]")
    session.run(*SITE)


@nox.session
def coverage(session: nox.Session) -> None:
    """All tests, and how many lines and branches of the package they reach; fails below the floor of pyproject.toml."""
    session.install("-e", ".[test,lint,mutation]", *BACKENDS, "pytest-cov>=6")
    pytest(session, "--cov", "--cov-report=term:skip-covered")


@nox.session
def bench(session: nox.Session) -> None:
    """The speed benchmark; `nox -s bench -- --help` lists its parts."""
    session.install("-e", ".", *BACKENDS)
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(name="bench-over-time")
def bench_over_time(session: nox.Session) -> None:
    """A few ratios to peers, beside those of earlier commits; fails if one is slower."""
    session.install("-e", ".")
    session.run("python", "-m", "benchmarks.over_time", *session.posargs)
