"""The results of the fits, a line of JSON each: a run that was ended goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

KEYS = ("table", "source", "split", "contender", "version")
Key = tuple[Any, ...]
#: By contender and table, the record of each split.
Latest = dict[tuple[str, str], dict[int, dict[str, Any]]]


def key_of(record: dict[str, Any]) -> Key:
    return tuple(record[name] for name in KEYS)


class Cache:
    """Records by table (and its digest), split, contender and version, in a file that several runs may append to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The records in the order of their writing, without a line that a killed run left unfinished."""
        if not self.path.is_file():
            return
        with self.path.open() as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    continue

    def keys(self) -> set[Key]:
        return {key_of(record) for record in self}

    def append(self, record: dict[str, Any]) -> None:
        """Add a record in one write, on a line of its own even after an unfinished one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = (json.dumps(record, sort_keys=True) + "\n").encode()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def latest(self, digests: dict[str, str], mixed: Iterable[str] = ()) -> Latest:
        """The last records of the tables as they are now, by their names.

        Those of a contender have one version, that of its last record, unless it is among `mixed`.
        """
        records = [each for each in self if digests.get(each["table"]) == each["source"]]
        versions = {each["contender"]: each["version"] for each in records}
        found: Latest = {}
        for record in records:
            name = record["contender"]
            if record["version"] == versions[name] or name in mixed:
                found.setdefault((name, record["table"]), {})[record["split"]] = record
        return found
