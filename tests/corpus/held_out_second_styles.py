"""The second set written afterwards: a layer list of dicts, a namespace, generators, recursion."""

from types import SimpleNamespace

import numpy as np

from tests.corpus.cases import blobs, case

X, LABELS = blobs(17, 4, 3, seed=101)
Y = np.eye(3)[LABELS]


def sigma(v):
    return 1.0 / (1.0 + np.exp(-v))


# ---- a namespace and recursion over the layers ---------------------------------------------------


def build(*sizes, dtype=np.float64):
    rs = np.random.default_rng(102)
    ns = SimpleNamespace(stack=[])
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        ns.stack.append(
            SimpleNamespace(
                mat=rs.normal(0, 0.6, (fan_in, fan_out)).astype(dtype),
                off=rs.normal(0, 0.1, fan_out).astype(dtype),
            )
        )
    return ns


def evaluate(ns, x, depth=0):
    if depth == len(ns.stack):
        return x
    layer = ns.stack[depth]
    return evaluate(ns, sigma(x @ layer.mat + layer.off), depth + 1)


def descend(ns, x, y, rate, depth=0):
    """Returns the error of this layer's input; updates after the error is sent on."""
    layer = ns.stack[depth]
    out = sigma(x @ layer.mat + layer.off)
    last = depth + 1 == len(ns.stack)
    error = out - y if last else descend(ns, out, y, rate, depth + 1)
    delta = error * out * (1 - out)
    below = delta @ layer.mat.T
    layer.mat -= rate * x.T @ delta
    layer.off -= rate * delta.sum(axis=0)
    return below


def descend_early(ns, x, y, rate, depth=0):
    layer = ns.stack[depth]
    out = sigma(x @ layer.mat + layer.off)
    last = depth + 1 == len(ns.stack)
    error = out - y if last else descend_early(ns, out, y, rate, depth + 1)
    delta = error * out * (1 - out)
    layer.mat -= rate * x.T @ delta
    layer.off -= rate * delta.sum(axis=0)
    return delta @ layer.mat.T


def descend_mean_bias(ns, x, y, rate, depth=0):
    layer = ns.stack[depth]
    out = sigma(x @ layer.mat + layer.off)
    last = depth + 1 == len(ns.stack)
    error = out - y if last else descend_mean_bias(ns, out, y, rate, depth + 1)
    delta = error * out * (1 - out)
    below = delta @ layer.mat.T
    layer.mat -= rate * x.T @ delta
    layer.off -= rate * delta.sum()
    return below


def descend_slope_of_slope(ns, x, y, rate, depth=0):
    layer = ns.stack[depth]
    out = sigma(x @ layer.mat + layer.off)
    slope = out * (1 - out)
    last = depth + 1 == len(ns.stack)
    error = out - y if last else descend_slope_of_slope(ns, out, y, rate, depth + 1)
    delta = error * slope * (1 - slope)
    below = delta @ layer.mat.T
    layer.mat -= rate * x.T @ delta
    layer.off -= rate * delta.sum(axis=0)
    return below


def recursive(step, *sizes, x=X, y=Y, dtype=np.float64):
    depth = range(len(sizes) - 1)
    return {
        "network": build(*sizes, dtype=dtype),
        "x": x.astype(dtype),
        "y": y.astype(dtype),
        "weights": [f"stack.{k}.mat" for k in depth],
        "biases": [f"stack.{k}.off" for k in depth],
        "forward": evaluate,
        "loss": lambda out, y: 0.5 * np.sum((out - y) ** 2),
        "train_step": lambda net, x, y, rate: step(net, x, y, rate),
    }


@case()
def recursive_descent():
    return recursive(descend, 4, 6, 3)


@case()
def recursive_descent_of_four_layers_single_precision():
    return recursive(descend, 4, 6, 5, 3, dtype=np.float32)


@case("weights_updated_before_use")
def recursive_update_before_the_return():
    return recursive(descend_early, 4, 6, 5, 3)


@case("weights_updated_before_use", layer=1)
def recursive_update_before_the_return_single_precision():
    return recursive(descend_early, 4, 6, 3, dtype=np.float32)


@case("bias_wrong_axis")
def recursive_bias_of_all_units_together():
    return recursive(descend_mean_bias, 4, 6, 3)


@case("derivative_twice")
def recursive_slope_of_the_slope():
    return recursive(descend_slope_of_slope, 4, 6, 3)


# ---- a list of dicts and a batch loop that accumulates -------------------------------------------


