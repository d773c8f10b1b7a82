"""Layer objects with forward and backward, a Network that loops over them, an optimiser loop."""

import numpy as np

from tests.corpus.cases import XOR_X, XOR_Y, blobs, case


class Dense:
    def __init__(self, n_in, n_out, rng, dtype=np.float64):
        self.W = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(dtype)
        self.b = np.zeros((1, n_out), dtype)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad):
        self.dW = self.x.T @ grad
        self.db = grad.sum(axis=0, keepdims=True)
        return grad @ self.W.T


class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out

    def backward(self, grad):
        return grad * (1 - self.out**2)


class ReLU:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, grad):
        return grad * self.mask


class Sigmoid:
    def forward(self, x):
        self.out = 1 / (1 + np.exp(-x))
        return self.out

    def backward(self, grad):
        return grad * self.out * (1 - self.out)


class Softmax:
    def forward(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.out = e / e.sum(axis=1, keepdims=True)
        return self.out

    def backward(self, grad):
        return self.out * (grad - np.sum(grad * self.out, axis=1, keepdims=True))


class Sequential:
    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad):
        for layer in reversed(self.layers):
            grad = layer.backward(grad)

    def fit_batch(self, x, y, lr, loss_grad):
        self.backward(loss_grad(self.forward(x), y))
        for layer in self.layers:
            if hasattr(layer, "W"):
                layer.W -= lr * layer.dW
                layer.b -= lr * layer.db


def mse(out, y):
    return np.mean((out - y) ** 2)


def mse_grad(out, y):
    return 2 * (out - y) / out.size


def cross_entropy(out, y):
    return -np.mean(np.sum(y * np.log(out + 1e-12), axis=1))


def cross_entropy_grad(out, y):
    return -y / (out + 1e-12) / len(y)


X, LABELS = blobs(18, 5, 3, seed=7)
ONE_HOT = np.eye(3)[LABELS]


def described(net, loss, loss_grad, x=X, y=ONE_HOT, **more):
    dense = [k for k, layer in enumerate(net.layers) if isinstance(layer, Dense)]
    return {
        "network": net,
        "x": x,
        "y": y,
        "weights": [f"layers.{k}.W" for k in dense],
        "biases": [f"layers.{k}.b" for k in dense],
        "forward": net.forward,
        "loss": loss,
        "train_step": lambda x, y, lr: net.fit_batch(x, y, lr, loss_grad),
        **more,
    }


def rng():
    return np.random.default_rng(8)


@case()
def tanh_mse():
    net = Sequential(Dense(2, 4, rng()), Tanh(), Dense(4, 1, rng()), Tanh())
    return described(net, mse, mse_grad, XOR_X, XOR_Y)


@case()
def relu_softmax_three_layers():
    r = rng()
    net = Sequential(Dense(5, 8, r), ReLU(), Dense(8, 6, r), ReLU(), Dense(6, 3, r), Softmax())
    return described(net, cross_entropy, cross_entropy_grad)


@case()
def mixed_activations_single_precision():
    r, f = rng(), np.float32
    net = Sequential(
        Dense(5, 7, r, f), Tanh(), Dense(7, 4, r, f), Sigmoid(), Dense(4, 3, r, f), Sigmoid()
    )
    return described(net, mse, mse_grad, X.astype(f), ONE_HOT.astype(f))


@case()
def softmax_with_squared_error():
    net = Sequential(Dense(5, 6, rng()), Tanh(), Dense(6, 3, rng()), Softmax())
    return described(net, mse, mse_grad)


class ElementwiseSoftmax(Softmax):
    def backward(self, grad):
        return grad * self.out * (1 - self.out)


@case("softmax_elementwise", layer=2)
def softmax_backward_like_sigmoid():
    net = Sequential(Dense(5, 6, rng()), Tanh(), Dense(6, 3, rng()), ElementwiseSoftmax())
    return described(net, mse, mse_grad)


@case("softmax_elementwise", layer=3)
def softmax_backward_like_sigmoid_cross_entropy():
    r = rng()
    net = Sequential(
        Dense(5, 8, r), ReLU(), Dense(8, 6, r), ReLU(), Dense(6, 3, r), ElementwiseSoftmax()
    )
    return described(net, cross_entropy, cross_entropy_grad)


@case("derivative_on_fused", layer=2)
def fused_gradient_through_the_softmax_layer():
    net = Sequential(Dense(5, 6, rng()), Tanh(), Dense(6, 3, rng()), ElementwiseSoftmax())
    return described(net, cross_entropy, lambda out, y: (out - y) / len(y))


class TanhTwice(Tanh):
    def backward(self, grad):
        slope = 1 - np.tanh(self.out) ** 2
        return grad * slope


@case("derivative_of_activated", layer=1)
def tanh_of_tanh():
    net = Sequential(Dense(5, 6, rng()), TanhTwice(), Dense(6, 3, rng()), Softmax())
    return described(net, cross_entropy, cross_entropy_grad)


class SigmoidSquared(Sigmoid):
    def backward(self, grad):
        grad = grad * self.out * (1 - self.out)
        return grad * self.out * (1 - self.out)


@case("derivative_twice", layer=2)
def derivative_in_layer_and_again():
    r = rng()
    net = Sequential(
        Dense(5, 6, r), Tanh(), Dense(6, 4, r), SigmoidSquared(), Dense(4, 3, r), Softmax()
    )
    return described(net, cross_entropy, cross_entropy_grad)


