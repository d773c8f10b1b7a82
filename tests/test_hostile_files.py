"""Files that somebody made: whatever they say, they are refused in one line or work, within time and memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLPClassifier, load_model, save_model
from anyarray_mlp.data import Preprocessor, TargetEncoder
from anyarray_mlp.data.labels import MAX_CHARACTERS
from anyarray_mlp.diagnosis.report import load_diagnosis
from anyarray_mlp.errors import DataError, ModelFileError, OutOfMemoryError, UsageError
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.persistence import RunFolder
from anyarray_mlp.persistence.checkpoint import read_checkpoint
from anyarray_mlp.pipeline.trained_model import TrainedModel
from tests import fuzzing, malformed_reports

pytestmark = pytest.mark.filterwarnings("ignore::anyarray_mlp.estimators.CollapsedFitWarning")

MIB = 1 << 20
ESTIMATORS = fuzzing.estimator_bases()
COMMAND_LINE = fuzzing.command_line_bases()
CHECKPOINTS = fuzzing.checkpoint_bases()


# F8, F9: mutants of valid files.


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    return fuzzing.Fuzzer(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", [*ESTIMATORS, *COMMAND_LINE, *CHECKPOINTS])
def test_mutants_are_refused_in_one_line_or_work(name, fuzzer):
    base = {**ESTIMATORS, **COMMAND_LINE, **CHECKPOINTS}[name]
    found = list(fuzzing.findings(seed=2024, base=base, count=60, fuzzer=fuzzer))
    assert [finding for finding, _ in found] == []


def test_the_fuzzer_sees_what_it_is_there_for(fuzzer, monkeypatch):
    base = ESTIMATORS["estimator: integers"]
    assert fuzzer.check(base) is None
    first, second = fuzzing.mutants(5, base), fuzzing.mutants(5, base)
    assert [next(first) for _ in range(20)] == [next(second) for _ in range(20)]
    assert len({next(first) for _ in range(50)}) > 40

    def finding_with(load: Any) -> str | None:
        monkeypatch.setattr(fuzzing, "load_model", load)
        return fuzzer.check(base)

    assert "TypeError" in finding_with(lambda path: 1 + None)
    assert "event: " in finding_with(lambda path: load_model(path) if eval("1") else None)
    assert "event: " in finding_with(
        lambda path: load_model(path) if Path(f"{path}.x").write_text("") == 0 else None
    )
    assert "without the file" in finding_with(lambda path: TargetEncoder.from_json({}))


# Each field of a file.


def changed(base: bytes, *path: Any, value: Any) -> bytes:
    """A valid file with the value at a path of its tree replaced, sealed anew."""
    tree, arrays = fuzzing.opened(base)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return fuzzing.sealed(tree, arrays)


def refusal(content: bytes, folder: Path, read: Any = load_model) -> str:
    """The one line with which a file is refused, without what every such line says."""
    path = folder / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as raised:
        read(path)
    text = str(raised.value)
    assert fuzzing.refusal_finding(raised.value, path) is None
    head, tail = f"{path} cannot be used: ", "; fetch the file again or train the model again"
    assert text.startswith(head)
    assert text.endswith(tail)
    return text.removeprefix(head).removesuffix(tail)


LABELS = ("metadata", "estimator", "labels")
PARAMETERS = ("metadata", "estimator", "parameters")
FIGURES = ("metadata", "estimator", "figures")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            (*LABELS, "dtype"),
            "<U200000000",
            "estimator.labels.values reserves 3 texts of 200000000",
        ),
        ((*LABELS, "dtype"), "V8", "estimator.labels.dtype is 'V8' and must be object"),
        ((*LABELS, "dtype"), "(2,)U4", "estimator.labels.dtype is '(2,)U4'"),
        (
            (*LABELS, "dtype"),
            "int8",
            "estimator.labels.dtype is int8, but the labels are of another",
        ),
        ((*LABELS, "values"), ["a", "a", "b"], "estimator.labels.values holds a label twice"),
        ((*LABELS, "values"), ["a", 1, "b"], "estimator.labels.values mixes labels of 2 types"),
        ((*LABELS, "values", 0), "\ud800", "estimator.labels.values[0] is '\\ud800' and must be"),
        ((*LABELS, "kind"), "binary", "estimator.labels has 3 classes for 3 outputs"),
        ((*LABELS, "sparse"), 1, "estimator.labels.sparse is 1 and must be true or false"),
        ((*PARAMETERS, "alpha"), 10**400, "estimator.parameters.alpha is 1000000000"),
        ((*PARAMETERS, "alpha"), -1.0, "estimator.parameters.alpha is -1.0 and must be a float in"),
        ((*PARAMETERS, "device"), "cuda:" + "9" * 5000, "estimator.parameters.device and .backend"),
        ((*PARAMETERS, "device"), "", "estimator.parameters.device and .backend name no possible"),
        ((*PARAMETERS, "activation"), "tanh", "estimator.parameters.activation and config.activat"),
        (
            (*PARAMETERS, "hidden_layer_sizes"),
            [1] * 5000,
            "estimator.parameters.hidden_layer_sizes",
        ),
        ((*PARAMETERS, "hidden_layer_sizes"), [0], "estimator.parameters.hidden_layer_sizes has a"),
        ((*PARAMETERS, "class_weight"), {"dict": [[1, "a"]]}, "a weight of estimator.parameters"),
        ((*PARAMETERS, "class_weight"), {"dict": [[[1], 2]]}, "a label of estimator.parameters"),
        ((*PARAMETERS, "__class__"), 1, "estimator.parameters.__class__ is not a parameter of"),
        ((*PARAMETERS, "\ud800"), 1, "estimator.parameters['\\ud800'] is not a parameter of"),
        ((*FIGURES, "t_"), -1, "estimator.figures.t_ is -1 and must be an integer from 0"),
        ((*FIGURES, "loss_curve_"), "abc", "estimator.figures.loss_curve_ is 'abc' and must be a"),
        ((*FIGURES, "n_layers_"), 7, "estimator.figures.n_layers_ is 7 and the network's is 3"),
        (
            (*FIGURES, "out_activation_"),
            "exp",
            "estimator.figures.out_activation_ is 'exp' and the",
        ),
        ((*FIGURES, "validation_scores_"), None, "estimator.figures has one of validation_scores_"),
        ((*FIGURES, "predict"), 1, "estimator.figures.predict is not a figure"),
        (("metadata", "estimator", "class"), "os.system", "estimator.class is 'os.system'"),
        (
            ("config", "sizes"),
            [3, 10**12, 3],
            "weights.0 is float64 (3, 3) and must be floats (3, 1",
        ),
        (("config", "sizes"), [1] * 10**5, "config.sizes has 100000 entries for the weights of 2"),
        (
            ("config", "dropout"),
            [0.1, 0.2],
            "config.dropout has 2 entries and must have one for each",
        ),
        (("config", "loss"), "poisson", "config is impossible: loss='poisson' cannot be used"),
        (("config", "bias"), False, "config.bias is false, but an estimator has intercepts"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_each_field_of_an_estimator_is_named_when_it_is_refused(path, value, message, tmp_path):
    text = refusal(changed(ESTIMATORS["estimator: texts"], *path, value=value), tmp_path)
    assert text.startswith(message)


@pytest.mark.parametrize("label", [0.5, 1e300])
def test_floats_that_are_no_labels_are_refused(label, tmp_path):
    content = changed(ESTIMATORS["estimator: floats"], *LABELS, "values", 2, value=label)
    text = refusal(content, tmp_path)
    assert text == f"estimator.labels.values holds {label}: numbers must be whole, within 2^53"


@pytest.mark.parametrize(
    ("base", "path", "value", "message"),
    [
        ("categories", ("preprocessing", "columns", 0, "scale"), 0, "preprocessing.columns[0].scale"),
        ("categories", ("preprocessing", "columns", 0, "mean"), 10**400, "preprocessing.columns[0]."),
        ("categories", ("preprocessing", "columns", 1, "kind"), "x", "preprocessing.columns[1].kind"),
        ("categories", ("preprocessing", "pixels"), True, "preprocessing.pixels is true and a column"),
        ("categories", ("preprocessing", "columns"), [], "preprocessing.columns is [] and must be a"),
        ("categories", ("targets", "classes"), None, "targets.classes is null"),
        ("categories", ("targets", "classes"), ["a", "b"], "targets has 2 answers for a network of 3"),
        ("categories", ("targets", "task"), [], "targets.task is [] and must be one of"),
        ("scaled", ("targets", "scale"), [0.0], "targets.scale[0] is 0.0 and must be a finite number"),
        ("scaled", ("targets", "scale"), [], "targets has 1 means and 0 scales"),
        ("two targets", ("targets", "flat"), True, "targets.flat is true and there are 2 outputs"),
        ("scaled", ("metadata", "target"), {"a": 1}, "metadata.target is {'a': 1} and must be a list"),
        ("scaled", ("config", "activation"), "sigmoid", "config.activation is 'sigmoid' and must be"),
        ("scaled", ("config", "sizes"), [], "config.sizes has 0 entries for the weights of 2"),
        ("scaled", ("config", "sizes"), "784", "config.sizes is '784' and must be a list of at least"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_each_field_of_a_model_is_named_when_it_is_refused(base, path, value, message, tmp_path):
    content = changed(COMMAND_LINE[f"command line: {base}"], *path, value=value)
    assert refusal(content, tmp_path, TrainedModel.load).startswith(message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_neither_read_nor_written(value, tmp_path):
    tree, arrays = fuzzing.opened(ESTIMATORS["estimator: integers"])
    arrays["weights.1"] = arrays["weights.1"].copy()
    arrays["weights.1"][0, 0] = value
    for read in (load_model, TrainedModel.load):
        text = refusal(fuzzing.sealed(tree, arrays), tmp_path, read)
        assert text == "weights.1 is not all finite"
    estimator = load_model_of(ESTIMATORS["estimator: integers"], tmp_path)
    estimator.coefs_[0][0, 0] = value
    with pytest.raises(UsageError, match=r"cannot be saved, as .*weights\.0 is not all finite"):
        save_model(estimator, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_weights_are_of_one_dtype(tmp_path):
    tree, arrays = fuzzing.opened(COMMAND_LINE["command line: scaled"])
    arrays["biases.0"] = arrays["biases.0"].astype(np.float32)
    text = refusal(fuzzing.sealed(tree, arrays), tmp_path, TrainedModel.load)
    assert text == "biases.0 is float32 and the others are float64"


@pytest.mark.parametrize("step", [-1, True, 1.0, "1", None, 2**63, 10**400])
def test_a_checkpoints_step_is_a_count(step, tmp_path):
    path = tmp_path / "checkpoint"
    base = CHECKPOINTS["checkpoint: early stopping"]
    path.write_bytes(changed(base, "position", "step", value=step))
    with pytest.raises(ModelFileError, match=r"position\.step is .* use an earlier checkpoint$"):
        read_checkpoint(path)


def load_model_of(content: bytes, folder: Path) -> Any:
    path = folder / "model"
    path.write_bytes(content)
    return load_model(path)


def test_labels_keep_their_type_their_width_and_an_order_of_ones_own(tmp_path):
    x = np.linspace(-1, 1, 60).reshape(30, 2)
    for labels in (
        np.array(["a", "b", "c"], "<U64"),
        np.array([1, 2, 3], ">i4"),
        np.array([1, 2, 3], np.uint8),
        np.array([0, 1, 2], np.float16),
        np.array([-(2**63), 0, 2**63 - 1]),
        np.array([0, 1, 2**64 - 1], np.uint64),
    ):
        estimator = MLPClassifier(2, max_iter=300, tol=1.0, random_state=0)
        estimator.fit(x, labels[np.arange(30) % 3])
        estimator.classes_ = labels[::-1].copy()
        del estimator._labels
        save_model(estimator, tmp_path / "m")
        loaded = load_model(tmp_path / "m")
        assert loaded.classes_.dtype == estimator.classes_.dtype == labels.dtype
        np.testing.assert_array_equal(loaded.classes_, estimator.classes_)
        np.testing.assert_array_equal(loaded.predict(x), estimator.predict(x))
        model = TrainedModel.load(tmp_path / "m")
        np.testing.assert_array_equal(model.predict(x), estimator.predict(x))
        codes = model.targets.encode(labels.astype(model.targets.classes.dtype))
        assert codes.tolist() == [2, 1, 0]


# Contract 4: memory.


def many_labels(values: list[Any]) -> bytes:
    """An estimator of so many labels, whose network does not fit them."""
    tree, arrays = fuzzing.opened(ESTIMATORS["estimator: texts"])
    tree["metadata"]["estimator"]["labels"]["values"] = values
    tree["targets"]["classes"] = values
    return fuzzing.sealed(tree, arrays)


def wide_network(dtype: Any) -> bytes:
    """A regression with 12 MiB of float64 weights."""
    tree, arrays = fuzzing.opened(ESTIMATORS["estimator: regressor"])
    tree["config"] |= {"sizes": [3, 300_000, 1], "activation": ["relu"], "dropout": [0.0]}
    shapes = {"weights.0": (3, 300_000), "weights.1": (300_000, 1), "biases.0": (300_000,)}
    arrays |= {name: np.ones(shape, dtype) for name, shape in shapes.items()}
    arrays["biases.1"] = np.ones(1, dtype)
    return fuzzing.sealed(tree, arrays)


def many_columns() -> bytes:
    column = {"name": "", "kind": "numeric", "median": 0, "mean": 0, "scale": 1, "categories": []}
    return changed(
        COMMAND_LINE["command line: scaled"], "preprocessing", "columns", value=[column] * 15_000
    )


BOMBS = {
    "one long label and many short ones": lambda: many_labels(
        ["x" * 10**6, *map(str, range(40_000))]
    ),
    "many labels": lambda: many_labels(list(map(str, range(100_000)))),
    "many numbers": lambda: many_labels(list(range(60_000))),
    "many layers": lambda: changed(
        ESTIMATORS["estimator: texts"], "config", "sizes", value=[1] * 300_000
    ),
    "many activations": lambda: changed(
        ESTIMATORS["estimator: texts"], "config", "activation", value=["relu"] * 200_000
    ),
    "huge layers": lambda: changed(
        ESTIMATORS["estimator: texts"], "config", "sizes", value=[3, 10**12, 3]
    ),
    "many columns": many_columns,
    "many figures": lambda: changed(
        ESTIMATORS["estimator: texts"], *FIGURES, "loss_curve_", value=[0.5] * 150_000
    ),
    "many names": lambda: changed(
        ESTIMATORS["estimator: texts"], "metadata", "estimator", "feature_names", value=["a"] * 10**5
    ),
    "deep": lambda: changed(
        ESTIMATORS["estimator: texts"], *PARAMETERS, "alpha", value=nested(900)
    ),
    "wide": lambda: wide_network(np.float64),
    "wide, half precision": lambda: wide_network(np.float16),
}  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def refusal_of(path: Path, read: Any) -> ModelFileError | None:
    """The error that a file is refused with, or None where it is read."""
    try:
        read(path)
    except ModelFileError as error:
        return error
    return None


@pytest.mark.parametrize("read", [load_model, TrainedModel.load], ids=["estimator", "model"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_loading_takes_twice_the_file_and_64_mib_at_most(bomb, read, tmp_path):
    path = tmp_path / "bomb"
    content = BOMBS[bomb]()
    path.write_bytes(content)
    size = len(content)
    del content
    tracemalloc.start()
    try:
        refusal = refusal_of(path, read)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 2 * size + 64 * MIB
    # The figures of a long training are no fault; what an estimator says of itself is passed over in a model.
    assert refusal is None or fuzzing.refusal_finding(refusal, path) is None
    works = {"wide", "wide, half precision", "many figures"}
    assert (refusal is not None) == (
        bomb not in works | ({"many names", "deep"} if read != load_model else set())
    )


def test_texts_that_would_take_more_room_than_the_bound_are_not_trained_into_a_file(tmp_path):
    assert MAX_CHARACTERS * 4 <= 16 * MIB
    names = ["x" * 10_000, *map(str, range(1000))]
    encoder = TargetEncoder.fit(names, "classification")
    mlp = MLP([1, len(names)])
    model = TrainedModel(mlp, mlp.initialize(), Preprocessor.fit(np.array([[0.0], [1.0]])), encoder)
    with pytest.raises(UsageError, match="reserves 1001 texts of 10000 characters"):
        model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


# Memory that runs out while a file is read.

OUT_OF_MEMORY = """
import contextlib, io, resource, sys
import numpy as np, pandas, sklearn.metrics
import anyarray_mlp.cli, anyarray_mlp.cli.evaluate, anyarray_mlp.pipeline.trained_model
from anyarray_mlp.backends import select_backend
select_backend("numpy")
model, *sources = sys.argv[1:]