def layers_of_dicts():
    rs = np.random.default_rng(103)
    return [
        {"W": rs.normal(0, 0.5, (7, 4)), "b": np.zeros(7), "act": "relu"},
        {"W": rs.normal(0, 0.5, (3, 7)), "b": np.zeros(3), "act": "softmax"},
    ]


def activate(name, z):
    if name == "relu":
        return np.clip(z, 0, None)
    e = np.exp(z - np.max(z))
    return e / e.sum()


def infer(layers, sample):
    for layer in layers:
        sample = activate(layer["act"], layer["W"].dot(sample) + layer["b"])
    return sample


def batch_infer(layers, samples):
    return np.array([infer(layers, s) for s in samples])


def mean_log_loss(layers, samples, targets):
    return np.mean(
        [-np.log(infer(layers, s)[t.argmax()] + 1e-15) for s, t in zip(samples, targets)]
    )


def one_sample(layers, s, t):
    first, second = layers
    hid = activate("relu", first["W"].dot(s) + first["b"])
    top = activate("softmax", second["W"].dot(hid) + second["b"]) - t
    low = second["W"].T.dot(top) * (hid > 0)
    return [np.outer(low, s), low, np.outer(top, hid), top]


def averaged(layers, samples, targets):
    total = [np.zeros(a.shape) for layer in layers for a in (layer["W"], layer["b"])]
    for s, t in zip(samples, targets):
        total = [a + g for a, g in zip(total, one_sample(layers, s, t))]
    return [a / len(samples) for a in total]


def dicts(gradients):
    return {
        "network": layers_of_dicts(),
        "x": X,
        "y": Y,
        "weights": ["0.W", "1.W"],
        "biases": ["0.b", "1.b"],
        "forward": batch_infer,
        "loss": mean_log_loss,
        "gradients": gradients,
    }


@case()
def dicts_averaged():
    return dicts(averaged)


@case("only_last_sample")
def dicts_total_made_inside_the_loop():
    def gradients(layers, samples, targets):
        for s, t in zip(samples, targets):
            total = [np.zeros(a.shape) for layer in layers for a in (layer["W"], layer["b"])]
            total = [a + g for a, g in zip(total, one_sample(layers, s, t))]
        return [a / len(samples) for a in total]

    return dicts(gradients)


@case("mean_twice")
def dicts_divided_in_the_loop_and_after():
    def gradients(layers, samples, targets):
        total = [np.zeros(a.shape) for layer in layers for a in (layer["W"], layer["b"])]
        for s, t in zip(samples, targets):
            total = [a + g / len(samples) for a, g in zip(total, one_sample(layers, s, t))]
        return [a / len(samples) for a in total]

    return dicts(gradients)


@case("gradients_never_reset")
def dicts_total_as_a_default_argument():
    def gradients(layers, samples, targets, total=[0.0, 0.0, 0.0, 0.0]):  # noqa: B006
        for s, t in zip(samples, targets):
            for k, g in enumerate(one_sample(layers, s, t)):
                total[k] = total[k] + g / len(samples)
        return list(total)

    return dicts(gradients)


@case("derivative_missing", "sign_flipped")
def dicts_two_mistakes():
    def gradients(layers, samples, targets):
        total = [0, 0, 0, 0]
        for s, t in zip(samples, targets):
            first, second = layers
            hid = activate("relu", first["W"].dot(s) + first["b"])
            top = t - activate("softmax", second["W"].dot(hid) + second["b"])
            low = second["W"].T.dot(top)
            for k, g in enumerate((np.outer(low, s), low, np.outer(top, hid), top)):
                total[k] = total[k] + g / len(samples)
        return total

    return dicts(gradients)


# ---- regression with a generator of mini-batches and weight decay --------------------------------


class Ridge:
    decay = 0.05

    def __init__(self):
        rs = np.random.default_rng(104)
        self.hidden_weights = rs.normal(0, 0.7, (2, 12))
        self.hidden_bias = rs.normal(0, 0.2, (1, 12))
        self.out_weights = rs.normal(0, 0.3, (12, 1))
        self.out_bias = np.zeros((1, 1))

    def model(self, x):
        self.u = np.log1p(np.exp(x @ self.hidden_weights + self.hidden_bias))
        return self.u @ self.out_weights + self.out_bias

    def objective(self, x, y):
        penalty = np.sum(self.hidden_weights**2) + np.sum(self.out_weights**2)
        return np.mean((self.model(x) - y) ** 2) + 0.5 * self.decay * penalty

    def pull(self, x, y):
        r = 2 * (self.model(x) - y) / y.size
        back = r @ self.out_weights.T * (1 - np.exp(-self.u))
        return {
            "out_weights": self.u.T @ r + self.decay * self.out_weights,
            "out_bias": r.sum(0, keepdims=True),
            "hidden_weights": x.T @ back + self.decay * self.hidden_weights,
            "hidden_bias": back.sum(0, keepdims=True),
        }


