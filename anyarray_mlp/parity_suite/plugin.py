"""The suite's options and fixtures: a pytest plugin, loaded by `-p anyarray_mlp.parity_suite.plugin`.

Other runs of pytest do not get these options. It imports the package only when a test needs it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from anyarray_mlp.backends import Backend

DTYPES = ("float32", "float64")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that say which library to test."""
    group = parser.getgroup("parity", "gradients against a float64 reference (anyarray-mlp)")
    group.addoption(
        "--parity-namespace",
        metavar="MODULE",
        help="Array API namespace to test, such as mylib.array_api",
    )
    group.addoption(
        "--parity-backend", metavar="NAME", help="backend of anyarray-mlp to test: torch, jax, ..."
    )
    group.addoption(
        "--parity-device", metavar="DEVICE", default="cpu", help="device of --parity-backend"
    )
    group.addoption("--parity-dtype", choices=DTYPES, help="only this dtype")
    group.addoption("--parity-quick", action="store_true", help="fewer cases")
    group.addoption(
        "--parity-to-host",
        metavar="MODULE:FUNCTION",
        help="what makes NumPy arrays of those of --parity-namespace, without __dlpack__ and __array__",
    )
    for kind, what in (("xfails", "are expected to fail"), ("skips", "are not run")):
        group.addoption(
            f"--parity-{kind}-file",
            metavar="FILE",
            help=f"tests that {what}: the beginning of a test's id on each line, and comments behind #",
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every case in every dtype; a library that cannot be tested is reported once, before any test."""
    config = metafunc.config
    if "parity_case" in metafunc.fixturenames:
        from anyarray_mlp.parity import all_cases

        cases = all_cases(quick=config.getoption("--parity-quick"))
        metafunc.parametrize("parity_case", cases, ids=[case.name for case in cases])
    if "parity_dtype" in metafunc.fixturenames:
        only = config.getoption("--parity-dtype")
        dtypes = [only] if only else DTYPES
        for dtype in dtypes:
            library_under_test(config, dtype)
        metafunc.parametrize("parity_dtype", dtypes, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that are expected to fail, and those that are not run, by the files that list them."""
    for kind, mark in (("xfails", pytest.mark.xfail), ("skips", pytest.mark.skip)):
        file = config.getoption(f"--parity-{kind}-file")
        if file is None:
            continue
        for beginning in listed_in(file):
            found = [item for item in items if id_of(item).startswith(beginning)]
            for item in found:
                item.add_marker(mark(reason=f"listed in {file}"))
            if not found:
                config.issue_config_time_warning(
                    pytest.PytestConfigWarning(f"{file} lists {beginning!r}, which no test is."), 2
                )


def listed_in(file: str) -> list[str]:
    """The lines of a file without comments; `UsageError` of pytest if it cannot be read."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"{file} cannot be read: {error}") from error
    # The comment of a line begins behind a blank: ids may hold a #.
    return [line for line in (re.split(r"(?:^|\s)#", each)[0].strip() for each in lines) if line]


def id_of(item: pytest.Item) -> str:
    """An id without the folder: "test_parity.py::test_parity[float32-activation tanh]"."""
    return f"{item.path.name}::{item.nodeid.partition('::')[2]}"


@pytest.fixture(scope="session")  # type: ignore[untyped-decorator]
def parity_backend(request: pytest.FixtureRequest, parity_dtype: str) -> Backend:
    """The library under test in one dtype."""
    return library_under_test(request.config, parity_dtype)


def library_under_test(config: pytest.Config, dtype: str) -> Backend:
    """The library that the options name; raises with one line if it cannot be tested."""
    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.backends.namespace_backend import (
        NamespaceBackend,
        import_function,
        import_namespace,
    )
    from anyarray_mlp.errors import AnyArrayMLPError

    namespace = config.getoption("--parity-namespace")
    name = config.getoption("--parity-backend")
    try:
        if name is not None:
            return select_backend(name, config.getoption("--parity-device"), dtype)
        if namespace is not None:
            reader = config.getoption("--parity-to-host")
            read = None if reader is None else import_function(reader)
            return NamespaceBackend(import_namespace(namespace), dtype, read)
        problem = "Say what to test: --parity-namespace=MODULE, or --parity-backend=NAME."
    except AnyArrayMLPError as error:
        problem = str(error)
    raise pytest.Collector.CollectError(problem)
