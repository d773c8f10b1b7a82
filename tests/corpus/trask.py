"""A script with syn0 and syn1 at module level and nonlin(x, deriv=True)."""

import sys

import numpy as np

from tests.corpus.cases import case

X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
y = np.array([[0], [1], [1], [0]])
rng = np.random.default_rng(1)
syn0 = 2 * rng.random((3, 4)) - 1
syn1 = 2 * rng.random((4, 1)) - 1
alpha = 0.5


def nonlin(x, deriv=False):
    if deriv:
        return x * (1 - x)
    return 1 / (1 + np.exp(-x))


def predict(x):
    return nonlin(np.dot(nonlin(np.dot(x, syn0)), syn1))


def iteration(x, y):
    global syn0, syn1
    l0 = x
    l1 = nonlin(np.dot(l0, syn0))
    l2 = nonlin(np.dot(l1, syn1))
    l2_error = y - l2
    l2_delta = l2_error * nonlin(l2, deriv=True)
    l1_error = l2_delta.dot(syn1.T)
    l1_delta = l1_error * nonlin(l1, deriv=True)
    syn1 += l1.T.dot(l2_delta)
    syn0 += l0.T.dot(l1_delta)


def iteration_alpha(x, y):
    global syn0, syn1
    l1 = nonlin(np.dot(x, syn0))
    l2 = nonlin(np.dot(l1, syn1))
    l2_delta = (l2 - y) * l2 * (1 - l2)
    l1_delta = l2_delta.dot(syn1.T) * (l1 * (1 - l1))
    syn1 -= alpha * (l1.T.dot(l2_delta))
    syn0 -= alpha * (x.T.dot(l1_delta))


def iteration_on_preactivation(x, y):
    global syn0, syn1
    z1 = np.dot(x, syn0)
    l1 = nonlin(z1)
    z2 = np.dot(l1, syn1)
    l2 = nonlin(z2)
    l2_delta = (y - l2) * nonlin(z2, True)
    l1_delta = l2_delta.dot(syn1.T) * nonlin(z1, True)
    syn1 = syn1 + alpha * l1.T.dot(l2_delta)
    syn0 = syn0 + alpha * x.T.dot(l1_delta)


def iteration_no_hidden_derivative(x, y):
    global syn0, syn1
    l1 = nonlin(np.dot(x, syn0))
    l2 = nonlin(np.dot(l1, syn1))
    l2_delta = (y - l2) * nonlin(l2, deriv=True)
    l1_delta = l2_delta.dot(syn1.T)
    syn1 += alpha * l1.T.dot(l2_delta)
    syn0 += alpha * x.T.dot(l1_delta)


def iteration_one_sign(x, y):
    global syn0, syn1
    l1 = nonlin(np.dot(x, syn0))
    l2 = nonlin(np.dot(l1, syn1))
    l2_delta = (y - l2) * nonlin(l2, deriv=True)
    l1_delta = l2_delta.dot(syn1.T) * nonlin(l1, deriv=True)
    syn1 += alpha * l1.T.dot(l2_delta)
    syn0 -= alpha * x.T.dot(l1_delta)


def half_squares(output, y):
    return 0.5 * np.sum((y - output) ** 2)


def script(step, **more):
    return {
        "network": sys.modules[__name__],
        "x": X,
        "y": y,
        "weights": ["syn0", "syn1"],
        "forward": predict,
        "train_step": step,
        **more,
    }


@case()
def eleven_lines():
    return script(iteration)


@case()
def with_alpha():
    return script(iteration_alpha, loss=half_squares, learning_rate="alpha")


@case("derivative_of_preactivation")
def deriv_of_z():
    return script(iteration_on_preactivation, learning_rate="alpha")


@case("derivative_missing", layer=1)
def no_hidden_derivative():
    return script(iteration_no_hidden_derivative, loss=half_squares, learning_rate="alpha")


@case("sign_flipped", layer=1)
def only_one_sign_changed():
    return script(iteration_one_sign, loss="squared_error", learning_rate=0.5)


@case("learning_rate_missing")
def alpha_never_used():
    return script(iteration, loss=half_squares, learning_rate="alpha")
