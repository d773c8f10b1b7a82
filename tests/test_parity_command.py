"""`anyarray-mlp parity`, and the suite that library authors run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.backends import BackendStatus
from anyarray_mlp.cli import run
from anyarray_mlp.cli.parity import percent
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.parity import Comparison, Departure, Report, make_case
from tests.beds import require_library

ROOT = Path(__file__).parent.parent


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["parity", "--backends", "numpy", "--dtype", "float32", "--quick"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("comparing numpy ")
    lines = printed.out.splitlines()
    assert lines[0].startswith(f"numpy {np.__version__}, cpu, float32: no departure (")
    assert lines[1].split() == [
        "absolute",
        "relative",
        "ulp",
        "of",
        "bound",
        "nearest",
        "to",
        "the",
        "bound",
        "in",
    ]
    assert [line.split()[0] for line in lines[2:6]] == ["outputs", "loss", "weights.0", "weights.1"]
    assert "k u / (1 - k u)" in printed.out, "the tolerance is stated"
    assert lines[-1].startswith("no departure in 1 comparison (")


def test_the_command_gives_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["parity", "--backends", "numpy", "--quick", "--no-trace", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert [c["dtype"] for c in report["comparisons"]] == ["float32", "float64"]
    assert report["comparisons"][0]["operations"] == 0


def test_a_departure_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    departure = Departure(
        "one row", "tanh", "tanh in the forward pass, layer 0, tanh: 1, expected 2"
    )
    comparison = Comparison(
        "mylib",
        "1.0",
        "cpu",
        "float32",
        2,
        99,
        (),
        (departure,),
        ("matmul keeps 10 of 23 bits",),
        ("erf",),
        0.1,
    )
    monkeypatch.setattr("anyarray_mlp.parity.compare", lambda **options: Report((comparison,)))
    assert run(["parity"]) == 1
    printed = capsys.readouterr().out
    assert "mylib 1.0, cpu, float32: 1 of 2 cases DEPART" in printed
    assert (
        "tanh departs first in 1 case; in 'one row': tanh in the forward pass, layer 0" in printed
    )
    assert "reduced precision: matmul keeps 10 of 23 bits" in printed
    assert "not checked on their own: erf" in printed
    assert "1 of 1 comparison DEPART" in printed


@pytest.mark.parametrize(
    ("share", "printed"), [(0.5151, "51.51%"), (7.5, "750.00%"), (2.5e28, "2.5e+30%")]
)
def test_large_shares_stay_in_their_column(share: float, printed: str) -> None:
    assert percent(share) == printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--namespace", "no_such_library"], 69, "'no_such_library' cannot be imported"),
        (["--backends", "numpy,nolib"], 2, "'nolib' is not one of numpy, cupy"),
        (["--backends", "numpy", "--device", "cuda"], 2, "numpy backend runs on the CPU only"),
        (["--device", "tpu"], 2, "device must be cpu, cuda, cuda:N or auto, or gpu with mlx"),
        (["--namespace", "."], 69, "'.' cannot be imported"),
        (["--namespace", "math"], 2, "math does not follow the Array API standard"),
    ],
)
def test_what_cannot_be_compared(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["parity", *arguments]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("exact", [[], ["--exact"]])
def test_a_device_that_no_backend_has_is_no_agreement(
    exact: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses = [
        BackendStatus("numpy", "2.4", ("cpu",), None),
        BackendStatus("torch", "2.13", ("cpu",), "This PyTorch was built without CUDA."),
    ]
    monkeypatch.setattr("anyarray_mlp.parity.subjects.backend_statuses", lambda: statuses)
    monkeypatch.setattr("anyarray_mlp.parity.subjects.BACKENDS", {"numpy": None, "torch": None})
    assert run(["parity", "--device", "cuda", *exact]) == 69
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "error: There is nothing to compare on device cuda: torch, cuda: This PyTorch was built without CUDA.\n"
    )


def test_a_namespace_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here_only.py").write_text(FAULTY_LIBRARY.replace("faulty", "here_only"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    arguments = ["--namespace", "here_only", "--dtype", "float32", "--quick", "--no-trace"]
    assert run(["parity", *arguments]) == 1
    assert capsys.readouterr().err.startswith("comparing here_only ")


def test_a_backend_that_is_absent_ends_with_69(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from anyarray_mlp.backends import selection

    real = selection.importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "jax" else real(name)
    )
    assert run(["parity", "--backends", "numpy,jax"]) == 69
    assert "pip install 'anyarray-mlp[jax]'" in capsys.readouterr().err


def test_exact_prints_the_hash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_library("array_api_strict")
    small = [make_case("small", MLP((5, 4, 3), "tanh"))]
    monkeypatch.setattr("anyarray_mlp.parity.exact.exact_cases", lambda quick: small)
    assert run(["parity", "--exact", "--backends", "numpy,array_api_strict"]) == 0
    lines = capsys.readouterr().out.splitlines()
    hashes = [line.split()[-1] for line in lines[1:5]]
    assert hashes[0] == hashes[2] != hashes[1] == hashes[3]
    assert lines[-1].startswith("0 differing bits in 1 case (")


def test_what_the_guide_quotes_is_what_its_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counts and places; digits and times differ from machine to machine."""
    blocks = (ROOT / "docs" / "parity.md").read_text().split("```")[1::2]
    (source,) = [block for block in blocks if '__name__ = "faulty"' in block]
    (tmp_path / "faulty.py").write_text(source.removeprefix("python"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    quoted = [block.strip().partition("\n") for block in blocks if block.startswith("\n$ ")]
    assert len(quoted) == 2
    for command, _, output in quoted:
        run(command.split()[2:])
        printed = " ".join(capsys.readouterr().out.split())
        for part in STABLE.findall(" ".join(output.split())):
            assert part in printed


#: What a quoted output has in common on all machines.
STABLE = re.compile(
    r"cpu, float32: no departure \(\d+ cases|outputs|loss|departs first in .* layer 0, tanh: |at \[.*wrong"
)


# --- the suite ---


def suite(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The suite in a fresh pytest, outside this repository, its plugin loaded by `-p` as people do."""
    return pytest_outside("-p", "anyarray_mlp.parity_suite.plugin", *arguments, cwd=cwd)


def pytest_outside(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """pytest on the suite, outside this repository."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--pyargs",
        "anyarray_mlp.parity_suite",
        "-q",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(cwd)])}
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_suite_passes_on_a_namespace_unknown_to_the_project(tmp_path: Path) -> None:
    require_library("array_api_strict")
    done = suite(
        "--parity-namespace=array_api_strict",
        "--parity-dtype=float32",
        "--parity-quick",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


FAULTY_LIBRARY = """
from numpy import *
import numpy

__name__ = "faulty"

def tanh(x):
    return x - x**3 / 3
"""


def test_the_suite_names_the_fault(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY_LIBRARY)
    done = suite(
        "--parity-namespace=faulty",
        "--parity-dtype=float64",
        "-k",
        "activation and near and tanh",
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "tanh in the forward pass, layer 0, tanh: " in done.stdout
    assert "2 failed" in done.stdout, "tanh and gelu_tanh"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Say what to test"),
        (("--parity-namespace=no_such_library",), "cannot be imported"),
        (("--parity-namespace=math",), "does not follow"),
    ],
)
def test_the_suite_says_what_it_cannot_test(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = suite(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert len(done.stdout.splitlines()) < 10


def test_pytest_knows_nothing_of_the_suite_unasked(tmp_path: Path) -> None:
    done = pytest_outside(cwd=tmp_path)
    assert done.returncode == 2
    assert "Load the suite's plugin" in done.stdout
    assert "Traceback" not in done.stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "pytest11" not in project.get("entry-points", {}), "loaded by nobody's pytest unasked"


def test_the_plugin_loads_nothing_by_itself(run_python: Any) -> None:
    """What a configuration file may load in every run is light."""
    code = (
        "import sys, anyarray_mlp.parity_suite.plugin;"
        "print({'numpy', 'scipy', 'anyarray_mlp.parity'} & set(sys.modules))"
    )
    assert run_python(code).stdout.strip() == "set()"
