"""The suite's options and fixtures: a pytest plugin, loaded by `-p anyarray_mlp.parity_suite.plugin`.

Other runs of pytest do not get these options. It imports the package only when a test needs it.
"""

from __future__ import annotations

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


@pytest.fixture(scope="session")  # type: ignore[untyped-decorator]
def parity_backend(request: pytest.FixtureRequest, parity_dtype: str) -> Backend:
    """The library under test in one dtype."""
    return library_under_test(request.config, parity_dtype)


def library_under_test(config: pytest.Config, dtype: str) -> Backend:
    """The library that the options name; raises with one line if it cannot be tested."""
    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.backends.namespace_backend import NamespaceBackend, import_namespace
    from anyarray_mlp.errors import AnyArrayMLPError

    namespace = config.getoption("--parity-namespace")
    name = config.getoption("--parity-backend")
    try:
        if name is not None:
            return select_backend(name, config.getoption("--parity-device"), dtype)
        if namespace is not None:
            return NamespaceBackend(import_namespace(namespace), dtype)
        problem = "Say what to test: --parity-namespace=MODULE, or --parity-backend=NAME."
    except AnyArrayMLPError as error:
        problem = str(error)
    raise pytest.Collector.CollectError(problem)
