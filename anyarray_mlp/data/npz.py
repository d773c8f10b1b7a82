"""`.npz` files: the arrays `x` (or `X`) and `y`, and optionally `x_test` and `y_test`.

Before anything is allocated, the size that an array declares is checked against its entry in the zip, and the entry
against the size of the file. Nothing is ever unpickled.
"""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from anyarray_mlp.checking.messages import listed
from anyarray_mlp.data.dataset import Dataset, Task
from anyarray_mlp.data.targets import infer_task, target_for, tidy_target
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.files import check_expansion, check_memory, file_size, unreadable
from anyarray_mlp.typing import Host

FEATURES = ("x", "X")
TARGET = ("y", "Y")
FEATURE_KINDS = "biuf"
TARGET_KINDS = "biufU"
# What zipfile, its decompressors and NumPy's header parser raise for damaged or forged files.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    ArithmeticError,
    EOFError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def load_npz(path: Path, *, task: Task | None = None) -> Dataset:
    """The set in an `.npz`; images (n, h, w) become rows, and `image_shape` keeps their shape.

    Raises `DataError` for a damaged archive, arrays of objects, a declared size out of proportion to the file,
    missing arrays, or shapes that do not fit together.
    """
    arrays = read_arrays(path)
    x, y = (pick(arrays, names, path) for names in (FEATURES, TARGET))
    flat(x, str(path))
    inferred = infer_task(tidy_target(y, f"{path}: y")) if task is None else task
    test = None
    if "x_test" in arrays or "X_test" in arrays:
        x_test = pick(arrays, ("x_test", "X_test"), path)
        y_test = pick(arrays, ("y_test", "Y_test"), path)
        test = dataset_from(f"{path} (test)", x_test, y_test, inferred)
    return dataset_from(str(path), x, y, inferred, test)


def load_npz_features(path: Path) -> Host:
    """The features only, (n, i); the file need not hold a target."""
    return flat(pick(read_arrays(path), FEATURES, path), str(path))


def dataset_from(name: str, x: Host, y: Host, task: Task, test: Dataset | None = None) -> Dataset:
    """A dataset of arrays x (n, ...) and y (n,) or (n, k); pictures become rows."""
    features = flat(x, name)
    return Dataset(
        name=name,
        features=features,
        target=target_for(tidy_target(y, f"{name}: y"), task),
        feature_names=tuple(f"feature_{number}" for number in range(1, features.shape[1] + 1)),
        target_name="y",
        task=task,
        image_shape=x.shape[1:] if x.ndim > 2 else None,
        test=test,
    )


def flat(x: Host, name: str) -> Host:
    """`x` as (n, i), from (n, i) or (n, h, w, ...)."""
    if x.ndim < 2:
        raise DataError(
            f"{name}: x has shape {x.shape}; give one row for each example, as x.reshape(-1, 1)"
        )
    if x.size == 0:
        raise DataError(
            f"{name}: x has shape {x.shape}, so it holds no values; give at least one example"
        )
    if x.dtype.kind not in FEATURE_KINDS:
        raise DataError(
            f"{name}: x holds values of type {x.dtype}; give numbers, or a CSV for texts"
        )
    if x.dtype.kind == "f" and np.isinf(x).any():
        place = tuple(int(index) for index in np.argwhere(np.isinf(x))[0])
        raise DataError(
            f"{name}: x{list(place)} is {x[place]}; replace it by a finite number, or by nan if the value is missing"
        )
    return x.reshape(len(x), -1)


def pick(arrays: dict[str, Host], names: tuple[str, ...], path: Path) -> Host:
    """The array under one of the names."""
    for name in names:
        if name in arrays:
            return arrays[name]
    raise DataError(
        f"{path}: holds {listed(arrays) or 'no arrays'} and no {names[0]!r}; "
        "save it with np.savez(path, x=..., y=...)"
    )


def read_arrays(path: Path) -> dict[str, Host]:
    """Every array of the archive that a data set uses, by name."""
    size = file_size(path)
    wanted = {name + end for name in FEATURES + TARGET for end in (".npy", "_test.npy")}
    arrays: dict[str, Host] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            used = [entry for entry in entries if entry.filename in wanted]
            if not used:
                raise DataError(
                    f"{path}: holds {listed(entry.filename for entry in entries) or 'nothing'}, "
                    "no arrays named x and y; save it with np.savez(path, x=..., y=...)"
                )
            check_expansion(path, sum(entry.file_size for entry in used), size)
            for entry in used:
                arrays[entry.filename.removesuffix(".npy")] = read_entry(archive, entry, path)
    except DataError:
        raise
    except DAMAGED as error:
        check_memory(error)
        raise DataError(f"{path}: the .npz is damaged ({error}); save or fetch it again") from error
    except OSError as error:
        raise unreadable(path, error) from error
    return arrays


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> Host:
    """One array, after checking its header against its size in the archive."""
    with archive.open(entry) as stream:
        version = npy.read_magic(stream)
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        if version not in readers:
            raise DataError(
                f"{path}: {entry.filename} is of .npy version {version}; save plain arrays"
            )
        shape, _, dtype = readers[version](stream)
        header = stream.tell()
    if dtype.hasobject:
        raise DataError(
            f"{path}: {entry.filename} holds objects, which are never read because unpickling them can run code; "
            "save numbers or texts"
        )
    if dtype.kind not in TARGET_KINDS:
        raise DataError(
            f"{path}: {entry.filename} holds values of type {dtype}; save numbers or texts"
        )
    declared = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or declared != entry.file_size - header:
        raise DataError(
            f"{path}: {entry.filename} declares shape {shape} of {dtype}, "
            f"{declared:,} bytes, and {entry.file_size - header:,} follow; the file is damaged, save it again"
        )
    with archive.open(entry) as stream:
        values = npy.read_array(stream, allow_pickle=False)
        stream.read(1)  # reaching the end makes zipfile check the checksum
    return values
