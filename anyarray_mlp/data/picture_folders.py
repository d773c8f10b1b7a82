"""Folders of pictures, one sub-folder for each class; or `train` and `test` folders above the classes."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from anyarray_mlp.checking.messages import counted, listed, shown, shown_path
from anyarray_mlp.data.dataset import Dataset
from anyarray_mlp.data.folds import WORDS
from anyarray_mlp.data.pictures import Form, is_picture_name, read_pictures
from anyarray_mlp.data.roles import words_of
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.files import unreadable
from anyarray_mlp.tables.reading import Reading
from anyarray_mlp.typing import Host

#: What systems leave in folders, besides names that begin with a dot.
LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db", "$recycle.bin"})
PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Folder:
    """A folder: its pictures, its other files and its sub-folders, each in the order of their names."""

    path: Path
    pictures: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    folders: dict[str, Folder] = field(default_factory=dict)

    def walk(self) -> Iterator[Folder]:
        """The folder and all below it."""
        yield self
        for folder in self.folders.values():
            yield from folder.walk()

    def all_pictures(self) -> list[Path]:
        """The pictures in the folder and below it."""
        return [path for folder in self.walk() for path in folder.pictures]

    def filled(self) -> dict[str, Folder]:
        """The sub-folders that have pictures in them, or below."""
        return {name: folder for name, folder in self.folders.items() if folder.all_pictures()}

    def unwrapped(self) -> Folder:
        """The first folder that has pictures, or several folders of them."""
        filled = self.filled()
        if self.pictures or len(filled) != 1:
            return self
        return next(iter(filled.values())).unwrapped()

    def of_classes(self) -> Folder:
        """The folder, or the one below in which all its classes are."""
        inner = self.unwrapped()
        return self if inner.pictures else inner


def scan(path: Path, above: frozenset[str] = frozenset()) -> Folder:
    """What is in a folder and below; links are followed, but not to a folder above. `StorageError` if it cannot be."""
    real = os.path.realpath(path)
    if real in above:
        return Folder(path)
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise unreadable(path, error) from error
    pictures, others, folders = [], [], {}
    for name in names:
        if name.startswith(".") or name.casefold() in LEFT_BY_SYSTEMS:
            continue
        inner = path / name
        if inner.is_dir():
            folders[name] = scan(inner, above | {real})
        elif is_picture_name(name):
            pictures.append(inner)
        else:
            others.append(inner)
    return Folder(path, tuple(pictures), tuple(others), folders)


def pictures_at(path: Path) -> list[Path]:
    """A picture, or all those in a folder and below it; `DataError` if there are none."""
    if not path.is_dir():
        return [path]
    found = scan(path).all_pictures()
    if not found:
        raise DataError(f"{shown_path(path)}: a folder without pictures; give pictures")
    return found


@dataclass(frozen=True)
class Part:
    """The pictures to train on, to validate on or to test on, with the name of the class of each."""

    folder: Path
    files: list[Path]
    labels: list[str]


def load_picture_folder(path: Path, reading: Reading) -> Dataset:
    """The set in a folder of pictures; validation and test examples are those of their folders.

    Raises `DataError` for a folder that has no classes, or in which several layouts can be seen, and for files that
    hold no picture.
    """
    notes: list[str] = []
    found = scan(path)
    parts = parts_of(found.of_classes(), notes)
    notes += notes_on_files(found)
    everything = parts["training"].labels
    name = shown_path(path)
    if len(set(everything)) == 1:
        raise DataError(
            f"{name}: only one class, {shown(everything[0])}: put the pictures of each class in a sub-folder that is "
            "named after it"
        )
    notes.append(about_classes(parts["training"]))
    files = [file for part in parts.values() for file in part.files]
    pictures = read_pictures(files, reading, name)
    labels = as_labels([label for part in parts.values() for label in part.labels])
    sets, start = {}, 0
    for kind, part in parts.items():
        rows = slice(start, start + len(part.files))
        called = name if kind == "training" else f"{name} ({kind})"
        sets[kind] = dataset_of(called, pictures.pixels[rows], labels[rows], pictures.form)
        start = rows.stop
    return replace(
        sets["training"],
        validation=sets.get("validation"),
        test=sets.get("test"),
        notes=(*notes, *pictures.notes),
    )


def dataset_of(name: str, pixels: Host, labels: Host, form: Form) -> Dataset:
    """Pictures (n, i) and the names of their classes as a set."""
    places = [f"pixel_{row}_{column}" for row in range(form.height) for column in range(form.width)]
    if form.mode == "rgb":
        places = [f"{place}_{channel}" for place in places for channel in "rgb"]
    return Dataset(
        name=name,
        features=pixels,
        target=labels,
        feature_names=tuple(places),
        target_name="class",
        task="classification",
        image_shape=form.shape,
    )


def as_labels(names: Sequence[str]) -> Host:
    """Names of classes as labels: whole numbers if all are, as in a table; 01 is a text."""
    if are_numbers(set(names)):
        return np.array([int(name) for name in names], dtype=np.int64)
    return np.array(names, dtype=str)


def are_numbers(names: Iterable[str]) -> bool:
    """Whether names are whole numbers as a table has them."""
    return all(re.fullmatch(r"0|-?[1-9][0-9]{0,17}", name, re.ASCII) for name in names)


def part_named(name: str) -> str | None:
    """The part that a folder is called after, as training_set, seg_test and test1 are."""
    words = [re.sub(r"[0-9]+$", "", word) for word in words_of(name)]
    found = {WORDS[word] for word in words if word in WORDS}
    return found.pop() if len(found) == 1 else None


def parts_of(folder: Folder, notes: list[str]) -> dict[str, Part]:
    """The pictures by part, those to train on first."""
    filled = folder.filled()
    kinds = {name: part_named(name) for name in filled}
    is_parted = "training" in kinds.values() and None not in kinds.values() and len(filled) > 1
    if not is_parted:
        return {"training": part_in(folder, notes)}
    twice = [kind for kind, count in Counter(kinds.values()).items() if count > 1]
    if twice:
        both = [name for name, kind in kinds.items() if kind == twice[0]]
        raise DataError(
            f"{shown_path(folder.path)}: both {listed(both)} are the {twice[0]} pictures by their names: give them one "
            "sub-folder"
        )
    by_kind = {str(kind): filled[name] for name, kind in kinds.items()}
    parts = {}
    for kind in PARTS:
        if kind not in by_kind:
            continue
        if kind != "training" and not by_kind[kind].filled():
            unlabelled = counted(len(by_kind[kind].pictures), "picture")
            notes.append(
                f"{shown_path(by_kind[kind].path)}: left out: its {unlabelled} are in no class; predict can tell theirs"
            )
            continue
        parts[kind] = part_in(by_kind[kind].of_classes(), notes)
    for kind, part in parts.items():
        if kind != "training":
            notes.append(
                f"the {kind} pictures are the {len(part.files):,} in {shown_path(part.folder)}"
            )
    return parts


def part_in(folder: Folder, notes: list[str]) -> Part:
    """The pictures in the sub-folders of a folder, which are the classes."""
    name = shown_path(folder.path)
    filled = {each: inner.unwrapped() for each, inner in folder.filled().items()}
    deep = [each for each, inner in filled.items() if not inner.pictures]
    if deep:
        inner = filled[deep[0]]
        raise DataError(
            f"{name}: sub-folder {shown(deep[0])} holds folders of pictures, {listed(inner.filled())}, so it is no "
            "class: give a folder whose sub-folders hold the pictures of one class each, and move others out of it (a "
            "folder of test pictures can be given as test)"
        )
    if not filled:
        refuse_loose(folder)
    nested = [each for each, inner in folder.filled().items() if inner.filled()]
    if nested:
        notes.append(f"{name}: pictures in folders below {listed(nested)} are of that class, too")
    empty = [each for each in folder.folders if each not in filled]
    if empty:
        notes.append(f"{name}: sub-folders without pictures are no classes: {listed(empty)}")
    if folder.pictures:
        notes.append(
            f"{name}: {counted(len(folder.pictures), 'picture')} beside the sub-folders left out, in no class: "
            f"{listed(path.name for path in folder.pictures)}"
        )
    classes = sorted(filled, key=int) if are_numbers(filled) else list(filled)
    pairs = [(path, each) for each in classes for path in folder.folders[each].all_pictures()]
    return Part(folder.path, [path for path, _ in pairs], [label for _, label in pairs])


def refuse_loose(folder: Folder) -> None:
    """Raise the `DataError` of a folder without classes."""
    name = shown_path(folder.path)
    if folder.pictures:
        raise DataError(
            f"{name}: holds {counted(len(folder.pictures), 'picture')} and no sub-folders of pictures, so their "
            "classes are not known: put the pictures of each class in a sub-folder that is named after it"
        )
    raise DataError(
        f"{name}: a folder without pictures and without IDX files; give one with a sub-folder of pictures for each "
        "class, or with train-images-idx3-ubyte[.gz] and its labels"
    )


def notes_on_files(folder: Folder) -> list[str]:
    """A note on files that are no pictures."""
    others = [path for each in folder.walk() for path in each.others]
    if not others:
        return []
    return [
        f"{counted(len(others), 'file')} without the name of a picture left out: "
        f"{listed(path.name for path in others[:3])}{' and others' if len(others) > 3 else ''}"
    ]


def about_classes(part: Part) -> str:
    """A note that says what the classes are."""
    counts = Counter(part.labels)
    by_name: dict[str, list[str]] = {}
    for name in counts:
        by_name.setdefault(name.casefold(), []).append(name)
    twins = [names for names in by_name.values() if len(names) > 1 and len(names[0]) > 1]
    also = (
        f"; {listed(twins[0])} differ in capitals alone and are classes of their own"
        if twins
        else ""
    )
    fewest, most = min(counts.values()), max(counts.values())
    each = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    return f"the {len(counts):,} classes are the sub-folders {listed(counts)}, of {each} pictures{also}"
