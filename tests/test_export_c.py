"""C: every activation, output and kind of column, compiled and within the parity bound of float64's reference."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.data import Preprocessor
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network import register_activation
from anyarray_mlp.network.before import Periodic
from anyarray_mlp.pipeline import TrainedModel
from tests.beds import unless_expected
from tests.exported import NUMBERS, Case, as_numbers, as_texts, cases, model_of

CASES = cases()
#: In float64, what has something of its own there.
IN_FLOAT64 = ("activations", "others", "regressions", "rates", "labels", "pieces", "pixels")
#: The file of each case: those of one model have one.
FILES = {
    name: next(first for first in CASES if CASES[first].model is case.model)
    for name, case in CASES.items()
}
TRIED = [(name, "float32") for name in CASES] + [(name, "float64") for name in IN_FLOAT64]
FLAGS = [
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-Wshadow",
    "-Wmissing-prototypes",
    "-O1",
]


def compiler() -> str:
    """A C compiler; the test is skipped where there is none."""
    found = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if found is None:
        unless_expected("cc", "there is no C compiler")
    assert found is not None
    return found


def compiled(folder: Path, files: dict[str, TrainedModel], dtype: str = "float32") -> Any:
    """A library of models by name, as they were exported."""
    for name, model in files.items():
        model.export(folder / f"{name}.c", dtype=dtype)
    sources = [folder / f"{name}.c" for name in files]
    target = folder / f"{dtype}.so"
    command = [compiler(), *FLAGS, "-shared", "-fPIC", *sources, "-o", target, "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    return ctypes.CDLL(str(target))


def numbers_of(library: Any, name: str, case: Case) -> np.ndarray:
    """The rows as numbers (n, columns) in the way that the file asks for."""
    if case.model.preprocessor.pixels:
        return np.ascontiguousarray(case.rows)
    columns = []
    for place, column in enumerate(case.model.preprocessor.used):
        cells = case.rows[column.name]
        if column.categories:
            lookup = library[f"{name}_category"]
            lookup.restype = ctypes.c_double
            columns.append([lookup(place, text.encode()) for text in as_texts(cells)])
        else:
            columns.append(as_numbers(column, cells))
    return np.ascontiguousarray(np.array(columns, dtype=np.float64).T)


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def answers(library: Any, name: str, case: Case, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """What the function gives for each row: codes (n,) and numbers (n, k)."""
    predict = library[f"{name}_predict"]
    rows = numbers_of(library, name, case)
    task, k = case.model.targets.task, case.model.mlp.sizes[-1]
    k = 2 if task == "classification" and k == 1 else k
    values = np.zeros((len(rows), k), np.float64 if task == "regression" else dtype)
    codes = [predict(pointer(row), pointer(value)) for row, value in zip(rows, values, strict=True)]
    return np.array(codes), values


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The models of every case, by dtype."""
    models = {FILES[name]: CASES[name].model for name in FILES}
    in_float64 = {name: models[name] for name in IN_FLOAT64}
    return {
        "float32": compiled(tmp_path_factory.mktemp("float32"), models),
        "float64": compiled(tmp_path_factory.mktemp("float64"), in_float64, "float64"),
    }


@pytest.mark.parametrize(("name", "dtype"), TRIED)
def test_a_model_in_c_answers_as_predict_does(library: Any, name: str, dtype: str) -> None:
    case = CASES[name]
    targets = case.model.targets
    codes, values = answers(library[dtype], FILES[name], case, dtype)
    reference, bound = case.reference(dtype)
    outputs = case.outputs(dtype)
    assert (np.abs(outputs - reference) <= bound).all()
    if targets.task == "regression":
        reference, bound = case.values(dtype)
    elif len(values.T) > len(reference.T):
        reference = np.hstack([1.0 - reference, reference])
        bound = np.hstack([bound + np.finfo(dtype).eps, bound])
    assert (np.abs(values - reference) <= bound).all()
    assert bound.max() <= 1e-3 * max(1.0, np.abs(reference).max())  # which says something
    assert (codes >= 0).all()
    if targets.task == "classification":
        sure = np.abs(np.diff(np.sort(reference, axis=1)[:, -2:], axis=1)[:, 0]) > 2 * bound.max()
        labels = case.model.decode(outputs)
        assert sure.mean() > 0.5
        assert np.array_equal(np.asarray(targets.classes)[codes[sure]], labels[sure])


