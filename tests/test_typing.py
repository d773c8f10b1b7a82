"""The protocols of arrays and namespaces: all that the math asks for, nothing else, and what the guide lists."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.arithmetic.plain import CREATION
from anyarray_mlp.arithmetic.reproducible_array import Array as ReproducibleArray
from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.backends.namespace_backend import NamespaceBackend
from anyarray_mlp.backends.replay.recording import Recorded
from anyarray_mlp.backends.reproducible import PROBED
from anyarray_mlp.network.optimizers import OPTIMIZERS
from anyarray_mlp.parity import all_cases, compare, compare_exactly, make_case
from anyarray_mlp.parity.bounded import Bounded
from anyarray_mlp.parity.cases import exact_cases
from anyarray_mlp.parity.tracing import Traced, TracedNamespace
from anyarray_mlp.training import fit, to_leaves
from anyarray_mlp.typing import Array, Host, Namespace, PlainLibrary, ReproducibleLibrary, names_of

GUIDE = (Path(__file__).parent.parent / "docs" / "parity.md").read_text()

#: What the protocol has an array do: `__add__`, `__getitem__`, ...
METHODS = {
    name
    for name, member in vars(Array).items()
    if getattr(member, "__module__", "") == Array.__module__
}
PROPERTIES = set(names_of(Array))
SYMBOLS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "truediv",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "==": "eq",
    "!=": "ne",
    "&": "and",
    "|": "or",
    "^": "xor",
    "~": "invert",
    ">>": "rshift",
}


class OnlyArray:
    """A NumPy array that can do what the protocol asks for and nothing else, but come out through `numpy.asarray`."""

    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, namespace: OnlyNamespace, array: Any) -> None:
        self._namespace, self._array = namespace, np.asarray(array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._array


class WritableArray(OnlyArray):
    """What `empty` makes for reproducible arithmetic, which fills it block by block."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self._array[key] = unwrap(value)


def method(name: str) -> Callable[..., Any]:
    def call(self: OnlyArray, *args: Any) -> Any:
        return self._namespace.run(name, getattr(type(self._array), name), self, *args)

    return call


def attribute(name: str) -> property:
    def get(self: OnlyArray) -> Any:
        self._namespace.used.add(name)
        return getattr(self._array, name)

    return property(get)


for each in METHODS:
    setattr(OnlyArray, each, method(each))
for each in PROPERTIES:
    setattr(OnlyArray, each, attribute(each))


