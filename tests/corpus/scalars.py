"""A small scalar autograd engine, neurons and layers on top."""

import math
import random

from tests.corpus.cases import case


class Value:
    def __init__(self, data, children=()):
        self.data = data
        self.grad = 0.0
        self._backward = lambda: None
        self._prev = set(children)

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other))

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    __radd__ = __add__
    __rmul__ = __mul__

    def __sub__(self, other):
        return self + (-1) * other if isinstance(other, Value) else self + (-other)

    def tanh(self):
        t = math.tanh(self.data)
        out = Value(t, (self,))

        def _backward():
            self.grad += (1 - t * t) * out.grad

        out._backward = _backward
        return out

    def backward(self):
        order, seen = [], set()

        def build(v):
            if v not in seen:
                seen.add(v)
                for child in v._prev:
                    build(child)
                order.append(v)

        build(self)
        self.grad = 1.0
        for v in reversed(order):
            v._backward()


class WrongTanh(Value):
    """tanh whose slope is taken at the value."""


def wrong_tanh(v):
    t = math.tanh(v.data)
    out = Value(t, (v,))

    def _backward():
        v.grad += (1 - math.tanh(t) ** 2) * out.grad

    out._backward = _backward
    return out


class Neuron:
    def __init__(self, n, r, tanh):
        self.w = [Value(r.uniform(-1, 1)) for _ in range(n)]
        self.b = Value(0.0)
        self.tanh = tanh

    def __call__(self, x):
        return self.tanh(sum((wi * xi for wi, xi in zip(self.w, x)), self.b))


class Layer:
    def __init__(self, n, m, r, tanh=Value.tanh):
        self.neurons = [Neuron(n, r, tanh) for _ in range(m)]

    def __call__(self, x):
        return [neuron(x) for neuron in self.neurons]


class Net:
    def __init__(self, tanh=Value.tanh):
        r = random.Random(3)
        self.layers = [Layer(2, 3, r, tanh), Layer(3, 1, r)]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self):
        return [p for la in self.layers for n in la.neurons for p in [*n.w, n.b]]

    def loss(self, x, y):
        out = self(x)
        total = Value(0.0)
        for o, t in zip(out, y):
            d = o - t
            total = total + d * d
        return total

    def fit_one(self, x, y, lr, zero=True):
        if zero:
            for p in self.parameters():
                p.grad = 0.0
        self.loss(x, y).backward()
        for p in self.parameters():
            p.data -= lr * p.grad


XS = [[2.0, 3.0], [3.0, -1.0], [0.5, 1.0], [1.0, 1.0]]
YS = [[1.0], [-1.0], [-1.0], [1.0]]


def described(net, step):
    return {
        "network": net,
        "x": XS,
        "y": YS,
        "weights": ["layers.0.neurons.*.w.*.data", "layers.1.neurons.*.w.*.data"],
        "biases": ["layers.0.neurons.*.b.data", "layers.1.neurons.*.b.data"],
        "forward": lambda x: [o.data for o in net(x)],
        "loss": lambda net, x, y: net.loss(x, y).data,
        "train_step": step,
        "samples": "single",
    }


@case()
def scalar_autograd():
    return described(Net(), lambda net, x, y, lr: net.fit_one(x, y, lr))


@case("gradients_never_reset")
def no_zero_grad_in_the_loop():
    return described(Net(), lambda net, x, y, lr: net.fit_one(x, y, lr, zero=False))


@case("derivative_of_activated", layer=1)
def tanh_slope_at_its_value():
    return described(Net(wrong_tanh), lambda net, x, y, lr: net.fit_one(x, y, lr))
