"""A params dict, integer labels, softmax loss with L2, loss() returning (loss, grads)."""

import numpy as np

from tests.corpus.cases import blobs, case


class TwoLayerNet:
    def __init__(self, input_size, hidden_size, output_size, std=0.3, dtype=np.float64):
        rng = np.random.default_rng(0)
        self.params = {}
        self.params["W1"] = (std * rng.standard_normal((input_size, hidden_size))).astype(dtype)
        self.params["b1"] = np.zeros(hidden_size, dtype)
        self.params["W2"] = (std * rng.standard_normal((hidden_size, output_size))).astype(dtype)
        self.params["b2"] = np.zeros(output_size, dtype)

    def probs(self, X):
        scores = np.maximum(0, X @ self.params["W1"] + self.params["b1"]) @ self.params["W2"]
        scores = scores + self.params["b2"]
        e = np.exp(scores - np.max(scores, axis=1, keepdims=True))
        return e / np.sum(e, axis=1, keepdims=True)

    def loss(self, X, y=None, reg=0.0):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        N, _ = X.shape
        hidden = np.maximum(0, X.dot(W1) + b1)
        scores = hidden.dot(W2) + b2
        if y is None:
            return scores
        shifted = scores - np.max(scores, axis=1, keepdims=True)
        log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        loss = -log_probs[np.arange(N), y].sum() / N
        loss += reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dscores = np.exp(log_probs)
        dscores[np.arange(N), y] -= 1
        dscores /= N
        return loss, self.backward(X, hidden, dscores, reg)

    def backward(self, X, hidden, dscores, reg):
        grads = {}
        grads["W2"] = hidden.T.dot(dscores) + 2 * reg * self.params["W2"]
        grads["b2"] = np.sum(dscores, axis=0)
        dhidden = dscores.dot(self.params["W2"].T)
        dhidden[hidden <= 0] = 0
        grads["W1"] = X.T.dot(dhidden) + 2 * reg * self.params["W1"]
        grads["b1"] = np.sum(dhidden, axis=0)
        return grads


X, LABELS = blobs(20, 4, 3)


def described(net, reg=0.0, x=X, **more):
    return {
        "network": net,
        "x": x,
        "y": LABELS,
        "weights": ["params.W1", "params.W2"],
        "biases": ["params.b1", "params.b2"],
        "forward": net.loss,
        "loss": lambda net, x, y: net.loss(x, y, reg)[0],
        "gradients": lambda net, x, y: net.loss(x, y, reg)[1],
        **more,
    }


@case()
def scores_and_softmax_loss():
    return described(TwoLayerNet(4, 8, 3))


@case()
def with_l2():
    return described(TwoLayerNet(4, 8, 3), reg=0.1)


@case()
def single_precision():
    return described(TwoLayerNet(4, 8, 3, dtype=np.float32), x=X.astype(np.float32))


@case()
def probabilities_and_named_loss():
    net = TwoLayerNet(4, 8, 3)
    return described(net, forward=net.probs, loss="cross_entropy")


class NoMask(TwoLayerNet):
    def backward(self, X, hidden, dscores, reg):
        dhidden = dscores.dot(self.params["W2"].T)
        return {
            "W2": hidden.T.dot(dscores),
            "b2": np.sum(dscores, axis=0),
            "W1": X.T.dot(dhidden),
            "b1": np.sum(dhidden, axis=0),
        }


@case("derivative_missing", layer=1)
def relu_mask_forgotten():
    return described(NoMask(4, 8, 3))


@case("derivative_missing", layer=1)
def relu_mask_forgotten_single_precision():
    return described(NoMask(4, 8, 3, dtype=np.float32), x=X.astype(np.float32))


class MeanTwice(TwoLayerNet):
    def backward(self, X, hidden, dscores, reg):
        n = X.shape[0]
        grads = super().backward(X, hidden, dscores, reg)
        return {name: g / n for name, g in grads.items()}


@case("mean_twice")
def divided_by_n_again():
    return described(MeanTwice(4, 8, 3))


class BiasOverClasses(TwoLayerNet):
    def backward(self, X, hidden, dscores, reg):
        grads = super().backward(X, hidden, dscores, reg)
        dhidden = dscores.dot(self.params["W2"].T) * (hidden > 0)
        grads["b1"] = np.sum(dhidden)
        grads["b1"] = np.full_like(self.params["b1"], grads["b1"])
        return grads


@case("bias_wrong_axis", layer=1)
def bias_summed_over_everything():
    return described(BiasOverClasses(4, 8, 3))


class BiasSummedOverUnits(TwoLayerNet):
    def backward(self, X, hidden, dscores, reg):
        grads = super().backward(X, hidden, dscores, reg)
        grads["b2"] = np.sum(dscores, axis=1)
        return grads


@case("bias_wrong_axis", layer=2)
def bias_summed_over_the_classes():
    return described(BiasSummedOverUnits(4, 8, 3))


class NoBiasGradient(TwoLayerNet):
    def backward(self, X, hidden, dscores, reg):
        grads = super().backward(X, hidden, dscores, reg)
        grads["b1"] = np.zeros_like(grads["b1"])
        grads["b2"] = np.zeros_like(grads["b2"])
        return grads


@case("bias_not_updated")
def bias_gradients_left_at_zero():
    return described(NoBiasGradient(4, 8, 3))


class HalfDecay(TwoLayerNet):
    def backward(self, X, hidden, dscores, reg):
        return super().backward(X, hidden, dscores, reg / 2)


@case("weight_decay_differs")
def reg_without_its_two():
    return described(HalfDecay(4, 8, 3), reg=0.2)
