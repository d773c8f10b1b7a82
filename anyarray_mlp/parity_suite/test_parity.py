"""One test for each case and dtype: outputs, loss and gradients, and every operation on the way to them."""

from __future__ import annotations

import pytest

from anyarray_mlp.backends import Backend
from anyarray_mlp.parity import Case, compare
from anyarray_mlp.parity.precision import reduced_precision

PLUGIN = "anyarray_mlp.parity_suite.plugin"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Without the plugin there is nothing to test, which is reported before any test."""
    if not metafunc.config.pluginmanager.has_plugin(PLUGIN):
        raise pytest.Collector.CollectError(
            "Load the suite's plugin, which names what to test: "
            f"pytest -p {PLUGIN} --pyargs anyarray_mlp.parity_suite --parity-namespace=MODULE"
        )


def test_parity(parity_backend: Backend, parity_case: Case) -> None:
    """Nothing departs from the float64 reference by more than rounding may do."""
    report = compare([parity_backend], cases=[parity_case])
    if report.departures:
        (departure,) = report.departures
        others = f" (after it: {', '.join(departure.others)})" if departure.others else ""
        pytest.fail(f"{departure.message}{others}", pytrace=False)


def test_products_keep_every_bit(parity_backend: Backend) -> None:
    """Matrix products use all the bits of their inputs: no TF32, bfloat16 or half precision."""
    assert reduced_precision(parity_backend) == ()
