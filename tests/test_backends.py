"""Backends: what each promises, on every bed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.backends import BACKENDS, Backend, backend_statuses, select_backend
from anyarray_mlp.backends.numpy_backend import NumpyBackend
from anyarray_mlp.backends.reproducible import ReproducibleBackend
from anyarray_mlp.backends.selection import parse_device
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.network.optimizers import OPTIMIZERS
from anyarray_mlp.training import feeds, fit, to_leaves
from anyarray_mlp.training.state import fresh_state
from anyarray_mlp.training.steps import step_inputs, training_step
from tests.beds import BEDS, tripwire

#: Bytes: where memory has to start for JAX to use it as it lies.
ALIGNMENT = 64
GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((6, 4))
LABELS = GENERATOR.integers(0, 3, 6)


def reference_step(optimizer_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and losses after two steps on plain NumPy."""
    return run_steps(select_backend("numpy", dtype="float64"), optimizer_name)


def run_steps(backend: Backend, optimizer_name: str) -> tuple[np.ndarray, np.ndarray]:
    mlp = MLP((4, 5, 3), "gelu", dropout=0.25)
    optimizer = OPTIMIZERS[optimizer_name]()
    run = backend.compile(training_step(mlp, optimizer, alpha=0.1, clip_norm=1.0))
    start = fresh_state(mlp, optimizer, mlp.initialize(3))
    leaves = to_leaves(mlp, backend, start.parameters)
    moments = tuple(to_leaves(mlp, backend, m) for m in start.moments)
    inputs = step_inputs(
        mlp, optimizer, backend, np.array([[0, 2, 5], [1, 3, 4]]), 0, [0.1, 0.05], seed=7
    )
    data = (backend.asarray(X), backend.asarray(LABELS))
    (leaves, _), (losses,) = run((leaves, moments), data, inputs)
    backend.synchronize()
    return mlp.layout.to_vector(tuple(backend.to_host(leaf) for leaf in leaves)), backend.to_host(
        losses
    )


