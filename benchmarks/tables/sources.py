"""The tables: where each comes from, how its file is read, and how its rows are split.

`sources.toml` lists them. A table is a file of a public repository, known by its sha256, or ships with a package. The
files are not part of this project: a person puts them into a folder, under any names, and `index` finds them there.
"""

from __future__ import annotations

import hashlib
import io
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

LIST = Path(__file__).with_name("sources.toml")
#: In the folder of the files: the path of each table's file.
INDEX = "tables.json"
MOST_ROWS = 50_000
#: Rows of a class; those of rarer ones are left out, as no split could hold them on both sides.
FEWEST_OF_A_CLASS = 10
TEST_SHARE = 0.2
#: Tables of more rows are split three times, others five times.
SMALL = 10_000


@dataclass(frozen=True)
class Source:
    """What `sources.toml` says of a table."""

    name: str
    #: "classification" or "regression".
    task: str
    #: A column's name; in a file without a header they are c1, c2 and so on, by their places.
    target: str
    #: Those that are left: with a target, at most `MOST_ROWS`, of classes that are not too rare.
    rows: int
    #: In the repository, or what the package calls it.
    path: str
    repository: str = ""
    package: str = ""
    sha256: str = ""
    header: bool = True
    separator: str = ","
    #: Cells that are gaps, besides those that pandas knows.
    missing: tuple[str, ...] = ()
    #: Makes two classes of numbers: whether the target is above it.
    above: float | None = None
    #: Columns that are left out, and why.
    drop: dict[str, str] = field(default_factory=dict)

    @property
    def is_aside(self) -> bool:
        """Whether nobody looks at its results until the end; the name alone decides."""
        return int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % 3 == 0

    @property
    def digest(self) -> str:
        """What is said of it, in eight digits: a change makes it another table, whose results are others."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:8]

    @property
    def splits(self) -> int:
        return 5 if self.rows <= SMALL else 3

    @property
    def origin(self) -> str:
        return f"{self.package or self.repository}: {self.path}"


@dataclass(frozen=True)
class Table:
    """Features, of numbers and texts with gaps, and the target: texts for classes, else numbers."""

    features: pd.DataFrame
    target: np.ndarray
    task: str

    @property
    def classes(self) -> np.ndarray:
        return np.unique(self.target)


def all_sources(path: Path = LIST) -> dict[str, Source]:
    """The sources by name."""
    found = tomllib.loads(path.read_text())
    return {
        name: Source(name, **{**entry, "missing": tuple(entry.get("missing", ()))})
        for name, entry in found.items()
    }


def index(sources: Iterable[Source], folder: Path) -> list[Source]:
    """Find the files in a folder by what they hold, note their paths there, and return the sources of no file."""
    paths = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"), reverse=True)
        if path.is_file() and path.name != INDEX
    }
    wanted = [each for each in sources if not each.package]
    found = {each.name: paths[each.sha256] for each in wanted if each.sha256 in paths}
    (folder / INDEX).write_text(json.dumps(found, indent=1) + "\n")
    return [each for each in wanted if each.name not in found]


def indexed(folder: Path) -> dict[str, str]:
    """The paths that `index` noted."""
    path = folder / INDEX
    if not path.is_file():
        raise SystemExit(f"{path} is not there; run `python -m benchmarks.tables --fetch {folder}`")
    return dict(json.loads(path.read_text()))


def read(source: Source, folder: Path | None = None) -> Table:
    """The table, the same wherever it is read."""
    frame = shipped(source) if source.package else from_file(source, folder)
    frame = frame.rename(columns=lambda name: str(name).strip())
    frame = frame.drop(columns=list(source.drop)).dropna(subset=[source.target])
    frame = of_common_classes(frame, source)
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=0)
    features = frame.drop(columns=source.target).reset_index(drop=True)
    features = features.apply(tidy)
    target = frame[source.target]
    if source.above is not None:
        target = (target > source.above).map({False: "no", True: "yes"})
    if source.task == "classification":
        return Table(features, np.asarray(target.astype(str), dtype=object), source.task)
    return Table(features, np.asarray(target, dtype=np.float64), source.task)


def of_common_classes(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    if source.task != "classification" or source.above is not None:
        return frame
    counts = frame[source.target].value_counts()
    return frame[frame[source.target].isin(counts.index[counts >= FEWEST_OF_A_CLASS])]


def tidy(column: pd.Series) -> pd.Series:
    """Numbers as they are, truth values as numbers, all else as texts, without blanks around them."""
    if pd.api.types.is_bool_dtype(column):
        return column.astype(np.int64)
    if pd.api.types.is_numeric_dtype(column):
        return column
    texts = column.map(lambda value: str(value).strip(), na_action="ignore").astype(object)
    return texts.where(texts.notna(), None)


def shipped(source: Source) -> pd.DataFrame:
    from sklearn import datasets

    return pd.DataFrame(getattr(datasets, f"load_{source.path}")(as_frame=True).frame)


def from_file(source: Source, folder: Path | None) -> pd.DataFrame:
    if folder is None or source.name not in (paths := indexed(folder)):
        raise SystemExit(f"{source.name}: no file; see `python -m benchmarks.tables --fetch`")
    content = (folder / paths[source.name]).read_bytes()
    if hashlib.sha256(content).hexdigest() != source.sha256:
        raise SystemExit(f"{source.name}: {paths[source.name]} has changed; fetch it anew")
    if source.path.endswith(".arff"):
        return from_arff(content.decode(), source.missing)
    frame = pd.read_csv(
        io.BytesIO(content),
        sep=source.separator,
        header=0 if source.header else None,
        na_values=list(source.missing),
        skipinitialspace=True,
        low_memory=False,
    )
    if not source.header:
        frame.columns = [f"c{place}" for place in range(1, frame.shape[1] + 1)]
    return frame


def from_arff(text: str, missing: tuple[str, ...]) -> pd.DataFrame:
    """The table of an ARFF file without sparse rows or dates."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("%")]
    start = next(place for place, line in enumerate(lines) if line.lower().startswith("@data"))
    declared = [line for line in lines[:start] if line.lower().startswith("@attribute")]
    names = [attribute_name(line.split(maxsplit=1)[1]) for line in declared]
    return pd.read_csv(
        io.StringIO("\n".join(lines[start + 1 :])),
        names=names,
        na_values=list(missing),
        quotechar="'",
        skipinitialspace=True,
    )


def attribute_name(declaration: str) -> str:
    quote = declaration[0]
    if quote in "'\"":
        return declaration[1 : declaration.index(quote, 1)]
    return declaration.split()[0]


def split(table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the training and of the test rows, a fifth; of classes, a fifth of each."""
    random = np.random.default_rng(seed)
    if table.task == "regression":
        groups = [np.arange(len(table.target))]
    else:
        groups = [np.flatnonzero(table.target == label) for label in table.classes]
    test = np.concatenate(
        [random.permutation(rows)[: max(1, round(TEST_SHARE * len(rows)))] for rows in groups]
    )
    return np.setdiff1d(np.arange(len(table.target)), test), np.sort(test)


def summary(table: Table) -> dict[str, int]:
    """How many there are of what."""
    texts = [not pd.api.types.is_numeric_dtype(kind) for kind in table.features.dtypes]
    return {
        "rows": len(table.target),
        "numbers": len(texts) - sum(texts),
        "categories": sum(texts),
        "gaps": int(table.features.isna().to_numpy().sum()),
        "classes": len(table.classes) if table.task == "classification" else 0,
    }
