"""Writes are whole, verified and durable, or leave what was there: faults at every operation."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import persistence_faults as faults
import pytest

from anyarray_mlp.errors import (
    AnyArrayMLPError,
    LockedError,
    ModelFileError,
    OutputExistsError,
    StorageError,
)
from anyarray_mlp.persistence import (
    Checkpoint,
    ModelFile,
    files,
    load,
    load_checkpoint,
    locks,
    save,
    save_checkpoint,
)
from anyarray_mlp.persistence.files import atomic_write, make_folder, remove_stale_temporaries
from anyarray_mlp.persistence.locks import DirectoryLock

ROOT = Path(__file__).parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="needs fork, signals and limits")


def model(version: int) -> ModelFile:
    return ModelFile({"version": version}, {"weights.0": np.full((4, 8), float(version))})


def version_at(path: Path) -> int:
    loaded = load(path)
    version = loaded.config["version"]
    assert (loaded.arrays["weights.0"] == version).all()
    return version


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"theta": np.full(40, float(step))}, {"epoch": step})


def run_child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code that can import the package and the fault stand-ins."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def child_environment() -> dict[str, str]:
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return (
        os.environ | one_thread | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    )


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# What a write does when nothing fails.


@pytest.mark.parametrize("overwrite", [True, False])
def test_atomic_write_puts_the_bytes_and_nothing_else(tmp_path, overwrite):
    atomic_write(tmp_path / "a", b"content", overwrite=overwrite)
    assert (tmp_path / "a").read_bytes() == b"content"
    assert left_in(tmp_path) == ["a"]


def test_overwrite_replaces_and_its_absence_refuses(tmp_path):
    atomic_write(tmp_path / "a", b"old", overwrite=True)
    with pytest.raises(OutputExistsError, match="already exists") as raised:
        atomic_write(tmp_path / "a", b"new", overwrite=False)
    assert raised.value.exit_code == 73
    assert (tmp_path / "a").read_bytes() == b"old"
    atomic_write(tmp_path / "a", b"new", overwrite=True)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert left_in(tmp_path) == ["a"]


def test_a_temporary_is_never_another_ones_file(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "urandom", bytes)
    taken = tmp_path / f".m.{os.getpid()}-00000000.tmp"
    taken.write_bytes(b"another's")
    with pytest.raises(StorageError, match="File exists"):
        save(tmp_path / "m", model(1))
    assert taken.read_bytes() == b"another's"
    assert left_in(tmp_path) == [taken.name]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_is_honoured(tmp_path, umask):
    before = os.umask(umask)
    try:
        atomic_write(tmp_path / "a", b"x", overwrite=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


@posix
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "file")
    atomic_write(tmp_path / "link", b"x", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "file").read_bytes() == b"x"


def test_of_eight_writers_that_may_not_overwrite_one_wins(tmp_path):
    start, outcomes = threading.Barrier(8), []

    def write(number: int) -> None:
        start.wait()
        try:
            atomic_write(tmp_path / "a", b"%d" % number, overwrite=False)
        except OutputExistsError:
            outcomes.append(None)
        else:
            outcomes.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [number for number in outcomes if number is not None]
    assert len(winners) == 1
    assert (tmp_path / "a").read_bytes() == b"%d" % winners[0]
    assert left_in(tmp_path) == ["a"]


# F4: the system refuses.

REFUSALS = [errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES]


def number_of_operations(monkeypatch, tmp_path: Path, overwrite: bool) -> list[str]:
    watch = faults.WatchedFiles()
    monkeypatch.setattr(files, "disk", watch)
    save(tmp_path / "counted", model(0), overwrite)
    (tmp_path / "counted").unlink()
    return watch.names


@pytest.mark.parametrize("code", REFUSALS, ids=errno.errorcode.get)
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_refusal_at_any_operation_keeps_the_old_file(monkeypatch, tmp_path, overwrite, code):
    path = tmp_path / "model.safetensors"
    names = number_of_operations(monkeypatch, tmp_path, overwrite)
    assert names[-1] == "fsync_dir"
    assert {"open", "write", "fsync", "readinto", "close"} < set(names)
    for at, operation in enumerate(names, start=1):
        monkeypatch.setattr(files, "disk", files.Files())
        path.unlink(missing_ok=True)
        if overwrite:
            save(path, model(1))
            old = path.read_bytes()
        failing = faults.FailingFiles(at, code)
        monkeypatch.setattr(files, "disk", failing)
        with pytest.raises(StorageError) as raised:
            save(path, model(2), overwrite)
        assert failing.names[at - 1] == operation
        assert raised.value.exit_code == 74
        assert raised.value.errno == code
        message = str(raised.value)
        assert message.startswith(f"cannot write {path}: {os.strerror(code)}; ")
        assert "\n" not in message
        published = operation == "fsync_dir" or (not overwrite and operation == "unlink")
        if published:  # the content was whole before its name was flushed
            assert version_at(path) == 2
        elif overwrite:
            assert path.read_bytes() == old
        assert left_in(tmp_path) == ([path.name] if overwrite or published else [])


@pytest.mark.parametrize("most", [1, 7, 100])
def test_short_writes_are_gone_on_with(monkeypatch, tmp_path, most):
    monkeypatch.setattr(files, "disk", faults.ShortWritingFiles(most))
    save(tmp_path / "m", model(3))
    assert version_at(tmp_path / "m") == 3


def test_a_write_that_takes_nothing_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "disk", faults.ShortWritingFiles(0))
    with pytest.raises(StorageError, match="accepts no more bytes"):
        save(tmp_path / "m", model(3))
    assert left_in(tmp_path) == []


def test_what_the_disk_gives_back_is_compared(monkeypatch, tmp_path):
    class LyingFiles(files.Files):
        def write(self, descriptor, data):
            return os.write(descriptor, bytes(data[:-1]) + b"?")

    save(tmp_path / "m", model(1))
    monkeypatch.setattr(files, "disk", LyingFiles())
    with pytest.raises(StorageError, match="read back differs"):
        save(tmp_path / "m", model(2))
    assert version_at(tmp_path / "m") == 1
    assert left_in(tmp_path) == ["m"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP], ids=errno.errorcode.get)
def test_a_file_system_without_hard_links_will_do(monkeypatch, tmp_path, code):
    class LinklessFiles(files.Files):
        def link(self, source, target):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files, "disk", LinklessFiles())
    save(tmp_path / "m", model(1), overwrite=False)
    assert version_at(tmp_path / "m") == 1
    with pytest.raises(OutputExistsError):
        save(tmp_path / "m", model(2), overwrite=False)
    assert left_in(tmp_path) == ["m"]


def test_an_interrupt_leaves_no_temporary(monkeypatch, tmp_path):
    class InterruptedFiles(files.Files):
        def fsync(self, descriptor):
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "disk", InterruptedFiles())
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "m", model(1))
    assert left_in(tmp_path) == []


class SignallingFiles(faults.WatchedFiles):
    """A signal arrives three times ahead of operation number `at`."""

    def __init__(self, at: int, number: int) -> None:
        super().__init__()
        self.at, self.number = at, number

    def before(self, operation, arguments):
        if self.count == self.at:
            for _ in range(3):
                os.kill(os.getpid(), self.number)


@posix
@pytest.mark.parametrize("overwrite", [True, False])
def test_signals_wait_for_the_end_of_a_write(monkeypatch, tmp_path, overwrite):
    count = len(number_of_operations(monkeypatch, tmp_path, overwrite))
    for at in range(1, count + 1):
        monkeypatch.setattr(files, "disk", SignallingFiles(at, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path / str(at), model(1), overwrite)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        monkeypatch.setattr(files, "disk", files.Files())
        assert version_at(tmp_path / str(at)) == 1
    assert left_in(tmp_path) == sorted(str(at + 1) for at in range(count))


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_process_leaves_no_temporary(tmp_path, number):
    child = run_child(
        "import sys\n"
        "import test_persistence_files as here\n"
        "from anyarray_mlp.persistence import files, save\n"
        "files.disk = here.SignallingFiles(3, int(sys.argv[2]))\n"
        "save(sys.argv[1], here.model(1))\n"
        "print('alive')\n",
        str(tmp_path / "m"),
        str(int(number)),
    )
    assert (child.returncode, child.stdout) == (-number, ""), child.stderr
    assert left_in(tmp_path) == ["m"]
    assert version_at(tmp_path / "m") == 1


def test_a_signal_that_is_ignored_stays_ignored_and_other_threads_write_too(monkeypatch, tmp_path):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        save(tmp_path / "m", model(1))
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    thread = threading.Thread(target=save, args=(tmp_path / "n", model(2)))
    thread.start()
    thread.join()
    assert version_at(tmp_path / "n") == 2


@posix
def test_the_file_size_limit_of_the_shell(tmp_path):
    path = tmp_path / "m"
    save(path, model(1))
    child = run_child(
        "import resource, sys, numpy as np\n"
        "from anyarray_mlp.errors import AnyArrayMLPError\n"
        "from anyarray_mlp.persistence import ModelFile, save\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: save(sys.argv[1], ModelFile({}, {'w': np.zeros(1000)}))\n"
        "except AnyArrayMLPError as error: print(error); sys.exit(error.exit_code)\n",
        str(path),
    )
    assert child.returncode == 74, child.stderr
    assert child.stdout.count("\n") == 1
    assert "ulimit -f" in child.stdout
    assert version_at(path) == 1
    assert left_in(tmp_path) == ["m"]


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="Permission denied; change the permissions"):
            save(tmp_path / "m", model(1))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("place", "error", "text"),
    [
        ("absent/m", StorageError, "check the path"),
        ("file/m", StorageError, "a part of the path is a file"),
        ("folder", StorageError, "give a file in it"),
        ("n" * 300, StorageError, "shorter name"),
        ("a\0b", StorageError, "remove the NUL byte"),
    ],
)
@pytest.mark.parametrize("action", [load, lambda path: save(path, model(1))], ids=["load", "save"])
def test_unusable_paths(tmp_path, place, error, text, action):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    path = f"{tmp_path}/{place}"
    with pytest.raises(error) as raised:
        action(path)
    assert text in str(raised.value)
    # A folder that is created does not make a missing file readable.
    assert ("create the folder" in str(raised.value)) == (action is not load and "absent" in place)
    assert "\n" not in str(raised.value)
    assert left_in(tmp_path) == ["file", "folder"]


@posix
def test_a_pipe_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in [tmp_path / "pipe", Path("/dev/zero")]:
        with pytest.raises(ModelFileError, match="not a regular file"):
            load(path)


@posix
def test_a_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="it is a folder or a device"):
        save(tmp_path / "pipe", model(1))
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


# F1: the process is killed ahead of any operation.

KILLED_CHILD = """
import os, sys, tempfile
from pathlib import Path
import persistence_faults as faults
import test_persistence_files as here
from anyarray_mlp.persistence import files, save, load_checkpoint, save_checkpoint

