"""Values of activations, outputs and losses against closed forms, and dropout's generator."""

from __future__ import annotations

import hashlib

import mpmath
import numpy as np
import pytest
import scipy.special

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.network.dropping import dropout, dropout_mask, hash32
from anyarray_mlp.network.functional import (
    ACTIVATIONS,
    OUTPUTS,
    activation_function,
    dense,
    dense_vjp,
)
from anyarray_mlp.network.losses import (
    LOSS_NAMES,
    PARAMETERS,
    entries,
    huber,
    loss_function,
    one_hot,
    output_and_losses,
    output_loss,
    quantile,
    with_parameter,
)
from tests.problems import PAIRS

Z = np.array([[-40.0, -3.0, -0.5], [0.0, 0.25, 2.0], [8.0, 40.0, 90.0]])

CLOSED_FORMS = {
    "identity": lambda z: z,
    "logistic": scipy.special.expit,
    "tanh": np.tanh,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: (
        1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))
    ),
    "gelu": lambda z: z * scipy.special.ndtr(z),
    "gelu_tanh": lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z * scipy.special.expit(z),
    "softplus": lambda z: np.logaddexp(z, 0),
    "mish": lambda z: z * np.tanh(np.logaddexp(z, 0)),
}


@pytest.mark.needs("values")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_equal_their_closed_forms(backend, name):
    value, _ = ACTIVATIONS[name](backend.xp, backend.asarray(Z))
    expected = CLOSED_FORMS[name](Z)
    # gelu's tail is a difference of nearly equal numbers: absolute, not relative, precision there.
    np.testing.assert_allclose(backend.to_host(value), expected, rtol=1e-14, atol=1e-15)


@pytest.mark.needs("values")
@pytest.mark.parametrize("output", OUTPUTS)
def test_outputs_equal_their_closed_forms(backend, output):
    z = np.minimum(Z, 50.0)
    value, _ = OUTPUTS[output](backend.xp, backend.asarray(z))
    expected = {
        "identity": z,
        "logistic": scipy.special.expit(z),
        "softmax": scipy.special.softmax(z, axis=1),
        "exp": np.exp(z),
    }[output]
    np.testing.assert_allclose(backend.to_host(value), expected, rtol=1e-14)


LOSS_FORMS = {
    ("softmax", "cross_entropy"): lambda z, t: -np.sum(t * scipy.special.log_softmax(z, axis=1), 1),
    ("logistic", "binary_cross_entropy"): lambda z, t: (
        -np.sum(t * scipy.special.log_expit(z) + (1 - t) * scipy.special.log_expit(-z), 1)
    ),
    ("exp", "poisson"): lambda z, t: np.sum(np.exp(z) - t * z, 1),
    ("identity", "squared_error"): lambda z, t: 0.5 * np.sum((z - t) ** 2, 1),
    ("identity", "absolute_error"): lambda z, t: np.sum(np.abs(z - t), 1),
    ("identity", "huber"): lambda z, t: np.sum(scipy.special.huber(1.0, z - t), 1),
    ("identity", "huber:2.5"): lambda z, t: np.sum(scipy.special.huber(2.5, z - t), 1),
    ("identity", "quantile"): lambda z, t: np.sum(np.abs(z - t), 1) / 2,
    ("identity", "quantile:0.9"): lambda z, t: np.sum(
        np.where(t > z, 0.9 * (t - z), 0.1 * (z - t)), 1
    ),
    ("logistic", "squared_error"): lambda z, t: 0.5 * np.sum((scipy.special.expit(z) - t) ** 2, 1),
}


