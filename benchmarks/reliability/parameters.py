"""F14: hyper-parameters that cannot be, of the estimators and of every option of every command."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import click
import numpy as np

from anyarray_mlp import MLPClassifier
from anyarray_mlp.cli import cli
from anyarray_mlp.cli.kinds import Integer, Kind, Kinds, Logs, Number, Sizes
from benchmarks.reliability.campaign import Campaign, Trial, one_line_problem
from benchmarks.reliability.processes import Commands
from benchmarks.reliability.runs import write_tables
from tests.test_estimators_contract import BAD_PARAMETERS

X = np.random.default_rng(4).normal(size=(30, 2))
Y = np.arange(30) % 2
#: What no option of numbers takes, and what only some take.
NO_NUMBER = (
    "",
    "a",
    "nan",
    "-nan",
    "1e",
    "0x1g",
    "1,5",
    "None",
    "True",
    "--",
    "²",
    "1 2",
    "[]",
    "1_",
    "inf",
    "-inf",
)
WRONG_COUNTS = ("-1", "1.5", "1e3", "-9" * 12)
WRONG_SIZES = (
    "",
    "0",
    "-1",
    "3,0",
    "3,,4",
    "a",
    "3!4",
    "2.5",
    ",",
    "nan",
    "3,-1",
    "1e3",
    "[a]",
    "inf",
)
NEGATIVE = ("-1", "-0.1", "-0.001", "-1e-9", "-1e-300", "1e999")
#: Above a share.
LARGE = ("1", "1.5", "2")
#: Words for options that take names.
NO_NAME = (
    "",
    "swoosh",
    "R",
    "relu,",
    "1",
    "-",
    "é",
    "a" * 300,
    "../x",
    "relu relu",
    "[]",
    "{}",
    "\t",
)


def refused_values(option: click.Option) -> tuple[str, ...]:
    """Texts that an option must refuse, by what it takes; none if it takes any text or no value."""
    kind = option.type
    if option.is_flag:
        return ()
    if option.name in ("out", "drop", "target"):
        return ("",)
    if isinstance(kind, (click.Choice, Kind, Kinds, Logs)):
        return NO_NAME
    if isinstance(kind, Sizes):
        return WRONG_SIZES
    if isinstance(kind, Integer):
        return (*NO_NUMBER, *WRONG_COUNTS, str(kind.low - 1), str(kind.low - 10**20), "-0.0")
    if isinstance(kind, Number):
        assert kind.low == 0
        too_large = LARGE if kind.high < math.inf else ()
        return (*NO_NUMBER, *NEGATIVE, *too_large, *(("0",) if kind.open_low else ()))
    return ()


def option_cases() -> Iterator[tuple[str, str, str]]:
    """(command, flag, value) for every option of every command that takes a value of some kind."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        for option in command.params:
            if isinstance(option, click.Option):
                flag = max(option.opts, key=len)
                for value in refused_values(option):
                    yield name, flag, value


def problem_of_estimator(name: str, value: Any) -> str | None:
    """What is wrong with how an estimator refuses a parameter: one line that names it and what it was given."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MLPClassifier(**{"max_iter": 1, name: value}).fit(X, Y)
    except ValueError as error:
        return one_line_problem(error, name)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "it was accepted"


def parameters(trial: Trial) -> None:
    """Refuse every value of every parameter and option."""
    of_estimators = [(name, value) for name, values in BAD_PARAMETERS.items() for value in values]
    for name, value in trial.each(of_estimators, small=60, share=0.3):
        trial.check(problem_of_estimator(name, value), f"MLPClassifier({name}={value!r})")
    commands = Commands(trial.folder)
    write_tables(trial.folder)
    base = {
        "train": ["train", "classes.csv", "--epochs", "1", "--out", "parameters", "--quiet"],
        "predict": ["predict", "model/model.safetensors", "classes.csv"],
        "evaluate": ["evaluate", "model/model.safetensors", "classes.csv"],
    }
    commands.run(["train", "classes.csv", "--epochs", "1", "--out", "model", "--quiet"])
    cases = list(option_cases())
    for command, flag, value in trial.each(cases, small=8):
        ended = commands.run([*base.get(command, [command]), f"{flag}={value}"])
        # A target that is no column is a matter of the data.
        problem = ended.problem(*((2, 65) if flag == "--target" else (2,)))
        said = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        if not problem:
            known = flag.removeprefix("--")
            if not any(word in said[0] for word in (flag, known, known.replace("-", "_"))):
                problem = f"does not name {flag}: {said[0]}"
            elif len(value) < 40 and value.strip() and value.strip() not in said[0]:
                problem = f"does not show the value: {said[0]}"
        trial.check(problem, f"{command} {flag}={value!r}")
    trial.note(f"{len(of_estimators)} values of parameters, {len(cases)} of options")


ROWS = [
    Campaign(
        "F14",
        "hyper-parameters: wrong type, bool as integer, negative, NaN, infinite, empty, misspelt",
        "a ValueError in one line that names the parameter; exit 2 with one line that names the flag and the value",
        "ten values and more for each parameter and for each option that takes one",
        1.0,
        parameters,
    )
]
