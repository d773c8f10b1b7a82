"""`check_backprop` on networks that keep something between calls: globals, velocities, sums, masks."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.backprop import check_backprop
from anyarray_mlp.backprop.user.source_lines import is_own

RNG = np.random.default_rng(4)
X = RNG.normal(size=(14, 3))
Y = X[:, :1] * X[:, 1:2]
NAMES: dict[str, Any] = {"weights": ["w1", "w2"], "biases": ["b1", "b2"]}

velocity: dict[str, Any] = {}
calls = 0


def new_parameters() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {
        "w1": rng.normal(size=(3, 6)) * 0.5,
        "b1": np.zeros(6),
        "w2": rng.normal(size=(6, 1)) * 0.5,
        "b2": np.zeros(1),
    }


def forward(params: Any, x: Any) -> Any:
    return np.tanh(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def loss(output: Any, y: Any) -> Any:
    return np.mean((output - y) ** 2)


def backward(params: Any, x: Any, y: Any) -> dict[str, Any]:
    h = np.tanh(x @ params["w1"] + params["b1"])
    d = 2 * (h @ params["w2"] + params["b2"] - y) / len(x)
    dh = d @ params["w2"].T * (1 - h**2)
    return {"w1": x.T @ dh, "b1": dh.sum(0), "w2": h.T @ d, "b2": d.sum(0)}


def momentum_step(params: Any, x: Any, y: Any, lr: float = 0.05) -> None:
    global calls
    calls += 1
    for name, gradient in backward(params, x, y).items():
        velocity[name] = 0.9 * velocity[name] - lr * gradient
        params[name] += velocity[name]


@pytest.fixture(autouse=True)
def fresh_velocity() -> None:
    velocity.clear()
    velocity.update({name: np.zeros_like(p) for name, p in new_parameters().items()})


def test_globals_of_the_users_functions_are_put_back() -> None:
    before = (calls, dict(velocity))
    report = check_backprop(
        new_parameters(), X, Y, forward=forward, loss=loss, train_step=momentum_step, **NAMES
    )
    assert report.ok, str(report)
    assert calls == before[0]
    assert all(velocity[name] is array and not array.any() for name, array in before[1].items())


def test_a_velocity_of_earlier_training_is_no_mistake_and_stays() -> None:
    params = new_parameters()
    for _ in range(20):
        momentum_step(params, X, Y)
    before = {name: array.copy() for name, array in velocity.items()}
    report = check_backprop(
        params, X, Y, forward=forward, loss=loss, train_step=momentum_step, **NAMES
    )
    assert report.ok, str(report)
    for name, array in before.items():
        np.testing.assert_array_equal(velocity[name], array)


class Trained:
    """3-6-1 with a class's own Adam, trained for a while."""

    scale = np.full(6, 0.7)  # shaped as a bias, but the forward pass needs it

    def __init__(self) -> None:
        self.p = new_parameters()
        self.m = {name: np.zeros_like(p) for name, p in self.p.items()}
        self.v = {name: np.zeros_like(p) for name, p in self.p.items()}
        self.t = 0

    def forward(self, x: Any) -> Any:
        self.h = np.tanh(x @ self.p["w1"] + self.p["b1"]) * self.scale
        return self.h @ self.p["w2"] + self.p["b2"]

    def gradients(self, x: Any, y: Any) -> dict[str, Any]:
        d = 2 * (self.forward(x) - y) / len(x)
        dh = d @ self.p["w2"].T * self.scale * (1 - (self.h / self.scale) ** 2)
        return {"w1": x.T @ dh, "b1": dh.sum(0), "w2": self.h.T @ d, "b2": d.sum(0)}

    def step(self, x: Any, y: Any, lr: float = 1e-3) -> None:
        self.t += 1
        for name, g in self.gradients(x, y).items():
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.999 * self.v[name] + 0.001 * g**2
            m = self.m[name] / (1 - 0.9**self.t)
            self.p[name] -= lr * m / (np.sqrt(self.v[name] / (1 - 0.999**self.t)) + 1e-8)


DOTTED: dict[str, Any] = {"weights": ["p.w1", "p.w2"], "biases": ["p.b1", "p.b2"]}


def test_a_trained_adam_is_no_mistake() -> None:
    net = Trained()
    for _ in range(30):
        net.step(X, Y)
    report = check_backprop(net, X, Y, loss=loss, train_step="step", **DOTTED)
    assert report.ok, str(report)
    assert net.t == 30
    np.testing.assert_array_equal(Trained.scale, 0.7)


