"""The golden table of data that cannot be used: each case is one line that names place and cure."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.data import load, load_features
from anyarray_mlp.errors import AnyArrayMLPError, DataError, StorageError, UsageError

GOOD = "age,colour,ill\n31,red,yes\n42,blue,no\n53,red,yes\n64,blue,no\n"


def idx(
    array: np.ndarray, magic: bytes | None = None, shape: tuple[int, ...] | None = None
) -> bytes:
    shape = array.shape if shape is None else shape
    magic = bytes([0, 0, 8, len(shape)]) if magic is None else magic
    return magic + struct.pack(f">{len(shape)}I", *shape) + array.astype(np.uint8).tobytes()


IMAGES = np.arange(6 * 4 * 4).reshape(6, 4, 4)
LABELS = np.array([0, 1, 0, 1, 0, 1])


def idx_folder(
    folder: Path, images: bytes = idx(IMAGES), labels: bytes | None = idx(LABELS)
) -> Path:
    (folder / "train-images-idx3-ubyte").write_bytes(images)
    if labels is not None:
        (folder / "train-labels-idx1-ubyte").write_bytes(labels)
    return folder


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def npy_header(shape: str, descr: str = "<f8", version: tuple[int, int] = (1, 0)) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header = text.ljust(117) + "\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header)) + header.encode()


def npz_of(path: Path, x: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    y = io.BytesIO()
    np.save(y, np.array([0, 1]))
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", y.getvalue())
    return path


def flip_last_value(folder: Path) -> Path:
    path = npz(folder / "d.npz", x=np.ones((2, 2)), y=np.array([0, 1]))
    content = bytearray(path.read_bytes())
    place = content.find(np.ones(4).tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    return path


# name: (what makes the source in an empty folder, options, what the message must say)
TEXTS: dict[str, tuple[str | bytes, dict[str, Any], tuple[str, ...]]] = {
    "empty file": (b"", {}, ("d.csv", "is empty")),
    "blank lines only": (b"\n  \n\n", {}, ("is empty",)),
    "mark only": (b"\xef\xbb\xbf", {}, ("is empty",)),
    "header only": ("a,b,c\n", {}, ("a header but no rows", "at least one row")),
    "one column": ("a\n1\n2\n", {}, ("only one column", "comma")),
    "row too short": ("a,b,c\n1,2,3\n4,5\n6,7,8\n", {}, ("line 3", "2 column(s)", "3")),
    "row too long": ("a,b,c\n1,2,3\n4,5,6,7\n", {}, ("line 3", "4 column(s)")),
    "row too short after blank lines": ("a,b,c\n\n1,2,3\n\n4,5\n", {}, ("line 5",)),
    "row too short after a text of two lines": ('a,b\n"x\ny",1\n2\n', {}, ("line 4",)),
    "row too long, tabs": ("a\tb\n1\t2\n3\t4\t5\n", {}, ("line 3", "3 column(s)")),
    "row too short, blanks": ("1 2 3\n4  5   6\n7 8\n", {}, ("line 3", "2 column(s)")),
    "open quote": ('a,b\n1,"2\n3,4\n', {}, ("line 2", "quotes")),
    "UTF-16, cut short": (GOOD.encode("utf-16")[:-1], {}, ("UTF-16", "save the file as UTF-8")),
    "UTF-16 without mark": (GOOD.encode("utf-16-le"), {}, ("line 1, byte 1", "NUL")),
    "damage beyond the first chunk": (
        "a,é\n".encode() + b"1,2\n" * (1 << 19) + b"1,\xc3\n",
        {},
        ("line 524290, byte 2097159", "0xc3"),
    ),
    "cut in a character": ("a,b\n1,é".encode()[:-1], {}, ("line 2, byte 6", "0xc3")),
    "NUL byte": ("a,b\n1,2\n3,\0004\n", {}, ("line 3, byte 10", "NUL")),
    "binary": (bytes(range(128, 256)), {}, ("line 1, byte 0", "0x80", "not UTF-8")),
    "overflowing number": ("a,b\n1,2\n1e999,3\n", {}, ("line 3", "'a'", "'1e999'", "?")),
    "infinity": ("a,b\n1,2\n-inf,3\n4,5\n", {}, ("line 3", "'a'", "'-inf'")),
    "infinite target": ("a,b\n1,2.5\n2,inf\n", {}, ("line 3", "'b'", "'inf'")),
    "slip among numbers": (
        "a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(30)) + "3o,1\n",
        {},
        ("line 32", "'a'", "'3o'", "30 others"),
    ),
    "unknown target": (GOOD, {"target": "il"}, ("'il'", "did you mean 'ill'", "'age', 'colour'")),
    "target by wrong place": (GOOD, {"target": 3}, ("no column 3", "from 0 to 2")),
    "target by wrong text place": (GOOD, {"target": "-4"}, ("no column -4", "there are 3")),
    "all columns are targets": (GOOD, {"target": [0, 1, 2]}, ("no column is left",)),
    "all columns dropped": (GOOD, {"drop": [0, 1]}, ("no column is left",)),
    "unknown column to drop": (GOOD, {"drop": ["agee"]}, ("'agee'", "did you mean 'age'")),
    "missing target": ("a,b\n1,x\n2,?\n3,\n4,y\n", {}, ("line 3", "'b'", "1 more line", "delete")),
    "text as regression": (GOOD, {"task": "regression"}, ("'ill'", "'yes'", "classification")),
    "one target as multilabel": ("a,b\n1,0\n2,1\n", {"task": "multilabel"}, ("multilabel", "one")),
}

FILES: dict[str, tuple[Callable[[Path], Any], dict[str, Any], tuple[str, ...]]] = {
    "missing file": (lambda f: f / "absent.csv", {}, ("absent.csv", "no such file", "check")),
    "file below a file": (
        lambda f: idx_folder(f) / "train-images-idx3-ubyte" / "d.csv",
        {},
        ("no such",),
    ),
    "misspelt built-in": (lambda f: "digit", {}, ("'digits'", "did you mean", "'iris'")),
    "empty name": (lambda f: "", {}, ("''", "built-in name or a path")),
    "NUL in the name": (lambda f: "a\0b.csv", {}, ("path",)),
    "device": (lambda f: "/dev/zero", {}, ("not a regular file",)),
    "empty folder": (lambda f: f, {}, ("without IDX files", "train-images-idx3-ubyte")),
    "pickle": (lambda f: write(f / "m.pkl", b"\x80"), {}, ("pickle", "never read")),
    "picture": (
        lambda f: write(f / "m.png", b"\x89PNG"),
        {},
        ("one picture", "a sub-folder for each class"),
    ),
    "Excel": (lambda f: write(f / "m.xlsx", b"PK\0"), {}, ("Excel", "the workbook itself")),
    "lone npy": (lambda f: saved(f / "m.npy"), {}, ("target", "np.savez")),
    "cut gzip": (
        lambda f: write(f / "d.csv", gzip.compress(GOOD.encode())[:-9]),
        {},
        ("gzip", "cut"),
    ),
    "gzip bomb": (
        lambda f: write(f / "d.csv", gzip.compress(bytes(80 << 20))),
        {},
        ("expands to", "more than", "uncompressed"),
    ),
    # IDX
    "IDX labels missing": (
        lambda f: idx_folder(f, labels=None),
        {},
        ("labels are missing", "next to it"),
    ),
    "IDX empty": (lambda f: idx_folder(f, images=b""), {}, ("0 bytes", "header", "16")),
    "IDX bad magic": (
        lambda f: idx_folder(f, images=idx(IMAGES, magic=b"\0\0\x0d\3")),
        {},
        ("0x00000d03", "0x00000803"),
    ),
    "IDX labels as images": (
        lambda f: idx_folder(f, images=idx(np.zeros(60))),
        {},
        ("0x00000801", "0x00000803"),
    ),
    "IDX cut short": (
        lambda f: idx_folder(f, images=idx(IMAGES)[:-1]),
        {},
        ("96", "95", "cut short"),
    ),
    "IDX too long": (lambda f: idx_folder(f, images=idx(IMAGES) + b"0"), {}, ("96", "97")),
    "IDX lying header": (
        lambda f: idx_folder(f, images=idx(IMAGES, shape=(2**32 - 1,) * 3)),
        {},
        ("4294967295 x 4294967295", "96 follow"),
    ),
    "IDX counts differ": (
        lambda f: idx_folder(f, labels=idx(LABELS[:5])),
        {},
        ("6 images and 5 labels", "one set"),
    ),
    "IDX no images": (
        lambda f: idx_folder(f, idx(IMAGES[:0]), idx(LABELS[:0])),
        {},
        ("0 images of 4 x 4",),
    ),
    "IDX two sets": (
        lambda f: [write(f / f"{n}-images-idx3-ubyte", b"") and f for n in "ab"][-1],
        {},
        ("cannot tell", "'a-images-idx3-ubyte', 'b-images-idx3-ubyte'"),
    ),
    # .npz
    "npz that is none": (lambda f: write(f / "d.npz", b"hello"), {}, ("damaged", "zip")),
    "npz empty": (lambda f: write(f / "d.npz", b""), {}, ("damaged",)),
    "npz without x": (lambda f: npz(f / "d.npz", y=[0, 1]), {}, ("'y'", "no 'x'", "np.savez")),
    "npz without y": (lambda f: npz(f / "d.npz", x=[[0.0], [1]]), {}, ("'x'", "no 'y'")),
    "npz of other names": (lambda f: npz(f / "d.npz", a=[0]), {}, ("'a.npy'", "x and y")),
    "npz of objects": (
        lambda f: npz(f / "d.npz", x=np.array([[{}], [1]], dtype=object), y=[0, 1]),
        {},
        ("x.npy", "objects", "can run code"),
    ),
    "npz of texts": (
        lambda f: npz(f / "d.npz", x=[["a"], ["b"]], y=[0, 1]),
        {},
        ("numbers", "CSV"),
    ),
    "npz of complex numbers": (lambda f: npz(f / "d.npz", x=[[1j]], y=[0]), {}, ("complex128",)),
    "npz rows differ": (
        lambda f: npz(f / "d.npz", x=np.ones((3, 2)), y=[0, 1]),
        {},
        ("3 rows", "(2,)"),
    ),
    "npz x of one dimension": (
        lambda f: npz(f / "d.npz", x=[1, 2], y=[0, 1]),
        {},
        ("(2,)", "reshape"),
    ),
    "npz empty x": (
        lambda f: npz(f / "d.npz", x=np.ones((0, 2)), y=[]),
        {},
        ("(0, 2)", "at least one"),
    ),
    "npz infinite x": (
        lambda f: npz(f / "d.npz", x=[[1.0, np.inf]], y=[0]),
        {},
        ("x[0, 1]", "inf"),
    ),
    "npz x_test alone": (
        lambda f: npz(f / "d.npz", x=[[1.0], [2]], y=[0, 1], x_test=[[1.0]]),
        {},
        ("no 'y_test'",),
    ),
    "npz test of other width": (
        lambda f: npz(f / "d.npz", x=[[1.0], [2]], y=[0, 1], x_test=[[1.0, 2]], y_test=[1]),
        {},
        ("1 features", "2 in the test set"),
    ),
    "npz lying header": (
        lambda f: npz_of(f / "d.npz", npy_header("(1099511627776, 1024)") + b"0" * 64),
        {},
        ("(1099511627776, 1024)", "64 follow"),
    ),
    "npz negative shape": (
        lambda f: npz_of(f / "d.npz", npy_header("(-1, -8)") + b"0" * 64),
        {},
        ("-1",),
    ),
    "npz unsafe header": (
        lambda f: npz_of(f / "d.npz", npy_header("__import__('os').abort()")),
        {},
        ("damaged",),
    ),
    "npz header of a later version": (
        lambda f: npz_of(f / "d.npz", npy_header("(1, 1)", version=(3, 0)) + bytes(8)),
        {},
        ("version (3, 0)",),
    ),
    "npz flipped bit": (flip_last_value, {}, ("damaged", "CRC")),
    "npz target of dates": (
        lambda f: npz(f / "d.npz", x=[[1.0]], y=np.array(["2020-01-01"], dtype="M8[D]")),
        {},
        ("y.npy", "datetime64[D]"),
    ),
}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def saved(path: Path) -> Path:
    np.save(path, np.zeros((3, 4, 4)))
    return path


def assert_refused(source: Any, options: dict[str, Any], parts: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        load(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert "; " in message, "a message ends with what to do"


@pytest.mark.parametrize("case", TEXTS)
def test_table_that_cannot_be_used(case: str, tmp_path: Path) -> None:
    content, options, parts = TEXTS[case]
    content = content if isinstance(content, bytes) else content.encode()
    source = write(tmp_path / "d.csv", content)
    assert_refused(source, options, ("d.csv", *parts))


@pytest.mark.parametrize("case", FILES)
def test_source_that_cannot_be_used(case: str, tmp_path: Path) -> None:
    make, options, parts = FILES[case]
    assert_refused(make(tmp_path), options, parts)


def test_options_that_do_not_fit_the_source(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="target, drop and header are for tables"):
        load("iris", target="class")
    with pytest.raises(UsageError, match="'regresion'"):
        load("iris", task="regresion")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="text"):
        load("iris", task="regression")


def test_unreadable_file_is_a_storage_error(tmp_path: Path) -> None:
    loop = tmp_path / "loop.csv"
    os.symlink(loop, loop)
    with pytest.raises(StorageError, match=r"could not be read .*permissions"):
        load(loop)


def test_refused_permission_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "d.csv", GOOD.encode())

    def refuse(self: Path, mode: str) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=r"d\.csv: could not be read \(Permission denied\)"):
        load(path)


@pytest.mark.parametrize("kind", ["npz", "idx", "gzip"])
def test_bomb_is_refused_before_it_is_in_memory(kind: str, tmp_path: Path) -> None:
    # 240 MB of zeros in a file of about 240 kB.
    size = 240 << 20
    if kind == "npz":
        with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("x.npy", "w", force_zip64=True) as stream:
                stream.write(npy_header(f"({size // 8}, 1)"))
                for _ in range(size >> 20):
                    stream.write(bytes(1 << 20))
            archive.writestr("y.npy", npy_header("(2,)") + bytes(16))
        source = tmp_path / "d.npz"
    else:
        header = struct.pack(">IIII", 0x803, size >> 4, 4, 4) if kind == "idx" else b""
        name = "train-images-idx3-ubyte.gz" if kind == "idx" else "d.csv.gz"
        with gzip.open(tmp_path / name, "wb") as stream:
            stream.write(header)
            for _ in range(size >> 20):
                stream.write(bytes(1 << 20))
        write(tmp_path / "train-labels-idx1-ubyte", idx(LABELS))
        source = tmp_path / name
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="expands to at least"):
            load(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_truncation_of_an_npz_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", x=np.ones((2, 2)), y=np.array([0, 1]))
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            load(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_flipped_bits_of_an_npz_are_refused_or_harmless(tmp_path: Path) -> None:
    x, y = np.array([[1.5, 2.5], [3.5, 4.5]]), np.array([0, 1])
    path = npz(tmp_path / "d.npz", x=x, y=y)
    content = path.read_bytes()
    refused = 0
    for bit in range(0, 8 * len(content), 5):  # every byte but a few, and every place in a byte
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        try:
            dataset = load(path)
        except AnyArrayMLPError:
            refused += 1
        else:  # a flipped date or attribute of the archive
            np.testing.assert_array_equal(dataset.features, x)
            np.testing.assert_array_equal(dataset.target, y)
    assert refused > len(content)


def test_every_truncation_of_idx_files_is_refused(tmp_path: Path) -> None:
    whole = {
        "train-images-idx3-ubyte": idx(IMAGES),
        "train-labels-idx1-ubyte": idx(LABELS),
    }
    for zipped in (False, True):
        contents = {
            name + (".gz" if zipped else ""): gzip.compress(raw, mtime=0) if zipped else raw
            for name, raw in whole.items()
        }
        folder = tmp_path / str(zipped)
        folder.mkdir()
        for name, content in contents.items():
            write(folder / name, content)
        assert load(folder).features.shape == (6, 16)
        for name, content in contents.items():
            for length in range(len(content)):
                write(folder / name, content[:length])
                with pytest.raises(DataError):
                    load(folder)
            write(folder / name, content)


def test_features_to_predict_on_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_features(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="no 'x'"):
        load_features(npz(tmp_path / "d.npz", y=[0, 1]))
