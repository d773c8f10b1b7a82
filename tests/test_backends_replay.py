"""`backend.compile`: a recorded step that is replayed gives what the plain loop gives, on NumPy to the bit.

On PyTorch it differs in the last place: several operations are one, which rounds once, and the products round
by where in memory they are written to.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.backends.replay.replaying import Replay
from anyarray_mlp.network.functional import ACTIVATIONS, OUTPUTS
from anyarray_mlp.network.losses import FUSED_LOSSES, LOSSES
from anyarray_mlp.network.optimizers import OPTIMIZERS, gradient_norm
from anyarray_mlp.training import fit, to_leaves
from anyarray_mlp.training.predicting import Predictor, on_device
from anyarray_mlp.training.state import fresh_state
from anyarray_mlp.training.steps import Walk, stack_inputs, step_inputs, training_step
from tests.beds import require_library

BACKENDS = ["numpy", "torch"]
PAIRS = [*FUSED_LOSSES, *itertools.product(OUTPUTS, LOSSES)]


def problem(mlp: MLP, rows: int, weighted: bool = False, bytes_in: bool = False) -> list[Any]:
    """x, targets that suit the loss, and maybe weights, on the host."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, mlp.sizes[0]))
    if bytes_in:
        x = rng.integers(0, 256, x.shape).astype(np.uint8)
    targets = rng.random((rows, mlp.sizes[-1]))
    if mlp.loss == "cross_entropy":
        targets = rng.integers(0, mlp.sizes[-1], rows)
    return [x, targets, *([rng.uniform(0.5, 2.0, rows)] if weighted else [])]


def host(backend: Backend, nest: Any) -> list[Any]:
    """The arrays of a nest of tuples, copied to the host."""
    if isinstance(nest, tuple):
        return [array for part in nest for array in host(backend, part)]
    return [np.array(backend.to_host(nest))]


def start(backend: Backend, mlp: MLP, optimizer: Any, members: int = 1) -> Any:
    states = [fresh_state(mlp, optimizer, mlp.initialize(seed)) for seed in range(members)]
    moments = (np.stack(each) for each in zip(*(state.moments for state in states), strict=True))
    parameters = np.stack([state.parameters for state in states])
    return to_leaves(mlp, backend, parameters), tuple(to_leaves(mlp, backend, m) for m in moments)


