"""A three-layer class with velocities, trained in mini-batches."""

import numpy as np

from tests.corpus.cases import blobs, case


class MLP:
    def __init__(self, dtype=np.float64):
        r = np.random.default_rng(21)
        self.W = [r.normal(0, 0.5, shape).astype(dtype) for shape in ((4, 6), (6, 5), (5, 2))]
        self.b = [np.zeros(n, dtype) for n in (6, 5, 2)]
        self.vW = [np.zeros_like(w) for w in self.W]
        self.vb = [np.zeros_like(b) for b in self.b]
        self.lr = 0.05
        self.mu = 0.9

    def predict(self, x):
        self.a = [x]
        for w, b in zip(self.W[:-1], self.b[:-1]):
            self.a.append(np.tanh(self.a[-1] @ w + b))
        self.a.append(self.a[-1] @ self.W[-1] + self.b[-1])
        return self.a[-1]

    def grads(self, x, y):
        d = (self.predict(x) - y) / len(x)
        gW, gb = [], []
        for k in (2, 1, 0):
            gW.insert(0, self.a[k].T @ d)
            gb.insert(0, d.sum(0))
            d = d @ self.W[k].T * (1 - self.a[k] ** 2)
        return gW, gb

    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        for k in range(3):
            self.vW[k] = self.mu * self.vW[k] - self.lr * gW[k]
            self.vb[k] = self.mu * self.vb[k] - self.lr * gb[k]
            self.W[k] += self.vW[k]
            self.b[k] += self.vb[k]

    def mse(self, x, y):
        return 0.5 * np.sum((self.predict(x) - y) ** 2) / len(x)


X, LABELS = blobs(24, 4, 2, seed=22)
Y = np.eye(2)[LABELS]


def described(net, x=X, y=Y, **more):
    return {
        "network": net,
        "x": x,
        "y": y,
        "weights": ["W.0", "W.1", "W.2"],
        "biases": ["b.0", "b.1", "b.2"],
        "forward": "predict",
        "loss": "mse",
        "train_step": "partial_fit",
        "momentum": 0.9,
        **more,
    }


@case()
def heavy_ball():
    return described(MLP())


@case()
def heavy_ball_single_precision():
    return described(MLP(np.float32), X.astype(np.float32), Y.astype(np.float32))


@case()
def gradients_of_all_layers():
    return described(MLP(), gradients="grads", momentum=None)


class Averaged(MLP):
    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        for k in range(3):
            self.vW[k] = self.mu * self.vW[k] + (1 - self.mu) * gW[k]
            self.vb[k] = self.mu * self.vb[k] + (1 - self.mu) * gb[k]
            self.W[k] -= self.lr * self.vW[k]
            self.b[k] -= self.lr * self.vb[k]


@case()
def averaged_gradient():
    return described(Averaged())


class Nesterov(MLP):
    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        for p, v, g in zip(self.W + self.b, self.vW + self.vb, gW + gb):
            previous = v.copy()
            v *= self.mu
            v -= self.lr * g
            p += -self.mu * previous + (1 + self.mu) * v


@case()
def nesterov():
    return described(Nesterov())


class Adam(MLP):
    def __init__(self):
        super().__init__()
        self.m = [np.zeros_like(p) for p in self.W + self.b]
        self.s = [np.zeros_like(p) for p in self.W + self.b]
        self.t = 0

    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        self.t += 1
        for p, m, s, g in zip(self.W + self.b, self.m, self.s, gW + gb):
            m += 0.1 * (g - m)
            s += 0.001 * (g * g - s)
            mhat = m / (1 - 0.9**self.t)
            shat = s / (1 - 0.999**self.t)
            p -= self.lr * mhat / (np.sqrt(shat) + 1e-8)


@case()
def adam():
    return described(Adam(), momentum=None)


class OnTheGradient(MLP):
    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        for k in range(3):
            self.W[k] -= self.lr * gW[k] + self.mu * self.lr * gW[k]
            self.b[k] -= self.lr * gb[k] + self.mu * self.lr * gb[k]


@case("momentum_misapplied")
def momentum_times_the_present_gradient():
    return described(OnTheGradient())


