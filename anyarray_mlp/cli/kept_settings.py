"""The settings of a run in its `config.toml`: how they are written, and how they are read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import shown_path, suggestion
from anyarray_mlp.cli.kinds import Names, Sizes
from anyarray_mlp.errors import DataError
from anyarray_mlp.persistence import RunFolder
from anyarray_mlp.pipeline.kept import OF_THE_CALL, in_words, kept_path

if TYPE_CHECKING:
    from anyarray_mlp.pipeline.preparation import Prepared
    from anyarray_mlp.pipeline.trained_model import TrainedModel


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
    for name in table.keys() & {"data", "test"}:
        table[name] = kept_path(table[name])
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


def prepared_again(
    path: str,
    trained: TrainedModel,
    dtype: str,
    cure: str,
    *,
    data: str | None = None,
    keep_rows: bool = False,
) -> Prepared:
    """The data of the run in a folder, split and encoded as they were; `DataError` with the cure if they are others.

    `data` is where they lie now, if that is elsewhere; `keep_rows` as in `prepare`.
    """
    from anyarray_mlp.cli.train import command as train
    from anyarray_mlp.pipeline.preparation import prepare
    from anyarray_mlp.pipeline.settings import Settings

    settings = read_settings(RunFolder(path), click.Context(train, info_name="train"))
    where = settings["data"] if data is None else data
    prepared = prepare(where, Settings.from_keys(settings), dtype, keep_rows=keep_rows)
    if prepared.preprocessor.columns != trained.preprocessor.columns:
        raise DataError(
            f"{shown_path(prepared.name)} is not what the run in {shown_path(path)} was trained on: {cure}."
        )
    return prepared


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
