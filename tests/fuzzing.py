"""Model files with a change that a reader must refuse or live with: mutants of valid ones, sealed anew.

`bases` makes valid files of every kind, `mutants` changes them, and `check` says what is wrong with how the package
takes one: a raw error, one later in use, more time or memory than the bound, or an event that no loader has a need
for. The same seed and the same base give the same mutants, on any machine.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from anyarray_mlp import MLPClassifier, MLPRegressor, load_model, save_model
from anyarray_mlp.data import Dataset, Preprocessor, TargetEncoder
from anyarray_mlp.errors import (
    AnyArrayMLPError,
    BackendUnavailableError,
    ModelFileError,
    UsageError,
)
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.persistence import Checkpoint, save_checkpoint
from anyarray_mlp.persistence.checkpoint import read_checkpoint
from anyarray_mlp.persistence.container import DTYPES
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.training.predicting import dense

SECONDS = 1.0  # of CPU time, for one file
FREE_BYTES = 64 << 20  # contract: loading peaks at twice the file and this
JSON_TEXTS = ("config", "preprocessing", "targets", "metadata", "state", "position")

#: What stands in for a value: wrong types, sizes, spellings and names.
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, -0.0, 0.5, 1.0, 1e308, -1e308, 5e-324, 2**31, 2**53, 2**63, 2**64, 10**12,
    10**30, 10**400, -(10**400), float("nan"), float("inf"), -float("inf"), "", "nan", "inf", "1e999", "0", "relu",
    "identity", "<U200000000", ">U3", "object", "int64", "V8", "M8[s]", "float128", "(2,)i4", "i4,i4",
    "{'names': ['a']}", "__import__('os')", "\ud800", "\x00", "ä\n\u2028", "x" * 1000, "cuda:0", "cpu", "auto",
    "cuda:" + "9" * 5000, "../../x", [], [[]], [1], ["a"], [[1], [2]], [None], [1, "a"], [0] * 1000, {}, {"a": 1},
    {"__class__": "os.system"}, {"float": "nan"}, {"float": "inf"}, {"float": "1"}, {"float": ["inf"]}, {"tuple": []},
    {"tuple": [1, 2]}, {"tuple": 3}, {"dict": []}, {"dict": [[1, 2]]}, {"dict": [["a", 2.0], [True, 1]]},
    {"dict": [[[1], 2]]}, {"dict": [[{"float": "nan"}, 2]]}, {"dict": 1}, {"dict": [1]}, {"float": "inf", "x": 1},
]  # fmt: skip
KEYS = ["__class__", "__dict__", "predict", "coefs_", "", "ä", "\ud800", "x" * 300, "sizes", "0"]


# Valid files.


def bases() -> dict[str, bytes]:
    """Files of every kind, by name."""
    return {**estimator_bases(), **command_line_bases(), **checkpoint_bases()}


def estimator_bases() -> dict[str, bytes]:
    """What `save_model` writes for every kind of target."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(40, 3))
    codes = np.arange(40) % 3
    quick: dict[str, Any] = {"max_iter": 2, "random_state": 0}
    few = {**quick, "hidden_layer_sizes": 3}
    names = np.array(["ant", "bee", "wasp"])
    cases: dict[str, tuple[Any, Any]] = {
        "binary": (MLPClassifier(class_weight={False: 1.0, True: 2.0}, **few), codes == 1),
        "integers": (
            MLPClassifier((4, 3), ["tanh", "relu"], dropout=[0.1, 0.0], **quick),
            codes - 1,
        ),
        "small integers": (MLPClassifier(**few), codes.astype(np.int8)),
        "floats": (MLPClassifier(solver="sgd", learning_rate="invscaling", **few), codes * 1.0),
        "texts": (MLPClassifier(early_stopping=True, n_iter_no_change=np.inf, **few), names[codes]),
        "objects": (MLPClassifier(**few), names.astype(object)[codes]),
        "one class": (MLPClassifier(**few), np.zeros(40, dtype=int)),
        "multilabel": (MLPClassifier(**few), np.eye(3, dtype=int)[codes]),
        "no hidden layer": (MLPClassifier((), "logistic", **quick), codes),
        "lbfgs": (MLPClassifier(solver="lbfgs", **few), codes),
        "regressor": (MLPRegressor(dtype="float32", **few), x[:, 0]),
        "outputs": (MLPRegressor(clip_norm=1.0, **few), x[:, :2]),
        "poisson": (MLPRegressor("poisson", **few), codes),
    }
    made = {}
    for name, (estimator, y) in cases.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(x, y)
        made[f"estimator: {name}"] = saved(lambda path, each=estimator: save_model(each, path))
    return made


