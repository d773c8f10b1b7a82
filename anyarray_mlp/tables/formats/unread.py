"""Formats that are not read, each with what to do instead."""

from __future__ import annotations

import re
from pathlib import Path

from anyarray_mlp.tables.source import ZIP

#: What a file of the format begins with, and what it is and how it becomes a table.
MARKS: tuple[tuple[bytes, str], ...] = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"Rar!", "a rar archive; unpack it"),
    (b"PARE", "an encrypted Parquet file; write it without encryption"),
    (b"Obj\x01", "an Avro file; save it as CSV or Parquet"),
    (b"ORC", "an ORC file; save it as Parquet (pyarrow.orc.read_table)"),
    (b"\x89HDF", "an HDF5 file; save its table as CSV"),
    (
        b"\xd0\xcf\x11\xe0",
        "an old Excel workbook (.xls), or one with a password; save it as .xlsx without one, or the sheet as CSV",
    ),
    (b"SQLite format 3", "an SQLite data base; save a table of it as CSV"),
    (b"RDX", "an R data file; save it with write.csv"),
    (b"$FL2", "an SPSS file; save it as CSV"),
    (b"<stata_dta>", "a Stata file; save it as CSV"),
    (b"%PDF", "a PDF document; save its table as CSV"),
    (b"\x89PNG", "one picture; save all of them in an .npz, as x (n, h, w) and y (n,)"),
    (b"\xff\xd8\xff", "one picture; save all of them in an .npz, as x (n, h, w) and y (n,)"),
    (b"GIF8", "one picture; save all of them in an .npz, as x (n, h, w) and y (n,)"),
    (
        b"version https://git-lfs",
        "a Git LFS pointer and not the data; fetch these with git lfs pull",
    ),
)
PICKLE = "a pickle, which is never read because it can run code; save it as CSV or .npz"

WORKBOOKS = (".xlsx", ".xlsm")
NO_WORKBOOK = "no Excel workbook although it is named so (files of locks begin with ~$); give the workbook itself"

BY_SUFFIX = {".pkl": PICKLE, ".pickle": PICKLE}

TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), what)
    for pattern, what in (
        (
            rb"\A<(!doctype|html|head|body|table|\?xml|svg)",
            "an HTML or XML page; save its table as CSV (or was a download refused?)",
        ),
    )
)


def what_is_unread(head: bytes, path: Path) -> str | None:
    """What a file that is not read is, and what to do instead; None for any other."""
    for mark, what in MARKS:
        if head.startswith(mark):
            return what
    if re.match(rb"\x80[\x02-\x05]", head):
        return PICKLE
    if path.suffix.lower() in WORKBOOKS and b"\0" in head and not head.startswith(ZIP):
        return NO_WORKBOOK
    if path.suffix.lower() in BY_SUFFIX:
        return BY_SUFFIX[path.suffix.lower()]
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((what for pattern, what in TEXTS if pattern.search(start)), None)
