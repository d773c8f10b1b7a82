"""Backprop by hand on JAX arrays, parameters in a pytree that each step replaces."""

import importlib.util

import numpy as np

from tests.corpus.cases import blobs, case

if importlib.util.find_spec("jax"):
    import jax.numpy as jnp

    X, LABELS = blobs(12, 3, 3, seed=91)
    X = jnp.asarray(X, dtype=jnp.float32)
    Y = jnp.asarray(np.eye(3)[LABELS], dtype=jnp.float32)

    def init():
        g = np.random.default_rng(92)
        return {
            "hidden": [jnp.asarray(g.normal(size=(3, 6)) * 0.6, dtype=jnp.float32), jnp.zeros(6)],
            "out": [jnp.asarray(g.normal(size=(6, 3)) * 0.6, dtype=jnp.float32), jnp.zeros(3)],
        }

    def softplus(z):
        return jnp.logaddexp(z, 0.0)

    def apply(params, x):
        w, b = params["hidden"]
        v, c = params["out"]
        z = softplus(x @ w + b) @ v + c
        e = jnp.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def cross_entropy(p, y):
        return -jnp.mean(jnp.sum(y * jnp.log(p + 1e-7), axis=1))

    def sigmoid(z):
        return 1 / (1 + jnp.exp(-z))

    def grads(params, x, y, slope=sigmoid):
        w, b = params["hidden"]
        z = x @ w + b
        h = softplus(z)
        d = (apply(params, x) - y) / len(x)
        e = d @ params["out"][0].T * slope(z)
        return {"hidden": [x.T @ e, e.sum(0)], "out": [h.T @ d, d.sum(0)]}

    def described(gradients):
        return {
            "network": init(),
            "x": X,
            "y": Y,
            "weights": ["hidden.0", "out.0"],
            "biases": ["hidden.1", "out.1"],
            "forward": apply,
            "loss": cross_entropy,
            "gradients": gradients,
        }

    @case()
    def jax_arrays():
        return described(lambda p, x, y: grads(p, x, y))

    @case("derivative_of_activated", layer=1)
    def jax_slope_of_the_softplus():
        return described(lambda p, x, y: grads(p, x, y, lambda z: sigmoid(softplus(z))))

    @case("mean_missing")
    def jax_sum_for_a_mean():
        def summed(p, x, y):
            g = grads(p, x, y)
            return {k: [a * len(x) for a in v] for k, v in g.items()}

        return described(summed)
