"""Pure functions over a list of (W, b) tuples; gradients come back in the same form."""

import numpy as np

from tests.corpus.cases import blobs, case, sine


def init_params(sizes, seed=11, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return [
        ((rng.standard_normal((m, n)) * np.sqrt(2 / m)).astype(dtype), np.zeros(n, dtype))
        for m, n in zip(sizes[:-1], sizes[1:])
    ]


def predict(params, x):
    for w, b in params[:-1]:
        x = np.maximum(x @ w + b, 0)
    w, b = params[-1]
    return x @ w + b


def logsumexp(z):
    m = z.max(axis=1, keepdims=True)
    return m + np.log(np.exp(z - m).sum(axis=1, keepdims=True))


def nll(logits, labels):
    log_p = logits - logsumexp(logits)
    return -np.mean(log_p[np.arange(len(labels)), labels])


def grad_nll(logits, labels):
    g = np.exp(logits - logsumexp(logits))
    g[np.arange(len(labels)), labels] -= 1
    return g / len(labels)


def grads(params, x, y, loss_grad=grad_nll):
    acts = [x]
    for w, b in params[:-1]:
        acts.append(np.maximum(acts[-1] @ w + b, 0))
    w, b = params[-1]
    g = loss_grad(acts[-1] @ w + b, y)
    out = []
    for (w, _), a in zip(reversed(params), reversed(acts)):
        out.append((a.T @ g, g.sum(0)))
        g = (g @ w.T) * (a > 0)
    return out[::-1]


def sgd(params, x, y, lr=0.1, grads=grads):
    return [(w - lr * dw, b - lr * db) for (w, b), (dw, db) in zip(params, grads(params, x, y))]


X, LABELS = blobs(16, 4, 3, seed=12)


def described(params, x=X, y=LABELS, loss=nll, **more):
    depth = range(len(params))
    return {
        "network": params,
        "x": x,
        "y": y,
        "weights": [f"{k}.0" for k in depth],
        "biases": [f"{k}.1" for k in depth],
        "forward": predict,
        "loss": loss,
        **more,
    }


@case()
def logits_and_labels():
    return described(init_params([4, 7, 3]), gradients=grads)


@case()
def four_layers_single_precision():
    return described(
        init_params([4, 9, 8, 7, 3], dtype=np.float32), x=X.astype(np.float32), gradients=grads
    )


@case()
def sgd_returns_new_parameters():
    return described(init_params([4, 7, 3]), train_step=sgd)


@case()
def linear_regression():
    x, y = sine(14)
    params = init_params([1, 6, 1])
    return described(
        params,
        x,
        y,
        loss=lambda out, y: np.mean((out - y) ** 2),
        gradients=lambda p, x, y: grads(p, x, y, lambda o, t: 2 * (o - t) / len(t)),
    )


@case()
def huber_loss():
    x, y = sine(14)

    def huber(out, y):
        r = np.abs(out - y)
        return np.sum(np.where(r <= 1, 0.5 * r**2, r - 0.5))

    return described(
        init_params([1, 6, 1]),
        x,
        3 * y,
        loss=huber,
        gradients=lambda p, x, y: grads(p, x, y, lambda o, t: np.clip(o - t, -1, 1)),
    )


def grads_wrong_order(params, x, y):
    """Uses the mask of the layer above."""
    acts, zs = [x], []
    for w, b in params[:-1]:
        zs.append(acts[-1] @ w + b)
        acts.append(np.maximum(zs[-1], 0))
    w, b = params[-1]
    g = grad_nll(acts[-1] @ w + b, y)
    out = []
    for k in reversed(range(len(params))):
        source = zs[k - 1] if k else x
        out.append((source.T @ g, g.sum(0)))
        g = (g @ params[k][0].T) * (acts[k] > 0)
    return out[::-1]


@case("preactivation_as_input")
def z_in_place_of_a():
    return described(init_params([4, 7, 6, 3]), gradients=grads_wrong_order)


def sgd_plus(params, x, y, lr=0.1):
    g = grads(params, x, y)
    return [(w + lr * dw, b + lr * db) for (w, b), (dw, db) in zip(params, g)]


@case("sign_flipped")
def gradient_ascent():
    return described(init_params([4, 7, 3]), train_step=sgd_plus)


def sgd_weights_only(params, x, y, lr=0.1):
    g = grads(params, x, y)
    return [(w - lr * dw, b) for (w, b), (dw, _) in zip(params, g)]


@case("bias_not_updated")
def biases_never_move():
    return described(init_params([4, 7, 3]), train_step=sgd_weights_only)


def sum_grad_nll(logits, labels):
    return grad_nll(logits, labels) * len(labels)


@case("mean_missing")
def mean_loss_sum_gradient():
    return described(init_params([4, 7, 3]), gradients=lambda p, x, y: grads(p, x, y, sum_grad_nll))


@case("mean_missing")
def mean_loss_sum_gradient_single_precision():
    return described(
        init_params([4, 7, 6, 3], dtype=np.float32),
        x=X.astype(np.float32),
        gradients=lambda p, x, y: grads(p, x, y, sum_grad_nll),
    )


def square_params():
    rng = np.random.default_rng(3)
    return [(rng.standard_normal((3, 3)) * 0.7, rng.standard_normal(3) * 0.1) for _ in range(3)]


def grads_untransposed(params, x, y):
    acts = [x]
    for w, b in params[:-1]:
        acts.append(np.maximum(acts[-1] @ w + b, 0))
    w, b = params[-1]
    g = grad_nll(acts[-1] @ w + b, y)
    out = []
    for (w, _), a in zip(reversed(params), reversed(acts)):
        out.append((a.T @ g, g.sum(0)))
        g = (g @ w) * (a > 0)
    return out[::-1]


@case("transposed")
def square_weights_not_transposed():
    return described(square_params(), x=X[:, :3], gradients=grads_untransposed)


def grads_dw_transposed(params, x, y):
    return [(dw.T, db) for dw, db in grads(params, x, y)]


@case("transposed")
def square_gradients_transposed():
    return described(square_params(), x=X[:, :3], gradients=grads_dw_transposed)


def nll_softmaxed(logits, labels):
    p = np.exp(logits - logsumexp(logits))
    return nll(p, labels)


def probabilities(params, x):
    z = predict(params, x)
    return np.exp(z - logsumexp(z))


@case("softmax_twice")
def softmax_in_forward_and_in_loss():
    return described(init_params([4, 7, 3]), forward=probabilities, loss=nll, gradients=grads)


@case("factor_two")
def half_missing_in_the_loss():
    x, y = sine(15)
    return described(
        init_params([1, 8, 1]),
        x,
        y,
        loss=lambda out, y: np.sum((out - y) ** 2),
        gradients=lambda p, x, y: grads(p, x, y, lambda o, t: o - t),
    )


@case("loss_reported_differs")
def reports_the_signed_error():
    x, y = sine(15)
    return described(
        init_params([1, 8, 1]),
        x,
        y,
        loss=lambda out, y: np.mean(y - out),
        gradients=lambda p, x, y: grads(p, x, y, lambda o, t: 2 * (o - t) / len(t)),
    )


@case("label_shape_broadcast")
def labels_are_a_vector():
    x, y = sine(15)
    return described(
        init_params([1, 8, 1]),
        x,
        y.ravel(),
        loss=lambda out, y: np.mean((out - y) ** 2),
        gradients=lambda p, x, y: grads(
            p, x, y, lambda o, t: 2 * np.mean(o - t, axis=1, keepdims=True)
        ),
    )


@case("label_shape_broadcast")
def output_is_a_vector():
    x, y = sine(15)
    return described(
        init_params([1, 8, 1]),
        x,
        y,
        forward=lambda p, x: predict(p, x).ravel(),
        loss=lambda out, y: np.mean((out - y) ** 2),
        gradients=lambda p, x, y: grads(p, x, y, lambda o, t: 2 * (o - t) / len(t)),
    )
