"""`check_backprop`: a sample of the hand-written networks, and each part on its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.backprop import Adapter, check_backprop, check_file
from anyarray_mlp.backprop.causes.catalogue import CATALOGUE
from anyarray_mlp.backprop.causes.finding import in_columns
from anyarray_mlp.backprop.user.calling import bind
from anyarray_mlp.backprop.user.paths import read_path, write_path
from anyarray_mlp.backprop.user.snapshots import Snapshot
from anyarray_mlp.errors import DataError, StorageError, UsageError
from benchmarks.diagnosis.backprop import run_case
from tests.corpus.cases import load_cases

CASES = load_cases()
X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])


def logistic(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


class Small:
    """2-3-1, logistic, half the squared error; `gradients` is right."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.w1, self.b1 = rng.normal(size=(2, 3)), np.zeros(3)
        self.w2, self.b2 = rng.normal(size=(3, 1)), np.zeros(1)

    def forward(self, x: Any) -> Any:
        self.h = logistic(x @ self.w1 + self.b1)
        return logistic(self.h @ self.w2 + self.b2)

    def loss(self, x: Any, y: Any) -> float:
        return float(0.5 * np.sum((self.forward(x) - y) ** 2))

    def gradients(self, x: Any, y: Any) -> list[Any]:
        o = self.forward(x)
        d2 = (o - y) * o * (1 - o)
        d1 = d2 @ self.w2.T * self.h * (1 - self.h)
        return [x.T @ d1, d1.sum(0), self.h.T @ d2, d2.sum(0)]

    def step(self, x: Any, y: Any, lr: float) -> None:
        for p, g in zip((self.w1, self.b1, self.w2, self.b2), self.gradients(x, y), strict=True):
            p -= lr * g


NAMES: dict[str, Any] = {"weights": ["w1", "w2"], "biases": ["b1", "b2"], "loss": "loss"}


@pytest.mark.parametrize("case", CASES[::4], ids=lambda c: f"{c.style}-{c.name}")
def test_hand_written_networks(case: Any) -> None:
    result = run_case(case)
    assert not result.error
    assert result.passed, f"planted {case.planted}, found {result.causes}\n{result.report}"


def test_the_network_is_handed_back_as_it_was() -> None:
    net = Small()
    net.velocity = [np.ones(2)]  # type: ignore[attr-defined]
    arrays = {name: getattr(net, name) for name in ("w1", "b1", "w2", "b2")}
    copies = {name: array.copy() for name, array in arrays.items()}
    check_backprop(net, X, Y, gradients="gradients", train_step="step", **NAMES)
    for name, array in arrays.items():
        assert getattr(net, name) is array
        np.testing.assert_array_equal(array, copies[name])


def test_guessing_weights_and_forward() -> None:
    report = check_backprop(Small(), X, Y, gradients="gradients")
    assert report.ok
    assert report.understood["layers"] == "2-3-1"
    assert report.understood["weights"] == "(in, out)"


def test_two_mistakes_are_reported_as_two() -> None:
    class Two(Small):
        def gradients(self, x: Any, y: Any) -> list[Any]:
            dw1, db1, dw2, db2 = super().gradients(x, y)
            return [dw1, 0 * db1, -dw2, -db2]

    report = check_backprop(Two(), X, Y, gradients="gradients", **NAMES)
    assert set(report.causes) == {"sign_flipped", "bias_not_updated"}


def test_report_as_text_and_json() -> None:
    class Flipped(Small):
        def gradients(self, x: Any, y: Any) -> list[Any]:
            return [-g for g in super().gradients(x, y)]

    report = check_backprop(Flipped(), X, Y, gradients="gradients", **NAMES)
    told = json.loads(report.to_json())
    assert told["ok"] is False
    assert told["findings"][0]["cause"] == "sign_flipped"
    assert told["findings"][0]["evidence"]["cosine with the right gradient"] == pytest.approx(-1)
    text = str(report)
    assert "should be" in text
    assert "test_backprop_mistakes.py:" in text


def test_every_cause_of_the_benchmark_is_in_the_catalogue() -> None:
    assert {cause for case in CASES for cause in case.planted} <= set(CATALOGUE)


def test_every_cause_is_on_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs" / "check-backprop.md").read_text()
    assert [cause for cause in CATALOGUE if f"| `{cause}` |" not in page] == []