class OnlyNamespace:
    """NumPy as far as a protocol goes; it remembers which functions were called and which dtypes were read."""

    def __init__(self, protocol: type) -> None:
        self.__name__ = f"only {protocol.__name__}"
        self.names = names_of(protocol)
        self.empty_makes = WritableArray if protocol is ReproducibleLibrary else OnlyArray
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name not in self.names:
            raise AttributeError(name)
        member = getattr(np, name)
        if isinstance(member, type):
            self.used.add(name)
            return member
        return lambda *args, **kwargs: self.run(name, member, *args, **kwargs)

    def run(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.used.add(name)
        result = function(*map(unwrap, args), **{k: unwrap(v) for k, v in kwargs.items()})
        assert result is not NotImplemented
        return (self.empty_makes if name == "empty" else OnlyArray)(self, result)


def unwrap(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(unwrap, value))
    return value._array if isinstance(value, OnlyArray) else value


GATHERED = make_case("gathered", MLP((3, 4, 2), "relu"), 9, gather=((8, 0, 4), (1, 1, 5)))
#: More entries in a layer than reproducible arithmetic works on at a time.
BLOCKS = make_case("blocks", MLP((3, 512, 2), "tanh"), 80)


@pytest.fixture(scope="module")
def plain() -> OnlyNamespace:
    """What is used where everything runs that plain arithmetic is for: passes, parts of batches, training."""
    namespace = OnlyNamespace(PlainLibrary)
    cases = [case for case in all_cases(quick=True) if case.x.shape[0] < 1000]
    report = compare(namespaces=[namespace], dtypes=["float32"], cases=[*cases, GATHERED])
    assert report.departures == ()
    train_alike(NamespaceBackend(namespace, "float64"))
    return namespace


def train_alike(backend: Backend) -> None:
    """Training, and the gradient of a batch in parts, are NumPy's."""
    numpy = select_backend("numpy", dtype="float64")
    x, labels = np.linspace(-1.0, 1.0, 60).reshape(20, 3), np.arange(20) % 2
    mlp = MLP((3, 4, 2), "tanh", dropout=0.5)
    for name, make in OPTIMIZERS.items():
        options: dict[str, Any] = {"clip_norm": 0.1, "alpha": 0.1, "sample_weight": np.ones(20)}
        found, expected = (
            fit(mlp, x, labels, backend=each, optimizer=name, epochs=2, **options)
            for each in (backend, numpy)
        )
        np.testing.assert_allclose(found.parameters, expected.parameters, rtol=1e-9, atol=1e-12)
        for moment in make().init(backend.xp, to_leaves(mlp, backend, found.parameters)):
            assert not np.any(backend.to_host(moment[0]))
    found, expected = (gradient_in_parts(mlp, each, x, labels) for each in (backend, numpy))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def gradient_in_parts(mlp: MLP, backend: Backend, x: Host, labels: Host) -> Host:
    """The gradient (p,) of a batch in two parts."""
    parts = [
        (backend.asarray(x[rows]), backend.asarray(labels[rows]), None)
        for rows in (slice(7), slice(7, 20))
    ]
    leaves = to_leaves(mlp, backend, mlp.initialize())
    _, (gradient,) = mlp.loss_and_grad_in_parts(backend.xp, leaves, parts)
    return backend.to_host(gradient)


@pytest.fixture(scope="module")
def exact() -> OnlyNamespace:
    """What is used where reproducible arithmetic runs, with NumPy's bits."""
    namespace = OnlyNamespace(ReproducibleLibrary)
    cases = [case for case in exact_cases() if case.x.shape[0] < 1000]
    PROBED.clear()
    assert compare_exactly(namespaces=[namespace], cases=[*cases, GATHERED, BLOCKS]).ok
    return namespace


def test_the_math_runs_on_the_names_of_the_protocol(plain: OnlyNamespace) -> None:
    superfluous = set(plain.names) - plain.used
    assert superfluous == set(CREATION) - {"arange", "asarray"}, "for formulas of users alone"


def test_reproducible_arithmetic_runs_on_the_names_of_its_protocol(exact: OnlyNamespace) -> None:
    superfluous = set(exact.names) - exact.used
    assert superfluous == set(CREATION) - {"arange", "asarray", "empty"}


def test_no_operator_of_the_protocol_is_superfluous(
    plain: OnlyNamespace, exact: OnlyNamespace
) -> None:
    superfluous = (METHODS | PROPERTIES) - plain.used - exact.used
    assert superfluous == {"__rmul__"}, "for formulas of users alone"


@pytest.mark.parametrize("own", [ReproducibleArray, Bounded, Traced, Recorded])
def test_arrays_of_our_own_do_all_that_the_protocol_asks_for(own: type) -> None:
    assert set(dir(own)) >= METHODS | PROPERTIES


def test_inverted_conditions_are_traced() -> None:
    xp = TracedNamespace(select_backend("numpy", dtype="float32"), 1)
    x = xp.wrap(np.array([-1.0, 0.0, 2.0], np.float32))
    np.testing.assert_array_equal(xp.where(~(x > 0.0), x, 0.0).raw, [-1.0, 0.0, 0.0])
    assert (xp.tracer.faults, xp.tracer.unchecked, xp.tracer.operations) == ([], set(), 3)


def listed(start: str) -> set[str]:
    """The words in backticks within the list of the guide that a sentence begins."""
    items = GUIDE.partition(start)[2].partition("\n\n- ")[2].partition("\n\n")[0]
    return set(" ".join(re.findall(r"`([^`]+)`", items)).replace("device=None", "").split())


def test_the_guide_lists_the_names_of_the_protocols() -> None:
    assert listed("What the math asks") == set(names_of(PlainLibrary))
    assert listed("`parity --exact` asks") | set(CREATION) == set(names_of(ReproducibleLibrary))


def test_the_guide_lists_the_operators_of_arrays() -> None:
    sentence = GUIDE.partition("And of its arrays")[2].partition(";")[0]
    words = " ".join(re.findall(r"`([^`]+)`", sentence)).split()
    assert set(words) & PROPERTIES == PROPERTIES
    operators = {f"__{SYMBOLS[word]}__" for word in words if word not in {*PROPERTIES, "Array"}}
    reflected = {f"__r{SYMBOLS[symbol]}__" for symbol in "+-*/"}
    assert operators | reflected | {"__getitem__", "__neg__"} == METHODS


def test_the_names_of_a_protocol_are_those_it_inherits_and_its_own() -> None:
    names = names_of(Namespace)
    assert names[: len(names_of(PlainLibrary))] == names_of(PlainLibrary)
    assert names[len(names_of(PlainLibrary)) :][:3] == ("logistic", "softplus", "erf")
    assert len(set(names)) == len(names)