def test_sums_that_are_never_reset_are_found_though_the_arrays_are_returned_themselves() -> None:
    class Sums(Trained):
        def __init__(self) -> None:
            super().__init__()
            self.sums = {name: np.zeros_like(p) for name, p in self.p.items()}

        def gradients(self, x: Any, y: Any) -> dict[str, Any]:
            for name, g in super().gradients(x, y).items():
                self.sums[name] += g
            return self.sums

    report = check_backprop(Sums(), X, Y, loss=loss, gradients="gradients", **DOTTED)
    assert report.causes == ("gradients_never_reset",)


class Dropped:
    """3-6-1 with inverted dropout in training."""

    rate = 0.5

    def __init__(self, always: bool = False) -> None:
        self.p, self.always = new_parameters(), always

    def forward(self, x: Any, train: bool = False) -> Any:
        self.h = np.tanh(x @ self.p["w1"] + self.p["b1"])
        self.mask = np.ones_like(self.h)
        if train or self.always:
            self.mask = (np.random.rand(*self.h.shape) >= self.rate) / (1 - self.rate)  # noqa: NPY002
        return self.h * self.mask @ self.p["w2"] + self.p["b2"]

    def step(self, x: Any, y: Any, lr: float = 0.1) -> None:
        d = 2 * (self.forward(x, train=True) - y) / len(x)
        dh = d @ self.p["w2"].T * self.mask * (1 - self.h**2)
        self.p["w2"] -= lr * (self.h * self.mask).T @ d
        self.p["b2"] -= lr * d.sum(0)
        self.p["w1"] -= lr * x.T @ dh
        self.p["b1"] -= lr * dh.sum(0)


@pytest.mark.parametrize("always", [False, True])
def test_dropout_ends_the_check_with_a_note(always: bool) -> None:
    report = check_backprop(Dropped(always), X, Y, loss=loss, train_step="step", **DOTTED)
    assert report.ok, str(report)
    assert [note.cause for note in report.notes] == ["random_numbers"]
    assert "np.random.rand" in str(report.notes[0].line)
    assert "no mistake found" not in str(report)


def test_without_dropout_the_same_network_is_compared() -> None:
    net = Dropped()
    net.rate = 0.0
    report = check_backprop(net, X, Y, loss=loss, train_step="step", **DOTTED)
    assert report.ok
    assert "no mistake found" in str(report)


def test_a_loss_that_was_not_given_is_named() -> None:
    net = Dropped()
    net.rate = 0.0
    report = check_backprop(net, X, Y, train_step="step", **DOTTED)
    assert report.understood["loss"] == "squared_error (none was given)"
    report = check_backprop(net, X, Y, loss="squared_error", train_step="step", **DOTTED)
    assert report.understood["loss"] == "squared_error (its factor is open)"


def test_an_order_drawn_at_random_is_no_hindrance() -> None:
    class Shuffled(Dropped):
        rate = 0.0

        def step(self, x: Any, y: Any, lr: float = 0.1) -> None:
            for index in np.random.permutation(len(x)):  # noqa: NPY002
                super().step(x[index : index + 1], 2 * y[index : index + 1], -lr)

    report = check_backprop(Shuffled(), X, Y, loss=loss, train_step="step", **DOTTED)
    assert not report.ok
    assert not report.notes


class Epoch:
    """3-6-1 whose step is a pass over its rows in mini-batches."""

    size = 4
    sign = 1.0
    momentum = 0.0

    def __init__(self) -> None:
        self.p = new_parameters()
        self.velocity = {name: np.zeros_like(value) for name, value in self.p.items()}

    def order(self, n: int) -> Any:
        return np.arange(n)

    def forward(self, x: Any) -> Any:
        self.h = np.tanh(x @ self.p["w1"] + self.p["b1"])
        return self.h @ self.p["w2"] + self.p["b2"]

    def step(self, x: Any, y: Any, lr: float = 0.1) -> None:
        order = self.order(len(x))
        for start in range(0, len(order), self.size):
            rows = order[start : start + self.size]
            self.update(x[rows], y[rows], lr)

    def update(self, x: Any, y: Any, lr: float) -> None:
        d = 2 * (self.forward(x) - y) / len(x)
        dh = self.sign * (d @ self.p["w2"].T) * (1 - self.h**2)
        slopes = {"w1": x.T @ dh, "b1": dh.sum(0), "w2": self.h.T @ d, "b2": d.sum(0)}
        for name, slope in slopes.items():
            self.velocity[name] = self.momentum * self.velocity[name] - lr * slope
            self.p[name] += self.velocity[name]


