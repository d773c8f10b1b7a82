"""Theta matrices (out, in + 1) with the bias in the first column, as translated from Octave."""

import numpy as np

from tests.corpus.cases import blobs, case


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sigmoid_gradient(z):
    return sigmoid(z) * (1 - sigmoid(z))


def add_ones(a):
    return np.column_stack([np.ones(len(a)), a])


def forward(thetas, X):
    a1 = add_ones(X)
    z2 = a1 @ thetas["Theta1"].T
    a2 = add_ones(sigmoid(z2))
    z3 = a2 @ thetas["Theta2"].T
    return sigmoid(z3)


def cost(thetas, X, y, lam=0.0):
    m = len(X)
    h = np.clip(forward(thetas, X), 1e-12, 1 - 1e-12)
    J = -np.sum(y * np.log(h) + (1 - y) * np.log(1 - h)) / m
    reg = np.sum(thetas["Theta1"][:, 1:] ** 2) + np.sum(thetas["Theta2"][:, 1:] ** 2)
    return J + lam / (2 * m) * reg


def gradient(thetas, X, y, lam=0.0):
    Theta1, Theta2 = thetas["Theta1"], thetas["Theta2"]
    m = len(X)
    Delta1, Delta2 = np.zeros_like(Theta1), np.zeros_like(Theta2)
    for t in range(m):
        a1 = np.append(1, X[t])
        z2 = Theta1 @ a1
        a2 = np.append(1, sigmoid(z2))
        a3 = sigmoid(Theta2 @ a2)
        d3 = a3 - y[t]
        d2 = (Theta2.T @ d3)[1:] * sigmoid_gradient(z2)
        Delta1 += np.outer(d2, a1)
        Delta2 += np.outer(d3, a2)
    G1, G2 = Delta1 / m, Delta2 / m
    G1[:, 1:] += lam / m * Theta1[:, 1:]
    G2[:, 1:] += lam / m * Theta2[:, 1:]
    return G1, G2


X, LABELS = blobs(12, 3, 3, seed=13)
Y = np.eye(3)[LABELS]


def thetas():
    rng = np.random.default_rng(14)
    return {"Theta1": rng.uniform(-1, 1, (5, 4)), "Theta2": rng.uniform(-1, 1, (3, 6))}


def described(gradients, loss=cost, **more):
    return {
        "network": thetas(),
        "x": X,
        "y": Y,
        "weights": ["Theta1", "Theta2"],
        "forward": forward,
        "loss": loss,
        "gradients": gradients,
        **more,
    }


@case()
def unregularised():
    return described(gradient)


@case()
def regularised():
    return described(
        lambda p, x, y: gradient(p, x, y, 0.6), loss=lambda p, x, y: cost(p, x, y, 0.6)
    )


def gradient_last(thetas, X, y):
    Theta1, Theta2 = thetas["Theta1"], thetas["Theta2"]
    m = len(X)
    for t in range(m):
        a1 = np.append(1, X[t])
        z2 = Theta1 @ a1
        a2 = np.append(1, sigmoid(z2))
        d3 = sigmoid(Theta2 @ a2) - y[t]
        d2 = (Theta2.T @ d3)[1:] * sigmoid_gradient(z2)
        Delta1 = np.outer(d2, a1)
        Delta2 = np.outer(d3, a2)
    return Delta1 / m, Delta2 / m


@case("only_last_sample")
def delta_not_accumulated():
    return described(gradient_last)


def gradient_with_output_slope(thetas, X, y):
    A1 = add_ones(X)
    Z2 = A1 @ thetas["Theta1"].T
    A2 = add_ones(sigmoid(Z2))
    Z3 = A2 @ thetas["Theta2"].T
    D3 = (sigmoid(Z3) - y) * sigmoid_gradient(Z3)
    D2 = (D3 @ thetas["Theta2"])[:, 1:] * sigmoid_gradient(Z2)
    return D2.T @ A1 / len(X), D3.T @ A2 / len(X)


@case("derivative_on_fused", layer=2)
def sigmoid_gradient_at_the_output():
    return described(gradient_with_output_slope)


def gradient_slope_of_a2(thetas, X, y):
    A1 = add_ones(X)
    A2 = add_ones(sigmoid(A1 @ thetas["Theta1"].T))
    D3 = sigmoid(A2 @ thetas["Theta2"].T) - y
    D2 = (D3 @ thetas["Theta2"] * sigmoid_gradient(A2))[:, 1:]
    return D2.T @ A1 / len(X), D3.T @ A2 / len(X)


@case("derivative_of_activated", layer=1)
def sigmoid_gradient_of_a2():
    return described(gradient_slope_of_a2)


def gradient_minus(thetas, X, y):
    G1, G2 = gradient(thetas, X, y)
    return G1, -G2


@case("sign_flipped", layer=2)
def second_theta_with_a_minus():
    return described(gradient_minus)


@case("mean_missing", "derivative_missing")
def two_mistakes_no_m_and_no_slope():
    def grads(thetas, X, y):
        A1 = add_ones(X)
        A2 = add_ones(sigmoid(A1 @ thetas["Theta1"].T))
        D3 = sigmoid(A2 @ thetas["Theta2"].T) - y
        D2 = (D3 @ thetas["Theta2"])[:, 1:]
        return D2.T @ A1, D3.T @ A2

    return described(grads)
