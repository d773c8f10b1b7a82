"""Going on with a run: the settings that it keeps, and what to type."""

from __future__ import annotations

import shlex
from typing import Any

import click

from anyarray_mlp.checking.messages import from_here
from anyarray_mlp.cli.flags import flag
from anyarray_mlp.cli.kept_settings import read_settings
from anyarray_mlp.errors import StorageError, UsageError
from anyarray_mlp.persistence import RunFolder
from anyarray_mlp.pipeline.kept import CIRCUMSTANCES, in_words


def explicit_flags(context: click.Context) -> set[str]:
    """The settings that the command line names."""
    return {
        name
        for name in context.params
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def resumed_settings(
    run: RunFolder, given: dict[str, Any], context: click.Context
) -> dict[str, Any]:
    """The settings of a run, with those that may differ taken from the command line where given."""
    try:
        kept = read_settings(run, context)
    except StorageError as error:
        raise StorageError(
            f"{run.path} has no readable config.toml: it holds no run to resume."
        ) from error
    settings = dict(given)
    named = explicit_flags(context)
    for name in kept:
        if name not in named:
            settings[name] = kept[name]
        elif name not in CIRCUMSTANCES and given[name] != kept[name]:
            raise UsageError(
                f"{flag(name)} cannot change when a run goes on: it was {in_words(kept[name])}. Leave it "
                "out, or start a new run with another --out."
            )
    return settings


def resume_command(run: RunFolder) -> str:
    """What to type, in this folder, to resume a run."""
    return shlex.join(["anyarray-mlp", "train", "--resume", "--out", from_here(run.path)])