GRID = np.random.default_rng(105).uniform(-1, 1, (21, 2))
HEIGHT = (GRID[:, :1] ** 2 - GRID[:, 1:]) * 1.5


def ridge(net):
    return {
        "network": net,
        "x": GRID,
        "y": HEIGHT,
        "weights": ["hidden_weights", "out_weights"],
        "biases": ["hidden_bias", "out_bias"],
        "forward": "model",
        "loss": "objective",
        "gradients": "pull",
    }


@case()
def ridge_with_decay():
    return ridge(Ridge())


@case()
def ridge_weights_found_without_names():
    given = ridge(Ridge())
    del given["weights"], given["biases"]
    return given


class SlopeOfU(Ridge):
    def pull(self, x, y):
        r = 2 * (self.model(x) - y) / y.size
        back = r @ self.out_weights.T * sigma(self.u)
        return {
            "out_weights": self.u.T @ r + self.decay * self.out_weights,
            "out_bias": r.sum(0, keepdims=True),
            "hidden_weights": x.T @ back + self.decay * self.hidden_weights,
            "hidden_bias": back.sum(0, keepdims=True),
        }


@case("derivative_of_activated", layer=1)
def ridge_slope_of_the_softplus():
    return ridge(SlopeOfU())


class TwiceDecay(Ridge):
    def pull(self, x, y):
        grads = super().pull(x, y)
        grads["out_weights"] += self.decay * self.out_weights
        grads["hidden_weights"] += self.decay * self.hidden_weights
        return grads


@case("weight_decay_differs")
def ridge_decay_without_its_half():
    return ridge(TwiceDecay())


class Summed(Ridge):
    decay = 0.0

    def pull(self, x, y):
        r = 2 * (self.model(x) - y)
        back = r @ self.out_weights.T * (1 - np.exp(-self.u))
        return {
            "out_weights": self.u.T @ r,
            "out_bias": r.sum(0, keepdims=True),
            "hidden_weights": x.T @ back,
            "hidden_bias": back.sum(0, keepdims=True),
        }


@case("mean_missing")
def ridge_without_the_mean():
    return ridge(Summed())


class ForgetsBias(Ridge):
    def model(self, x):
        self.u = np.log1p(np.exp(x @ self.hidden_weights))
        return self.u @ self.out_weights + self.out_bias


@case("bias_missing", layer=1)
def ridge_hidden_bias_never_added():
    return ridge(ForgetsBias())


# ---- columns, everything transposed, softmax along the wrong axis --------------------------------


def columns(softmax, delta=lambda p, t: (p - t) / t.shape[1], **more):
    rs = np.random.default_rng(106)
    net = {"W1": rs.normal(0, 0.5, (5, 4)), "b1": np.zeros((5, 1)),
           "W2": rs.normal(0, 0.5, (3, 5)), "b2": np.zeros((3, 1))}  # fmt: skip

    def forward(net, x):
        return softmax(net["W2"] @ np.tanh(net["W1"] @ x + net["b1"]) + net["b2"])

    def gradients(net, x, t):
        h = np.tanh(net["W1"] @ x + net["b1"])
        d = delta(softmax(net["W2"] @ h + net["b2"]), t)
        e = (net["W2"].T @ d) * (1 - h**2)
        return {"dW1": e @ x.T, "db1": e.sum(1, keepdims=True),
                "dW2": d @ h.T, "db2": d.sum(1, keepdims=True)}  # fmt: skip

    return {
        "network": net,
        "x": X.T,
        "y": Y.T,
        "weights": ["W1", "W2"],
        "biases": ["b1", "b2"],
        "forward": forward,
        "loss": lambda p, t: -np.sum(t * np.log(p + 1e-10)) / t.shape[1],
        "gradients": gradients,
        **more,
    }


def column_softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


@case()
def columns_right():
    return columns(column_softmax)


@case("softmax_over_batch")
def columns_softmax_along_the_samples():
    def wrong(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    return columns(wrong)


@case("overflow")
def columns_softmax_unshifted():
    return columns(lambda z: np.exp(z) / np.exp(z).sum(axis=0))


@case("softmax_elementwise")
def columns_log_loss_times_p_one_minus_p():
    return columns(column_softmax, lambda p, t: -t / (p + 1e-10) * p * (1 - p) / t.shape[1])


@case("sign_flipped")
def columns_target_minus_output():
    return columns(column_softmax, lambda p, t: (t - p) / t.shape[1])
