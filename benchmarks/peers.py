"""The contenders: each takes a workload and returns a function that runs one round and returns its mean loss.

A round starts from where the last one ended, goes through `workload.batches()` once, and ends with the loss on the
host, so that nothing is left undone. Every contender does the same arithmetic: dense layers, softmax and
cross-entropy averaged over the batch, Adam with the usual constants on every parameter.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.workloads import LEARNING_RATE, Workload

Round = Callable[[], float]
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


# --- this project --------------------------------------------------------------------------------


def anyarray(name: str, device: str = "cpu") -> Callable[[Workload], Round]:
    """This project on one backend: `backend.compile` of the training step, as `train` calls it."""

    def make(workload: Workload) -> Round:
        from anyarray_mlp import MLP, adam, select_backend
        from anyarray_mlp.training import to_leaves
        from anyarray_mlp.training.predicting import on_device
        from anyarray_mlp.training.state import fresh_state
        from anyarray_mlp.training.steps import step_inputs, training_step

        backend = select_backend(name, device=device)
        mlp, optimizer = MLP(workload.sizes, activation=workload.activation), adam()
        data = tuple(on_device(backend, a) for a in workload.data())
        start = fresh_state(mlp, optimizer, mlp.initialize(0))
        state: Any = (
            to_leaves(mlp, backend, start.parameters),
            tuple(to_leaves(mlp, backend, moment) for moment in start.moments),
        )
        run = backend.compile(training_step(mlp, optimizer))
        indices = workload.batches()
        rates = [LEARNING_RATE] * workload.steps
        done = 0

        def one_round() -> float:
            nonlocal state, done
            inputs = step_inputs(mlp, optimizer, backend, indices, done, rates, 0)
            state, (losses,) = run(state, data, inputs)
            done += workload.steps
            return float(np.mean(backend.to_host(losses)))

        return one_round

    return make


def anyarray_fit(name: str) -> Callable[[Workload], Round]:
    """This project through `fit`, one epoch a round: what callers pay on top of the bare loop."""

    def make(workload: Workload) -> Round:
        from anyarray_mlp import MLP, adam, fit, select_backend

        backend = select_backend(name)
        mlp = MLP(workload.sizes, activation=workload.activation)
        x, y = workload.data()
        epochs = max(1, workload.steps * workload.batch // workload.rows)

        def one_round() -> float:
            return fit(
                mlp,
                x,
                y,
                backend=backend,
                optimizer=adam(),
                epochs=epochs,
                batch_size=workload.batch,
            ).loss_curve[-1]

        return one_round

    return make


# --- by hand -------------------------------------------------------------------------------------


def products(workload: Workload) -> Round:
    """The matrix products of a step and nothing else, in NumPy: the floor."""
    n, sizes = workload.batch, workload.sizes
    layers = list(pairwise(sizes))
    rng = np.random.default_rng(0)

    def matrix(*shape: int) -> Any:
        return rng.standard_normal(shape, dtype=np.float32)

    calls = []
    for layer, (i, o) in enumerate(layers):
        a, w, dz = matrix(n, i), matrix(i, o), matrix(n, o)
        calls += [(a, w, matrix(n, o)), (a.T, dz, matrix(i, o))]
        if layer > 0:
            calls.append((dz, w.T, matrix(n, i)))

    def one_round() -> float:
        for _ in range(workload.steps):
            for a, b, out in calls:
                np.dot(a, b, out)
        return math.nan

    return one_round


def torch_products(workload: Workload) -> Round:
    """The same products in PyTorch, whose BLAS is another, with the weights as `nn.Linear` keeps them: (o, i)."""
    import torch

    n = workload.batch
    generator = torch.Generator().manual_seed(0)

    def matrix(*shape: int) -> Any:
        return torch.randn(shape, generator=generator)

    calls = []
    for layer, (i, o) in enumerate(pairwise(workload.sizes)):
        a, w, dz = matrix(n, i), matrix(o, i), matrix(n, o)
        calls += [(a, w.T, matrix(n, o)), (dz.T, a, matrix(o, i))]
        if layer > 0:
            calls.append((dz, w, matrix(n, i)))

    def one_round() -> float:
        with torch.inference_mode():
            for _ in range(workload.steps):
                for a, b, out in calls:
                    torch.mm(a, b, out=out)
        return math.nan

    return one_round


def numpy_by_hand(workload: Workload) -> Round:  # noqa: C901 - a loop by hand, as people write it
    """A loop in place, as somebody would write it who knows NumPy well: no allocation but the batch's."""
    x, y = workload.data()
    indices, n = workload.batches(), workload.batch
    weights, biases = workload.parameters()
    theta = np.concatenate([p.ravel() for p in (*weights, *biases)])
    grad, m, v, step, scale = (np.zeros_like(theta) for _ in range(5))

    def views(vector: Any) -> list[Any]:
        parts, start = [], 0
        for p in (*weights, *biases):
            parts.append(vector[start : start + p.size].reshape(p.shape))
            start += p.size
        return parts

    depth = len(weights)
    w, b = views(theta)[:depth], views(theta)[depth:]
    dw, db = views(grad)[:depth], views(grad)[depth:]
    a = [np.empty((n, o), np.float32) for o in workload.sizes[1:]]
    dz = [np.empty((n, o), np.float32) for o in workload.sizes[1:]]
    rows = np.arange(n)
    batch = np.empty((n, workload.sizes[0]), np.float32)
    t = 0

    def one_round() -> float:
        nonlocal t
        total = 0.0
        for index in indices:
            np.take(x, index, axis=0, out=batch, mode="clip")
            labels = y[index]
            below = batch
            for layer in range(depth):
                z = a[layer]
                np.dot(below, w[layer], out=z)
                z += b[layer]
                if layer < depth - 1:
                    if workload.activation == "relu":
                        np.maximum(z, 0, out=z)
                    elif workload.activation == "tanh":
                        np.tanh(z, out=z)
                    else:
                        np.negative(z, out=z)
                        np.exp(z, out=z)
                        z += 1
                        np.reciprocal(z, out=z)
                below = z
            p = a[-1]
            p -= p.max(axis=1, keepdims=True)
            np.exp(p, out=p)
            p /= p.sum(axis=1, keepdims=True)
            total -= np.log(p[rows, labels]).mean()
            delta = p
            delta[rows, labels] -= 1
            delta /= n
            for layer in range(depth - 1, -1, -1):
                np.dot((a[layer - 1] if layer else batch).T, delta, out=dw[layer])
                delta.sum(axis=0, out=db[layer])
                if layer:
                    below, h = dz[layer - 1], a[layer - 1]
                    np.dot(delta, w[layer].T, out=below)
                    if workload.activation == "relu":
                        below *= h > 0
                    elif workload.activation == "tanh":
                        h *= h
                        np.subtract(1, h, out=h)
                        below *= h
                    else:
                        below *= h
                        np.subtract(1, h, out=h)
                        below *= h
                    delta = below
            t += 1
            np.multiply(m, BETA_1, out=m)
            np.multiply(grad, 1 - BETA_1, out=step)
            np.add(m, step, out=m)
            np.multiply(grad, grad, out=grad)
            np.multiply(grad, 1 - BETA_2, out=grad)
            np.multiply(v, BETA_2, out=v)
            np.add(v, grad, out=v)
            np.sqrt(v, out=scale)
            np.add(scale, EPSILON, out=scale)
            np.divide(m, scale, out=step)
            np.multiply(step, LEARNING_RATE * correction(t), out=step)
            np.subtract(theta, step, out=theta)
        return total / workload.steps

    return one_round


