"""Weights to and from PyTorch, Keras and scikit-learn.

Parameters are a flat host vector (p,), as `Fit.parameters`; the other side's weights are arrays of any library, read as
they are: float32 stays float32. PyTorch keeps a weight as (o, i), everybody else as (i, o).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.checking.values import is_real, items, refuse
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.typing import Host

#: What scikit-learn's estimators have.
SKLEARN_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
SKLEARN_OUTPUTS = ("identity", "logistic", "softmax")
#: Losses as scikit-learn calls them, and here.
SKLEARN_LOSSES = {"squared_error": "squared_error", "poisson": "poisson", "log_loss": "auto"}


def to_pytorch_state(
    mlp: MLP, parameters: Host, names: Sequence[str] | None = None
) -> dict[str, Host]:
    """Weights (o, i) and biases (o,) by the names that `load_state_dict` takes, as NumPy arrays.

    `names` are those of the linear layers; None for an `nn.Sequential` of Linear, activation, and Dropout where the
    network drops units: "0", "2", "4". For PyTorch: `{name: torch.from_numpy(a) for name, a in state.items()}`.
    """
    weights, biases = layers_of(mlp, parameters)
    if names is None:
        places = np.cumsum([0, *(2 + (rate > 0) for rate in mlp.dropout)])  # type: ignore[union-attr]
        names = [str(place) for place in places]
    names = items("names", names, f"a name for each of {mlp.layout.n_layers} linear layers")
    if len(names) != len(weights) or not all(isinstance(name, str) for name in names):
        refuse("names", f"a name for each of {mlp.layout.n_layers} linear layers", names)
    state = {}
    for name, w, b in zip(names, weights, biases, strict=True):
        state[f"{name}.weight"] = np.ascontiguousarray(w.T)
        if b is not None:
            state[f"{name}.bias"] = b
    return state


def from_pytorch_state(mlp: MLP, state: Any) -> Host:
    """Parameters (p,) of a module of linear layers, or of its `state_dict()`, in the order of its layers.

    Raises `UsageError` where it holds something else, or layers of other shapes.
    """
    check_plain(mlp)
    if hasattr(state, "state_dict"):
        state = state.state_dict()
    if not isinstance(state, Mapping):
        refuse("state", "a module of linear layers or its state_dict()", state)
    arrays = {str(name): as_host(name, array) for name, array in state.items()}
    weights = [(name, a.T) for name, a in arrays.items() if is_last(name, "weight") and a.ndim == 2]
    biases = []
    for name, _ in weights:
        bias = name.removesuffix("weight") + "bias"
        if bias in arrays:
            biases.append((bias, arrays[bias]))
    foreign = set(arrays) - {name for name, _ in [*weights, *biases]}
    if foreign:
        name = min(foreign)
        raise UsageError(
            f"state holds {name} of shape {arrays[name].shape}, which is no linear layer's weight (o, i) or bias (o,)."
        )
    return packed(mlp, weights, biases, "state")


def is_last(name: str, kind: str) -> bool:
    """Whether the last part of a name with dots is `kind`."""
    return name.rpartition(".")[2] == kind


def to_keras_weights(mlp: MLP, parameters: Host) -> list[Host]:
    """Kernel (i, o) and bias (o,) of each layer in turn, as `Sequential.set_weights` takes them."""
    pairs = zip(*layers_of(mlp, parameters), strict=True)
    return [array for pair in pairs for array in pair if array is not None]


def from_keras_weights(mlp: MLP, weights: Any) -> Host:
    """Parameters (p,) of a model of Dense layers, or of its `get_weights()`.

    Raises `UsageError` where it holds something else, or layers of other shapes.
    """
    check_plain(mlp)
    if hasattr(weights, "get_weights"):
        weights = weights.get_weights()
    given = items("weights", weights, "a model of Dense layers or its get_weights()")
    arrays = [
        (f"weights[{place}]", as_host(f"weights[{place}]", array))
        for place, array in enumerate(given)
    ]
    step = 2 if mlp.bias else 1
    return packed(mlp, arrays[::step], arrays[1::2] if mlp.bias else [], "weights")


def to_sklearn(mlp: MLP, parameters: Host, classes: Sequence[Any] | None = None) -> Any:
    """A fitted `sklearn.neural_network` estimator that predicts as the network does.

    An `MLPRegressor` for the output identity, else an `MLPClassifier` of `classes`, in the order of the outputs (0, 1,
    ... if None); several logistic outputs are several labels. Raises `UsageError` for what scikit-learn lacks.
    """
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import LabelBinarizer

    weights, biases = layers_of(mlp, parameters)
    activations = set(mlp.activation) or {"identity"}
    if len(activations) > 1 or not activations <= set(SKLEARN_ACTIVATIONS):
        raise UsageError(
            f"scikit-learn has one activation for all hidden layers, of {', '.join(SKLEARN_ACTIVATIONS)}, and the "
            f"network has {', '.join(sorted(activations))}."
        )
    if mlp.output not in SKLEARN_OUTPUTS:
        raise UsageError(
            f"scikit-learn has the outputs {', '.join(SKLEARN_OUTPUTS)}, and the network has {mlp.output}."
        )
    kind = MLPRegressor if mlp.output == "identity" else MLPClassifier
    estimator = kind(hidden_layer_sizes=tuple(mlp.sizes[1:-1]), activation=activations.pop())
    k = mlp.sizes[-1]
    vars(estimator).update(
        coefs_=weights,
        intercepts_=[
            np.zeros(len(w.T), w.dtype) if b is None else b
            for w, b in zip(weights, biases, strict=True)
        ],
        n_features_in_=mlp.sizes[0],
        n_layers_=len(mlp.sizes),
        n_outputs_=k,
        out_activation_=mlp.output,
        n_iter_=0,
        t_=0,
    )
    if mlp.output == "identity":
        if classes is not None:
            raise UsageError(
                "classes are those of a softmax or logistic output, and this one is identity."
            )
        return estimator
    n_classes = 2 if (mlp.output, k) == ("logistic", 1) else k
    labels = np.arange(n_classes) if classes is None else checked_classes(classes, n_classes)
    several = mlp.output == "logistic" and k > 1
    binarizer = LabelBinarizer().fit(np.eye(k, dtype=int) if several else labels)
    vars(estimator).update(classes_=labels, _label_binarizer=binarizer)
    return estimator


def checked_classes(classes: Any, n: int) -> Host:
    """Labels (n,), different and sorted, as scikit-learn keeps them; `UsageError` for others."""
    what = f"{n} different labels, sorted as scikit-learn keeps them"
    given = items("classes", classes, what)
    kinds = {str if isinstance(label, str) else is_real(label) for label in given}
    labels = np.asarray(given) if kinds in ({str}, {True}) else np.zeros(0)
    if labels.shape != (n,) or not np.all(labels[1:] > labels[:-1]):
        refuse("classes", what, classes)
    return labels


def from_sklearn(estimator: Any) -> tuple[MLP, Host]:
    """The network of a fitted MLPClassifier or MLPRegressor, scikit-learn's or this package's, and its parameters."""
    if not all(hasattr(estimator, name) for name in ("coefs_", "intercepts_", "out_activation_")):
        refuse("estimator", "a fitted MLPClassifier or MLPRegressor", estimator)
    coefs = [as_host(f"coefs_[{n}]", a) for n, a in enumerate(estimator.coefs_)]
    biases = [as_host(f"intercepts_[{n}]", a) for n, a in enumerate(estimator.intercepts_)]
    sizes = (coefs[0].shape[0], *(len(w.T) for w in coefs))
    loss = getattr(estimator, "loss", "auto")
    activation, output = estimator.activation, estimator.out_activation_
    mlp = MLP(sizes, activation, output, SKLEARN_LOSSES.get(loss, loss))
    weights = [(f"coefs_[{n}]", w) for n, w in enumerate(coefs)]
    return mlp, packed(
        mlp, weights, [(f"intercepts_[{n}]", b) for n, b in enumerate(biases)], "estimator"
    )


def check_plain(mlp: MLP) -> None:
    """Raise `UsageError` for what is no network, or one whose layers others do not have."""
    check_network(mlp)
    if not mlp.is_plain:
        raise UsageError(
            "The network has layers that other libraries lack, and only weights travel: save it as a model file."
        )


def layers_of(mlp: MLP, parameters: Host) -> tuple[list[Host], list[Host | None]]:
    """Weights (i, o) and biases (o,), copied, of a flat vector (p,)."""
    check_plain(mlp)
    shape = (mlp.layout.size,)
    if getattr(parameters, "shape", None) != shape:
        refuse("parameters", f"a vector of shape {shape} for a network {mlp.sizes}", parameters)
    parts = [part.copy() for part in mlp.layout.split(as_host("parameters", parameters))]
    n = mlp.layout.n_layers
    return parts[:n], [*parts[n:]] if mlp.bias else [None] * n


Named = Sequence[tuple[str, Host]]


def packed(mlp: MLP, weights: Named, biases: Named, where: str) -> Host:
    """The flat vector (p,) of weights (i, o) and biases (o,), each of which has the name that it is refused by."""
    n = mlp.layout.n_layers
    for found, what, wanted in ((weights, "weights", n), (biases, "biases", n * mlp.bias)):
        if len(found) != wanted:
            raise UsageError(
                f"{where} holds {what} of {counted(len(found), 'layer')}, and a network {mlp.sizes} with "
                f"bias={mlp.bias} has {what} of {wanted}."
            )
    for (name, array), shape in zip([*weights, *biases], mlp.layout.shapes, strict=True):
        if array.shape != shape:
            raise UsageError(
                f"{name} is of shape {array.shape} and must be {shape} (inputs by outputs) for a network {mlp.sizes}."
            )
    return mlp.layout.to_vector(tuple(array for _, array in [*weights, *biases]))


def as_host(name: str, array: Any) -> Host:
    """An array of any library as a NumPy array of floats; `UsageError` where it is none."""
    for to_host in ("detach", "cpu", "get"):  # of a graph (PyTorch), of a device (PyTorch, CuPy)
        if not isinstance(array, np.ndarray) and hasattr(array, to_host):
            array = getattr(array, to_host)()
    try:
        host = np.asarray(array)
    except (TypeError, ValueError):
        refuse(str(name), "an array of numbers", array)
    if host.dtype.kind not in "fiu":
        refuse(str(name), "an array of numbers", array)
    return host if host.dtype in (np.float32, np.float64) else host.astype(np.float64)
