"""Samples as columns, a parameters dict, functions that hand a cache around."""

import numpy as np

from tests.corpus.cases import blobs, case


def initialize_parameters(n_x, n_h, n_y, seed=2):
    rng = np.random.default_rng(seed)
    return {
        "W1": rng.standard_normal((n_h, n_x)) * 0.5,
        "b1": np.zeros((n_h, 1)),
        "W2": rng.standard_normal((n_y, n_h)) * 0.5,
        "b2": np.zeros((n_y, 1)),
    }


def forward_propagation(X, parameters):
    Z1 = np.dot(parameters["W1"], X) + parameters["b1"]
    A1 = np.tanh(Z1)
    Z2 = np.dot(parameters["W2"], A1) + parameters["b2"]
    A2 = 1 / (1 + np.exp(-Z2))
    return A2, {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}


def compute_cost(A2, Y):
    m = Y.shape[1]
    A2 = np.clip(A2, 1e-12, 1 - 1e-12)
    logprobs = np.multiply(np.log(A2), Y) + np.multiply(np.log(1 - A2), 1 - Y)
    return -np.sum(logprobs) / m


def backward_propagation(parameters, X, Y):
    _, cache = forward_propagation(X, parameters)
    m = X.shape[1]
    A1, A2 = cache["A1"], cache["A2"]
    dZ2 = A2 - Y
    dW2 = np.dot(dZ2, A1.T) / m
    db2 = np.sum(dZ2, axis=1, keepdims=True) / m
    dZ1 = np.dot(parameters["W2"].T, dZ2) * (1 - np.power(A1, 2))
    dW1 = np.dot(dZ1, X.T) / m
    db1 = np.sum(dZ1, axis=1, keepdims=True) / m
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}


def update_parameters(parameters, grads, learning_rate=1.2):
    return {k: parameters[k] - learning_rate * grads["d" + k] for k in parameters}


def model_step(parameters, X, Y, learning_rate=1.2):
    return update_parameters(parameters, backward_propagation(parameters, X, Y), learning_rate)


POINTS, LABELS = blobs(15, 2, 2, seed=3)
X, Y = POINTS.T, LABELS.reshape(1, -1).astype(float)


def planar(**more):
    return {
        "network": initialize_parameters(2, 4, 1),
        "x": X,
        "y": Y,
        "weights": ["W1", "W2"],
        "biases": ["b1", "b2"],
        "forward": lambda p, x: forward_propagation(x, p),
        "loss": compute_cost,
        **more,
    }


@case()
def planar_gradients():
    return planar(gradients=backward_propagation)


@case()
def planar_update():
    return planar(train_step=model_step)


@case()
def planar_both():
    return planar(gradients=backward_propagation, train_step=model_step)


def backward_one_minus_z_squared(parameters, X, Y):
    A2, cache = forward_propagation(X, parameters)
    m = X.shape[1]
    dZ2 = A2 - Y
    dZ1 = np.dot(parameters["W2"].T, dZ2) * (1 - np.power(cache["Z1"], 2))
    return {
        "dW1": np.dot(dZ1, X.T) / m,
        "db1": np.sum(dZ1, axis=1, keepdims=True) / m,
        "dW2": np.dot(dZ2, cache["A1"].T) / m,
        "db2": np.sum(dZ2, axis=1, keepdims=True) / m,
    }


@case("derivative_of_preactivation", layer=1)
def one_minus_z_squared():
    return planar(gradients=backward_one_minus_z_squared)


def backward_sigmoid_on_top(parameters, X, Y):
    A2, cache = forward_propagation(X, parameters)
    m = X.shape[1]
    A1 = cache["A1"]
    dZ2 = (A2 - Y) * A2 * (1 - A2)
    dZ1 = parameters["W2"].T @ dZ2 * (1 - A1**2)
    return {
        "dW2": dZ2 @ A1.T / m,
        "db2": dZ2.sum(axis=1, keepdims=True) / m,
        "dW1": dZ1 @ X.T / m,
        "db1": dZ1.sum(axis=1, keepdims=True) / m,
    }


@case("derivative_on_fused", layer=2)
def sigmoid_derivative_on_top():
    return planar(gradients=backward_sigmoid_on_top)


def backward_without_m(parameters, X, Y):
    A2, cache = forward_propagation(X, parameters)
    dZ2 = A2 - Y
    dZ1 = np.dot(parameters["W2"].T, dZ2) * (1 - np.power(cache["A1"], 2))
    return {
        "dW1": np.dot(dZ1, X.T),
        "db1": np.sum(dZ1, axis=1, keepdims=True),
        "dW2": np.dot(dZ2, cache["A1"].T),
        "db2": np.sum(dZ2, axis=1, keepdims=True),
    }


@case("mean_missing")
def one_over_m_forgotten():
    return planar(gradients=backward_without_m)


def step_without_rate(parameters, X, Y, learning_rate=1.2):
    grads = backward_propagation(parameters, X, Y)
    for k in parameters:
        parameters[k] = parameters[k] - grads["d" + k]
    return parameters


@case("learning_rate_missing")
def update_without_the_rate():
    return planar(train_step=step_without_rate)


def backward_bias_axis(parameters, X, Y):
    grads = backward_propagation(parameters, X, Y)
    A2, cache = forward_propagation(X, parameters)
    dZ1 = np.dot(parameters["W2"].T, A2 - Y) * (1 - np.power(cache["A1"], 2))
    grads["db1"] = np.sum(dZ1, axis=0, keepdims=True) / X.shape[1]
    return grads


@case("bias_wrong_axis", layer=1)
def bias_over_the_rows_of_columns():
    return planar(gradients=backward_bias_axis)


def plain_cost(A2, Y):
    return -np.sum(Y * np.log(A2) + (1 - Y) * np.log(1 - A2)) / Y.shape[1]


@case("log_of_zero")
def cost_without_clip():
    return planar(loss=plain_cost, gradients=backward_propagation)


def step_flipped(parameters, X, Y, learning_rate=1.2):
    grads = backward_propagation(parameters, X, Y)
    return {k: parameters[k] + learning_rate * grads["d" + k] for k in parameters}


@case("sign_flipped")
def update_adds():
    return planar(gradients=backward_propagation, train_step=step_flipped)


def backward_negative(parameters, X, Y):
    return {k: -g for k, g in backward_propagation(parameters, X, Y).items()}


def step_of_negative(parameters, X, Y, learning_rate=1.2):
    grads = backward_negative(parameters, X, Y)
    return {k: parameters[k] + learning_rate * grads["d" + k] for k in parameters}


@case("sign_flipped_twice")
def negative_gradient_and_plus():
    return planar(gradients=backward_negative, train_step=step_of_negative)