def test_an_error_of_the_users_own_code_is_told_with_its_line() -> None:
    class Broken(Small):
        def gradients(self, x: Any, y: Any) -> list[Any]:
            return [x.T @ np.ones((99, 3))]

    with pytest.raises(UsageError, match=r"test_backprop_mistakes.py:\d+: .* raised ValueError"):
        check_backprop(Broken(), X, Y, gradients="gradients", **NAMES)


def test_gradients_that_are_not_finite_make_valid_json() -> None:
    class Infinite(Small):
        def gradients(self, x: Any, y: Any) -> list[Any]:
            return [g * np.inf for g in super().gradients(x, y)]

    report = check_backprop(Infinite(), X, Y, gradients="gradients", **NAMES)
    assert report.causes == ("gradient_not_finite",)
    assert json.loads(report.to_json(), parse_constant=pytest.fail)["ok"] is False


def test_bad_descriptions_say_what_to_do() -> None:
    with pytest.raises(UsageError, match="neither gradients nor train_step"):
        check_backprop(Small(), X, Y, **NAMES)
    with pytest.raises(UsageError, match="'w9'"):
        check_backprop(Small(), X, Y, weights=["w1", "w9"], gradients="gradients")
    with pytest.raises(UsageError, match="no method of that name"):
        check_backprop(Small(), X, Y, gradients="backward", **NAMES)
    with pytest.raises(DataError, match="4 samples and y has 3"):
        check_backprop(Small(), X, Y[:3], gradients="gradients", samples="rows", **NAMES)
    with pytest.raises(UsageError, match="samples='row' is none of None, 'rows', 'columns'"):
        check_backprop(Small(), X, Y, gradients="gradients", samples="row", **NAMES)
    with pytest.raises(UsageError, match=r"update='plus' is none of '-=', '\+='"):
        check_backprop(Small(), X, Y, gradients="gradients", update="plus", **NAMES)
    with pytest.raises(DataError, match=r"^x holds 1 value of NaN or inf"):
        check_backprop(Small(), [[0.0, np.nan]], Y[:1], gradients="gradients", **NAMES)
    with pytest.raises(DataError, match=r"^y holds 4 values of NaN or inf"):
        check_backprop(Small(), X, Y * np.nan, gradients="gradients", **NAMES)
    with pytest.raises(UsageError, match="x and y are needed"):
        check_backprop(Small(), gradients="gradients", **NAMES)


def test_weights_that_are_not_finite_are_named() -> None:
    net = Small()
    net.w2[1] = np.nan
    report = check_backprop(net, X, Y, gradients="gradients", **NAMES)
    assert report.causes == ("weights_not_finite",)
    assert report.findings[0].layers == (2,)
    assert report.findings[0].detail == "NaN or inf in w2"


def test_a_mistake_of_the_biases_alone_is_told_as_theirs() -> None:
    class Two(Small):
        def gradients(self, x: Any, y: Any) -> list[Any]:
            dw1, db1, dw2, db2 = super().gradients(x, y)
            return [dw1, -db1, dw2, -db2]

        def step(self, x: Any, y: Any, lr: float) -> None:
            dw1, db1, dw2, db2 = super().gradients(x, y)
            self.w1, self.w2 = self.w1 - lr * dw1, self.w2 - lr * dw2
            self.b1, self.b2 = self.b1 - db1, self.b2 - db2

    report = check_backprop(Two(), X, Y, gradients="gradients", **NAMES)
    assert "[bias of layers 1, 2] (sign_flipped)" in str(report)
    assert report.findings[0].should_be == "db = delta.sum(axis=0) with b -= learning_rate * db"
    report = check_backprop(Two(), X, Y, train_step="step", **NAMES)
    assert "[bias of layers 1, 2] (learning_rate_missing)" in str(report)
    assert report.findings[0].should_be == "b -= learning_rate * db"


