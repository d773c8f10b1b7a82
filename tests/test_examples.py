"""The examples in their small form: every figure reaches its mark and every mistake is named."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from examples import __main__ as examples
from examples.common import MissingData, Options, perform

NAMES = examples.names()
LARGEST_PICTURE = 60_000


def test_there_are_eleven() -> None:
    assert [int(name[:2]) for name in NAMES] == list(range(1, 12))


@pytest.mark.parametrize("name", NAMES)
def test_example(name: str, tmp_path: Path) -> None:
    module = import_module(f"examples.{name}")
    try:
        report = perform(module.main, name, module.__doc__, Options(quick=True, out=tmp_path))
    except MissingData as error:
        pytest.skip(str(error))
    assert report.missed == []
    assert report.headline
    assert report.named
    assert 0 < (tmp_path / f"{name}.png").stat().st_size < LARGEST_PICTURE


def test_a_missed_mark_and_a_missed_cause_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Found:
        findings = ()

    def main(options: Options, report: object) -> None:
        report.figure("accuracy", 0.5, at_least=0.9)  # type: ignore[attr-defined]
        report.figure("error", float("nan"), at_most=0.1)  # type: ignore[attr-defined]
        report.finding("network", Found(), ["sign_flipped"])  # type: ignore[attr-defined]

    monkeypatch.setattr(import_module("examples.02_xor_two_outputs"), "main", main)
    assert examples.main(["2", "--quick", "--out", str(tmp_path)]) == 1
    assert len(re.findall("^  02_xor_two_outputs: ", capsys.readouterr().err, re.MULTILINE)) == 3


def test_data_that_are_not_here_skip_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("examples.common.REPOSITORY", tmp_path / "repository")
    monkeypatch.setenv("ANYARRAY_MLP_DATA", str(tmp_path))
    assert examples.main(["7", "--quick", "--out", str(tmp_path)]) == 0
    assert "set ANYARRAY_MLP_DATA" in capsys.readouterr().err


def test_readme_has_a_line_and_a_picture_for_each() -> None:
    text = examples.README.read_text(encoding="utf-8")
    figures = text.split(examples.BEGIN)[1].split(examples.END)[0]
    for name in NAMES:
        assert re.search(
            rf"^\| \d+\. \[.*\]\({name}\.py\).*\| .+ \| .*`\w+`.* \| \d+ \|$", figures, re.MULTILINE
        ), name
        assert f"](pictures/{name}.png) |" in text
        assert (examples.PICTURES / f"{name}.png").stat().st_size < LARGEST_PICTURE


def test_a_number_that_no_example_has_is_refused(capsys):
    with pytest.raises(SystemExit) as exit:
        examples.main(["2", "12"])
    assert exit.value.code == 2
    assert "no example 12: there are 1 to 11" in capsys.readouterr().err