scenario, folder = sys.argv[1], Path(sys.argv[2])
for at in range(1, 1000):
    run = folder / str(at)
    run.mkdir()
    if scenario == "model":
        save(run / "m", here.model(1))
        act = lambda: save(run / "m", here.model(2))
        found = lambda: here.version_at(run / "m")
    elif scenario == "new model":
        act = lambda: save(run / "m", here.model(2), overwrite=False)
        found = lambda: here.version_at(run / "m") if (run / "m").exists() else 1
    else:
        for step in (0, 1):
            save_checkpoint(run, here.checkpoint(step))
        act = lambda: save_checkpoint(run, here.checkpoint(2))
        found = lambda: load_checkpoint(run).step
    child = os.fork()
    if child == 0:
        files.disk = faults.KilledFiles(at)
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(found(), len(list(run.glob(".*.tmp"))))
    files.remove_stale_temporaries(run)
    assert not list(run.glob(".*"))
    if status == 0:
        break
    assert os.WIFSIGNALED(status), status
"""


@posix
@pytest.mark.parametrize("scenario", ["model", "new model", "checkpoint"])
def test_a_kill_at_any_operation_leaves_the_old_or_the_new(tmp_path, scenario):
    child = run_child(KILLED_CHILD, scenario, str(tmp_path))
    assert child.returncode == 0, child.stderr
    results = [tuple(map(int, line.split())) for line in child.stdout.splitlines()]
    found = [version for version, _ in results]
    assert len(found) > 10
    assert found == sorted(found)  # old up to some operation, new from there on
    assert (found[0], found[-1]) == (1, 2)
    assert any(temporaries for _, temporaries in results)  # the kills hit the middle of a save


# F2: the power fails, and what was not flushed is kept, dropped or turned to noise.


def record_of_models(monkeypatch, folder: Path, recorder: type[faults.RecordingFiles]) -> list:
    save(folder / "m", model(0))
    recording = recorder(folder)
    monkeypatch.setattr(files, "disk", recording)
    for version in (1, 2, 3):
        save(folder / "m", model(version))
        recording.acknowledge(version)
    monkeypatch.setattr(files, "disk", files.Files())
    return recording.record


def record_of_checkpoints(monkeypatch, folder: Path, recorder: type[faults.RecordingFiles]) -> list:
    save_checkpoint(folder, checkpoint(0))
    recording = recorder(folder)
    monkeypatch.setattr(files, "disk", recording)
    for step in (1, 2, 3, 4):
        save_checkpoint(folder, checkpoint(step))
        recording.acknowledge(step)
    monkeypatch.setattr(files, "disk", files.Files())
    return recording.record


def checkpoint_in(folder: Path) -> int:
    found = load_checkpoint(folder)  # a damaged one warns, and a warning is an error here
    if found is None:
        return -1
    assert (found.arrays["theta"] == found.step).all()
    return found.step


PLAYS = {
    "model": (record_of_models, lambda folder: version_at(folder / "m")),
    "checkpoint": (record_of_checkpoints, checkpoint_in),
}


def broken_promises(record: list, found, folder: Path, schedules: int) -> int:
    """Number of power losses after which the promised version, or a later one, is not there."""
    broken = 0
    for seed in range(schedules):
        left, promised = faults.after_power_loss(record, random.Random(seed))
        for path in folder.iterdir():
            path.unlink()
        for name, content in left.items():
            (folder / name).write_bytes(content)
        try:
            broken += found(folder) < promised
        except (AnyArrayMLPError, RuntimeWarning):
            broken += 1
    return broken


@pytest.mark.parametrize("play", PLAYS)
def test_a_power_loss_breaks_no_promise(monkeypatch, tmp_path, play):
    (tmp_path / "live").mkdir()
    (tmp_path / "left").mkdir()
    record_of, found = PLAYS[play]
    record = record_of(monkeypatch, tmp_path / "live", faults.RecordingFiles)
    assert broken_promises(record, found, tmp_path / "left", 5000) == 0


@pytest.mark.parametrize("play", PLAYS)
@pytest.mark.parametrize("mutant", [faults.RecordingWithoutFsync, faults.RecordingWithoutFsyncDir])
def test_without_either_fsync_a_power_loss_breaks_promises(monkeypatch, tmp_path, play, mutant):
    (tmp_path / "live").mkdir()
    (tmp_path / "left").mkdir()
    record_of, found = PLAYS[play]
    record = record_of(monkeypatch, tmp_path / "live", mutant)
    assert broken_promises(record, found, tmp_path / "left", 200) > 10


# F6: one writer to a folder.

LOCKING_CHILD = """
import sys
from anyarray_mlp.errors import AnyArrayMLPError
from anyarray_mlp.persistence import RunFolder
print("ready", flush=True)
sys.stdin.readline()
try:
    run = RunFolder.create(sys.argv[1])
