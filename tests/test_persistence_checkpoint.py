"""Checkpoints: rotation keeps what is verified, and damage falls back to the one before."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from anyarray_mlp.errors import ModelFileError, StorageError, UsageError
from anyarray_mlp.persistence import Checkpoint, files, load_checkpoint, save_checkpoint
from anyarray_mlp.persistence.checkpoint import checkpoint_path, checkpoint_steps, read_checkpoint


def checkpoint(step: int) -> Checkpoint:
    generator = np.random.default_rng(step)
    return Checkpoint(
        step,
        {"theta": generator.normal(size=7), "moments.0": np.zeros(7, np.float32)},
        {"epoch": step, "generator": generator.bit_generator.state, "best": None},
    )


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    saved = checkpoint(3)
    loaded = read_checkpoint(save_checkpoint(tmp_path, saved))
    assert (loaded.step, loaded.state) == (3, saved.state)
    assert loaded.arrays.keys() == saved.arrays.keys()
    for name, array in loaded.arrays.items():
        assert array.tobytes() == saved.arrays[name].tobytes()
        assert array.dtype == saved.arrays[name].dtype
    generator = np.random.default_rng(0)
    generator.bit_generator.state = loaded.state["generator"]
    expected = np.random.default_rng(3)
    expected.normal(size=7)
    assert generator.normal() == expected.normal()


def test_the_last_ones_are_kept(tmp_path):
    for step in range(12):
        save_checkpoint(tmp_path, checkpoint(step))
    assert checkpoint_steps(tmp_path) == [10, 11]
    for step in range(12, 20):
        save_checkpoint(tmp_path, checkpoint(step), keep=4)
    assert checkpoint_steps(tmp_path) == [16, 17, 18, 19]
    assert load_checkpoint(tmp_path).step == 19
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("keep", [1, 0, -1])
def test_fewer_than_two_are_refused(tmp_path, keep):
    with pytest.raises(UsageError, match=f"keep={keep}: keep at least 2"):
        save_checkpoint(tmp_path, checkpoint(1), keep=keep)


@pytest.mark.parametrize("step", [-1, 1.0, True, None, "1"])
def test_a_step_is_an_integer_of_at_least_0(tmp_path, step):
    with pytest.raises(UsageError, match="give an integer"):
        save_checkpoint(tmp_path, Checkpoint(step, {}, {}))


def test_none_where_there_is_none(tmp_path):
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "absent") is None
    (tmp_path / "checkpoint-x.safetensors").write_bytes(b"not ours")
    assert load_checkpoint(tmp_path) is None


def test_damage_falls_back_to_the_one_before_and_warns(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step))
    damage(checkpoint_path(tmp_path, 2))
    with pytest.warns(
        RuntimeWarning, match=r"checkpoint-0000000002.*trying the previous checkpoint"
    ):
        assert load_checkpoint(tmp_path).step == 1


def test_nothing_whole_is_an_error_that_says_so(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step))
        checkpoint_path(tmp_path, step).write_bytes(b"")
    with (
        pytest.warns(RuntimeWarning),
        pytest.raises(ModelFileError, match="has no undamaged checkpoint: start the run again"),
    ):
        load_checkpoint(tmp_path)


def test_a_run_that_went_back_leaves_the_damaged_future_behind(tmp_path):
    for step in (8, 9):
        save_checkpoint(tmp_path, checkpoint(step))
    save_checkpoint(tmp_path, checkpoint(12))
    damage(checkpoint_path(tmp_path, 12))
    with pytest.warns(RuntimeWarning):
        assert load_checkpoint(tmp_path).step == 9
    save_checkpoint(tmp_path, checkpoint(10))
    assert checkpoint_steps(tmp_path) == [9, 10]
    assert load_checkpoint(tmp_path).step == 10


def test_nothing_older_is_removed_before_the_new_is_verified(monkeypatch, tmp_path):
    class LyingFiles(files.Files):
        def write(self, descriptor, data):
            return os.write(descriptor, bytes(len(data)))

    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step))
    monkeypatch.setattr(files, "disk", LyingFiles())
    with pytest.raises(StorageError, match="read back differs"):
        save_checkpoint(tmp_path, checkpoint(3))
    assert checkpoint_steps(tmp_path) == [1, 2]
    assert load_checkpoint(tmp_path).step == 2
