"""What authors of array libraries need: arrays that only they read, lazy ones, limits of time, expected failures."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from anyarray_mlp import MLP
from anyarray_mlp.cli import run
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.parity import compare, compare_exactly, make_case
from tests import own_namespace
from tests.own_namespace import Own
from tests.test_parity_command import FAULTY_LIBRARY, suite

CASES = [
    make_case("first", MLP((5, 4, 3), "tanh")),
    make_case("second", MLP((5, 4, 3), "logistic", dropout=0.5)),
]
OPTIONS: dict[str, Any] = {"namespaces": ["tests.own_namespace"], "cases": CASES}


def read(array: Any) -> Any:
    """The numbers of an array that says nothing of them itself."""
    return array.inside


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Own, "__array__")


@pytest.mark.usefixtures("unreadable")
def test_arrays_are_read_by_a_function_of_their_library() -> None:
    with pytest.raises(UsageError, match="--to-host MODULE:FUNCTION"):
        compare(**OPTIONS)
    for reader in ("tests.test_parity_namespaces:read", read):
        report = compare(**OPTIONS, to_host=reader)
        assert report.ok
        assert [comparison.cases for comparison in report.comparisons] == [2, 2]
    assert compare_exactly(**OPTIONS, dtypes=["float32"], to_host=read).ok


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize(
    ("reader", "error", "message"),
    [
        ("nowhere:read", BackendUnavailableError, "'nowhere:read' cannot be had .* give MODULE:FUNCTION"),
        ("tests.own_namespace:Own.nothing", BackendUnavailableError, "cannot be had"),
        ("tests.own_namespace:Own", UsageError, "--to-host cannot read an array of tests.own_namespace"),
    ],
)  # fmt: skip
def test_readers_that_cannot_be(reader: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        compare(**OPTIONS, to_host=reader)


def test_a_reader_is_for_a_namespace() -> None:
    with pytest.raises(UsageError, match="to_host reads the arrays of a namespace"):
        compare(["numpy"], cases=CASES, to_host=read)


def test_a_library_that_plans_its_work_does_each_operation_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each result is made anew of its values, so that the next operation does not plan all before it again."""
    plain, made = own_namespace.asarray, []

    def asarray(value: Any, **options: Any) -> Own:
        made.append(value)
        return plain(value, **options)

    monkeypatch.setattr(own_namespace, "asarray", asarray)
    eager = compare(**OPTIONS, dtypes=["float64"]).comparisons[0]
    few = len(made)
    made.clear()
    monkeypatch.setattr(Own, "compute", read, raising=False)
    lazy = compare(**OPTIONS, dtypes=["float64"]).comparisons[0]
    assert eager.ok
    assert lazy.ok
    assert len(made) == few + lazy.operations


def test_a_comparison_ends_in_time(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def tanh(x: Any) -> Any:
        time.sleep(600)

    monkeypatch.setattr(own_namespace, "tanh", tanh, raising=False)
    report = compare(**OPTIONS, dtypes=["float64"], timeout=0.5)
    (comparison,) = report.comparisons
    assert (comparison.stopped, comparison.cases, comparison.departures) == (("first", 2), 0, ())
    assert not report.ok
    arguments = ["--namespace", "tests.own_namespace", "--dtype", "float64", "--quick"]
    assert run(["parity", *arguments, "--timeout", "1"]) == 1
    out = capsys.readouterr().out
    assert "STOPPED in 'activation tanh', with" in out
    assert "no departure in 1 comparison, 1 STOPPED by --timeout" in out
    assert run(["parity", *arguments, "--timeout", "1", "--exact"]) == 2
    with pytest.raises(UsageError, match="timeout"):
        compare(**OPTIONS, timeout=0)


def test_time_is_looked_at_between_cases_in_other_threads() -> None:
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(compare(**OPTIONS, dtypes=["float64"], timeout=1e-9))
    )
    thread.start()
    thread.join()
    assert found[0].comparisons[0].stopped == ("first", 2)


def test_expected_failures_are_listed_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY_LIBRARY)
    (tmp_path / "xfails.txt").write_text(
        "# tanh is a polynomial here\n"
        "test_parity.py::test_parity[activation tanh  # each case of it\n"
        "\n"
        "test_parity.py::test_parity[nothing like this]\n"
    )
    (tmp_path / "skips.txt").write_text("test_parity.py::test_parity[activation gelu_tanh\n")
    options = ("--parity-namespace=faulty", "--parity-dtype=float64", "-k", "tanh", "-rx")
    done = suite(
        *options, "--parity-xfails-file=xfails.txt", "--parity-skips-file=skips.txt", cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 skipped" in done.stdout, done.stdout
    assert "2 xfailed" in done.stdout, done.stdout
    assert "lists 'test_parity.py::test_parity[nothing like this]', which no test is" in done.stdout
    done = suite(*options, "--parity-xfails-file=none.txt", cwd=tmp_path)
    assert "none.txt cannot be read" in done.stdout + done.stderr
