"""Advice that names parameters, as flags of the command line."""

from __future__ import annotations

import re
import shlex
from ast import literal_eval
from collections.abc import Iterator
from contextlib import contextmanager

from anyarray_mlp.cli.flags import flag
from anyarray_mlp.errors import DataError, UsageError

SIZES = r"\([\d, ]+\)"
#: A list of texts as Python writes it, whatever stands in them.
LIST = r"""\[(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|, )*\]"""
ASSIGNMENT = re.compile(
    rf"\bhidden_layer_sizes=({SIZES}(?: or {SIZES})*)"
    r"|\b(learning_rate_init|learning_rate|clip_norm|batch_size|class_weight|alpha|output|activation|initializer|loss"
    r"|dropout|epochs|patience|monitor|keep_epoch|label_smoothing|split|group|test_fraction|validation_fraction|image_size|folds|members|preset|memory)=('[^']*'|[\w.+-]*\w)"
    rf"|\b(keep|drop|date|numeric|text)=({LIST})"
    r"|\b(pixels)=False"
    # Not in quotes, where it is the name of a column.
    r"|(?<!')\b(learning_rate_init|clip_norm|batch_size|class_weight|early_stopping|keep_epoch|label_smoothing|validation_fraction)\b"
    r"|(?<=\()(alpha)(?=\))"
)

#: Settings whose value is a name that a person chose.
NAMING = ("split", "group", "folds")


def as_flags(text: str) -> str:
    """`learning_rate_init=0.01` as `--learning-rate-init 0.01`, and so on."""
    return ASSIGNMENT.sub(in_flags, text)


@contextmanager
def in_words_of_flags() -> Iterator[None]:
    """Where a setting is refused, or data that it does not suit, name it as the flag that it was given by."""
    try:
        yield
    except (DataError, UsageError) as error:
        raise type(error)(as_flags(str(error))) from None


def in_flags(found: re.Match[str]) -> str:
    """One parameter as a flag."""
    sizes, name, value, several, names, refused, *switches = found.groups()
    switch = next(filter(None, switches), None)
    if sizes:
        shapes = re.findall(SIZES, sizes)
        return "--hidden " + " or ".join(",".join(re.findall(r"\d+", shape)) for shape in shapes)
    if several:
        return f"{flag(several)} {shlex.quote(','.join(literal_eval(names)))}"
    if refused:
        return flag(f"no_{refused}")
    if switch:
        return flag(switch)
    return f"{flag(name)} " + (
        shlex.quote(value.strip("'")) if name in NAMING else value.strip("'")
    )