def assert_replays_alike(
    mlp: MLP,
    optimizer: str = "adam",
    *,
    name: str = "numpy",
    dtype: str = "float32",
    rows: int = 60,
    batch: int = 12,
    steps: int = 5,
    runs: int = 2,
    weighted: bool = False,
    bytes_in: bool = False,
    members: int = 1,
    rates: tuple[float, ...] = (1e-2,),
    reproducible: bool | str = False,
    **options: Any,
) -> Replay:
    """Runs of steps, compiled and as a plain loop: parameters, moments and outputs are the same."""
    # Adam divides small gradients by their own size: in float32 their rounding may be a hundredth of a step of 1e-2.
    close = {"float32": (1e-3, 1e-4), "float64": (1e-11, 1e-13)}[dtype]
    require_library(name)
    backend = select_backend(name, dtype=dtype, reproducible=reproducible)
    rule = OPTIMIZERS[optimizer]()
    data = tuple(on_device(backend, a) for a in problem(mlp, rows, weighted, bytes_in))
    step = training_step(mlp, rule, weighted=weighted, **options)
    compiled, plain = backend.compile(step), Backend.compile(backend, step)
    assert isinstance(compiled, Replay)
    ours, theirs = (start(backend, mlp, rule, members) for _ in range(2))
    rng = np.random.default_rng(1)
    for done in range(0, runs * steps, steps):
        indices = rng.integers(0, rows, (steps, members * batch))
        walks = [Walk(done, [rates[seed % len(rates)]] * steps, seed) for seed in range(members)]
        inputs = stack_inputs(mlp, rule, backend, indices, walks)
        ours, ours_out = compiled(ours, data, inputs)
        theirs, theirs_out = plain(theirs, data, inputs)
        for a, b in zip(
            host(backend, (ours, ours_out)), host(backend, (theirs, theirs_out)), strict=True
        ):
            assert a.dtype == b.dtype
            if name == "numpy" or reproducible:
                np.testing.assert_array_equal(a, b)
            else:
                np.testing.assert_allclose(a, b, *close)
    assert all(plan is not None for plan in compiled.plans.values())
    assert compiled.recordings == 1
    return compiled


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(name: str, dtype: str, activation: str) -> None:
    assert_replays_alike(MLP((7, 9, 6, 3), activation=activation), name=name, dtype=dtype)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_every_output_and_loss(name: str, output: str, loss: str) -> None:
    mlp = MLP((7, 9, 3), activation="tanh", output=output, loss=loss)
    assert_replays_alike(mlp, name=name, weighted=True)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"alpha": 1e-2}, {"clip_norm": 0.1}])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(name: str, optimizer: str, options: dict[str, float]) -> None:
    assert_replays_alike(MLP((7, 9, 3)), optimizer, name=name, **options)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    "options",
    [
        {"weighted": True, "alpha": 1e-3, "clip_norm": 0.5},
        {"bytes_in": True, "input_scale": 1 / 255},
        {"dtype": "float64", "bytes_in": True, "input_scale": 1 / 255},
        {"batch": 1},
        {"steps": 150, "batch": 3, "runs": 3},
        {"statistics": lambda xp, theta, grad: (gradient_norm(xp, grad), xp.max(xp.abs(grad[0])))},
    ],
    ids=["weights", "bytes", "bytes-float64", "one row", "many steps", "statistics"],
)
@pytest.mark.parametrize("network", [{}, {"dropout": 0.4}, {"bias": False}])
def test_every_option(name: str, network: dict[str, Any], options: dict[str, Any]) -> None:
    assert_replays_alike(MLP((7, 9, 8, 3), **network), name=name, **options)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weighted": True, "alpha": (1e-3, 0.0, 1e-2), "clip_norm": 0.5},
        {"rates": (1e-2, 1e-3, 3e-3)},
        {"dtype": "float64", "bytes_in": True, "input_scale": 1 / 255, "rates": (1e-2, 1e-3)},
        {"batch": 1, "steps": 40},
    ],
    ids=["plain", "weights", "rates", "bytes", "one row"],
)
@pytest.mark.parametrize("network", [{}, {"dropout": 0.4}, {"bias": False}])
def test_stacks(name: str, network: dict[str, Any], options: dict[str, Any]) -> None:
    assert_replays_alike(MLP((7, 9, 8, 3), **network), name=name, members=3, **options)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_stacks_with_every_optimizer(name: str, optimizer: str) -> None:
    for rates in ((1e-2,), (1e-2, 1e-3)):
        assert_replays_alike(
            MLP((7, 9, 3), "gelu"), optimizer, name=name, members=2, rates=rates, alpha=1e-3
        )


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("reproducible", [True, "fast"])
@pytest.mark.parametrize(
    ("network", "options"),
    [
        ({"activation": "tanh"}, {}),
        ({"activation": "gelu"}, {"dtype": "float64", "optimizer": "adamw"}),
        ({"dropout": 0.3}, {"weighted": True, "alpha": 1e-2}),
        ({"output": "sigmoid"}, {"optimizer": "rmsprop"}),
        ({}, {"members": 2, "rates": (1e-2, 1e-3)}),
    ],
)
def test_reproducible_arithmetic_to_the_bit(
    name: str, reproducible: bool | str, network: dict[str, Any], options: dict[str, Any]
) -> None:
    """PyTorch's joined operations round once where reproducible arithmetic rounds twice: none is used."""
    mlp = MLP((7, 9, 3), **network)
    assert_replays_alike(mlp, name=name, reproducible=reproducible, **options)


