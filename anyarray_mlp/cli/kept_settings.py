"""The settings of a run in its `config.toml`: how they are written, and how they are read and checked."""

from __future__ import annotations

from typing import Any

import click

from anyarray_mlp.checking.messages import suggestion
from anyarray_mlp.cli.flags import kept_path, to_keep
from anyarray_mlp.cli.options import Names, Sizes
from anyarray_mlp.errors import DataError
from anyarray_mlp.persistence import RunFolder

#: What a command line says of this call alone.
OF_THE_CALL = ("out", "overwrite", "resume", "as_json", "quiet")
#: Settings that say where to compute, for how long and on which file, rather than what to compute.
CIRCUMSTANCES = ("device", "backend", "epochs", "data")
MOST_CHANGES = 8


def configuration(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as `config.toml` keeps them; those that are None are left out."""
    return {
        name: to_keep(value)
        for name, value in settings.items()
        if name not in OF_THE_CALL and value is not None
    }


def deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """Those of the settings, as they are kept, that decide what is computed."""
    kept = configuration(settings)
    return {name: value for name, value in kept.items() if name not in CIRCUMSTANCES}


def changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Which values differ and how, in words; empty where none does."""
    differing = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    said = [
        f"{in_words(name)} was {in_words(before.get(name))} and is {in_words(now.get(name))}"
        for name in differing[:MOST_CHANGES]
    ]
    if len(differing) > MOST_CHANGES:
        said.append(f"{len(differing) - MOST_CHANGES} more")
    return "; ".join(said)


def in_words(value: Any) -> str:
    """A value, of a file that anybody may have written, on one short line."""
    return "not given" if value is None else ascii(value)[:60].strip("'")


def read_settings(run: RunFolder, context: click.Context) -> dict[str, Any]:
    """The settings in a run's `config.toml`, each checked and converted as the value of its flag is.

    Raises DataError, naming file and key.
    """
    table = run.read_config()
    params = {param.name: param for param in context.command.params}
    params = {name: param for name, param in params.items() if name not in OF_THE_CALL}
    for key in table:
        if key not in params:
            hint = suggestion(key, params)
            raise DataError(
                f"{run.config_path}: {key[:60]!a} is no setting of train{hint}: take it out"
            )
    unnamed = context.command.make_context(context.info_name, []).params
    settings = {}
    if "data" in table:
        table["data"] = kept_path(table["data"])
    for name, param in params.items():
        if name in table:
            try:
                settings[str(name)] = converted(table[name], param, context)
            except click.BadParameter as error:
                reason = error.message[:300]
                raise DataError(f"{run.config_path}, key {name!r}: {reason}") from None
        elif unnamed[str(name)] is None:
            settings[str(name)] = None
        else:
            raise DataError(
                f"{run.config_path} lacks the key {name!r}: put it back as it was, or start a new run"
            )
    return settings


def converted(value: Any, param: click.Parameter, context: click.Context) -> Any:
    """The value of a key as the flag of this name would give it; `click.BadParameter` where it cannot be."""
    if getattr(param, "is_flag", False):
        if not isinstance(value, bool):
            raise click.BadParameter(f"{in_words(value)} is neither true nor false.")
        return value
    if getattr(param, "multiple", False):
        if not isinstance(value, list):
            raise click.BadParameter(f"{in_words(value)} is no list.")
        return tuple(param.type.convert(text_of(item), param, context) for item in value)
    if isinstance(value, list) and isinstance(param.type, (Sizes, Names)):
        # As it is written after the flag.
        text = ",".join(text_of(item) for item in value)
        value = "none" if isinstance(param.type, Sizes) and not value else text
    return param.type.convert(text_of(value), param, context)


def text_of(value: Any) -> str:
    """A number or a text as it is written on the command line."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise click.BadParameter(f"{in_words(value)} is neither a number nor a text.")
    try:
        return str(value)
    except ValueError:  # Python writes no more than some thousands of digits
        raise click.BadParameter("the number has too many digits.") from None
