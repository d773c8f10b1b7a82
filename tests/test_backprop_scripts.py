"""Scripts and notebooks that train as they run, checked without a description."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from anyarray_mlp.backprop import BackpropReport, check_file
from anyarray_mlp.backprop.scripts.running import run_script
from anyarray_mlp.cli.diagnose import command
from anyarray_mlp.errors import StorageError, UsageError

TANH = """\
import numpy as np
import matplotlib.pyplot as plt

np.random.seed(0)
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
y = np.array([[0], [1], [1], [0]])
W1 = np.random.randn(2, 5)
b1 = np.zeros((1, 5))
W2 = np.random.randn(5, 1)
b2 = np.zeros((1, 1))
lr = 0.1
losses = []
for epoch in range(10000):
    z1 = X @ W1 + b1
    a1 = np.tanh(z1)
    out = a1 @ W2 + b2
    losses.append(np.mean((out - y) ** 2) / 2)
    dout = (out - y) / len(X)
    dW2 = a1.T @ dout
    db2 = dout.sum(axis=0, keepdims=True)
    da1 = dout @ W2.T
    dz1 = da1 * (1 - a1 ** 2)
    dW1 = X.T @ dz1
    db1 = dz1.sum(axis=0, keepdims=True)
    W1 -= lr * dW1
    b1 -= lr * db1
    W2 -= lr * dW2
    b2 -= lr * db2
    if epoch % 1000 == 0:
        print(epoch, losses[-1])
plt.plot(losses)
plt.show()
input("press a key")
sys.exit()
"""

LISTS = """\
import math
import random

random.seed(1)
data = [[0.1, 0.9], [0.7, 0.2], [0.4, 0.4]]
wanted = [0.3, 0.8, 0.5]
hidden = [[random.uniform(-1, 1) for _ in range(3)] for _ in range(2)]
last = [random.uniform(-1, 1) for _ in range(3)]


def sigmoid(v):
    return 1.0 / (1.0 + math.exp(-v))


while True:
    for row, want in zip(data, wanted):
        outs = [sigmoid(w[0] * row[0] + w[1] * row[1] + w[2]) for w in hidden]
        out = sigmoid(last[0] * outs[0] + last[1] * outs[1] + last[2])
        delta = (want - out) * out * (1 - out)
        deltas = [delta * last[k] * outs[k] * (1 - outs[k]) for k in range(2)]
        for k in range(2):
            last[k] += 0.5 * delta * outs[k]
            for i in range(2):
                hidden[k][i] += 0.5 * deltas[k] * row[i]
            hidden[k][2] += 0.5 * deltas[k]
        last[2] += 0.5 * delta
"""


def checked(folder: Path, source: str, name: str = "net.py") -> BackpropReport:
    path = folder / name
    path.write_text(source)
    return check_file(path)


@pytest.mark.parametrize("source", [TANH, LISTS], ids=["arrays", "lists"])
def test_a_right_script_is_quiet(tmp_path: Path, source: str) -> None:
    report = checked(tmp_path, source)
    assert report.ok, str(report)
    assert "weights" in report.understood


CLASS = """\
import numpy as np


class Network:
    def __init__(self, layer_sizes):
        rng = np.random.default_rng(0)
        pairs = list(zip(layer_sizes[:-1], layer_sizes[1:]))
        self.weights = [rng.standard_normal((o, i)) for i, o in pairs]
        self.biases = [np.zeros((o, 1)) for _, o in pairs]

    def forward(self, x):
        self.values = [x]
        for w, b in zip(self.weights, self.biases):
            self.values.append(1 / (1 + np.exp(-(w @ self.values[-1] + b))))
        return self.values[-1]

    def fit(self, X, y, epochs=100, learning_rate=0.1):
        for _ in range(epochs):
            out = self.forward(X)
            loss = np.mean(np.sum((out - y) ** 2, axis=0)) / 2
            delta = (out - y) * out * (1 - out) / X.shape[1]
            for k in range(len(self.weights) - 1, -1, -1):
                dw, db = delta @ self.values[k].T, delta.sum(axis=1, keepdims=True)
                a = self.values[k]
                delta = (self.weights[k].T @ delta) * a * (1 - a)
                self.weights[k] -= learning_rate * dw
                self.biases[k] -= learning_rate * db
