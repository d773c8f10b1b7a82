"""How the columns of another table are read once a model is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anyarray_mlp.data.encoding import unnamed
from anyarray_mlp.data.preprocessing import Schema
from anyarray_mlp.tables import ColumnReading

TEXT = ColumnReading("text")
NONE = ColumnReading("none")


def known_columns(
    schema: Schema,
    learned: Mapping[str, ColumnReading],
    features: Sequence[str],
    targets: Sequence[str] = (),
) -> dict[str, ColumnReading]:
    """How columns of these names are read: as in training, where the model knows, and categories always as texts.

    Columns that the model does not know are not read. Columns are matched as `Preprocessor.transform` matches them: by
    name, or by place if one side has no names.
    """
    columns = schema.preprocessor.columns
    names = schema.preprocessor.names
    by_name = all(name in features for name in names)
    by_place = len(features) == len(names) and (unnamed(features) or unnamed(names))
    found: dict[str, ColumnReading] = {}
    for column, name in zip(columns, features if by_place and not by_name else names, strict=True):
        reading = TEXT if column.categories else learned.get(column.name)
        if reading is not None:
            found[name] = reading
    for trained, name in zip(schema.target_names, targets, strict=False):
        if trained in learned:
            found[name] = learned[trained]
    if by_name:
        wanted = {*names, *targets}
        found |= {name: NONE for name in features if name not in wanted}
    return found | dict.fromkeys(schema.text_columns(features, targets), TEXT)
