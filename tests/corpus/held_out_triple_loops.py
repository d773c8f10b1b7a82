"""Translated from C: preallocated arrays, three nested loops, one pattern after the other."""

import math

import numpy as np

from tests.corpus.cases import case

PATTERNS = np.array([[0.0, 0.2], [0.9, 0.1], [0.3, 0.8], [1.0, 0.7], [0.5, 0.4]])
WANTED = np.array([[0.1, 0.9], [0.8, 0.2], [0.7, 0.6], [0.2, 0.3], [0.5, 0.9]])
NI, NH, NO = 2, 4, 2


class Bp:
    def __init__(self):
        g = np.random.default_rng(81)
        self.weight_ih = g.uniform(-1, 1, (NI + 1, NH))
        self.weight_ho = g.uniform(-1, 1, (NH + 1, NO))
        self.eta = 0.4
        self.hidden = np.zeros(NH)
        self.output = np.zeros(NO)

    def compute(self, pattern):
        for j in range(NH):
            s = self.weight_ih[NI, j]
            for i in range(NI):
                s += pattern[i] * self.weight_ih[i, j]
            self.hidden[j] = 1.0 / (1.0 + math.exp(-s))
        for k in range(NO):
            s = self.weight_ho[NH, k]
            for j in range(NH):
                s += self.hidden[j] * self.weight_ho[j, k]
            self.output[k] = 1.0 / (1.0 + math.exp(-s))
        return self.output.copy()

    def delta_o(self, k, wanted):
        return (wanted[k] - self.output[k]) * self.output[k] * (1.0 - self.output[k])

    def delta_h(self, j, do):
        s = 0.0
        for k in range(NO):
            s += self.weight_ho[j, k] * do[k]
        return s * self.hidden[j] * (1.0 - self.hidden[j])

    def present(self, pattern, wanted):
        self.compute(pattern)
        do = [self.delta_o(k, wanted) for k in range(NO)]
        dh = [self.delta_h(j, do) for j in range(NH)]
        self.change(pattern, dh, do)

    def change(self, pattern, dh, do):
        for j in range(NH):
            for i in range(NI):
                self.weight_ih[i, j] += self.eta * dh[j] * pattern[i]
            self.weight_ih[NI, j] += self.eta * dh[j]
        for k in range(NO):
            for j in range(NH):
                self.weight_ho[j, k] += self.eta * do[k] * self.hidden[j]
            self.weight_ho[NH, k] += self.eta * do[k]

    def epoch(self, patterns, wanted):
        for p, w in zip(patterns, wanted):
            self.present(p, w)


def error(output, wanted):
    return sum(0.5 * (w - o) ** 2 for o, w in zip(output, wanted))


def described(net, **more):
    return {
        "network": net,
        "x": PATTERNS,
        "y": WANTED,
        "weights": ["weight_ih", "weight_ho"],
        "forward": "compute",
        "loss": error,
        "train_step": "present",
        "learning_rate": "eta",
        "samples": "single",
        **more,
    }


@case()
def loops_one_pattern():
    return described(Bp())


class NoOutputSlope(Bp):
    def delta_o(self, k, wanted):
        return wanted[k] - self.output[k]


@case("output_derivative_missing", layer=2)
def loops_without_the_output_slope():
    return described(NoOutputSlope())


class NoHiddenSlope(Bp):
    def delta_h(self, j, do):
        return sum(self.weight_ho[j, k] * do[k] for k in range(NO))


@case("derivative_missing", layer=1)
def loops_without_the_hidden_slope():
    return described(NoHiddenSlope())


class BiasLeftOut(Bp):
    def change(self, pattern, dh, do):
        for j in range(NH):
            for i in range(NI):
                self.weight_ih[i, j] += self.eta * dh[j] * pattern[i]
        for k in range(NO):
            for j in range(NH):
                self.weight_ho[j, k] += self.eta * do[k] * self.hidden[j]
            self.weight_ho[NH, k] += self.eta * do[k]


@case("bias_not_updated", layer=1)
def loops_that_stop_before_the_bias():
    return described(BiasLeftOut())


class ErrorDown(Bp):
    def present(self, pattern, wanted):
        self.compute(pattern)
        errors = [wanted[k] - self.output[k] for k in range(NO)]
        do = [self.delta_o(k, wanted) for k in range(NO)]
        dh = [self.delta_h(j, errors) for j in range(NH)]
        self.change(pattern, dh, do)


@case("error_not_delta", layer=1)
def loops_that_send_errors_down():
    return described(ErrorDown())


class MomentumOnWeights(Bp):
    def change(self, pattern, dh, do):
        old_ih, old_ho = self.weight_ih.copy(), self.weight_ho.copy()
        super().change(pattern, dh, do)
        self.weight_ih += 0.3 * old_ih
        self.weight_ho += 0.3 * old_ho


@case("momentum_misapplied")
def loops_with_momentum_of_the_weights():
    return described(MomentumOnWeights())


class Momentum(Bp):
    def __init__(self):
        super().__init__()
        self.last_ih = np.zeros((NI + 1, NH))
        self.last_ho = np.zeros((NH + 1, NO))

    def change(self, pattern, dh, do):
        old_ih, old_ho = self.weight_ih.copy(), self.weight_ho.copy()
        super().change(pattern, dh, do)
        self.weight_ih += 0.5 * self.last_ih
        self.weight_ho += 0.5 * self.last_ho
        self.last_ih = self.weight_ih - old_ih
        self.last_ho = self.weight_ho - old_ho


@case()
def loops_with_momentum():
    return described(Momentum())
