"""ONNX: every activation, output and kind of column in onnxruntime, within the parity bound of float64's reference."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.data import Preprocessor, TargetEncoder
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.network import register_activation
from anyarray_mlp.pipeline import TrainedModel
from tests.beds import unless_expected
from tests.exported import KINDS, NUMBERS, Case, as_numbers, as_texts, cases, model_of

CASES = cases()


@pytest.fixture
def session(tmp_path: Path) -> Any:
    """`session(model, dtype)`: what onnxruntime makes of an exported model."""
    for name in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            unless_expected("onnx", f"{name} is not installed")
    import onnxruntime

    def open_model(model: TrainedModel, dtype: str = "float32") -> Any:
        model.export(tmp_path / "model.onnx", dtype=dtype, overwrite=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(
            str(tmp_path / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    return open_model


def fed(case: Case, session: Any) -> dict[str, Any]:
    """The rows as the file asks for them."""
    if case.model.preprocessor.pixels:
        return {"pixels": case.rows}
    columns = {
        column.name: np.array(as_texts(case.rows[column.name]), dtype=object)[:, None]
        if column.categories
        else as_numbers(column, case.rows[column.name])[:, None]
        for column in case.model.preprocessor.used
    }
    if [each.name for each in session.get_inputs()] == ["features"]:
        return {"features": np.hstack([*columns.values()])}
    return columns


def answers(session: Any, feed: dict[str, Any]) -> dict[str, np.ndarray]:
    """The outputs by name."""
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_a_model_in_onnx_answers_as_predict_does(session: Any, name: str, dtype: str) -> None:
    case = CASES[name]
    targets = case.model.targets
    model = session(case.model, dtype)
    found = answers(model, fed(case, model))
    reference, bound = case.reference(dtype)
    labels = case.model.decode(case.outputs(dtype))
    if targets.task == "regression":
        reference, bound = case.values(dtype)
        values = found["prediction"]
        assert values.shape == labels.shape
        assert values.dtype == np.float64
        error = np.abs(values.reshape(bound.shape) - reference)
        assert (error <= bound).all()
        return
    probabilities = found["probabilities"]
    assert probabilities.dtype == dtype
    if probabilities.shape != reference.shape:
        assert np.allclose(probabilities.sum(axis=1), 1.0)
        probabilities = probabilities[:, 1:]
    assert (np.abs(probabilities - reference) <= bound).all()
    # Rows whose likeliest class leads by no more than the bound may go either way.
    assert (found["label"] == labels).mean() > 0.97
    assert found["label"].dtype.kind == labels.dtype.kind or labels.dtype.kind == "U"


def test_the_file_says_its_versions_and_columns(session: Any, tmp_path: Path) -> None:
    model = session(CASES["categories"].model)
    assert [(each.name, each.type) for each in model.get_inputs()] == [
        ("kind", "tensor(string)"), ("sort", "tensor(string)"), ("zone", "tensor(string)"), ("a", "tensor(double)")
    ]  # fmt: skip
    told = model.get_modelmeta()
    assert json.loads(told.custom_metadata_map["columns"]) == ["kind", "sort", "zone", "a"]
    assert told.producer_name == "anyarray-mlp"
    import onnx

    read = onnx.load(str(tmp_path / "model.onnx"))
    assert {each.domain: each.version for each in read.opset_import} == {"": 17, "ai.onnx.ml": 3}
    assert read.ir_version == 8


def test_a_category_is_found_as_predict_finds_it(session: Any) -> None:
    case = CASES["categories"]
    rows = KINDS.head(6).assign(kind=["3", "3.0", "new", None, "naïve", 'say "so"'])
    rows["zone"] = ["z1", "elsewhere", None, "z2", "z3", "nowhere"]
    model = session(case.model)
    found = answers(model, fed(replace(case, rows=rows), model))
    with pytest.warns(UserWarning, match="counts as a gap"):
        expected = case.model.outputs(rows)
    assert np.allclose(found["probabilities"], expected, rtol=1e-5, atol=1e-6)


def test_names_that_are_taken_and_formulas_of_ones_own(session: Any) -> None:
    def swing(xp: Any, z: Any) -> Any:
        a = xp.log1p(xp.expm1(z) ** 2) / (1.0 + xp.where((z != 0) & ~(z > 3), xp.sign(z), 0.5) ** 2)
        return a + xp.floor(xp.maximum(z, -2.5)), lambda da: da

    def constant(xp: Any, z: Any) -> Any:
        return xp.ones_like(z), lambda da: da

    rows = KINDS.rename(columns={"sort": "label", "a": "probabilities"})
    preprocessor = Preprocessor.fit(rows)
    activations = [register_activation("swing", swing), register_activation("steady", constant)]
    case = Case(model_of(preprocessor, hidden=(6, 4), activation=activations), rows)
    model = session(case.model)
    found = answers(model, fed(case, model))
    assert set(found) == {"label_", "probabilities_"}
    assert np.allclose(found["probabilities_"], case.outputs("float32"), rtol=1e-4, atol=1e-5)
    twice = preprocessor.columns + preprocessor.columns[:1]
    other = model_of(Preprocessor(twice))
    with pytest.raises(UsageError, match="'kind' is empty or there twice"):
        session(other)


def test_one_class_that_an_estimator_met_is_the_answer(session: Any) -> None:
    model = model_of(
        Preprocessor.fit(NUMBERS), target=np.arange(240) % 2, output="logistic", outputs=1
    )
    model = replace(model, targets=TargetEncoder("classification", classes=np.array([7])))
    opened = session(model)
    found = answers(opened, fed(Case(model, NUMBERS), opened))
    assert set(found["label"]) == {7} == set(model.predict(NUMBERS))


def test_without_onnx_its_install_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Any
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'anyarray-mlp\[export\]'"):
        CASES["linear"].model.export(tmp_path / "x.onnx")
    CASES["linear"].model.save("linear.safetensors")
    code, _, err = cli("export", "linear.safetensors", "--to", "onnx")
    assert code == 69
    assert "pip install 'anyarray-mlp[export]'" in err
