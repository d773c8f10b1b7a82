"""A run's folder: what is logged, configured and saved, and who may start or resume it."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import shutil
import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from persistence_faults import (
    FailingFiles,
    RecordingFiles,
    RecordingWithoutFsync,
    RecordingWithoutFsyncDir,
    WatchedFiles,
    after_power_loss,
)
from test_persistence_files import run_child

from anyarray_mlp.errors import (
    DataError,
    LockedError,
    OutputExistsError,
    StorageError,
    UsageError,
)
from anyarray_mlp.persistence import Checkpoint, ModelFile, RunFolder, files
from anyarray_mlp.persistence.toml_writer import to_toml

MODEL = ModelFile({"sizes": [1, 1]}, {"w": np.ones(1)})


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_run_leaves_model_metrics_and_configuration(tmp_path):
    folder = tmp_path / "runs" / "digits"
    with RunFolder.create(folder) as run:
        run.write_config({"seed": 1, "network": {"hidden": [64, 32]}})
        run.log({"epoch": 1, "loss": 0.5})
        run.log({"epoch": 2, "loss": np.float32(0.25)})
        run.save_model(MODEL)
    assert names(folder) == ["config.toml", "metrics.jsonl", "model.safetensors"]
    read = RunFolder(folder)
    assert read.read_metrics() == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    assert read.read_config() == {"seed": 1, "network": {"hidden": [64, 32]}}
    assert read.load_model().config == MODEL.config


def test_a_line_is_on_its_way_at_once_and_is_strict_json(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.log({"loss": math.nan, "scores": [math.inf, 1.0], "name": "é\n"})
        text = run.metrics_path.read_text(encoding="utf-8")
    assert text.count("\n") == 1
    assert json.loads(text) == {"loss": None, "scores": [None, 1.0], "name": "é\n"}


@pytest.mark.parametrize("record", [{"a": {1}}, {1: 2}, {"a": np.ones(2)}])
def test_a_record_that_is_no_json_is_refused(tmp_path, record):
    with RunFolder.create(tmp_path) as run:
        with pytest.raises(UsageError, match="record"):
            run.log(record)
        assert run.read_metrics() == []


def test_a_finished_run_is_not_written_over(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.log({"epoch": 1})
        run.save_model(MODEL)
    with pytest.raises(OutputExistsError) as raised:
        RunFolder.create(tmp_path)
    assert raised.value.exit_code == 73
    assert "--overwrite" in str(raised.value)
    assert "--resume" in str(raised.value)
    assert RunFolder(tmp_path).read_metrics() == [{"epoch": 1}]
    with RunFolder.create(tmp_path, overwrite=True) as run:
        assert run.read_metrics() == []
        # Until the new run takes its place.
        assert RunFolder(tmp_path).load_model().config == MODEL.config
        assert RunFolder(tmp_path).read_metrics() == [{"epoch": 1}]


def test_a_run_that_left_a_checkpoint_is_not_written_over(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.save_checkpoint(Checkpoint(4, {}, {}))
    with pytest.raises(OutputExistsError):
        RunFolder.create(tmp_path)
    with RunFolder.create(tmp_path, overwrite=True) as run:
        assert run.load_checkpoint() is None
        assert RunFolder(tmp_path).load_checkpoint().step == 4


def test_a_run_that_left_nothing_to_keep_is_started_anew(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.log({"epoch": 1})
        run.write_config({"seed": 1})
    (tmp_path / "notes.txt").write_text("mine")
    with RunFolder.create(tmp_path) as run:
        assert run.read_metrics() == []
    assert names(tmp_path) == ["notes.txt"]


def test_resume_drops_the_torn_line_and_stale_temporaries(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.log({"epoch": 1})
        run.log({"epoch": 2})
        run.save_checkpoint(Checkpoint(1, {"w": np.ones(1)}, {"epoch": 1}))
    with run.metrics_path.open("ab") as stream:
        stream.write(b'{"epoch": 3, "lo')
    (tmp_path / ".model.safetensors.1-0011aabb.tmp").write_bytes(b"x")
    assert len(RunFolder(tmp_path).read_metrics()) == 2
    with RunFolder.resume(tmp_path) as run:
        assert not list(tmp_path.glob(".*.tmp"))
        assert run.load_checkpoint().state == {"epoch": 1}
        run.rewind_metrics(1)
        run.log({"epoch": 2, "again": True})
        assert run.read_metrics() == [{"epoch": 1}, {"epoch": 2, "again": True}]


def test_a_folder_in_use_is_neither_started_nor_resumed(tmp_path):
    with RunFolder.create(tmp_path) as run:
        for start in (RunFolder.create, RunFolder.resume):
            with pytest.raises(LockedError, match="in use by process"):
                start(tmp_path)
        run.write_config({})
        run.log({"epoch": 1})
    with RunFolder.resume(tmp_path) as run:
        assert run.read_metrics() == [{"epoch": 1}]


def test_a_refused_start_frees_the_folder(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.save_model(MODEL)
    for _ in range(2):
        with pytest.raises(OutputExistsError):
            RunFolder.create(tmp_path)
    (tmp_path / "model.safetensors").write_text("no model\n")
    for _ in range(2):
        with pytest.raises(StorageError, match="holds no run to resume"):
            RunFolder.resume(tmp_path)


def test_unusable_folders(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StorageError, match="is a file"):
        RunFolder.create(tmp_path / "file")
    with pytest.raises(StorageError, match="give the folder of a run to resume"):
        RunFolder.resume(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_reading_needs_no_lock_and_writing_does(tmp_path):
    run = RunFolder(tmp_path)
    assert run.read_metrics() == []
    actions = [
        lambda: run.log({}),
        lambda: run.write_config({}),
        lambda: run.save_model(MODEL),
        lambda: run.save_checkpoint(Checkpoint(1, {}, {})),
        lambda: run.rewind_metrics(0),
    ]
    for action in actions:
        with pytest.raises(UsageError, match="open for reading"):
            action()
    assert names(tmp_path) == []


@pytest.mark.parametrize("line", ["[1]", "3", "{", "\x00", "[" * 10**5])
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n' + line + "\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2 is not a JSON table"):
        RunFolder(tmp_path).read_metrics()


@pytest.mark.parametrize("content", [b"a =", b"\xff", b"a = 1\na = 2", b"a = " + b"[" * 10**5])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(DataError, match=r"config\.toml is not TOML: ") as raised:
        RunFolder(tmp_path).read_config()
    assert "\n" not in str(raised.value)


def refusal_of(action) -> StorageError | None:
    """What an action raises, or None."""
    try:
        action()
    except StorageError as error:
        return error
    return None


def leave_a_run(folder, seed: int) -> None:
    """A run whose every file tells the seed, in the place of another where there is one."""
    with RunFolder.create(folder, overwrite=True) as run:
        run.write_config({"seed": seed})
        run.log({"epoch": seed})
        run.save_checkpoint(Checkpoint(seed, {}, {"seed": seed}))
        run.save_model(ModelFile({"seed": seed}, {"w": np.ones(1)}))
        if seed % 2:
            (run.home / "diagnosis.json").write_text("{}")
        run.take_over()


def seed_of_the_run(folder) -> int:
    """The seed that all files of the run in a folder tell alike."""
    run = RunFolder(folder)
    told = {run.read_config()["seed"], run.load_model().config["seed"]}
    told |= {record["epoch"] for record in run.read_metrics()}
    checkpoint = run.load_checkpoint()
    told |= {checkpoint.step, checkpoint.state["seed"]}
    (seed,) = told
    assert (run.home / "diagnosis.json").exists() == bool(seed % 2)
    return seed


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_a_refusal_at_any_operation_is_reported_and_leaves_one_run(monkeypatch, tmp_path, code):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # it takes its time
    watch = WatchedFiles()
    leave_a_run(tmp_path / "run", 1)
    shutil.copytree(tmp_path / "run", tmp_path / "old")
    monkeypatch.setattr(files, "disk", watch)
    leave_a_run(tmp_path / "run", 2)
    found, silent = [], 0
    for at in range(1, len(watch.names) + 1):
        folder = tmp_path / str(at)
        shutil.copytree(tmp_path / "old", folder)
        monkeypatch.setattr(files, "disk", FailingFiles(at, code))
        error = refusal_of(lambda folder=folder: leave_a_run(folder, 2))
        monkeypatch.setattr(files, "disk", files.Files())
        silent += error is None
        assert error is None or (error.errno == code and str(folder) in str(error))
        found.append(seed_of_the_run(folder))
        with RunFolder.resume(folder):  # nothing locks it, and what was left half done is done
            assert not list(folder.glob(".*.tmp"))
        assert not (folder / ".whole-run").exists()
    assert found == sorted(found)
    assert set(found) == {1, 2}
    assert silent == 3  # lock, holder's name and descriptor that were not given back
    leave_a_run(tmp_path / "1", 3)
    assert seed_of_the_run(tmp_path / "1") == 3


CRASHING_CHILD = """
import os, shutil, sys
from pathlib import Path
import persistence_faults as faults
import test_persistence_run_folder as here
from anyarray_mlp.persistence import RunFolder, files

