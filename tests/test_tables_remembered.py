"""What training found out about a table is kept with the model, and other tables are read by it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
from click.testing import CliRunner

from anyarray_mlp.cli import cli
from anyarray_mlp.data import ColumnReading, load, load_features
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


def test_notes_are_one_list_with_those_of_reading_first(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = rows().splitlines()
    table = "".join(f"{number};;{line}\n" for number, line in enumerate(lines))
    Path("d.csv").write_text(f"Export of today\nnr;leer;{HEAD.splitlines()[1]}\n{table}", "utf-8")
    arguments = ["train", "d.csv", "--epochs", "1", "--hidden", "4", "--out", "r", "--json"]
    trained = CliRunner().invoke(cli, arguments)
    assert trained.exit_code == 0, trained.output
    notes = json.loads(trained.stdout)["notes"]
    assert notes == [
        "line 1 is no part of the table: 'Export of today'",
        "column 'alter': '-' in 7 rows is taken for a gap",
        "column 'preis': is read as numbers without € with dots between thousands",
        "column 'typ': holds digits with zeros before them, such as '00', which are read as texts",
        "column 'nr': left out: numbers the rows (--keep nr)",
        "column 'leer': left out: no row has a value",
    ]
    assert [line for line in trained.stderr.splitlines() if "note: " in line] == [
        f"note: {note}" for note in notes
    ]
    model = TrainedModel.load("r")
    with pytest.warns(UserWarning, match="left out") as warned:
        made = train_table("d.csv", epochs=1, hidden_layer_sizes=(4,), diagnose=False)
    assert str(warned[0].message) == "; ".join(made.notes[-2:])
    assert made.notes == model.notes == model.preprocessor.notes
    assert [note.replace("keep=['nr']", "--keep nr") for note in model.notes] == notes


def test_a_column_that_holds_nothing_keeps_its_place(tmp_path: Path) -> None:
    lines = [f"{i % 7},,{i % 5},{i % 7 + i % 5}" for i in range(60)]
    named, bare = tmp_path / "named.csv", tmp_path / "bare.csv"
    named.write_text("a,b,c,y\n" + "\n".join(lines) + "\n")
    bare.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    with pytest.warns(UserWarning, match="column 'b': left out: no row has a value"):
        model = train_table(named, epochs=1, diagnose=False).model
    assert model.preprocessor.names == ("a", "b", "c")
    assert model.preprocessor.used_names == ("a", "c")
    assert model.notes == ("column 'b': left out: no row has a value",)
    expected = model.predict(load_features(named, schema=model.schema))
    np.testing.assert_array_equal(model.predict(load_features(bare, schema=model.schema)), expected)
    # The other way round: the model has no names, and another table has.
    with pytest.warns(UserWarning, match="column 'column_2': left out: no row has a value"):
        model = train_table(bare, target=2, epochs=1, diagnose=False, header=False).model
    expected = model.predict(load_features(bare, schema=model.schema))
    wide = tmp_path / "wide.csv"
    wide.write_text("a,b\n" + "\n".join(line.rsplit(",", 2)[0] for line in lines) + "\n")
    np.testing.assert_array_equal(
        model.predict(load_features(wide, header=True, schema=model.schema)), expected
    )


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"keep": "b"}, "column 'b' holds no values at all"),
        ({"date": "b"}, "column 'b' is to be read as dates, and no row has a value"),
        ({"group": "b"}, "column 'b' does not say to which group"),
        ({"split": "time:b"}, "column 'b' does not say when"),
    ],
)
def test_what_is_said_of_a_column_that_holds_nothing_names_it(
    option: dict[str, str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "d.csv"
    path.write_text("a,b,c,y\n" + "".join(f"{i % 7},,{i % 5},{i % 3}\n" for i in range(60)))
    with pytest.raises(DataError, match=said):
        train_table(path, epochs=1, **option)


def test_a_file_of_test_rows_is_read_as_the_table(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(HEAD + rows(), encoding="utf-8")
    # By the rules alone, 1.234 would be a number with decimals, 7 a number, and x a column with a mistake.
    held = "x;preis;typ;alter;kauf\n" + "".join(f"{n};1.234 €;00;7;ja\n" for n in range(30))
    (tmp_path / "t.csv").write_text(f"Test rows\n{held}12o;1.234 €;01;-;nein\n", encoding="utf-8")
    made = train_table(
        tmp_path / "d.csv", test=tmp_path / "t.csv", epochs=1, hidden_layer_sizes=(4,)
    )
    assert any("t.csv: line 1 is no part of the table: 'Test rows'" in note for note in made.notes)
    model = made.model
    dataset = load(tmp_path / "t.csv", schema=model.schema)
    assert dataset.features["preis"].tolist() == [1234.0] * 31
    assert np.isnan(dataset.features["alter"].iloc[-1])
    assert model.scores(dataset) == made.scores


def test_a_frame_can_test_what_was_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(HEAD + rows(), encoding="utf-8")
    frame = pandas.DataFrame(
        {"alter": [21.5, None], "preis": [1234.0, 7.0], "typ": ["00", "01"], "kauf": ["ja", "nein"]}
    )
    made = train_table(
        tmp_path / "d.csv", test=frame, skip=1, decimal=",", epochs=1, hidden_layer_sizes=(4,)
    )
    assert made.model.reading.skip == 1
    assert made.model.scores(load(frame, schema=made.model.schema)) == made.scores


def test_a_model_of_a_plain_table_needs_no_new_reader(tmp_path: Path) -> None:
    table = "a,b\n" + "".join(f"{i % 7},{i % 2}\n" for i in range(60))
    (tmp_path / "d.csv").write_text(table, encoding="utf-8")
    for options, version in (({}, 1), ({"separator": ","}, 2)):
        made = train_table(tmp_path / "d.csv", epochs=1, hidden_layer_sizes=(4,), **options)
        assert made.model.to_file().format_version == version
        assert ("reading" in made.model.metadata) == (version == 2)


def test_columns_that_were_left_out_are_not_read(tmp_path: Path) -> None:
    lines = [f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(60)]
    (tmp_path / "d.csv").write_text("id,a,b\n" + "".join(lines), encoding="utf-8")
    with pytest.warns(UserWarning, match="column 'id': left out"):
        model = train_table(tmp_path / "d.csv", epochs=1, hidden_layer_sizes=(4,)).model
    lines[7] = "7o" + lines[7]
    (tmp_path / "new.csv").write_text("id,a,b\n" + "".join(lines), encoding="utf-8")
    assert list(load_features(tmp_path / "new.csv", schema=model.schema).columns) == ["a"]


def test_markers_that_somebody_named_are_gaps_of_texts_too(tmp_path: Path) -> None:
    cells = ("-" if i % 9 == 2 else f"2021-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(90))
    lines = [f"{day},{'rs'[i % 2]},{i % 7},{i % 2}\n" for i, day in enumerate(cells)]
    (tmp_path / "d.csv").write_text("day,kind,a,b\n" + "".join(lines), encoding="utf-8")
    model = train_table(
        tmp_path / "d.csv", missing="-", epochs=1, hidden_layer_sizes=(4,), diagnose=False
    ).model
    (tmp_path / "new.csv").write_text("day,kind,a\n-,-,1\n", encoding="utf-8")
    features = load_features(tmp_path / "new.csv", schema=model.schema)
    assert features.iloc[0, :2].isna().all()
    assert len(model.predict(features)) == 1
