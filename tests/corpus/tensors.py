"""Backprop by hand on PyTorch tensors."""

import importlib.util

from tests.corpus.cases import case

if importlib.util.find_spec("torch"):
    import torch

    class HandMade:
        def __init__(self, dtype=torch.float32):
            g = torch.Generator().manual_seed(5)
            self.w1 = torch.randn(4, 8, generator=g, dtype=dtype) * 0.5
            self.b1 = torch.zeros(8, dtype=dtype)
            self.w2 = torch.randn(8, 3, generator=g, dtype=dtype) * 0.5
            self.b2 = torch.zeros(3, dtype=dtype)

        def forward(self, x):
            self.z1 = x @ self.w1 + self.b1
            self.a1 = torch.relu(self.z1)
            return torch.softmax(self.a1 @ self.w2 + self.b2, dim=1)

        def loss(self, x, y):
            return -(y * torch.log(self.forward(x) + 1e-12)).sum() / len(x)

        def backward(self, x, y):
            d2 = (self.forward(x) - y) / len(x)
            d1 = d2 @ self.w2.T * (self.z1 > 0)
            return x.T @ d1, d1.sum(0), self.a1.T @ d2, d2.sum(0)

    def described(net, dtype=torch.float32):
        g = torch.Generator().manual_seed(6)
        x = torch.randn(10, 4, generator=g, dtype=dtype)
        y = torch.eye(3, dtype=dtype)[torch.arange(10) % 3]
        return {
            "network": net,
            "x": x,
            "y": y,
            "weights": ["w1", "w2"],
            "biases": ["b1", "b2"],
            "forward": "forward",
            "loss": "loss",
            "gradients": "backward",
        }

    @case()
    def tensors_single_precision():
        return described(HandMade())

    @case()
    def tensors_double_precision():
        return described(HandMade(torch.float64), torch.float64)

    class NoMean(HandMade):
        def backward(self, x, y):
            d2 = self.forward(x) - y
            d1 = d2 @ self.w2.T * (self.z1 > 0)
            return x.T @ d1, d1.sum(0), self.a1.T @ d2, d2.sum(0)

    @case("mean_missing")
    def tensors_without_the_mean():
        return described(NoMean())

    class TotalBias(HandMade):
        def backward(self, x, y):
            d2 = (self.forward(x) - y) / len(x)
            d1 = d2 @ self.w2.T * (self.z1 > 0)
            return x.T @ d1, d1.sum() * torch.ones(8), self.a1.T @ d2, d2.sum(0)

    @case("bias_wrong_axis", layer=1)
    def tensors_bias_summed_to_a_number():
        return described(TotalBias())
