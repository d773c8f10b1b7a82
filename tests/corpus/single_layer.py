"""One layer: perceptrons and regressions with a weight vector and a bias that is a number."""

import numpy as np

from tests.corpus.cases import blobs, case

X, LABELS = blobs(20, 3, 2, seed=41)
POINTS, CLASSES = blobs(20, 3, 4, seed=42)


class LogisticRegression:
    def __init__(self, alpha=0.1):
        self.w = np.random.default_rng(1).normal(size=3)
        self.b = 0.0
        self.alpha = alpha

    def predict_proba(self, X):
        return 1 / (1 + np.exp(-(X @ self.w + self.b)))

    def loss(self, X, y):
        p = self.predict_proba(X)
        return -np.mean(y * np.log(p + 1e-12) + (1 - y) * np.log(1 - p + 1e-12))

    def fit_step(self, X, y, lr=0.1):
        error = self.predict_proba(X) - y
        self.w = self.w - lr * X.T @ error / len(y)
        self.b = self.b - lr * error.mean()


def described(net, **more):
    return {
        "network": net,
        "x": X,
        "y": LABELS,
        "weights": ["w"],
        "biases": ["b"],
        "forward": "predict_proba",
        "loss": "loss",
        "train_step": "fit_step",
        **more,
    }


@case()
def logistic_regression():
    return described(LogisticRegression())


class ShuffledSgd(LogisticRegression):
    def fit_step(self, X, y, lr=0.1):
        for i in np.random.permutation(len(y)):
            error = self.predict_proba(X[[i]]) - y[[i]]
            self.w -= lr * error[0] * X[i]
            self.b -= lr * error[0]


@case()
def shuffled_stochastic_gradient():
    return described(ShuffledSgd())


class MiniBatches(LogisticRegression):
    def fit_step(self, X, y, lr=0.1):
        for start in range(0, len(y), 5):
            xb, yb = X[start : start + 5], y[start : start + 5]
            error = self.predict_proba(xb) - yb
            self.w -= lr * xb.T @ error / len(yb)
            self.b -= lr * error.mean()


@case()
def epochs_of_mini_batches():
    return described(MiniBatches())


class HingeMachine:
    def __init__(self):
        self.W = np.random.default_rng(2).normal(size=(3, 4)) * 0.3

    def scores(self, X):
        return X @ self.W

    def hinge(self, X, y):
        s = self.scores(X)
        margins = np.maximum(0, s - s[np.arange(len(y)), y][:, None] + 1)
        margins[np.arange(len(y)), y] = 0
        return margins.sum() / len(y)

    def gradient(self, X, y, sign=1):
        s = self.scores(X)
        over = (s - s[np.arange(len(y)), y][:, None] + 1 > 0).astype(float)
        over[np.arange(len(y)), y] = 0
        over[np.arange(len(y)), y] = -over.sum(1)
        return sign * X.T @ over / len(y)


@case()
def multiclass_hinge():
    net = HingeMachine()
    return {"network": net, "x": POINTS, "y": CLASSES, "weights": ["W"], "forward": "scores",
            "loss": "hinge", "gradients": net.gradient}  # fmt: skip


@case("sign_flipped", layer=1)
def multiclass_hinge_upside_down():
    net = HingeMachine()
    return {"network": net, "x": POINTS, "y": CLASSES, "weights": ["W"], "forward": "scores",
            "loss": "hinge", "gradients": lambda net, X, y: net.gradient(X, y, -1)}  # fmt: skip