@pytest.mark.needs("values")
@pytest.mark.parametrize(
    ("optimizer_name", "dtype"),
    [*((name, "float64") for name in OPTIMIZERS), ("momentum", "float32"), ("adam", "float32")],
)
def test_training_steps_are_the_same_on_every_bed(
    backend: Backend, optimizer_name: str, dtype: str
) -> None:
    theta, losses = run_steps(backend, optimizer_name)
    expected_theta, expected_losses = reference_step(optimizer_name)
    # Adam divides small gradients by their own size, which magnifies float32's rounding.
    tolerance = 1e-12 if dtype == "float64" else 1e-3
    assert theta.dtype == losses.dtype == dtype
    np.testing.assert_allclose(theta, expected_theta, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(losses, expected_losses, rtol=tolerance)


@pytest.mark.on("torch-meta")
def test_a_step_reads_no_value(backend: Backend) -> None:
    """On `meta` there are no values: a branch on one would raise."""
    mlp = MLP((4, 5, 3))
    leaves = to_leaves(mlp, backend, mlp.initialize(3))
    loss, (grad,) = mlp.loss_and_grad(
        backend.xp, leaves, backend.asarray(X), backend.asarray(LABELS)
    )
    assert loss.shape == ()
    assert grad.shape == (mlp.layout.size,)


@pytest.mark.needs("values")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_comes_back_as_it_went(backend: Backend, dtype: str) -> None:
    for host in (X, LABELS, np.array([True, False]), np.arange(6, dtype=np.uint8).reshape(2, 3)):
        back = backend.to_host(backend.asarray(host))
        np.testing.assert_array_equal(back, host.astype(dtype) if host.dtype.kind == "f" else host)
    assert backend.to_host(backend.asarray(X)).dtype == dtype
    assert backend.to_host(backend.asarray(X, dtype="int32")).dtype == np.int32
    assert backend.to_host(backend.asarray(np.asfortranarray(X)[::2, ::-1])).shape == (3, 4)


@pytest.mark.needs("values")
def test_asarray_copies(backend: Backend) -> None:
    host = X.copy()
    array = backend.asarray(host)
    host[...] = 0.0
    np.testing.assert_array_equal(backend.to_host(array), X)


@pytest.mark.needs("values")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("start", [0, 16])
@pytest.mark.parametrize("writeable", [True, False])
def test_shared_data_are_the_same_as_copied(
    backend: Backend, dtype: str, start: int, writeable: bool
) -> None:
    memory = np.zeros(4096 + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT + start
    for host in (X, X.astype(np.float32), LABELS, np.arange(24, dtype=np.uint8).reshape(6, 4)):
        here = memory[begin : begin + host.nbytes].view(host.dtype).reshape(host.shape)
        here[...] = host
        here.flags.writeable = writeable
        for rows in (here, here[::-2], here.T, here[:0]):
            shared, copied = backend.share(rows), backend.asarray(rows)
            assert shared.dtype == copied.dtype
            np.testing.assert_array_equal(backend.to_host(shared), backend.to_host(copied))


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_large_data_are_shared_with_the_host(name: str) -> None:
    pytest.importorskip(name)
    backend = select_backend(name)
    memory = np.zeros(4096 + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    host = memory[begin : begin + 4096].view(np.float32)
    shared = backend.share(host)
    host[7] = 3.0
    assert backend.to_host(shared)[7] == 3.0
    assert backend.to_host(backend.share(host.astype(np.float64)))[7] == 3.0


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_data_too_large_to_copy_are_gathered_on_the_host(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jax")
    from anyarray_mlp.backends import jax_backend

    backend = select_backend("jax")
    memory = np.empty(50 * 4 * 8 + 2 * ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT + 16
    x = memory[begin : begin + 200 * np.dtype(kind).itemsize].view(kind).reshape(50, 4)
    x[...] = GENERATOR.integers(0, 200, (50, 4))
    targets = GENERATOR.integers(0, 3, 50)
    options = {"backend": backend, "epochs": 3, "batch_size": 8, "input_scale": 0.01}
    assert not backend.streams(x)
    copied = fit(MLP((4, 5, 3)), x, targets, **options)
    monkeypatch.setattr(jax_backend, "LARGE", 0)
    monkeypatch.setattr(feeds, "GATHER_BYTES", 2 * 8 * 8 * 4)
    assert backend.streams(x)
    gathered = fit(MLP((4, 5, 3)), x, targets, **options)
    assert gathered.loss_curve == pytest.approx(copied.loss_curve, rel=1e-6)
    np.testing.assert_allclose(gathered.parameters, copied.parameters, rtol=1e-4, atol=1e-6)
    for index in ([[-1]], [[50]]):
        with pytest.raises(IndexError, match="of 50"):
            backend.gather(x, np.array(index), str(np.dtype(kind)))
    assert not select_backend("numpy").streams(x)


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_training_leaves_the_data_alone(name: str, optimizer: str) -> None:
    pytest.importorskip(name)
    data = X.astype(np.float32), LABELS.copy()
    validation = X[:3].astype(np.float32), LABELS[:3].copy()
    before = [a.copy() for a in (*data, *validation)]
    options = {"optimizer": optimizer, "epochs": 2, "validation": validation}
    writable = fit(MLP((4, 3)), *data, backend=select_backend(name), **options)
    for array, old in zip((*data, *validation), before, strict=True):
        np.testing.assert_array_equal(array, old)
        array.flags.writeable = False
    read_only = fit(MLP((4, 3)), *data, backend=select_backend(name), **options)
    np.testing.assert_array_equal(read_only.parameters, writable.parameters)


# --- the beds catch what they are for ---


@pytest.mark.on("strict")
@pytest.mark.parametrize(
    "offence",
    [
        lambda xp, x: float(xp.sum(x)),
        lambda xp, x: bool(xp.any(x > 0)),
        lambda xp, x: int(xp.argmax(x)),
        lambda xp, x: np.asarray(x),
        lambda xp, x: x[x > 0],
        lambda xp, x: xp.nonzero(x),
        lambda xp, x: [1, 2, 3][xp.argmax(x)],
    ],
)
def test_the_tripwire_catches_a_wait_for_the_device(backend: Backend, offence: object) -> None:
    with pytest.raises((AssertionError, RuntimeError, IndexError)):
        backend.jit(offence)(backend.asarray(X))  # type: ignore[arg-type]


def test_the_tripwire_comes_down_again() -> None:
    strict = pytest.importorskip("array_api_strict")
    with tripwire():
        pass
    assert float(strict.asarray(2.0)) == 2.0


@pytest.mark.on("cupy-like")
def test_work_outside_the_device_is_caught(backend: Backend) -> None:
    """What CuPy would do silently: zeros land on the current device, and the sum crosses devices."""
    x = backend.asarray(X)
    with pytest.raises(ValueError, match="device"):
        x + backend.xp.zeros((6, 4), device="device1")
    inside = backend.jit(lambda xp, x: x + xp.zeros((6, 4)))
    np.testing.assert_array_equal(backend.to_host(inside(x)), X)


@pytest.mark.on("jax")
def test_implicit_transfers_are_caught(backend: Backend) -> None:
    import jax

    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device transfer"):
        backend.jit(lambda xp, x: x + 1.0)(X)


@pytest.mark.on("jax-device2")
def test_arrays_of_two_devices_are_caught(backend: Backend) -> None:
    import jax

    elsewhere = jax.device_put(X, jax.devices("cpu")[0])
    with pytest.raises(ValueError, match="incompatible devices"):
        backend.jit(lambda xp, x, y: x + y)(backend.asarray(X), elsewhere)


@pytest.mark.on("torch-meta")
def test_meta_has_no_values(backend: Backend) -> None:
    with pytest.raises(RuntimeError, match="meta"):
        float(backend.xp.sum(backend.asarray(X)))


@pytest.mark.on("numpy-readonly")
def test_writing_into_data_is_caught(backend: Backend) -> None:
    x = backend.asarray(X)
    with pytest.raises(ValueError, match="read-only"):
        x += 1.0


def test_every_library_has_a_bed() -> None:
    assert {bed.library for bed in BEDS.values()} == set(BACKENDS)


# --- selection ---


@pytest.mark.parametrize(
    ("device", "parsed"),
    [
        ("cpu", ("cpu", None)),
        ("auto", ("auto", None)),
        ("cuda", ("cuda", None)),
        ("cuda:0", ("cuda", 0)),
        ("cuda:12", ("cuda", 12)),
        ("device1", ("device1", None)),
    ],
)
def test_devices_are_parsed(device: str, parsed: tuple[str, int | None]) -> None:
    assert parse_device(device) == parsed


@pytest.mark.parametrize(
    "device", ["gpu:0", "cuda:", "cuda:-1", "cpu:0", "CUDA:", "", "cuda:0 ", "cuda:1x"]
)
def test_devices_that_cannot_be(device: str) -> None:
    with pytest.raises(UsageError, match=r"device must be cpu, cuda, cuda:N or auto"):
        parse_device(device)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "tensorflow"}, "backend must be one of numpy, cupy, torch, jax"),
        (
            {"dtype": "float16"},
            "dtype must be one of float32, float64, got 'float16'; the nearest is 'float32'",
        ),
        ({"name": "numpy", "device": "cuda"}, "numpy backend runs on the CPU only"),
        ({"name": "array_api_strict", "device": "cuda"}, "runs on the CPU only"),
        ({"name": "cupy", "device": "cpu"}, "cupy backend runs on a GPU only"),
        ({"name": "numpy", "device": "device1"}, "exists on array_api_strict only"),
    ],
)
def test_choices_that_cannot_be(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select_backend(**arguments)


def test_the_default_is_numpy() -> None:
    backend = select_backend()
    assert (backend.name, backend.device, backend.dtype) == ("numpy", "cpu", "float32")
    assert repr(backend) == "<numpy backend, cpu, float32>"


@pytest.mark.parametrize(
    ("reproducible", "arithmetic"),
    [
        (False, "plain"),
        (0, "plain"),
        (np.False_, "plain"),
        (True, "reproducible 1"),
        (np.True_, "reproducible 1"),
        ("fast", "reproducible 1, fast"),
    ],
)
def test_reproducible_is_what_was_asked_for(reproducible: Any, arithmetic: str) -> None:
    assert select_backend(reproducible=reproducible).arithmetic == arithmetic


def test_a_reproducible_backend_keeps_its_place_and_leaves_the_plain_one_alone() -> None:
    entered = []

    class Placed(NumpyBackend):
        @contextmanager
        def on_device(self) -> Iterator[None]:
            entered.append(self.device)
            yield

        def reduced_precision(self) -> tuple[str, ...]:
            return ("coarse",)

    plain = Placed("cpu", "float32")
    arithmetic = plain.xp
    reproducible = ReproducibleBackend(plain)
    assert plain.xp is arithmetic
    assert reproducible.xp is not arithmetic
    entered.clear()
    with reproducible.on_device():
        assert entered == ["cpu"]
    assert reproducible.reduced_precision() == ("coarse",)


@pytest.mark.parametrize("shape", [(1, 2), (1, 1, 2)])
def test_numpys_products_warn_of_no_flags(shape: tuple[int, ...]) -> None:
    """What a BLAS does to the flags depends on the numbers that happen to lie in its memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        product = select_backend().xp.matmul(np.full(shape, np.inf), np.array([[1.0], [-1.0]]))
    assert np.all(np.isnan(product))


def test_an_absent_library_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        BackendUnavailableError, match=r"pip install 'anyarray-mlp\[jax\]'"
    ) as caught:
        select_backend("jax")
    assert caught.value.exit_code == 69
    assert "\n" not in str(caught.value)
    problems = {status.name: status.problem for status in backend_statuses()}
    assert "pip install 'anyarray-mlp[torch]'" in (problems["torch"] or "")


def test_statuses_cover_every_backend() -> None:
    statuses = {status.name: status for status in backend_statuses()}
    assert list(statuses) == list(BACKENDS)
    assert statuses["numpy"].devices == ("cpu",)
    assert statuses["numpy"].version == np.__version__
    assert statuses["numpy"].problem is None


def test_declared_capabilities_are_true() -> None:
    """Flat parameters are for arrays that can be written; what cannot compute anywhere is no backend."""
    for name, library in BACKENDS.items():
        module, _, attribute = library.backend_class.partition(".")
        backend_class = getattr(import_module(f"anyarray_mlp.backends.{module}"), attribute)
        assert backend_class.name == name
        assert backend_class.flat == library.writable
        assert library.cpu or library.cuda


@pytest.mark.needs("values", "writable")
def test_writable_means_that_assignment_is_in_place(backend: Backend) -> None:
    def add_in_place(xp: Any, x: Any) -> Any:
        view = x[:1, ...]
        view += 1.0
        return x

    result = backend.to_host(backend.jit(add_in_place)(backend.asarray(X)))
    np.testing.assert_allclose(result[0], X[0] + 1.0)