def test_reproducible_arithmetic_in_blocks_runs_as_it_is() -> None:
    """Arrays that are worked on block by block are written to, which cannot be recorded."""
    backend = select_backend("numpy", dtype="float32", reproducible=True)
    mlp, rule = MLP((300, 200, 2)), OPTIMIZERS["sgd"]()
    data = tuple(on_device(backend, a) for a in problem(mlp, 20))
    step = training_step(mlp, rule)
    compiled = backend.compile(step)
    assert isinstance(compiled, Replay)
    found, _ = compiled(start(backend, mlp, rule), data, one_step(mlp, rule, backend))
    expected, _ = Backend.compile(backend, step)(
        start(backend, mlp, rule), data, one_step(mlp, rule, backend)
    )
    assert list(compiled.plans.values()) == [None]
    for a, b in zip(host(backend, found), host(backend, expected), strict=True):
        np.testing.assert_array_equal(a, b)


def one_step(mlp: MLP, rule: Any, backend: Backend) -> Any:
    """What a step of the first ten rows needs."""
    return step_inputs(mlp, rule, backend, np.arange(10)[None], 0, [1e-2], 0)


@pytest.mark.parametrize("name", BACKENDS)
def test_large_stacks_are_worked_on_in_blocks(name: str) -> None:
    """Activations (2, 400, 700) and 990,020 parameters; the gradient's parts are computed side by side."""
    mlp = MLP((300, 700, 400, 10), dropout=(0.2, 0.0))
    run = assert_replays_alike(
        mlp, name=name, rows=500, batch=400, steps=2, alpha=1e-4, clip_norm=1.0, members=2
    )
    (plan,) = run.plans.values()
    assert plan is not None
    assert [node.op for node in plan.vanished] == ["concat"]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("activation", ["relu", "logistic", "elu"])
def test_arrays_large_enough_for_blocks(name: str, activation: str) -> None:
    """Activations (400, 700) and 495,010 parameters are worked on in blocks."""
    mlp = MLP((300, 700, 400, 10), activation=activation, dropout=(0.2, 0.0))
    run = assert_replays_alike(
        mlp, name=name, rows=500, batch=400, steps=2, alpha=1e-4, clip_norm=1.0
    )
    (plan,) = run.plans.values()
    assert plan is not None
    assert max(len(group) for group in plan.groups) > 5


@pytest.mark.parametrize(
    ("dtype", "alpha"), [("float32", 0.0), ("float64", 0.0), ("float64", 1e-4)]
)
def test_adam_is_one_call_on_pytorch(dtype: str, alpha: float) -> None:
    """Also after the gradient of L2, which belongs to the same elementwise operations."""
    mlp = MLP((300, 500, 10))
    run = assert_replays_alike(mlp, name="torch", dtype=dtype, steps=2, alpha=alpha)
    (binding,) = run.bindings.values()
    adams = [call for call in binding.step_calls[0] if is_call_of(call, "adam")]
    assert [call.args[0][0].shape for call in adams] == [(mlp.layout.size,)]
    assert not any(is_call_of(call, "sqrt") for call in binding.step_calls[0])


def test_an_adam_that_is_not_the_kernels_runs_in_blocks() -> None:
    """PyTorch's kernel holds for betas and an epsilon that are numbers, and where nothing else uses its terms."""
    run = assert_replays_alike(MLP((300, 500, 10)), "adamw", name="torch", steps=2)
    (binding,) = run.bindings.values()
    names = [call.func.__name__ for call in binding.step_calls[0] if isinstance(call, partial)]
    assert "adam" not in names
    assert "sqrt" in names


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
def test_products_of_few_columns_on_pytorch(dtype: str, bias: bool) -> None:
    """They are computed transposed: the last layer's output and the gradient of its weights."""
    mlp = MLP((20, 200, 3), bias=bias)
    run = assert_replays_alike(mlp, name="torch", dtype=dtype, rows=120, batch=100)
    (binding,) = run.bindings.values()
    products = [call for call in binding.step_calls[0] if is_call_of(call, "mm")]
    assert [tuple(c.keywords["out"].shape) for c in products].count((3, 100)) == 1
    assert [tuple(c.keywords["out"].shape) for c in products].count((3, 200)) == 1


