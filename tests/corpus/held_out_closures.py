"""No class: make_network() returns functions that close over the arrays."""

import numpy as np

from tests.corpus.cases import case


def make_network(sizes, seed=61, f=np.tanh, df=lambda a: 1 - a * a):
    random = np.random.default_rng(seed)
    Ws = [random.uniform(-0.7, 0.7, (a + 1, b)) for a, b in zip(sizes, sizes[1:])]
    tape = []

    def with_one(a):
        return np.hstack([a, np.ones((a.shape[0], 1))])

    def forward(inputs):
        tape.clear()
        a = inputs
        for W in Ws:
            tape.append(with_one(a))
            a = f(tape[-1] @ W)
        tape.append(a)
        return a

    def backward(targets):
        delta = (tape[-1] - targets) * df(tape[-1])
        grads = [None] * len(Ws)
        for k in reversed(range(len(Ws))):
            grads[k] = tape[k].T @ delta
            delta = (delta @ Ws[k].T)[:, :-1] * df(tape[k][:, :-1])
        return grads

    def train(inputs, targets, rate):
        forward(inputs)
        for W, g in zip(Ws, backward(targets)):
            W -= rate * g

    return Ws, forward, backward, train


rng = np.random.default_rng(62)
IN = rng.uniform(-1, 1, (11, 3))
OUT = np.column_stack([np.sin(IN.sum(1)), np.cos(IN.prod(1))]) * 0.8


def half_sse(output, targets):
    return 0.5 * ((output - targets) ** 2).sum()


def described(Ws, forward, **more):
    return {
        "network": Ws,
        "x": IN,
        "y": OUT,
        "weights": list(range(len(Ws))),
        "forward": forward,
        "loss": half_sse,
        **more,
    }


@case()
def closures_with_a_ones_column():
    Ws, forward, backward, train = make_network((3, 5, 2))
    return described(Ws, forward, gradients=lambda x, y: (forward(x), backward(y))[1])


@case()
def closures_training():
    Ws, forward, backward, train = make_network((3, 5, 4, 2))
    return described(Ws, forward, train_step=train)


@case("derivative_of_preactivation")
def closures_slope_formula_of_sums():
    """df expects the value; it is given the sums."""
    Ws, forward, _, _ = make_network((3, 5, 2))

    def gradients(x, y):
        one = np.ones((len(x), 1))
        x1 = np.hstack([x, one])
        s1 = x1 @ Ws[0]
        h = np.hstack([np.tanh(s1), one])
        s2 = h @ Ws[1]
        d2 = (np.tanh(s2) - y) * (1 - s2 * s2)
        d1 = (d2 @ Ws[1][:-1].T) * (1 - s1 * s1)
        return x1.T @ d1, h.T @ d2

    return described(Ws, forward, gradients=gradients)


@case("weights_updated_before_use")
def closures_update_on_the_way_down():
    Ws, forward, _, _ = make_network((3, 5, 4, 2))

    def train(x, y, rate):
        one = np.ones((len(x), 1))
        a = [x]
        for W in Ws:
            a.append(np.tanh(np.hstack([a[-1], one]) @ W))
        delta = (a[-1] - y) * (1 - a[-1] ** 2)
        for k in (2, 1, 0):
            Ws[k] -= rate * np.hstack([a[k], one]).T @ delta
            delta = (delta @ Ws[k][:-1].T) * (1 - a[k] ** 2)

    return described(Ws, forward, train_step=train)


@case("stale_activations")
def closures_tape_never_cleared():
    Ws, forward, _, _ = make_network((3, 5, 2))
    tape = []

    def remember(x):
        one = np.ones((len(x), 1))
        tape.append(np.hstack([x, one]))
        tape.append(np.hstack([np.tanh(tape[-1] @ Ws[0]), one]))
        tape.append(np.tanh(tape[-1] @ Ws[1]))
        return tape[-1]

    def gradients(x, y):
        remember(x)
        a0, a1, a2 = tape[:3]
        d2 = (a2 - y) * (1 - a2**2)
        d1 = (d2 @ Ws[1].T)[:, :-1] * (1 - a1[:, :-1] ** 2)
        return a0.T @ d1, a1.T @ d2

    return described(Ws, forward, gradients=gradients)


@case("sign_flipped", "factor_two")
def closures_two_mistakes():
    Ws, forward, backward, _ = make_network((3, 5, 2))

    def train(x, y, rate):
        forward(x)
        for W, g in zip(Ws, backward(y)):
            W += 2 * rate * g

    return described(Ws, forward, train_step=train)


@case("only_last_sample")
def closures_returns_inside_the_loop():
    Ws, forward, backward, _ = make_network((3, 5, 2))

    def gradients(x, y):
        for row, target in zip(x, y):
            forward(row[None, :])
            result = backward(target[None, :])
        return result

    return described(Ws, forward, gradients=gradients)