"""

MOMENTUM = TANH.replace("W2 -= lr * dW2", "v2 = 0.9 * v2 - lr * dW2\n    W2 += v2").replace(
    "losses = []", "losses = []\nv2 = np.zeros((5, 1))"
)

ADAM = TANH.replace(
    "W2 -= lr * dW2",
    "t = epoch + 1\n"
    "    m2 = 0.9 * m2 + 0.1 * dW2\n"
    "    s2 = 0.999 * s2 + 0.001 * dW2 ** 2\n"
    "    right = s2 / (1 - 0.999 ** t)\n"
    "    W2 -= lr * (m2 / (1 - 0.9 ** t)) / (np.sqrt(right) + 1e-8)",
).replace("losses = []", "losses = []\nm2 = np.zeros((5, 1))\ns2 = np.zeros((5, 1))")

LOST = """\
import numpy as np

rng = np.random.default_rng(0)
X, y = rng.random((8, 3)), rng.random((8, 1))
A, B = rng.standard_normal((3, 4)), rng.standard_normal((4, 1))
for _ in range(50):
    a = np.tanh(X @ A)
    error = (a @ B - y) / 8
    print(np.sum((a @ B - y) ** 2) / 16)
    for w, dw in [(A, X.T @ ((error @ B.T) * (1 - a**2))), (B, a.T @ error)]:
        w -= 0.1 * dw
"""

INNER = """\
import numpy as np

rng = np.random.default_rng(0)
X, y = rng.random((5, 3)), rng.random(5)
w, v = rng.standard_normal((4, 3)), rng.standard_normal(4)
for _ in range(50):
    total = np.zeros((4, 3))
    loss = 0.0
    for x, t in zip(X, y):
        a = np.tanh(w @ x)
        error = v @ a - t
        loss += error**2 / 2
        total += np.outer(error * v * (1 - a**2), x)
        v -= 0.1 * error * a
    w -= 0.1 * total
