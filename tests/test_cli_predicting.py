"""`predict`: columns of the table beside the predictions, and intervals of a regression."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anyarray_mlp.backends import select_backend
from anyarray_mlp.cli.kept_settings import prepared_again
from anyarray_mlp.errors import UsageError
from anyarray_mlp.pipeline import TrainedModel
from anyarray_mlp.pipeline.intervals import half_widths

RNG = np.random.default_rng(7)
#: Cells that a table of numbers and texts would not give back: zeros before, decimal commas, dates, quotes.
ROWS = [
    {"id": f"{i:03}", "name": f'Smith; "{i}"', "size": f"{x:.2f}".replace(".", ","), "day": f"{1 + i % 28:02}.03.2024",
     "note": "" if i % 3 else "NA", "kind": "ab"[i % 2], "y": f"{3 * x + noise:.3f}".replace(".", ",")}
    for i, (x, noise) in enumerate(zip(RNG.random(120) * 9, RNG.normal(0, 0.3, 120), strict=True))
]  # fmt: skip


def write(path: str, rows: list[dict[str, str]] = ROWS, end: str = "") -> str:
    """Rows as a file of semicolons; returns its text."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows[0], delimiter=";", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    Path(path).write_text(buffer.getvalue() + end)
    return buffer.getvalue() + end


@pytest.fixture
def run(cli: Any) -> Any:
    """A run on the rows; `cli` to go on with."""
    write("rows.csv")
    code, _, err = cli("train", "rows.csv", "--out", "run", "--epochs", "30", "--quiet")
    assert code == 0, err
    return cli


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_columns_are_kept_as_they_stand_in_the_file(run: Any) -> None:
    plain = [row["prediction"] for row in read(run("predict", "run", "rows.csv")[1])]
    code, out, err = run("predict", "run", "rows.csv", "--keep", "name,id")
    assert code == 0, err
    rows = read(out)
    assert [*rows[0]] == ["name", "id", "prediction"]
    assert [row["prediction"] for row in rows] == plain
    for name in ("name", "id"):
        assert [row[name] for row in rows] == [row[name] for row in ROWS]
    rows = read(run("predict", "run", "rows.csv", "--keep", "all")[1])
    assert [*rows[0]] == [*ROWS[0], "prediction"]
    assert [row["prediction"] for row in rows] == plain
    for name in ("size", "day", "kind", "y"):
        assert [row[name] for row in rows] == [row[name] for row in ROWS], name
    assert {row["note"] for row in rows} == {""}  # gaps, however they are written
    found = json.loads(run("predict", "run", "rows.csv", "--keep", "note,size", "--json")[1])
    assert found[0] == {"note": None, "size": ROWS[0]["size"], "prediction": float(plain[0])}


