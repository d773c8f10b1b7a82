"""Lists of matrices (out, in) and of bias columns, one sample at a time, nabla_b and nabla_w."""

import numpy as np

from tests.corpus.cases import blobs, case


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))


class Network:
    def __init__(self, sizes, seed=4):
        rng = np.random.default_rng(seed)
        self.num_layers = len(sizes)
        self.biases = [rng.standard_normal((y, 1)) for y in sizes[1:]]
        self.weights = [rng.standard_normal((y, x)) for x, y in zip(sizes[:-1], sizes[1:])]

    def feedforward(self, a):
        for b, w in zip(self.biases, self.weights):
            a = sigmoid(np.dot(w, a) + b)
        return a

    def update_mini_batch(self, mini_batch, eta):
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        for x, y in mini_batch:
            delta_nabla_b, delta_nabla_w = self.backprop(x, y)
            nabla_b = [nb + dnb for nb, dnb in zip(nabla_b, delta_nabla_b)]
            nabla_w = [nw + dnw for nw, dnw in zip(nabla_w, delta_nabla_w)]
        n = len(mini_batch)
        self.weights = [w - (eta / n) * nw for w, nw in zip(self.weights, nabla_w)]
        self.biases = [b - (eta / n) * nb for b, nb in zip(self.biases, nabla_b)]

    def backprop(self, x, y):
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        activation = x
        activations = [x]
        zs = []
        for b, w in zip(self.biases, self.weights):
            z = np.dot(w, activation) + b
            zs.append(z)
            activation = sigmoid(z)
            activations.append(activation)
        delta = self.cost_derivative(activations[-1], y) * sigmoid_prime(zs[-1])
        nabla_b[-1] = delta
        nabla_w[-1] = np.dot(delta, activations[-2].transpose())
        for k in range(2, self.num_layers):
            delta = self.down(k, delta, zs, activations)
            nabla_b[-k] = delta
            nabla_w[-k] = np.dot(delta, activations[-k - 1].transpose())
        return nabla_b, nabla_w

    def down(self, k, delta, zs, activations):
        return np.dot(self.weights[-k + 1].transpose(), delta) * sigmoid_prime(zs[-k])

    def cost_derivative(self, output_activations, y):
        return output_activations - y


POINTS, LABELS = blobs(6, 3, 2, seed=5)
X = [p.reshape(-1, 1) for p in POINTS]
Y = [np.eye(2)[k].reshape(-1, 1) for k in LABELS]


def quadratic(a, y):
    return 0.5 * np.linalg.norm(a - y) ** 2


def described(net, **more):
    layers = range(len(net.weights))
    return {
        "network": net,
        "x": X,
        "y": Y,
        "weights": [f"weights.{k}" for k in layers],
        "biases": [f"biases.{k}" for k in layers],
        "forward": "feedforward",
        "loss": quadratic,
        **more,
    }


@case()
def three_layers():
    return described(Network([3, 5, 2]), gradients="backprop")


@case()
def four_layers():
    return described(Network([3, 5, 4, 2]), gradients="backprop")


@case()
def mini_batch_of_one():
    return described(
        Network([3, 5, 2]),
        train_step=lambda net, x, y, eta: net.update_mini_batch([(x, y)], eta),
    )


class PrimeOfActivation(Network):
    def down(self, k, delta, zs, activations):
        return np.dot(self.weights[-k + 1].transpose(), delta) * sigmoid_prime(activations[-k])


@case("derivative_of_activated", layer=2)
def prime_of_activation_deep():
    return described(PrimeOfActivation([3, 5, 4, 2]), gradients="backprop")


class NoTranspose(Network):
    def down(self, k, delta, zs, activations):
        return np.dot(self.weights[-k + 1], delta) * sigmoid_prime(zs[-k])


@case("transposed")
def square_layers_without_transpose():
    return described(NoTranspose([3, 2, 2]), gradients="backprop")


class NoPrimeAtTheEnd(Network):
    def cost_derivative(self, output_activations, y):
        p = output_activations
        return (p - y) / (p * (1 - p))


@case("output_derivative_missing", layer=3)
def cross_entropy_delta_with_quadratic_cost():
    return described(NoPrimeAtTheEnd([3, 5, 4, 2]), gradients="backprop")


class SumsForEver(Network):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.nabla_b = [np.zeros(b.shape) for b in self.biases]
        self.nabla_w = [np.zeros(w.shape) for w in self.weights]

    def update_mini_batch(self, mini_batch, eta):
        for x, y in mini_batch:
            delta_b, delta_w = self.backprop(x, y)
            self.nabla_b = [nb + d for nb, d in zip(self.nabla_b, delta_b)]
            self.nabla_w = [nw + d for nw, d in zip(self.nabla_w, delta_w)]
        n = len(mini_batch)
        self.weights = [w - (eta / n) * nw for w, nw in zip(self.weights, self.nabla_w)]
        self.biases = [b - (eta / n) * nb for b, nb in zip(self.biases, self.nabla_b)]


@case("gradients_never_reset")
def nablas_made_in_the_constructor():
    return described(
        SumsForEver([3, 5, 2]),
        train_step=lambda net, x, y, eta: net.update_mini_batch([(x, y)], eta),
    )


class LastOfTheBatch(Network):
    def update_mini_batch(self, mini_batch, eta):
        for x, y in mini_batch:
            nabla_b, nabla_w = self.backprop(x, y)
        n = len(mini_batch)
        self.weights = [w - (eta / n) * nw for w, nw in zip(self.weights, nabla_w)]
        self.biases = [b - (eta / n) * nb for b, nb in zip(self.biases, nabla_b)]


@case("only_last_sample")
def nablas_overwritten():
    columns = np.hstack(Y)
    net = LastOfTheBatch([3, 5, 2])
    return described(
        net,
        x=np.hstack(X),
        y=columns,
        loss=lambda a, y: 0.5 * np.sum((a - y) ** 2) / a.shape[1],
        train_step=lambda net, x, y, eta: net.update_mini_batch(
            [(x[:, [k]], y[:, [k]]) for k in range(x.shape[1])], eta
        ),
    )


@case()
def whole_mini_batch():
    net = Network([3, 5, 2])
    return described(
        net,
        x=np.hstack(X),
        y=np.hstack(Y),
        loss=lambda a, y: 0.5 * np.sum((a - y) ** 2) / a.shape[1],
        train_step=lambda net, x, y, eta: net.update_mini_batch(
            [(x[:, [k]], y[:, [k]]) for k in range(x.shape[1])], eta
        ),
    )
