"""F17: files of earlier and of later format versions, and that whatever is written can be read."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np

import anyarray_mlp
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.persistence import Checkpoint, ModelFile, load, save, save_checkpoint
from anyarray_mlp.persistence.checkpoint import read_checkpoint
from anyarray_mlp.persistence.container import DTYPES, FORMAT_VERSION
from benchmarks.reliability.campaign import Campaign, Trial, one_line_problem
from benchmarks.reliability.processes import ROOT

GOLDEN = ROOT / "tests" / "golden"
TEXTS = ("", "a", "ä\n\u2028", "\x00", "x" * 5000, '"', "\\", "1e999", "\U0001f600")


def problem_of_golden(source: Path, folder: Path) -> str | None:
    """What is wrong with how a committed file is read: whole, and its arrays as a rewriting has them."""
    file: ModelFile | Checkpoint
    if source.name.startswith("checkpoint"):
        file = read_checkpoint(source)
        again = save_checkpoint(folder, file)
    else:
        file = load(source)
        again = folder / "again.safetensors"
        save(again, file)
    if source.read_bytes() != again.read_bytes():
        return "it would be written with other bytes"
    if not file.arrays:
        return "it has no arrays"
    return None


def problem_of_later(source: Path, version: int, needed: str, folder: Path) -> str | None:
    """What is wrong with how a file of a later format version is refused: it says which release reads it."""
    content = source.read_bytes()
    stop = 8 + int.from_bytes(content[:8], "little")
    header = content[8:stop].decode()
    header = re.sub(r'"format_version":"\d+"', f'"format_version":"{version}"', header)
    header = re.sub(r'"requires":"[^"]*"', f'"requires":"{needed}"', header).rstrip()
    header += " " * (-len(header) % 8)
    path = folder / "later.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + content[stop:])
    try:
        load(path)
    except ModelFileError as error:
        if needed not in str(error) or anyarray_mlp.__version__ not in str(error):
            return f"does not say what reads it: {error}"
        return one_line_problem(error, str(path))
    return "it was loaded"


def made_up(rng: random.Random) -> ModelFile:
    """A model file of odd but allowed content."""

    def value(depth: int = 0) -> Any:
        simple: list[Any] = [None, True, 0, -1, 2**70, 0.1, -0.0, 1e308, 5e-324, *TEXTS]
        if depth > 3 or rng.random() < 0.6:
            return rng.choice(simple)
        if rng.random() < 0.5:
            return [value(depth + 1) for _ in range(rng.randrange(4))]
        return {rng.choice(TEXTS): value(depth + 1) for _ in range(rng.randrange(4))}

    arrays = {}
    for n in range(rng.randrange(5)):
        dtype = rng.choice(list(DTYPES.values()))
        shape = rng.choice([(), (0,), (1,), (3,), (2, 3), (1, 1, 1), (2, 1, 2, 1, 2, 1, 2, 1)])
        content = np.frombuffer(rng.randbytes(64 * 8), np.uint8)
        count = int(np.prod(shape))
        flat = np.resize(content, count * dtype.itemsize)
        flat = flat % 2 if dtype == np.dtype("?") else flat
        arrays[f"a.{n}"] = np.ascontiguousarray(flat).view(dtype)[:count].reshape(shape)
    return ModelFile(
        {"v": value()}, arrays, {"v": value()}, {"v": value()}, {"t": rng.choice(TEXTS)}
    )


def problem_of_round_trip(rng: random.Random, folder: Path) -> str | None:
    """What is wrong with reading back what was written: the same values, to the bit, or refused in writing."""
    model = made_up(rng)
    path = folder / "round.safetensors"
    try:
        save(path, model)
    except UsageError as error:
        return one_line_problem(error)
    found = load(path)
    for name in ("config", "preprocessing", "targets", "metadata"):
        if repr(getattr(found, name)) != repr(getattr(model, name)):
            return (
                f"{name}: {getattr(model, name)!r:.200} came back as {getattr(found, name)!r:.200}"
            )
    if sorted(found.arrays) != sorted(model.arrays):
        return f"arrays {sorted(found.arrays)}"
    for name, array in model.arrays.items():
        back = found.arrays[name]
        if (back.dtype, back.shape, back.tobytes()) != (array.dtype, array.shape, array.tobytes()):
            return f"{name} of {array.dtype} {array.shape} came back as {back.dtype} {back.shape}"
    kept = save_checkpoint(folder, Checkpoint(1, model.arrays, model.config))
    if read_checkpoint(kept).state != model.config:
        return "the checkpoint's state came back otherwise"
    return None


def compatibility(trial: Trial) -> None:
    """Read the committed files, refuse later ones, and read back what is made up."""
    sources = sorted(GOLDEN.glob("*.safetensors"))
    trial.note(f"{len(sources)} committed file(s), format version {FORMAT_VERSION}")
    for source in trial.each(sources, small=100):
        trial.check(problem_of_golden(source, trial.folder), source.name)
    versions = [(FORMAT_VERSION + 1, "9.8.7"), (FORMAT_VERSION + 5, "12.0"), (9999, "99.99.99")]
    for version, needed in trial.each(versions, small=100):
        trial.check(
            problem_of_later(sources[-1], version, needed, trial.folder), f"version {version}"
        )
    for turn in trial.turns(20_000, small=60):
        seed = f"{trial.seed} {turn}"
        trial.check(problem_of_round_trip(random.Random(seed), trial.folder), f"round trip {seed}")


ROWS = [
    Campaign(
        "F17",
        "files of earlier and later format versions; odd content that is allowed",
        "every committed file is read and would be written with the same bytes; a later version is refused with the "
        "release that reads it; what is written is read back to the bit",
        "every committed file, 3 later versions, 20,000 round trips",
        0.5,
        compatibility,
    )
]