class ShuffledEpoch(Epoch):
    def order(self, n: int) -> Any:
        return np.random.permutation(n)  # noqa: NPY002


class UnseededEpoch(Epoch):
    def order(self, n: int) -> Any:
        return np.random.default_rng().permutation(n)


class DrawnBatch(Epoch):
    def order(self, n: int) -> Any:
        return np.random.choice(n, min(n, self.size), replace=False)  # noqa: NPY002


EPOCHS = [Epoch, ShuffledEpoch, UnseededEpoch, DrawnBatch]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("kind", EPOCHS)
def test_a_step_in_mini_batches_is_checked_on_one_of_them(
    kind: type[Epoch], momentum: float
) -> None:
    net = kind()
    net.momentum = momentum
    report = check_backprop(net, X, Y, loss=loss, train_step="step", **DOTTED)
    assert report.ok, str(report)
    assert [note.cause for note in report.notes] == ["mini_batches"]
    assert report.notes[0].detail == "14 rows are taken 4 at a time"
    net.sign = -1.0
    report = check_backprop(net, X, Y, loss=loss, train_step="step", **DOTTED)
    assert report.causes == ("sign_flipped",), str(report)
    assert report.findings[0].layers == (1,)


@pytest.mark.parametrize("kind", EPOCHS)
def test_a_step_of_single_rows_is_checked_row_by_row(kind: type[Epoch]) -> None:
    net = kind()
    net.size = 1
    report = check_backprop(net, X, Y, loss=loss, train_step="step", **DOTTED)
    assert report.ok, str(report)
    net.sign = -1.0
    report = check_backprop(net, X, Y, loss=loss, train_step="step", **DOTTED)
    assert report.causes[0] == "sign_flipped", str(report)


def test_a_step_whose_updates_cannot_be_told_apart_ends_with_a_note() -> None:
    class Wild(Epoch):
        def order(self, n: int) -> Any:
            return np.random.choice(n, 5, replace=False)  # noqa: NPY002

    report = check_backprop(Wild(), X, Y, loss=loss, train_step="step", **DOTTED)
    assert report.ok
    assert [note.cause for note in report.notes] == ["random_numbers"]


@pytest.mark.parametrize("seed", range(20))
def test_dropout_of_two_units_is_seen_whatever_is_drawn(seed: int) -> None:
    class Narrow(Dropped):
        rate = 0.3

        def __init__(self) -> None:
            super().__init__()
            self.p = {
                "w1": self.p["w1"][:, :2],
                "b1": np.zeros(2),
                "w2": self.p["w2"][:2],
                "b2": np.zeros(1),
            }

    np.random.seed(seed)  # noqa: NPY002
    report = check_backprop(Narrow(), X, Y, loss=loss, train_step="step", **DOTTED)
    assert [note.cause for note in report.notes] == ["random_numbers"], str(report)


def test_a_line_typed_into_a_notebook_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = (
        "class Typed(Epoch):\n"
        "    size = 99\n"
        "    def update(self, x, y, lr):\n"
        "        d = 2 * (y - self.forward(x)) / len(x)\n"
        "        dh = (d @ self.p['w2'].T) * (1 - self.h**2)\n"
        "        self.p['w1'] -= lr * x.T @ dh\n"
        "        self.p['b1'] -= lr * dh.sum(0)\n"
        "        self.p['w2'] -= lr * self.h.T @ d\n"
        "        self.p['b2'] -= lr * d.sum(0)\n"
    )
    name = "<ipython-input-3-0a1b2c>"
    monkeypatch.setitem(linecache.cache, name, (len(cell), None, cell.splitlines(True), name))
    typed: dict[str, Any] = {"Epoch": Epoch, "__name__": "__main__"}
    exec(compile(cell, name, "exec"), typed)
    report = check_backprop(typed["Typed"](), X, Y, loss=loss, train_step="step", **DOTTED)
    assert report.causes == ("sign_flipped",)
    assert "y - self.forward(x)" in str(report)
    assert str(report.findings[0].location).startswith(name)


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3/dist-packages/torch/__init__.py",
        str(Path.home() / ".local/lib/python3.12/site-packages/numpy/__init__.py"),
        "<string>",
        "<frozen importlib>",
        linecache.__file__,
    ],
)
def test_code_of_a_library_is_not_the_users(path: str) -> None:
    assert not is_own(path)
