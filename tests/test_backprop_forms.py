"""`check_backprop` on gradients and parameters in the forms that people give them: sums, tuples, one-liners."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.backprop import check_backprop
from anyarray_mlp.backprop.user.paths import write_path
from anyarray_mlp.errors import UsageError

RNG = np.random.default_rng(9)
X = RNG.normal(size=(12, 4))
LABELS = np.arange(12) % 3
NAMES: dict[str, Any] = {"weights": ["w1", "w2"], "biases": ["b1", "b2"]}


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def relu_slope(z: Any) -> Any: return z > 0  # fmt: skip


def leaky(z: Any) -> Any:
    return np.where(z > 0, z, 0.1 * z)


class Classifier:
    """4-5-3, relu, softmax; the mean cross-entropy."""

    decay = 0.0

    def __init__(self) -> None:
        rng = np.random.default_rng(2)
        self.w1, self.b1 = rng.normal(size=(4, 5)), rng.normal(size=5)
        self.w2, self.b2 = rng.normal(size=(5, 3)), rng.normal(size=3)

    def forward(self, x: Any) -> Any:
        self.z = x @ self.w1 + self.b1
        self.h = self.activation(self.z)
        return softmax(self.h @ self.w2 + self.b2)

    def activation(self, z: Any) -> Any:
        return np.maximum(z, 0)

    def factor(self, z: Any) -> Any:
        return relu_slope(z)

    def loss(self, output: Any, y: Any) -> Any:
        decay = 0.5 * self.decay * ((self.w1**2).sum() + (self.w2**2).sum())
        return -np.log(output[range(len(y)), y] + 1e-300).mean() + decay

    def bias_gradient(self, delta: Any) -> Any:
        return delta.sum(axis=0)

    def gradients(self, x: Any, y: Any) -> dict[str, Any]:
        d = (self.forward(x) - np.eye(3)[y]) / len(x)
        dh = d @ self.w2.T * self.factor(self.z)
        return {
            "dw2": self.h.T @ d,
            "db2": self.bias_gradient(d),
            "dw1": x.T @ dh,
            "db1": self.bias_gradient(dh),
        }

    def step(self, x: Any, y: Any, lr: float = 0.1) -> None:
        for name, gradient in self.gradients(x, y).items():
            setattr(self, name[1:], getattr(self, name[1:]) - lr * gradient)


class Summed(Classifier):
    def bias_gradient(self, delta: Any) -> Any:
        return np.sum(delta)


def in_a_dict(net: Any, x: Any, y: Any) -> Any:
    return net.gradients(x, y)


def in_a_list(net: Any, x: Any, y: Any) -> Any:
    return list(net.gradients(x, y).values())


def beside_the_loss(net: Any, x: Any, y: Any) -> Any:
    return net.loss(net.forward(x), y), net.gradients(x, y)


def weights_and_biases(net: Any, x: Any, y: Any) -> Any:
    g = net.gradients(x, y)
    return [g["dw1"], g["dw2"]], [g["db1"], g["db2"]]


@pytest.mark.parametrize("gradients", [in_a_dict, in_a_list, beside_the_loss, weights_and_biases])
def test_a_bias_gradient_summed_to_one_number(gradients: Any) -> None:
    report = check_backprop(Summed(), X, LABELS, loss="loss", gradients=gradients, **NAMES)
    assert report.causes == ("bias_wrong_axis",)
    assert report.findings[0].layers == (1, 2)
    assert check_backprop(Classifier(), X, LABELS, loss="loss", gradients=gradients, **NAMES).ok


def test_a_sum_that_is_zero_under_a_softmax_is_the_same_mistake() -> None:
    report = check_backprop(Summed(), X, LABELS, loss="loss", train_step="step", **NAMES)
    assert report.causes == ("bias_wrong_axis",)
    assert report.findings[0].layers == (1, 2)


def test_gradients_that_are_not_there_are_named() -> None:
    def three(net: Any, x: Any, y: Any) -> Any:
        return {k: g for k, g in net.gradients(x, y).items() if k != "dw1"}

    with pytest.raises(UsageError, match=r"no array for w1 among the 3 returned \(dw2, db2, db1\)"):
        check_backprop(Classifier(), X, LABELS, loss="loss", gradients=three, **NAMES)
    with pytest.raises(UsageError, match="2 arrays returned for 4 parameters"):
        check_backprop(
            Classifier(),
            X,
            LABELS,
            loss="loss",
            gradients=lambda net, x, y: in_a_list(net, x, y)[:2],
            **NAMES,
        )


def test_the_wrong_side_of_a_relu_is_named_with_its_line() -> None:
    class Mirrored(Classifier):
        def factor(self, z: Any) -> Any:
            return z < 0

    class MirroredLeaky(Mirrored):
        def activation(self, z: Any) -> Any:
            return leaky(z)

        def factor(self, z: Any) -> Any:
            return np.where(z > 0, 0.1, 1.0)

    for net in (Mirrored(), MirroredLeaky()):
        report = check_backprop(net, X, LABELS, loss="loss", gradients="gradients", **NAMES)
        assert report.causes == ("derivative_formula_wrong",)
        assert "the other side of zero" in report.findings[0].detail


def test_the_line_is_that_of_the_product_with_a_wrong_derivative() -> None:
    class Tanh(Classifier):
        def activation(self, z: Any) -> Any:
            return np.tanh(z)

        def factor(self, z: Any) -> Any:
            return bend(z)

    def bend(z: Any) -> Any: return 1 - z**2  # fmt: skip

    report = check_backprop(Tanh(), X, LABELS, loss="loss", gradients="gradients", **NAMES)
    assert report.causes == ("derivative_of_preactivation",)
    assert report.findings[0].line == "dh = d @ self.w2.T * self.factor(self.z)"


LAMBD = 0.3


def test_another_weight_decay_is_pointed_at() -> None:
    class Decayed(Classifier):
        decay = LAMBD

        def gradients(self, x: Any, y: Any) -> dict[str, Any]:
            found = super().gradients(x, y)
            found["dw1"] += 2 * LAMBD * self.w1
            found["dw2"] += 2 * LAMBD * self.w2
            return found

    report = check_backprop(
        Decayed(), X, LABELS, loss="loss", gradients=lambda net, x, y: net.gradients(x, y), **NAMES
    )
    assert report.causes == ("weight_decay_differs",)
    assert "LAMBD" in str(report.findings[0].line)


Layer = namedtuple("Layer", ["w", "b"])


def test_writing_into_tuples_makes_them_anew() -> None:
    kept = np.zeros(2)
    network = {"layers": [(np.float64(1.0), kept), Layer(np.float64(2.0), 3.0)]}
    assert write_path(network, "layers.0.0", np.asarray(5.0)) is network
    assert network["layers"][0] == (5.0, kept)
    assert network["layers"][0][1] is kept
    write_path(network, "layers.1.b", np.asarray(7.0))
    assert network["layers"][1] == Layer(2.0, 7.0)
    write_path(network, "layers.*.0", np.array([8.0, 9.0]))
    assert [layer[0] for layer in network["layers"]] == [8.0, 9.0]
    assert write_path((1.0, 2.0), "1", np.asarray(4.0)) == (1.0, 4.0)


@pytest.mark.parametrize("outside", [list, tuple])
def test_parameters_in_tuples_of_an_immutable_library(outside: Any) -> None:
    jax, jnp = pytest.importorskip("jax"), pytest.importorskip("jax.numpy")
    rng = np.random.default_rng(1)

    def pair(i: int, o: int) -> tuple[Any, Any]:
        return jnp.asarray(rng.normal(size=(i, o))), jnp.zeros(o)

    params = outside([pair(4, 5), pair(5, 1)])
    x, y = jnp.asarray(X), jnp.asarray(X[:, :1] * X[:, 1:2])

    def forward(params: Any, x: Any) -> Any:
        # On a GPU it would be TF32 otherwise, whose rounding looks like a mistake.
        assert jax.config.jax_default_matmul_precision == "highest"
        (w1, b1), (w2, b2) = params
        return jnp.tanh(x @ w1 + b1) @ w2 + b2

    def step(params: Any, x: Any, y: Any, lr: float = 0.1, b1_moves: bool = True) -> Any:
        (w1, b1), (w2, b2) = params
        h = jnp.tanh(x @ w1 + b1)
        d = 2 * (forward(params, x) - y) / len(x)
        dh = d @ w2.T * (1 - h**2)
        moved = b1 - lr * dh.sum(0) if b1_moves else b1
        return outside([(w1 - lr * x.T @ dh, moved), (w2 - lr * h.T @ d, b2 - lr * d.sum(0))])

    told: dict[str, Any] = {
        "weights": ["0.0", "1.0"],
        "biases": ["0.1", "1.1"],
        "forward": forward,
        "loss": lambda output, y: jnp.mean((output - y) ** 2),
    }
    assert check_backprop(params, x, y, train_step=step, **told).ok

    def still(params: Any, x: Any, y: Any, lr: float = 0.1) -> Any:
        return step(params, x, y, lr, b1_moves=False)

    report = check_backprop(params, x, y, train_step=still, **told)
    assert report.causes == ("bias_not_updated",)
    assert report.findings[0].layers == (1,)
