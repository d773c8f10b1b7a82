"""No arrays at all: nested lists of floats, loops, one sample at a time."""

import math
import random

from tests.corpus.cases import case

ROWS = [[2.78, 2.55], [1.46, 2.36], [3.39, 4.40], [1.38, 1.85], [7.62, 2.75], [5.33, 2.08]]
LABELS = [[1, 0], [1, 0], [1, 0], [1, 0], [0, 1], [0, 1]]


def initialize_network(n_inputs, n_hidden, n_outputs):
    r = random.Random(1)
    hidden = [{"weights": [r.random() for _ in range(n_inputs + 1)]} for _ in range(n_hidden)]
    output = [{"weights": [r.random() for _ in range(n_hidden + 1)]} for _ in range(n_outputs)]
    return [hidden, output]


def transfer(activation):
    return 1.0 / (1.0 + math.exp(-activation))


def transfer_derivative(output):
    return output * (1.0 - output)


def activate(weights, inputs):
    activation = weights[-1]
    for i in range(len(weights) - 1):
        activation += weights[i] * inputs[i]
    return activation


def forward_propagate(network, row):
    inputs = row
    for layer in network:
        new_inputs = []
        for neuron in layer:
            neuron["output"] = transfer(activate(neuron["weights"], inputs))
            new_inputs.append(neuron["output"])
        inputs = new_inputs
    return inputs


def backward_propagate_error(network, expected):
    for i in reversed(range(len(network))):
        layer = network[i]
        errors = []
        if i != len(network) - 1:
            for j in range(len(layer)):
                error = 0.0
                for neuron in network[i + 1]:
                    error += neuron["weights"][j] * neuron["delta"]
                errors.append(error)
        else:
            for j in range(len(layer)):
                errors.append(layer[j]["output"] - expected[j])
        for j in range(len(layer)):
            layer[j]["delta"] = errors[j] * transfer_derivative(layer[j]["output"])


def update_weights(network, row, l_rate):
    for i in range(len(network)):
        inputs = row
        if i != 0:
            inputs = [neuron["output"] for neuron in network[i - 1]]
        for neuron in network[i]:
            for j in range(len(inputs)):
                neuron["weights"][j] -= l_rate * neuron["delta"] * inputs[j]
            neuron["weights"][-1] -= l_rate * neuron["delta"]


def train_row(network, row, expected, l_rate):
    forward_propagate(network, row)
    backward_propagate_error(network, expected)
    update_weights(network, row, l_rate)


def train_epoch(network, rows, expected, l_rate):
    for row, target in zip(rows, expected):
        train_row(network, row, target, l_rate)


def squared(outputs, expected):
    return 0.5 * sum((expected[i] - outputs[i]) ** 2 for i in range(len(expected)))


def described(step, **more):
    return {
        "network": initialize_network(2, 3, 2),
        "x": ROWS,
        "y": LABELS,
        "weights": ["0.*.weights", "1.*.weights"],
        "forward": forward_propagate,
        "loss": squared,
        "train_step": step,
        "samples": "single",
        **more,
    }


@case()
def neurons_in_dicts():
    return described(lambda network, x, y, rate: train_row(network, x, y, rate))


def update_weights_without_bias(network, row, l_rate):
    for i in range(len(network)):
        inputs = row
        if i != 0:
            inputs = [neuron["output"] for neuron in network[i - 1]]
        for neuron in network[i]:
            for j in range(len(inputs)):
                neuron["weights"][j] -= l_rate * neuron["delta"] * inputs[j]


@case("bias_not_updated")
def last_weight_left_out():
    def step(network, x, y, rate):
        forward_propagate(network, x)
        backward_propagate_error(network, y)
        update_weights_without_bias(network, x, rate)

    return described(step)


@case("sign_flipped")
def adds_what_it_should_subtract():
    def step(network, x, y, rate):
        forward_propagate(network, x)
        backward_propagate_error(network, y)
        update_weights(network, x, -rate)

    return described(step)


def backward_and_update(network, row, expected, l_rate):
    """Each layer is updated as soon as its delta is known."""
    for i in reversed(range(len(network))):
        layer = network[i]
        for j, neuron in enumerate(layer):
            if i == len(network) - 1:
                error = neuron["output"] - expected[j]
            else:
                error = sum(n["weights"][j] * n["delta"] for n in network[i + 1])
            neuron["delta"] = error * transfer_derivative(neuron["output"])
        inputs = row if i == 0 else [n["output"] for n in network[i - 1]]
        for neuron in layer:
            for j, value in enumerate(inputs):
                neuron["weights"][j] -= l_rate * neuron["delta"] * value
            neuron["weights"][-1] -= l_rate * neuron["delta"]


@case("weights_updated_before_use", layer=1)
def updates_layer_by_layer():
    def step(network, x, y, rate):
        forward_propagate(network, x)
        backward_and_update(network, x, y, rate)

    return described(step)


