"""The campaign's command line."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.reliability import rows
from benchmarks.reliability.campaign import Campaign, Result, Trial, keep_lines, run_row
from benchmarks.reliability.processes import Commands, close_servers
from benchmarks.reliability.sabotage import HERE, SABOTAGES

#: What a row is given to find what was broken.
SABOTAGE_SECONDS = 240.0
RESULTS = Path("benchmarks/results/reliability.md")


def main(arguments: list[str] | None = None) -> int:
    """Run the rows that are asked for; 1 where one has a finding, or, with --full, where a goal is not met."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability",
        description="Make faults of every kind happen and check what must hold under each.",
    )
    parser.add_argument(
        "--only", default="", help="rows, separated by commas, as F1,F3; all by default"
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--minutes", type=float, default=10.0, help="for all rows together")
    extent.add_argument(
        "--full", action="store_true", help="as many checks as the goals say (hours)"
    )
    extent.add_argument("--small", action="store_true", help="the few checks of the test suite")
    extent.add_argument(
        "--sabotage", action="store_true", help="break the package, and show that each row finds it"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="the table of results")
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    options = parser.parse_args(arguments)
    if options.list:
        for campaign in rows.CAMPAIGNS:
            print(f"{campaign.id:8} {campaign.title}\n         goal: {campaign.goal}")
        return 0
    listen()
    try:
        chosen = rows.chosen(options.only)
    except ValueError as error:
        parser.error(str(error))
    if options.sabotage:
        return sabotaged([each for each in chosen if each.id in SABOTAGES], options.seed)
    bounded = not (options.full or options.small)
    seconds = options.minutes * 60 if bounded else math.inf
    try:
        results = run(chosen, options.seed, seconds, options.small)
    finally:
        close_servers()
    if not options.small:
        keep_lines(options.out, results, [each.id for each in rows.CAMPAIGNS], options.seed)
        print(f"kept in {options.out}")
    wanted = ("yes", "not run") if options.full else ("yes", "not run", "so far")
    return 0 if all(result.met.startswith(wanted) for result in results) else 1


def sabotaged(campaigns: Sequence[Campaign], seed: int) -> int:
    """Break the package in turn as each row must find it; 1 where one does not."""
    missed = []
    try:
        for campaign in campaigns:
            here = SABOTAGES[campaign.id]() if campaign.id in HERE else contextlib.nullcontext()
            Commands.always = [] if campaign.id in HERE else [("sabotage", campaign.id)]
            with here:
                (result,) = run([campaign], seed, SABOTAGE_SECONDS, until_found=True)
            if not result.findings:
                missed.append(campaign.id)
    finally:
        Commands.always = []
        close_servers()
    print(f"not found: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def run(
    campaigns: Sequence[Campaign],
    seed: int,
    seconds: float,
    small: bool = False,
    until_found: bool = False,
) -> list[Result]:
    """Run rows one after the other, time that one leaves over going to those after it; print what came of each."""
    results = []
    stop = time.monotonic() + seconds
    for place, campaign in enumerate(campaigns):
        rest = sum(each.weight for each in campaigns[place:])
        share = (
            math.inf if math.isinf(seconds) else (stop - time.monotonic()) * campaign.weight / rest
        )
        print(f"{campaign.id}: {campaign.title} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
            room = Path(folder).resolve()
            trial = Trial(campaign.id, seed, room, small, max(0.0, share), until_found)
            result = run_row(campaign, trial)
        results.append(result)
        said = "; ".join([*result.notes, result.not_run]).strip("; ")
        print(
            f"{campaign.id}: {result.count:,} checks, {len(result.findings):,} findings, goal met: {result.met}, "
            f"{result.seconds:.0f} s{'; ' if said else ''}{said}",
            flush=True,
        )
    return results


def listen() -> None:
    """Take signals again that whoever started this campaign has it ignore (nohup, `&` in a script).

    What is trained here inherits them, and training leaves an ignored signal ignored.
    """
    for name, handler in (
        ("SIGINT", signal.default_int_handler),
        ("SIGTERM", signal.SIG_DFL),
        ("SIGHUP", signal.SIG_DFL),
    ):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