"""


MISTAKES = {
    "derivative_missing": (TANH, "dW1 = X.T @ dz1", "dW1 = X.T @ da1"),
    "derivative_of_activated": (TANH, "(1 - a1 ** 2)", "(1 - np.tanh(a1) ** 2)"),
    "derivative_of_preactivation": (TANH, "(1 - a1 ** 2)", "(1 - z1 ** 2)"),
    "derivative_formula_wrong": (TANH, "(1 - a1 ** 2)", "(1 - a1)"),
    "sign_flipped": (TANH, "W2 -= lr * dW2", "W2 += lr * dW2"),
    "mean_missing": (TANH, "dW2 = a1.T @ dout", "dW2 = a1.T @ dout * len(X)"),
    "preactivation_as_input": (TANH, "dW2 = a1.T @ dout", "dW2 = z1.T @ dout"),
    "error_not_delta": (
        LISTS,
        "deltas = [delta * last[k] * outs[k]",
        "deltas = [(want - out) * last[k] * outs[k]",
    ),
    "momentum_misapplied": (MOMENTUM, "v2 = 0.9 * v2", "v2 = 0.9 * W2"),
    "adam_bias_correction": (ADAM, "right = s2 / (1 - 0.999 ** t)", "right = s2 / (1 - 0.9 ** t)"),
    "weights_not_updated": (LOST, "w -= 0.1 * dw", "w = w - 0.1 * dw"),
    "derivative_twice": (CLASS, "* a * (1 - a)", "* a * (1 - a) * a * (1 - a)"),
}


@pytest.mark.parametrize("cause", MISTAKES)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, cause: str) -> None:
    source, right, wrong = MISTAKES[cause]
    assert right in source
    report = checked(tmp_path, source.replace(right, wrong))
    assert report.causes[0] == cause, str(report)
    assert report.findings[0].line is not None
    assert wrong in report.findings[0].line


@pytest.mark.parametrize(
    "source",
    [CLASS, MOMENTUM, ADAM, LOST, INNER, TANH.replace("np.zeros((1, 1))", "0")],
    ids=["never trained", "momentum", "adam", "names in a loop", "inner updates", "bias 0"],
)
def test_other_right_scripts_are_quiet(tmp_path: Path, source: str) -> None:
    report = checked(tmp_path, source)
    assert report.ok, str(report)


def test_a_bias_that_never_changes_is_named_with_the_updates(tmp_path: Path) -> None:
    report = checked(tmp_path, TANH.replace("    b1 -= lr * db1\n", ""))
    assert report.causes == ("bias_not_updated",)
    assert report.findings[0].evidence["wrong"] == "b1"
    assert report.findings[0].line == "W1 -= lr * dW1"


def test_a_wrong_line_in_a_long_expression_is_its_own(tmp_path: Path) -> None:
    long = "dz1 = (da1\n           * (1 - np.tanh(a1) ** 2))"
    report = checked(tmp_path, TANH.replace("dz1 = da1 * (1 - a1 ** 2)", long))
    assert report.causes[0] == "derivative_of_activated"
    assert report.findings[0].line == "* (1 - np.tanh(a1) ** 2))"


def test_plain_numbers_go_to_libraries(tmp_path: Path) -> None:
    split = "from sklearn.model_selection import train_test_split\n"
    use = "train_test_split(X, y, test_size=0.25, random_state=0)\nlosses = []"
    report = checked(tmp_path, split + TANH.replace("losses = []", use))
    assert report.ok, str(report)


def test_the_needed_gradient_is_named(tmp_path: Path) -> None:
    report = checked(tmp_path, TANH.replace("dW1 = X.T @ dz1", "dW1 = X.T @ da1"))
    detail = report.findings[0].detail
    assert "X.T and da1 are right" in detail
    assert "the gradient of z1 is needed" in detail


def test_a_notebook_is_read_with_its_cells(tmp_path: Path) -> None:
    first, second = TANH.replace("(1 - a1 ** 2)", "(1 - a1)").split("lr = 0.1\n")
    cells = [
        {"cell_type": "markdown", "source": ["# a network"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", first]},
        {"cell_type": "code", "source": ["!pip list\n", "lr = 0.1\n", second]},
    ]
    report = checked(tmp_path, json.dumps({"cells": cells}), "net.ipynb")
    assert report.causes[0] == "derivative_formula_wrong"
    assert report.findings[0].location == "net.ipynb:cell 2, line 13"
    run = CliRunner().invoke(command, [str(tmp_path / "net.ipynb"), "--json"])
    assert json.loads(run.output)["findings"][0]["cause"] == "derivative_formula_wrong"


def test_what_is_no_notebook_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"cells": 3}'):
        with pytest.raises(StorageError, match="no notebook"):
            checked(tmp_path, text, "net.ipynb")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("print('hello')\n", "no training was found"),
        ("import nothing_like_this\n", "ModuleNotFoundError"),
        ("try:\n    import jax\nexcept ImportError:\n    pass\n", "those of jax"),
        ("def f(:\n", "net.py:1"),
        ("int(__import__('sys').argv[1])\n", "IndexError"),
    ],
)
def test_a_script_that_does_not_train_is_one_clear_error(
    tmp_path: Path, source: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        checked(tmp_path, source)


def test_nothing_of_a_script_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv, path, modules = list(sys.argv), list(sys.path), set(sys.modules)
    checked(tmp_path, TANH)
    assert (sys.argv, sys.path) == (argv, path)
    assert "matplotlib.pyplot" in modules or "matplotlib.pyplot" not in sys.modules
    assert capsys.readouterr().out == ""


def test_a_script_changes_no_module_of_the_program_that_checks_it(tmp_path: Path) -> None:
    """What it brings itself is recorded, and gone afterwards."""
    (tmp_path / "brought_by_a_script.py").write_text("import numpy as np\n")
    script = tmp_path / "script.py"
    script.write_text("import numpy as np\nimport brought_by_a_script\nprint(np.tanh(0.0))\n")
    before = dict(globals())
    run_script(script.read_text(), str(script))
    assert {name for name, value in before.items() if globals()[name] is not value} == set()
    assert "brought_by_a_script" not in sys.modules
