"""A run's folder: what is logged, configured and saved, and who may start or resume it."""

from __future__ import annotations

import errno
import json
import math
import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from persistence_faults import FailingFiles, WatchedFiles

from anyarray_mlp.errors import DataError, LockedError, OutputExistsError, StorageError, UsageError
from anyarray_mlp.persistence import Checkpoint, ModelFile, RunFolder, files, to_toml

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
        assert run.load_model().config == MODEL.config  # until the new model takes its place


def test_a_run_that_left_a_checkpoint_is_not_written_over(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.save_checkpoint(Checkpoint(4, {}, {}))
    with pytest.raises(OutputExistsError):
        RunFolder.create(tmp_path)
    with RunFolder.create(tmp_path, overwrite=True) as run:
        assert run.load_checkpoint() is None


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
        run.log({"epoch": 1})
    with RunFolder.resume(tmp_path) as run:
        assert run.read_metrics() == [{"epoch": 1}]


def test_a_refused_start_frees_the_folder(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.save_model(MODEL)
    for _ in range(2):
        with pytest.raises(OutputExistsError):
            RunFolder.create(tmp_path)
    run.metrics_path.write_text("no JSON\n")
    for _ in range(2):
        with pytest.raises(DataError, match="line 1 is no JSON table"):
            RunFolder.resume(tmp_path)


def test_unusable_folders(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StorageError, match="is a file"):
        RunFolder.create(tmp_path / "file")
    with pytest.raises(StorageError, match="name the folder of a run to resume"):
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
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2 is no JSON table"):
        RunFolder(tmp_path).read_metrics()


@pytest.mark.parametrize("content", [b"a =", b"\xff", b"a = 1\na = 2", b"a = " + b"[" * 10**5])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(DataError, match=r"config\.toml is no TOML: ") as raised:
        RunFolder(tmp_path).read_config()
    assert "\n" not in str(raised.value)


def work(folder) -> None:
    with RunFolder.create(folder, overwrite=True) as run:
        run.write_config({"seed": 2})
        run.log({"epoch": 1})
        run.save_checkpoint(Checkpoint(1, {}, {}))
        run.save_model(MODEL)
    with RunFolder.resume(folder) as run:
        run.rewind_metrics(0)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_a_refusal_at_any_operation_is_reported_and_frees_the_folder(monkeypatch, tmp_path, code):
    (tmp_path / "runs").mkdir()
    watch = WatchedFiles()
    monkeypatch.setattr(files, "disk", watch)
    work(tmp_path / "runs" / "a")
    monkeypatch.setattr(files, "disk", files.Files())
    silent = 0
    for at in range(1, len(watch.names) + 1):
        folder = tmp_path / "runs" / str(at)
        monkeypatch.setattr(files, "disk", FailingFiles(at, code))
        try:
            work(folder)
        except StorageError as error:
            reported = error
        else:
            silent += 1
            continue
        finally:
            monkeypatch.setattr(files, "disk", files.Files())
        assert reported.errno == code
        assert str(tmp_path / "runs") in str(reported)
        with RunFolder.create(folder, overwrite=True) as run:
            assert names(folder) in ([], ["model.safetensors"])
            assert run.read_metrics() == []
            assert not list(folder.glob(".*.tmp"))
    assert silent == 2  # the holder's name could not be removed as the lock was freed, twice


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