def test_a_value_of_no_use_is_told_by_its_column(library: Any) -> None:
    out = np.zeros(3, np.float32)
    numbers, kinds = library["float32"].linear_predict, library["float32"].categories_predict
    assert numbers(pointer(np.array([1.0, np.inf, 1.0])), pointer(out)) == -2
    assert numbers(pointer(np.array([1.0, 1.0, 1e300])), pointer(out)) == -3
    used = CASES["categories"].model.preprocessor.used
    assert [column.kind for column in used] == ["categorical", "binary", "grouped", "numeric"]
    rest = float(len(used[2].categories))
    for row, code in (
        ([0.0, 1.0, rest, 1.0], 0),
        ([np.nan, np.nan, np.nan, np.nan], 0),
        ([6.0, 0.0, 0.0, 1.0], -1),
        ([0.5, 0.0, 0.0, 1.0], -1),
        ([0.0, 2.0, 0.0, 1.0], -2),
        ([0.0, 0.0, rest + 1, 1.0], -3),
    ):
        found = kinds(pointer(np.array(row)), pointer(out))
        assert min(found, 0) == code, row
    dates = CASES["dates_standard"]
    names = [column.name for column in dates.model.preprocessor.used]
    row = numbers_of(library["float32"], "dates_standard", dates)[0]
    of_dates = library["float32"].dates_standard_predict
    for name, value, is_date in (
        ("yyyymmdd", 20240229.0, True),
        ("yyyymmdd", 20230229.0, False),
        ("yyyymmdd", 20241301.0, False),
        ("yyyymmdd", 2024.5, False),
        ("yyyymmdd", -1.0, False),
        ("yymmdd", 691231.0, True),
        ("yymmdd", 1.0, False),
        ("ddmmyy", 10170.0, True),
        ("year", 2024.5, False),
        ("year", 0.0, False),
        ("seconds", 1e300, False),
        ("text", -719163.0, False),
        ("text", np.inf, False),
    ):
        place = names.index(name)
        changed = np.where(np.arange(len(row)) == place, value, row)
        code = of_dates(pointer(changed), pointer(out))
        assert (code >= 0) if is_date else (code == -place - 1), (name, value, code)


def test_a_gap_that_training_has_not_met_is_refused_where_predict_refuses_it(
    tmp_path: Path,
) -> None:
    fitted = Preprocessor.fit(NUMBERS)
    columns = tuple(type(column)(**{**vars(column), "median": None}) for column in fitted.columns)
    model = model_of(Preprocessor(columns))
    found = compiled(tmp_path, {"strict": model})
    out = np.zeros(3, np.float32)
    assert found.strict_predict(pointer(np.array([1.0, np.nan, 1.0])), pointer(out)) == -2


def test_names_of_columns_and_classes_are_there_as_they_are(library: Any) -> None:
    names = CASES["named"].model.targets.classes
    assert names is not None
    found = (ctypes.c_char_p * len(names)).in_dll(library["float32"], "named_classes")
    assert [text.decode() for text in found] == names.tolist()
    found = (ctypes.c_char_p * 2).in_dll(library["float32"], "binary_classes")
    assert [text.decode() for text in found] == ["False", "True"]


def test_a_category_is_found_as_predict_finds_it(library: Any) -> None:
    lookup = library["float32"].categories_category
    lookup.restype = ctypes.c_double
    column = CASES["categories"].model.preprocessor.used[0]
    for text in ("3", "3.0", "3.00"):
        assert lookup(0, text.encode()) == column.position(text), text
    for text in ("3.", "3.01", "30", "new", "say", 'say "so" ', ""):
        assert np.isnan(lookup(0, text.encode())), text
    zones = CASES["categories"].model.preprocessor.used[2]
    assert lookup(2, b"elsewhere") == zones.rest
    assert np.isnan(lookup(2, b""))
    assert np.isnan(lookup(3, b"x"))
    assert np.isnan(lookup(9, b"x"))


