"""What parity runs: small networks and batches, chosen where array libraries have been wrong before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from anyarray_mlp import streams
from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.network.before import Periodic, Scale
from anyarray_mlp.network.functional import ACTIVATIONS
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.registry import pairs
from anyarray_mlp.typing import Host

#: Beyond the range of 16-bit counters, signed (32,767) and unsigned (65,535).
MANY_ROWS = 65_537

#: Rows at which 8-, 15- and 16-bit indices wrap.
EDGES = (0, 1, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536)

#: The batches of two steps with those rows, unordered and one row twice, so that sorting or deduplication is noticed.
BATCHES = (
    (65_536, 127, 0, 32_768, 127, 256),
    (255, 65_535, 1, 32_767, 128, 65_536),
)

#: The weight of each of the rows EDGES among 65,537: each then changes a sum by more than rounding can.
HEAVY = 5e3


@dataclass(frozen=True)
class Case:
    """A network, its parameters and a batch, as host arrays in float64.

    Attributes
    ----------
    layout : the memory layout of x: "contiguous", "strided" (a slice with steps), "transposed" or "read-only".
    dropout_keys : an int32 for each layer that drops.
    gather : for each step, the rows of x that form its batch. Steps then run inside `Backend.compile`, as in
        training, and each uses the gradient of the previous step as its parameters.
    quick : whether `--quick` runs it.
    """

    name: str
    mlp: MLP
    parameters: Host = field(repr=False)
    x: Host = field(repr=False)
    targets: Host = field(repr=False)
    sample_weight: Host | None = field(default=None, repr=False)
    alpha: float = 0.0
    dropout_keys: tuple[int, ...] = ()
    layout: str = "contiguous"
    gather: tuple[tuple[int, ...], ...] = ()
    quick: bool = False

    def rounded(self, dtype: str) -> Case:
        """The same case with numbers that `dtype` represents exactly, so that the inputs have no error."""

        def to_dtype(host: Host | None) -> Host | None:
            if host is None or host.dtype.kind != "f":
                return host
            return host.astype(dtype).astype(np.float64)

        arrays = {name: to_dtype(getattr(self, name)) for name in ARRAYS}
        return Case(**{**vars(self), **arrays})


ARRAYS = ("parameters", "x", "targets", "sample_weight")


def make_case(
    name: str,
    mlp: MLP,
    rows: int = 6,
    *,
    seed: int = 0,
    labels: bool = False,
    weighted: bool = False,
    logits: float | None = None,
    **options: Any,
) -> Case:
    """A case with random parameters (including biases) and a random batch.

    `labels` makes targets integers; `logits` scales the last layer so that its largest magnitude is that.
    """
    generator = streams.generator("parity case", seed)
    parameters = mlp.initialize(seed)
    parts = mlp.layout.split(parameters)
    for part in parts[mlp.layout.n_layers :]:
        part += generator.uniform(-0.5, 0.5, part.shape)
    x = generator.standard_normal((rows, mlp.sizes[0]))
    if logits is not None:
        scale = logits / largest_logit(mlp, parameters, x)
        parts[mlp.layout.n_layers - 1][...] *= scale
        if mlp.bias:
            parts[2 * mlp.layout.n_layers - 1][...] *= scale
    weight = generator.uniform(0.0, 2.0, rows) if weighted else None
    if weight is not None:
        weight[0] = 0.0
    return Case(
        name,
        mlp,
        parameters,
        x,
        draw_targets(generator, mlp, rows, labels),
        sample_weight=weight,
        **options,
    )


def largest_logit(mlp: MLP, parameters: Host, x: Host) -> float:
    """The largest magnitude in the last layer."""
    logits: Any = mlp.logits(PlainNamespace(np), (parameters,), x)
    return float(np.max(np.abs(logits)))


def draw_targets(generator: np.random.Generator, mlp: MLP, rows: int, labels: bool) -> Host:
    """Targets that are valid for the network's loss."""
    k = mlp.sizes[-1]
    if labels:
        return generator.integers(0, k, rows)
    if mlp.loss == "cross_entropy":
        return np.eye(k)[generator.integers(0, k, rows)]
    if mlp.loss == "binary_cross_entropy":
        return generator.integers(0, 2, (rows, k)).astype(np.float64)
    if mlp.loss == "poisson":
        return generator.integers(0, 5, (rows, k)).astype(np.float64)
    return generator.standard_normal((rows, k)) * 2.0