@pytest.mark.needs("values")
@pytest.mark.parametrize("pair", LOSS_FORMS, ids="-".join)
def test_losses_equal_their_closed_forms(backend, pair):
    z = np.array([[-30.0, 2.0, 0.5], [4.0, -1.0, 30.0]])
    targets = np.array([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
    losses, _ = output_loss(backend.xp, *pair, backend.asarray(z), backend.asarray(targets))
    np.testing.assert_allclose(backend.to_host(losses), LOSS_FORMS[pair](z, targets), rtol=1e-14)


@pytest.mark.needs("values")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_give_finite_losses_and_gradients(backend, dtype):
    z = np.array([[1e4, -1e4], [-1e4, 1e4]])
    targets = backend.asarray(np.array([[0.0, 1.0], [0.0, 1.0]]))
    for pair in (("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy")):
        losses, vjp = output_loss(backend.xp, *pair, backend.asarray(z), targets)
        assert np.isfinite(backend.to_host(losses)).all()
        assert np.isfinite(backend.to_host(vjp(0.5))).all()
    # A sure and right answer costs nothing; a sure and wrong one its margin.
    np.testing.assert_allclose(backend.to_host(losses), [2e4, 0.0], atol=1e-6)


@pytest.mark.needs("values")
@pytest.mark.parametrize("dtype", ["float32"])
def test_binary_cross_entropy_of_sure_answers_keeps_its_digits(backend, dtype):
    z = np.array([[8.0], [12.0], [16.0], [30.0], [-12.0]])
    right = np.array([[1.0], [1.0], [1.0], [1.0], [0.0]])
    losses, _ = output_loss(
        backend.xp, "logistic", "binary_cross_entropy", backend.asarray(z), backend.asarray(right)
    )
    expected = np.log1p(np.exp(-np.abs(z[:, 0])))
    np.testing.assert_allclose(backend.to_host(losses), expected, rtol=1e-6)


@pytest.mark.needs("values")
def test_labels_and_one_hot_rows_agree(backend):
    labels = backend.asarray(np.array([2, 0, 1, 2]))
    rows = backend.jit(lambda xp, labels: one_hot(xp, labels, 3, xp.float64))(labels)
    np.testing.assert_array_equal(backend.to_host(rows), np.eye(3)[[2, 0, 1, 2]])


def host_mask(backend, shape, rate, key, row=0):
    """A dropout mask worked out on a backend."""
    key = backend.asarray(np.array(key, dtype=np.int32), dtype="int32")
    mask = backend.jit(lambda xp, key: dropout_mask(xp, shape, rate, key, row))(key)
    return backend.to_host(mask).astype(bool)


@pytest.mark.needs("values")
def test_dropout_masks_are_the_same_bits_everywhere(backend):
    mask = host_mask(backend, (64, 50), 0.3, -12345)
    digest = hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
    assert digest == "729c63c2282646e89b3d2ed6da05e9c92bc98acd7216681ebb3866ba8065c504"


@pytest.mark.needs("values")
def test_a_dropout_mask_does_not_depend_on_how_the_rows_are_split(backend):
    whole = host_mask(backend, (30, 7), 0.5, 99)
    parts = [
        host_mask(backend, (stop - start, 7), 0.5, 99, start)
        for start, stop in [(0, 1), (1, 12), (12, 30)]
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.on("numpy")
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_without_a_pattern(backend, rate):
    masks = np.stack(
        [dropout_mask(backend.xp, (100, 100), rate, np.int32(key)) for key in range(50)]
    ).astype(float)
    n = masks.size
    assert abs(masks.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / n)
    centred = masks - masks.mean()
    neighbours = {
        "column": (centred[:, :, 1:] * centred[:, :, :-1]).mean(),
        "row": (centred[:, 1:] * centred[:, :-1]).mean(),
        "key": (centred[1:] * centred[:-1]).mean(),
    }
    for covariance in neighbours.values():
        assert abs(covariance) < 5 * rate * (1 - rate) / np.sqrt(n)


@pytest.mark.on("numpy")
def test_dropout_scales_what_it_keeps(backend):
    a = np.ones((2000, 10))
    value, vjp = dropout(backend.xp, a, 0.25, np.int32(3))
    assert set(np.unique(value)) == {0.0, 1 / 0.75}
    assert abs(value.mean() - 1.0) < 0.02
    np.testing.assert_array_equal(vjp(np.ones_like(a)), value)


# --- derivatives, against mpmath's of the formula ---

EXACT = {
    "identity": lambda z: z,
    "logistic": lambda z: 1 / (1 + mpmath.exp(-z)),
    "tanh": mpmath.tanh,
    "relu": lambda z: z if z > 0 else 0 * z,
    "leaky_relu": lambda z: z if z > 0 else z / 100,
    "elu": lambda z: z if z > 0 else mpmath.expm1(z),
    "selu": lambda z: (
        mpmath.mpf("1.0507009873554805")
        * (z if z > 0 else mpmath.mpf("1.6732632423543772") * mpmath.expm1(z))
    ),
    "gelu": lambda z: z * mpmath.ncdf(z),
    "gelu_tanh": lambda z: (
        z / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (z + mpmath.mpf("0.044715") * z**3)))
    ),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    "softplus": lambda z: mpmath.log1p(mpmath.exp(z)),
    "mish": lambda z: z * mpmath.tanh(mpmath.log1p(mpmath.exp(z))),
}


def derivative(f, *at, order=None):
    with mpmath.workdps(30):
        return float(mpmath.diff(f, at if len(at) > 1 else at[0], order or 1))


@pytest.mark.on("numpy")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_of_activations(backend, name):
    z = np.array([[-9.0, -3.0, -0.5], [0.3, 2.0, 7.0]])
    da = np.array([[1.0, -2.0, 0.5], [3.0, 1.0, -4.0]])
    slopes = np.array([[derivative(EXACT[name], v) for v in row] for row in z.tolist()])
    _, vjp = ACTIVATIONS[name](backend.xp, z.copy())
    np.testing.assert_allclose(vjp(da.copy()), slopes * da, rtol=1e-12, atol=1e-15)


@pytest.mark.on("numpy")
@pytest.mark.parametrize(
    ("name", "value", "slope"),
    [
        ("identity", 0.0, 1.0),
        ("logistic", 0.5, 0.25),
        ("tanh", 0.0, 1.0),
        ("relu", 0.0, 0.0),
        ("leaky_relu", 0.0, 0.01),
        ("elu", 0.0, 1.0),
        ("selu", 0.0, 1.0507009873554805 * 1.6732632423543772),
        ("gelu", 0.0, 0.5),
        ("gelu_tanh", 0.0, 0.5),
        ("silu", 0.0, 0.5),
        ("softplus", np.log(2), 0.5),
        ("mish", 0.0, 0.6),
    ],
)
def test_values_and_derivatives_at_zero(backend, name, value, slope):
    a, vjp = ACTIVATIONS[name](backend.xp, np.zeros((1, 1)))
    assert a[0, 0] == pytest.approx(value, rel=1e-15)
    assert vjp(np.full((1, 1), 3.0))[0, 0] == pytest.approx(3.0 * slope, rel=1e-15)


def softmax_of(z):
    e = [mpmath.exp(v) for v in z]
    return [v / mpmath.fsum(e) for v in e]


EXACT_OUTPUTS = {
    "identity": list,
    "logistic": lambda z: [EXACT["logistic"](v) for v in z],
    "softmax": softmax_of,
    "exp": lambda z: [mpmath.exp(v) for v in z],
}
#: Of a sample's outputs y and targets t.
EXACT_LOSSES = {
    "squared_error": lambda y, t: mpmath.fsum((a - b) ** 2 for a, b in zip(y, t, strict=True)) / 2,
    "absolute_error": lambda y, t: mpmath.fsum(abs(a - b) for a, b in zip(y, t, strict=True)),
    "huber": lambda y, t: mpmath.fsum(
        (a - b) ** 2 / 2 if abs(a - b) < 1 else abs(a - b) - mpmath.mpf(0.5)
        for a, b in zip(y, t, strict=True)
    ),
    "huber:0.5": lambda y, t: mpmath.fsum(
        (a - b) ** 2 / 2 if abs(a - b) < 0.5 else abs(a - b) / 2 - mpmath.mpf(0.125)
        for a, b in zip(y, t, strict=True)
    ),
    "quantile": lambda y, t: mpmath.fsum(abs(a - b) for a, b in zip(y, t, strict=True)) / 2,
    "quantile:0.25": lambda y, t: mpmath.fsum(
        (b - a) / 4 if b > a else (a - b) * 3 / 4 for a, b in zip(y, t, strict=True)
    ),
    "cross_entropy": lambda y, t: (
        -mpmath.fsum(b * mpmath.log(a) for a, b in zip(y, t, strict=True))
    ),
    "binary_cross_entropy": lambda y, t: (
        -mpmath.fsum(
            b * mpmath.log(a) + (1 - b) * mpmath.log(1 - a) for a, b in zip(y, t, strict=True)
        )
    ),
    "poisson": lambda y, t: mpmath.fsum(a - b * mpmath.log(a) for a, b in zip(y, t, strict=True)),
}


@pytest.mark.needs("values")
@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_an_output_and_its_losses_have_the_bits_of_either_alone(backend, output, loss):
    xp, z = backend.xp, backend.asarray(np.array([[-2.0, 0.3, 1.4], [3.0, -0.7, 0.1]]))
    targets = backend.asarray(np.array([[0.2, 0.5, 0.3], [0.1, 0.0, 0.9]]))
    value, losses = output_and_losses(xp, output, loss, z, targets)
    alone = OUTPUTS[output](xp, z)[0], output_loss(xp, output, loss, z, targets)[0]
    np.testing.assert_array_equal(backend.to_host(value), backend.to_host(alone[0]))
    np.testing.assert_array_equal(backend.to_host(losses), backend.to_host(alone[1]))


@pytest.mark.needs("values")
def test_labels_have_the_losses_of_their_one_hot_rows(backend):
    xp, z, labels = backend.xp, backend.asarray(Z), np.array([2, 0, 1])
    with backend.on_device():
        found = [
            output_and_losses(xp, "softmax", "cross_entropy", z, backend.asarray(targets))
            for targets in (labels, np.eye(3)[labels])
        ]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(backend.to_host(a), backend.to_host(b))


@pytest.mark.needs("values")
@pytest.mark.parametrize("labels", [[[3, 0, 1]], [[3, 0, 1], [2, 2, 0]]], ids=["shared", "own"])
def test_entries_of_a_stack_are_those_of_its_rows(backend, labels):
    rows = np.arange(24.0).reshape(2, 3, 4) ** 2
    with backend.on_device():
        found = entries(backend.xp, backend.asarray(rows), backend.asarray(np.array(labels)))
    each = np.broadcast_to(labels, (2, 3))
    expected = [[rows[m, n, each[m, n]] for n in range(3)] for m in range(2)]
    np.testing.assert_array_equal(backend.to_host(found), expected)


def test_softmax_and_its_cross_entropy_share_their_exponentials():
    class Counting(PlainNamespace):
        count = 0

        def exp(self, z):
            self.count += 1
            return np.exp(z)

    xp = Counting(np)
    output_and_losses(xp, "softmax", "cross_entropy", Z, np.eye(3))
    assert xp.count == 1


@pytest.mark.on("numpy")
@pytest.mark.parametrize(
    ("output", "loss"), [*PAIRS, ("softmax", "huber:0.5"), ("exp", "quantile:0.25")]
)
def test_losses_and_their_derivatives(backend, output, loss):
    z = np.array([[-2.0, 0.3, 1.4], [3.0, -0.7, 0.1]])
    targets = np.array([[0.2, 0.5, 0.3], [0.1, 0.0, 0.9]])
    g = np.array([[2.0], [-0.5]])

    losses, vjp = output_loss(backend.xp, output, loss, z, targets)
    dz = vjp(g)
    alike = output_loss(backend.xp, output, loss, z, targets)[1](0.5)
    for row, t in enumerate(targets.tolist()):

        def exact(*logits, t=t):
            return EXACT_LOSSES[loss](EXACT_OUTPUTS[output](logits), t)

        at = z[row].tolist()
        assert losses[row] == pytest.approx(float(exact(*map(mpmath.mpf, at))), rel=1e-13)
        for k in range(3):
            slope = derivative(exact, *at, order=tuple(int(k == j) for j in range(3)))
            assert dz[row, k] == pytest.approx(slope * g[row, 0], rel=1e-11, abs=1e-14)
            assert alike[row, k] == pytest.approx(slope * 0.5, rel=1e-11, abs=1e-14)


@pytest.mark.on("numpy")
def test_derivatives_of_errors_where_the_target_is_met(backend):
    y = np.array([[1.0, 2.0, 0.0]])
    for loss in ("squared_error", "absolute_error", "huber", "quantile:0.9"):
        losses, vjp = output_loss(backend.xp, "identity", loss, y, y.copy())
        assert losses.tolist() == [0.0]
        assert vjp(1.0).tolist() == [[0.0, 0.0, 0.0]]
    # Huber's loss goes over from a square to a line at a distance of 1.
    losses, vjp = output_loss(
        backend.xp, "identity", "huber", np.array([[1.0], [-3.0]]), np.zeros((2, 1))
    )
    assert losses.tolist() == [0.5, 2.5]
    assert vjp(1.0).tolist() == [[1.0], [-1.0]]


def test_names():
    assert LOSS_NAMES == (
        "cross_entropy", "binary_cross_entropy", "poisson", "squared_error", "absolute_error", "huber",
        "quantile",
    )  # fmt: skip
    assert list(OUTPUTS) == ["identity", "logistic", "softmax", "exp"]
    assert ACTIVATIONS.keys() == EXACT.keys()


def test_losses_with_a_number_have_bounds_a_default_and_an_example():
    assert {
        "huber": ("delta", 1.0, 0.0, np.inf, "huber:2.0"),
        "quantile": ("level", 0.5, 0.0, 1.0, "quantile:0.9"),
    } == PARAMETERS
    xp, y, t = PlainNamespace(np), np.array([[3.0], [-0.5]]), np.zeros((2, 1))
    for name, loss in (("huber", huber), ("quantile", quantile)):
        np.testing.assert_array_equal(loss(xp, y, t)[0], loss_function(name)(xp, y, t)[0])
    assert with_parameter("huber:2.5") == ("huber", 2.5)
    assert with_parameter("huber") == ("huber", 1.0)
    assert np.isnan(with_parameter("squared_error")[1])


def test_a_name_that_carries_a_function_means_that_function():
    class Name(str):
        function = len

    assert activation_function(Name("tanh")).args == (len,)
    assert loss_function(Name("huber")).args == (len,)
    assert activation_function("tanh") is ACTIVATIONS["tanh"]


@pytest.mark.on("numpy")
@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_by_hand(backend, bias):
    x, w = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[1.0, 0.0, 2.0], [-1.0, 1.0, 0.5]])
    b = np.array([10.0, 20.0, 30.0])
    y, residual = dense(backend.xp, x, w, b if bias else None)
    product = np.array([[-1.0, 2.0, 3.0], [4.0, -1.0, 5.5]])
    np.testing.assert_array_equal(y, product + b if bias else product)
    dy = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 4.0]])
    dx, dw, db = dense_vjp(backend.xp, residual, dy)
    np.testing.assert_array_equal(dx, [[1.0, 1.0], [8.0, 1.0]])
    np.testing.assert_array_equal(dw, [[1.0, -1.0, 12.0], [2.0, 5.0, -4.0]])
    assert (db.tolist() if bias else db) == ([1.0, 1.0, 4.0] if bias else None)
    without, same, _ = dense_vjp(backend.xp, residual, dy, need_dx=False)
    assert without is None
    np.testing.assert_array_equal(same, dw)


