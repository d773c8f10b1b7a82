"""Whatever bytes a file holds, reading it gives a data set or one of the package's own errors."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from anyarray_mlp.data import Preprocessor, TargetEncoder, load
from anyarray_mlp.errors import AnyArrayMLPError
from tests.test_data_bad_input import IMAGES, LABELS, idx

WORDS = ["1", "2.5", "-3e5", "1e999", "inf", "nan", "?", "NA", "a", "b", "True", "1,5", "é", "0x1"]
MARKS = [
    "",
    "x y",
    '"',
    '""',
    '"q"',
    "'",
    " ",
    "\t",
    ",",
    ";",
    "|",
    "\n",
    "\r\n",
    "\r",
    "\0",
    "\x1c",
]
FRAGMENTS = st.sampled_from([*WORDS, *MARKS])
TEXTS = st.lists(FRAGMENTS, max_size=40).map("".join)
# Tables that are mostly sound, so that reading gets past the checks of their form.
CELLS = st.sampled_from(
    ["1", "2", "2.5", "?", "a", "b", '"a"', "True", "False", "é", " 3 ", "9" * 30]
)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(
        st.lists(CELLS, min_size=width, max_size=width).map(",".join), min_size=1, max_size=12
    ).map("\n".join)
)


def read_and_encode(path: Path) -> None:
    """The whole way from a file to numbers; only the package's errors may come out, on one line."""
    try:
        dataset = load(path)
        fitted = Preprocessor.fit(dataset.features)
        encoded = fitted.transform(dataset.features)
        target = TargetEncoder.fit(dataset.target, dataset.task).encode(dataset.target)
    except AnyArrayMLPError as error:
        message = str(error)
        assert "\n" not in message
    else:
        assert encoded.shape == (len(dataset), fitted.n_features_out)
        assert np.isfinite(encoded).all()
        assert len(target) == len(dataset)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(TEXTS, TABLES))
@example("a,b\n1,2\n\x1c\n3,4\n")
@example('a,b\n1,"2\r3"\r4,5\n')
@example('"a"b,c\n1,2\n')
def test_any_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(text.encode())
    read_and_encode(path)


@pytest.mark.parametrize("name", ["d.csv", "d.npz", "train-images-idx3-ubyte", "d.csv.gz"])
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    read_and_encode(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_idx_files(tmp_path: Path, data: Any) -> None:
    files = {"train-images-idx3-ubyte": idx(IMAGES), "train-labels-idx1-ubyte": idx(LABELS)}
    for name, content in files.items():
        altered = bytearray(content)
        for _ in range(data.draw(st.integers(0, 3))):
            altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
        (tmp_path / name).write_bytes(altered[: data.draw(st.integers(0, len(altered)))])
    read_and_encode(tmp_path)
