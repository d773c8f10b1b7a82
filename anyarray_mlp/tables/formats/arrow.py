"""Parquet, Arrow and Feather, by pyarrow: an extra, loaded when such a file is met."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import memory, shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.files import MAX_EXPANSION, imported
from anyarray_mlp.tables.formats.typed import LARGEST_WHOLE, Typed, typed_table
from anyarray_mlp.tables.reading import Reading
from anyarray_mlp.tables.source import Source
from anyarray_mlp.tables.table import Known, Table

PARQUET = b"PAR1"
FILES = (b"ARROW1", b"FEA1")
#: What a stream of Arrow begins with: a mark, the size of the schema, and the offset of its root in FlatBuffers.
STREAM = re.compile(rb"\xff\xff\xff\xff[\0-\xff]{2}[\0-\x0f]\0[\x04-\x20]\0\0\0", re.DOTALL)
#: The name that pandas gives to an index that has none.
INDEX = re.compile(r"__index_level_\d+__")
#: Bytes that the cells of any file may take: columns that hold one value are next to nothing in a file.
FREE_CELLS = 1 << 30
UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
CONTROLS = r"[\x00-\x08\x0e-\x1f]"


def is_parquet(head: bytes, path: Path) -> bool:
    """Whether a file begins as a Parquet file does."""
    return head.startswith(PARQUET)


def is_arrow(head: bytes, path: Path) -> bool:
    """Whether a file begins as one of Arrow's or Feather's, or as a stream of Arrow."""
    return head.startswith(FILES) or STREAM.match(head) is not None


def read_parquet(source: Source, reading: Reading, known: Known) -> Table:
    """The table in a Parquet file."""
    return read_with(source, "Parquet", reading, known, open_parquet)


def read_arrow(source: Source, reading: Reading, known: Known) -> Table:
    """The table in a file or a stream of Arrow, or of Feather."""
    opened = open_arrow if source.shelf is None else open_arrow_by_columns
    return read_with(source, "Arrow", reading, known, opened)


def cells_of_parquet(source: Source) -> int | None:
    """How many cells a Parquet file says that it has; None for one that cannot be opened."""
    parquet = imported("pyarrow.parquet", "parquet", source.path, "a Parquet file")
    import pyarrow

    try:
        found = parquet.read_metadata(source.path)
    except (pyarrow.ArrowException, OSError):
        return None
    return int(found.num_rows * found.num_columns)


def cells_of_arrow(source: Source) -> int:
    """How many cells a file of Arrow may have: some take less than a double, and some files are compressed."""
    return source.size // 4


class Opened(NamedTuple):
    """What opens a file gives: its schema, how many rows there are, what reads the columns of some places, and, of
    formats that can, what reads one of them in parts.
    """

    schema: Any
    rows: int
    read: Callable[[list[int]], Any]
    parts: Callable[[int], Iterator[Any]] | None = None


def read_with(
    source: Source,
    what: str,
    reading: Reading,
    known: Known,
    opened: Callable[[Any, bytes, Path], Opened],
) -> Table:
    """The table in a file that pyarrow opens; `DataError` for one that is damaged or cut short."""
    path = source.path
    arrow = imported("pyarrow", "parquet", path, f"{'an' if what[0] == 'A' else 'a'} {what} file")
    notes: list[str] = []
    try:
        with stream_of(source, arrow) as stream:
            file = opened(stream, source.head(), path)
            schema, rows, read, _ = file
            check_size(rows, 1, source)
            places = without_index(schema, notes)
            names = [schema.names[place] for place in places]

            def load(wanted: list[int]) -> Iterator[NDArray[Any]]:
                check_size(rows, len(wanted), source)
                for place in wanted:
                    check_type(schema.field(places[place]), path)
                if source.shelf is not None:
                    for place in wanted:
                        yield one_on_disk(file, places[place], names[place], source, notes)
                    return
                table = read_columns(read, [places[place] for place in wanted], schema, path)
                for place, column in zip(wanted, table.columns, strict=True):
                    yield values_of(column, names[place], path, notes)

            typed = Typed(path, names, load, np.arange(1, 1 + rows), keep=source.kept)
            return typed_table(typed, reading, known, notes)
    except (arrow.ArrowMemoryError, DataError):
        raise
    except (arrow.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk, not of pyarrow
            raise
        raise DataError(
            f"{path}: the {what} file could not be read ({what_it_says(error)}); it is damaged, cut short or "
            "encrypted: fetch it or write it again"
        ) from error


def one_on_disk(
    file: Opened, place: int, name: str, source: Source, notes: list[str]
) -> NDArray[Any]:
    """A column for a table whose columns are kept on disk: numbers go there part by part."""
    import pyarrow
    from pyarrow import types

    kind = file.schema.field(place).type
    whole = types.is_integer(kind) and kind.bit_width <= 32  # all are doubles
    if source.shelf is None or file.parts is None or not (types.is_floating(kind) or whole):
        column = read_columns(file.read, [place], file.schema, source.path).column(0)
        found = values_of(column, name, source.path, notes)
        pyarrow.default_memory_pool().release_unused()
        return found
    kept = source.shelf.room((file.rows,), np.float64)
    done = 0
    for part in file.parts(place):
        kept[done : done + len(part)] = floats(part)
        done += len(part)
    pyarrow.default_memory_pool().release_unused()
    source.shelf.release()
    return kept


def what_it_says(error: Exception) -> str:
    """The first line of an error of pyarrow."""
    return str(error).partition("\n")[0].rstrip(".")


def stream_of(source: Source, arrow: Any) -> Any:
    """What pyarrow reads the bytes from."""
    if source.content is not None:
        return arrow.BufferReader(source.content)
    return arrow.OSFile(str(source.path), "rb")


def check_size(rows: int, columns: int, source: Source) -> None:
    """Raise `DataError` for a file that says that it holds far more cells than its size lets one think."""
    size, limit = 8 * rows * columns, FREE_CELLS + MAX_EXPANSION * source.size
    if size > limit:
        raise DataError(
            f"{source.path}: declares {rows:,} rows of {columns:,} columns, which take {memory(size)}, in a file of "
            f"{memory(source.size)}; if that is genuine, leave columns out (--drop), or write some of the rows"
        )


def read_columns(
    read: Callable[[list[int]], Any], places: list[int], schema: Any, path: Path
) -> Any:
    """Columns of a file; where some of them cannot be read, `DataError` names the first of these."""
    import pyarrow

    try:
        return read(places)
    except (pyarrow.ArrowException, OSError) as error:
        faults = [place for place in places if not is_read(read, place)]
        if not faults or len(faults) == len(places):
            raise
        name = schema.names[faults[0]]
        raise DataError(
            f"{path}: column {shown(name)} could not be read ({what_it_says(error)}); leave it out (--drop {name}, "
            f"drop=[{name!r}]), or write the file again"
        ) from error


def is_read(read: Callable[[list[int]], Any], place: int) -> bool:
    """Whether a column can be read."""
    import pyarrow

    try:
        read([place])
    except (pyarrow.ArrowException, OSError):
        return False
    return True


def open_parquet(stream: Any, head: bytes, path: Path) -> Opened:
    """A Parquet file."""
    import pyarrow

    parquet = imported("pyarrow.parquet", "parquet", path, "a Parquet file")
    file = parquet.ParquetFile(stream, coerce_int96_timestamp_unit="us")
    schema = file.schema_arrow

    def read(places: list[int]) -> Any:
        if len(set(schema.names)) < len(schema.names):
            return file.read().select(places)
        return file.read(columns=[schema.names[place] for place in places])

    def parts(place: int) -> Iterator[Any]:
        for batch in file.iter_batches(columns=[schema.names[place]], use_threads=False):
            yield pyarrow.chunked_array([batch.column(0)])

    several = len(set(schema.names)) < len(schema.names)
    return Opened(schema, file.metadata.num_rows, read, None if several else parts)


def open_arrow(stream: Any, head: bytes, path: Path) -> Opened:
    """A file or a stream of Arrow; what it holds is checked, since its offsets are taken on trust elsewhere."""
    import pyarrow

    if head.startswith(b"FEA1"):
        feather = imported("pyarrow.feather", "parquet", path, "a Feather file")
        table = feather.read_table(stream)
    elif head.startswith(FILES):
        table = pyarrow.ipc.open_file(stream).read_all()
    else:
        table = pyarrow.ipc.open_stream(stream).read_all()
    table.validate(full=True)
    return Opened(table.schema, table.num_rows, table.select)


def open_arrow_by_columns(stream: Any, head: bytes, path: Path) -> Opened:
    """The same, of which only the columns that are asked for come to memory."""
    import pyarrow

    if head.startswith(b"FEA1"):
        return open_arrow(stream, head, path)
    opens = pyarrow.ipc.open_file if head.startswith(FILES) else pyarrow.ipc.open_stream

    def read(places: list[int]) -> Any:
        stream.seek(0)
        options = pyarrow.ipc.IpcReadOptions(included_fields=sorted(places))
        table = opens(stream, options=options).read_all()
        table.validate(full=True)
        return table.select([sorted(places).index(place) for place in places])

    schema = opens(stream).schema
    return Opened(schema, read([0]).num_rows if len(schema) else 0, read)


def without_index(schema: Any, notes: list[str]) -> list[int]:
    """The places of the columns but those of an index without a name, which pandas writes."""
    written = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    index = [
        name
        for name in written.get("index_columns", [])
        if isinstance(name, str) and INDEX.fullmatch(name)
    ]
    if index:
        notes.append("the index of the DataFrame, which has no name, is left out")
    return [place for place, name in enumerate(schema.names) if name not in index]


def check_type(field: Any, path: Path) -> None:
    """Raise `DataError` for a column of lists, objects and the like."""
    types = imported("pyarrow.types", "parquet", path, "a Parquet file")
    kind = field.type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_nested(kind) or types.is_interval(kind) or types.is_union(kind):
        raise unfit(field.name, str(field.type), path)


def unfit(name: str, kind: str, path: Path) -> DataError:
    """The error for a column that holds neither numbers, texts nor dates."""
    if len(kind) > 60:
        kind = kind[:57] + "..."
    return DataError(
        f"{path}: column {shown(name)} holds values of type {kind}; leave it out (--drop {name}, drop=[{name!r}]), or "
        "write numbers or texts instead, one in each row"
    )


def values_of(column: Any, name: str, path: Path, notes: list[str]) -> NDArray[Any]:
    """The cells of a column of Arrow: float64, datetime64 or texts, with their gaps."""
    import pyarrow
    from pyarrow import types

    column = plainly(column)
    kind = column.type
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if types.is_integer(kind):
        return whole_numbers(column, name, notes)
    if types.is_boolean(kind):
        return floats(column.cast(pyarrow.uint8()))
    if types.is_floating(kind):
        return floats(column)
    if types.is_decimal(kind):
        # By their digits: Arrow's own way is not always to the nearest double.
        return floats(column.cast(pyarrow.string()))
    if types.is_date(kind) or types.is_timestamp(kind):
        return dates(column)
    if types.is_duration(kind):
        notes.append(f"column {name!r}: durations, which are read in seconds")
        return floats(column.cast(pyarrow.int64())) / UNITS[kind.unit]
    if is_text(types, kind) or types.is_time(kind):
        return texts(column)
    return texts_of_bytes(column, name, path, notes)


def plainly(column: Any) -> Any:
    """A column without what only says how it is stored: dictionaries, runs, types of extensions."""
    import pyarrow
    from pyarrow import compute, types

    kind = column.type
    if isinstance(kind, pyarrow.BaseExtensionType):
        parts = [chunk.storage for chunk in column.chunks]
        return plainly(pyarrow.chunked_array(parts, kind.storage_type))
    if types.is_run_end_encoded(kind):
        parts = [compute.run_end_decode(chunk) for chunk in column.chunks]
        return plainly(pyarrow.chunked_array(parts, kind.value_type))
    return column.cast(kind.value_type) if types.is_dictionary(kind) else column


def whole_numbers(column: Any, name: str, notes: list[str]) -> NDArray[Any]:
    """Whole numbers as float64; beyond 2**53 as texts, so that identifiers stay what they are."""
    import pyarrow
    from pyarrow import compute

    ends = compute.min_max(column).as_py()
    if max(map(abs, (ends["min"] or 0, ends["max"] or 0))) <= LARGEST_WHOLE:
        return floats(column)
    notes.append(
        f"column {name!r}: holds whole numbers beyond 2**53, which are read as texts (numeric={[name]} rounds them)"
    )
    return texts(column.cast(pyarrow.string()))


def is_text(types: Any, kind: Any) -> bool:
    """Whether a type is one of texts."""
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def floats(column: Any) -> NDArray[np.float64]:
    """Numbers, or texts of them, as float64 with NaN for gaps."""
    import pyarrow

    found = column.cast(pyarrow.float64(), safe=False).to_numpy()
    return np.array(found, dtype=np.float64)


def dates(column: Any) -> NDArray[Any]:
    """Dates and times as datetime64, by the clock that the rows show."""
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_timestamp(column.type) and column.type.tz is not None:
        column = compute.local_timestamp(column)
    return np.array(column.cast(pyarrow.timestamp("us"), safe=False).to_numpy())


def texts(column: Any) -> NDArray[Any]:
    """Texts as objects, equal ones kept once, None for gaps."""
    import pyarrow

    coded = column.cast(pyarrow.large_string()).dictionary_encode().combine_chunks()
    if isinstance(coded, pyarrow.ChunkedArray):
        coded = coded.chunk(0) if coded.num_chunks else pyarrow.array([], coded.type)
    words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    found: NDArray[Any] = words[coded.indices.fill_null(len(words) - 1).to_numpy()]
    return found


def texts_of_bytes(column: Any, name: str, path: Path, notes: list[str]) -> NDArray[Any]:
    """Bytes that are text, as some programs write it; `DataError` for any others."""
    import pyarrow
    from pyarrow import compute

    kind = str(column.type)
    try:
        column = column.cast(pyarrow.large_binary()).cast(pyarrow.large_string())
    except pyarrow.ArrowException:
        raise unfit(name, kind, path) from None
    if compute.any(compute.match_substring_regex(column, CONTROLS)).as_py():
        raise unfit(name, kind, path)
    notes.append(f"column {name!r}: holds bytes, which are read as UTF-8 text")
    return texts(column)