def is_call_of(call: Any, name: str) -> bool:
    """Whether a replayed call is of the function of this name."""
    return isinstance(call, partial) and call.func.__name__ == name


def test_the_concatenation_of_the_gradient_is_not_done() -> None:
    run = assert_replays_alike(MLP((7, 9, 3)))
    (plan,) = run.plans.values()
    assert plan is not None
    assert {node.op for node in plan.vanished} == {"concat"}


def test_the_state_is_updated_in_place_and_the_buffers_stay() -> None:
    """From one run to the next, arrays are the same objects: nothing is allocated but the outputs."""
    backend, mlp, rule = select_backend("numpy"), MLP((7, 9, 3)), OPTIMIZERS["adam"]()
    data = tuple(on_device(backend, a) for a in problem(mlp, 60))
    compiled = backend.compile(training_step(mlp, rule))
    state = start(backend, mlp, rule)
    inputs = step_inputs(mlp, rule, backend, np.arange(60).reshape(5, 12), 0, [1e-3] * 5, 0)
    after, _ = compiled(state, data, inputs)
    (binding,) = compiled.bindings.values()
    again, _ = compiled(after, data, inputs)
    assert again[0][0] is state[0][0]
    assert again[1][1][0] is state[1][1][0]
    assert list(compiled.bindings.values()) == [binding]


def test_a_step_is_recorded_once_for_each_set_of_shapes() -> None:
    """Full batches and the rest: two recordings, however many epochs."""
    backend = select_backend("numpy")
    runs = []
    compile_step = backend.compile
    backend.compile = lambda step, steps: runs.append(compile_step(step, steps)) or runs[-1]  # type: ignore
    mlp = MLP((7, 9, 3))
    x, y = problem(mlp, 50)
    fit(mlp, x, y, backend=backend, epochs=8, batch_size=12)
    (run,) = runs
    assert run.recordings == 2


