"""Folders of pictures: layouts, sizes, modes and damage; what is decided is said, what cannot be told is refused."""

from __future__ import annotations

import csv
import io
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anyarray_mlp.data import Reading, load, load_features, picture_files
from anyarray_mlp.errors import DataError, OutOfMemoryError, StorageError, UsageError
from anyarray_mlp.pipeline import TrainedModel, train_table

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)


def save(path: Path, pixels: Any = GREY, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def classes(folder: Path, names: str = "cat dog", count: int = 2, pixels: Any = GREY) -> Path:
    for name in names.split():
        for number in range(count):
            save(folder / name / f"{number}.png", pixels)
    return folder


def test_sub_folders_are_classes_and_pictures_are_bytes(tmp_path: Path) -> None:
    classes(tmp_path)
    save(tmp_path / "dog" / "0.png", 255 - GREY)
    dataset = load(tmp_path)
    assert dataset.features.dtype == np.uint8
    assert dataset.image_shape == (3, 4)
    assert dataset.target.tolist() == ["cat", "cat", "dog", "dog"]
    assert dataset.task == "classification"
    np.testing.assert_array_equal(dataset.features[0], GREY.ravel())
    np.testing.assert_array_equal(dataset.features[2], 255 - GREY.ravel())
    assert dataset.notes == ("the 2 classes are the sub-folders 'cat', 'dog', of 2 pictures",)


def test_classes_named_by_numbers_are_numbers_in_their_order(tmp_path: Path) -> None:
    assert load(classes(tmp_path / "a", "10 9 2", 1)).target.tolist() == [2, 9, 10]
    assert load(classes(tmp_path / "b", "01 02", 1)).target.tolist() == ["01", "02"]
    assert load(classes(tmp_path / "c", "1 x", 1)).target.tolist() == ["1", "x"]


def test_the_order_is_that_of_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes(tmp_path, count=3)
    before, listed = load(tmp_path), os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed(path)[::-1])
    assert picture_files([tmp_path]) == sorted(tmp_path.glob("*/*.png"))
    np.testing.assert_array_equal(load(tmp_path).target, before.target)


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        ("train", "valid", "test"),
        ("training_set", None, "test_set"),
        ("seg_train", "seg_val", "seg_test"),
        ("Train", "Validation", None),
    ],
)
def test_folders_above_the_classes_are_parts(
    train: str, valid: str | None, test: str | None, tmp_path: Path
) -> None:
    classes(tmp_path / "data" / train, count=5)
    for name, count in ((valid, 3), (test, 4)):
        if name:
            classes(tmp_path / "data" / name, count=count)
    dataset = load(tmp_path)
    assert len(dataset) == 10
    assert (dataset.validation and len(dataset.validation)) == (6 if valid else None)
    assert (dataset.test and len(dataset.test)) == (8 if test else None)
    assert any("the validation pictures are the 6 in " in note for note in dataset.notes) == bool(
        valid
    )
    trained = train_table(tmp_path, epochs=1, diagnose=False, hidden_layer_sizes=(2,))
    assert trained.scored_on == "test"


