"""Curves as CSV: a line for each epoch, as soon as it is done."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyarray_mlp.persistence.files import atomic_write
from anyarray_mlp.tracking.logs import Log


class CSVLog(Log):
    """`curves.csv` in the folder: the epoch, then what it came to. Settings and results are not in it.

    A run that is resumed continues after the epochs that it resumes from.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.path = folder / "curves.csv"
        self.names: list[str] = []

    def figures(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Append a line."""
        row = {"epoch": epoch, **figures}
        if not self.names:
            self.begin(list(row), epoch)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.names, extrasaction="ignore", lineterminator="\n")
            writer.writerow(row)

    def begin(self, names: list[str], epoch: int) -> None:
        """Begin the file, with those lines of an older one that are of earlier epochs of this run."""
        before: list[dict[str, str]] = []
        if epoch > 1 and self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                before = [row for row in csv.DictReader(file) if int(row["epoch"]) < epoch]
        self.names = list(before[0]) if before else names
        text = io.StringIO()
        writer = csv.DictWriter(text, self.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(before)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path, text.getvalue().encode(), overwrite=True)