def correction(t: int) -> float:
    """Adam's bias correction of step t."""
    return math.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)


def _jax_step(workload: Workload) -> tuple[Any, Any]:
    """(step, initial state): a step as one writes it with `jax.value_and_grad`, in float32 throughout."""
    import jax
    import jax.numpy as jnp

    # Left to itself JAX multiplies float32 matrices in TF32 on a GPU, which nobody else here does.
    matmul = partial(jnp.matmul, precision="highest")
    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu, "logistic": jax.nn.sigmoid}[
        workload.activation
    ]

    def loss(params: Any, x: Any, y: Any) -> Any:
        weights, biases = params
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            x = activation(matmul(x, w) + b)
        z = matmul(x, weights[-1]) + biases[-1]
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(x.shape[0]), y])

    def step(state: Any, batch: Any) -> Any:
        params, m, v, t = state
        value, grads = jax.value_and_grad(loss)(params, *batch)
        t = t + 1
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, grads)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, grads)
        rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), params, m, v)
        return (params, m, v, t), value

    params = jax.tree.map(jnp.asarray, workload.parameters())
    zeros = jax.tree.map(jnp.zeros_like, params)
    return step, (params, zeros, jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.float32))


def jax_step(workload: Workload) -> Round:
    """JAX by hand: one jitted, donated step for each batch."""
    import jax
    import jax.numpy as jnp

    step, state = _jax_step(workload)
    x, y = (jnp.asarray(a) for a in workload.data())
    indices = jnp.asarray(workload.batches())
    run = jax.jit(lambda s, x, y, i: step(s, (x[i], y[i])), donate_argnums=0)
    rows = list(indices)

    def one_round() -> float:
        nonlocal state
        losses = []
        for i in rows:
            state, loss = run(state, x, y, i)
            losses.append(loss)
        return float(jnp.mean(jnp.stack(losses)))

    return one_round


def jax_scan(workload: Workload) -> Round:
    """JAX by hand: all steps of a round in one `lax.scan`."""
    import jax
    import jax.numpy as jnp

    step, state = _jax_step(workload)
    x, y = (jnp.asarray(a) for a in workload.data())
    indices = jnp.asarray(workload.batches())

    def epoch(state: Any, x: Any, y: Any, indices: Any) -> Any:
        return jax.lax.scan(lambda s, i: step(s, (x[i], y[i])), state, indices)

    run = jax.jit(epoch, donate_argnums=0)

    def one_round() -> float:
        nonlocal state
        state, losses = run(state, x, y, indices)
        return float(jnp.mean(losses))

    return one_round


# --- libraries -----------------------------------------------------------------------------------


