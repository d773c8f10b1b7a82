"""Plain arithmetic: a library's own operations, plus the few that the standard lacks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from anyarray_mlp.typing import Array, Creation, PlainLibrary, names_of

CREATION = names_of(Creation)


class Seam(Protocol):
    """What calls of a library can be made to go through, such as a recorder."""

    def namespace(self, xp: Any, /) -> Any:
        """A library's namespace, seen through it."""

    def function(self, name: str, function: Callable[..., Any], /) -> Callable[..., Any]:
        """A function, seen through it."""


class PlainNamespace:
    """An Array API namespace bound to one device.

    Creation functions put their result on `device` (libraries differ in what they do by default, and some
    ignore `device=` on creation). `overrides` replaces functions for which a library has a better one than the
    formula here. Everything else comes from the library and is looked up once.
    """

    def __init__(
        self, xp: Any, device: Any = None, overrides: dict[str, Callable[..., Any]] | None = None
    ) -> None:
        self.library = xp
        self.target = device
        self.overrides = dict(overrides or {})
        for name in CREATION:
            function = getattr(xp, name)
            setattr(self, name, function if device is None else created_on(device, function))
        for name, override in self.overrides.items():
            setattr(self, name, override)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.library, name)
        setattr(self, name, value)
        return value

    def __repr__(self) -> str:
        return f"PlainNamespace({self.library.__name__})"

    def through(self, seam: Seam) -> PlainNamespace:
        """The same arithmetic, whose calls of the library go through a seam."""
        overrides = {name: seam.function(name, f) for name, f in self.overrides.items()}
        return PlainNamespace(seam.namespace(self.library), self.target, overrides)

    def wrap(self, value: Any) -> Any:
        """A library's array as one of this arithmetic: itself."""
        return value

    # --- what the standard lacks ---

    def logistic(self, z: Array) -> Array:
        """1 / (1 + exp(-z)), without overflow."""
        limit = 88.0 if z.dtype == self.float32 else 709.0
        t: Array = self.exp(self.minimum(-z, limit))
        t += 1.0
        return 1.0 / t

    def softplus(self, z: Array) -> Array:
        """log(1 + exp(z)), without overflow and exact for large |z|."""
        a: Array = self.maximum(z, 0.0) + self.log1p(self.exp(-self.abs(z)))
        return a

    def erf(self, z: Array) -> Array:
        """The error function, to a few units in the last place."""
        return erf(self, z)

    # --- what another arithmetic replaces ---

    def linear(
        self, x: Array, w: Array, b: Array | None
    ) -> tuple[Array, tuple[Array, Array, bool]]:
        """x @ w + b, and what its vjp needs; of stacks (..., n, i) @ (..., i, o) + (..., o)."""
        y = self.matmul(x, w) if b is None else self.affine(x, w, b)
        return y, (x, w, b is not None)

    def affine(self, x: Array, w: Array, b: Array) -> Array:
        """x @ w + b."""
        y: Array = self.matmul(x, w)
        y += b if b.ndim == 1 else b[..., None, :]
        return y

    def linear_vjp(
        self, residual: tuple[Array, Array, bool], dy: Array, need_dx: bool
    ) -> tuple[Array | None, Array, Array | None]:
        """Gradients with respect to x (None unless needed), w and b (None without bias)."""
        x, w, has_bias = residual
        dx = self.matmul(dy, self.matrix_transpose(w)) if need_dx else None
        dw = self.matmul(self.matrix_transpose(x), dy)
        return dx, dw, self.sum(dy, axis=-2) if has_bias else None

    def linear_input_gradient(self, residual: tuple[Array, Array, bool], dy: Array) -> Array:
        """The gradient with respect to x only."""
        dx: Array = self.matmul(dy, self.matrix_transpose(residual[1]))
        return dx

    def linear_batch_gradient(
        self, parts: list[tuple[tuple[Array, Array, bool], Array]]
    ) -> tuple[Array, Array | None]:
        """Gradients with respect to w and b of a batch in parts (residual, dy)."""
        gradients = [self.linear_vjp(residual, dy, False) for residual, dy in parts]
        _, dw, db = gradients[0]
        for _, more_dw, more_db in gradients[1:]:
            dw = dw + more_dw
            db = None if db is None else db + more_db
        return dw, db

    def elementwise(self, f: Callable[..., tuple[Array, ...]], *arrays: Array) -> tuple[Array, ...]:
        """f(*arrays) for an elementwise f that may overwrite its arguments."""
        return f(*arrays)


def created_on(device: Any, function: Callable[..., Array]) -> Callable[..., Array]:
    """A creation function whose default device, also where it is told device=None, is `device`."""
    default = device

    def create(*args: Any, device: Any = None, **kwargs: Any) -> Array:
        return function(*args, device=default if device is None else device, **kwargs)

    return create


# erf(x) = x sum_k TAYLOR_k x^2k for |x| < 1, from its power series.
TAYLOR = tuple(
    2.0 / math.sqrt(math.pi) * (-1.0) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(22)
)

# erfc(x) exp(x^2) = t exp(c_0 / 2 + sum_k c_k T_k(2 t - 1)), t = 2 / (2 + x), x >= 0: a Chebyshev fit made with
# mpmath at 50 digits (the form is from Numerical Recipes, section 6.2.2; the coefficients are our own).
CHEBYSHEV: tuple[float, ...] = (
    -1.3026537197817094,
    0.6419697923564902,
    0.019476473204185836,
    -0.009561514786808632,
    -0.0009465953444820369,
    0.00036683949785276145,
    4.252332480690777e-05,
    -2.0278578112534242e-05,
    -1.6242900046470256e-06,
    1.3036558355805232e-06,
    1.5626441722066142e-08,
    -8.523809591492654e-08,
    6.5290544390988515e-09,
    5.059343495551469e-09,
    -9.91364156493033e-10,
    -2.273651222931836e-10,
    9.646791102015527e-11,
    2.3940380830391146e-12,
    -6.886027526497553e-12,
    8.944879273090725e-13,
    3.130921399342958e-13,
    -1.1270822361367252e-13,
    3.810905255189232e-16,
    7.106097613609237e-15,
    -1.5230282014571043e-15,
    -9.457494571291233e-17,
    1.210237189224279e-16,
    -2.816663087747177e-17,
)


def erf(xp: PlainLibrary, x: Array) -> Array:
    """The error function from exp and products only, for libraries without one."""
    small = xp.minimum(xp.abs(x), 1.0)
    square = small * small
    series = square * TAYLOR[-1]
    for c in TAYLOR[-2:0:-1]:
        series = (series + c) * square
    near = small * (series + TAYLOR[0])

    magnitude = xp.minimum(xp.abs(x), 6.0)
    t = 2.0 / (magnitude + 2.0)
    u = t * 4.0 - 2.0
    d, previous = u * 0.0, u * 0.0
    for c in CHEBYSHEV[:0:-1]:
        d, previous = u * d - previous + c, d
    exponent = u * d * 0.5 - previous + CHEBYSHEV[0] * 0.5 - magnitude * magnitude
    far = 1.0 - t * xp.exp(exponent)

    value = xp.where(xp.abs(x) < 1.0, near, far)
    return xp.where(x < 0, -value, xp.where(x == x, value, x))
