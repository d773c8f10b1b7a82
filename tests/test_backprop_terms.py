"""Scripts whose mistake is a missing or doubled part of an error, a mask, zeros, or another layer's value."""

from __future__ import annotations

from pathlib import Path

import pytest

from anyarray_mlp.backprop.scripts.check import check_script

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

RECURRENT = """
import numpy as np
rng = np.random.default_rng(0)
U, W, V = rng.normal(size=(4, 3)), rng.normal(size=(4, 4)), rng.normal(size=(2, 4))
text = rng.normal(size=(8, 3, 1))
targets = rng.normal(size=(8, 2, 1))
for epoch in range(20):
    h, errors, loss = {-1: np.zeros((4, 1))}, {}, 0.0
    for t in range(8):
        h[t] = np.tanh(U @ text[t] + W @ h[t - 1])
        errors[t] = V @ h[t] - targets[t]
        loss += 0.5 * np.sum(errors[t] ** 2)
    dU, dW, dV = np.zeros_like(U), np.zeros_like(W), np.zeros_like(V)
    below = np.zeros((4, 1))
    for t in reversed(range(8)):
        dV += errors[t] @ h[t].T
        dh = V.T @ errors[t] + below
        dz = dh * (1 - h[t] ** 2)
        dU += dz @ text[t].T
        dW += dz @ h[t - 1].T
        below = W.T @ dz
    U -= 0.01 * dU
    W -= 0.01 * dW
    V -= 0.01 * dV
"""

DROPOUT = """
import numpy as np
rng = np.random.default_rng(0)
X, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 1))
W1, W2 = rng.normal(size=(3, 5)), rng.normal(size=(5, 1))
for epoch in range(20):
    a = np.tanh(X @ W1)
    mask = (rng.random(a.shape) < 0.5) / 0.5
    dropped = a * mask
    out = dropped @ W2
    loss = 0.5 * np.mean((out - y) ** 2)
    d2 = (out - y) / 7
    d1 = (d2 @ W2.T) * mask
    d1 = d1 * (1 - a ** 2)
    W2 -= 0.1 * dropped.T @ d2
    W1 -= 0.1 * X.T @ d1
"""

EQUAL_WIDTHS = """
import numpy as np
rng = np.random.default_rng(0)
X, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 1))
W1, W2, W3 = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=(4, 1))
for epoch in range(20):
    z1 = X @ W1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ W2
    a2 = np.maximum(z2, 0)
    out = a2 @ W3
    d3 = out - y
    d2 = d3 @ W3.T * (z2 > 0)
    d1 = d2 @ W2.T * (z1 > 0)
    W3 -= 0.1 * a2.T @ d3
    W2 -= 0.1 * a1.T @ d2
    W1 -= 0.1 * X.T @ d1
"""

CLASSES = """
import numpy as np
rng = np.random.default_rng(0)
X, labels = rng.normal(size=(7, 3)), np.array([0, 1, 2, 0, 1, 2, 0])
W1, W2 = rng.normal(size=(3, 5)), rng.normal(size=(5, 3))
b2 = np.zeros(3)
hot = np.eye(3)[labels]
for epoch in range(20):
    a = np.tanh(X @ W1)
    raised = np.exp(a @ W2 + b2)
    p = raised / raised.sum(axis=1, keepdims=True)
    loss = -np.mean(np.sum(hot * np.log(p), axis=1))
    d2 = (p - hot) / 7
    d1 = d2 @ W2.T * (1 - a ** 2)
    dW2, db2 = a.T @ d2, d2.sum(axis=0)
    dW1 = X.T @ d1
    W2 -= 0.1 * dW2
    b2 -= 0.1 * db2
    W1 -= 0.1 * dW1
"""

#: The same with gradients only.
NO_STEP = CLASSES.split("    W2 -= ")[0].replace(
    "dW2, db2 = a.T @ d2, d2.sum(axis=0)", "dW2 = a.T @ d2"
)

LISTS = """
import numpy as np
rng = np.random.default_rng(0)
X, labels = rng.normal(size=(6, 3)), np.array([0, 1, 1, 0, 1, 0])
W1, W2 = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
for epoch in range(5):
    for x, label in zip(X, labels):
        a = np.tanh(x @ W1)
        out = np.tanh(a @ W2)
        wanted = [k == label for k in range(2)]
        d2 = (wanted - out) * (1 - out ** 2)
        d1 = np.zeros(4)
        for unit in range(4):
            s = d2.dot(W2[unit, :])
            d1[unit] = s * (1 - a[unit] ** 2)
        W2 += 0.1 * np.outer(a, d2)
        W1 += 0.1 * np.outer(x, d1)
"""

