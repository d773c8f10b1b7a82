"""`TextFile`: the lines of a file that holds text, in the encoding that it is in."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.files import CHUNK
from anyarray_mlp.tables.source import Source

#: The bytes at the start of a file that name its encoding.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: What no text has: the control characters other than those for blanks and line ends, and DOS' end of a file.
BINARY = re.compile(rb"[\x01-\x08\x0e-\x19\x1c-\x1f\x7f]")
WESTERN = "cp1252"


@dataclass(frozen=True)
class TextFile:
    """A file of text."""

    source: Source
    encoding: str

    def lines(self) -> Iterator[str]:
        """Its lines with their ends: Unix's, Windows' and old Mac's."""
        with io.TextIOWrapper(self.source.open(), encoding=self.encoding, newline="") as text:
            yield from text


def text_file(source: Source, notes: list[str]) -> TextFile:
    """The text in a file: UTF-8, UTF-16 and UTF-32 with their mark, else Windows-1252, which is said.

    Raises `DataError` for an empty file, for a binary one, and for what is no text in its encoding.
    """
    head = source.head()
    encoding = next((name for mark, name in MARKS if head.startswith(mark)), "utf-8")
    problem = undecodable(source, encoding)
    if problem is None:
        return TextFile(source, encoding)
    if encoding != "utf-8":
        raise DataError(f"{source.path}: {problem}; save the file as UTF-8")
    for western in (WESTERN, "latin-1"):
        if undecodable(source, western) is None:
            notes.append(f"the file is read as {'Windows-1252' if western == WESTERN else 'Latin-1'}: {problem}")
            return TextFile(source, western)
    raise DataError(f"{source.path}: {problem}; save the file as UTF-8 text")


def undecodable(source: Source, encoding: str) -> str | None:
    """What of a file is no text in an encoding, with its line; None if all is. Raises `DataError` for no text at all."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, blank, controls, size = 1, True, 0, 0
    narrow = encoding not in ("utf-16", "utf-32")
    with source.open() as stream:
        while True:
            chunk = stream.read(CHUNK)
            if narrow and b"\0" in chunk:
                line += chunk.count(b"\n", 0, chunk.index(b"\0"))
                raise DataError(
                    f"{source.path}: line {line}: a NUL byte, so this is a binary file or UTF-16 text without a mark; "
                    "save it as UTF-8 text"
                )
            if narrow:
                controls, size = controls + len(BINARY.findall(chunk)), size + len(chunk)
            try:
                text = decoder.decode(chunk, not chunk)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                return f"line {line} holds byte 0x{error.object[error.start]:02x}, which is not {encoding.upper()}"
            blank = blank and not text.strip("\ufeff \t\r\n\x0b\x0c\x1a")
            line += chunk.count(b"\n")
            if not chunk:
                break
    if blank:
        raise DataError(f"{source.path}: is empty; give a table with rows")
    if controls > 8 and controls > size / 1000:
        raise DataError(
            f"{source.path}: holds {controls:,} control characters, so this is a binary file; save it as UTF-8 text"
        )
    return None
