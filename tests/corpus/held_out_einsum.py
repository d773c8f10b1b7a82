"""Weights (out, in), everything as einsum, the whole training step in one function."""

import numpy as np

from tests.corpus.cases import blobs, case

X, LABELS = blobs(19, 6, 4, seed=51)
Y = np.eye(4)[LABELS]


def fresh(dtype=np.float64):
    g = np.random.default_rng(52)
    return {
        "enc": {
            "kernel": (g.normal(size=(10, 6)) * 0.3).astype(dtype),
            "bias": np.zeros(10, dtype),
        },
        "mid": {"kernel": (g.normal(size=(8, 10)) * 0.3).astype(dtype), "bias": np.zeros(8, dtype)},
        "head": {"kernel": (g.normal(size=(4, 8)) * 0.3).astype(dtype), "bias": np.zeros(4, dtype)},
    }


def elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def d_elu(z):
    return np.where(z > 0, 1.0, np.exp(np.minimum(z, 0))).astype(z.dtype)


def affine(p, h):
    return np.einsum("oi,ni->no", p["kernel"], h) + p["bias"]


def run(params, x):
    z1 = affine(params["enc"], x)
    z2 = affine(params["mid"], elu(z1))
    return z1, z2, affine(params["head"], elu(z2))


def logits(params, x):
    return run(params, x)[2]


def loss_fn(params, x, y):
    z = logits(params, x)
    z = z - z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(1)) - (z * y).sum(1)))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def gradients(params, x, y):
    z1, z2, z3 = run(params, x)
    g3 = (softmax(z3) - y) / len(x)
    g2 = np.einsum("no,oi->ni", g3, params["head"]["kernel"]) * d_elu(z2)
    g1 = np.einsum("no,oi->ni", g2, params["mid"]["kernel"]) * d_elu(z1)
    out = {}
    for name, g, h in (("enc", g1, x), ("mid", g2, elu(z1)), ("head", g3, elu(z2))):
        out[name] = {"kernel": np.einsum("no,ni->oi", g, h), "bias": np.einsum("no->o", g)}
    return out


def update(params, x, y, learning_rate):
    grads = gradients(params, x, y)
    return {
        layer: {k: params[layer][k] - learning_rate * grads[layer][k] for k in ("kernel", "bias")}
        for layer in params
    }


def described(x=X, dtype=np.float64, **more):
    layers = ("enc", "mid", "head")
    return {
        "network": fresh(dtype),
        "x": x.astype(dtype),
        "y": Y.astype(dtype),
        "weights": [f"{name}.kernel" for name in layers],
        "biases": [f"{name}.bias" for name in layers],
        "forward": logits,
        "loss": loss_fn,
        **more,
    }


@case()
def einsum_gradients():
    return described(gradients=gradients)


@case()
def einsum_update():
    return described(train_step=update)


@case()
def einsum_single_precision():
    return described(dtype=np.float32, train_step=update)


def slope_of_value(params, x, y):
    """d_elu is given the activated values."""
    z1, z2, z3 = run(params, x)
    g3 = (softmax(z3) - y) / len(x)
    g2 = np.einsum("no,oi->ni", g3, params["head"]["kernel"]) * d_elu(elu(z2))
    g1 = np.einsum("no,oi->ni", g2, params["mid"]["kernel"]) * d_elu(elu(z1))
    out = {}
    for name, g, h in (("enc", g1, x), ("mid", g2, elu(z1)), ("head", g3, elu(z2))):
        out[name] = {"kernel": np.einsum("no,ni->oi", g, h), "bias": np.einsum("no->o", g)}
    return out


@case("derivative_of_activated")
def einsum_elu_slope_of_its_value():
    return described(gradients=slope_of_value)


def twice_down(params, x, y):
    """The error of the head is added to the gradient twice on its way to the first layers."""
    z1, z2, z3 = run(params, x)
    g3 = (softmax(z3) - y) / len(x)
    g2 = 2 * np.einsum("no,oi->ni", g3, params["head"]["kernel"]) * d_elu(z2)
    g1 = np.einsum("no,oi->ni", g2, params["mid"]["kernel"]) * d_elu(z1)
    out = {}
    for name, g, h in (("enc", g1, x), ("mid", g2, elu(z1)), ("head", g3, elu(z2))):
        out[name] = {"kernel": np.einsum("no,ni->oi", g, h), "bias": np.einsum("no->o", g)}
    return out


@case("factor_two", layer=2)
def einsum_a_two_on_the_way_down():
    return described(gradients=twice_down)


def update_without_biases(params, x, y, learning_rate):
    grads = gradients(params, x, y)
    for layer in params:
        params[layer]["kernel"] -= learning_rate * grads[layer]["kernel"]
    return params


@case("bias_not_updated")
def einsum_only_kernels_move():
    return described(dtype=np.float32, train_step=update_without_biases)


def wrong_axis(params, x, y):
    out = gradients(params, x, y)
    z1, z2, z3 = run(params, x)
    g3 = (softmax(z3) - y) / len(x)
    out["head"]["bias"] = np.einsum("no->n", g3)
    return out


@case("bias_wrong_axis", layer=3)
def einsum_sum_over_the_other_index():
    return described(gradients=wrong_axis)


def double_rate(params, x, y, learning_rate):
    grads = gradients(params, x, y)
    for layer in params:
        for k in ("kernel", "bias"):
            step = learning_rate * grads[layer][k]
            params[layer][k] = params[layer][k] - learning_rate * step
    return params


@case("learning_rate_twice")
def einsum_rate_in_step_and_update():
    return described(train_step=double_rate)
