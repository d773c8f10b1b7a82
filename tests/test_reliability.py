"""The small form of the reliability campaign: every row, a few turns of each; and that rows find what is broken."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

if sys.platform != "linux":
    pytest.skip("needs Linux's signals, limits and /proc", allow_module_level=True)

from anyarray_mlp.cli import cli
from anyarray_mlp.cli.kinds import Names, Text
from benchmarks.reliability.campaign import Campaign, Result, Trial, keep_lines, run_row
from benchmarks.reliability.command import main, run
from benchmarks.reliability.parameters import refused_values
from benchmarks.reliability.processes import Commands, close_servers
from benchmarks.reliability.rows import CAMPAIGNS, chosen, numbers
from benchmarks.reliability.sabotage import HERE, SABOTAGES

BY_ID = {campaign.id: campaign for campaign in CAMPAIGNS}


@pytest.fixture(scope="module", autouse=True)
def servers() -> Iterator[None]:
    yield
    close_servers()


@pytest.mark.parametrize("row", BY_ID)
def test_nothing_is_found(row: str) -> None:
    (result,) = run([BY_ID[row]], seed=0, seconds=math.inf, small=True)
    assert result.findings == ()
    assert not result.not_run
    assert result.count > 0


@pytest.mark.parametrize("row", ["F5", "F7", "F17", "F19"])
def test_what_is_broken_is_found(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other rows take longer to find it: `python -m benchmarks.reliability --sabotage`."""
    if row not in HERE:
        monkeypatch.setattr(Commands, "always", [("sabotage", row)])
    with SABOTAGES[row]() if row in HERE else contextlib.nullcontext():
        (result,) = run([BY_ID[row]], seed=0, seconds=math.inf, until_found=True)
    assert result.findings


def test_every_fault_of_the_list_has_a_row() -> None:
    covered = [name for campaign in CAMPAIGNS for name in numbers(campaign.id)]
    assert covered == [f"F{n}" for n in range(1, 20) if n != 18]
    assert [each.id for each in chosen("f3, F11,F9")] == ["F3", "F8, F9", "F10-12"]
    with pytest.raises(ValueError, match="unknown row F18; known are F1, F2"):
        chosen("F1,F18")


def a_row(problem: str | None = None, name: str = "F1") -> Campaign:
    def find(trial: Trial) -> None:
        for case in trial.each("abcdefgh", small=3):
            trial.check(problem, case)

    return Campaign(name, "title", "oracle | with a bar", "all", 1.0, find)


def outcome(tmp_path: Path, problem: str | None = None, **options: object) -> Result:
    return run_row(a_row(problem), Trial("F1", 0, tmp_path, **options))  # type: ignore[arg-type]


def test_a_goal_is_met_by_enough_checks_without_a_finding(tmp_path: Path) -> None:
    assert outcome(tmp_path).met == "yes"
    assert outcome(tmp_path, small=True).met == "so far (38%)"
    assert outcome(tmp_path, seconds=0.0).count == 1  # one turn there is always time for
    assert outcome(tmp_path, "wrong").met == "NO"
    assert outcome(tmp_path, "wrong").findings == tuple(
        f"{case}: wrong" for case in Trial("F1", 0, tmp_path).each("abcdefgh", small=3)
    )
    assert len(outcome(tmp_path, "wrong", until_found=True).findings) == 1


def test_the_order_of_the_cases_is_the_seeds(tmp_path: Path) -> None:
    def order(seed: int, row: str = "F1") -> list[str]:
        return list(Trial(row, seed, tmp_path).each("abcdefgh", small=3))

    assert order(1) == order(1)
    assert sorted(order(1)) == list("abcdefgh")
    assert order(1) != order(2)
    assert order(1) != order(1, "F2")


def test_a_row_that_is_run_again_replaces_its_line(tmp_path: Path) -> None:
    table = tmp_path / "results" / "reliability.md"
    rows = ["F1", "F2", "F8, F9"]
    for name, problem in (
        ("F8, F9", None),
        ("F1", "wrong\nthing"),
        ("F8, F9", "worse"),
        ("F1", None),
    ):
        result = run_row(a_row(problem, name), Trial(name, 0, tmp_path))
        keep_lines(table, [result], rows, seed=0)
    lines = [line.split(" | ") for line in table.read_text().splitlines() if line.startswith("| F")]
    assert [(line[0], line[5], line[6]) for line in lines] == [
        ("| F1", "0", "yes"),
        ("| F8, F9", "8", "NO"),
    ]
    assert {len(line) for line in lines} == {11}


def test_the_command_lists_rows_and_keeps_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--list"]) == 0
    assert "goal: 10,000 schedules" in capsys.readouterr().out
    table = tmp_path / "t.md"
    assert main(["--only", "F17", "--minutes", "0", "--out", str(table)]) == 0
    assert "| so far (" in table.read_text()
    with pytest.raises(SystemExit):
        main(["--only", "F99"])


def test_every_option_of_numbers_or_names_is_given_ten_wrong_values() -> None:
    """F14 goes by the types of options: one that it does not know would be passed over in silence."""
    context = click.Context(cli)
    free = [
        (name, option.name)
        for name in cli.list_commands(context)
        for option in cli.get_command(context, name).params
        if isinstance(option, click.Option) and not option.is_flag
        if not isinstance(option.type, (Text, Names)) and len(refused_values(option)) < 10
    ]
    assert free == []