def scikit_learn(workload: Workload) -> Round:
    """`MLPClassifier.partial_fit`, which goes through its data in batches once."""
    from sklearn.neural_network import MLPClassifier

    x, y = workload.data()
    classes = np.arange(workload.sizes[-1])
    order = workload.batches().ravel()
    model = MLPClassifier(
        workload.sizes[1:-1],
        activation=workload.activation,
        solver="adam",
        alpha=0.0,
        batch_size=workload.batch,
        learning_rate_init=LEARNING_RATE,
        shuffle=False,
    )
    parts = np.array_split(order, max(1, len(order) // workload.rows))

    def one_round() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for part in parts:
                model.partial_fit(x[part], y[part], classes=classes)
        return float(model.loss_)

    return one_round


def torch_model(workload: Workload, device: str) -> tuple[Any, Any, Any, Any]:
    import torch
    from torch import nn

    activation = {"tanh": nn.Tanh, "relu": nn.ReLU, "logistic": nn.Sigmoid}[workload.activation]
    layers: list[Any] = []
    for w, b in zip(*workload.parameters(), strict=True):
        linear = nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, activation()]
    model = nn.Sequential(*layers[:-1]).to(device)
    x, y = (torch.from_numpy(a).to(device) for a in workload.data())
    indices = torch.from_numpy(workload.batches()).to(device)
    return model, x, y, indices


def pytorch(device: str = "cpu") -> Callable[[Workload], Round]:
    """PyTorch's own autograd with fused Adam."""

    def make(workload: Workload) -> Round:
        import torch

        model, x, y, indices = torch_model(workload, device)
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
        loss_of = torch.nn.CrossEntropyLoss()

        def one_round() -> float:
            losses = []
            for index in indices:
                optimizer.zero_grad(set_to_none=True)
                loss = loss_of(model(x[index]), y[index])
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            return float(torch.stack(losses).mean())

        return one_round

    return make


def torch_compile(device: str = "cpu") -> Callable[[Workload], Round]:
    """PyTorch with `torch.compile` of the forward and backward pass, and fused Adam."""

    def make(workload: Workload) -> Round:
        import torch

        model, x, y, indices = torch_model(workload, device)
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
        loss_of = torch.nn.CrossEntropyLoss()
        forward = torch.compile(lambda x, y: loss_of(model(x), y))

        def one_round() -> float:
            losses = []
            for index in indices:
                optimizer.zero_grad(set_to_none=True)
                loss = forward(x[index], y[index])
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            return float(torch.stack(losses).mean())

        return one_round

    return make


def torch_cuda_graph(workload: Workload) -> Round:
    """PyTorch on a GPU with one training step captured in a CUDA graph, as its documentation shows."""
    import torch

    model, x, y, indices = torch_model(workload, "cuda")
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True, capturable=True)
    loss_of = torch.nn.CrossEntropyLoss()
    index = indices[0].clone()
    total = torch.zeros((), device="cuda")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model(x[index]), y[index])
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def one_round() -> float:
        total.zero_()
        for row in indices:
            index.copy_(row)
            graph.replay()
        return float(total) / workload.steps

    return one_round


def keras_jax(workload: Workload) -> Round:
    """Keras 3 on JAX, `Model.fit`."""
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    activation = "sigmoid" if workload.activation == "logistic" else workload.activation
    layers = [keras.layers.Dense(o, activation=activation) for o in workload.sizes[1:-1]]
    model = keras.Sequential(
        [keras.Input((workload.sizes[0],)), *layers, keras.layers.Dense(workload.sizes[-1])]
    )
    weights, biases = workload.parameters()
    model.set_weights([part for pair in zip(weights, biases, strict=True) for part in pair])
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x, y = workload.data()
    order = workload.batches().ravel()
    x, y = x[order], y[order]

    def one_round() -> float:
        history = model.fit(x, y, batch_size=workload.batch, shuffle=False, verbose=0)
        return float(history.history["loss"][-1])

    return one_round


#: Contenders on the CPU, by the names of the table.
CPU: dict[str, Callable[[Workload], Round]] = {
    "products alone": products,
    "PyTorch products alone": torch_products,
    "anyarray-mlp numpy": anyarray("numpy"),
    "anyarray-mlp torch": anyarray("torch"),
    "anyarray-mlp jax": anyarray("jax"),
    "NumPy by hand": numpy_by_hand,
    "JAX scan by hand": jax_scan,
    "JAX step by hand": jax_step,
    "scikit-learn": scikit_learn,
    "PyTorch": pytorch(),
    "torch.compile": torch_compile(),
    "Keras on JAX": keras_jax,
}
#: Contenders on an NVIDIA GPU.
GPU: dict[str, Callable[[Workload], Round]] = {
    "anyarray-mlp cupy": anyarray("cupy", "cuda"),
    "anyarray-mlp torch": anyarray("torch", "cuda"),
    "anyarray-mlp jax": anyarray("jax", "cuda"),
    "JAX scan by hand": jax_scan,
    "PyTorch": pytorch("cuda"),
    "PyTorch, CUDA graph": torch_cuda_graph,
    "torch.compile": torch_compile("cuda"),
}
