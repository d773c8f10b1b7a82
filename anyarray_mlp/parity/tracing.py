"""Op by op: every operation of a backend in a pass, compared with the same operation on the reference.

The network's own math runs on wrapped arrays of a backend. Each operation's inputs are copied to the host, the
reference (`roundoff`) does the same operation on them in float64, and the result must be within the bound of that
single operation. So the first operation that departs is found where it happens, not where it becomes visible.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.backends import Backend
from anyarray_mlp.errors import in_a_line
from anyarray_mlp.parity.bounded import OPERATORS, REFLECTED, Bounded
from anyarray_mlp.parity.roundoff import DTYPES, RoundoffNamespace
from anyarray_mlp.typing import Array, Host

#: Functions that `PlainNamespace` builds from other operations unless a backend has its own.
COMPOSITES = ("logistic", "softplus", "erf")
#: Where the network's math stands, beside functions of a user's own.
MATH = tuple(
    f"anyarray_mlp.network.{module}"
    for module in ("functional", "layers", "members", "before", "passes", "mlp")
)


@dataclass(frozen=True)
class FaultyOperation:
    """An operation with a wrong result.

    `where` is the pass, the layer and the formula; `what` says how the result differs, at its worst element.
    """

    operation: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.operation} in {self.where}: {self.what}"


class Traced:
    """An array of the backend; every operation on it is checked."""

    __array_ufunc__ = None
    __slots__ = ("raw", "tracer")

    def __init__(self, tracer: Tracer, raw: Array) -> None:
        self.tracer = tracer
        self.raw = raw

    @property
    def dtype(self) -> Any:
        """The backend array's dtype."""
        return self.raw.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the backend's array."""
        return tuple(self.raw.shape)

    @property
    def ndim(self) -> int:
        """As of the backend's array."""
        return int(self.raw.ndim)

    def __getitem__(self, key: Any) -> Any:
        return self.tracer.apply("getitem", operator.getitem, (self, key), {}, operator.getitem)

    def __neg__(self) -> Any:
        return self.tracer.apply("negative", operator.neg, (self,), {}, operator.neg)

    def __invert__(self) -> Any:
        return self.tracer.apply("bitwise_invert", operator.inv, (self,), {}, operator.inv)


def binary(name: str, function: Callable[[Any, Any], Any], swap: bool) -> Callable[..., Any]:
    """An operator of `Traced`."""

    def method(self: Traced, other: Any) -> Any:
        pair = (other, self) if swap else (self, other)
        return self.tracer.apply(name, function, pair, {}, function)

    return method


def in_place(name: str, function: Callable[..., Any], plain: Callable[..., Any]) -> Any:
    """An augmented assignment of `Traced`, which may write into its left side."""

    def method(self: Traced, other: Any) -> Any:
        return self.tracer.apply(name, function, (self, other), {}, plain, writes=True)

    return method


for symbol, function_name in OPERATORS.items():
    plain = getattr(operator, symbol if symbol not in ("and", "or") else f"{symbol}_")
    setattr(Traced, f"__{symbol}__", binary(function_name, plain, swap=False))
    if symbol in REFLECTED:
        setattr(Traced, f"__r{symbol}__", binary(function_name, plain, swap=True))
    if symbol in ("add", "sub", "mul", "truediv"):
        augmented = getattr(operator, f"i{symbol}")
        setattr(Traced, f"__i{symbol}__", in_place(function_name, augmented, plain))