def command_line_bases() -> dict[str, bytes]:
    """What `train` writes for tables, pixels and scaled targets."""
    import pandas

    rng = np.random.default_rng(12)
    table = pandas.DataFrame(
        {
            "size": [1.5, np.nan, 3.0, 4.0] * 5,
            "colour": ["red", "blue", None, "red"] * 5,
            "age": np.arange(20),
        }
    )
    numbers = rng.normal(size=(20, 3))
    pixels = rng.integers(0, 256, (20, 4), dtype=np.uint8)
    classes = ["no", "yes", "maybe", "no"] * 5
    cases: dict[str, tuple[Any, Any, Any, str, dict[str, Any]]] = {
        "categories": (table, classes, "classification", "softmax", {}),
        "two integers": (numbers, [4, 7] * 10, "classification", "logistic", {}),
        "truths": (numbers, [True, False] * 10, "classification", "softmax", {}),
        "pixels": (pixels, np.arange(20) % 3, "classification", "softmax", {}),
        "scaled": (table, numbers[:, 0] * 100, "regression", "identity", {"scale_target": True}),
        "two targets": (numbers, numbers[:, :2], "regression", "identity", {}),
        "counts": (numbers, np.arange(20), "regression", "exp", {}),
        "multilabel": (numbers, numbers > 0, "multilabel", "logistic", {}),
    }
    made = {}
    for name, (features, target, task, output, options) in cases.items():
        preprocessor = Preprocessor.fit(features)
        targets = TargetEncoder.fit(target, task, **options)
        outputs = 1 if (output, targets.width) == ("logistic", 2) else targets.width
        mlp = MLP((preprocessor.n_features_out, 4, outputs), "tanh", output)
        metadata = {"target": json.dumps(["a", "b", "c"][: targets.width]), "version": "0.2.0"}
        model = TrainedModel(mlp, mlp.initialize(1), preprocessor, targets, metadata)
        made[f"command line: {name}"] = saved(model.save)
    return made


def checkpoint_bases() -> dict[str, bytes]:
    """Checkpoints as `train` writes them."""
    arrays = {"parameters": np.linspace(-1, 1, 9), "moments.0": np.ones(9)}
    state = {
        "step": 12,
        "epoch": 3,
        "order": {"bit_generator": "PCG64", "state": "1f", "inc": "3"},
        "data": "0" * 64,
        "schedule": {"rate": 0.1},
        "early_stopping": {"best": 0.5, "waited": 2},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = save_checkpoint(folder, Checkpoint(3, arrays, state))
        return {"checkpoint: early stopping": path.read_bytes()}


def saved(write: Any) -> bytes:
    """The bytes that a function of a path writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write(path)
        return path.read_bytes()


# A file as a tree, and back.


def opened(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metadata, its JSON texts parsed, and the arrays of a valid file."""
    stop = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:stop])
    tree = header.pop("__metadata__")
    del tree["sha256"]
    for name in JSON_TEXTS:
        if name in tree:
            tree[name] = json.loads(tree[name])
    for name in ("estimator", "target"):
        if name in tree.get("metadata", {}):
            tree["metadata"][name] = json.loads(tree["metadata"][name])
    arrays = {}
    for name, entry in header.items():
        start, end = (stop + offset for offset in entry["data_offsets"])
        values = np.frombuffer(content[start:end], DTYPES[entry["dtype"]])
        arrays[name] = values.reshape(entry["shape"])
    return tree, arrays


