"""wih and who (out, in), inputs_list turned into a column, self.lr; no biases."""

import numpy as np

from tests.corpus.cases import blobs, case


class neuralNetwork:
    def __init__(self, inputnodes, hiddennodes, outputnodes, learningrate):
        rng = np.random.default_rng(15)
        self.lr = learningrate
        self.wih = rng.normal(0.0, pow(inputnodes, -0.5), (hiddennodes, inputnodes))
        self.who = rng.normal(0.0, pow(hiddennodes, -0.5), (outputnodes, hiddennodes))
        self.activation_function = lambda x: 1 / (1 + np.exp(-x))

    def train(self, inputs_list, targets_list):
        inputs = np.array(inputs_list, ndmin=2).T
        targets = np.array(targets_list, ndmin=2).T
        hidden_outputs = self.activation_function(np.dot(self.wih, inputs))
        final_outputs = self.activation_function(np.dot(self.who, hidden_outputs))
        output_errors = targets - final_outputs
        self.learn(inputs, hidden_outputs, final_outputs, output_errors)

    def learn(self, inputs, hidden_outputs, final_outputs, output_errors):
        grad_out = output_errors * final_outputs * (1.0 - final_outputs)
        hidden_errors = np.dot(self.who.T, grad_out)
        self.who += self.lr * np.dot(grad_out, hidden_outputs.T)
        self.wih += self.lr * np.dot(
            hidden_errors * hidden_outputs * (1.0 - hidden_outputs), inputs.T
        )

    def query(self, inputs_list):
        inputs = np.array(inputs_list, ndmin=2).T
        hidden_outputs = self.activation_function(np.dot(self.wih, inputs))
        return self.activation_function(np.dot(self.who, hidden_outputs))


POINTS, LABELS = blobs(7, 6, 3, seed=16)
TARGETS = np.full((7, 3), 0.01)
TARGETS[np.arange(7), LABELS] = 0.99


def described(net, **more):
    return {
        "network": net,
        "x": POINTS,
        "y": TARGETS,
        "weights": ["wih", "who"],
        "forward": "query",
        "train_step": "train",
        "loss": "squared_error",
        "samples": "single",
        **more,
    }


@case()
def query_and_train():
    return described(neuralNetwork(6, 5, 3, 0.3))


@case()
def query_and_train_layout_found():
    given = described(neuralNetwork(6, 5, 3, 0.3))
    del given["samples"], given["loss"]
    return given


class FirstEdition(neuralNetwork):
    """Sends the raw errors down through the weights."""

    def learn(self, inputs, hidden_outputs, final_outputs, output_errors):
        hidden_errors = np.dot(self.who.T, output_errors)
        self.who += self.lr * np.dot(
            output_errors * final_outputs * (1.0 - final_outputs), hidden_outputs.T
        )
        self.wih += self.lr * np.dot(
            hidden_errors * hidden_outputs * (1.0 - hidden_outputs), inputs.T
        )


@case("error_not_delta", layer=1)
def raw_errors_through_the_weights():
    return described(FirstEdition(6, 5, 3, 0.3))


class ForgotRate(neuralNetwork):
    def learn(self, inputs, hidden_outputs, final_outputs, output_errors):
        grad_out = output_errors * final_outputs * (1.0 - final_outputs)
        hidden_errors = np.dot(self.who.T, grad_out)
        self.who += np.dot(grad_out, hidden_outputs.T)
        self.wih += self.lr * np.dot(
            hidden_errors * hidden_outputs * (1.0 - hidden_outputs), inputs.T
        )


@case("learning_rate_missing", layer=2)
def rate_missing_in_one_update():
    return described(ForgotRate(6, 5, 3, 0.3))


@case("targets_out_of_reach")
def targets_from_nought_to_four():
    targets = (np.arange(21).reshape(7, 3) % 5).astype(float)
    return described(neuralNetwork(6, 5, 3, 0.3), y=targets)


class HalfSigned(neuralNetwork):
    def learn(self, inputs, hidden_outputs, final_outputs, output_errors):
        grad_out = output_errors * final_outputs * (1.0 - final_outputs)
        hidden_errors = np.dot(self.who.T, -grad_out)
        self.who += self.lr * np.dot(grad_out, hidden_outputs.T)
        self.wih += self.lr * np.dot(
            hidden_errors * hidden_outputs * (1.0 - hidden_outputs), inputs.T
        )


@case("sign_flipped", layer=1)
def hidden_errors_with_a_minus():
    return described(HalfSigned(6, 5, 3, 0.3))