def test_rows_that_are_none_are_no_rows_of_kept_columns(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = write("new.csv", ROWS[:9], "Source: us\n")
    assert len(read(run("predict", "run", "new.csv", "--keep", "id")[1])) == 9
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    rows = read(run("predict", "run", "-", "--keep", "all")[1])
    assert [row["id"] for row in rows] == [row["id"] for row in ROWS[:9]]


def test_a_table_of_typed_columns_keeps_them_as_texts(run: Any) -> None:
    pytest.importorskip("pyarrow")
    table = pd.DataFrame(
        {
            "size": [1.5, 2.0],
            "day": ["02.03.2024", "03.03.2024"],
            "kind": ["a", "b"],
            "when": pd.to_datetime(["2024-01-31", None]),
        }
    )
    table.to_parquet("new.parquet")
    rows = read(run("predict", "run", "new.parquet", "--keep", "when,size,kind")[1])
    assert [(row["when"], float(row["size"]), row["kind"]) for row in rows] == [
        ("2024-01-31T00:00:00", 1.5, "a"), ("", 2.0, "b")
    ]  # fmt: skip


def test_what_cannot_be_kept_is_refused(run: Any) -> None:
    code, _, err = run("predict", "run", "rows.csv", "--keep", "nam")
    assert code == 65
    assert "no column 'nam' to keep (did you mean 'name'?)" in err
    write("old.csv", [{**row, "prediction": "1"} for row in ROWS[:3]])
    code, _, err = run("predict", "run", "old.csv", "--keep", "all")
    assert code == 2
    assert "keeps a column 'prediction', as the predictions are called" in err
    assert run("train", "iris", "--out", "iris", "--epochs", "1", "--quiet")[0] == 0
    code, _, err = run("predict", "iris", "iris", "--keep", "all")
    assert code == 2
    assert "only tables have columns to keep" in err


def test_the_half_width_is_the_quantile_that_is_large_enough() -> None:
    errors = np.array([[3.0], [1.0], [2.0], [9.0], [4.0], [5.0], [6.0], [8.0], [7.0]])
    # Of nine errors, the ceil(10 level)-th smallest.
    expected = {0.1: 1, 0.11: 2, 0.5: 5, 0.7: 7, 0.8: 8, 0.9: 9}
    assert {level: half_widths(errors, level).tolist() for level in expected} == {
        level: [width] for level, width in expected.items()
    }
    assert half_widths(np.array([[1.0, 40.0], [3.0, 20.0], [2.0, 30.0]]), 0.6).tolist() == [
        3.0,
        40.0,
    ]
    with pytest.raises(
        UsageError, match=r"0\.95 needs 19 rows that were not trained on, and there are 9"
    ):
        half_widths(errors, 0.95)


def test_bounds_are_those_of_the_rows_that_the_run_validated_on(run: Any) -> None:
    code, out, err = run("predict", "run", "rows.csv", "--interval", "0.8", "--keep", "y")
    assert code == 0, err
    rows = read(out)
    assert [*rows[0]] == ["y", "prediction", "prediction_low", "prediction_high"]
    values = {name: np.array([float(row[name]) for row in rows]) for name in [*rows[0]][1:]}
    model = TrainedModel.load("run")
    held_out = prepared_again("run", model, "float32", "").validation
    assert held_out is not None
    outputs = model.predictor(select_backend(), None)(held_out.x)
    errors = np.sort(np.abs(model.targets.decode(outputs) - held_out.y))
    width = errors[int(np.ceil((len(errors) + 1) * 0.8)) - 1]
    assert len(errors) >= 10
    assert np.allclose(values["prediction"] - values["prediction_low"], width, atol=1e-4)
    assert np.allclose(values["prediction_high"] - values["prediction"], width, atol=1e-4)


def test_intervals_of_several_networks_are_made_of_what_each_holds_out(cli: Any) -> None:
    write("rows.csv")
    train = [
        "train",
        "rows.csv",
        "--epochs",
        "20",
        "--members",
        "3",
        "--test-fraction",
        "0",
        "--quiet",
        "--out",
    ]
    code, _, err = cli(*train, "bag")
    assert code == 0, err
    code, out, err = cli("predict", "bag", "rows.csv", "--interval", "0.9", "--keep", "y")
    assert code == 0, err
    rows = read(out)
    inside = [
        float(row["prediction_low"])
        <= float(row["y"].replace(",", "."))
        <= float(row["prediction_high"])
        for row in rows
    ]
    assert np.mean(inside) >= 0.85  # of rows that all networks together have seen


def test_intervals_without_such_rows_are_refused(run: Any) -> None:
    code, _, err = run("predict", "run", "rows.csv", "--interval", "0.999")
    assert code == 2
    assert "An interval of 0.999 needs 999 rows" in err
    for value in ("0", "1", "1.5", "90%"):
        assert run("predict", "run", "rows.csv", "--interval", value)[0] == 2
    code, _, err = run("predict", "run/model.safetensors", "rows.csv", "--interval", "0.9")
    assert code == 2
    assert "is no run's folder" in err
    whole = [
        "train",
        "rows.csv",
        "--epochs",
        "1",
        "--quiet",
        "--validation-fraction",
        "0",
        "--out",
        "whole",
    ]
    assert run(*whole)[0] == 0
    code, _, err = run("predict", "whole", "rows.csv", "--interval", "0.9")
    assert code == 65
    assert "validated on no rows" in err
    assert run("train", "iris", "--out", "iris", "--epochs", "1", "--quiet")[0] == 0
    code, _, err = run("predict", "iris", "iris", "--interval", "0.9")
    assert code == 2
    assert "this model predicts classes: give --proba" in err
    write("rows.csv", ROWS[:50])
    code, _, err = run("predict", "run", "rows.csv", "--interval", "0.5")
    assert code == 65
    assert "is not what the run in run was trained on: have the same file there" in err