def test_the_program_answers_rows_of_its_input(tmp_path: Path) -> None:
    for name in ("categories", "regressions", "dates_standard", "pixels", "labels"):
        case = CASES[name]
        case.model.export(tmp_path / f"{name}.c")
        target = tmp_path / name
        command = [compiler(), *FLAGS, f"-D{name}_MAIN", f"{target}.c", "-o", target, "-lm"]
        subprocess.run(command, check=True, timeout=300)
        rows = pd.DataFrame(case.rows).head(50)
        if "slashed" in rows:
            # The program reads dates as 2024-01-31.
            rows["slashed"] = pd.to_datetime(rows["slashed"], format="%d/%m/%Y")
        used = [column.name for column in case.model.preprocessor.used]
        text = rows.to_csv(
            index=False, header=name != "pixels", columns=None if name == "pixels" else used
        )
        ran = subprocess.run([target], input=text, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        lines = [line.split(",") for line in ran.stdout.splitlines()]
        answer = case.model.predict(case.rows[:50])
        outputs = case.outputs("float32")[:50]
        if case.model.targets.task == "classification":
            assert [line[0] for line in lines] == answer.tolist()
            lines = [line[1:] for line in lines]
        values = answer if case.model.targets.task == "regression" else outputs
        assert np.allclose(np.array(lines, dtype=float), values, rtol=1e-5, atol=1e-6), name
    ran = subprocess.run([tmp_path / "pixels"], input="1,2,256\n", capture_output=True, text=True)
    assert ran.returncode == 1
    assert "line 1, column feature_3: 256" in ran.stderr


def test_an_activation_of_ones_own_is_exported_by_its_formula(tmp_path: Path) -> None:
    def swing(xp: Any, z: Any) -> Any:
        a = xp.sqrt(z * z + 1.0) / (2.0 - xp.where((z > 0) & ~(z > 3), xp.sign(z), 0.5)) + xp.abs(z)
        return a, lambda da: da

    def by_rows(xp: Any, z: Any) -> Any:
        return z - xp.max(z, axis=-1, keepdims=True), lambda da: da

    case = Case(
        model_of(Preprocessor.fit(NUMBERS), activation=register_activation("swing", swing)), NUMBERS
    )
    _, values = answers(compiled(tmp_path, {"own": case.model}), "own", case, "float32")
    assert np.allclose(values, case.outputs("float32"), rtol=1e-5, atol=1e-6)
    other = model_of(Preprocessor.fit(NUMBERS), activation=register_activation("by_rows", by_rows))
    with pytest.raises(
        UsageError, match=r"'by_rows' cannot be exported: it uses 'max', which is no"
    ):
        other.export(tmp_path / "other.c")
    assert not (tmp_path / "other.c").exists()


def test_the_program_of_the_page_says_what_predict_says(tmp_path: Path, cli: Any) -> None:
    page = (Path(__file__).parent.parent / "docs/export.md").read_text()
    snippet = re.search(r"```c\n(.*?)```", page, re.DOTALL)
    assert snippet is not None
    assert cli("train", "iris", "--out", "runs/iris", "--epochs", "2", "--quiet")[0] == 0
    assert cli("export", "runs/iris", "--to", "c") == (0, "wrote iris.c\n", "")
    Path("main.c").write_text(snippet[1])
    command = [compiler(), *FLAGS, "main.c", "iris.c", "-o", tmp_path / "iris", "-lm"]
    subprocess.run(command, check=True, timeout=300)
    ran = subprocess.run([tmp_path / "iris"], capture_output=True, text=True, timeout=120)
    row = np.array([[5.1, 3.5, 1.4, 0.2]])
    model = TrainedModel.load("runs/iris")
    assert ran.stdout == f"{model.predict(row)[0]} {model.outputs(row).max():.3f}\n"


def test_the_file_names_no_library_but_c_and_holds_every_weight_to_the_bit(tmp_path: Path) -> None:
    model = CASES["linear"].model
    model.export(tmp_path / "my model.v2.c", name="2nd model!", dtype="float64")
    text = (tmp_path / "my model.v2.c").read_text("ascii")
    assert "int model_2nd_model_predict(const double *row, double *answer)" in text
    code = re.sub(r"#ifdef.*", "", text, flags=re.DOTALL)
    assert set(re.findall(r"#include <(.*)>", code)) == {"math.h"}
    assert "alloc" not in code.replace("no allocation", "")
    table = re.search(r"weights_0_0\[\] = \{(.*?)\}", text, re.DOTALL)
    assert table is not None
    found = [float.fromhex(cell) for cell in table[1].split(",") if cell.strip()]
    assert found == model.mlp.layout.split(model.parameters)[0].ravel().tolist()


def test_what_cannot_be_exported_is_refused_in_a_line(tmp_path: Path, cli: Any) -> None:
    model = CASES["linear"].model
    for arguments, message in (
        ({"path": tmp_path / "x.cpp"}, r"does not say what to export to: end it in .c for c"),
        ({"path": tmp_path / "x", "to": "fortran"}, "to must be one of c, onnx, torch, keras"),
        ({"path": tmp_path / "x.c", "dtype": "float16"}, "dtype must be one of float32, float64"),
        ({"path": tmp_path / "x.c", "overwrite": 1}, "overwrite"),
    ):
        with pytest.raises(UsageError, match=message):
            model.export(**arguments)  # type: ignore[arg-type]
    model.save("linear.safetensors")
    assert cli("export", "linear.safetensors", "--to", "c") == (0, "wrote linear.c\n", "")
    code, _, err = cli("export", "linear.safetensors", "--to", "c")
    assert code == 73
    assert "already exists" in err
    assert cli("export", "linear.safetensors", "--out", "other.c", "--name", "one")[0] == 0
    assert "one_predict" in Path("other.c").read_text()
    assert "give --to, one of c, onnx" in cli("export", "linear.safetensors")[2]


def test_a_network_with_what_is_not_known_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CASES["linear"].model.mlp.to_config()
    monkeypatch.setattr(MLP, "to_config", lambda self: {**config, "waves": 4, "unused": 0})
    with pytest.raises(UsageError, match="the setting 'waves', which cannot be exported"):
        CASES["linear"].model.export(tmp_path / "x.c")
    monkeypatch.undo()
    waves = model_of(Preprocessor.fit(NUMBERS), before=[Periodic()])
    with pytest.raises(UsageError, match="the layer 'Periodic', which cannot be exported"):
        waves.export(tmp_path / "x.c")