def activation_cases() -> Iterator[Case]:
    """Every activation: where it bends, far from zero and near it."""
    for name in ACTIVATIONS:
        yield make_case(f"activation {name}", MLP((5, 7, 3), name), quick=True)
        case = make_case(f"activation {name}, far and near", MLP((5, 7, 3), name), quick=True)
        for bias in case.mlp.layout.split(case.parameters)[case.mlp.layout.n_layers :]:
            bias[...] = 0.0
        case.x[1:3] *= 40.0
        case.x[3:5] *= 1e-4
        yield case


def pair_cases() -> Iterator[Case]:
    """Every output with every loss that goes with it."""
    for output, loss in pairs():
        mlp = MLP((5, 3), output=output, loss=loss)
        yield make_case(f"{output} + {loss}", mlp, quick=True)


def size_cases() -> Iterator[Case]:
    """Sizes that break kernels, tilings and index types."""
    yield make_case("odd sizes", MLP((13, 17, 11, 5), "tanh"), 33, quick=True)
    yield make_case("one row", MLP((5, 7, 3)), 1, quick=True)
    yield make_case("one row, square layers", MLP((5, 5, 5), "tanh"), 1, quick=True)
    yield make_case("one feature, one output", MLP((1, 4, 1), "tanh", "logistic"))
    yield make_case("one hidden unit", MLP((5, 1, 3), "tanh"))
    yield make_case("one of everything", MLP((1, 1, 1), "tanh", "identity"), 1, quick=True)
    yield make_case("four layers", MLP((4, 5, 6, 5, 3), "tanh"), quick=True)
    yield make_case("past tile sizes", MLP((257, 129, 10), "gelu"), 67)
    yield make_case("powers of two", MLP((64, 32, 16), "relu"), 128)
    yield make_case("many classes", MLP((8, 1031)), 5)
    many = MLP((3, 4, 2), "tanh")
    weight = np.ones(MANY_ROWS)
    weight[list(EDGES)] = HEAVY
    case = make_case(f"{MANY_ROWS} rows", many, MANY_ROWS, labels=True, quick=True)
    yield replace(case, sample_weight=weight)


def layout_cases() -> Iterator[Case]:
    """Inputs with the memory layouts of slices and transposes, and read-only inputs."""
    for layout in ("strided", "transposed", "read-only"):
        yield make_case(f"{layout} inputs", MLP((5, 7, 3), "silu"), layout=layout, quick=True)


def extreme_cases() -> Iterator[Case]:
    """Logits at which exp overflows unless the formula prevents it, and NaN, which must propagate."""
    for output, loss, logits in (
        ("softmax", "cross_entropy", 1e3),
        ("softmax", "squared_error", 1e3),
        ("logistic", "binary_cross_entropy", 1e3),
        ("logistic", "squared_error", 90.0),
        ("exp", "poisson", 10.0),
        ("identity", "huber", 1e4),
    ):
        mlp = MLP((5, 3), output=output, loss=loss)
        name = f"{output} + {loss}, logits to {logits:g}"
        yield make_case(name, mlp, logits=logits, quick=loss != "squared_error")
    yield make_case("all logits equal", MLP((5, 3)), logits=1e-30)
    nan = make_case("NaN in a row and a bias", MLP((5, 7, 3), "relu"), quick=True)
    nan.x[2, 1] = np.nan
    nan.mlp.layout.split(nan.parameters)[-1][1] = np.nan
    yield nan


