"""`check_backprop` names the line, what is right up to it, and the line as it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.backprop import check_backprop, check_file

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4))
Y = X[:, :1] * X[:, 1:2]
NAMES: dict[str, Any] = {"weights": ["W1", "W2"], "biases": ["b1", "b2"], "loss": "loss"}


class Net:
    """4-6-1, tanh, mean squared error."""

    def __init__(self) -> None:
        self.W1, self.b1 = RNG.normal(size=(4, 6)) * 0.5, np.zeros(6)
        self.W2, self.b2 = RNG.normal(size=(6, 1)) * 0.5, np.zeros(1)

    def forward(self, x: Any) -> Any:
        self.a1 = np.tanh(x @ self.W1 + self.b1)
        return self.a1 @ self.W2 + self.b2

    def loss(self, x: Any, y: Any) -> Any:
        return np.mean((self.forward(x) - y) ** 2)

    def gradients(self, x: Any, y: Any) -> list[Any]:
        d2 = 2 * (self.forward(x) - y) / len(x)
        d1 = d2 @ self.W2.T * (1 - self.a1**2)
        return [x.T @ d1, d1.sum(0), self.a1.T @ d2, d2.sum(0)]


class NoDerivative(Net):
    def gradients(self, x: Any, y: Any) -> list[Any]:
        d2 = 2 * (self.forward(x) - y) / len(x)
        d1 = d2 @ self.W2.T
        return [x.T @ d1, d1.sum(0), self.a1.T @ d2, d2.sum(0)]


class ErrorForDelta(Net):
    def gradients(self, x: Any, y: Any) -> list[Any]:
        d2 = 2 * (self.forward(x) - y) / len(x)
        e1 = d2 @ self.W2.T
        d1 = e1 * (1 - self.a1**2)
        dW1 = x.T @ e1
        return [dW1, d1.sum(0), self.a1.T @ d2, d2.sum(0)]


class BeforeActivation(Net):
    def gradients(self, x: Any, y: Any) -> list[Any]:
        z1 = x @ self.W1 + self.b1
        d2 = 2 * (self.forward(x) - y) / len(x)
        d1 = d2 @ self.W2.T * (1 - self.a1**2)
        dW2 = z1.T @ d2
        return [x.T @ d1, d1.sum(0), dW2, d2.sum(0)]


@pytest.mark.parametrize(
    ("kind", "cause", "line", "instead"),
    [
        (NoDerivative, "derivative_missing", "d1 = d2 @ self.W2.T",
         "d1 = d2 @ self.W2.T * (1 - self.a1 ** 2)"),
        (ErrorForDelta, "derivative_missing", "dW1 = x.T @ e1", "dW1 = x.T @ d1"),
        (BeforeActivation, "preactivation_as_input", "dW2 = z1.T @ d2", "dW2 = self.a1.T @ d2"),
    ],
)  # fmt: skip
def test_the_line_and_what_it_should_be(kind: Any, cause: str, line: str, instead: str) -> None:
    report = check_backprop(kind(), X, Y, gradients="gradients", **NAMES)
    assert report.causes == (cause,)
    found = report.findings[0]
    assert (found.line, found.corrected) == (line, instead)
    assert f"instead   {instead}" in str(report)
    assert "are right" in found.detail


def test_what_is_right_is_quiet() -> None:
    assert check_backprop(Net(), X, Y, gradients="gradients", **NAMES).ok


def test_a_log_of_zero_alone_is_no_failure() -> None:
    class Logs(Net):
        def forward(self, x: Any) -> Any:
            return 1 / (1 + np.exp(-super().forward(x)))

        def loss(self, x: Any, y: Any) -> Any:
            p = self.forward(x)
            return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

        def gradients(self, x: Any, y: Any) -> list[Any]:
            d2 = (self.forward(x) - y) / len(x)
            d1 = d2 @ self.W2.T * (1 - self.a1**2)
            return [x.T @ d1, d1.sum(0), self.a1.T @ d2, d2.sum(0)]

    report = check_backprop(Logs(), X, (Y > 0).astype(float), gradients="gradients", **NAMES)
    assert report.causes == ("log_of_zero",)
    assert report.ok


def test_a_number_that_guards_the_logarithm_hides_no_line() -> None:
    class Guarded(Net):
        def forward(self, x: Any) -> Any:
            return 1 / (1 + np.exp(-super().forward(x)))

        def loss(self, x: Any, y: Any) -> Any:
            p = self.forward(x)
            return -np.mean(y * np.log(p + 1e-7) + (1 - y) * np.log(1 - p + 1e-7))

        def gradients(self, x: Any, y: Any) -> list[Any]:
            d2 = (self.forward(x) - y) / len(x)
            d1 = d2 @ self.W2.T * (1 - np.tanh(self.a1) ** 2)
            return [x.T @ d1, d1.sum(0), self.a1.T @ d2, d2.sum(0)]

    report = check_backprop(Guarded(), X, (Y > 0).astype(float), gradients="gradients", **NAMES)
    assert report.causes == ("derivative_of_activated",)
    assert str(report.findings[0].line).startswith("d1 = d2 @ self.W2.T")


class Adam:
    """As written by most: its averages start at zero, which `t` corrects."""

    def __init__(self, net: Net, corrected: bool) -> None:
        self.ps = [net.W1, net.b1, net.W2, net.b2]
        self.m = [np.zeros_like(p) for p in self.ps]
        self.v = [np.zeros_like(p) for p in self.ps]
        self.t, self.corrected = 0, corrected

    def step(self, gradients: Any) -> None:
        self.t += 1
        first, second = (1 - 0.9**self.t, 1 - 0.999**self.t) if self.corrected else (1, 1)
        for p, g, m, v in zip(self.ps, gradients, self.m, self.v, strict=True):
            m[:] = 0.9 * m + 0.1 * g
            v[:] = 0.999 * v + 0.001 * g**2
            p -= 0.001 * (m / first) / (np.sqrt(v / second) + 1e-8)


@pytest.mark.parametrize("corrected", [True, False])
def test_an_optimiser_object_at_a_fixed_rate(corrected: bool) -> None:
    net = Net()
    adam = Adam(net, corrected)

    def step(net: Net, x: Any, y: Any) -> None:
        adam.step(net.gradients(x, y))

    report = check_backprop(net, X, Y, train_step=step, learning_rate=0.001, **NAMES)
    assert report.causes == (() if corrected else ("adam_bias_correction",))


def test_convolutions_and_recurrent_networks_are_judged() -> None:
    class Recurrent:
        def __init__(self) -> None:
            self.Wx, self.Wh = RNG.normal(size=(2, 4)) * 0.5, RNG.normal(size=(4, 4)) * 0.5
            self.Wo = RNG.normal(size=(4, 1))

        def forward(self, x: Any) -> Any:
            self.h = [np.zeros((len(x), 4))]
            for t in range(x.shape[1]):
                self.h.append(np.tanh(x[:, t] @ self.Wx + self.h[-1] @ self.Wh))
            return self.h[-1] @ self.Wo

        def step(self, x: Any, y: Any, lr: float) -> None:
            d = 2 * (self.forward(x) - y) / len(x)
            dWo, dh = self.h[-1].T @ d, d @ self.Wo.T
            dWx, dWh = np.zeros((2, 4)), np.zeros((4, 4))
            for t in reversed(range(x.shape[1])):
                dz = dh * (1 - self.h[t + 1] ** 2)
                dWx += x[:, t].T @ dz
                dWh += self.before(t).T @ dz
                dh = dz @ self.Wh.T
            self.Wx -= lr * dWx
            self.Wh -= lr * dWh
            self.Wo -= lr * dWo

        def before(self, t: int) -> Any:
            return self.h[t]

    class Late(Recurrent):
        def before(self, t: int) -> Any:
            return self.h[t + 1]

    x, y = RNG.normal(size=(8, 5, 2)), RNG.normal(size=(8, 1))
    told: dict[str, Any] = {
        "weights": ["Wx", "Wh", "Wo"],
        "loss": lambda o, y: np.mean((o - y) ** 2),
        "train_step": "step",
    }
    assert check_backprop(Recurrent(), x, y, **told).ok
    report = check_backprop(Late(), x, y, **told)
    assert report.findings
    assert report.findings[0].line == "dWh += self.before(t).T @ dz"


def test_a_notebook_may_describe_its_network(tmp_path: Path) -> None:
    import json

    source = (
        "import numpy as np\n"
        "from anyarray_mlp.backprop import Adapter\n"
        "rng = np.random.default_rng(0)\n"
        "W = rng.normal(size=(3, 1))\n"
        "x = rng.normal(size=(9, 3))\n"
        "def forward(x): return x @ W\n"
        "def step(x, y, lr):\n"
        "    global W\n"
        "    W = W + lr * x.T @ (forward(x) - y)\n"
        "ADAPTER = Adapter(network=globals(), weights=['W'], forward=forward, train_step=step,\n"
        "                  loss='squared_error', x=x, y=x[:, :1])\n"
    )
    book = {"cells": [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []}],
            "metadata": {}, "nbformat": 4, "nbformat_minor": 5}  # fmt: skip
    file = tmp_path / "book.ipynb"
    file.write_text(json.dumps(book))
    report = check_file(file)
    assert report.causes[0] == "sign_flipped"
    assert report.findings[0].line == "W = W + lr * x.T @ (forward(x) - y)"


def test_a_script_sees_no_arguments_of_the_checker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["anyarray-mlp", "diagnose", "net.py"])
    file = tmp_path / "net.py"
    file.write_text(
        "import sys\nfrom anyarray_mlp.backprop import Adapter\nassert sys.argv == [__file__]\n"
        "def network(): return Adapter(network={})\n"
    )
    with pytest.raises(Exception, match="x and y are needed"):
        check_file(file)
