"""F7: every bit and every length of small files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp import MLPClassifier, load_model, save_model
from anyarray_mlp.errors import ModelFileError
from anyarray_mlp.persistence import (
    Checkpoint,
    ModelFile,
    load,
    load_checkpoint,
    save,
    save_checkpoint,
)
from anyarray_mlp.persistence.checkpoint import read_checkpoint
from benchmarks.reliability.campaign import Campaign, Trial, one_line_problem

Loader = Callable[[Path], Any]


def files(folder: Path) -> dict[str, tuple[bytes, Loader]]:
    """Small files of each kind, and what loads them."""
    path = folder / "written"
    save(path, ModelFile({"sizes": [2, 1]}, {"weights.0": np.arange(2.0), "biases.0": np.ones(1)}))
    made: dict[str, tuple[bytes, Loader]] = {"model": (path.read_bytes(), load)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = MLPClassifier(2, max_iter=1, random_state=0).fit([[0.0], [1.0]], ["a", "b"])
    save_model(estimator, path)
    made["estimator"] = (path.read_bytes(), load_model)
    saved = save_checkpoint(folder, Checkpoint(3, {"parameters": np.arange(3.0)}, {"epoch": 3}))
    made["checkpoint"] = (saved.read_bytes(), read_checkpoint)
    return made


def altered(content: bytes) -> list[tuple[str, bytes]]:
    """The file with each bit flipped, cut at each length, and made longer."""
    made = []
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            made.append((f"bit {bit} of byte {place}", bytes(flipped)))
    made += [(f"{length} bytes of it", content[:length]) for length in range(len(content))]
    made += [(f"{more!r} added", content + more) for more in (b"\0", b" ", b"x" * 100)]
    return made


def problem_loading(load_it: Loader, path: Path) -> str | None:
    """What is wrong with how a damaged file is taken: only one error will do."""
    try:
        load_it(path)
    except ModelFileError as error:
        return one_line_problem(error, str(path))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "it was loaded"


def damage(trial: Trial) -> None:
    """Load every damaged form of each file; of two checkpoints, the one before a damaged one is taken."""
    cases = [
        (name, how, content, load_it)
        for name, (whole, load_it) in files(trial.folder).items()
        for how, content in altered(whole)
    ]
    path = trial.folder / "damaged.safetensors"
    for name, how, content, load_it in trial.each(cases, small=300, share=0.8):
        path.write_bytes(content)
        trial.check(problem_loading(load_it, path), f"{name}, {how}")

    run = trial.folder / "run"
    run.mkdir()
    for step in (1, 2):
        newest = save_checkpoint(run, Checkpoint(step, {"parameters": np.ones(2)}, {"epoch": step}))
    for how, content in trial.each(altered(newest.read_bytes()), small=100):
        newest.write_bytes(content)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = load_checkpoint(run)
        problem = None if found and found.step == 1 and caught else f"step {found and found.step}"
        trial.check(problem, f"the newer of two checkpoints, {how}")


ROWS = [
    Campaign(
        "F7",
        "every bit of a model, an estimator and a checkpoint flipped, every truncation, bytes added",
        "ModelFileError in one line that names the file, nothing else, and never a silent load; of two checkpoints the "
        "whole one is taken, with a warning",
        "all of them",
        1.0,
        damage,
    )
]