@pytest.mark.on("numpy")
def test_one_hot_rows_have_the_dtype_that_is_asked_for(backend):
    for kind in (np.int32, np.int64):
        rows = one_hot(backend.xp, np.array([1, 0], kind), 2, np.float32)
        assert rows.dtype == np.float32
        assert rows.tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.on("numpy")
def test_counters_have_the_dtype_of_what_they_meet(backend):
    """Libraries that mix no types, or count in 64 bits, would fail or take another path."""
    asked = []

    def arange(*args, dtype=None):
        asked.append(np.dtype(dtype))
        return np.arange(*args, dtype=dtype)

    xp = PlainNamespace(np, overrides={"arange": arange})
    one_hot(xp, np.array([1, 0], np.int8), 2, np.float32)
    dropout_mask(xp, (2, 3), 0.5, np.int32(1))
    assert asked == [np.int8, np.int32]


def lowbias32(x):
    """Wellons's function of unsigned integers, as he gives it."""
    x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
    x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
    return x ^ (x >> 16)


@pytest.mark.on("numpy")
def test_the_hash_is_lowbias32(backend):
    x = np.random.default_rng(0).integers(-(2**31), 2**31, 100, dtype=np.int32)
    expected = [lowbias32(int(v) % 2**32) for v in x]
    with np.errstate(over="ignore"):
        assert (hash32(backend.xp, x).astype(np.int64) % 2**32).tolist() == expected