except AnyArrayMLPError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
print("won", flush=True)
sys.stdin.readline()
"""


@posix
def test_of_eight_processes_one_gets_the_folder(tmp_path):
    folder = tmp_path / "new" / "run"
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", LOCKING_CHILD, str(folder)],
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    with contextlib.ExitStack() as stack:
        for child in children:
            stack.callback(child.communicate, "done\n", timeout=60)
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        said = {child.pid: child.stdout.readline() for child in children}
    winners = [child for child in children if said[child.pid] == "won\n"]
    assert len(winners) == 1, said
    for child in children:
        if child is not winners[0]:
            assert f"{folder} is in use by process {winners[0].pid} on " in said[child.pid]
    assert sorted(child.returncode for child in children) == [0] + [75] * 7
    with DirectoryLock(folder):  # a process that ended holds nothing
        assert (folder / ".lock-holder").exists()
        assert (folder / ".lock").exists()
    assert left_in(folder) == []


def test_a_lock_counts_only_if_its_file_still_has_the_name(monkeypatch, tmp_path):
    """Between the opening and the locking of the file its holder goes, and so does the name."""

    class OvertakenFiles(files.Files):
        overtaken = 0

        def lock(self, descriptor):
            if self.overtaken < 2:
                self.overtaken += 1
                (tmp_path / ".lock").unlink()
                if self.overtaken == 2:
                    (tmp_path / ".lock").touch()  # a third process made it anew
            super().lock(descriptor)

    monkeypatch.setattr(files, "disk", OvertakenFiles())
    with DirectoryLock(tmp_path), pytest.raises(LockedError):
        DirectoryLock(tmp_path).acquire()
    assert left_in(tmp_path) == []


RACING_CHILD = """
import os, sys
from pathlib import Path
from anyarray_mlp.errors import LockedError
from anyarray_mlp.persistence import locks
locks.HOLDER_PATIENCE = 0
folder, held = Path(sys.argv[1]), 0
while held < 300:
    try:
        with locks.DirectoryLock(folder):
            os.close(os.open(folder / "one", os.O_CREAT | os.O_EXCL))
            os.unlink(folder / "one")
            held += 1
    except LockedError:
        pass
