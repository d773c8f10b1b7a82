"""What training found out about a table is kept with the model, and other tables are read by it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from anyarray_mlp.cli import cli
from anyarray_mlp.data import ColumnReading, load_features
from anyarray_mlp.errors import DataError, ModelFileError
from anyarray_mlp.pipeline import TrainedModel, train_table

HEAD = "Export of today\nalter;preis;typ;kauf\n"


def rows(n: int = 60) -> str:
    """Decimal commas, money, a marker for a gap and codes with zeros before them."""
    cells = (
        (
            "-" if i % 9 == 4 else f"{20 + i / 4:.2f}".replace(".", ","),
            f"{1000 + 37 * i:,} €".replace(",", "."),
            f"0{i % 3}",
            ("ja", "nein")[i % 2],
        )
        for i in range(n)
    )
    return "".join(";".join(row) + "\n" for row in cells)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "d.csv").write_text(HEAD + rows(), encoding="utf-8")
    train_table(folder / "d.csv", out=folder / "run", epochs=2, hidden_layer_sizes=(4,))
    return folder / "run"


def test_the_model_knows_how_its_table_was_read(run: Path) -> None:
    model = TrainedModel.load(run)
    assert model.reading.columns == {
        "alter": ColumnReading("number", "comma", ("-",)),
        "preis": ColumnReading("number", "dotted"),
    }
    assert "column 'alter': '-' in 7 rows is taken for a gap" in model.notes
    assert any("no part of the table" in note for note in model.notes)


def test_a_single_row_is_read_as_in_training(run: Path, tmp_path: Path) -> None:
    model = TrainedModel.load(run)
    new = tmp_path / "new.csv"
    # Alone, 1.234 would be a number with decimals, 7 a number and - a text; x is none of the model's columns.
    new.write_text("x;preis;typ;alter\n12o;1.234 €;00;-\n", encoding="utf-8")
    features = load_features(new, reading=model.reading, schema=model.schema)
    assert "x" not in features
    assert features["preis"].tolist() == [1234.0]
    assert features["typ"].tolist() == ["00"]
    assert np.isnan(features["alter"].tolist())
    assert len(model.predict(features)) == 1
    new.write_text("preis;typ;alter\n12o;00;1\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2, column 'preis': '12o' is not a number"):
        load_features(new, reading=model.reading, schema=model.schema)


def test_the_command_line_says_and_remembers_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text(rows().replace(";", "|").replace("-|", "none|"), encoding="utf-8")
    flags = ["--no-header", "--missing", "none", "--separator", "pipe", "--decimal", ","]
    runner = CliRunner()
    trained = runner.invoke(
        cli, ["train", "d.csv", *flags, "--epochs", "1", "--hidden", "4", "--out", "r", "--json"]
    )
    assert trained.exit_code == 0, trained.output
    assert "note: column 'column_2': is read as numbers without €" in trained.stderr
    assert any("column_2" in note for note in json.loads(trained.stdout)["notes"])
    Path("new.csv").write_text("22,5|1.500|01\nnone|2.000|02\n", encoding="utf-8")
    predicted = runner.invoke(cli, ["predict", "r", "new.csv"])
    assert predicted.exit_code == 0, predicted.output
    assert len(predicted.stdout.splitlines()) == 3
    Path("named.csv").write_text("a|b|c\n22,5|1.500|01\n", encoding="utf-8")
    headed = runner.invoke(cli, ["predict", "r", "named.csv", "--header"])
    assert len(headed.stdout.splitlines()) == 2, headed.output
    resumed = runner.invoke(cli, ["train", "--resume", "--out", "r", "--epochs", "2"])
    assert resumed.exit_code == 0, resumed.output


@pytest.mark.parametrize("text", ["[]", "{", '{"given": {}, "columns": {"a": 1}, "notes": []}'])
def test_a_damaged_reading_is_refused(run: Path, text: str) -> None:
    model = TrainedModel.load(run)
    file = model.to_file()
    file.metadata["reading"] = text
    with pytest.raises(ModelFileError, match=r"metadata\.reading"):
        TrainedModel.from_file(file)