def mapped():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

for source in sources:
    for room in (2, 6, 12, 20, 4000):
        resource.setrlimit(resource.RLIMIT_AS, (mapped() + (room << 20), resource.RLIM_INFINITY))
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                code = anyarray_mlp.cli.run(["evaluate", model, source])
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        print(source.rsplit("/", 1)[1], room, code, said.getvalue().strip().replace("\\n", " // "))
"""


#: Large blocks go back to the system when they are freed: what one file took is no room for the next beyond the limit.
LARGE_GO_BACK = {
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits an address space")
def test_memory_that_runs_out_while_data_are_read_is_told_as_such(tmp_path):
    import gzip
    import struct

    n, width = 20_000, 100
    digits = np.arange(n) % 10
    rows = np.zeros((n, width), np.uint8)
    rows[np.arange(n), digits] = 200
    text = b"".join(
        b",".join([b"200" if i == digit else b"0.5" for i in range(width)]) + b",%d\n" % digit
        for digit in digits[:8000].tolist()
    )
    (tmp_path / "t.csv").write_bytes(text)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text, 1))
    np.savez(tmp_path / "t.npz", x=rows.astype(np.float64), y=digits)
    np.savez_compressed(tmp_path / "z.npz", x=rows.astype(np.float64), y=digits)
    images = struct.pack(">4I", 0x0803, 10 * n, 10, 10) + rows.tobytes() * 10
    labels = struct.pack(">2I", 0x0801, 10 * n) + digits.astype(np.uint8).tobytes() * 10
    (tmp_path / "t-images-idx3-ubyte").write_bytes(images)
    (tmp_path / "t-labels-idx1-ubyte").write_bytes(labels)
    (tmp_path / "z-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, 1))
    (tmp_path / "z-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, 1))
    sources = [
        "t.csv", "t.csv.gz", "t.npz", "z.npz", "t-images-idx3-ubyte", "z-images-idx3-ubyte.gz",
    ]  # fmt: skip
    mlp = MLP([width, 10])
    model = TrainedModel(
        mlp,
        mlp.initialize(),
        Preprocessor.fit(rows[:9].astype(float)),
        TargetEncoder.fit(digits, "classification"),
    )
    model.save(tmp_path / "model")
    done = subprocess.run(
        [
            sys.executable, "-c", OUT_OF_MEMORY, str(tmp_path / "model"),
            *(str(tmp_path / name) for name in sources),
        ],
        capture_output=True, text=True, timeout=300, check=True, env={**os.environ, **LARGE_GO_BACK},
    )  # fmt: skip
    lines = [line.split(" ", 3) for line in done.stdout.splitlines()]
    assert len(lines) == 5 * len(sources)
    for name, room, code, *said in lines:
        message = said[0] if said else ""
        assert " // " not in message
        assert code == "0" if room == "4000" else code in ("0", "71"), (name, room, message)
    short = {name for name, room, code, *_ in lines if code == "71"}
    assert short == set(sources)
    for _, _, code, *said in lines:
        if code == "71":
            assert re.match(r"error: .*(out of memory while reading it|Out of memory)", said[0])


@pytest.mark.parametrize("read", [load_model, TrainedModel.load, read_checkpoint])
def test_memory_that_runs_out_in_a_model_file_is_told_as_such(read, tmp_path, monkeypatch):
    def exhausted(*arguments: Any) -> None:
        raise MemoryError

    path = tmp_path / "m"
    path.write_bytes(next(iter((CHECKPOINTS if read is read_checkpoint else ESTIMATORS).values())))
    monkeypatch.setattr("anyarray_mlp.persistence.container.decode_json", exhausted)
    with pytest.raises(OutOfMemoryError, match=rf"^{re.escape(str(path))}: out of memory"):
        read(path)


# What else lies in a run's folder.


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"record": 1}', '{"record": {}}', "[" * 10**5, '{"record": {"settings": []}}'],
    ids=lambda text: text[:30],
)
def test_a_diagnosis_that_is_none_is_refused_in_one_line(text, tmp_path):
    path = tmp_path / "diagnosis.json"
    path.write_text(text)
    with pytest.raises(DataError) as raised:
        load_diagnosis(tmp_path)
    assert str(path) in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    "text",
    [
        "a = [" + "[" * 10**5,
        "a" + ".a" * 10**5 + " = 1",
        "a = " + "9" * 10**5,
        "\0",
        'a = "\ud800"',
    ],
    ids=lambda text: ascii(text[:10]),
)
def test_a_configuration_that_is_none_is_refused_in_one_line(text, tmp_path):
    run = RunFolder(tmp_path)
    run.config_path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError) as raised:
        run.read_config()
    assert str(run.config_path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert json.dumps(str(raised.value)).isascii()


@pytest.mark.parametrize("report", [*malformed_reports.SEEN, *malformed_reports.HELD_OUT])
def test_what_was_reported_of_other_readers_is_refused(report, fuzzer):
    malformed = {**malformed_reports.SEEN, **malformed_reports.HELD_OUT}[report]
    refused = fuzzer.refused
    assert fuzzer.check(malformed(ESTIMATORS["estimator: texts"])) is None
    assert fuzzer.refused > refused


def test_a_score_that_no_float_holds_is_infinite(tmp_path):
    base = COMMAND_LINE["command line: two targets"]
    (tmp_path / "m").write_bytes(changed(base, "targets", "scale", value=[1e308, 1e308]))
    model = TrainedModel.load(tmp_path / "m")
    features = np.arange(12.0).reshape(4, 3)
    targets = np.array([[1e308, -1e308], [-1e308, 1e308]] * 2)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = model.scores(fuzzing.labelled(model, features, targets))
    assert scores["mean_squared_error"] == np.inf
    assert np.isnan(scores["r2"])


# F17: what earlier releases wrote. These files are never written again.

GOLDEN = Path(__file__).parent / "golden"


def test_an_estimator_that_an_earlier_release_saved_is_read():
    loaded = load_model(GOLDEN / "estimator-v1.safetensors")
    assert loaded.classes_.tolist() == ["ant", "bee", "wasp"]
    assert loaded.n_iter_no_change == np.inf
    assert loaded.loss_curve_ == [1.5079789031763449, 1.504597358538356]
    expected = [
        [0.15922, 0.074257, 0.766524],
        [0.276886, 0.141857, 0.581257],
        [0.080833, 0.041057, 0.878109],
    ]
    np.testing.assert_allclose(loaded.predict_proba(np.eye(3)), expected, atol=1e-6)


def test_a_model_that_an_earlier_release_trained_on_a_table_is_read():
    import pandas

    loaded = TrainedModel.load(GOLDEN / "table-v1.safetensors")
    rows = pandas.DataFrame({"size": [1.0, None], "colour": ["red", "blue"], "age": [3, 4]})
    assert loaded.predict(rows).tolist() == ["yes", "yes"]
    expected = [[0.13076176, 0.21064304, 0.65859526], [0.25622740, 0.30204335, 0.44172919]]
    np.testing.assert_allclose(loaded.outputs(rows), expected, atol=1e-6)


def test_a_checkpoint_that_an_earlier_release_wrote_is_read():
    loaded = read_checkpoint(GOLDEN / "checkpoint-v1.safetensors")
    assert (loaded.step, loaded.state["early_stopping"]) == (3, {"best": 0.5, "waited": 2})
    np.testing.assert_array_equal(loaded.arrays["parameters"], np.linspace(-1, 1, 9))


@pytest.mark.parametrize("power", [10**12, 1e308])
def test_a_power_that_no_float_holds_takes_no_time(power, tmp_path):
    base = ESTIMATORS["estimator: floats"]
    loaded = load_model_of(changed(base, *PARAMETERS, "power_t", value=power), tmp_path)
    for _ in range(2):
        loaded.partial_fit(np.eye(3), loaded.classes_)
    assert loaded._progress.rate == 0.0