class Tracer:
    """A namespace over a backend's arithmetic that checks each operation as it happens.

    Attributes
    ----------
    faults : operations that departed, in the order in which they ran.
    unchecked : operations for which the reference has no rule; they ran without a check.
    operations : number of operations that were checked.
    """

    __name__ = "tracer"

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.reference = RoundoffNamespace(backend.dtype)
        self.faults: list[FaultyOperation] = []
        self.unchecked: set[str] = set()
        self.operations = 0
        self.layer = -1
        self.direction = "forward"
        self.dtypes = {n: getattr(backend.xp, n) for n in DTYPES if hasattr(backend.xp, n)}

    def __getattr__(self, name: str) -> Any:
        try:
            attribute = getattr(self.backend.xp, name)
        except AttributeError:
            self.fault(name, "the namespace does not have it")
            raise
        if name in DTYPES or not callable(attribute):
            return attribute
        reference = getattr(self.reference, name, None)

        def operation(*args: Any, **kwargs: Any) -> Any:
            return self.apply(name, attribute, args, kwargs, reference)

        return operation

    def apply(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        reference: Callable[..., Any] | None,
        writes: bool = False,
    ) -> Any:
        """Run an operation on the backend's arrays and on the reference, and compare."""
        arrays = list(leaves_of(args))
        before = [self.host(array.raw) for array in arrays]
        try:
            result = function(
                *(replace(a, lambda t: t.raw) for a in args),
                **{k: replace(a, lambda t: t.raw) for k, a in kwargs.items()},
            )
        except Exception as error:
            self.fault(name, f"it raised {in_a_line(error)}")
            raise
        if reference is None:
            self.unchecked.add(name)
            return Traced(self, result) if hasattr(result, "shape") else result
        self.operations += 1
        hosts = iter(before)
        to_exact: Callable[[Any], Any] = lambda _: self.reference.exact(next(hosts))  # noqa: E731
        try:
            exact = [replace(a, to_exact) for a in args]
            options = {k: v for k, v in kwargs.items() if k != "device"}
            if name == "astype":
                exact[1:] = map(self.host_dtype, exact[1:])
            if "dtype" in options:
                options["dtype"] = self.host_dtype(options["dtype"])
            expected = reference(*exact, **options)
        except AttributeError:
            self.unchecked.add(name)
            return Traced(self, result)
        result = self.backend.settled(result, self.check(name, result, expected))
        if not writes:
            for array, copy in zip(arrays, before, strict=True):
                if not np.array_equal(self.host(array.raw), copy, equal_nan=copy.dtype.kind == "f"):
                    self.fault(name, f"it changed its input of shape {copy.shape}")
        return Traced(self, result)

    def check(self, name: str, result: Array, expected: Bounded) -> Host:
        """Note a fault unless the result has the right shape, kind of type and, within the bound, values.

        Returns the result on the host.
        """
        got = self.host(result)
        if got.shape != expected.shape:
            self.fault(name, f"shape {got.shape}, expected {expected.shape}")
            return got
        wanted = expected.dtype
        if got.dtype.kind != wanted.kind or (wanted.kind == "f" and got.dtype != wanted):
            self.fault(name, f"dtype {got.dtype}, expected {wanted}")
            return got
        if wanted.kind != "f":
            wrong = got != expected.value
            distance, bound = wrong.astype(np.float64), np.zeros(got.shape)
        else:
            distance = np.abs(got.astype(np.float64) - expected.value)
            bound = np.broadcast_to(expected.error, got.shape)
            # Infinity and NaN are right if the reference has them too: neither has a distance.
            same = (got == expected.value) | (np.isnan(got) & np.isnan(expected.value))
            wrong = ~(same | (distance <= bound))
        if np.any(wrong):
            at = worst_element(distance, bound, wrong)
            self.fault(
                name,
                f"{number(got[at])}, expected {number(expected.value[at])}"
                + (f" within {bound[at]:.2g}" if wanted.kind == "f" else "")
                + (f", at {[int(i) for i in at]}" if at else "")
                + f" of shape {list(got.shape)}; {int(np.sum(wrong))} of {got.size} wrong",
            )
        return got

    def fault(self, name: str, what: str) -> None:
        """Note a fault at the place in the network's math that is running."""
        formula = running_formula()
        self.faults.append(
            FaultyOperation(name, f"the {self.direction} pass, layer {self.layer}, {formula}", what)
        )

    def host(self, raw: Array) -> Host:
        """A copy on the host."""
        return np.array(self.backend.to_host(raw))

    def host_dtype(self, value: Any) -> Any:
        """A dtype of the backend as NumPy's; unknown dtypes unchanged."""
        return next((np.dtype(n) for n, dtype in self.dtypes.items() if value == dtype), value)


class TracedNamespace(PlainNamespace):
    """The arithmetic of `Traced` arrays: the backend's own operations, checked, and the layer they belong to."""

    def __init__(self, backend: Backend, n_layers: int) -> None:
        tracer = Tracer(backend)
        self.n_layers = n_layers
        self.tracer = tracer
        own = vars(backend.xp)
        overrides = {name: getattr(tracer, name) for name in COMPOSITES if name in own}
        super().__init__(tracer, overrides=overrides)

    def wrap(self, array: Array) -> Traced:
        """An array of the backend, traced."""
        return Traced(self.tracer, array)

    def linear(self, x: Array, w: Array, b: Array | None) -> Any:
        """As in `PlainNamespace`; the forward pass enters the next layer."""
        self.tracer.direction = "forward"
        self.tracer.layer = (self.tracer.layer + 1) % self.n_layers
        return super().linear(x, w, b)

    def linear_vjp(self, residual: Any, dy: Array, need_dx: bool) -> Any:
        """As in `PlainNamespace`; the backward pass leaves a layer."""
        self.tracer.direction = "backward"
        result = super().linear_vjp(residual, dy, need_dx)
        self.tracer.layer = max(self.tracer.layer - 1, 0)
        return result


def leaves_of(nest: Any) -> Iterator[Traced]:
    """The traced arrays among arguments."""
    if isinstance(nest, Traced):
        yield nest
    elif isinstance(nest, (list, tuple)):
        for item in nest:
            yield from leaves_of(item)


def replace(nest: Any, function: Callable[[Traced], Any]) -> Any:
    """Arguments with each traced array replaced."""
    if isinstance(nest, Traced):
        return function(nest)
    if isinstance(nest, (list, tuple)):
        return type(nest)(replace(item, function) for item in nest)
    return nest


def worst_element(distance: Host, bound: Host, wrong: Host) -> tuple[int, ...]:
    """The index of the wrong element that exceeds its bound the most; NaN exceeds it most."""
    excess = np.where(wrong, np.where(np.isnan(distance), np.inf, distance - bound), -np.inf)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), excess.shape))


def running_formula() -> str:
    """The function of the network's math that is running: "tanh", "derivative of tanh", ...; a user's own, too."""
    frame, own = sys._getframe(), None
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module in MATH:
            return formula_name(own or frame.f_code.co_qualname)
        own = None if module.startswith("anyarray_mlp.") else frame.f_code.co_qualname
        frame = frame.f_back  # type: ignore[assignment]
    return "outside the network's math"


def formula_name(qualname: str) -> str:
    """`tanh.<locals>.vjp` and `tanh_vjp` as "derivative of tanh"."""
    name, _, inner = qualname.partition(".<locals>.")
    return f"derivative of {name.removesuffix('_vjp')}" if inner or name.endswith("_vjp") else name


def number(x: Any) -> str:
    """An element, formatted for people."""
    return f"{float(x):.9g}" if np.asarray(x).dtype.kind == "f" else str(x)