@pytest.mark.on("numpy")
def test_a_mask_is_the_hash_of_place_and_key(backend):
    key, rate = -77, 0.3
    mask = dropout_mask(backend.xp, (3, 4), rate, np.int32(key), row=5)
    for n in range(3):
        for o in range(4):
            inner = lowbias32(((5 + n) * 4 + o) ^ (key % 2**32))
            low = lowbias32((inner + key) % 2**32) % 2**24
            assert mask[n, o] == (low >= 0.3 * 2**24)


@pytest.mark.on("numpy")
def test_a_unit_is_kept_from_the_rate_on_that_is_its_own_number(backend):
    key = np.int32(-77)
    numbers = [lowbias32((lowbias32(o ^ (-77 % 2**32)) - 77) % 2**32) % 2**24 for o in range(8)]
    assert max(numbers) > 2**23
    for o, number in enumerate(numbers):
        for rate, kept in ((number / 2**24, True), ((number + 1) / 2**24, False)):
            assert dropout_mask(backend.xp, (1, 8), rate, key)[0, o] == kept


@pytest.mark.on("numpy")
def test_probabilities_of_rows_far_apart(backend):
    z = np.array([[1e4, 1e4 - 1], [-1e4, -1e4 - 1]])
    p, _ = OUTPUTS["softmax"](backend.xp, z)
    np.testing.assert_allclose(p, [[1 / (1 + np.exp(-1)), 1 / (1 + np.e)]] * 2, rtol=1e-12)
    losses, vjp = output_loss(backend.xp, "softmax", "cross_entropy", z, np.eye(2))
    np.testing.assert_allclose(losses, np.log1p(np.exp([-1, 1])), rtol=1e-12)
    np.testing.assert_allclose(vjp(1.0), p - np.eye(2), rtol=1e-12)


@pytest.mark.on("numpy")
def test_dropout_by_its_mask(backend):
    a, da = np.full((20, 5), 3.0), np.full((20, 5), -2.0)
    mask = dropout_mask(backend.xp, (20, 5), 0.6, np.int32(9), 2)
    value, vjp = dropout(backend.xp, a, 0.6, np.int32(9), 2)
    np.testing.assert_allclose(value, np.where(mask, 7.5, 0.0), rtol=1e-15)
    np.testing.assert_allclose(vjp(da), np.where(mask, -5.0, 0.0), rtol=1e-15)
    # A unit that is off is dropped or kept like any other.
    _, vjp = dropout(backend.xp, np.zeros_like(a), 0.6, np.int32(9), 2)
    np.testing.assert_allclose(vjp(da), np.where(mask, -5.0, 0.0), rtol=1e-15)
    first, _ = dropout(backend.xp, a, 0.6, np.int32(9))
    np.testing.assert_array_equal(
        first != 0, dropout_mask(backend.xp, (20, 5), 0.6, np.int32(9), 0)
    )
