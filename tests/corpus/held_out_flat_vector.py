"""One flat vector of all parameters, layers are views of it; an optimiser over the vector."""

import numpy as np

from tests.corpus.cases import blobs, case


class Flat:
    sizes = ((5, 7), (7, 1))

    def __init__(self, dtype=np.float64):
        count = sum(i * o + o for i, o in self.sizes)
        self.theta = np.random.default_rng(71).normal(0, 0.4, count).astype(dtype)
        self.grad = np.zeros_like(self.theta)
        self.layers = self.views(self.theta)
        self.grads = self.views(self.grad)

    def views(self, vector):
        found, at = [], 0
        for i, o in self.sizes:
            weight = vector[at : at + i * o].reshape(i, o)
            at += i * o
            found.append((weight, vector[at : at + o]))
            at += o
        return found

    def scores(self, x):
        (w1, b1), (w2, b2) = self.layers
        self.pre = x @ w1 + b1
        self.hidden = np.where(self.pre > 0, self.pre, 0.1 * self.pre)
        return (self.hidden @ w2 + b2)[:, 0]

    def loss(self, x, y):
        s = self.scores(x)
        return np.mean(np.maximum(s, 0) - s * y + np.log1p(np.exp(-np.abs(s))))

    def backward(self, x, y):
        (w1, _), (w2, _) = self.layers
        (gw1, gb1), (gw2, gb2) = self.grads
        g = (1 / (1 + np.exp(-self.scores(x))) - y)[:, None] / len(x)
        gw2[:] = self.hidden.T @ g
        gb2[:] = g.sum(0)
        h = g @ w2.T * self.slope()
        gw1[:] = x.T @ h
        gb1[:] = h.sum(0)

    def slope(self):
        return np.where(self.pre > 0, 1.0, 0.1)

    def step(self, x, y, lr=0.5):
        self.backward(x, y)
        self.theta -= lr * self.grad


X, LABELS = blobs(23, 5, 2, seed=72)


def described(net, x=X, y=LABELS.astype(float), **more):
    return {
        "network": net,
        "x": x,
        "y": y,
        "weights": ["layers.0.0", "layers.1.0"],
        "biases": ["layers.0.1", "layers.1.1"],
        "forward": "scores",
        "loss": "loss",
        "train_step": "step",
        **more,
    }


@case()
def views_of_a_vector():
    return described(Flat())


@case()
def views_of_a_vector_gradients():
    return described(
        Flat(), train_step=None, gradients=lambda net, x, y: (net.backward(x, y), net.grads)[1]
    )


@case()
def views_of_a_vector_single_precision():
    return described(Flat(np.float32), X.astype(np.float32), LABELS.astype(np.float32))


class ReluSlope(Flat):
    def slope(self):
        return (self.pre > 0).astype(float)


@case("derivative_of_another_activation", layer=1)
def relu_slope_for_a_leaky_relu():
    return described(ReluSlope())


class Accumulates(Flat):
    def backward(self, x, y):
        before = self.grad.copy()
        super().backward(x, y)
        self.grad += before


@case("gradients_never_reset")
def vector_of_gradients_adds_up():
    return described(Accumulates())


class Ascends(Flat):
    def step(self, x, y, lr=0.5):
        self.backward(x, y)
        self.theta += lr * self.grad


@case("sign_flipped")
def vector_moves_uphill():
    return described(Ascends(np.float32), X.astype(np.float32), LABELS.astype(np.float32))


class NoRate(Flat):
    def step(self, x, y, lr=0.5):
        self.backward(x, y)
        self.theta -= self.grad


@case("learning_rate_missing")
def vector_step_without_rate():
    return described(NoRate())


class Column(Flat):
    def scores(self, x):
        return super().scores(x).reshape(-1, 1)

    def loss(self, x, y):
        s = self.scores(x)
        return np.mean((1 / (1 + np.exp(-s)) - y) ** 2)

    def backward(self, x, y):
        (w1, _), (w2, _) = self.layers
        (gw1, gb1), (gw2, gb2) = self.grads
        p = 1 / (1 + np.exp(-self.scores(x)))
        g = 2 * ((p - y) * p * (1 - p)).mean(axis=1, keepdims=True) / len(x)
        gw2[:] = self.hidden.T @ g
        gb2[:] = g.sum(0)
        h = g @ w2.T * self.slope()
        gw1[:] = x.T @ h
        gb1[:] = h.sum(0)


@case("label_shape_broadcast")
def column_of_scores_row_of_labels():
    return described(Column())
