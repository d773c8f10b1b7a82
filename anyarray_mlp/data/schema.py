"""How another table is read for a model: as the one that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from anyarray_mlp.data.encoding import Column
from anyarray_mlp.data.preprocessing import Preprocessor
from anyarray_mlp.data.targets import TargetEncoder
from anyarray_mlp.tables import ColumnReading, Reading


@dataclass(frozen=True)
class Schema:
    """The encodings of a model, which decide how another table is read.

    target_names: the columns that the model predicts; empty if they are not known.
    reading: how the table that the model was trained on was read.
    """

    preprocessor: Preprocessor
    targets: TargetEncoder
    target_names: tuple[str, ...] = ()
    reading: Reading = field(default_factory=Reading)

    def text_columns(self, features: Sequence[str], targets: Sequence[str] = ()) -> list[str]:
        """Which columns hold categories or text labels, whatever their cells look like."""
        texts = self.preprocessor.text_columns(features)
        if self.targets.classes is not None and self.targets.classes.dtype.kind == "U":
            texts += targets
        return texts

    def readings(
        self, features: Sequence[str], targets: Sequence[str] = ()
    ) -> dict[str, ColumnReading]:
        """How columns of these names are read: as in training, categories and text labels always as texts.

        Columns that the model does not know, or does not look at, are not read.
        """
        learned = self.reading.columns
        found = {}
        for name, column in self.preprocessor.matched(features).items():
            reading = reading_of(column, learned.get(column.name))
            if reading is not None:
                found[name] = reading
        for trained, name in zip(self.target_names, targets, strict=False):
            if trained in learned:
                found[name] = learned[trained]
        if self.preprocessor.is_by_name(features):
            wanted = {*self.preprocessor.used_names, *targets}
            found |= {name: NOT_READ for name in features if name not in wanted}
        return found | dict.fromkeys(self.text_columns((), targets), AS_TEXT)

    def readings_of_pictures(self, present: Sequence[str]) -> dict[str, ColumnReading]:
        """How the columns of a table of pictures are read: pixels that are listed, and text labels, as texts."""
        texts = [self.reading.image_column, *self.text_columns((), self.target_names)]
        return {name: AS_TEXT for name in present if name in texts}


AS_TEXT, AS_NUMBER, NOT_READ = (ColumnReading(kind) for kind in ("text", "number", "none"))


def reading_of(column: Column, learned: ColumnReading | None) -> ColumnReading | None:
    """How the cells of a column are read for its encoding; None leaves it to the rules."""
    if column.kind == "left_out":
        return NOT_READ
    if learned is not None and learned.kind == "number" and learned != AS_NUMBER:
        return learned
    if column.is_text:
        return AS_TEXT
    is_number = column.kind in ("numeric", "robust") or column.form != "datetime"
    return AS_NUMBER if is_number else None
