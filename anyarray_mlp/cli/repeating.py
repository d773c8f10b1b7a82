"""The command that makes a run again: what its settings differ by from those that are not given."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click

from anyarray_mlp.checking.messages import shown_path
from anyarray_mlp.cli.flags import flag
from anyarray_mlp.pipeline.kept import OF_THE_CALL
from anyarray_mlp.pipeline.presets import PRESETS
from anyarray_mlp.pipeline.settings import keys_of_settings


def train_command(settings: Mapping[str, Any]) -> str:
    """`anyarray-mlp train DATA --...` for the settings of a run, by their keys."""
    from anyarray_mlp.cli.train import command as train

    keys = keys_of_settings()
    preset = str(settings.get("preset", "plain"))
    default = train.make_context("train", []).params
    # What depends on the data is said, whatever the preset would make of them.
    values = PRESETS[preset].values.items()
    default |= {keys[name]: value for name, value in values if not callable(value)}
    words = ["anyarray-mlp", "train", shown_path(settings["data"]), "--preset", preset]
    for param in train.params:
        name = str(param.name)
        if name in ("data", "preset", *OF_THE_CALL) or isinstance(param, click.Argument):
            continue
        value = settings.get(name)
        if value is not None and value != default[name]:
            words += words_of(name, param, value)
    return shlex.join(words)


def words_of(name: str, param: click.Parameter, value: Any) -> list[str]:
    """A setting as it is typed."""
    if isinstance(value, bool):
        return [flag(name if value else f"no_{name}")]
    if getattr(param, "multiple", False):
        return [word for each in value for word in (flag(name), str(each))]
    if isinstance(value, (tuple, list)):
        return [flag(name), ",".join(map(str, value)) or "none"]
    return [flag(name), str(value)]
