"""Where the public data sets lie that some tests read; they are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE_THE_PROJECT = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(name: str = "") -> Path:
    """The folder of a public data set; skips the test where there is none.

    Looks in `ANYARRAY_MLP_DATA`, else in `../shared/data` beside the project. With
    `ANYARRAY_MLP_EXPECT_DATA=1` an absent set fails the test instead.
    """
    path = Path(os.environ.get("ANYARRAY_MLP_DATA", BESIDE_THE_PROJECT)) / name
    if path.exists():
        return path
    message = f"no data set at {path}; set ANYARRAY_MLP_DATA to the folder of the data sets"
    if os.environ.get("ANYARRAY_MLP_EXPECT_DATA") == "1":
        pytest.fail(message)
    pytest.skip(message)
