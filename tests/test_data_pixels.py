"""Tables of pixels, in columns or listed in one: recognised as pictures with the target beside them, aloud."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from anyarray_mlp.data import load, load_features
from anyarray_mlp.errors import DataError
from anyarray_mlp.pipeline import TrainedModel, train_table


def blobs(n: int = 60, side: int = 9, seed: int = 0) -> tuple[Any, Any]:
    """Bright blobs on black, on the left or on the right: pictures (n, side, side) and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    rows, columns = np.mgrid[:side, :side]
    x = np.where(labels, 0.7 * side, 0.3 * side) + rng.uniform(-1, 1, n)
    y = 0.5 * side + rng.uniform(-1, 1, n)
    distance = (rows - y[:, None, None]) ** 2 + (columns - x[:, None, None]) ** 2
    images = np.round(255 * np.exp(-distance / 4)).astype(np.uint8)
    images[:, 0, 0] = images[:, -1, -1] = 0
    return images, labels


IMAGES, LABELS = blobs()
FLAT = IMAGES.reshape(len(IMAGES), -1)
WIDTH = FLAT.shape[1]


def write(path: Path, columns: Sequence[Any], header: Sequence[str] | None = None) -> Path:
    lines = [",".join(header)] if header else []
    lines += [",".join(map(str, row)) for row in np.column_stack(columns).tolist()]
    path.write_text("\n".join(lines) + "\n")
    return path


GRID = [f"{row}x{column}" for row in range(1, 10) for column in range(1, 10)]
NAMED = {
    "kaggle": (["label", *(f"pixel{i}" for i in range(WIDTH))], True),
    "grid": (["label", *GRID], True),
    "fashion": (["label", *(f"pixel{i}" for i in range(1, WIDTH + 1))], True),
    "label last": ([*(f"x{i}" for i in range(WIDTH)), "class"], False),
    "odd name": (["sign", *(f"pixel_{i}_{j}" for i in range(9) for j in range(9))], True),
    "no header, label first": (None, True),
    "no header, label last": (None, False),
}


@pytest.mark.parametrize("kind", NAMED)
def test_columns_of_pixels_are_pictures_and_the_label_is_the_target(
    kind: str, tmp_path: Path
) -> None:
    header, first = NAMED[kind]
    columns = [LABELS, FLAT] if first else [FLAT, LABELS]
    dataset = load(write(tmp_path / "d.csv", columns, header))
    assert dataset.features.dtype == np.uint8
    assert dataset.image_shape == (9, 9)
    np.testing.assert_array_equal(dataset.features, FLAT)
    np.testing.assert_array_equal(dataset.target, LABELS)
    assert dataset.task == "classification"
    note = dataset.notes[-1]
    assert (
        f"are the pixels of pictures of 9 x 9 in grey, and column {dataset.target_name!r} is the target"
        in note
    )


def test_pictures_whose_edges_are_not_dark(tmp_path: Path) -> None:
    bright = 250 - FLAT // 2
    letters = np.arange(60) % 24
    for name, columns in (("first", [letters, bright]), ("last", [bright, letters])):
        dataset = load(write(tmp_path / f"{name}.csv", columns))
        np.testing.assert_array_equal(dataset.target, letters)
        # 24 letters in 60 rows would be numbers in another table.
        assert dataset.task == "classification"


