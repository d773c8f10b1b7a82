"""F10 to F12: tables, .npz and IDX files that are damaged, lie about themselves or hold what cannot be learned."""

from __future__ import annotations

import gzip
import io
import random
import struct
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.data import Preprocessor, TargetEncoder, load
from anyarray_mlp.errors import AnyArrayMLPError
from benchmarks.reliability.campaign import Campaign, Trial, one_line_problem
from tests.test_data_bad_input import FILES, GOOD, IMAGES, LABELS, TEXTS, idx, npy_header
from tests.test_data_fuzz import MARKS, WORDS

FREE_BYTES = 64 << 20
#: Seconds of processor time that no small file may take.
SECONDS = 5.0
DTYPES = (
    "<f8",
    "<f4",
    "<i8",
    "|u1",
    "|b1",
    "<U3",
    "|S4",
    "|O",
    "<c16",
    "<M8[s]",
    "|V8",
    "<f2",
    ">f8",
    "<U999999999",
)
SHAPES = (
    "(2, 2)", "(4,)", "()", "(0, 3)", "(2, 0)", "(-1, 2)", "(4000000000, 4000000000)", "(2, 2, 2)", "(1, 1000000000)",
    "(2", "(2.0, 2)", "(True, 4)", "4", "None", "(2, 'x')", "(2, 2,)", "(99999999999999999999,)",
)  # fmt: skip


