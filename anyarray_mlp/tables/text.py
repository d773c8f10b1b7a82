"""`TextFile`: the lines of a file that holds text, in the encoding that it is in."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

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
FEW_CONTROLS = 8
NOTHING = "\ufeff \t\r\n\x0b\x0c\x1a"


@dataclass(frozen=True)
class TextFile:
    """A file of text."""

    source: Source
    encoding: str

    def lines(self, start: int = 0) -> Iterator[str]:
        """Its lines, from the one at this byte on, with their ends: Unix's, Windows' and old Mac's."""
        stream = self.source.open()
        stream.seek(start)
        with io.TextIOWrapper(stream, encoding=self.encoding, newline="") as text:
            yield from text


def text_file(source: Source, notes: list[str]) -> TextFile:
    """The text in a file: UTF-8, UTF-16 and UTF-32 with their mark, else Windows-1252, which is said.

    Raises `DataError` for an empty file, for a binary one, and for what is no text in its encoding.
    """
    head = source.head()
    encoding = next((name for mark, name in MARKS if head.startswith(mark)), "utf-8")
    fault = first_fault(source, encoding)
    if fault is None:
        return TextFile(source, encoding)
    origin = "from Latin-1: iconv -f latin1 -t utf-8"
    if encoding == "utf-8" and not fault.damaged:
        if first_fault(source, WESTERN) is None:
            notes.append(f"the file is read as Windows-1252 (Latin-1): {fault.what}")
            return TextFile(source, WESTERN)
        # Bytes that Windows-1252 leaves out are letters with accents in what Macs wrote once.
        origin = "from an old Mac's: iconv -f macintosh -t utf-8"
    raise DataError(f"{source.path}: {fault.what}; save the file as UTF-8 ({origin})")


@dataclass(frozen=True)
class Fault:
    """Bytes that are no text in an encoding; `damaged`: text in this encoding is before them, or a character is cut."""

    what: str
    damaged: bool


def first_fault(source: Source, encoding: str) -> Fault | None:
    """The first bytes of a file that are no text in an encoding; `DataError` for what is none in any."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, offset, blank, wide, controls = 1, 0, True, False, 0
    by_byte = encoding not in ("utf-16", "utf-32")
    with source.open() as stream:
        while True:
            chunk = stream.read(CHUNK)
            newlines = chunk.count(b"\n")
            if by_byte:
                refuse_zero(source, chunk, line, offset)
                controls += controls_in(chunk, newlines)
            try:
                text = decoder.decode(chunk, not chunk)
            except UnicodeDecodeError as error:
                # The decoder keeps the start of a character of the chunk before, and puts it in front of this one.
                place = offset + error.start - (len(error.object) - len(chunk))
                line += error.object.count(b"\n", 0, error.start)
                byte = error.object[error.start]
                wide = wide or not error.object[: error.start].isascii()
                what = f"line {line}, byte {place}: 0x{byte:02x} is not {encoding.upper()}"
                return Fault(what, wide or "end of data" in error.reason)
            blank = blank and not text.strip(NOTHING)
            wide = wide or not text.isascii()
            line, offset = line + newlines, offset + len(chunk)
            if not chunk:
                break
    if blank:
        raise DataError(f"{source.path}: is empty; give a table with rows")
    if controls > FEW_CONTROLS and controls > offset / 1000:
        raise DataError(
            f"{source.path}: holds {controls:,} control characters, so this is a binary file; save it as UTF-8 text"
        )
    return None


def controls_in(chunk: bytes, newlines: int) -> int:
    """How many control characters there are, other than those for blanks and line ends."""
    low = np.count_nonzero(np.frombuffer(chunk, dtype=np.uint8) < ord(" "))
    ordinary = newlines + chunk.count(b"\r") + chunk.count(b"\t")
    return len(BINARY.findall(chunk)) if low != ordinary or b"\x7f" in chunk else 0


def refuse_zero(source: Source, chunk: bytes, line: int, offset: int) -> None:
    """Raise `DataError` for a byte that no text of one byte a character has."""
    zero = chunk.find(b"\0")
    if zero >= 0:
        raise DataError(
            f"{source.path}: line {line + chunk.count(10, 0, zero)}, byte {offset + zero}: a NUL byte, so this is a "
            "binary file or UTF-16 text without a mark; save it as UTF-8 text"
        )
