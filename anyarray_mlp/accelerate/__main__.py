"""`python -m anyarray_mlp.accelerate SCRIPT`: run a script with scikit-learn's MLPs accelerated."""

from __future__ import annotations

import os
import runpy
import sys

import click

from anyarray_mlp.accelerate import install
from anyarray_mlp.backends.placement import Placement
from anyarray_mlp.backends.selection import DTYPES
from anyarray_mlp.checking.messages import shown_path
from anyarray_mlp.cli import attempted
from anyarray_mlp.cli.kinds import OneOf, PathName
from anyarray_mlp.cli.sections import section_options
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.errors import UsageError

NAME = "python -m anyarray_mlp.accelerate"


@click.command(
    cls=Command,
    context_settings={"help_option_names": ["-h", "--help"], "allow_interspersed_args": False},
)
@click.option("-m", "module", is_flag=True, help="SCRIPT is a module, as for python -m.")
@section_options(Placement, only=("device", "backend"))
@click.option(
    "--dtype",
    type=OneOf("dtype", DTYPES),
    help="What to compute in; by default that of the data, as scikit-learn does.",
)
@click.argument("script", type=PathName("a script"))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    module: bool,
    device: str,
    backend: str | None,
    dtype: str | None,
    script: str,
    arguments: tuple[str, ...],
) -> tuple[bool, str, tuple[str, ...]]:
    """Run SCRIPT, in which scikit-learn's MLPClassifier and MLPRegressor are trained by this package.

    Options come before SCRIPT; what follows it is the script's. What cannot be accelerated runs with scikit-learn's
    own code, and stderr says so.
    """
    if not module and not os.path.exists(script):
        raise UsageError(f"{shown_path(script)}: no such file: give the script to run.")
    install(device, backend, dtype)
    return module, script, arguments


def main() -> None:
    """Run a script as Python would, and end as it ends."""
    found = attempted(lambda: command.main(sys.argv[1:], prog_name=NAME, standalone_mode=False))
    if isinstance(found, int):
        sys.exit(found)
    module, script, arguments = found
    sys.argv = [script, *arguments]
    if module:
        runpy.run_module(script, run_name="__main__", alter_sys=True)
        return
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
