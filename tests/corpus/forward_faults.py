"""Networks whose forward pass, targets or loss are at fault, in several styles."""

import numpy as np

from tests.corpus.cases import XOR_X, XOR_Y, blobs, case, sine


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Regression:
    """tanh hidden layer, an output function to choose."""

    def __init__(self, out=lambda z: z, slope=lambda a: np.ones_like(a), n_in=1, n_out=1):
        r = np.random.default_rng(31)
        self.w_hid = r.normal(0, 0.8, (n_in, 9))
        self.bias_hid = r.normal(0, 0.3, 9)
        self.w_out = r.normal(0, 0.8, (9, n_out))
        self.bias_out = np.zeros(n_out)
        self.out, self.slope = out, slope

    def __call__(self, x):
        self.hid = np.tanh(x @ self.w_hid + self.bias_hid)
        return self.out(self.hid @ self.w_out + self.bias_out)

    def error(self, x, y):
        return ((self(x) - y) ** 2).mean()

    def learn(self, x, y, eta=0.1):
        p = self(x)
        d_out = 2 * (p - y) / p.size * self.slope(p)
        d_hid = d_out @ self.w_out.T * (1 - self.hid**2)
        self.w_out -= eta * self.hid.T @ d_out
        self.bias_out -= eta * d_out.sum(axis=0)
        self.w_hid -= eta * x.T @ d_hid
        self.bias_hid -= eta * d_hid.sum(axis=0)


def regression(net, x, y, **more):
    return {
        "network": net,
        "x": x,
        "y": y,
        "weights": ["w_hid", "w_out"],
        "biases": ["bias_hid", "bias_out"],
        "forward": net,
        "loss": "error",
        "train_step": "learn",
        **more,
    }


@case()
def sine_with_a_linear_output():
    x, y = sine(17)
    return regression(Regression(), x, y)


@case()
def sine_with_a_tanh_output():
    x, y = sine(17)
    return regression(Regression(np.tanh, lambda a: 1 - a**2), x, y)


@case("targets_out_of_reach")
def sine_with_a_sigmoid_output():
    x, y = sine(17)
    return regression(Regression(sigmoid, lambda a: a * (1 - a)), x, y)


@case("targets_out_of_reach")
def tanh_output_for_nought_to_four():
    x, labels = blobs(15, 3, 5, seed=32)
    y = labels.reshape(-1, 1).astype(float)
    return regression(Regression(np.tanh, lambda a: 1 - a**2, n_in=3), x, y)


@case("constant_output")
def weights_all_zero():
    x, y = sine(17)
    net = Regression()
    net.w_hid[:] = 0
    net.w_out[:] = 0
    net.bias_hid[:] = 0
    return regression(net, x, y)


@case("constant_output")
def inputs_that_saturate_everything():
    x, y = sine(17)
    net = Regression(sigmoid, lambda a: a * (1 - a))
    return regression(net, np.abs(x) * 1e6 + 1e6, np.abs(y))


@case("label_shape_broadcast")
def targets_without_their_axis():
    x, y = sine(17)
    return regression(
        Regression(), x, y.ravel(), train_step=None, gradients=lambda net, x, y: flat(net, x, y)
    )


def flat(net, x, y):
    p = net(x)
    d_out = 2 * (p - y).mean(axis=1, keepdims=True) / len(p)
    d_hid = d_out @ net.w_out.T * (1 - net.hid**2)
    return x.T @ d_hid, d_hid.sum(0), net.hid.T @ d_out, d_out.sum(0)


@case("loss_reported_differs")
def mean_absolute_error_reported():
    x, y = sine(17)
    return regression(Regression(), x, y, loss=lambda out, y: np.mean(np.abs(y - out)))


@case("loss_reported_differs")
def difference_of_squares_reported():
    x, y = sine(17)
    return regression(Regression(), x, y, loss=lambda out, y: (y**2 - out**2).mean())


