"""Weights as files of PyTorch and NumPy: they give the network's outputs there, and come back to the bit."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.data import Preprocessor
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.network import from_keras_weights, from_pytorch_state
from tests.beds import require_library
from tests.exported import NUMBERS, Case, model_of

CASE = Case(model_of(Preprocessor.fit(NUMBERS), activation="tanh", dropout=[0.5, 0.0]), NUMBERS)


def test_a_state_dict_gives_the_logits_in_pytorch_and_comes_back(tmp_path: Path) -> None:
    require_library("torch")
    import torch
    from torch import nn

    CASE.model.export(tmp_path / "model.pt", dtype="float64")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    module = nn.Sequential(
        nn.Linear(3, 7), nn.Tanh(), nn.Dropout(), nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3)
    ).double()
    module.load_state_dict(state)
    module.eval()
    with torch.no_grad():
        outputs = torch.softmax(module(torch.from_numpy(CASE.inputs("float64"))), 1).numpy()
    assert np.allclose(outputs, CASE.outputs("float64"), rtol=1e-12, atol=1e-15)
    back = replace(CASE.model, parameters=from_pytorch_state(CASE.model.mlp, module))
    assert np.array_equal(back.parameters, CASE.model.parameters)


def test_arrays_of_dense_layers_come_back(tmp_path: Path) -> None:
    CASE.model.export(tmp_path / "model.npz", "keras", dtype="float64")
    with np.load(tmp_path / "model.npz") as file:
        arrays = [file[name] for name in file.files]
    assert [array.shape for array in arrays] == [(3, 7), (7,), (7, 5), (5,), (5, 3), (3,)]
    assert np.array_equal(from_keras_weights(CASE.model.mlp, arrays), CASE.model.parameters)


def test_what_cannot_be_had_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Any
) -> None:
    several = replace(CASE.model, parameters=np.stack([CASE.model.parameters] * 2))
    for to in ("torch", "keras"):
        with pytest.raises(UsageError, match=r"averages 2 networks.*export to c or onnx"):
            several.export(tmp_path / "x", to)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'anyarray-mlp\[torch\]'"):
        CASE.model.export(tmp_path / "model.pt")
