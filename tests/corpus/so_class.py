"""The class with self.weights1, self.input and self.y that many questions start from."""

import numpy as np

from tests.corpus.cases import XOR_X, XOR_Y, case


def sigmoid(x):
    return 1.0 / (1 + np.exp(-x))


def sigmoid_derivative(x):
    return x * (1.0 - x)


class NeuralNetwork:
    def __init__(self, x, y, hidden=4, seed=1):
        rng = np.random.default_rng(seed)
        self.input = x
        self.weights1 = rng.random((self.input.shape[1], hidden))
        self.weights2 = rng.random((hidden, y.shape[1]))
        self.y = y
        self.output = np.zeros(self.y.shape)

    def feedforward(self):
        self.layer1 = sigmoid(np.dot(self.input, self.weights1))
        self.output = sigmoid(np.dot(self.layer1, self.weights2))

    def backprop(self):
        d_weights2 = np.dot(
            self.layer1.T, (2 * (self.y - self.output) * sigmoid_derivative(self.output))
        )
        d_weights1 = np.dot(
            self.input.T,
            (
                np.dot(
                    2 * (self.y - self.output) * sigmoid_derivative(self.output), self.weights2.T
                )
                * sigmoid_derivative(self.layer1)
            ),
        )
        self.weights1 += d_weights1
        self.weights2 += d_weights2

    def train(self):
        self.feedforward()
        self.backprop()

    def cost(self):
        self.feedforward()
        return np.sum((self.y - self.output) ** 2)


def described(net, **more):
    return {
        "network": net,
        "x": XOR_X,
        "y": XOR_Y,
        "weights": ["weights1", "weights2"],
        "forward": "feedforward",
        "train_step": "train",
        "data_names": ("input", "y"),
        **more,
    }


@case()
def xor_without_bias_no_loss():
    return described(NeuralNetwork(XOR_X, XOR_Y))


@case()
def xor_without_bias_sum_of_squares():
    return described(
        NeuralNetwork(XOR_X, XOR_Y), loss=lambda net, x, y: net.cost(), learning_rate=1.0
    )


class MinusInsteadOfPlus(NeuralNetwork):
    def backprop(self):
        error = self.y - self.output
        d2 = 2 * error * sigmoid_derivative(self.output)
        d1 = np.dot(d2, self.weights2.T) * sigmoid_derivative(self.layer1)
        self.weights1 -= np.dot(self.input.T, d1)
        self.weights2 -= np.dot(self.layer1.T, d2)


@case("sign_flipped", layer=2)
def y_minus_output_and_minus_equals():
    return described(MinusInsteadOfPlus(XOR_X, XOR_Y), loss=lambda net, x, y: net.cost())


class UpdatesTooEarly(NeuralNetwork):
    def backprop(self):
        delta2 = 2 * (self.y - self.output) * sigmoid_derivative(self.output)
        self.weights2 += self.layer1.T.dot(delta2)
        delta1 = delta2.dot(self.weights2.T) * sigmoid_derivative(self.layer1)
        self.weights1 += self.input.T.dot(delta1)


@case("weights_updated_before_use", layer=1)
def second_layer_first():
    return described(UpdatesTooEarly(XOR_X, XOR_Y), loss=lambda net, x, y: net.cost())


class SendsErrorDown(NeuralNetwork):
    def backprop(self):
        l2_error = self.y - self.output
        l2_delta = l2_error * sigmoid_derivative(self.output)
        l1_error = l2_error.dot(self.weights2.T)
        l1_delta = l1_error * sigmoid_derivative(self.layer1)
        self.weights2 += self.layer1.T.dot(l2_delta)
        self.weights1 += self.input.T.dot(l1_delta)


@case("error_not_delta", layer=1)
def error_sent_down_not_delta():
    return described(SendsErrorDown(XOR_X, XOR_Y))


class ForgetsForward(NeuralNetwork):
    """feedforward was called once before the loop, train only runs backprop."""

    def __init__(self, x, y):
        super().__init__(x, y)
        self.feedforward()

    def train(self):
        self.backprop()


@case("stale_activations")
def forward_only_before_the_loop():
    return described(ForgetsForward(XOR_X, XOR_Y))


class CostOfSquares(NeuralNetwork):
    def cost(self):
        self.feedforward()
        return np.mean(self.y**2 - self.output**2)


@case("loss_reported_differs")
def y_squared_minus_output_squared():
    return described(CostOfSquares(XOR_X, XOR_Y), loss=lambda net, x, y: net.cost())


class SigmoidOfSigmoid(NeuralNetwork):
    def backprop(self):
        def prime(s):
            return sigmoid(s) * (1 - sigmoid(s))

        err = 2 * (self.output - self.y)
        delta_out = err * prime(self.output)
        delta_hid = delta_out @ self.weights2.T * prime(self.layer1)
        self.weights2 -= self.layer1.T @ delta_out
        self.weights1 -= self.input.T @ delta_hid


@case("derivative_of_activated")
def prime_of_the_output():
    return described(SigmoidOfSigmoid(XOR_X, XOR_Y), loss=lambda net, x, y: net.cost())