class DenseAccumulating(Dense):
    def __init__(self, *args):
        super().__init__(*args)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def backward(self, grad):
        self.dW += self.x.T @ grad
        self.db += grad.sum(axis=0, keepdims=True)
        return grad @ self.W.T


@case("gradients_never_reset")
def no_zero_grad():
    net = Sequential(
        DenseAccumulating(5, 6, rng()), Tanh(), DenseAccumulating(6, 3, rng()), Softmax()
    )
    return described(net, cross_entropy, cross_entropy_grad)


class DenseUpdating(Dense):
    """Updates itself inside backward, before it passes the gradient on."""

    lr = 0.1

    def backward(self, grad):
        self.W -= self.lr * self.x.T @ grad
        self.b -= self.lr * grad.sum(axis=0, keepdims=True)
        return grad @ self.W.T


@case("weights_updated_before_use")
def layer_updates_itself_first():
    net = Sequential(DenseUpdating(5, 6, rng()), Tanh(), DenseUpdating(6, 3, rng()), Softmax())
    return described(
        net,
        cross_entropy,
        None,
        train_step=lambda x, y: net.backward(cross_entropy_grad(net.forward(x), y)),
        learning_rate=0.1,
    )


class DenseUpdatingAfter(DenseUpdating):
    def backward(self, grad):
        down = grad @ self.W.T
        self.W -= self.lr * self.x.T @ grad
        self.b -= self.lr * grad.sum(axis=0, keepdims=True)
        return down


@case()
def layer_updates_itself_last():
    net = Sequential(
        DenseUpdatingAfter(5, 6, rng()), Tanh(), DenseUpdatingAfter(6, 3, rng()), Softmax()
    )
    return described(
        net,
        cross_entropy,
        None,
        train_step=lambda x, y: net.backward(cross_entropy_grad(net.forward(x), y)),
        learning_rate=0.1,
    )


class DenseMean(Dense):
    def backward(self, grad):
        self.dW = self.x.T @ grad / len(grad)
        self.db = grad.mean(axis=0, keepdims=True)
        return grad @ self.W.T


@case("mean_twice")
def mean_in_loss_and_in_layer():
    net = Sequential(DenseMean(5, 6, rng()), Tanh(), DenseMean(6, 3, rng()), Softmax())
    return described(net, cross_entropy, cross_entropy_grad)


class DenseNoBiasStep(Dense):
    def backward(self, grad):
        self.dW = self.x.T @ grad
        self.db = 0
        return grad @ self.W.T


@case("bias_not_updated", layer=1)
def bias_gradient_zero_in_first_layer():
    net = Sequential(DenseNoBiasStep(5, 6, rng()), Tanh(), Dense(6, 3, rng()), Softmax())
    return described(net, cross_entropy, cross_entropy_grad)


class DenseForgetsBias(Dense):
    def forward(self, x):
        self.x = x
        return x @ self.W


@case("bias_missing", layer=1)
def bias_never_added():
    net = Sequential(DenseForgetsBias(5, 6, rng()), Tanh(), Dense(6, 3, rng()), Softmax())
    return described(net, cross_entropy, cross_entropy_grad)


class DenseKeepsFirstInput(Dense):
    def forward(self, x):
        if not hasattr(self, "x"):
            self.x = x
        return x @ self.W + self.b


@case("stale_activations")
def input_cached_once():
    net = Sequential(DenseKeepsFirstInput(5, 6, rng()), Tanh(), Dense(6, 3, rng()), Softmax())
    return described(net, cross_entropy, cross_entropy_grad)


class WholeSoftmax(Softmax):
    def forward(self, x):
        e = np.exp(x - x.max())
        self.out = e / e.sum()
        return self.out


@case("softmax_over_batch")
def softmax_sum_without_axis():
    net = Sequential(Dense(5, 6, rng()), Tanh(), Dense(6, 3, rng()), WholeSoftmax())
    return described(net, cross_entropy, lambda out, y: (out - y) / len(y))


class UnsafeSoftmax(Softmax):
    def forward(self, x):
        e = np.exp(x)
        self.out = e / e.sum(axis=1, keepdims=True)
        return self.out


@case("overflow")
def softmax_without_maximum():
    net = Sequential(Dense(5, 6, rng()), Tanh(), Dense(6, 3, rng()), UnsafeSoftmax())
    return described(net, cross_entropy, cross_entropy_grad)


class BatchMaxSoftmax(Softmax):
    def forward(self, x):
        e = np.exp(x - np.max(x))
        self.out = e / np.sum(e, axis=1, keepdims=True)
        return self.out


@case("max_over_batch")
def softmax_with_the_batch_maximum():
    net = Sequential(Dense(5, 6, rng()), ReLU(), Dense(6, 3, rng()), BatchMaxSoftmax())
    return described(net, cross_entropy, cross_entropy_grad)


@case("factor_two")
def mse_gradient_without_the_two():
    net = Sequential(Dense(2, 4, rng()), Tanh(), Dense(4, 1, rng()), Sigmoid())
    return described(net, mse, lambda out, y: (out - y) / out.size, XOR_X, XOR_Y)


@case("sign_flipped", "derivative_of_activated")
def two_mistakes_sign_and_tanh():
    net = Sequential(Dense(5, 6, rng()), TanhTwice(), Dense(6, 3, rng()), Softmax())
    return described(net, cross_entropy, lambda out, y: y / (out + 1e-12) / len(y))
