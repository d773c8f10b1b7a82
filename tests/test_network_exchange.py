"""Weights of other libraries: what their networks give, ours give with the same weights, and back."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

import anyarray_mlp
from anyarray_mlp import MLP, predict
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.exchange import (
    from_keras_weights,
    from_pytorch_state,
    from_sklearn,
    to_keras_weights,
    to_pytorch_state,
    to_sklearn,
)

X = np.random.default_rng(0).standard_normal((20, 4))
NETWORKS = [
    (MLP((4, 6, 5, 3), "tanh", "identity"), True),
    (MLP((4, 6, 5, 3), ("tanh", "tanh"), "identity", dropout=(0.5, 0.0)), True),
    (MLP((4, 3), output="identity", bias=False), False),
]


def vector(mlp: MLP, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(1).standard_normal(mlp.layout.size).astype(dtype)


def torch_twin(mlp: MLP, bias: bool) -> Any:
    """The network as nn.Sequential, in float64."""
    torch = pytest.importorskip("torch")
    layers: list[Any] = []
    for layer, (i, o) in enumerate(zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True)):
        layers.append(torch.nn.Linear(i, o, bias=bias))
        if layer < len(mlp.activation):
            layers.append(torch.nn.Tanh())
            if mlp.dropout[layer]:
                layers.append(torch.nn.Dropout(mlp.dropout[layer]))
    return torch.nn.Sequential(*layers).double().eval()


@pytest.mark.parametrize(("mlp", "bias"), NETWORKS)
def test_pytorch_computes_the_same(mlp, bias):
    torch = pytest.importorskip("torch")
    twin, theta = torch_twin(mlp, bias), vector(mlp)
    expected = twin(torch.from_numpy(X)).detach().numpy()
    for given in (twin, twin.state_dict()):
        found = predict(
            mlp,
            from_pytorch_state(mlp, given),
            X,
            backend=anyarray_mlp.select_backend(dtype="float64"),
        )
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    state = to_pytorch_state(mlp, theta)
    twin.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})
    ours = predict(mlp, theta, X, backend=anyarray_mlp.select_backend(dtype="float64"))
    np.testing.assert_allclose(twin(torch.from_numpy(X)).detach().numpy(), ours, rtol=1e-12)
    np.testing.assert_array_equal(from_pytorch_state(mlp, twin), theta)


def test_layers_of_a_module_may_have_any_names():
    mlp = MLP((4, 6, 3))
    theta = vector(mlp, np.float32)
    state = to_pytorch_state(mlp, theta, names=("body.fc1", "head"))
    assert {name: (a.shape, a.dtype) for name, a in state.items()} == {
        "body.fc1.weight": ((6, 4), np.float32), "body.fc1.bias": ((6,), np.float32),
        "head.weight": ((3, 6), np.float32), "head.bias": ((3,), np.float32),
    }  # fmt: skip
    again = from_pytorch_state(mlp, state)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, theta)
    one = MLP((4, 2))
    torch = pytest.importorskip("torch")
    linear = torch.nn.Linear(4, 2)
    np.testing.assert_array_equal(
        from_pytorch_state(one, linear),
        np.append(linear.weight.detach().numpy().T.ravel(), linear.bias.detach().numpy()),
    )


def test_keras_weights_are_kernels_and_biases_in_turn():
    mlp = MLP((4, 6, 3), "relu", "softmax")
    theta = vector(mlp)
    kernel, bias, last, last_bias = to_keras_weights(mlp, theta)
    z = np.maximum(X @ kernel + bias, 0) @ last + last_bias
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    found = predict(mlp, theta, X, backend=anyarray_mlp.select_backend(dtype="float64"))
    np.testing.assert_allclose(found, expected, rtol=1e-12)

    class Model:
        def get_weights(self) -> list[Any]:
            return [kernel, bias, last, last_bias]

    for given in (Model(), Model().get_weights()):
        np.testing.assert_array_equal(from_keras_weights(mlp, given), theta)
    bare = MLP((4, 6, 3), bias=False)
    assert [a.shape for a in to_keras_weights(bare, vector(bare))] == [(4, 6), (6, 3)]
    np.testing.assert_array_equal(
        from_keras_weights(bare, to_keras_weights(bare, vector(bare))), vector(bare)
    )
    kernel[...] = 0.0
    assert np.all(theta[:24] != 0)  # copies


Y = {
    "binary": (X[:, 0] > 0).astype(int),
    "three classes": np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)],
    "labels": (X[:, :3] > 0).astype(int),
    "values": X[:, 0] - X[:, 1],
    "several values": X[:, :2] * 2.0,
}


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("kind", Y)
def test_estimators_predict_the_same_and_come_back(kind, ours):
    y = Y[kind]
    source: Any = anyarray_mlp if ours else None
    name = "MLPRegressor" if "values" in kind else "MLPClassifier"
    kinds = {"MLPRegressor": MLPRegressor, "MLPClassifier": MLPClassifier}
    make = getattr(source, name) if ours else kinds[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = make(hidden_layer_sizes=(5,), activation="tanh", max_iter=5, random_state=0).fit(
            X, y
        )
    mlp, theta = from_sklearn(fitted)
    assert (mlp.sizes[:2], mlp.activation) == ((4, 5), ("tanh",))
    outputs = predict(mlp, theta, X, backend=anyarray_mlp.select_backend(dtype="float64"))
    if name == "MLPClassifier":
        expected = fitted.predict_proba(X)
        expected = expected[:, 1:] if kind == "binary" else expected
    else:
        expected = fitted.predict(X).reshape(len(X), -1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10)
    classes = getattr(fitted, "classes_", None)
    again = to_sklearn(mlp, theta, classes)
    assert type(again) is kinds[name]
    assert again.hidden_layer_sizes == (5,)
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(from_sklearn(again)[1], theta)


def test_scikit_learn_takes_two_classes_of_a_softmax_and_a_network_without_bias():
    mlp = MLP((4, 5, 2), "relu", bias=False)
    theta = vector(mlp)
    estimator = to_sklearn(mlp, theta, ["no", "yes"])
    outputs = predict(mlp, theta, X, backend=anyarray_mlp.select_backend(dtype="float64"))
    assert estimator.predict(X).tolist() == [["no", "yes"][k] for k in outputs.argmax(axis=1)]
    np.testing.assert_allclose(estimator.predict_proba(X), outputs, rtol=1e-12)


SMALL = MLP((4, 6, 3))
STATE = to_pytorch_state(SMALL, vector(SMALL))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_pytorch_state(SMALL, vector(SMALL)[1:]), r"^parameters must be a vector of shape \(51,\)"),
        (lambda: to_pytorch_state((4, 3), vector(SMALL)), "^mlp must be an MLP"),
        (lambda: to_pytorch_state(SMALL, vector(SMALL), ["a"]), "^names must be a name for each of 2 linear layers"),
        (lambda: from_pytorch_state(SMALL, [1, 2]), r"^state must be a module of linear layers or its state_dict\(\)"),
        (
            lambda: from_pytorch_state(SMALL, {**STATE, "1.running_mean": np.ones(6)}),
            r"^state holds 1.running_mean of shape \(6,\), which is no linear layer's",
        ),
        (
            lambda: from_pytorch_state(SMALL, {**STATE, "1.weight": np.ones(6)}),
            r"^state holds 1.weight of shape \(6,\), which is no linear layer's",
        ),
        (
            lambda: from_pytorch_state(MLP((4, 6, 6, 3)), STATE),
            r"^state holds weights of 2 layers, and a network \(4, 6, 6, 3\) with bias=True has weights of 3",
        ),
        (
            lambda: from_pytorch_state(MLP((4, 6, 3), bias=False), STATE),
            r"^state holds biases of 2 layers, and a network .* with bias=False has biases of 0",
        ),
        (
            lambda: from_pytorch_state(MLP((4, 7, 3)), STATE),
            r"^0.weight is of shape \(4, 6\) and must be \(4, 7\) \(inputs by outputs\)",
        ),
        (lambda: from_keras_weights(SMALL, 3), "^weights must be a model of Dense layers"),
        (
            lambda: from_keras_weights(SMALL, to_keras_weights(SMALL, vector(SMALL))[:3]),
            "^weights holds biases of 1 layer, and",
        ),
        (lambda: from_keras_weights(SMALL, ["a", "b", "c", "d"]), r"^weights\[0\] must be an array of numbers"),
        (lambda: from_sklearn(MLPClassifier()), "^estimator must be a fitted MLPClassifier"),
        (lambda: to_sklearn(MLP((4, 6, 3), "gelu"), vector(SMALL)), "one activation for all hidden.*network has gelu"),
        (lambda: to_sklearn(MLP((4, 5, 5, 3), ("relu", "tanh")), vector(MLP((4, 5, 5, 3)))), "has relu, tanh"),
        (lambda: to_sklearn(MLP((4, 6, 3), output="exp"), vector(SMALL)), "the network has exp"),
        (lambda: to_sklearn(SMALL, vector(SMALL), ["a", "b"]), "^classes must be 3 different labels, sorted"),
        (lambda: to_sklearn(SMALL, vector(SMALL), ["b", "a", "c"]), "^classes must be 3 different labels, sorted"),
        (lambda: to_sklearn(MLP((4, 6, 3), output="identity"), vector(SMALL), [0, 1, 2]), "this one is identity"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()
