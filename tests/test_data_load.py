"""Reading data sets: tables in every dialect, arrays, IDX files, built-in and public sets."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.data import Dataset, load, load_features
from anyarray_mlp.data.builtin import BUILTIN_NAMES
from anyarray_mlp.data.targets import infer_task
from anyarray_mlp.errors import DataError
from tests.datasets import shared_data
from tests.test_data_bad_input import IMAGES, LABELS, idx, idx_folder, npz

ROWS = [["31", "red", "yes"], ["42", "blue", "no"], ["", "red", "yes"], ["64", "blue", "no"]]
NAMES = ["age", "colour", "ill"]


def table(path: Path, rows: list[list[str]], separator: str = ",", end: str = "\n") -> Path:
    path.write_bytes("".join(separator.join(row) + end for row in rows).encode())
    return path


def assert_same_table(dataset: Dataset, names: list[str] = NAMES) -> None:
    assert list(dataset.features.columns) == names[:2]
    assert dataset.target_name == names[2]
    np.testing.assert_array_equal(dataset.features[names[0]], [31.0, 42.0, np.nan, 64.0])
    assert dataset.features[names[1]].tolist() == ["red", "blue", "red", "blue"]
    assert dataset.target.tolist() == ["yes", "no", "yes", "no"]
    assert dataset.task == "classification"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "mac"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|", ", ", " ; "])
def test_separators_and_line_ends(separator: str, end: str, tmp_path: Path) -> None:
    assert_same_table(load(table(tmp_path / "d.csv", [NAMES, *ROWS], separator, end)))


@pytest.mark.parametrize("separator", [" ", "   ", " \t "])
def test_blanks_as_separator(separator: str, tmp_path: Path) -> None:
    rows = [[cell or "?" for cell in row] for row in ROWS]
    assert_same_table(load(table(tmp_path / "d.data", [NAMES, *rows], separator, "  \n")))


@pytest.mark.parametrize("missing", ["", "?", "NA", "nan", "NaN", "NULL", " ? ", "N/A"])
def test_missing_values(missing: str, tmp_path: Path) -> None:
    rows = [[cell or missing for cell in row] for row in ROWS]
    assert_same_table(load(table(tmp_path / "d.csv", [NAMES, *rows])))


def test_table_without_header(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", ROWS)
    assert_same_table(load(path), ["column_1", "column_2", "column_3"])
    for target in (0, "0", -3, "-3", "column_1"):
        first = load(table(tmp_path / "e.csv", ROWS[:2]), target=target)
        assert first.target.tolist() == [31, 42]
        assert first.feature_names == ("column_2", "column_3")


def test_header_is_what_the_caller_says(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", [["2001", "2002"], ["1", "2"], ["3", "4"]])
    assert len(load(path)) == 3
    named = load(path, header=True)
    assert (len(named), named.target_name) == (2, "2002")


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        ([["cap", "odor"], ["x", "s"], ["b", "s"]], True),
        ([["x", "s"], ["x", "a"], ["b", "s"]], False),
        ([["a", "b"], ["1", "x"]], True),
        ([["a", "1"], ["b", "2"]], False),
        ([["0", "1", "2"], ["5", "6", "7"]], True),
        ([["", "b", "c"], ["0", "1", "x"]], True),
        ([["a", "?"], ["b", "c"]], False),
    ],
)
def test_header_detection(rows: list[list[str]], header: bool, tmp_path: Path) -> None:
    features = load_features(table(tmp_path / "d.csv", rows))
    assert len(features) == len(rows) - header


def test_utf8_mark_quotes_and_gzip(tmp_path: Path) -> None:
    raw = 'size,"a ""b"", c",naïve\n1.5,"x, y","first\nsecond"\n2.5,z,é\n'.encode("utf-8-sig")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(raw))
    dataset = load(tmp_path / "d.csv.gz")
    assert dataset.feature_names == ("size", 'a "b", c')
    assert dataset.features['a "b", c'].tolist() == ["x, y", "z"]
    assert dataset.target.tolist() == ["first\nsecond", "é"]
    assert dataset.features.index.tolist() == [2, 4]


def test_separator_is_the_one_that_lines_agree_on(tmp_path: Path) -> None:
    rows = [["when", "what", "y"], ["1 May 2020", "a; b", "1"], ["2 May 2020", "c", "2"]]
    assert load(table(tmp_path / "d.csv", rows)).feature_names == ("when", "what")


def test_decimal_comma(tmp_path: Path) -> None:
    dataset = load(table(tmp_path / "d.csv", [["a", "b"], ["1,5", "0,25"], ["-2", "7"]], ";"))
    assert dataset.features["a"].tolist() == [1.5, -2.0]
    assert dataset.target.tolist() == [0.25, 7.0]


def test_numbers_are_parsed_to_the_nearest_double(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(500) * 10.0 ** np.arange(-250, 250)
    rows = [["a", "b"]] + [[repr(float(value)), "1"] for value in values]
    read = load(table(tmp_path / "d.csv", rows)).features["a"].to_numpy()
    np.testing.assert_array_equal(read, values)


def test_integers_beyond_64_bits_are_numbers(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", [["a", "b"], ["9" * 25, "1"], ["5", "2"]])
    assert load(path).features["a"].tolist() == [float("9" * 25), 5.0]


def test_categories_that_are_nearly_numbers_stay_texts(tmp_path: Path) -> None:
    rows = [["n", "y"]] + [[str(i % 3), str(i % 2)] for i in range(50)] + [["3+", "1"]]
    assert set(load(table(tmp_path / "d.csv", rows)).features["n"]) == {"0", "1", "2", "3+"}


def test_text_far_down_a_column_of_numbers(tmp_path: Path) -> None:
    # pandas parses in parts, and the first ones take this column for numbers.
    rows = [[f"0{i % 2}", "x"] for i in range(150_000)]
    cells = load(table(tmp_path / "d.csv", [["a", "b"], *rows, ["n", "x"]])).features["a"]
    assert cells.value_counts().to_dict() == {"00": 75_000, "01": 75_000, "n": 1}


def test_numbers_with_blanks_around_are_numbers(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", [["a", "b"], [" 1.5 ", "x"], [" ? ", "y"], ["2 ", "x"]])
    np.testing.assert_array_equal(load(path).features["a"], [1.5, np.nan, 2.0])


def test_columns_left_out_and_several_targets(tmp_path: Path) -> None:
    rows = [
        ["id", "a", "p", "q"],
        ["k1", "1", "0", "1"],
        ["k2", "2", "1", "1"],
        ["k3", "3", "0", "0"],
    ]
    dataset = load(table(tmp_path / "d.csv", rows), target=["p", "q"], drop=["id"])
    assert dataset.feature_names == ("a",)
    assert (dataset.task, dataset.target_name) == ("multilabel", ("p", "q"))
    assert dataset.target.tolist() == [[0, 1], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (np.array(["a", "b"]), "classification"),
        (np.array([True, False]), "classification"),
        (np.array([3, 5, 3, 5, 8, 8]), "classification"),
        (np.array([1.0, 2.0, 2.0, 1.0]), "classification"),
        (np.array([10, 23, 31, 47]), "regression"),
        (np.array([0.5, 1.0]), "regression"),
        (np.arange(200) % 40, "regression"),
        (np.arange(400) % 40, "classification"),
        (np.arange(400) % 40 + 1, "regression"),
        (np.array([[1, 0], [1, 1]]), "multilabel"),
        (np.array([[1.0, 0.0], [0.0, 1.0]]), "classification"),
        (np.array([[1.5, 0.0], [0.0, 1.0]]), "regression"),
    ],
)
def test_inferred_task(target: Any, task: str) -> None:
    assert infer_task(target) == task


def test_task_is_what_the_caller_says(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", [["a", "y"], *[[str(i), str(i % 3)] for i in range(9)]])
    assert load(path).task == "classification"
    assert load(path, task="regression").task == "regression"


def test_npz(tmp_path: Path) -> None:
    x, y = np.arange(24.0).reshape(4, 2, 3), np.array([0.0, 1.0, 0.0, 1.0])
    dataset = load(npz(tmp_path / "d.npz", X=x, y=y[:, None], X_test=x[:2], y_test=y[:2]))
    np.testing.assert_array_equal(dataset.features, x.reshape(4, 6))
    assert dataset.image_shape == (2, 3)
    assert dataset.target.tolist() == [0, 1, 0, 1]
    assert dataset.target.dtype == np.int64
    assert dataset.test is not None
    assert len(dataset.test) == 2
    one_hot = load(npz(tmp_path / "h.npz", x=x, y=np.eye(2)[[0, 1, 1, 0]]))
    assert (one_hot.task, one_hot.target.tolist()) == ("classification", [0, 1, 1, 0])
    assert load_features(npz(tmp_path / "f.npz", x=x)).shape == (4, 6)


def test_compressed_npz_of_sparse_data_is_read(tmp_path: Path) -> None:
    x = np.zeros((2000, 500), dtype=np.float32)
    np.savez_compressed(tmp_path / "d.npz", x=x, y=np.arange(2000) % 2)
    assert load(tmp_path / "d.npz").features.shape == x.shape


@pytest.mark.parametrize("infix", ["-idx", ".idx"])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_folder(infix: str, zipped: bool, tmp_path: Path) -> None:
    for part, count in (("train", 6), ("t10k", 2)):
        for kind, array in (("images", IMAGES), ("labels", LABELS)):
            raw = idx(array[:count])
            name = f"{part}-{kind}{infix}{array.ndim}-ubyte" + (".gz" if zipped else "")
            (tmp_path / name).write_bytes(gzip.compress(raw) if zipped else raw)
    dataset = load(tmp_path)
    assert dataset.features.dtype == np.uint8
    np.testing.assert_array_equal(dataset.features, IMAGES.reshape(6, 16))
    assert (dataset.image_shape, dataset.target.tolist()) == ((4, 4), LABELS.tolist())
    assert dataset.test is not None
    assert dataset.test.target.tolist() == [0, 1]


def test_idx_file_and_lone_pair(tmp_path: Path) -> None:
    idx_folder(tmp_path)
    assert len(load(tmp_path / "train-images-idx3-ubyte")) == 6
    assert load(tmp_path).test is None


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1797, 64), 10),
        ("iris", (150, 4), 3),
        ("breast_cancer", (569, 30), 2),
        ("wine", (178, 13), 3),
        ("diabetes", (442, 10), 0),
        ("xor", (400, 2), 2),
        ("moons", (1000, 2), 2),
        ("spirals", (1000, 2), 2),
        ("abs_sine", (1000, 1), 0),
    ],
)
def test_builtin(name: str, shape: tuple[int, int], classes: int) -> None:
    dataset = load(name)
    assert dataset.features.shape == shape
    assert len(dataset.feature_names) == shape[1]
    assert dataset.task == ("classification" if classes else "regression")
    if classes:
        assert len(np.unique(dataset.target)) == classes
    assert name in BUILTIN_NAMES


def test_drawn_sets_are_what_they_say() -> None:
    xor = load("xor")
    differ = (xor.features[:, 0] < 0) != (xor.features[:, 1] < 0)
    assert np.mean(differ == xor.target) > 0.99
    assert np.bincount(xor.target).tolist() == [200, 200]
    sine = load("abs_sine")
    np.testing.assert_allclose(sine.target, np.abs(np.sin(sine.features[:, 0])), atol=2e-6)
    spirals = load("spirals")
    radius = np.hypot(*spirals.features.T)
    turn = np.arctan2(spirals.features[:, 1], spirals.features[:, 0]) - 3 * np.pi * radius
    arm = np.cos(turn) < 0
    assert np.mean(arm == spirals.target) > 0.9
    again = load("moons")
    np.testing.assert_array_equal(load("moons").features, again.features)


GOLDEN = {
    "xor": [0.83372, 200.0],
    "moons": [791.87314, 500.0],
    "spirals": [-13.98814, 500.0],
    "abs_sine": [2.65966, 642.43627],
}


def test_drawn_sets_keep_their_values() -> None:
    # Raw PCG64 integers and six decimals: equal on every platform and NumPy version.
    found = {
        name: [round(float(load(name).features.sum()), 5), round(float(load(name).target.sum()), 5)]
        for name in GOLDEN
    }
    assert found == GOLDEN


@pytest.mark.parametrize(
    ("file", "target", "shape", "task", "classes"),
    [
        ("heart_disease/processed.cleveland.data", None, (303, 13), "classification", 5),
        ("winequality_red/winequality-red.csv", None, (1599, 11), "classification", 6),
        ("california_housing/housing.csv", "median_house_value", (20640, 9), "regression", 3842),
        ("california_housing/housing.csv", None, (20640, 9), "classification", 5),
        ("california_housing/cal_housing.data", None, (20640, 8), "regression", 3842),
        ("letter_recognition/letter-recognition.data", "0", (20000, 16), "classification", 26),
    ],
)
def test_public_table(
    file: str, target: str | None, shape: tuple[int, int], task: str, classes: int
) -> None:
    dataset = load(shared_data(file), target=target)
    assert dataset.features.shape == shape
    assert dataset.task == task
    assert len(np.unique(dataset.target)) == classes


def test_heart_disease_has_its_six_gaps() -> None:
    features = load(shared_data("heart_disease/processed.cleveland.data")).features
    assert features.isna().sum().to_dict() == {
        f"column_{n}": {12: 4, 13: 2}.get(n, 0) for n in range(1, 14)
    }


def test_mnist() -> None:
    dataset = load(shared_data("mnist"))
    assert dataset.features.shape == (60000, 784)
    assert dataset.image_shape == (28, 28)
    assert dataset.target[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert dataset.test is not None
    assert dataset.test.target[:5].tolist() == [7, 2, 1, 0, 4]


def test_letters_are_named_by_their_file() -> None:
    folder = shared_data("letters_az")
    with pytest.raises(DataError, match="cannot tell which is the training set"):
        load(folder)
    letters = load(folder / "letters-az-uniform2990-images-idx3-ubyte.gz")
    assert np.bincount(letters.target).tolist() == [115] * 26


def test_import_loads_neither_pandas_nor_scikit_learn() -> None:
    code = (
        "import sys, anyarray_mlp, anyarray_mlp.data as data\n"
        "data.load('moons')\n"
        "assert not {'pandas', 'sklearn', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        ([["0", "1", "2", "label"], ["5", "4", "3", "a"], ["7", "6", "5", "b"]], True),
        ([["0", "1", "kind"], ["0.5", "4", "7"], ["0.7", "6", "5"]], True),
        ([["", "0", "1", "label"], ["0", "5", "4", "a"], ["1", "7", "6", "b"]], True),
        ([["0", "1", "2", "a"], ["5", "4", "3", "a"], ["7", "6", "5", "b"]], False),
        ([["0", "1", "3", "label"], ["5", "4", "3", "a"], ["7", "6", "5", "b"]], False),
        ([["0", "1", "label", "2"], ["5", "4", "a", "3"], ["7", "6", "b", "3"]], False),
        ([["0", "1", ""], ["5", "4", "a"], ["7", "6", "b"]], False),
    ],
)
def test_a_header_may_count_the_columns_and_name_the_last(
    rows, header: bool, tmp_path: Path
) -> None:
    assert len(load_features(table(tmp_path / "d.csv", rows))) == len(rows) - header


def test_places_count_in_the_file_whatever_is_dropped(tmp_path: Path) -> None:
    path = table(
        tmp_path / "d.csv",
        [["a", "b", "c", "d"], *([str(i), "5", str(i % 2), "7"] for i in range(8))],
    )
    for drop in ((), ("a",), (0,), (0, "d")):
        assert load(path, target=2, drop=drop).target_name == "c"
    assert load(path, target=-2, drop=("d",)).target_name == "c"
    assert load(path, drop=("d",)).target_name == "c"
    with pytest.raises(DataError, match="'c' is both the target and to be dropped"):
        load(path, target="c", drop=(2,))


@pytest.mark.parametrize("source", ["train-images-idx3-ubyte", "."])
def test_images_to_predict_on_need_no_labels(source: str, tmp_path: Path) -> None:
    idx_folder(tmp_path, labels=None)
    np.testing.assert_array_equal(load_features(tmp_path / source), IMAGES.reshape(6, 16))
    with pytest.raises(DataError, match="labels are missing"):
        load(tmp_path / source)