def make_classifier(classes=3):
    r = np.random.default_rng(33)
    return {
        "A": r.normal(size=(4, 7)) * 0.5,
        "a": np.zeros(7),
        "B": r.normal(size=(7, classes)),
        "c": np.zeros(classes),
    }


def relu(z):
    return np.where(z > 0, z, 0)


def softmax_rows(z):
    z = z - z.max(1, keepdims=True)
    return np.exp(z) / np.exp(z).sum(1, keepdims=True)


def classify(p, x, softmax=softmax_rows):
    return softmax(relu(x @ p["A"] + p["a"]) @ p["B"] + p["c"])


def xent(probs, t):
    return -np.sum(t * np.log(probs + 1e-9)) / len(t)


def classify_gradient(p, x, t, softmax=softmax_rows):
    h = relu(x @ p["A"] + p["a"])
    g = (softmax(h @ p["B"] + p["c"]) - t) / len(x)
    gh = (g @ p["B"].T) * (h > 0)
    return {"A": x.T @ gh, "a": gh.sum(0), "B": h.T @ g, "c": g.sum(0)}


X, LABELS = blobs(21, 4, 3, seed=34)
T = np.eye(3)[LABELS]


def classifier(softmax=softmax_rows, t=T, x=X, p=None, **more):
    return {
        "network": p or make_classifier(t.shape[1]),
        "x": x,
        "y": t,
        "weights": ["A", "B"],
        "biases": ["a", "c"],
        "forward": lambda p, x: classify(p, x, softmax),
        "loss": xent,
        "gradients": lambda p, x, t: classify_gradient(p, x, t, softmax),
        **more,
    }


@case()
def classifier_of_dicts():
    return classifier()


@case("softmax_over_batch")
def softmax_over_the_whole_matrix():
    return classifier(lambda z: np.exp(z - z.max()) / np.sum(np.exp(z - z.max())))


@case("softmax_over_batch")
def softmax_down_the_samples():
    def down(z):
        e = np.exp(z - z.max(axis=0))
        return e / e.sum(axis=0)

    return classifier(down)


@case("rows_do_not_sum_to_one")
def exponentials_not_normalised():
    return classifier(lambda z: np.exp(np.minimum(z - 1, 30)), activations=["relu", "softmax"])


@case("rows_do_not_sum_to_one")
def divided_by_the_largest():
    def by_largest(z):
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.max(1, keepdims=True)

    return classifier(by_largest, activations=["relu", "softmax"])


@case("overflow")
def exponentials_without_a_shift():
    return classifier(lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))


@case("max_over_batch")
def one_maximum_for_all():
    def shifted(z):
        e = np.exp(z - z.max())
        return e / e.sum(axis=1, keepdims=True)

    return classifier(shifted)


@case("targets_out_of_reach")
def softmax_of_ratings():
    return classifier(t=T * 4)


@case("constant_output")
def softmax_of_one_unit():
    return classifier(t=(LABELS > 0).astype(float).reshape(-1, 1))


@case("batch_coupled")
def standardised_by_the_batch():
    def forward(p, x):
        x = (x - x.mean(0)) / x.std(0)
        return classify(p, x)

    def gradient(p, x, t):
        return classify_gradient(p, (x - x.mean(0)) / x.std(0), t)

    return classifier(forward=forward, gradients=gradient)


@case("bias_missing")
def biases_in_the_dict_but_not_in_the_sum():
    def forward(p, x):
        return softmax_rows(relu(x @ p["A"]) @ p["B"])

    def gradient(p, x, t):
        h = relu(x @ p["A"])
        g = (softmax_rows(h @ p["B"]) - t) / len(x)
        gh = (g @ p["B"].T) * (h > 0)
        return {"A": x.T @ gh, "a": gh.sum(0), "B": h.T @ g, "c": g.sum(0)}

    return classifier(forward=forward, gradients=gradient)