def option_cases() -> Iterator[Case]:
    """What else the loss can take besides the batch."""
    mlp = MLP((5, 7, 3), "tanh")
    yield make_case("integer labels", mlp, labels=True, quick=True)
    yield make_case("sample weights", mlp, weighted=True, quick=True)
    yield make_case("L2 penalty", mlp, alpha=0.1, quick=True)
    yield make_case("weights and penalty", mlp, weighted=True, alpha=0.1, labels=True)
    yield make_case("no biases", MLP((5, 7, 3), "tanh", bias=False))
    yield make_case("compiled step", mlp, MANY_ROWS, labels=True, gather=BATCHES, quick=True)
    zeros = make_case(
        "exact zeros", MLP((5, 7, 3), "relu", "identity", "absolute_error"), quick=True
    )
    zeros.parameters[...] = 0.0
    zeros.targets[::2] = 0.0
    yield zeros
    dropped = MLP((5, 7, 3), "relu", dropout=0.3)
    yield make_case("dropout", dropped, 33, dropout_keys=(-987654321,), quick=True)


def layer_cases() -> Iterator[Case]:
    """Layers beside dense ones and activations, each by itself and all together."""
    for name, mlp in LAYERED.items():
        keys = tuple(17 * layer - 5 for layer in mlp.dropout_layers)
        yield make_case(name, mlp, 9, weighted=True, dropout_keys=keys, quick=name in FULL)


#: Networks that are not plain, by what they have.
LAYERED = {
    "scaled inputs": MLP((5, 7, 3), "silu", before=[Scale()]),
    "parametric activations": MLP((5, 7, 6, 3), ("selu", "tanh"), parametric=True),
    "periodic embedding": MLP(
        (4, 6, 3), "tanh", before=[Periodic(frequencies=5, values=2, sigma=0.7)]
    ),
    "members that share weights": MLP((4, 6, 5, 3), "tanh", members=3),
    "members of one layer, with dropout": MLP(
        (4, 5, 2), "silu", "logistic", dropout=0.4, bias=False, members=2
    ),
    "members of everything": MLP(
        (4, 5, 1),
        "selu",
        "identity",
        before=[Periodic([1], 3, 2), Scale()],
        parametric=True,
        members=2,
    ),
    "all of RealMLP": MLP(
        (5, 7, 6, 1),
        "mish",
        "identity",
        dropout=0.3,
        before=[Periodic([3, 0, 1]), Scale()],
        parametric=True,
    ),
}


#: Those of them that have all kinds of layers between them.
FULL = ("all of RealMLP", "members of everything")


def all_cases(quick: bool = False) -> list[Case]:
    """All cases, or with `quick` a part of them."""
    cases = [
        *activation_cases(),
        *pair_cases(),
        *size_cases(),
        *layout_cases(),
        *extreme_cases(),
        *option_cases(),
        *layer_cases(),
    ]
    return [case for case in cases if case.quick or not quick]


def exact_cases(quick: bool = False) -> list[Case]:
    """Cases for the exact comparison: few, because reproducible arithmetic compiles slowly, but each covers much."""
    activations = tuple(ACTIVATIONS)
    deep = MLP((5, *(4,) * len(activations), 3), activations)
    cases = [
        make_case("every activation", deep, 9, quick=True),
        make_case(
            "logistic + binary_cross_entropy", MLP((5, 4, 3), "tanh", "logistic"), logits=90.0
        ),
        make_case("exp + poisson", MLP((5, 4, 3), "relu", "exp"), quick=True),
        make_case("identity + huber", MLP((5, 4, 3), "silu", "identity", "huber"), weighted=True),
        make_case("past tile sizes", MLP((131, 67, 10), "relu"), 67),
        make_case(
            f"{MANY_ROWS} rows", MLP((3, 4, 2), "tanh"), MANY_ROWS, labels=True, gather=BATCHES
        ),
        make_case(
            "dropout and penalty",
            MLP((5, 64, 3), "relu", dropout=0.5),
            33,
            dropout_keys=(12345,),
            alpha=0.1,
        ),
        *(replace(case, quick=False) for case in layer_cases() if case.quick),
    ]
    return [case for case in cases if case.quick or not quick]