def backward_with_raw_output_error(network, expected):
    output, hidden = network[1], network[0]
    for j, neuron in enumerate(output):
        neuron["delta"] = neuron["output"] - expected[j]
    for j, neuron in enumerate(hidden):
        error = sum(n["weights"][j] * n["delta"] for n in output)
        neuron["delta"] = error * transfer_derivative(neuron["output"])


@case("output_derivative_missing", layer=2)
def no_derivative_at_the_output():
    def step(network, x, y, rate):
        forward_propagate(network, x)
        backward_with_raw_output_error(network, y)
        update_weights(network, x, rate)

    return described(step)


@case("log_of_zero")
def log_loss_with_math_log():
    def log_loss(outputs, expected):
        return -sum(t * math.log(o) + (1 - t) * math.log(1 - o) for o, t in zip(outputs, expected))

    def step(network, x, y, rate):
        forward_propagate(network, x)
        backward_with_raw_output_error(network, y)
        update_weights(network, x, rate)

    return described(step, loss=log_loss)


class NN:
    """Lists of lists wi, wo, activations ai, ah, ao, momentum with the last changes ci, co."""

    def __init__(self, ni, nh, no):
        r = random.Random(0)
        self.ni, self.nh, self.no = ni + 1, nh, no
        self.ai, self.ah, self.ao = [1.0] * self.ni, [1.0] * nh, [1.0] * no
        self.wi = [[r.uniform(-0.2, 0.2) for _ in range(nh)] for _ in range(self.ni)]
        self.wo = [[r.uniform(-2.0, 2.0) for _ in range(no)] for _ in range(nh)]
        self.ci = [[0.0] * nh for _ in range(self.ni)]
        self.co = [[0.0] * no for _ in range(nh)]

    def update(self, inputs):
        for i in range(self.ni - 1):
            self.ai[i] = inputs[i]
        for j in range(self.nh):
            self.ah[j] = math.tanh(sum(self.ai[i] * self.wi[i][j] for i in range(self.ni)))
        for k in range(self.no):
            self.ao[k] = math.tanh(sum(self.ah[j] * self.wo[j][k] for j in range(self.nh)))
        return self.ao[:]

    def deltas(self, targets):
        out = [(targets[k] - self.ao[k]) * (1 - self.ao[k] ** 2) for k in range(self.no)]
        hid = []
        for j in range(self.nh):
            error = sum(out[k] * self.wo[j][k] for k in range(self.no))
            hid.append(error * (1 - self.ah[j] ** 2))
        return out, hid

    def back_propagate(self, targets, N, M):
        out, hid = self.deltas(targets)
        for j in range(self.nh):
            for k in range(self.no):
                change = N * out[k] * self.ah[j] + M * self.co[j][k]
                self.wo[j][k] += change
                self.co[j][k] = change
        for i in range(self.ni):
            for j in range(self.nh):
                change = N * hid[j] * self.ai[i] + M * self.ci[i][j]
                self.wi[i][j] += change
                self.ci[i][j] = change


XOR = [[0, 0], [0, 1], [1, 0], [1, 1]]
XOR_T = [[0], [1], [1], [0]]


def described_lists(net, **more):
    def step(net, x, y, learning_rate):
        net.update(x)
        net.back_propagate(y, learning_rate, 0.4)

    return {
        "network": net,
        "x": XOR,
        "y": XOR_T,
        "weights": ["wi", "wo"],
        "forward": "update",
        "train_step": step,
        "loss": squared,
        "samples": "single",
        **more,
    }


@case()
def lists_with_momentum():
    return described_lists(NN(2, 3, 1))


class MomentumOfWeights(NN):
    def back_propagate(self, targets, N, M):
        out, hid = self.deltas(targets)
        for j in range(self.nh):
            for k in range(self.no):
                self.wo[j][k] += N * out[k] * self.ah[j] + M * self.wo[j][k]
        for i in range(self.ni):
            for j in range(self.nh):
                self.wi[i][j] += N * hid[j] * self.ai[i] + M * self.wi[i][j]


@case("momentum_misapplied")
def momentum_times_the_weights():
    return described_lists(MomentumOfWeights(2, 3, 1))


class SigmoidSlopeForTanh(NN):
    def deltas(self, targets):
        out = [(targets[k] - self.ao[k]) * self.ao[k] * (1 - self.ao[k]) for k in range(self.no)]
        hid = []
        for j in range(self.nh):
            error = sum(out[k] * self.wo[j][k] for k in range(self.no))
            hid.append(error * self.ah[j] * (1 - self.ah[j]))
        return out, hid


@case("derivative_of_another_activation")
def sigmoid_slope_for_tanh():
    return described_lists(SigmoidSlopeForTanh(2, 3, 1))