def test_test_pictures_without_classes_are_left_out_aloud(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    save(tmp_path / "test1" / "1.png")
    dataset = load(tmp_path)
    assert dataset.test is None
    assert any("left out: its 1 picture are in no class" in note for note in dataset.notes)


def test_what_else_lies_in_the_folder_is_said_or_is_nothing(tmp_path: Path) -> None:
    classes(tmp_path)
    for name in (".DS_Store", "cat/Thumbs.db", "dog/._0.png", "desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    assert len(load(tmp_path).notes) == 1
    (tmp_path / "labels.csv").write_text("a,b\n")
    (tmp_path / "cow").mkdir()
    save(tmp_path / "cover.png")
    save(tmp_path / "dog" / "more" / "2.PNG", format="png")
    dataset = load(tmp_path)
    assert dataset.target.tolist() == ["cat", "cat", "dog", "dog", "dog"]
    said = "\n".join(dataset.notes)
    for part in (
        "1 file without the name of a picture left out: 'labels.csv'",
        "sub-folders without pictures are no classes: 'cow'",
        "1 picture beside the sub-folders left out, in no class: 'cover.png'",
        "pictures in folders below 'dog' are of that class, too",
    ):
        assert part in said


def test_names_that_differ_in_capitals_are_two_classes_aloud(tmp_path: Path) -> None:
    classes(tmp_path, "Cat cat dog")
    if len(os.listdir(tmp_path)) == 2:
        pytest.skip("the file system does not tell capitals")
    assert "'Cat', 'cat' differ in capitals alone" in load(tmp_path).notes[-1]
    assert "capitals" not in load(classes(tmp_path / "letters", "A a")).notes[-1]


def test_links_are_followed_once(tmp_path: Path) -> None:
    classes(tmp_path / "real")
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "a").symlink_to(tmp_path / "real" / "cat")
    (folder / "b").symlink_to(tmp_path / "real" / "dog")
    (folder / "b" / "up").symlink_to(folder)
    assert load(folder).target.tolist() == ["a", "a", "b", "b"]


def loose(folder: Path) -> Path:
    save(folder / "1.png")
    return folder


def deep(folder: Path) -> Path:
    classes(folder / "2020")
    classes(folder / "2021")
    return folder


def flat_parts(folder: Path) -> Path:
    save(folder / "train" / "cat.1.png")
    save(folder / "test" / "1.png")
    return folder


def two_trainings(folder: Path) -> Path:
    classes(folder / "train")
    classes(folder / "training")
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (loose, "holds 1 picture and no sub-folders of pictures.* put the pictures of each class in a sub-folder"),
        (deep, "sub-folder '2020' holds folders of pictures, 'cat', 'dog', so it is no class"),
        (flat_parts, "train: holds 1 picture and no sub-folders"),
        (two_trainings, "both 'train', 'training' are the training pictures"),
        (lambda folder: classes(folder, "cat"), "only one class, 'cat'"),
        (lambda folder: folder, "without pictures and without IDX files"),
    ],
)  # fmt: skip
def test_layouts_that_say_no_classes(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        load(make(tmp_path))


def test_sizes_that_differ_are_brought_to_one_aloud(tmp_path: Path) -> None:
    classes(tmp_path)
    save(tmp_path / "cat" / "9.png", np.full((50, 80), 7, np.uint8))
    dataset = load(tmp_path)
    assert dataset.image_shape == (64, 64)
    assert (dataset.features[2] == 7).all()
    assert dataset.notes[-1] == (
        "the pictures have 2 sizes, from 3 x 4 to 50 x 80: 5 of them stretched or shrunk to 64 x 64 "
        "(another size with image_size=HxW)"
    )
    asked = load(tmp_path, reading=Reading(image_size=(3, 4)))
    assert asked.image_shape == (3, 4)
    np.testing.assert_array_equal(asked.features[0], GREY.ravel())


def test_small_pictures_are_not_blown_up(tmp_path: Path) -> None:
    classes(tmp_path)
    save(tmp_path / "cat" / "9.png", GREY.T.copy())
    assert load(tmp_path).image_shape == (4, 4)


def turned() -> tuple[Image.Image, dict[str, Any]]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return Image.fromarray(GREY), {"exif": exif}


def transparent() -> Image.Image:
    alpha = np.full((3, 4), 255, np.uint8)
    alpha[:, 0] = 0
    return Image.merge("LA", [Image.fromarray(np.zeros((3, 4), np.uint8)), Image.fromarray(alpha)])


def palette(colours: list[int]) -> Image.Image:
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette(colours)
    return image


MODES: dict[str, tuple[Any, str, list[int], str]] = {
    "1 bit": (Image.fromarray(GREY > 100), "png", [0] * 6 + [255] * 6, ""),
    "grey": (GREY, "png", GREY.ravel().tolist(), ""),
    "16 bit": (GREY.astype(np.uint16) * 257, "png", GREY.ravel().tolist(), "2 pictures are brought from 16 bits to 8"),
    "transparent": (transparent(), "png", [255, 0, 0, 0] * 3, "2 pictures are laid on white"),
    "colour": (COLOUR, "png", COLOUR.ravel().tolist(), ""),
    "grey in three channels": (np.stack([GREY] * 3, axis=2), "png", GREY.ravel().tolist(), "taken as grey"),
    "grey palette": (palette([9, 9, 9, 200, 200, 200]), "png", [9, 200], ""),
    "palette": (palette([255, 0, 0, 0, 0, 255]), "png", [255, 0, 0, 0, 0, 255], ""),
    "CMYK": (Image.new("CMYK", (1, 1), (255, 0, 0, 0)), "tiff", [0, 255, 255], "2 pictures are converted from CMYK"),
    "PGM": (GREY, "pgm", GREY.ravel().tolist(), ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODES)
def test_modes_each_by_one_rule(kind: str, tmp_path: Path) -> None:
    pixels, suffix, expected, said = MODES[kind]
    for name in ("a", "b"):
        save(tmp_path / name / f"1.{suffix}", pixels)
    dataset = load(tmp_path)
    assert dataset.features[0].tolist() == expected
    assert len(dataset.notes) == 1 + bool(said)
    assert said in dataset.notes[-1]


def test_pictures_stand_upright(tmp_path: Path) -> None:
    image, options = turned()
    for name in ("a", "b"):
        save(tmp_path / name / "1.png", image, **options)
    dataset = load(tmp_path)
    assert dataset.image_shape == (4, 3)
    np.testing.assert_array_equal(dataset.features[0].reshape(4, 3), np.rot90(GREY, -1))
    assert dataset.notes[-1] == "2 pictures are turned upright, as their EXIF says"


def test_of_grey_and_colour_all_are_in_colour(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png")
    save(tmp_path / "b" / "1.png", COLOUR)
    dataset = load(tmp_path)
    assert dataset.image_shape == (3, 4, 3)
    assert dataset.notes[-1] == "1 picture is grey, with three equal channels here"
    grey = load(tmp_path, reading=Reading(image_mode="grey"))
    assert grey.image_shape == (3, 4)
    assert grey.notes[-1] == "1 picture is in colour, which is made grey"


def test_the_first_of_several_frames_is_taken(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for name in ("a", "b"):
        save(tmp_path / name / "1.tif", frames[0], save_all=True, append_images=frames[1:])
    dataset = load(tmp_path)
    np.testing.assert_array_equal(dataset.features[0], GREY.ravel())
    assert "of several frames" in dataset.notes[-1]


def test_damaged_pictures_are_named_all_at_once(tmp_path: Path) -> None:
    classes(tmp_path, count=4)
    (tmp_path / "cat" / "1.png").write_bytes(b"<html>")
    (tmp_path / "dog" / "3.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"2 files hold no picture .*1\.png \(not a picture\), and '3\.png'; fetch"
    ):
        load(tmp_path)
    save(tmp_path / "cat" / "1.png")
    whole = save(tmp_path / "dog" / "3.png", np.zeros((90, 90), np.uint8)).read_bytes()
    (tmp_path / "dog" / "3.png").write_bytes(whole[: len(whole) - 30])
    with pytest.raises(DataError, match=r"1 file holds no picture .*3\.png \("):
        load(tmp_path, reading=Reading(image_size=(3, 4)))


def bomb(side: int) -> bytes:
    """A PNG whose header claims a square of this side."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 9))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_000, 50_000])
def test_decompression_bombs_are_refused_by_their_header(side: int, tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "cat" / "0.png").write_bytes(bomb(side))
    with pytest.raises(DataError, match=r"1 file holds no picture that can be read: .*0\.png \("):
        load(tmp_path)


def test_memory_is_counted_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anyarray_mlp.data import pictures

    asked: list[int] = []
    monkeypatch.setattr(pictures, "exceeds_memory", lambda size: bool(asked.append(size)) or True)
    with pytest.raises(
        OutOfMemoryError, match=r"4 pictures of 3 x 4, grey take 48 bytes.*image_size=32x32"
    ):
        load(classes(tmp_path))
    assert asked == [48]


def test_a_picture_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes(tmp_path)

    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=r"0\.png: could not be read \(Permission denied\)"):
        load(tmp_path)


def test_without_pillow_one_line_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"not installed: pip install 'anyarray-mlp\[pictures\]'$"):
        load(tmp_path)


def test_settings_of_tables_are_refused(tmp_path: Path) -> None:
    classes(tmp_path, count=9)
    with pytest.raises(UsageError, match="target, drop and header are for tables"):
        load(tmp_path, target="a")
    for setting in ("split", "group", "keep"):
        with pytest.raises(UsageError, match=f"^{setting} names columns of a table"):
            train_table(tmp_path, **{setting: "time:a" if setting == "split" else "a"})
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 2)), y=[0, 1, 0, 1])
    with pytest.raises(UsageError, match="image_size and image_mode are for folders of pictures"):
        train_table(tmp_path / "d.npz", image_size=(3, 4))
    with pytest.raises(UsageError, match="image_size must be height and width, as in 28x28"):
        train_table(tmp_path, image_size="large")
    with pytest.raises(UsageError, match="image_mode must be 'grey' or 'rgb'"):
        train_table(tmp_path, image_mode="blue")


@pytest.fixture(scope="module")
def set_of_bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upright and level bars of 6 x 6 pixels; the same in an `.npz`, in the same order."""
    folder, rng = tmp_path_factory.mktemp("bars"), np.random.default_rng(0)
    images, labels = [], []
    for name in ("level", "upright"):
        for number in range(30):
            image = rng.integers(0, 60, (6, 6), dtype=np.uint8)
            image[number % 6, :] = 220
            image = image if name == "level" else image.T.copy()
            save(folder / "bars" / name / f"{number:02}.png", image)
            images.append(image)
            labels.append(name)
    np.savez(folder / "bars.npz", x=np.stack(images), y=labels)
    return folder


def test_a_folder_trains_to_the_bits_of_the_same_npz(set_of_bars: Path) -> None:
    options: dict[str, Any] = {"epochs": 3, "hidden_layer_sizes": (8,), "diagnose": False}
    of_folder = train_table(set_of_bars / "bars", image_size="6", **options)
    of_npz = train_table(set_of_bars / "bars.npz", **options)
    np.testing.assert_array_equal(of_folder.model.parameters, of_npz.model.parameters)
    assert of_folder.scores == of_npz.scores


def test_commands_on_pictures(set_of_bars: Path, cli: Any, tmp_path: Path) -> None:
    data = str(set_of_bars / "bars")
    flags = ("--epochs", 2, "--image-size", "6x6", "--image-mode", "grey", "--out", "run")
    code, _, told = cli("train", data, *flags)
    assert code == 0
    assert "note: the 2 classes are the sub-folders 'level', 'upright'" in told
    model = TrainedModel.load("run")
    assert (model.reading.image_size, model.reading.image_mode) == ((6, 6), "grey")
    assert "12 rows, the test set of" in cli("evaluate", "run")[1]
    assert "60 rows, all of" in cli("evaluate", "run", data)[1]
    big = save(tmp_path / "new" / "big.png", np.zeros((40, 40, 3), np.uint8))
    one = str(set_of_bars / "bars" / "upright" / "03.png")
    _, printed, told = cli("predict", "run", one, big.parent)
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["file"] for row in rows] == [one, str(big)]
    assert {row["prediction"] for row in rows} <= {"level", "upright"}
    assert "note: the pictures have 2 sizes, from 6 x 6 to 40 x 40: 1 of them stretched" in told
    assert "note: 1 picture is in colour, which is made grey" in told
    x = load_features(data, schema=model.schema)
    assert len(cli("predict", "run", data)[1].splitlines()) == 1 + len(x) == 61
    code, _, told = cli("predict", "run", one, "bars.csv")
    assert code == 2
    assert told.startswith("error: Several DATA must all be pictures")
    code, _, told = cli("predict", "run", "none.png")
    assert (code, "no such file" in told) == (65, True)
    _, _, told = cli("train", data, "--epochs", 2, "--out", "run", "--resume")
    assert "the run has 2 epochs already" in told


def test_a_model_of_an_array_of_images_reads_pictures(set_of_bars: Path) -> None:
    model = train_table(set_of_bars / "bars.npz", epochs=1, diagnose=False).model
    pictures = load_features(set_of_bars / "bars", schema=model.schema)
    np.testing.assert_array_equal(pictures, load_features(set_of_bars / "bars.npz"))
    tested = train_table(set_of_bars / "bars.npz", test=set_of_bars / "bars", epochs=1)
    assert tested.scored_on == "test"