def golden(folder: Path, name: str) -> str | None:
    """What is wrong with how one of the suite's table of cases is taken: its line says what the table says."""
    if name in TEXTS:
        content, options, words = TEXTS[name]
        source: Any = folder / "d.csv"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
    else:
        make, options, words = FILES[name]
        source = make(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load(source, **options)
    except AnyArrayMLPError as error:
        missing = [word for word in words if word not in str(error)]
        return one_line_problem(error) or (f"does not say {missing}: {error}" if missing else None)
    return "it was loaded"


def made_up(rng: random.Random, folder: Path) -> tuple[Path, str]:
    """A file of some kind with something wrong in it, mostly; and what it is."""
    kind = rng.choice(
        ("text", "table", "altered table", "npz", "npz header", "idx", "gzip", "bytes")
    )
    path = folder / "d.csv"
    if kind == "text":
        text = "".join(rng.choice([*WORDS, *MARKS]) for _ in range(rng.randrange(60)))
        path.write_bytes(text.encode())
    elif kind == "table":
        path.write_bytes(table(rng).encode())
    elif kind == "altered table":
        path.write_bytes(altered(rng, (table(rng) if rng.random() < 0.5 else GOOD).encode()))
    elif kind == "gzip":
        path = folder / "d.csv.gz"
        path.write_bytes(altered(rng, gzip.compress(table(rng).encode())))
    elif kind == "npz":
        path = folder / "d.npz"
        stream = io.BytesIO()
        np.savez_compressed(stream, x=np.arange(12.0).reshape(6, 2), y=np.arange(6) % 2)
        path.write_bytes(altered(rng, stream.getvalue()))
    elif kind == "npz header":
        path = folder / "d.npz"
        write_npz(rng, path)
    elif kind == "idx":
        images, labels = (
            altered(rng, idx(part)) if rng.random() < 0.7 else idx(part)
            for part in (IMAGES, LABELS)
        )
        (folder / "train-images-idx3-ubyte").write_bytes(images)
        (folder / "train-labels-idx1-ubyte").write_bytes(labels)
        return folder, kind
    else:
        path = folder / rng.choice(
            ("d.csv", "d.npz", "train-images-idx3-ubyte", "d.tsv", "d.csv.gz")
        )
        path.write_bytes(rng.randbytes(rng.randrange(300)))
    return path, kind


def table(rng: random.Random) -> str:
    """A table that is mostly sound."""
    width = rng.randint(2, 5)
    cells = (
        "1",
        "2.5",
        "-3e5",
        "?",
        "a",
        "b",
        '"a"',
        "True",
        "é",
        " 3 ",
        "9" * 30,
        "",
        "1e999",
        "nan",
        "NA",
        "1,5",
    )
    rows = [[f"c{n}" for n in range(width)]]
    for _ in range(rng.randint(1, 15)):
        same = rng.random() < 0.7
        rows.append([rng.choice(cells[:3] if same else cells) for _ in range(width)])
    if rng.random() < 0.2:
        rows[rng.randrange(len(rows))].append("1")
    return rng.choice(("\n", "\r\n", "\r")).join(rng.choice(",;\t").join(row) for row in rows)


def altered(rng: random.Random, content: bytes) -> bytes:
    """Some bytes changed, cut, doubled or put in."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(made) + 1)
        how = rng.randrange(5)
        if how == 0 and place < len(made):
            made[place] = rng.randrange(256)
        elif how == 1:
            del made[place:]
        elif how == 2:
            made[place:place] = rng.choice(
                (b"\0", b'"', b"\xff", b"\n", b"\r", b"\xef\xbb\xbf", b"1e999", b",")
            )
        elif how == 3:
            made += made[place:]
        elif place + 4 <= len(made):
            made[place : place + 4] = struct.pack(">I", rng.choice((0, 1, 2**31, 2**32 - 1)))
    return bytes(made)


def write_npz(rng: random.Random, path: Path) -> None:
    """An .npz whose arrays have headers of their own spelling."""
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in rng.choice(
            (("x", "y"), ("x",), ("x", "y", "x_test"), ("X", "y"), ("x", "y", "../z"))
        ):
            header = npy_header(rng.choice(SHAPES), rng.choice(DTYPES))
            data = rng.choice((bytes(32), bytes(16), b"", bytes(64), bytes(1 << 20)))
            archive.writestr(f"{name}.npy", header + data)


def problem_reading(path: Path) -> str | None:
    """What is wrong with how a file is read and encoded: numbers, or one line, in bounded memory and time."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    started = time.process_time()
    size = 0
    problem = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = load(path)
            fitted = Preprocessor.fit(dataset.features)
            encoded = fitted.transform(dataset.features)
            target = TargetEncoder.fit(dataset.target, dataset.task).encode(dataset.target)
        size = encoded.nbytes
        if encoded.shape != (len(dataset), fitted.n_features_out) or len(target) != len(dataset):
            problem = f"shapes {encoded.shape} and {len(target)} of {len(dataset)} rows"
        elif not np.isfinite(encoded).all():
            problem = "it was encoded to numbers that are not finite"
    except AnyArrayMLPError as error:
        problem = one_line_problem(error)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    peak = tracemalloc.get_traced_memory()[1] - before
    if peak > FREE_BYTES + 3 * size:
        problem = problem or f"{peak >> 20} MiB at the peak"
    if (spent := time.process_time() - started) > SECONDS:
        problem = problem or f"{spent:.1f} s"
    return problem


def data_files(trial: Trial) -> None:
    """Read the suite's table of cases, then files that are made up."""
    names = [*TEXTS, *(name for name in FILES if "bomb" not in name)]
    count = 0
    for name in trial.each(names, small=20, share=0.2):
        folder = trial.folder / f"golden-{(count := count + 1)}"
        folder.mkdir()
        trial.check(golden(folder, name), name)
    kinds: dict[str, int] = {}
    tracemalloc.start()
    try:
        for turn in trial.turns(100_000, small=250):
            folder = trial.folder / "made up"
            folder.mkdir()
            rng = random.Random(f"{trial.seed} {turn}")
            path, kind = made_up(rng, folder)
            trial.check(problem_reading(path), f"{kind}, turn {turn} of seed {trial.seed}")
            kinds[kind] = kinds.get(kind, 0) + 1
            for each in folder.iterdir():
                each.unlink()
            folder.rmdir()
    finally:
        tracemalloc.stop()
    trial.note(", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items())))


ROWS = [
    Campaign(
        "F10-12",
        "tables, .npz and IDX files: cut, altered, lying headers, bombs, objects, ragged rows, encodings, values",
        "finite numbers of the right shapes, or one line of the package's own error (the golden cases: with place, "
        "value and cure); at most three times the decoded array and 64 MiB",
        "100,000 files",
        3.0,
        data_files,
    )
]