os.fsync = lambda descriptor: None
old = Path(sys.argv[1]) / "old"
here.leave_a_run(old, 1)
for at in range(1, 1000):
    folder = Path(sys.argv[1]) / str(at)
    shutil.copytree(old, folder)
    child = os.fork()
    if child == 0:
        files.disk = faults.KilledFiles(at)
        here.leave_a_run(folder, 2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    before = here.seed_of_the_run(folder)
    with RunFolder.resume(folder) as run:
        going_on = run.replaces
    assert here.seed_of_the_run(folder) == before, at
    if at % 8 == 0:
        here.leave_a_run(folder, 3)
        assert here.seed_of_the_run(folder) == 3
        assert not list(folder.glob(".*")), list(folder.glob(".*"))
    print(before, int(going_on))
    if status == 0:
        break
"""


@pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")
def test_a_kill_at_any_operation_leaves_the_old_run_or_the_new_one(tmp_path):
    child = run_child(CRASHING_CHILD, str(tmp_path))
    assert child.returncode == 0, child.stderr
    found = [tuple(map(int, line.split())) for line in child.stdout.splitlines()]
    seeds = [seed for seed, _ in found]
    assert len(seeds) > 60
    assert seeds == sorted(seeds)
    assert set(seeds) == {1, 2}
    assert {(1, 0), (1, 1), (2, 0)} <= set(found)  # a new run that was cut is the one to go on with


def runs_lost(monkeypatch, tmp_path, recorder, schedules: int) -> int:
    """The number of power losses, while a run takes the place of another, that leave neither whole."""
    live = tmp_path / "live"
    leave_a_run(live, 1)
    recording = recorder(live)
    recording.acknowledge(1)
    monkeypatch.setattr(files, "disk", recording)
    leave_a_run(live, 2)
    recording.acknowledge(2)
    monkeypatch.setattr(files, "disk", files.Files())
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    lost = 0
    for number in range(schedules):
        left, promised = after_power_loss(recording.record, random.Random(number))
        folder = tmp_path / str(number)
        for name, content in left.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        try:
            seed = seed_of_the_run(folder)
            with RunFolder.resume(folder):
                pass
            lost += seed < promised or seed_of_the_run(folder) != seed
        except Exception:
            lost += 1
        shutil.rmtree(folder)
    return lost


def test_a_power_loss_leaves_the_old_run_or_the_new_one(monkeypatch, tmp_path):
    assert runs_lost(monkeypatch, tmp_path, RecordingFiles, 200) == 0


@pytest.mark.parametrize("mutant", [RecordingWithoutFsync, RecordingWithoutFsyncDir])
def test_without_either_fsync_a_power_loss_breaks_a_run(monkeypatch, tmp_path, mutant):
    assert runs_lost(monkeypatch, tmp_path, mutant, 60) > 5


def test_after_a_power_loss_no_checkpoint_is_ahead_of_its_metrics(monkeypatch, tmp_path):
    live = tmp_path / "live"
    live.mkdir()
    recording = RecordingFiles(live)
    monkeypatch.setattr(files, "disk", recording)
    with RunFolder.create(live) as run:
        for epoch in (1, 2):
            run.log({"epoch": epoch})
            run.save_checkpoint(Checkpoint(epoch, {}, {}))
    monkeypatch.setattr(files, "disk", files.Files())
    steps = set()
    for number in range(300):
        left, _ = after_power_loss(recording.record, random.Random(number))
        found = [int(name[11:21]) for name in left if name.startswith("checkpoint-")]
        steps.update(found)
        lines = left.get("metrics.jsonl", b"").split(b"\n")
        for epoch in range(1, max(found, default=0) + 1):
            assert json.loads(lines[epoch - 1]) == {"epoch": epoch}
    assert steps == {1, 2}


# The folder of somebody else: what lies in it is not taken for what it links to.

LINKED = ["model.safetensors", "config.toml", "metrics.jsonl", "diagnosis.json"]
LINKED.append("checkpoint-0000000001.safetensors")


@pytest.mark.skipif(os.name != "posix", reason="needs links")
@pytest.mark.parametrize("name", [*LINKED, ".lock", ".new-run"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link"])
def test_nothing_is_written_through_a_link(tmp_path, name, kind):
    folder, victim = tmp_path / "run", tmp_path / "victim"
    leave_a_run(folder, 1)
    content = (folder / name).read_bytes() if (folder / name).exists() else b"precious"
    (folder / name).unlink(missing_ok=True)
    if kind != "dangling link":
        victim.write_bytes(content)
    if kind == "hard link":
        os.link(victim, folder / name)
    else:
        (folder / name).symlink_to(victim)

    def write(run) -> None:
        with run:
            run.rewind_metrics(1)
            run.log({"epoch": 2})
            run.write_config({"seed": 2})
            run.save_checkpoint(Checkpoint(1, {}, {"seed": 2}))
            run.save_model(MODEL)
            run.take_over()

    for action in (
        lambda: write(RunFolder.resume(folder)),
        lambda: write(RunFolder.create(folder, overwrite=True)),
    ):
        error = refusal_of(action)
        assert error is None or (name in str(error) and "link" in str(error))
    assert victim.read_bytes() == content if kind != "dangling link" else not victim.exists()
    if kind != "hard link" and name in LINKED:
        assert not (folder / name).is_symlink()  # a new run takes the link's place


@pytest.mark.skipif(os.name != "posix", reason="needs links")
@pytest.mark.parametrize("name", [".new-run", ".whole-run"])
def test_a_linked_folder_within_is_another_ones(tmp_path, name):
    leave_a_run(tmp_path / "victim", 2)
    (tmp_path / "victim" / ".model.safetensors.1-0011aabb.tmp").write_bytes(b"precious")
    before = {path: path.read_bytes() for path in (tmp_path / "victim").iterdir()}
    leave_a_run(tmp_path / "run", 1)
    (tmp_path / "run" / name).symlink_to(tmp_path / "victim")
    error = refusal_of(lambda: RunFolder.resume(tmp_path / "run").close())
    assert error is None or f"{name} is a link" in str(error)
    leave_a_run(tmp_path / "run", 3)
    assert seed_of_the_run(tmp_path / "run") == 3
    assert {path: path.read_bytes() for path in (tmp_path / "victim").iterdir()} == before


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_linked_folder_and_a_linked_holder_will_do(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "disk" / ".lock-holder").symlink_to(tmp_path / "victim")
    leave_a_run(tmp_path / "run", 1)
    assert seed_of_the_run(tmp_path / "disk") == 1
    assert (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_link_that_is_put_there_while_a_run_goes_on_is_not_followed(monkeypatch, tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")

    class PlantingFiles(files.Files):
        def unlink(self, path):
            super().unlink(path)
            if path.name == ".lock-holder":
                path.symlink_to(tmp_path / "victim")

    with RunFolder.create(tmp_path / "run") as run:
        run.metrics_path.symlink_to(tmp_path / "victim")
        with pytest.raises(StorageError, match="links are not followed in a run's folder"):
            run.log({"epoch": 1})
        run.metrics_path.unlink()
        run.write_config({})
    (tmp_path / "run" / ".lock-holder").touch()
    monkeypatch.setattr(files, "disk", PlantingFiles())
    with pytest.raises(StorageError, match=r"cannot lock .*: File exists"):
        RunFolder.resume(tmp_path / "run")
    assert (tmp_path / "victim").read_bytes() == b"precious"


# Metrics after the checkpoint's epoch.


@pytest.mark.parametrize(
    "tail", [b"\0\0\0}\n", b"}\n" * 5, b"[1]\n", b"\xff" * 5000 + b"\n", b'{"epoch": 3']
)
def test_what_follows_the_checkpoint_is_dropped_unread(tmp_path, tail):
    with RunFolder.create(tmp_path) as run:
        run.write_config({})
        for epoch in (1, 2, 3):
            run.log({"epoch": epoch})
    with run.metrics_path.open("ab") as stream:
        stream.write(tail)
    with RunFolder.resume(tmp_path) as run:
        for epoch in (3, 1, 0):
            assert run.rewind_metrics(epoch) == epoch
            assert run.read_metrics() == [{"epoch": number + 1} for number in range(epoch)]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{}", "\0}", '{"epoch": 3}'], "line 2 is not a JSON table"),
        (['{"epoch": 2}', '{"epoch": 1}', '{"epoch": 3}'], "line 2 is not of the epoch after 2"),
        (['{"epoch": true}'], "line 1 is not of the epoch after 0"),
        (['{"epoch": 9}'], "line 1 is not of the epoch after 0"),
    ],
)
def test_a_damaged_line_ahead_of_the_checkpoint_is_named(tmp_path, lines, said):
    with RunFolder.create(tmp_path) as run:
        run.metrics_path.write_text("\n".join(lines) + "\n")
        with pytest.raises(DataError, match=rf"metrics\.jsonl, {said}.*move the file away"):
            run.rewind_metrics(3)
        run.metrics_path.unlink()
        assert run.rewind_metrics(3) == 0


def test_metrics_are_flushed_ahead_of_the_checkpoint_and_the_model(monkeypatch, tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.log({"epoch": 1})
        for act in (
            lambda: run.save_checkpoint(Checkpoint(1, {}, {})),
            lambda: run.save_model(MODEL),
        ):
            watch = WatchedFiles()
            monkeypatch.setattr(files, "disk", watch)
            act()
            monkeypatch.setattr(files, "disk", files.Files())
            assert watch.names[:3] == ["open", "fsync", "close"]


# The TOML writer.

scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(keys, values, max_size=5))
@settings(max_examples=300)
def test_toml_comes_back(table):
    assert tomllib.loads(to_toml(table)) == table


def test_toml_reads_well():
    table = {
        "seed": 0,
        "network": {"hidden": (64, 32), "dropout": None, "layers": [{"name": "a b", "x": None}]},
        "note": 'a "quoted"\n\\ line\x7f',
        "rate": np.float64(1e-05),
        "limits": {"up": math.inf, "down": -math.inf, "no": math.nan, "to be": {}},
    }
    assert to_toml(table) == (
        "seed = 0\n"
        'note = "a \\"quoted\\"\\n\\\\ line\\u007F"\n'
        "rate = 1e-05\n"
        "\n[network]\n"
        "hidden = [64, 32]\n"
        'layers = [{name = "a b"}]\n'
        "\n[limits]\n"
        "up = inf\ndown = -inf\nno = nan\n"
        '\n[limits."to be"]\n'
    )


@pytest.mark.parametrize(
    "table", [{1: 2}, {"a": {1}}, {"a": [None]}, {"a": object()}, {"a": "\ud800"}, {"a": b"x"}]
)
def test_toml_refuses_what_it_does_not_hold(table):
    with pytest.raises(UsageError) as raised:
        to_toml(table)
    assert "\n" not in str(raised.value)