def test_colours(tmp_path: Path) -> None:
    colours = np.stack([IMAGES, IMAGES // 2, 255 - IMAGES], axis=3).reshape(len(IMAGES), -1)
    header = [*(f"pixel{i:04}" for i in range(3 * WIDTH)), "label"]
    dataset = load(write(tmp_path / "d.csv", [colours, LABELS], header))
    assert dataset.image_shape == (9, 9, 3)
    assert "9 x 9 in three colours" in dataset.notes[-1]


@pytest.mark.parametrize("header", [True, False])
def test_what_the_flag_and_a_named_target_overrule(header: bool, tmp_path: Path) -> None:
    names = ["label", *(f"pixel{i}" for i in range(WIDTH))] if header else None
    path = write(tmp_path / "d.csv", [LABELS, FLAT], names)
    with pytest.warns(UserWarning, match="left out: every row to train on has the same value"):
        plain = train_table(path, pixels=False, target=0, epochs=1, diagnose=False)
    assert not plain.model.preprocessor.pixels
    named = load(path, target=0)
    np.testing.assert_array_equal(named.target, LABELS)
    assert named.features.dtype == np.uint8
    other = load(path, target=40)
    assert other.target.tolist() == FLAT[:, 39].tolist()


def test_an_index_beside_the_pixels_is_no_target(tmp_path: Path) -> None:
    header = ["", *(f"x{i}" for i in range(WIDTH)), "target"]
    path = write(tmp_path / "d.csv", [np.arange(len(FLAT)), FLAT, LABELS], header)
    with pytest.warns(UserWarning, match="column 'column_1': left out"):
        trained = train_table(path, epochs=1, diagnose=False)
    assert trained.model.target_names == ("target",)
    assert "column 'column_1': left out: beside the pixels of pictures" in trained.notes[-1]


def test_the_target_is_refused_where_it_cannot_be_told(tmp_path: Path) -> None:
    header = ["age", "kind", *(f"pixel{i}" for i in range(WIDTH))]
    path = write(tmp_path / "d.csv", [LABELS, LABELS + 1, FLAT], header)
    with pytest.raises(DataError, match="columns 'age', 'kind' are beside them; name the target"):
        load(path)
    assert load(path, target="kind").target_name == "kind"
    bare = write(tmp_path / "e.csv", [FLAT], header[2:])
    with pytest.raises(DataError, match="there is no column beside them; name the target"):
        load(bare)


def test_pixels_that_are_no_bytes_are_numbers_and_still_no_target(tmp_path: Path) -> None:
    header = ["label", *(f"pixel{i}" for i in range(WIDTH))]
    for pixels in (FLAT / 255, FLAT // 16):
        dataset = load(write(tmp_path / "d.csv", [LABELS, pixels], header))
        assert dataset.target_name == "label"
        assert not isinstance(dataset.features, np.ndarray)
        assert "'label' is the target and not the last column" in dataset.notes[-1]
        assert not dataset.has_last_target


@pytest.mark.parametrize("first", [True, False])
def test_divided_pixels_without_names_are_no_target_either(first: bool, tmp_path: Path) -> None:
    scaled = FLAT / 127.5 - 1
    columns = [LABELS, scaled] if first else [scaled, LABELS]
    dataset = load(write(tmp_path / "zip.csv", columns))
    assert dataset.target_name == ("column_1" if first else f"column_{WIDTH + 1}")


def series(n: int, width: int, rng: Any) -> Any:
    """Counts by day, each near to that of the day before."""
    steps = rng.normal(0, 6, (n, width)).cumsum(axis=1) + rng.uniform(60, 200, (n, 1))
    return np.clip(np.round(steps), 0, 255).astype(int)


def test_other_tables_of_whole_numbers_are_no_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 200)
    tables = {
        "letters": rng.integers(0, 16, (200, 16)),
        "random bytes": rng.integers(0, 256, (200, 81)),
        "binary": rng.integers(0, 2, (200, 64)),
        "days": series(200, 81, rng),
        "shuffled pixels": np.tile(FLAT, (4, 1))[:200, rng.permutation(WIDTH)],
    }
    for numbers in tables.values():
        dataset = load(write(tmp_path / "d.csv", [numbers, target]))
        assert dataset.target_name == f"column_{numbers.shape[1] + 1}"
        assert not isinstance(dataset.features, np.ndarray)


LISTS = {
    "blanks": ("{}", " "),
    "commas": ('"{}"', ","),
    "brackets": ('"[{}]"', ", "),
    "numpy": ('"[{}]"', " "),
}


def listing(path: Path, kind: str = "blanks", rows: Any = FLAT, usage: bool = True) -> Path:
    form, between = LISTS[kind]
    lines = ["emotion,pixels,Usage" if usage else "emotion,pixels"]
    parts = ["Training"] * 40 + ["PublicTest"] * 10 + ["PrivateTest"] * 10
    for label, row, part in zip(LABELS, rows, parts, strict=True):
        cells = form.format(between.join(map(str, row)))
        lines.append(f"{label},{cells},{part}" if usage else f"{label},{cells}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("kind", LISTS)
def test_a_column_that_lists_pixels(kind: str, tmp_path: Path) -> None:
    dataset = load(listing(tmp_path / "d.csv", kind))
    np.testing.assert_array_equal(dataset.features, FLAT)
    np.testing.assert_array_equal(dataset.target, LABELS)
    assert dataset.image_shape == (9, 9)
    assert dataset.notes[-1].startswith(
        "column 'pixels' lists the pixels of pictures of 9 x 9 in grey"
    )


def test_usage_suggests_folds_which_split_by_it(tmp_path: Path) -> None:
    path = listing(tmp_path / "d.csv")
    with pytest.warns(UserWarning, match="column 'Usage': left out: beside the pixels"):
        trained = train_table(path, epochs=1, diagnose=False)
    assert (
        "column 'Usage' says which rows are which: split by it with folds='Usage'" in trained.notes
    )
    split = train_table(path, folds="Usage", epochs=1, diagnose=False)
    assert not any("left out" in note for note in split.notes)
    assert any(
        "40 rows for training, 10 rows for validation, 10 rows for test" in note
        for note in split.notes
    )


def test_lists_that_are_no_pixels(tmp_path: Path) -> None:
    path = listing(tmp_path / "d.csv")
    lines = path.read_text().splitlines()
    short = lines[7].replace(" 0,", ",")
    for wrong, message in (
        (short, f"line 8, column 'pixels': lists {WIDTH - 1} pixels, and the first row {WIDTH}"),
        (lines[7].replace(",0 ", ",900 "), "line 8, column 'pixels': 900 is no pixel"),
        (
            f"1,none,{lines[7].split(',')[2]}",
            "line 8, column 'pixels': 'none' is no list of pixels",
        ),
    ):
        path.write_text("\n".join([*lines[:7], wrong, *lines[8:]]) + "\n")
        with pytest.raises(DataError, match=message):
            load(path)
    with pytest.raises(DataError, match="no column tells anything"):
        train_table(path, text=["pixels"], drop=["Usage"], target="emotion")
    numbers = tmp_path / "e.csv"
    rows = [f'{i % 2},"[{i}.5, -0.25, 1e-3, 4, 5]",{i % 7}' for i in range(60)]
    numbers.write_text("y,embedding,size\n" + "\n".join(rows) + "\n")
    said = "column 'embedding': lists numbers, which are read as texts; write each in a column of its own"
    assert any(note.startswith(said) for note in load(numbers, target="y").notes)


def test_lists_of_other_numbers_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    for size, highest in ((17, 999), (None, 255)):
        rng = np.random.default_rng(0)
        lists = [rng.integers(0, highest + 1, size or rng.integers(17, 40)) for _ in range(60)]
        rows = [f'{i % 2},"{" ".join(map(str, each))}",{i % 7}' for i, each in enumerate(lists)]
        path.write_text("y,genres,size\n" + "\n".join(rows) + "\n")
        dataset = load(path, target="y")
        assert dataset.features["genres"].iloc[0] == " ".join(map(str, lists[0]))
        assert "column 'genres': lists numbers, which are read as texts" in dataset.notes[-1]


def test_every_form_trains_to_the_same_bits(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=IMAGES, y=LABELS)
    header = ["label", *(f"pixel{i}" for i in range(WIDTH))]
    frame = pandas.DataFrame(np.column_stack([LABELS, FLAT]), columns=header)
    sources: list[Any] = [
        tmp_path / "d.npz",
        write(tmp_path / "named.csv", [LABELS, FLAT], header),
        write(tmp_path / "plain.csv", [FLAT, LABELS]),
        listing(tmp_path / "listed.csv", usage=False),
        frame,
    ]
    found = [train_table(source, epochs=2, diagnose=False) for source in sources]
    for each in found[1:]:
        np.testing.assert_array_equal(each.model.parameters, found[0].model.parameters)
        assert each.scores == found[0].scores


@pytest.mark.parametrize("trained_on", ["named", "plain", "listed", "npz"])
def test_a_model_reads_every_form(trained_on: str, tmp_path: Path) -> None:
    header = ["label", *(f"pixel{i}" for i in range(WIDTH))]
    np.savez(tmp_path / "d.npz", x=IMAGES, y=LABELS)
    forms = {
        "named": write(tmp_path / "named.csv", [LABELS, FLAT], header),
        "plain": write(tmp_path / "plain.csv", [LABELS, FLAT]),
        "listed": listing(tmp_path / "listed.csv", usage=False),
        "npz": tmp_path / "d.npz",
    }
    out = tmp_path / "run"
    train_table(forms[trained_on], epochs=1, diagnose=False, out=out)
    model = TrainedModel.load(out)
    scores = [model.scores(load(path, schema=model.schema)) for path in forms.values()]
    assert scores.count(scores[0]) == len(scores)
    unlabelled = {
        "named": write(tmp_path / "test.csv", [FLAT], header[1:]),
        "one row": write(tmp_path / "one.csv", [FLAT[:1]], header[1:]),
        "plain": write(tmp_path / "bare.csv", [FLAT]),
    }
    for path in unlabelled.values():
        features = load_features(path, schema=model.schema)
        np.testing.assert_array_equal(features, FLAT[: len(features)])


def test_a_test_file_is_read_as_the_pictures_of_training(tmp_path: Path) -> None:
    header = ["label", *(f"pixel{i}" for i in range(WIDTH))]
    path = write(tmp_path / "d.csv", [LABELS, FLAT], header)
    # Dark pictures, which alone would be numbers.
    test = write(tmp_path / "t.csv", [LABELS, FLAT // 4], header)
    trained = train_table(path, test=test, epochs=1, diagnose=False)
    assert trained.scored_on == "test"
    wrong = write(tmp_path / "w.csv", [LABELS, FLAT / 255], header)
    with pytest.raises(DataError, match="look already divided by 255"):
        train_table(path, test=wrong, epochs=1)


def test_labels_that_are_texts(tmp_path: Path) -> None:
    letters = np.array(["A", "B"])[LABELS]
    cells = np.column_stack([letters.astype(object), FLAT.astype(object)])
    path = write(tmp_path / "d.csv", [cells])
    dataset = load(path)
    assert dataset.target.tolist() == letters.tolist()
    model = train_table(path, epochs=1, diagnose=False).model
    assert set(model.predict(FLAT)) <= {"A", "B"}
    assert model.predict(FLAT[:1]).shape == (1,)


def test_the_command_line_says_it_in_flags(cli: Any, tmp_path: Path) -> None:
    listing(tmp_path / "listed.csv")
    write(tmp_path / "plain.csv", [LABELS, FLAT])
    flags = ("--epochs", 1, "--no-diagnose", "--hidden", 2)
    _, _, told = cli("train", "listed.csv", *flags)
    assert "classification of 'emotion'\n" in told
    assert "(--text pixels takes it as texts)" in told
    assert "split by it with --folds Usage" in told
    _, _, told = cli("train", "plain.csv", *flags, "--out", "run")
    assert "column 'column_1' is the target (--no-pixels takes them as other numbers)" in told
    code, printed, _ = cli("predict", "run", "plain.csv")
    assert (code, len(printed.splitlines())) == (0, 1 + len(FLAT))
    code, printed, _ = cli("evaluate", "run")
    assert (code, "12 rows, the test set of plain.csv" in printed) == (0, True)
    _, _, told = cli("train", "plain.csv", *flags, "--no-pixels", "--target", 0)
    assert "note: columns 'column_2', 'column_82': left out" in told
