"""Tables larger than the memory that they may take: rows stay on disk, and the model has the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anyarray_mlp.backends.placement import Placement, bytes_in
from anyarray_mlp.cli import run
from anyarray_mlp.data import stored_frame
from anyarray_mlp.data.columns import load_table
from anyarray_mlp.data.stored import StoredRows
from anyarray_mlp.data.stored_frame import StoredFrame
from anyarray_mlp.errors import DataError, StorageError, UsageError
from anyarray_mlp.pipeline import on_disk, train_table
from anyarray_mlp.pipeline.plan import make_plan
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.tables import gathering
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.shelf import Shelf, is_mapped

N = 300


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_frame, "PART_BYTES", 5000)
    monkeypatch.setattr(gathering, "TEXTS_AT_ONCE", 64)


def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    found = pd.DataFrame({f"size{i}": random.normal(i, i + 1, N).round(4) for i in range(3)})
    found.loc[::9, "size1"] = np.nan
    found["town"] = random.choice(["Rome", "Oslo", "Lima", None], N)
    found["street"] = [f"street {number}" for number in random.integers(0, 30, N)]
    found["sex"] = random.choice(["f", "m"], N)
    found["day"] = pd.date_range("2020-01-01", periods=N).strftime("%Y-%m-%d")
    found["nothing"] = None
    found["row"] = range(N)
    found["sold"] = np.where(found["size0"] + random.normal(size=N) > 0, "yes", "no")
    return found


def written(folder: Path, ending: str) -> Path:
    path = folder / f"table.{ending}"
    if ending == "csv":
        table().to_csv(path, index=False)
    elif ending == "parquet":
        table().to_parquet(path, row_group_size=77)
    elif ending == "feather":
        table().to_feather(path)
    else:
        np.save(path, table()[["size0", "size1", "row", "size2"]].to_numpy())
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet", "feather", "npy"])
@pytest.mark.parametrize(
    "options",
    [{}, {"numbers": "pieces", "dtype": "float64", "early_stopping": True, "patience": 1}],
    ids=["plain", "pieces"],
)
def test_a_table_on_disk_trains_to_the_bits_of_one_in_memory(
    ending: str, options: Any, tmp_path: Path
) -> None:
    if ending in ("parquet", "feather"):
        pytest.importorskip("pyarrow")
    path = written(tmp_path, ending)
    with pytest.warns(UserWarning, match="left out"):
        memory = train_table(path, epochs=2, memory="1GB", **options)
    with pytest.warns(UserWarning, match="left out"):
        disk = train_table(path, epochs=2, memory="1kB", **options)
    np.testing.assert_array_equal(disk.model.parameters, memory.model.parameters)
    assert disk.scores == memory.scores
    assert disk.notes[0].startswith("rows stay on disk")
    assert disk.notes[1:] == memory.notes
    assert disk.diagnosis is not None
    assert memory.diagnosis is not None
    assert [str(each) for each in disk.diagnosis.findings] == [
        str(each) for each in memory.diagnosis.findings
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"split": "time:day"},
        {"group": "street"},
        {"class_weight": "balanced", "drop": ["row"]},
        {"target": "size2", "keep": ["row"]},
        {"target": ["size1", "size2"], "numeric": ["size1"]},
    ],
)
def test_settings_of_the_table_act_on_disk_as_in_memory(options: Any, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    table().fillna({"size1": 0.0}).to_csv(path, index=False)
    memory, disk = (
        train_table(path, epochs=1, memory=bound, diagnose=False, **options)
        for bound in ("1GB", "1kB")
    )
    np.testing.assert_array_equal(disk.model.parameters, memory.model.parameters)
    assert disk.notes[1:] == memory.notes


def test_what_is_prepared_lies_on_disk(tmp_path: Path) -> None:
    plan = make_plan(written(tmp_path, "csv"), Settings.of("f", None, {"memory": 1000}))
    parts = plan.prepared.training, plan.prepared.validation, plan.prepared.test
    assert all(part is not None and isinstance(part.x, StoredRows) for part in parts)


def test_the_columns_of_a_stored_frame_are_those_of_a_data_frame(tmp_path: Path) -> None:
    path = written(tmp_path, "csv")
    memory, disk = (load_table(path, shelf=shelf) for shelf in (None, Shelf()))
    stored: Any = disk.features
    assert isinstance(stored, StoredFrame)
    rows = np.array([3, 4, 100, 250])
    for ours, truth in (
        (stored, memory.features),
        (stored.iloc[rows], memory.features.iloc[rows]),
        (stored[["town", "size1"]].iloc[rows], memory.features[["town", "size1"]].iloc[rows]),
        (stored.iloc[:, [1, 0]], memory.features.iloc[:, [1, 0]]),
        (stored.iloc[rows].iloc[[1, 3]], memory.features.iloc[rows[[1, 3]]]),
    ):
        assert ours.shape == truth.shape
        assert list(ours.columns) == list(truth.columns)
        assert list(ours.index) == list(truth.index)
        assert ours.index.name == "line"
        got = ours.to_pandas().astype(object)
        pd.testing.assert_frame_equal(got, truth.astype(object))
        pd.testing.assert_frame_equal(pd.concat(ours.parts()).astype(object), got)
        pd.testing.assert_frame_equal(pd.DataFrame(dict(ours.items())).astype(object), got)
        assert [ours.lines[row] for row in range(len(ours))] == list(truth.index)
    for name, cells in stored.cells():
        numbers = cells.codes if isinstance(cells, CodedTexts) else cells
        assert is_mapped(numbers) or name == "nothing"


def test_a_shelf_keeps_numbers_dates_and_texts() -> None:
    shelf = Shelf()
    days = np.array(["2020-01-02", "NaT"], "datetime64[us]")
    texts = np.array(["b", None, "a", "b"], object)
    kept = shelf.keep(days)
    np.testing.assert_array_equal(kept, days)
    assert is_mapped(kept)
    assert shelf.keep(kept) is kept
    assert shelf.keep(texts).texts().tolist() == texts.tolist()
    assert not is_mapped(days)
    shelf.release()
    np.testing.assert_array_equal(kept, days)
    assert shelf.room((0,), float).shape == (0,)


def test_a_disk_without_room_for_a_table_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(StorageError, match=r"No space left on device.*TMPDIR"):
        Shelf().room((3,), float)


@pytest.mark.parametrize(
    ("options", "what"),
    [({"members": 3}, "members=3 needs all rows"), ({"optimizer": "lbfgs"}, "lbfgs needs all")],
)
def test_what_needs_all_rows_is_refused_in_one_sentence(
    options: Any, what: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=what):
        train_table(written(tmp_path, "csv"), memory="1kB", **options)


def test_a_table_of_pictures_is_refused_on_disk(tmp_path: Path) -> None:
    pixels = pd.DataFrame(
        np.random.default_rng(0).integers(0, 256, (60, 16)),
        columns=[f"pixel{i}" for i in range(16)],
    ).assign(label=np.arange(60) % 2)
    pixels.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match="is read into memory only: give a higher bound"):
        train_table(tmp_path / "p.csv", memory="1kB")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500MB", 500_000_000),
        ("2 GiB", 2 << 30),
        ("1.5k", 1500),
        ("7", 7),
        ("3b", 3),
        ("1TB", 10**12),
        ("MB", None),
        ("5 apples", None),
        ("", None),
    ],
)
def test_an_amount_of_memory_is_written_as_people_do(text: str, size: int | None) -> None:
    assert bytes_in(text) == size


@pytest.mark.parametrize("value", ["many", "0", 0, -1, True, 1.5, []])
def test_what_is_no_amount_of_memory_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="memory must be an amount of memory, such as '500MB'"):
        Placement(memory=value)


def test_the_bound_is_the_one_given_or_half_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(on_disk, "free_memory", lambda: 1001)
    assert on_disk.bound_of(Settings()) == 500
    assert on_disk.bound_of(Settings(placement=Placement(memory="2kB"))) == 2000
    monkeypatch.setattr(on_disk, "free_memory", lambda: None)
    assert on_disk.bound_of(Settings()) is None


def test_what_a_table_takes_in_memory_is_told_by_its_beginning(tmp_path: Path) -> None:
    cells = N * table().shape[1]
    assert on_disk.bytes_in_memory(written(tmp_path, "csv")) == pytest.approx(24 * cells, rel=0.01)
    assert on_disk.bytes_in_memory(written(tmp_path, "npy")) == 24 * N * 4
    packed = tmp_path / "table.csv.gz"
    table().to_csv(packed)
    assert on_disk.bytes_in_memory(packed) is None
    (tmp_path / "table.json").write_text('[{"a": 1}]')
    assert on_disk.bytes_in_memory(tmp_path / "table.json") is None


def test_the_size_of_a_parquet_file_is_in_its_end(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = written(tmp_path, "parquet")
    assert on_disk.bytes_in_memory(path) == 24 * N * table().shape[1]
    path.write_bytes(path.read_bytes()[:100])
    assert on_disk.bytes_in_memory(path) is None


def test_a_run_on_disk_goes_on_in_memory(tmp_path: Path) -> None:
    given = ["train", str(written(tmp_path, "npy")), "--quiet", "--out"]
    first, whole = str(tmp_path / "first"), str(tmp_path / "whole")
    for step in (
        [*given, first, "--epochs", "1", "--memory", "1kB"],
        ["train", "--resume", "--out", first, "--epochs", "2", "--memory", "1GB", "--quiet"],
        [*given, whole, "--epochs", "2"],
    ):
        assert run(step) == 0
    ours, truth = (TrainedModel.load(folder).parameters for folder in (first, whole))
    np.testing.assert_array_equal(ours, truth)


def test_the_command_says_that_rows_stay_on_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "npy")
    given = ["train", str(path), "--epochs", "1", "--out", str(tmp_path / "run")]
    assert run([*given, "--memory", "1kB"]) == 0
    said = capsys.readouterr().err
    assert "note: rows stay on disk: in memory they would take about" in said
    assert "--memory 2GB sets another bound" in said
