"""`check_backprop` calls functions of other people's networks as their own loops call them."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anyarray_mlp
from anyarray_mlp.backprop import check_backprop
from anyarray_mlp.backprop.user.source_lines import is_checkers, is_own
from anyarray_mlp.errors import DataError, UsageError

RNG = np.random.default_rng(8)
X = RNG.normal(size=(12, 3))
Y = (X[:, :1] * X[:, 1:2] > 0).astype(float)
NAMES: dict[str, Any] = {"weights": ["W1", "W2"], "biases": ["b1", "b2"]}


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def squared(output: Any, y: Any) -> Any:
    return np.mean((output - y) ** 2)


class Net:
    """3-5-1 of sigmoids whose backward pass reads what forward left behind."""

    sign = 1.0
    share = 1.0

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.W1, self.b1 = rng.normal(size=(3, 5)), np.zeros((1, 5))
        self.W2, self.b2 = rng.normal(size=(5, 1)), np.zeros((1, 1))
        self.learning_rate = 0.1

    def forward(self, X: Any) -> Any:
        self.a1 = sigmoid(X @ self.W1 + self.b1)
        self.a2 = sigmoid(self.a1 @ self.W2 + self.b2)
        return self.a2

    def slopes(self, X: Any, y: Any, output: Any) -> dict[str, Any]:
        d2 = self.sign * 2 * (output - y) / len(X) * output * (1 - output)
        d1 = d2 @ self.W2.T * self.a1 * (1 - self.a1)
        return {"W1": X.T @ d1, "b1": d1.sum(0), "W2": self.a1.T @ d2, "b2": d2.sum(0)}

    def update(self, slopes: dict[str, Any]) -> None:
        for name, slope in slopes.items():
            setattr(self, name, getattr(self, name) - self.learning_rate * self.share * slope)

    def backward(self, X: Any, y: Any) -> None:
        self.update(self.slopes(X, y, self.a2))

    def go_back(self, X: Any, y: Any, output: Any) -> None:
        self.update(self.slopes(X, y, output))

    def train(self, X: Any, y: Any, num_epochs: int) -> None:
        for _ in range(num_epochs):
            self.go_back(X, y, self.forward(X))

    def fit(self, X: Any, y: Any, epochs: int = 40) -> list[Any]:
        self.train(X, y, epochs)
        return [squared(self.forward(X), y)]

    def learn(self, X: Any, y: Any) -> None:
        self.train(X, y, self.n_iter)

    n_iter = 30

    def drill(self, X: Any, y: Any) -> None:
        for _ in range(7):
            self.go_back(X, y, self.forward(X))


class Counting(Net):
    def __init__(self) -> None:
        super().__init__()
        self.n_iter = 30


def check_right_and_flipped(net: Net, step: str, notes: Sequence[str] = ()) -> tuple[Any, ...]:
    """The notes on a step that is found right; with its sign turned round that is found."""
    report = check_backprop(net, X, Y, loss=squared, train_step=step, **NAMES)
    assert report.ok, str(report)
    assert [note.cause for note in report.notes] == [*notes]
    net.sign = -1.0
    flipped = check_backprop(net, X, Y, loss=squared, train_step=step, **NAMES)
    assert flipped.causes == ("sign_flipped",)
    return report.notes


WAYS = [(Net, "backward"), (Net, "go_back"), (Net, "train"), (Net, "fit"), (Counting, "learn")]


@pytest.mark.parametrize(("kind", "step"), WAYS)
def test_a_loop_is_gone_round_once_and_a_backward_pass_follows_a_forward_pass(
    kind: type[Net], step: str
) -> None:
    net = kind()
    check_right_and_flipped(net, step)
    assert getattr(net, "n_iter", None) == 30


def test_a_loop_that_is_written_out_is_seen_at_a_tiny_learning_rate() -> None:
    net = Net()
    (note,) = check_right_and_flipped(net, "drill", ["several_updates"])
    assert note.detail == "one call makes 7 updates"


def test_a_step_that_makes_its_own_weights_is_refused() -> None:
    class Fresh(Net):
        def fit(self, X: Any, y: Any, epochs: int = 40) -> list[Any]:
            self.__init__()  # type: ignore[misc]
            return super().fit(X, y, epochs)

    with pytest.raises(UsageError, match="makes its own weights"):
        check_backprop(Fresh(), X, Y, loss=squared, train_step="fit", **NAMES)


def test_a_backward_pass_is_given_the_output_and_what_forward_kept() -> None:
    net = Net()
    parameters = {name: getattr(net, name) for name in ("W1", "b1", "W2", "b2")}

    def forward(X: Any, parameters: Any) -> Any:
        A1 = sigmoid(X @ parameters["W1"] + parameters["b1"])
        A2 = sigmoid(A1 @ parameters["W2"] + parameters["b2"])
        return A2, {"A1": A1, "A2": A2}

    def backward(parameters: Any, cache: Any, X: Any, Y: Any, sign: float = 1.0) -> Any:
        A1, A2 = cache["A1"], cache["A2"]
        dZ2 = sign * 2 * (A2 - Y) * A2 * (1 - A2) / len(X)
        dZ1 = dZ2 @ parameters["W2"].T * A1 * (1 - A1)
        return {"dW1": X.T @ dZ1, "db1": dZ1.sum(0), "dW2": A1.T @ dZ2, "db2": dZ2.sum(0)}

    def cache_only(X: Any, parameters: Any) -> Any:
        cache = forward(X, parameters)[1]
        return {"Z2": -cache["A2"], **cache, "Z1": -cache["A1"]}

    def caches(X: Any, parameters: Any) -> Any:
        output, cache = forward(X, parameters)
        return output, [(X, cache["A1"]), (cache["A1"], cache["A2"])]

    def of_output(p: Any, x: Any, y: Any, y_hat: Any) -> Any:
        return backward(p, {"A1": sigmoid(x @ p["W1"] + p["b1"]), "A2": y_hat}, x, y)

    def of_caches(AL: Any, Y: Any, caches: Any) -> Any:
        return backward(parameters, {"A1": caches[1][0], "A2": AL}, caches[0][0], Y)

    for function, gradients in (
        (forward, backward),
        (cache_only, backward),
        (forward, of_output),
        (caches, of_caches),
    ):
        report = check_backprop(
            parameters, X, Y, forward=function, loss=squared, gradients=gradients, **NAMES
        )
        assert report.ok, str(report)
        assert report.understood["weights"]


def test_names_that_do_not_tell_are_asked_for() -> None:
    with pytest.raises(UsageError, match=r"wrap it: gradients=lambda network, x, y: back\(...\)"):
        check_backprop(Net(), X, Y, gradients=lambda_like, **NAMES)


def lambda_like(Z1: Any, A1: Any, Z2: Any, A2: Any, W1: Any, W2: Any, X: Any, Y: Any) -> None:
    raise AssertionError


lambda_like.__name__ = "back"


class Attributes(Net):
    """forward returns nothing and keeps the output."""

    def forward(self, X: Any) -> None:
        super().forward(X)
        self.A2 = self.a2
        del self.a2

    def backward(self, X: Any, y: Any) -> None:
        self.update(self.slopes(X, y, self.A2))


def test_an_output_that_is_kept_is_found() -> None:
    report = check_backprop(Attributes(), X, Y, loss=squared, train_step="backward", **NAMES)
    assert report.ok, str(report)


class Turned(Net):
    """Samples in rows, but everything inside and the output in columns."""

    def forward(self, X: Any) -> Any:
        return super().forward(X).T

    def backward(self, X: Any, y: Any) -> None:
        self.update(self.slopes(X, y, self.a2))


def test_an_output_in_columns_of_samples_in_rows() -> None:
    net = Turned()
    net.W2 = np.random.default_rng(1).normal(size=(5, 2))
    net.b2 = np.zeros((1, 2))
    targets = np.hstack([Y, 1 - Y])
    report = check_backprop(net, X, targets, train_step="backward", **NAMES)
    assert report.ok, str(report)
    report = check_backprop(
        net, X, targets.T, train_step=lambda net, x, y: net.backward(x, y.T), **NAMES
    )
    assert report.ok, str(report)


class OneByOne(Net):
    """Asked for one sample, trained on many."""

    def forward(self, x: Any) -> Any:
        assert np.ndim(x) == 1
        return super().forward(np.asarray(x)[None])[0]

    def train_all(self, X: Any, y: Any) -> None:
        for x, target in zip(X, y, strict=True):
            self.forward(x)
            self.update(self.slopes(x[None], target[None], self.a2))

    def update_mini_batch(self, mini_batch: Any, eta: float) -> None:
        self.learning_rate = eta
        for x, target in mini_batch:
            self.train_all(x[None], target[None])

    def SGD(self, training_data: Any, epochs: int, mini_batch_size: int, eta: float) -> None:
        for _ in range(epochs):
            random.shuffle(training_data)
            for start in range(0, len(training_data), mini_batch_size):
                self.update_mini_batch(training_data[start : start + mini_batch_size], eta)


@pytest.mark.parametrize("step", ["train_all", "update_mini_batch", "SGD"])
def test_a_network_asked_for_one_sample_is_trained_on_batches(step: str) -> None:
    net = OneByOne()
    report = check_backprop(net, X, Y, train_step=step, **NAMES)
    assert report.ok, str(report)
    assert report.understood["samples"] == "single"
    assert not report.notes
    net.sign = -1.0
    report = check_backprop(net, X, Y, train_step=step, **NAMES)
    assert report.causes == ("sign_flipped",)


def test_an_averaged_momentum_is_no_mistake() -> None:
    class Averaged(Net):
        def __init__(self) -> None:
            super().__init__()
            self.averages = dict.fromkeys(("W1", "b1", "W2", "b2"), 0.0)

        def train(self, X: Any, y: Any, num_epochs: int) -> None:
            slopes = self.slopes(X, y, self.forward(X))
            for name, slope in slopes.items():
                self.averages[name] = 0.9 * self.averages[name] + 0.1 * slope
            self.update(self.averages)

    report = check_backprop(Averaged(), X, Y, loss=squared, train_step="train", **NAMES)
    assert report.ok, str(report)


def test_a_momentum_that_the_learning_rate_does_not_scale_is_no_mistake() -> None:
    class Kept(Net):
        def __init__(self) -> None:
            super().__init__()
            self.last = dict.fromkeys(("W1", "b1", "W2", "b2"), 0.0)

        def train(self, X: Any, y: Any, lr: float, momentum: float = 0.4) -> None:
            slopes = self.slopes(X, y, self.forward(X))
            for name, slope in slopes.items():
                change = lr * slope + momentum * self.last[name]
                setattr(self, name, getattr(self, name) - change)
            self.last = slopes

    for told in (None, 0.4):
        report = check_backprop(
            Kept(), X, Y, loss=squared, train_step="train", momentum=told, **NAMES
        )
        assert report.ok, str(report)
    report = check_backprop(Kept(), X, Y, loss=squared, train_step="train", momentum=0.9, **NAMES)
    assert report.causes == ("momentum_misapplied",)


def test_labels_that_are_texts_are_refused_by_name() -> None:
    labels = np.where(Y[:, 0] > 0, "yes", "no")
    with pytest.raises(DataError, match=r"y holds texts \('\w+'\)"):
        check_backprop(Net(), X, labels, train_step="backward", **NAMES)


def test_the_line_is_the_gradients_not_that_of_the_loss_printed() -> None:
    class Reporting(Net):
        def train(self, X: Any, y: Any, num_epochs: int) -> None:
            for _ in range(num_epochs):
                output = self.forward(X)
                loss = np.mean((output - y) ** 2)
                batch = y.shape[0]
                dZ2 = 2 * (y - output) / batch * output * (1 - output)
                dZ1 = dZ2 @ self.W2.T * self.a1 * (1 - self.a1)
                dW1, db1 = X.T @ dZ1, dZ1.sum(0)
                dW2 = self.a1.T @ dZ2
                db2 = dZ2.sum(0)
                self.update({"W1": dW1, "b1": db1, "W2": dW2, "b2": db2})
                print(loss)

    report = check_backprop(Reporting(), X, Y, loss=squared, train_step="train", **NAMES)
    assert report.causes == ("sign_flipped",)
    assert "dZ2 = 2 * (y - output)" in str(report)

    class Summed(Net):
        def slopes(self, X: Any, y: Any, output: Any) -> dict[str, Any]:
            dZ2 = 2 * (output - y) / len(X) * output * (1 - output)
            dZ1 = dZ2 @ self.W2.T * self.a1 * (1 - self.a1)
            dW1, db1 = X.T @ dZ1, dZ1.sum(0)
            dW2 = self.a1.T @ dZ2 * len(X)
            return {"W1": dW1, "b1": db1, "W2": dW2, "b2": dZ2.sum(0)}

    report = check_backprop(Summed(), X, Y, loss=squared, train_step="train", **NAMES)
    assert report.causes == ("mean_missing",)
    assert report.findings[0].line == "dW2 = self.a1.T @ dZ2 * len(X)"


class Jax(Net):
    """Samples and targets in one argument; the output among the activations of all layers."""

    def forward(self, X: Any) -> None:
        self.activations = [super().forward(X)]
        self.activations.insert(0, self.a1)
        del self.a2

    def loss(self, batch: Any) -> Any:
        self.forward(batch[0])
        return squared(self.activations[-1], batch[1])

    def update_on(self, batch: Any) -> None:
        X, y = batch
        self.forward(X)
        self.update(self.slopes(X, y, self.activations[-1]))


def test_samples_and_targets_in_one_argument() -> None:
    net = Jax()
    told = {"loss": lambda net, batch: net.loss(batch), "train_step": "update_on"}
    report = check_backprop(net, X, Y, **told, **NAMES)
    assert report.ok, str(report)
    net.share = 2.0
    report = check_backprop(net, X, Y, **told, **NAMES)
    assert report.causes == ("factor_two",)


def test_targets_that_are_called_outputs() -> None:
    class Named(Net):
        def find_slopes(self, outputs: Any) -> dict[str, Any]:
            return self.slopes(self.x, outputs, self.a2)

        def forward(self, X: Any) -> Any:
            self.x = X
            return super().forward(X)

    report = check_backprop(Named(), X, Y, loss=squared, gradients="find_slopes", **NAMES)
    assert report.ok, str(report)


def test_an_error_that_the_caller_makes_is_asked_for() -> None:
    class Given(Net):
        def backprop(self, x: Any, err: Any) -> None:
            raise AssertionError

    with pytest.raises(UsageError, match="gradients takes err, and how to compute that"):
        check_backprop(Given(), X, Y, gradients="backprop", **NAMES)


def test_a_loop_with_a_rate_of_its_own_is_refused() -> None:
    class Closed(Net):
        def train(self, X: Any, y: Any) -> None:  # type: ignore[override]
            epochs = 9
            for _ in range(epochs):
                for name, slope in self.slopes(X, y, self.forward(X)).items():
                    setattr(self, name, getattr(self, name) - 0.3 * slope)

    net = Closed()
    net.rate = net.__dict__.pop("learning_rate")
    told = {"loss": squared, "train_step": "train", "learning_rate": 0.3}
    with pytest.raises(UsageError, match=r"loop of its own \(epochs\)"):
        check_backprop(net, X, Y, **told, **NAMES)


def test_steps_made_in_training_are_not_counted_on() -> None:
    class Decaying(Net):
        iterations = 0

        def __init__(self) -> None:
            super().__init__()
            self.iterations = 0

        def train(self, X: Any, y: Any, num_epochs: int) -> None:
            self.share = 1 / (1 + 0.01 * self.iterations)
            super().train(X, y, num_epochs)
            self.iterations += 1

    net = Decaying()
    for _ in range(30):
        net.train(X, Y, 1)
    report = check_backprop(net, X, Y, loss=squared, train_step="train", **NAMES)
    assert report.ok, str(report)
    assert net.iterations == 30


def test_gradients_that_update_as_well_are_not_called_stale() -> None:
    class Both(Net):
        def find_slopes(self, X: Any, y: Any) -> dict[str, Any]:
            slopes = self.slopes(X, y, self.forward(X))
            self.update(slopes)
            return slopes

    report = check_backprop(Both(), X, Y, loss=squared, gradients="find_slopes", **NAMES)
    assert report.ok, str(report)


def test_a_factor_of_the_whole_gradient_is_one_of_its_decay() -> None:
    class Decayed(Net):
        def slopes(self, X: Any, y: Any, output: Any) -> dict[str, Any]:
            slopes = super().slopes(X, y, output)
            for name in ("W1", "W2"):
                slopes[name] = slopes[name] + 0.02 * getattr(self, name)
            return {name: len(X) * slope for name, slope in slopes.items()}

    def loss(net: Any, X: Any, y: Any) -> Any:
        return squared(net.forward(X), y) + 0.01 * ((net.W1**2).sum() + (net.W2**2).sum())

    report = check_backprop(Decayed(), X, Y, loss=loss, train_step="train", **NAMES)
    assert report.causes == ("mean_missing",), str(report)


def test_tables_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c"])

    class Tabular(Net):
        def forward(self, X: Any) -> Any:
            return super().forward(X[["a", "b", "c"]].to_numpy())

        def slopes(self, X: Any, y: Any, output: Any) -> dict[str, Any]:
            return super().slopes(X.to_numpy(), y.to_numpy(), output)

    report = check_backprop(
        Tabular(), table, pandas.DataFrame(Y), loss="squared_error", train_step="train", **NAMES
    )
    assert report.ok, str(report)


def test_a_relu_taken_of_the_error() -> None:
    class Clamped(Net):
        def forward(self, X: Any) -> Any:
            self.a1 = np.maximum(X @ self.W1 + self.b1, 0)
            return self.a1 @ self.W2 + self.b2

        def slopes(self, X: Any, y: Any, output: Any) -> dict[str, Any]:
            d2 = 2 * (output - y) / len(X)
            d1 = np.maximum(d2 @ self.W2.T, 0)
            return {"W1": X.T @ d1, "b1": d1.sum(0), "W2": self.a1.T @ d2, "b2": d2.sum(0)}

    report = check_backprop(Clamped(), X, Y, loss=squared, train_step="train", **NAMES)
    assert report.causes == ("derivative_formula_wrong",)
    assert report.findings[0].line == "d1 = np.maximum(d2 @ self.W2.T, 0)"


class Filed(Net):
    """Gradients in a dict of their own, parameters in another; the backward pass returns dX."""

    def __init__(self) -> None:
        super().__init__()
        self.params = {name: getattr(self, name) for name in ("W1", "b1", "W2", "b2")}
        self.grads: dict[str, Any] = {}

    def backward(self, X: Any, y: Any) -> Any:
        for name, slope in self.slopes(X, y, self.forward(X)).items():
            self.grads["d" + name] = slope
        return X @ self.grads["dW1"] @ self.W1.T


class Listed(Net):
    """Parameters and gradients in lists."""

    def __init__(self) -> None:
        super().__init__()
        self.W, self.b = [self.W1, self.W2], [self.b1, self.b2]

    def backward(self, X: Any, y: Any) -> None:
        slopes = self.slopes(X, y, self.forward(X))
        self.dW, self.db = [slopes["W1"], slopes["W2"]], [slopes["b1"], slopes["b2"]]


@pytest.mark.parametrize(
    ("kind", "weights", "biases"),
    [
        (Filed, ["params.W1", "params.W2"], ["params.b1", "params.b2"]),
        (Listed, ["W.0", "W.1"], ["b.0", "b.1"]),
    ],
)
def test_gradients_that_are_kept_elsewhere_are_found(
    kind: type[Net], weights: list[str], biases: list[str]
) -> None:
    net = kind()
    told = {"loss": squared, "gradients": "backward", "weights": weights, "biases": biases}
    report = check_backprop(net, X, Y, **told)
    assert report.ok, str(report)
    net.sign = -1.0
    assert check_backprop(net, X, Y, **told).causes == ("sign_flipped",)


def test_gradients_that_are_nowhere_are_asked_for() -> None:
    class Silent(Net):
        def backward(self, X: Any, y: Any) -> None:
            self.slopes(X, y, self.forward(X))

    with pytest.raises(UsageError, match="returns no arrays and leaves none beside the weights"):
        check_backprop(Silent(), X, Y, gradients="backward", **NAMES)


class Batched(Net):
    """Leaves out what does not fill a batch."""

    batch_size = 64

    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 64

    def fit(self, X: Any, y: Any, epochs: int = 9) -> None:  # type: ignore[override]
        self.in_batches(X, y, epochs, self.batch_size)

    def in_batches(self, X: Any, y: Any, epochs: int = 9, batch_size: int = 32) -> None:
        for _ in range(epochs):
            for start in range(0, len(X) - batch_size + 1, batch_size):
                self.train(X[start : start + batch_size], y[start : start + batch_size], 1)


@pytest.mark.parametrize("step", ["fit", "in_batches"])
def test_a_batch_is_no_larger_than_the_samples_given(step: str) -> None:
    net = Batched()
    check_right_and_flipped(net, step)
    assert net.batch_size == 64


@pytest.mark.parametrize("kind", [Net, Filed, Listed])
def test_weights_and_biases_are_found_however_nested(kind: type[Net]) -> None:
    net = kind()
    if kind is not Net:
        del net.W1, net.b1, net.W2, net.b2
        net.slopes = lambda X, y, output: {}  # type: ignore[method-assign]
        net.forward = lambda X: sigmoid(  # type: ignore[method-assign]
            sigmoid(X @ first(net, "W") + first(net, "b")) @ last(net, "W") + last(net, "b")
        )
    report = check_backprop(
        net, X, Y, train_step="go_back" if kind is Net else lambda net, x, y: None
    )
    assert report.understood["layers"] == "3-5-1"
    assert not (kind is Net and report.findings)


def first(net: Any, kind: str) -> Any:
    return net.params[f"{kind}1"] if hasattr(net, "params") else getattr(net, kind)[0]


def last(net: Any, kind: str) -> Any:
    return net.params[f"{kind}2"] if hasattr(net, "params") else getattr(net, kind)[1]


def test_arrays_that_do_not_make_the_forward_pass_are_no_guess() -> None:
    class Extra(Net):
        def __init__(self) -> None:
            super().__init__()
            self.w_extra = np.ones((2, 2))

    with pytest.raises(
        UsageError, match=r"\(W1, b1, W2, b2, w_extra\) do not reproduce the forward"
    ):
        check_backprop(Extra(), X, Y, train_step="go_back")


def test_a_script_without_weights_named_is_searched() -> None:
    script: dict[str, Any] = {"np": np, "__name__": "script", "__builtins__": {}}
    net = Net()
    script |= {"syn0": net.W1, "syn1": net.W2}

    def step(x: Any, y: Any) -> None:
        h = np.tanh(x @ script["syn0"])
        d = h @ script["syn1"] - y
        script["syn0"] -= 0.1 * x.T @ (d @ script["syn1"].T * (1 - h**2))
        script["syn1"] -= 0.1 * h.T @ d

    def forward(x: Any) -> Any:
        return np.tanh(x @ script["syn0"]) @ script["syn1"]

    report = check_backprop(script, X, Y, forward=forward, train_step=step, learning_rate=0.1)
    assert report.ok, str(report)


def test_biases_that_are_not_named_are_asked_for() -> None:
    with pytest.raises(UsageError, match="changes more of the network than the weights"):
        check_backprop(Net(), X, Y, loss=squared, train_step="train", weights=["W1", "W2"])


LIBRARY = """
def score(x):
    raise KeyError("no such score")