def test_formulas_for_columns() -> None:
    assert in_columns("dW = a.T @ delta / n") == "dW = delta @ a.T / n"
    assert (
        in_columns("error = delta @ W2.T; z = a @ W + b") == "error = W2.T @ delta; z = W @ a + b"
    )
    assert in_columns("exp(z - z.max(axis=1)), each row") == "exp(z - z.max(axis=0)), each column"

    def forward(p: Any, x: Any) -> Any:
        return logistic(p["w2"] @ logistic(p["w1"] @ x + p["b1"]) + p["b2"])

    def gradients(p: Any, x: Any, y: Any) -> dict[str, Any]:
        h = logistic(p["w1"] @ x + p["b1"])
        o = logistic(p["w2"] @ h + p["b2"])
        d2 = (o - y) * o * (1 - o)
        d1 = p["w2"].T @ d2
        return {
            "w1": d1 @ x.T,
            "w2": d2 @ h.T,
            "b1": d1.sum(axis=1, keepdims=True),
            "b2": d2.sum(axis=1, keepdims=True),
        }

    rng = np.random.default_rng(3)
    params = {
        "w1": rng.normal(size=(5, 2)),
        "b1": np.zeros((5, 1)),
        "w2": rng.normal(size=(1, 5)),
        "b2": np.zeros((1, 1)),
    }
    told = {**NAMES, "loss": "squared_error", "samples": "columns"}
    report = check_backprop(params, X.T, Y.T, forward=forward, gradients=gradients, **told)
    assert report.causes == ("derivative_missing",)
    assert report.findings[0].should_be == "delta = (W.T @ delta_above) * f'(z)"


def test_check_file(tmp_path: Path) -> None:
    good = tmp_path / "good.py"
    good.write_text(
        "import numpy as np\n"
        "from anyarray_mlp.backprop import Adapter\n"
        "rng = np.random.default_rng(0)\n"
        "x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))\n"
        "w = rng.normal(size=(3, 2))\n"
        "def forward(x):\n    return x @ w\n"
        "def step(x, y, lr):\n    global w\n    w = w + lr * x.T @ (forward(x) - y)\n"
        "def adapter():\n"
        "    return Adapter(network=globals(), weights=['w'], forward=forward, train_step=step,\n"
        "                   loss='squared_error', x=x, y=y)\n"
    )
    assert check_file(good).causes[0] == "sign_flipped"
    empty = tmp_path / "empty.py"
    empty.write_text("a = 1\nprint(a)\n")
    with pytest.raises(UsageError, match="no training was found"):
        check_file(empty)
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0\n")
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        check_file(broken)
    ended = tmp_path / "ended.py"
    ended.write_text(good.read_text() + "ADAPTER = adapter()\nimport sys\nsys.exit(0)\n")
    assert check_file(ended).causes[0] == "sign_flipped"
    ended.write_text("import sys\nsys.exit()\nADAPTER = 1\n")
    with pytest.raises(UsageError, match=r"calls sys\.exit\(\)"):
        check_file(ended)
    with pytest.raises(StorageError, match="no such file"):
        check_file(tmp_path / "none.py")


def test_snapshot_restores_contents_and_identity() -> None:
    class Holder:
        __slots__ = ("layers", "rate")

    holder = Holder()
    inner = np.arange(3.0)
    holder.layers, holder.rate = [{"w": inner}], 0.1
    rng = np.random.default_rng(3)
    state = [holder, rng]
    snapshot = Snapshot([state])
    first = rng.random()
    inner += 1
    holder.layers.append(5)
    holder.rate = 9.0
    snapshot.restore()
    assert holder.rate == 0.1
    assert holder.layers == [{"w": inner}]
    assert holder.layers[0]["w"] is inner
    np.testing.assert_array_equal(inner, [0, 1, 2])
    assert rng.random() == first


def test_paths_reach_into_lists_dicts_and_objects() -> None:
    network = [[{"weights": [1.0, 2.0, 3.0]}, {"weights": [4.0, 5.0, 6.0]}]]
    assert np.shape(read_path(network, "0.*.weights")) == (2, 3)
    kept = network[0][1]["weights"]
    write_path(network, "0.*.weights", np.zeros((2, 3)))
    assert network[0][1]["weights"] is kept
    assert kept == [0.0, 0.0, 0.0]


def test_arguments_are_given_by_name() -> None:
    def loss(y_true: Any, y_pred: Any) -> float:
        return float(y_true[0] - y_pred[0])

    assert bind(None, loss, "loss").roles == ("y", "output")
    assert bind(None, lambda x, params: x, "forward").roles == ("x", "network")
    assert bind(None, lambda a, b, c: a, "gradients").roles == ("network", "x", "y")
    with pytest.raises(UsageError, match="takes 5 arguments"):
        bind(None, lambda a, b, c, d, e: a, "train_step")