class OnTheWeights(MLP):
    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        for k in range(3):
            self.W[k] = self.mu * self.W[k] - self.lr * gW[k]
            self.b[k] = self.mu * self.b[k] - self.lr * gb[k]


@case("momentum_misapplied")
def weights_in_place_of_the_velocity():
    return described(OnTheWeights())


class NeverKept(MLP):
    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        for k in range(3):
            step = self.mu * self.vW[k] - self.lr * gW[k]
            self.W[k] += step
            self.b[k] += self.mu * self.vb[k] - self.lr * gb[k]


@case("momentum_misapplied")
def velocity_never_stored():
    return described(NeverKept())


class WrongSignOfMomentum(MLP):
    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        for k in range(3):
            self.vW[k] = self.mu * self.vW[k] + self.lr * gW[k]
            self.vb[k] = self.mu * self.vb[k] + self.lr * gb[k]
            self.W[k] -= self.lr * gW[k] - self.mu * (self.vW[k] - self.lr * gW[k])
            self.b[k] -= self.lr * gb[k] - self.mu * (self.vb[k] - self.lr * gb[k])


@case("momentum_misapplied")
def momentum_pulls_back():
    return described(WrongSignOfMomentum(), momentum=None)


class VelocityTooLate(MLP):
    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        for k in range(3):
            self.W[k] += self.vW[k]
            self.b[k] += self.vb[k]
            self.vW[k] = self.mu * self.vW[k] - self.lr * gW[k]
            self.vb[k] = self.mu * self.vb[k] - self.lr * gb[k]


@case("momentum_misapplied")
def velocity_updated_after_use():
    return described(VelocityTooLate())


class SumsGradients(MLP):
    """Velocity without friction and without momentum: the gradients just add up."""

    def partial_fit(self, x, y):
        gW, gb = self.grads(x, y)
        for k in range(3):
            self.vW[k] += gW[k]
            self.vb[k] += gb[k]
            self.W[k] -= self.lr * self.vW[k]
            self.b[k] -= self.lr * self.vb[k]


@case("gradients_never_reset")
def gradients_add_up():
    return described(SumsGradients(), momentum=None)


class StaleForward(MLP):
    """Runs the forward pass after the update, for the next time."""

    def __init__(self):
        super().__init__()
        self.predict(X)

    def grads(self, x, y):
        d = (self.a[-1] - y) / len(x)
        gW, gb = [], []
        for k in (2, 1, 0):
            gW.insert(0, self.a[k].T @ d)
            gb.insert(0, d.sum(0))
            d = d @ self.W[k].T * (1 - self.a[k] ** 2)
        return gW, gb

    def partial_fit(self, x, y):
        self.mu = 0.0
        super().partial_fit(x, y)
        self.predict(x)


@case("stale_activations")
def forward_after_the_update():
    return described(StaleForward(), momentum=None)


class LinearSlope(MLP):
    def grads(self, x, y):
        d = (self.predict(x) - y) / len(x)
        d = d * (1 - self.a[-1] ** 2)
        gW, gb = [], []
        for k in (2, 1, 0):
            gW.insert(0, self.a[k].T @ d)
            gb.insert(0, d.sum(0))
            d = d @ self.W[k].T * (1 - self.a[k] ** 2)
        return gW, gb


@case("derivative_of_another_activation", layer=3)
def tanh_slope_at_a_linear_output():
    return described(LinearSlope(), gradients="grads", train_step=None, momentum=None)


class SlopeTwice(MLP):
    def grads(self, x, y):
        d = (self.predict(x) - y) / len(x)
        gW, gb = [], []
        for k in (2, 1, 0):
            gW.insert(0, self.a[k].T @ d)
            gb.insert(0, d.sum(0))
            d = d @ self.W[k].T * (1 - self.a[k] ** 2) * (1 - self.a[k] ** 2)
        return gW, gb


@case("derivative_twice")
def slope_multiplied_twice():
    return described(SlopeTwice(), gradients="grads", train_step=None, momentum=None)


class SlopeTwiceSingle(SlopeTwice):
    pass


@case("derivative_twice")
def slope_multiplied_twice_single_precision():
    return described(
        SlopeTwiceSingle(np.float32),
        X.astype(np.float32),
        Y.astype(np.float32),
        gradients="grads",
        train_step=None,
        momentum=None,
    )