def sealed(tree: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """The file of a tree and arrays, whatever they are, in the format's spelling and with its digest."""
    metadata = copy.copy(tree)
    nested = metadata.get("metadata")
    if isinstance(nested, dict):
        metadata["metadata"] = {
            name: value
            if isinstance(value, str) and name not in ("estimator", "target")
            else json.dumps(value)
            for name, value in nested.items()
        }
    names = {dtype: name for name, dtype in DTYPES.items()}
    for name, value in metadata.items():
        if not isinstance(value, str) or name in JSON_TEXTS:
            metadata[name] = json.dumps(value, separators=(",", ":"))
    metadata["sha256"] = "0" * 64
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    blocks, start = [], 0
    for name in sorted(arrays, key=lambda each: (-arrays[each].dtype.itemsize, each)):
        array = arrays[name]
        block = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "data_offsets": [start, start + len(block)],
            "dtype": names[array.dtype],
            "shape": list(array.shape),
        }
        blocks.append(block)
        start += len(block)
    text = json.dumps(dict(sorted(header.items())), separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    content = len(text).to_bytes(8, "little") + text + b"".join(blocks)
    digest = hashlib.sha256(content).hexdigest().encode()
    return content.replace(b'"sha256":"' + b"0" * 64, b'"sha256":"' + digest, 1)


# Mutants.


def mutants(seed: int, base: bytes) -> Iterator[bytes]:
    """Changed forms of a valid file, one after the other without end, each with one to three changes."""
    rng = random.Random(f"{seed} {hashlib.sha256(base).hexdigest()}")
    tree, arrays = opened(base)
    while True:
        changed, held = copy.deepcopy(tree), dict(arrays)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            if held and rng.random() < 0.12:
                change_array(rng, held)
            else:
                change_tree(rng, changed)
        yield sealed(changed, held)


def nodes(value: Any) -> list[tuple[Any, Any]]:
    """Container and key of everything below a value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = []
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], (dict, list)):
            found += nodes(value[key])
    return found


def change_tree(rng: random.Random, tree: dict[str, Any]) -> None:
    """Replace, drop, rename, double, swap or alter one value somewhere in the tree."""
    places = [(holder, key) for holder, key in nodes(tree) if holder is not tree]
    places += [(tree, key) for key in JSON_TEXTS if key in tree]
    holder, key = rng.choice(places)
    how = rng.random()
    if how < 0.55:
        holder[key] = copy.deepcopy(rng.choice(ODD))
    elif how < 0.65:
        other, place = rng.choice(places)
        holder[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[key])
    elif how < 0.75:
        del holder[key]
    elif how < 0.82 and isinstance(holder, dict):
        holder[rng.choice([*KEYS, *holder])] = holder.pop(key)
    elif how < 0.9:
        holder[key] = neighbour(rng, holder[key])
    elif isinstance(holder, list):
        holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    else:
        holder[rng.choice(KEYS)] = copy.deepcopy(rng.choice(ODD))


def neighbour(rng: random.Random, value: Any) -> Any:
    """A value near another one."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        near = float(value) if abs(value) < 2**53 else 0.0
        return rng.choice([value + 1, value - 1, -value, near, value * 10**9])
    if isinstance(value, float):
        return rng.choice([-value, value * 1e300, round(value) if abs(value) < 1e9 else 0])
    if isinstance(value, str):
        return rng.choice([value + " ", value.upper(), value[:-1], value * 2])
    if isinstance(value, list):
        return rng.choice([value[::-1], value * 2, value[:-1], {"tuple": value}])
    return {"tuple": value}


def change_array(rng: random.Random, arrays: dict[str, np.ndarray]) -> None:
    """Give one array another dtype, shape, name or value, or take it away."""
    name = rng.choice(list(arrays))
    array = arrays[name]
    how = rng.randrange(6)
    if how == 0:
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(rng.choice(list(DTYPES.values())))
    elif how == 1:
        arrays[name] = array.reshape(rng.choice([(-1,), (1, *array.shape), (*array.shape, 1)]))
    elif how == 2:
        arrays[name] = array.T if array.ndim == 2 else array[:-1] if array.size > 1 else array
    elif how == 3:
        arrays["extra"] = arrays.pop(name)
    elif how == 4 and array.dtype.kind == "f" and array.size:
        arrays[name] = array.copy()
        odd = rng.choice([np.nan, np.inf, 1e300, 5e-324, -0.0, 3e38])
        with np.errstate(over="ignore"):
            arrays[name].flat[rng.randrange(array.size)] = odd
    else:
        del arrays[name]


# What is wrong with how a file is taken.


class Watch:
    """Audit events while a file is read: of a program that is run, a module looked for, a file written to."""

    FORBIDDEN = (
        "exec",
        "compile",
        "import",
        "subprocess",
        "socket",
        "os.",
        "pty.",
        "ctypes",
        "marshal",
        "pickle",
    )
    #: Looking at a path does no harm, and `import` is told of modules that are there already.
    HARMLESS = ("os.listdir", "os.scandir", "os.fspath")

    def __init__(self) -> None:
        self.on = False
        self.events: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or event in self.HARMLESS:
            return
        writing = event == "open" and (
            (isinstance(arguments[1], str) and set("wax+") & set(arguments[1]))
            or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        )
        if writing or event.startswith(self.FORBIDDEN):
            self.events.append(f"{event} {arguments!r:.80}")


class Fuzzer:
    """Takes files one after the other and says what is wrong with how the package takes each."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fuzzed.safetensors"
        self.again = folder / "again.safetensors"
        self.watch = Watch()
        self.refused = self.used = 0
        for content in bases().values():  # what is imported late is imported now
            finding = self.check(content)
            assert finding is None, finding
        self.refused = self.used = 0

    def check(self, content: bytes) -> str | None:
        """What is wrong with how a file is taken, or None."""
        self.path.write_bytes(content)
        started, peak = time.process_time(), peak_bytes()
        self.watch.events = []
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            kinds = (
                [loaded_checkpoint]
                if b'"kind":"checkpoint"' in content
                else [loaded_model, loaded_estimator]
            )
            if b"estimator" not in content:
                kinds = kinds[:1]
            for kind in kinds:
                if finding := self.taken(kind):
                    return finding
        if self.watch.events:
            return f"event: {self.watch.events[0]}"
        if (spent := time.process_time() - started) > SECONDS:
            return f"slow: {spent:.1f} s"
        if (grown := peak_bytes() - peak) > FREE_BYTES + 2 * len(content):
            return f"memory: {grown >> 20} MiB more"
        return None

    def taken(self, kind: Any) -> str | None:
        """Load the file as one kind and use it."""
        try:
            self.watch.on = True
            try:
                use = kind(self.path)
            finally:
                self.watch.on = False
        except ModelFileError as error:
            self.refused += 1
            return refusal_finding(error, self.path)
        except Exception as error:
            return f"load ({kind.__name__}): {type(error).__name__}: {error!s:.120}"
        self.used += 1
        return use(self.again)


def peak_bytes() -> int:
    """The most memory that this process has had so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def refusal_finding(error: ModelFileError, path: Path) -> str | None:
    """What is wrong with a refusal: it is one short line that names the file and says what to do."""
    text = str(error)
    if str(path) not in text:
        return f"message without the file: {text[:200]}"
    if not text.isprintable() or len(text) > 1000:
        return f"message of {len(text)} characters: {text[:200]!a}"
    return None


def used(step: str, call: Any, *allowed: type[Exception]) -> str | None:
    """What is wrong with a use; errors in `allowed` are the documented ones."""
    try:
        call()
    except allowed:
        return None
    except Exception as error:
        return f"{step}: {type(error).__name__}: {error!s:.120}"
    return None


def loaded_estimator(path: Path) -> Any:
    """An estimator, and all that is done with one."""
    estimator = load_model(path)

    def use(again: Path) -> str | None:
        x = np.linspace(-1, 1, 6 * estimator.n_features_in_).reshape(6, -1)
        answers: list[Any] = []
        steps = {
            "predict": lambda: answers.append(estimator.predict(x)),
            "predict_proba": lambda: estimator.predict_proba(x),
            "score": lambda: estimator.score(x, targets_of(answers[0])),
            "get_params": lambda: clone(estimator).get_params(),
            "repr": lambda: repr(estimator),
            "vars": lambda: copy.deepcopy(estimator),
            "save": lambda: save_model(estimator, again),
            "load again": lambda: np.testing.assert_array_equal(
                dense(load_model(again).predict(x)), dense(answers[0])
            ),
        }
        if isinstance(estimator, MLPRegressor):
            del steps["predict_proba"]
        for name, step in steps.items():
            # A device that is absent here is no fault of the file.
            # Nor does scikit-learn score what is not finite, which finite weights may lead to.
            finite = name != "score" or is_finite(answers[0])
            absent = BackendUnavailableError
            if finding := used(name, step, absent, *(() if finite else (ValueError,))):
                return finding
            if not answers:
                return None
        if hasattr(estimator, "partial_fit"):
            y = targets_of(answers[0])
            return used(
                "partial_fit", lambda: estimator.partial_fit(x, y), AnyArrayMLPError, ValueError
            )
        return None

    return use


def is_finite(answers: Any) -> bool:
    """Whether answers are labels, or finite numbers."""
    return getattr(answers, "dtype", np.dtype(int)).kind != "f" or bool(np.isfinite(answers).all())


def targets_of(answers: Any) -> Any:
    """Answers as what could have been trained on."""
    return answers if is_finite(answers) else np.zeros_like(answers)


def loaded_model(path: Path) -> Any:
    """A model of the command line, and all that is done with one."""
    model = TrainedModel.load(path)

    def use(again: Path) -> str | None:
        features = rows_for(model)
        answers: list[Any] = []
        steps = {
            "predict": lambda: answers.append(model.predict(features)),
            "schema": lambda: model.schema.text_columns(list(model.preprocessor.names)),
            "save": lambda: model.save(again),
            "load again": lambda: TrainedModel.load(again),
            "scores": lambda: model.scores(labelled(model, features, answers[0])),
            "text": lambda: "".join([*model.target_names, *map(str, answers)]).encode(),
        }
        for name, step in steps.items():
            allowed = (AnyArrayMLPError,) if name in ("predict", "scores") else ()
            if finding := used(name, step, *allowed):
                return finding
            if not answers:  # features that overflow the scale, say
                return None
        return None

    return use


def rows_for(model: TrainedModel) -> Any:
    """Three rows that a model can be asked about."""
    import pandas

    columns = model.preprocessor.columns
    if all(column.kind == "numeric" for column in columns):
        return np.arange(3 * len(columns)).reshape(3, -1) % 250
    made = {column.name: [*column.categories, 1.0, None][:1] * 3 for column in columns}
    return pandas.DataFrame(made)


def labelled(model: TrainedModel, features: Any, answers: Any) -> Dataset:
    """The rows with a model's own answers as their targets."""
    names = model.preprocessor.names
    return Dataset("rows", features, answers, names, "y", model.targets.task)


def loaded_checkpoint(path: Path) -> Any:
    """A checkpoint, which is saved again."""
    checkpoint = read_checkpoint(path)

    def use(again: Path) -> str | None:
        return used("save", lambda: save_checkpoint(again.parent, checkpoint), UsageError)

    return use


def findings(seed: int, base: bytes, count: int, fuzzer: Fuzzer) -> Iterator[tuple[str, bytes]]:
    """What is wrong with the first `count` mutants of a base, and each of those."""
    for _, content in zip(range(count), mutants(seed, base), strict=False):
        if finding := fuzzer.check(content):
            yield finding, content