def test_importing_brings_in_no_heavy_library() -> None:
    code = (
        "import sys, anyarray_mlp.backprop as d; d.check_backprop; d.Adapter;"
        "print([m for m in ('sklearn', 'pandas', 'torch', 'jax', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_line_named_is_the_one_with_the_mistake() -> None:
    class Slipped(Small):
        def gradients(self, x: Any, y: Any) -> list[Any]:
            o = self.forward(x)
            d2 = (o - y) * o * (1 - o)
            d1 = d2 @ self.w2.T * logistic(self.h) * (1 - logistic(self.h))
            return [x.T @ d1, d1.sum(0), self.h.T @ d2, d2.sum(0)]

    finding = check_backprop(Slipped(), X, Y, gradients="gradients", **NAMES).findings[0]
    assert (finding.cause, finding.layer) == ("derivative_of_activated", 1)
    assert finding.line is not None
    assert finding.line.startswith("d1 = d2 @ self.w2.T")


def test_arrays_of_the_strictest_library() -> None:
    xp = pytest.importorskip("array_api_strict")
    rng = np.random.default_rng(0)

    class Strict:
        def __init__(self) -> None:
            self.w, self.v = (
                xp.asarray(rng.normal(size=(3, 4))),
                xp.asarray(rng.normal(size=(4, 1))),
            )

        def forward(self, x: Any) -> Any:
            self.h = xp.tanh(x @ self.w)
            return self.h @ self.v

        def loss(self, x: Any, y: Any) -> Any:
            return xp.mean((self.forward(x) - y) ** 2)

        def gradients(self, x: Any, y: Any) -> list[Any]:
            d = 2 * (self.forward(x) - y) / x.shape[0]
            return [x.T @ ((d @ self.v.T) * (1 - self.h)), self.h.T @ d]

    x, y = xp.asarray(rng.normal(size=(7, 3))), xp.asarray(rng.normal(size=(7, 1)))
    report = check_backprop(Strict(), x, y, weights=["w", "v"], loss="loss", gradients="gradients")
    assert report.causes == ("derivative_formula_wrong",)
    assert "the factor is 1 - a" in report.findings[0].detail
    assert report.findings[0].line == "return [x.T @ ((d @ self.v.T) * (1 - self.h)), self.h.T @ d]"


def test_a_forward_pass_of_no_known_form_is_compared_by_numbers() -> None:
    class Odd(Small):
        def forward(self, x: Any) -> Any:
            self.h = logistic(x @ self.w1 + self.b1) ** 3
            return logistic(self.h @ self.w2 + self.b2)

        def gradients(self, x: Any, y: Any) -> list[Any]:
            o = self.forward(x)
            d2 = (o - y) * o * (1 - o)
            s = self.h ** (1 / 3)
            d1 = d2 @ self.w2.T * 3 * s**2 * s * (1 - s)
            return [x.T @ d1, d1.sum(0), self.h.T @ d2, d2.sum(0)]

    class Flipped(Odd):
        def gradients(self, x: Any, y: Any) -> list[Any]:
            dw1, db1, dw2, db2 = super().gradients(x, y)
            return [dw1, db1, -dw2, 4 * db2]

    assert check_backprop(Odd(), X, Y, gradients="gradients", **NAMES).ok
    report = check_backprop(Flipped(), X, Y, gradients="gradients", **NAMES)
    assert set(report.causes) == {"sign_flipped", "mean_missing"}
    assert check_backprop(Odd(), X, Y, gradients="gradients", **{**NAMES, "loss": None}).ok


def test_own_activations_can_be_told() -> None:
    def cubed(z: Any) -> Any:
        return logistic(z) ** 3

    class Cubed(Small):
        def forward(self, x: Any) -> Any:
            self.z = x @ self.w1 + self.b1
            self.h = cubed(self.z)
            return logistic(self.h @ self.w2 + self.b2)

        def gradients(self, x: Any, y: Any) -> list[Any]:
            o = self.forward(x)
            d2 = (o - y) * o * (1 - o)
            d1 = d2 @ self.w2.T
            return [x.T @ d1, d1.sum(0), self.h.T @ d2, d2.sum(0)]

    told = {"activations": [cubed, "sigmoid"], **NAMES}
    report = check_backprop(Cubed(), X, Y, gradients="gradients", **told)
    assert report.causes == ("derivative_missing",)


def test_adapter_in_a_variable() -> None:
    adapter = Adapter(network=Small(), gradients="gradients", x=X, y=Y, **NAMES)
    assert check_backprop(adapter).ok
