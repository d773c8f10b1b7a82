"""Stand-ins for the file operations that fail, stop or forget at a chosen point."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anyarray_mlp.persistence.files import Files

OPERATIONS = [name for name in vars(Files) if not name.startswith("_")]


class WatchedFiles(Files):
    """Calls `before(count, operation, arguments)` ahead of each operation, counting from 1."""

    def __init__(self) -> None:
        self.count = 0
        self.names: list[str] = []

    def before(self, operation: str, arguments: tuple[Any, ...]) -> None:
        pass


def watched(operation: str) -> Callable[..., Any]:
    def run(self: WatchedFiles, *arguments: Any) -> Any:
        self.count += 1
        self.names.append(operation)
        self.before(operation, arguments)
        return getattr(Files, operation)(self, *arguments)

    return run


for name in OPERATIONS:
    setattr(WatchedFiles, name, watched(name))


class FailingFiles(WatchedFiles):
    """The operation number `at` fails with an errno, once."""

    def __init__(self, at: int, code: int) -> None:
        super().__init__()
        self.at, self.code = at, code

    def before(self, operation: str, arguments: tuple[Any, ...]) -> None:
        if self.count == self.at:
            if operation == "close":  # Linux frees the descriptor even where close fails
                os.close(arguments[0])
            raise OSError(self.code, os.strerror(self.code))


class KilledFiles(WatchedFiles):
    """The process is killed ahead of operation number `at`, half of a write done."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def before(self, operation: str, arguments: tuple[Any, ...]) -> None:
        if self.count == self.at:
            if operation == "write":
                descriptor, data = arguments
                os.write(descriptor, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)


class ShortWritingFiles(Files):
    """Takes at most `most` bytes in one write."""

    def __init__(self, most: int) -> None:
        self.most = most

    def write(self, descriptor: int, data: memoryview) -> int:
        return os.write(descriptor, data[: self.most])


class RecordingFiles(Files):
    """Does every operation and keeps the record from which a power loss is played back.

    A name is (folder, name): the folder recorded is "", one that is made in it has a number, as files have.
    """

    def __init__(self, folder: Path) -> None:
        self.folders: dict[Path, Any] = {folder: ""}
        self.record: list[tuple[Any, ...]] = []
        self.files: dict[tuple[Any, str], Any] = {}
        for path in sorted(folder.iterdir()):
            name = self.name(path)
            self.files[name] = name
            self.record.append(("old", name, path.read_bytes()))
        self.inodes: dict[int, Any] = {}
        self.created = 0

    def name(self, path: Path) -> tuple[Any, str]:
        return self.folders[path.parent], path.name

    def acknowledge(self, version: int) -> None:
        """From here on the caller has been told that `version` is safe."""
        self.record.append(("acknowledge", version))

    def open(self, path: Path, flags: int) -> int:
        descriptor = super().open(path, flags)
        name = self.name(path)
        if flags & os.O_CREAT and name not in self.files:
            self.created += 1
            self.files[name] = self.created
            self.record.append(("create", name, self.created))
        if flags & (os.O_WRONLY | os.O_RDWR):
            self.inodes[descriptor] = self.files[name]
        return descriptor

    def close(self, descriptor: int) -> None:
        self.inodes.pop(descriptor, None)
        super().close(descriptor)

    def write(self, descriptor: int, data: memoryview) -> int:
        taken = super().write(descriptor, data[:100])  # several writes to a file
        self.record.append(("write", self.inodes[descriptor], bytes(data[:taken])))
        return taken

    def fsync(self, descriptor: int) -> None:
        self.record.append(("fsync", self.inodes[descriptor]))

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        if source in self.folders:
            self.folders[target] = self.folders.pop(source)
        else:
            self.files[self.name(target)] = self.files.pop(self.name(source))
        self.record.append(("replace", self.name(source), self.name(target)))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.files.pop(self.name(path), None)
        self.record.append(("unlink", self.name(path)))

    def make_directory(self, path: Path) -> None:
        super().make_directory(path)
        self.created += 1
        self.folders[path] = self.created
        self.record.append(("make_directory", self.name(path), self.created))

    def remove_directory(self, path: Path) -> None:
        super().remove_directory(path)
        self.record.append(("unlink", self.name(path)))
        del self.folders[path]

    def fsync_dir(self, path: Path) -> None:
        if path in self.folders:
            self.record.append(("fsync_dir", self.folders[path]))


class RecordingWithoutFsync(RecordingFiles):
    def fsync(self, descriptor: int) -> None:
        pass


class RecordingWithoutFsyncDir(RecordingFiles):
    def fsync_dir(self, path: Path) -> None:
        pass


def after_power_loss(  # noqa: C901 - one branch for each call of the file system
    record: list[tuple[Any, ...]], chance: random.Random
) -> tuple[dict[str, bytes], int]:
    """Files that are left, by their path, when the power fails at a random point, and the version then promised.

    A write that was not flushed is kept, dropped or turned to noise, each for itself; a name that
    was not flushed is changed or not, each for itself.
    """
    crash = chance.randint(0, len(record))
    contents: dict[Any, bytearray] = {}  # what each file holds on the disk
    waiting: dict[Any, list[tuple[int, bytes]]] = {}  # (offset, data) in the cache
    ends: dict[Any, int] = {}
    names: dict[Any, Any] = {}  # on the disk
    seen: dict[Any, Any] = {}  # as the process sees them
    changes: list[tuple[Any, Any]] = []  # (name, file or None) in the cache
    promised = 0

    def put(inode: Any, offset: int, data: bytes) -> None:
        content = contents[inode]
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data

    def rename(name: Any, inode: Any) -> None:
        seen[name] = inode
        changes.append((name, inode))

    for position, (kind, *values) in enumerate(record):
        if kind == "old":
            name, content = values
            contents[name], seen[name], names[name] = bytearray(content), name, name
            waiting[name], ends[name] = [], len(content)
        if position >= crash:
            continue
        match kind, values:
            case "create", [name, inode]:
                contents[inode], waiting[inode], ends[inode] = bytearray(), [], 0
                rename(name, inode)
            case "make_directory", [name, inode]:
                rename(name, inode)
            case "write", [inode, data]:
                waiting[inode].append((ends[inode], data))
                ends[inode] += len(data)
            case "fsync", [inode]:
                for offset, data in waiting[inode]:
                    put(inode, offset, data)
                waiting[inode] = []
            case "replace", [source, target]:
                rename(target, seen[source])
                rename(source, None)
            case "unlink", [name]:
                rename(name, None)
            case "fsync_dir", [folder]:
                names.update(change for change in changes if change[0][0] == folder)
                changes = [change for change in changes if change[0][0] != folder]
            case "acknowledge", [version]:
                promised = version
    for inode, writes in waiting.items():
        for offset, data in writes:
            fate = chance.choice(["kept", "dropped", "trashed"])
            if fate != "dropped":
                put(inode, offset, data if fate == "kept" else chance.randbytes(len(data)))
    names.update(change for change in changes if chance.random() < 0.5)
    return files_below("", "", names, contents), promised


def files_below(folder: Any, path: str, names: dict[Any, Any], contents: Any) -> dict[str, bytes]:
    """The content of every file in a folder, by its path."""
    found = {}
    for (parent, name), inode in names.items():
        if parent == folder and inode is not None:
            if inode in contents:
                found[path + name] = bytes(contents[inode])
            else:
                found |= files_below(inode, f"{path}{name}/", names, contents)
    return found
