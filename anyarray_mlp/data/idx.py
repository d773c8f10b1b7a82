"""IDX files, the format of MNIST.

Images are named `...-images-idx3-ubyte[.gz]`, labels `...-labels-idx1-ubyte[.gz]`.

A file is a magic number (two zero bytes, the type code 8 for unsigned bytes, the number of
dimensions), each dimension as a big-endian 32-bit integer, then the bytes in C order.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

import numpy as np

from anyarray_mlp.checking.messages import listed
from anyarray_mlp.data.dataset import Dataset
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.files import read_bytes, unreadable
from anyarray_mlp.typing import Host

UNSIGNED_BYTE = 8
IMAGES_NAME = re.compile(r"(?P<prefix>.*)images(?P<middle>[-.]idx)3(?P<end>-ubyte)(\.gz)?")


def is_idx_name(name: str) -> bool:
    """Whether a file has the name of an IDX images file."""
    return IMAGES_NAME.fullmatch(name) is not None


def read_idx(path: Path, dimensions: int) -> Host:
    """The array of unsigned bytes in an IDX file with this many dimensions.

    Raises `DataError` if header and content do not agree.
    """
    content = read_bytes(path)
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(
            f"{path}: {len(content)} bytes, but an IDX header alone takes {header}; fetch the file again"
        )
    magic = bytes(content[:4])
    if magic != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        raise DataError(
            f"{path}: starts with 0x{magic.hex()}, but an IDX file of unsigned bytes in {dimensions} dimension(s) "
            f"starts with 0x000008{dimensions:02x}; give such a file"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    declared = math.prod(shape)
    if declared != len(content) - header:
        raise DataError(
            f"{path}: the header declares {' x '.join(map(str, shape))} = {declared:,} bytes "
            f"and {len(content) - header:,} follow; the file is cut short or damaged, fetch it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def read_pair(images_path: Path) -> tuple[Host, Host]:
    """Images (n, h, w) and their labels (n,), from the images file and its labels file."""
    match = IMAGES_NAME.fullmatch(images_path.name)
    if match is None:
        raise DataError(f"{images_path}: not named ...-images-idx3-ubyte; give the images file")
    labels_name = f"{match['prefix']}labels{match['middle']}1{match['end']}"
    candidates = [images_path.with_name(labels_name + end) for end in ("", ".gz")]
    labels_path = next((path for path in candidates if path.exists()), None)
    if labels_path is None:
        raise DataError(
            f"{images_path}: its labels are missing; put {labels_name} or {labels_name}.gz next to it"
        )
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path}: {len(images)} images and {len(labels)} labels in {labels_path.name}; "
            "give the files of one set"
        )
    return images, labels


def dataset_from(name: str, pair: tuple[Host, Host], test: Dataset | None = None) -> Dataset:
    """Images and labels as a classification set of flat images."""
    images, labels = pair
    features = flat_images(name, images)
    height, width = images.shape[1:]
    return Dataset(
        name=name,
        features=features,
        target=labels.astype(np.int64),
        feature_names=tuple(
            f"pixel_{row}_{column}" for row in range(height) for column in range(width)
        ),
        target_name="label",
        task="classification",
        image_shape=(height, width),
        test=test,
    )


def load_idx_features(path: Path) -> Host:
    """The images only, (n, h w), of an images file or of a folder's training set; no labels are needed."""
    source = folder_images(path)[0] if path.is_dir() else path
    return flat_images(str(source), read_idx(source, 3))


def flat_images(name: str, images: Host) -> Host:
    """Images (n, h, w) as rows (n, h w)."""
    n, height, width = images.shape
    if n == 0 or height * width == 0:
        raise DataError(
            f"{name}: {n} images of {height} x {width} pixels; give images that are not empty"
        )
    return images.reshape(n, height * width)


def load_idx_file(path: Path) -> Dataset:
    """The set of one images file and its labels."""
    return dataset_from(str(path), read_pair(path))


def load_idx_folder(folder: Path) -> Dataset:
    """The set in a folder named like MNIST's: `train-...`, and `t10k-...` or `test-...` for the test set.

    A folder with a single pair of files of any other name is a set without test examples.
    """
    train, test = folder_images(folder)
    test_set = None if test is None else dataset_from(f"{folder} (test)", read_pair(test))
    return dataset_from(str(folder), read_pair(train), test_set)


def folder_images(folder: Path) -> tuple[Path, Path | None]:
    """The images files of the training set and, if there is one, of the test set."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise unreadable(folder, error) from error
    found: dict[str, Path] = {}
    for name in names:
        match = IMAGES_NAME.fullmatch(name)
        if match:
            found.setdefault(match["prefix"], folder / name)
    if not found:
        raise DataError(
            f"{folder}: a folder without IDX files; put train-images-idx3-ubyte[.gz] and its labels there, "
            "or give the path of a file"
        )
    train = [prefix for prefix in found if "train" in prefix]
    test = [prefix for prefix in found if "t10k" in prefix or "test" in prefix]
    if not train and len(found) == 1:
        train, test = list(found), []
    if len(train) != 1 or len(test) > 1:
        raise DataError(
            f"{folder}: cannot tell which is the training set among {listed(p.name for p in found.values())}; "
            "give the path of one of them"
        )
    return found[train[0]], found[test[0]] if test else None