def test_another_state_does_not_disturb_the_last_one() -> None:
    """Two trainings may take turns on one compiled step."""
    backend, mlp, rule = select_backend("numpy"), MLP((7, 9, 3)), OPTIMIZERS["sgd"]()
    data = tuple(on_device(backend, a) for a in problem(mlp, 60))
    compiled = backend.compile(training_step(mlp, rule))
    inputs = step_inputs(mlp, rule, backend, np.arange(60).reshape(5, 12), 0, [1e-3] * 5, 0)
    first, _ = compiled(start(backend, mlp, rule), data, inputs)
    kept = host(backend, first)
    second, _ = compiled(start(backend, mlp, rule), data, inputs)
    for a, b, c in zip(kept, host(backend, first), host(backend, second), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_state_that_cannot_be_written_is_copied() -> None:
    backend = select_backend("numpy")
    compiled = backend.compile(lambda xp, s, d, i: ((s[0] + i[0],), (s[0] * 2.0,)))
    leaf = np.ones(3, np.float32)
    leaf.flags.writeable = False
    (new,), (out,) = compiled((leaf,), (), (np.arange(3, dtype=np.float32),))
    np.testing.assert_array_equal(leaf, np.ones(3))
    np.testing.assert_array_equal(new, np.full(3, 4.0))
    np.testing.assert_array_equal(out, [[2.0] * 3, [2.0] * 3, [4.0] * 3])


def looks_at_a_value(xp: Any, state: Any, data: Any, inputs: Any) -> Any:
    (x,) = state
    return (x * 2.0 if float(xp.sum(x)) < 10 else x + 1.0,), (xp.sum(x),)


def writes_into_an_array(xp: Any, state: Any, data: Any, inputs: Any) -> Any:
    x = state[0] * 1.0
    x[0] = 0.0
    return (x,), (xp.sum(x),)


def swaps(xp: Any, state: Any, data: Any, inputs: Any) -> Any:
    a, b = state
    return (b, a), (xp.sum(a),)


def returns_one_array_twice(xp: Any, state: Any, data: Any, inputs: Any) -> Any:
    total = state[0] + state[1]
    return (total, total), (xp.sum(total),)


def indexes_with_an_array(xp: Any, state: Any, data: Any, inputs: Any) -> Any:
    x = state[0]
    return (xp.where(x > 0, x, 1.0),), (xp.sum(x[x > 0]),)


@pytest.mark.parametrize(
    ("step", "leaves"),
    [
        (looks_at_a_value, 1),
        (writes_into_an_array, 1),
        (swaps, 2),
        (returns_one_array_twice, 2),
        (indexes_with_an_array, 1),
    ],
)
def test_a_step_that_cannot_be_recorded_runs_as_it_is(step: Any, leaves: int) -> None:
    backend = select_backend("numpy")
    compiled, plain = backend.compile(step), Backend.compile(backend, step)
    inputs = (np.zeros(4, np.float32),)

    def state() -> Any:
        return tuple(np.arange(3, dtype=np.float32) + i for i in range(leaves))

    ours, theirs = compiled(state(), (), inputs), plain(state(), (), inputs)
    for a, b in zip(host(backend, ours), host(backend, theirs), strict=True):
        np.testing.assert_array_equal(a, b)
    assert isinstance(compiled, Replay)
    assert list(compiled.plans.values()) == [None]


def mixed(xp: Any, state: Any, data: Any, inputs: Any) -> Any:
    """Operations that training does not use: transposes, views of views, reductions, functions without `out`."""
    a, b = state
    c = xp.matrix_transpose(a) @ b + xp.mean(a) + inputs[0]
    d = xp.cumulative_sum(c, axis=0) - xp.flip(c, axis=1)
    e = xp.concat([d[:1, :], xp.abs(d[1:, :])], axis=0)
    kept = a * xp.ones_like(a) + xp.broadcast_to(xp.max(b, axis=0), a.shape)
    return (kept * 0.5, xp.tanh(b - e)), (
        xp.argmax(e, axis=1),
        e,
        a,
        xp.any(e > 1),
        xp.astype(e, xp.int32) % 3,
        c**2,
    )


def test_any_operation_of_the_standard() -> None:
    backend = select_backend("numpy", dtype="float64")
    compiled, plain = backend.compile(mixed), Backend.compile(backend, mixed)
    rng = np.random.default_rng(0)
    state = (rng.standard_normal((3, 3)), rng.standard_normal((3, 3)))
    inputs = (rng.standard_normal(7),)
    ours = compiled(tuple(a.copy() for a in state), (), inputs)
    theirs = plain(tuple(a.copy() for a in state), (), inputs)
    assert isinstance(compiled, Replay)
    assert None not in compiled.plans.values()
    for a, b in zip(host(backend, ours), host(backend, theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_indices_out_of_range_are_errors() -> None:
    backend, mlp, rule = select_backend("numpy"), MLP((7, 9, 3)), OPTIMIZERS["sgd"]()
    data = tuple(on_device(backend, a) for a in problem(mlp, 60))
    compiled = backend.compile(training_step(mlp, rule))
    inputs = step_inputs(mlp, rule, backend, np.full((2, 5), 60), 0, [1e-3] * 2, 0)
    with pytest.raises(IndexError):
        compiled(start(backend, mlp, rule), data, inputs)


def test_what_a_step_raises_is_raised() -> None:
    backend = select_backend("numpy")

    def step(xp: Any, state: Any, data: Any, inputs: Any) -> Any:
        raise ValueError("of the step's own")

    with pytest.raises(ValueError, match="of the step's own"):
        backend.compile(step)((np.ones(2),), (), (np.ones(2),))


def test_a_state_of_another_shape_is_refused_by_recording() -> None:
    """The plain loop lets a state change its shape; a replay could not."""
    backend = select_backend("numpy")
    compiled = backend.compile(lambda xp, s, d, i: ((xp.concat([s[0], s[0]]),), (xp.sum(s[0]),)))
    (state,), _ = compiled((np.ones(2),), (), (np.ones(3),))
    assert state.shape == (16,)


def test_replayed_training_reports_divergence() -> None:
    from anyarray_mlp.errors import DivergedError

    mlp = replace(MLP((7, 9, 3), output="identity"), loss="squared_error")
    x, y = problem(mlp, 60)
    with pytest.raises(DivergedError), np.errstate(all="ignore"):
        fit(mlp, x * 1e3, y, optimizer="sgd", learning_rate_init=1e6, epochs=20, batch_size=12)


# --- jit: calls with few rows -------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("output", OUTPUTS)
def test_replayed_predictions(name: str, output: str, rows: int, bias: bool) -> None:
    require_library(name)
    backend = select_backend(name)
    mlp = MLP((7, 9, 3), output=output, bias=bias)
    leaves = to_leaves(mlp, backend, mlp.initialize(0))
    jitted = backend.jit(lambda xp, t, x: mlp.predict(xp, t, x))
    rng = np.random.default_rng(0)
    for _ in range(4):
        x = on_device(backend, rng.standard_normal((rows, 7)))
        ours, theirs = jitted(leaves, x), mlp.predict(backend.xp, leaves, x)
        np.testing.assert_allclose(
            backend.to_host(ours), backend.to_host(theirs), rtol=0 if name == "numpy" else 1e-6
        )
    (call,) = [call for _, call in jitted.bindings.values()]
    assert call is not None


def test_results_of_a_replayed_call_are_not_overwritten_by_the_next() -> None:
    backend, mlp = select_backend("numpy"), MLP((7, 9, 3))
    predictor = Predictor(mlp, mlp.initialize(0), backend)
    x = np.random.default_rng(0).standard_normal((6, 1, 7)).astype(np.float32)
    outputs = [predictor(row) for row in x]
    np.testing.assert_array_equal(outputs, [predictor(row) for row in x])
    assert not np.shares_memory(outputs[-1], outputs[-2])


def test_replayed_calls_see_parameters_changed_in_place_and_other_parameters() -> None:
    backend = select_backend("numpy")
    jitted = backend.jit(lambda xp, leaves, x: (x * leaves[0], xp.sum(x)))
    w, x = np.ones(3), np.arange(3.0)
    for _ in range(3):
        product, total = jitted((w,), x)
        np.testing.assert_array_equal(product, x)
        assert total == 3.0
    w *= 2.0
    np.testing.assert_array_equal(jitted((w,), x)[0], 2.0 * x)
    np.testing.assert_array_equal(jitted((w + 1.0,), x)[0], 3.0 * x)


def test_calls_that_cannot_be_recorded_run_as_they_are() -> None:
    backend = select_backend("numpy")
    jitted = backend.jit(lambda xp, leaves, x: x * 2.0 if float(x[0]) > 0 else x)
    for value in (1.0, -1.0, 1.0, -1.0):
        x = np.array([value])
        np.testing.assert_array_equal(jitted((), x), x * 2.0 if value > 0 else x)


def test_predictions_in_many_threads() -> None:
    """One thread at a time uses the buffers; the others do without."""
    backend, mlp = select_backend("numpy"), MLP((7, 50, 3))
    predictor = Predictor(mlp, mlp.initialize(0), backend)
    x = np.random.default_rng(0).standard_normal((400, 1, 7)).astype(np.float32)
    expected = [predictor(row) for row in x]
    with ThreadPoolExecutor(4) as pool:
        for a, b in zip(pool.map(predictor, x), expected, strict=True):
            np.testing.assert_array_equal(a, b)