BRANCHES = """
import numpy as np
rng = np.random.default_rng(0)
X, labels = rng.normal(size=(6, 3)), np.array([0, 1, 2, 0, 1, 2])
W = rng.normal(size=(3, 3))
total = 0.0
for epoch in range(5):
    for x, label in zip(X, labels):
        raised = np.exp(x @ W)
        p = raised / np.sum(raised)
        total = total - np.log(p[label])
        start = np.zeros(3)
        start[label] = -1 / p[label]
        for i, slope in enumerate(start):
            if slope == 0:
                continue
            dz = -p[i] * p
            dz[i] = p[i] * (1 - p[i])
            dz = slope * dz
        W -= 0.1 * np.outer(x, dz)
"""

SAMPLED = RECURRENT.replace(
    "for epoch in range(20):\n",
    "for epoch in range(20):\n"
    "    both, state = np.zeros((7, 1)), np.zeros((4, 1))\n"
    "    for _ in range(3):\n"
    "        both[:4] = state\n"
    "        both[4:] = text[0]\n"
    "        state = np.tanh(np.hstack([W, U]) @ both)\n",
)

RIGHT = {
    "recurrent": RECURRENT,
    "dropout": DROPOUT,
    "equal widths": EQUAL_WIDTHS,
    "classes": CLASSES,
    "gradients only": NO_STEP,
    "labels compared in a list": LISTS,
    "a branch on a gradient": BRANCHES,
    "a buffer before the training": SAMPLED,
}

#: cause: (source, its right line, its wrong line)
WRONG = {
    "error_incomplete": (RECURRENT, "dh = V.T @ errors[t] + below", "dh = V.T @ errors[t]"),
    "mask_missing": (DROPOUT, "d1 = (d2 @ W2.T) * mask", "d1 = (d2 @ W2.T) * 0.5"),
    "wrong_layers_derivative": (
        EQUAL_WIDTHS,
        "d1 = d2 @ W2.T * (z1 > 0)",
        "d1 = d2 @ W2.T * (z2 > 0)",
    ),
    "softmax_over_batch": (CLASSES, "raised.sum(axis=1, keepdims=True)", "raised.sum(axis=0)"),
    "weights_not_updated": (CLASSES, "dW1 = X.T @ d1", "dW1 = X.T @ np.zeros_like(d1)"),
    "wrong_layers_error": (
        EQUAL_WIDTHS.replace("z1 = X @ W1", "z1 = X @ W1 + b1")
        .replace("z2 = a1 @ W2", "z2 = a1 @ W2 + b2")
        .replace("for epoch", "b1, b2 = np.zeros(4), np.zeros(4)\nfor epoch")
        + "    db1 = d1.sum(axis=0)\n    b1 -= 0.1 * db1\n    b2 -= 0.1 * d2.sum(axis=0)\n",
        "db1 = d1.sum(axis=0)",
        "db1 = d2.sum(axis=0)",
    ),
    "loss_reported_differs": (
        CLASSES.replace("raised / raised.sum(axis=1, keepdims=True)", "raised / (1 + raised)"),
        "d2 = (p - hot) / 7",
        "d2 = (p - hot) * p * (1 - p) / 7",
    ),
    "wrong_operand": (LISTS, "d2.dot(W2[unit, :])", "d2.dot(W2[unit, ::-1])"),
    "wrong_error": (NO_STEP, "d2 = (p - hot) / 7", "d2 = (p + hot) / 7"),
}


def written(tmp_path: Path, source: str) -> str:
    path = tmp_path / "net.py"
    path.write_text(source)
    return str(path)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_script_is_quiet(tmp_path: Path, name: str) -> None:
    report = check_script(written(tmp_path, RIGHT[name]))
    alarms = [f for f in report.findings if f.cause not in ("mean_missing", "factor_two")]
    assert not alarms, str(report)


@pytest.mark.parametrize("cause", WRONG)
def test_the_line_of_a_mistake_is_named(tmp_path: Path, cause: str) -> None:
    source, right, wrong = WRONG[cause]
    assert right in source
    report = check_script(written(tmp_path, source.replace(right, wrong)))
    assert report.causes[:1] == (cause,), str(report)
    if cause != "loss_reported_differs":
        assert wrong in str(report.findings[0].line)


def test_a_cell_gradient_that_is_counted_twice_is_named(tmp_path: Path) -> None:
    doubled = RECURRENT.replace(
        "        dz = dh * (1 - h[t] ** 2)\n",
        "        dz = dh * (1 - h[t] ** 2) + below * (1 - h[t] ** 2)\n",
    )
    report = check_script(written(tmp_path, doubled))
    assert report.causes[0] == "error_twice", str(report)
    assert "+ below" in str(report.findings[0].line)


def test_a_buffer_that_is_only_written_is_no_weight(tmp_path: Path) -> None:
    report = check_script(written(tmp_path, SAMPLED))
    assert report.understood["weights"] == "U, W, V"