"""
OWN_NETWORK = """
import numpy as np
from scores import score

class Network:
    def __init__(self):
        self.W1, self.W2 = np.full((3, 5), 0.1), np.full((5, 1), 0.1)

    def forward(self, x):
        return np.tanh(x @ self.W1) @ self.W2

    def gradients(self, x, y):
        return score(x)
"""


@pytest.mark.parametrize("folder", ["plain", "diagnosis", "anyarray_mlp/diagnosis"])
def test_an_error_in_a_library_is_told_in_a_line_whatever_its_folder_is_called(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / folder / "site-packages"
    library.mkdir(parents=True)
    (library / "scores.py").write_text(LIBRARY)
    (tmp_path / "own_network.py").write_text(OWN_NETWORK)
    monkeypatch.syspath_prepend(str(library))
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("scores", "own_network"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    network = importlib.import_module("own_network").Network()
    for module in ("scores", "own_network"):  # imported for this test alone
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(
        UsageError, match=r"own_network\.py:\d+: the network's own code raised KeyError"
    ):
        check_backprop(network, X, Y, gradients="gradients", loss="squared_error")


def test_every_file_of_the_package_is_told_from_the_users() -> None:
    """A line of the user's is never one of this package, and an error of the checker's is never the user's."""
    package = Path(anyarray_mlp.__file__).parent
    files = sorted(package.rglob("*.py"))
    assert len(files) > 100
    for file in files:
        assert not is_own(str(file)), file
        assert is_checkers(str(file)) == ("backprop" in file.relative_to(package).parts), file
    assert is_own(__file__)
    assert not is_checkers(__file__)