"""


@posix
def test_processes_that_take_turns_are_never_two_at_a_time(tmp_path):
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", RACING_CHILD, str(tmp_path)],
            env=child_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [child.communicate(timeout=120)[1] for child in children] == [""] * 4
    assert left_in(tmp_path) == []


def test_a_second_lock_in_the_same_process_is_refused(tmp_path):
    with (
        DirectoryLock(tmp_path),
        pytest.raises(LockedError, match=f"process {os.getpid()} on"),
    ):
        DirectoryLock(tmp_path).acquire()
    DirectoryLock(tmp_path).release()  # not held: nothing happens


def test_a_holder_without_a_name_is_still_a_holder(monkeypatch, tmp_path):
    monkeypatch.setattr(locks, "HOLDER_PATIENCE", 0.1)
    with DirectoryLock(tmp_path):
        (tmp_path / ".lock-holder").unlink()
        with pytest.raises(LockedError, match="in use by another process: wait") as raised:
            DirectoryLock(tmp_path).acquire()
    assert raised.value.exit_code == 75


def test_a_folder_that_cannot_be_locked(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StorageError, match="cannot lock"):
        DirectoryLock(tmp_path / "file").acquire()

    def refuse(descriptor) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.disk, "lock", refuse)
    with pytest.raises(StorageError, match="has no locks"):
        DirectoryLock(tmp_path).acquire()


def test_a_lock_that_cannot_be_named_is_given_back(monkeypatch, tmp_path):
    watch = faults.WatchedFiles()
    monkeypatch.setattr(files, "disk", watch)
    with DirectoryLock(tmp_path):
        at = watch.names.index("write")
    monkeypatch.setattr(files, "disk", faults.FailingFiles(at, errno.ENOSPC))
    with pytest.raises(StorageError, match="free some space"):
        DirectoryLock(tmp_path).acquire()
    monkeypatch.setattr(files, "disk", files.Files())
    with DirectoryLock(tmp_path):
        pass


def test_only_stale_temporaries_are_removed(tmp_path):
    stale = ".model.safetensors.123-0011aabb.tmp"
    others = [".hidden.tmp", "model.safetensors", "x.123-0011aabb.tmp", ".lock"]
    for name in [stale, *others]:
        (tmp_path / name).write_bytes(b"x")
    remove_stale_temporaries(tmp_path)
    assert left_in(tmp_path) == sorted(others)


def test_make_folder_is_content_where_another_process_was_faster(monkeypatch, tmp_path):
    folder = tmp_path / "run"
    is_dir = Path.is_dir

    def another_makes_it_after_the_look(path):
        there = is_dir(path)
        os.makedirs(folder, exist_ok=True)
        return there

    monkeypatch.setattr(Path, "is_dir", another_makes_it_after_the_look)
    make_folder(folder)
    assert folder.exists()


def test_make_folder_makes_those_above_and_refuses_a_file(tmp_path):
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StorageError, match="is a file"):
        make_folder(tmp_path / "file" / "below")


def test_every_write_goes_through_the_seam():
    """No module of the room opens, writes or renames by itself."""
    room = ROOT / "anyarray_mlp" / "persistence"
    own = re.compile(r"(?<!def )\b(open|write_bytes|write_text|rename|save_file|mkdir)\(")
    direct = re.compile(r"\bos\.(open|write|replace|link|unlink|mkdir|fsync|remove|rename)\(")
    for path in sorted(room.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name == "files.py":
            seam, rest = text.split("disk = Files()")
            assert len(direct.findall(seam)) >= 7
            text = rest
        text = text.replace("disk.open(", "")
        assert not own.findall(text), path.name
        assert not direct.findall(text), path.name
