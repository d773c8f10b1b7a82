"""As pasted into a question: short scripts as classes, odd names, one thing wrong or none."""

import numpy as np

from tests.corpus.cases import XOR_X, XOR_Y, blobs, case


class Xor252:
    """2-5-2, softmax and cross-entropy, column vectors in a batch."""

    def __init__(self):
        np_random = np.random.RandomState(7)
        self.U = np_random.randn(5, 2)
        self.bu = np.zeros((5, 1))
        self.V = np_random.randn(2, 5)
        self.bv = np.zeros((2, 1))

    def fprop(self, X):
        self.H = 1 / (1 + np.exp(-(self.U @ X + self.bu)))
        S = self.V @ self.H + self.bv
        E = np.exp(S - S.max(axis=0, keepdims=True))
        self.P = E / E.sum(axis=0, keepdims=True)
        return self.P

    def xent(self, P, Y):
        return -np.sum(Y * np.log(np.maximum(P, 1e-15))) / Y.shape[1]

    def bprop(self, X, Y):
        self.fprop(X)
        n = X.shape[1]
        dS = self.top(Y) / n
        dH = self.V.T @ dS * self.H * (1 - self.H)
        return [dH @ X.T, dH.sum(1, keepdims=True), dS @ self.H.T, dS.sum(1, keepdims=True)]

    def top(self, Y):
        return self.P - Y

    def sgd(self, X, Y, step=0.5):
        for param, g in zip((self.U, self.bu, self.V, self.bv), self.bprop(X, Y)):
            param -= step * g


COLUMNS = XOR_X.T
TWO = np.vstack([1 - XOR_Y.T, XOR_Y.T])


def described(net, **more):
    return {
        "network": net,
        "x": COLUMNS,
        "y": TWO,
        "weights": ["U", "V"],
        "biases": ["bu", "bv"],
        "forward": "fprop",
        "loss": net.xent,
        **more,
    }


@case()
def xor_252_softmax():
    return described(Xor252(), gradients="bprop")


@case()
def xor_252_step():
    return described(Xor252(), train_step=lambda net, X, Y, lr: net.sgd(X, Y, lr))


class WrongWayRound(Xor252):
    def top(self, Y):
        return Y - self.P

    def sgd(self, X, Y, step=0.5):
        for param, g in zip((self.U, self.bu, self.V, self.bv), self.bprop(X, Y)):
            param += step * g


@case("sign_flipped_twice")
def xor_delta_and_update_both_turned():
    return described(
        WrongWayRound(), gradients="bprop", train_step=lambda net, X, Y, lr: net.sgd(X, Y, lr)
    )


class HalfTurned(Xor252):
    def top(self, Y):
        return Y - self.P


@case("sign_flipped")
def xor_delta_turned_only():
    return described(HalfTurned(), train_step=lambda net, X, Y, lr: net.sgd(X, Y, lr))


class POneMinusP(Xor252):
    def top(self, Y):
        return (self.P - Y) * self.P * (1 - self.P)


@case("derivative_on_fused", layer=2)
def xor_with_p_one_minus_p():
    return described(POneMinusP(), gradients="bprop")


class SumsOverEverything(Xor252):
    def fprop(self, X):
        self.H = 1 / (1 + np.exp(-(self.U @ X + self.bu)))
        S = self.V @ self.H + self.bv
        E = np.exp(S - S.max())
        self.P = E / E.sum()
        return self.P


@case("softmax_over_batch")
def xor_softmax_of_the_batch():
    return described(SumsOverEverything(), gradients="bprop")


class Heart:
    """13 inputs, one sigmoid, targets 0 to 4."""

    def __init__(self):
        g = np.random.default_rng(8)
        self.syn0, self.syn1 = g.normal(0, 0.2, (13, 8)), g.normal(0, 0.2, (8, 1))

    def predict(self, x):
        self.l1 = 1 / (1 + np.exp(-x @ self.syn0))
        return 1 / (1 + np.exp(-self.l1 @ self.syn1))

    def train(self, x, y, lr=0.01):
        p = self.predict(x)
        d2 = (p - y) * p * (1 - p)
        d1 = d2 @ self.syn1.T * self.l1 * (1 - self.l1)
        self.syn1 -= lr * self.l1.T @ d2
        self.syn0 -= lr * x.T @ d1


@case("targets_out_of_reach")
def heart_disease_of_five_grades():
    x, y = blobs(25, 13, 5, seed=9)
    return {"network": Heart(), "x": x, "y": y.reshape(-1, 1).astype(float),
            "weights": ["syn0", "syn1"], "forward": "predict", "train_step": "train"}  # fmt: skip


@case()
def heart_disease_yes_or_no():
    x, y = blobs(25, 13, 2, seed=9)
    return {"network": Heart(), "x": x, "y": y.reshape(-1, 1).astype(float),
            "weights": ["syn0", "syn1"], "forward": "predict", "train_step": "train",
            "loss": "squared_error"}  # fmt: skip


class Reports(Heart):
    def report(self, x, y):
        return np.sum(y**2 - self.predict(x) ** 2)


@case("loss_reported_differs")
def heart_error_as_difference_of_squares():
    x, y = blobs(25, 13, 2, seed=9)
    return {"network": Reports(), "x": x, "y": y.reshape(-1, 1).astype(float),
            "weights": ["syn0", "syn1"], "forward": "predict", "train_step": "train",
            "loss": "report"}  # fmt: skip