@case("bias_missing")
def tanh_xor_that_has_no_bias():
    r = np.random.default_rng(35)
    p = [r.normal(size=(2, 5)), r.normal(size=(5, 1))]

    def forward(p, x):
        return sigmoid(np.tanh(x @ p[0]) @ p[1])

    def gradient(p, x, y):
        h = np.tanh(x @ p[0])
        o = sigmoid(h @ p[1])
        d = (o - y) * o * (1 - o)
        return x.T @ (d @ p[1].T * (1 - h * h)), h.T @ d

    return {
        "network": p,
        "x": XOR_X,
        "y": XOR_Y,
        "weights": [0, 1],
        "forward": forward,
        "gradients": gradient,
    }


@case("log_of_zero")
def cross_entropy_without_epsilon():
    r = np.random.default_rng(36)
    p = {
        "w1": r.normal(size=(2, 5)),
        "b1": np.zeros(5),
        "w2": r.normal(size=(5, 1)),
        "b2": np.zeros(1),
    }

    def forward(p, x):
        return sigmoid(np.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])

    def gradient(p, x, y):
        h = np.tanh(x @ p["w1"] + p["b1"])
        d = (sigmoid(h @ p["w2"] + p["b2"]) - y) / len(x)
        e = d @ p["w2"].T * (1 - h * h)
        return {"w1": x.T @ e, "b1": e.sum(0), "w2": h.T @ d, "b2": d.sum(0)}

    def bce(p, y):
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    return {"network": p, "x": XOR_X, "y": XOR_Y, "weights": ["w1", "w2"], "biases": ["b1", "b2"],
            "forward": forward, "gradients": gradient, "loss": bce}  # fmt: skip


@case("sign_flipped_twice")
def negative_gradients_and_plus_equals():
    def ascent(p, x, t):
        return {k: -g for k, g in classify_gradient(p, x, t).items()}

    def step(p, x, t, lr=0.1):
        g = ascent(p, x, t)
        for k in p:
            p[k] += lr * g[k]

    return classifier(gradients=ascent, train_step=step)


@case()
def negative_gradients_meant_so():
    def ascent(p, x, t):
        return {k: -g for k, g in classify_gradient(p, x, t).items()}

    def step(p, x, t, lr=0.1):
        g = ascent(p, x, t)
        for k in p:
            p[k] += lr * g[k]

    return classifier(gradients=ascent, train_step=step, update="+=")


@case("softmax_elementwise", "bias_not_updated")
def two_mistakes_softmax_and_bias():
    def gradient(p, x, t):
        h = relu(x @ p["A"] + p["a"])
        probs = softmax_rows(h @ p["B"] + p["c"])
        g = 2 * (probs - t) * probs * (1 - probs) / t.size
        gh = (g @ p["B"].T) * (h > 0)
        return {"A": x.T @ gh, "a": np.zeros(7), "B": h.T @ g, "c": np.zeros(3)}

    return classifier(loss=lambda p, t: np.mean((p - t) ** 2), gradients=gradient)


@case("output_derivative_missing", layer=2)
def squared_error_on_softmax_with_p_minus_y():
    return classifier(loss=lambda p, t: 0.5 * np.sum((p - t) ** 2) / len(t))


@case("derivative_on_fused", layer=2)
def p_minus_y_times_p_one_minus_p():
    def gradient(p, x, t):
        h = relu(x @ p["A"] + p["a"])
        probs = softmax_rows(h @ p["B"] + p["c"])
        g = (probs - t) * probs * (1 - probs) / len(x)
        gh = (g @ p["B"].T) * (h > 0)
        return {"A": x.T @ gh, "a": gh.sum(0), "B": h.T @ g, "c": g.sum(0)}

    return classifier(gradients=gradient)


@case("mean_twice")
def divided_in_the_delta_and_in_the_sum():
    def gradient(p, x, t):
        g = classify_gradient(p, x, t)
        return {k: v / x.shape[0] for k, v in g.items()}

    return classifier(gradients=gradient)
