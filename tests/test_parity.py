"""Parity: right libraries do not depart, wrong ones do, and the operation is named."""

from __future__ import annotations

import importlib.util
import json
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.backends import Backend, backend_statuses, select_backend
from anyarray_mlp.backends.numpy_backend import NumpyBackend
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.network.functional import ACTIVATIONS
from anyarray_mlp.network.registry import pairs
from anyarray_mlp.parity import Case, Report, all_cases, compare, make_case
from anyarray_mlp.parity.cases import MANY_ROWS, activation_cases, pair_cases
from anyarray_mlp.parity.comparison import reference
from anyarray_mlp.parity.precision import matmul_bits

BED_CASES = [
    make_case("weights", MLP((5, 4, 3), "gelu"), weighted=True, alpha=0.1, labels=True),
    make_case("strided", MLP((5, 4, 3), "elu", "logistic"), layout="strided"),
    make_case("compiled", MLP((4, 3, 2), "relu"), gather=((5, 0, 3), (3, 1, 1))),
]


@pytest.mark.needs("values")
@pytest.mark.parametrize("dtype", ["float32"])
def test_no_bed_departs(backend: Backend, dtype: str) -> None:
    check_beds(backend)


@pytest.mark.on("numpy-readonly", "strict", "jax", "torch", "cupy")
def test_no_bed_departs_in_float64(backend: Backend) -> None:
    check_beds(backend)


def check_beds(backend: Backend) -> None:
    (comparison,) = compare([backend], cases=BED_CASES).comparisons
    assert comparison.departures == ()
    assert comparison.unchecked == ()
    assert comparison.cases == 3
    assert comparison.operations > 100


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_whole_sweep_on_numpy(dtype: str) -> None:
    (comparison,) = compare(["numpy"], dtypes=[dtype]).comparisons
    assert comparison.departures == ()
    assert comparison.unchecked == ()
    assert {d.quantity for d in comparison.differences} >= {
        "outputs",
        "loss",
        "weights.0",
        "biases.1",
    }


def test_the_sweep_covers_every_activation_and_loss() -> None:
    cases = all_cases()
    assert {name for case in cases for name in case.mlp.activation} == set(ACTIVATIONS)
    assert {(case.mlp.output, case.mlp.loss) for case in cases} == set(pairs())
    assert {case.mlp.activation[0] for case in all_cases(quick=True) if case.mlp.activation} == set(
        ACTIVATIONS
    )
    assert len({case.name for case in cases}) == len(cases)
    assert max(case.x.shape[0] for case in cases) > 32_768
    assert {case.layout for case in cases} == {"contiguous", "strided", "transposed", "read-only"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bound_has_teeth(dtype: str) -> None:
    """Every bound is finite, and wherever sums are short an eighth of the gradient or less in float32."""
    unit = np.finfo(dtype).eps / 2
    for case in all_cases():
        for quantity in reference(case.rounded(dtype), dtype):
            right = ~np.isnan(quantity.value)
            assert np.all(right) or case.name.startswith("NaN")
            bound = quantity.bound[right]
            assert np.all(np.isfinite(bound)), case.name
            assert np.all(bound >= 0), case.name
            scale = np.max(np.abs(quantity.value[right]), initial=0.0)
            if scale > 1e-3 and not is_extreme(case):
                assert np.max(bound) < 2**21 * unit * scale, (case.name, quantity.name)


def is_extreme(case: Case) -> bool:
    """Whether sums are long, or the case lies where the gradient is ill-conditioned or jumps.

    Waves of high frequencies multiply what their inputs are off by.
    """
    return (
        case.x.shape[0] > 1000
        or "logits to" in case.name
        or case.name in ("exact zeros", "all of RealMLP")
    )


# --- planted faults ---


class FaultyBackend(NumpyBackend):
    """NumPy with one function replaced."""

    def __init__(self, dtype: str, **functions: Any) -> None:
        super().__init__("cpu", dtype)
        self.xp = PlainNamespace(np, overrides={"erf": self.xp.erf, **functions})


def faulty(dtype: str = "float32", **functions: Any) -> Report:
    """The report on NumPy with functions replaced, over a short sweep."""
    quick = [case for case in all_cases(quick=True) if case.name not in SLOW]
    return compare([FaultyBackend(dtype, **functions)], cases=quick)


SLOW = {f"{MANY_ROWS} rows"}


def half_matmul(a: Any, b: Any) -> Any:
    """Inputs rounded to half precision, sums in float32."""
    return np.matmul(a.astype(np.float16).astype(a.dtype), b.astype(np.float16).astype(b.dtype))


def tf32(a: Any) -> Any:
    """float32 with the fraction cut to 10 bits."""
    return (a.view(np.int32) & ~0x1FFF).view(np.float32)


#: The axis of the rows of a matrix.
OF_ROWS = (0, -2)


def sum_without_tail(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Past 32,768 rows the rest is left out."""
    return np.sum(x[:32_768], axis=axis, keepdims=keepdims)


def sum_of_65536_rows(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The row past 65,536 is left out."""
    return np.sum(x[:65_536] if axis in OF_ROWS else x, axis=axis, keepdims=keepdims)


def wrong_axis(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if x.ndim == 2 and isinstance(axis, int):
        axis = 1 if axis in OF_ROWS else 0
    return np.sum(x, axis=axis, keepdims=keepdims)


def wrapped_take(x: Any, index: Any, axis: int = 0) -> Any:
    """Row numbers held in 8 bits."""
    return np.take(x, index.astype(np.int8), axis=axis)


def matmul_in_int16(a: Any, b: Any) -> Any:
    """Rows counted in 16 bits: those past 65,535 wrap onto the first."""
    product = np.matmul(a, b)
    if a.shape[0] > 65_536:
        product[65_536:] = product[: a.shape[0] - 65_536]
    return product


def stale(function: Any) -> Any:
    """A result that is one call behind for its shape: a buffer read before it was written."""
    last: dict[Any, Any] = {}

    def run(x: Any, *rest: Any, **options: Any) -> Any:
        result = function(x, *rest, **options)
        previous = last.get(result.shape)
        last[result.shape] = result.copy()
        return result if previous is None else previous.astype(result.dtype)

    return run


def in_place_exp(x: Any) -> Any:
    return (
        np.exp(x, out=x)
        if isinstance(x, np.ndarray) and x.ndim and x.flags.writeable
        else np.exp(x)
    )


def sum_short(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The last row is left out."""
    rows = x[: max(len(x) - 1, 1)] if axis in OF_ROWS else x
    return np.sum(rows, axis=axis, keepdims=keepdims)


def sum_in_half(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=np.float16).astype(x.dtype)


def matmul_in_tf32(a: Any, b: Any) -> Any:
    return np.matmul(tf32(np.ascontiguousarray(a)), tf32(np.ascontiguousarray(b)))


def matmul_by_fours(a: Any, b: Any) -> Any:
    """The tail of the inner dimension is skipped."""
    k = a.shape[1] // 4 * 4
    return np.matmul(a[:, :k], b[:k])


def matmul_that_sets_flags(a: Any, b: Any) -> Any:
    """Right, but the flag for division by zero is set on the way, as some BLAS kernels do."""
    np.divide(1.0, 0.0)
    return np.matmul(a, b)


def reshaped_transpose(x: Any) -> Any:
    """The shape of a transpose, and the elements as they lay."""
    return np.reshape(x, x.shape[::-1])


def exchanged_where(condition: Any, a: Any, b: Any) -> Any:
    return np.where(condition, b, a)


def max_of_all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.broadcast_to(np.max(x), np.max(x, axis=axis, keepdims=keepdims).shape)


def sorted_take(x: Any, index: Any, axis: int = 0) -> Any:
    """The rows that are asked for, in the order in which they lie."""
    return np.take(x, np.sort(index), axis=axis)


def take_once(x: Any, index: Any, axis: int = 0) -> Any:
    """A row that is asked for twice is taken once, and the rest is moved up."""
    _, first = np.unique(index, return_index=True)
    kept = index[np.sort(first)]
    return np.take(x, np.resize(kept, index.shape), axis=axis)


def transposed_for_one_row(a: Any, b: Any) -> Any:
    """A product of a row is taken with the transpose, which has the same shape where b is square."""
    return np.matmul(a, b.T if len(a) == 1 and b.shape[0] == b.shape[1] else b)


def max_without_nan(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.fmax.reduce(x, axis=axis, keepdims=keepdims)


def scaled_tanh(x: Any) -> Any:
    """Twenty units in the last place too large."""
    return np.tanh(x) * np.asarray(1 + 20 * 2.0**-23, x.dtype)


#: The operation that must be named, and what it is replaced by.
FAULTS: dict[str, tuple[str, Any]] = {
    "tanh by its Taylor series": ("tanh", lambda x: x - x**3 / 3),
    "tanh 20 ulp off": ("tanh", scaled_tanh),
    "tanh that saturates early": ("tanh", lambda x: np.where(abs(x) > 3, np.sign(x), np.tanh(x))),
    "tanh in float64": ("tanh", lambda x: np.tanh(x.astype(np.float64))),
    "a sum over the wrong axis": ("sum", wrong_axis),
    "a sum that drops its last row": ("sum", sum_short),
    "a sum in half precision": ("sum", sum_in_half),
    "a matmul in half precision": ("matmul", half_matmul),
    "a matmul in TF32": ("matmul", matmul_in_tf32),
    "a matmul that skips the tail": ("matmul", matmul_by_fours),
    "a matmul that returns an older result": ("matmul", stale(np.matmul)),
    "a transpose of the shape alone": ("matrix_transpose", reshaped_transpose),
    "an index that wraps": ("take", wrapped_take),
    "rows in sorted order": ("take", sorted_take),
    "rows without duplicates": ("take", take_once),
    "a stack in the wrong order": ("stack", lambda arrays: np.stack(arrays[::-1])),
    "a matmul that transposes for one row": ("matmul", transposed_for_one_row),
    "maximum that drops NaN": ("maximum", np.fmax),
    "max that drops NaN": ("max", max_without_nan),
    "NaN as zero": ("maximum", lambda a, b: np.nan_to_num(np.maximum(a, b))),
    "exp that flushes to zero at -10": ("exp", lambda x: np.where(x < -10, x * 0, np.exp(x))),
    "exp that overwrites its input": ("exp", in_place_exp),
    "log1p as log(1 + x)": ("log1p", lambda x: np.log(1 + x)),
    "expm1 as exp(x) - 1": ("expm1", lambda x: np.exp(x) - np.asarray(1, x.dtype)),
    "where with its sides exchanged": ("where", exchanged_where),
    "maximum of magnitudes": ("maximum", lambda a, b: np.maximum(np.abs(a), b)),
    "sign(0) of 1": ("sign", lambda x: np.where(x < 0, -1, 1).astype(x.dtype)),
    "max over everything": ("max", max_of_all),
    "concat in the wrong order": ("concat", lambda arrays: np.concatenate(arrays[::-1])),
    "reshape in Fortran order": ("reshape", lambda x, shape: np.reshape(x, shape, order="F")),
    "abs that raises": ("abs", lambda x: np.linalg.cholesky(-np.eye(2))),
}


def test_flags_are_no_fault() -> None:
    assert faulty(matmul=matmul_that_sets_flags).ok


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_caught_and_named(fault: str) -> None:
    operation, replacement = FAULTS[fault]
    report = faulty(**{operation: replacement})
    assert not report.ok
    assert report.departures[0].operation == operation
    # A result that belongs to another call may be wrong in the whole and right by the time it is traced.
    assert {departure.operation for departure in report.departures} <= {operation, None}


@pytest.mark.parametrize(
    ("functions", "operation"),
    [
        ({"sum": sum_without_tail}, "sum"),
        ({"sum": sum_of_65536_rows}, "sum"),
        ({"matmul": matmul_in_int16}, "matmul"),
    ],
    ids=[
        "a sum that stops at 32,768 rows",
        "a sum that stops at 65,536 rows",
        "a matmul that counts rows in 16 bits",
    ],
)
def test_faults_of_large_batches_are_caught(functions: dict[str, Any], operation: str) -> None:
    many = [case for case in all_cases() if case.x.shape[0] == MANY_ROWS]
    report = compare([FaultyBackend("float32", **functions)], cases=many)
    assert {departure.operation for departure in report.departures} == {operation}
    assert faulty(**functions).ok, "small batches do not show it"


class ScrambledJit(NumpyBackend):
    """A compiler that gets wrong what the library does right."""

    def jit(self, function: Any) -> Any:
        plain = super().jit(function)
        if function.__name__ == "<lambda>":
            return plain

        def run(*arrays: Any) -> Any:
            outputs, loss, grad = plain(*arrays)
            return outputs, loss, tuple(g * np.asarray(1.001, g.dtype) for g in grad)

        return run


def test_a_fault_of_the_compiler_is_told_from_one_of_an_operation() -> None:
    case = make_case("small", MLP((5, 4, 3), "tanh"))
    (departure,) = compare([ScrambledJit("cpu", "float32")], cases=[case]).departures
    assert departure.operation is None
    assert departure.quantities == ("weights.0", "weights.1", "biases.0", "biases.1")
    assert "every operation on its own is right" in departure.message


def test_a_wrong_derivative_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference runs the same formula, so a formula that is wrong everywhere is gradcheck's to find; one that
    is wrong on a single library, as an override may be, is parity's."""

    def wrong(xp: Any, z: Any) -> Any:
        a = xp.tanh(z)
        on_reference = type(xp).__name__ != "PlainNamespace"
        return a, lambda da: da * (1.0 - a * a if on_reference else 1.0 - a)

    monkeypatch.setitem(ACTIVATIONS, "tanh", wrong)
    case = make_case("small", MLP((5, 4, 3), "tanh"))
    (departure,) = compare(["numpy"], cases=[case], dtypes=["float32"]).departures
    assert departure.quantities == ("weights.0", "biases.0")


def test_a_departure_says_where() -> None:
    report = compare(
        [FaultyBackend("float32", tanh=FAULTS["tanh by its Taylor series"][1])],
        cases=[make_case("small", MLP((5, 4, 4, 3), ("relu", "tanh")))],
    )
    (departure,) = report.departures
    assert departure.message.startswith("tanh in the forward pass, layer 1, tanh: ")
    assert " within " in departure.message
    assert "of shape [6, 4]" in departure.message


def test_a_departure_in_the_backward_pass_says_so() -> None:
    report = compare(
        [FaultyBackend("float32", sum=sum_short)],
        cases=[make_case("small", MLP((5, 4, 3), "tanh"))],
    )
    assert "in the backward pass, layer 1, derivative of dense" in report.departures[0].message


# --- reduced precision ---


def test_reduced_precision_is_measured() -> None:
    assert matmul_bits(select_backend(dtype="float32")) == 23
    assert matmul_bits(select_backend(dtype="float64")) == 52
    coarse = FaultyBackend("float32", matmul=matmul_in_tf32)
    assert matmul_bits(coarse) == 10
    (comparison,) = compare([coarse], cases=[]).comparisons
    assert comparison.reduced_precision == (
        "matmul keeps 10 of 23 bits of its float32 inputs, as TF32 or half precision does",
    )


def no_product(a: Any, b: Any) -> Any:
    raise NotImplementedError("tile larger than 128\nat line 7")


@pytest.mark.parametrize(
    ("matmul", "reason"),
    [
        (no_product, "NotImplementedError: tile larger than 128"),
        (
            lambda a, b: np.matmul(a, b)[None],
            "ValueError: matmul gave shape (1, 256, 256), expected (256, 256)",
        ),
    ],
    ids=["raises", "wrong shape"],
)
def test_products_that_fail_do_not_cost_the_report(matmul: Any, reason: str) -> None:
    report = compare([FaultyBackend("float32", matmul=matmul)], cases=BED_CASES)
    (comparison,) = report.comparisons
    assert comparison.reduced_precision == (f"products could not be measured: {reason}",)
    assert {departure.operation for departure in comparison.departures} == {"matmul"}


def test_torch_settings_are_reported() -> None:
    torch = pytest.importorskip("torch")
    backend = select_backend("torch", dtype="float32")
    assert backend.reduced_precision() == ()
    torch.set_float32_matmul_precision("medium")
    try:
        assert "torch.set_float32_matmul_precision('highest')" in backend.reduced_precision()[0]
        assert select_backend("torch", dtype="float64").reduced_precision() == ()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert backend.reduced_precision() == ()


def test_jax_settings_are_reported() -> None:
    jax = pytest.importorskip("jax")
    backend = select_backend("jax", dtype="float32")
    assert backend.reduced_precision() == ()
    with jax.default_matmul_precision("bfloat16"):
        (sentence,) = backend.reduced_precision()
    assert "'bfloat16'" in sentence
    assert "jax_default_matmul_precision" in sentence


# --- what is compared ---


def test_the_report_is_json() -> None:
    report = compare(["numpy"], cases=[make_case("one", MLP((2, 2, 2)))])
    described = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert described["ok"] is True
    assert [c["dtype"] for c in described["comparisons"]] == ["float32", "float64"]
    names = [d["quantity"] for d in described["comparisons"][0]["differences"]]
    assert names == ["outputs", "loss", "weights.0", "weights.1", "biases.0", "biases.1"]
    assert "k u / (1 - k u)" in described["tolerance"]


def test_json_holds_no_infinities() -> None:
    report = compare(
        [FaultyBackend("float32", tanh=lambda x: x * np.nan)],
        cases=[make_case("one", MLP((2, 2, 2), "tanh"))],
    )
    assert not report.ok
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_backend_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "jax" else find_spec(name)
    )
    with pytest.raises(BackendUnavailableError, match=r"pip install 'anyarray-mlp\[jax\]'"):
        compare(["numpy", "jax"], cases=[])
    absent = dict(compare(cases=[]).absent)
    assert "pip install" in absent["jax, cuda"]


def test_libraries_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def statuses() -> Any:
        asked.append(1)
        return backend_statuses()

    monkeypatch.setattr("anyarray_mlp.parity.subjects.backend_statuses", statuses)
    compare(cases=[])
    assert len(asked) == 1


def test_a_namespace_that_is_absent() -> None:
    with pytest.raises(BackendUnavailableError, match="'no_such_library' cannot be imported"):
        compare(namespaces=["no_such_library"])


def test_choices_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="dtype must be float32 or float64, got 'float16'"):
        compare(["numpy"], dtypes=["float16"])
    with pytest.raises(UsageError, match="backend must be one of"):
        compare(["tensorflow"])
    with pytest.raises(UsageError, match="cupy backend runs on a GPU only"):
        compare(["cupy"], device="cpu")


@pytest.mark.parametrize("name", ["array_api_strict", "array_api_compat.numpy", "numpy"])
def test_any_namespace(name: str) -> None:
    pytest.importorskip(name)
    cases = [case for case in all_cases(quick=True) if case.name not in SLOW]
    report = compare(namespaces=[name], cases=cases)
    assert report.departures == ()
    assert [(c.backend, c.device) for c in report.comparisons] == [(name, "default")] * 2


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('CUDA driver not found')", "RuntimeError: CUDA driver not found"),
        ("def (:", "SyntaxError"),
        (None, "TypeError: the 'package' argument is required"),
    ],
    ids=["an import that raises", "a syntax error", "a dot"],
)
def test_a_namespace_that_cannot_be_imported(
    source: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "." if source is None else "unimportable"
    (tmp_path / "unimportable.py").write_text(source or "")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendUnavailableError, match=f"'{name}' cannot be imported .{reason}"):
        compare(namespaces=[name])


def numpy_names(**changes: Any) -> types.SimpleNamespace:
    """NumPy's public names as a namespace, some replaced; None removes one."""
    names = {name: getattr(np, name) for name in dir(np) if not name.startswith("_")}
    names |= {"__name__": "changed", **changes}
    return types.SimpleNamespace(**{k: v for k, v in names.items() if v is not None})


def test_a_library_without_float64_is_told_of_the_flag() -> None:
    library = numpy_names(float64=None)
    progress: list[str] = []
    with pytest.raises(UsageError, match=r"changed has no float64: .* --dtype float32"):
        compare(namespaces=[library], progress=progress.append)
    assert progress == [], "before anything runs"
    assert compare(namespaces=[library], dtypes=["float32"], cases=BED_CASES[:1]).ok


class Opaque:
    """An array that nothing can be read from."""

    def __init__(self, array: Any) -> None:
        self.array = array


def test_arrays_that_do_not_come_out_are_refused() -> None:
    library = numpy_names(asarray=lambda x, dtype=None: Opaque(np.asarray(x, dtype)))
    with pytest.raises(UsageError, match="Arrays of changed cannot be read through __dlpack__ or"):
        compare(namespaces=[library])


def test_arrays_that_do_not_go_in_are_refused() -> None:
    def asarray(x: Any, dtype: Any = None) -> Any:
        raise RuntimeError("device out of memory\nand more")

    with pytest.raises(
        UsageError,
        match=r"changed.asarray does not take a float32 NumPy array .*\(RuntimeError: device out of memory\)",
    ):
        compare(namespaces=[numpy_names(asarray=asarray)])


def test_a_namespace_that_is_none() -> None:
    with pytest.raises(
        UsageError, match="math does not follow the Array API standard: it has no arange"
    ):
        compare(namespaces=["math"])


def test_a_function_that_a_namespace_lacks_is_named() -> None:
    names = ("asarray", "float32", "arange", "empty", "eye", "full", "linspace", "ones", "zeros")
    partial = types.SimpleNamespace(
        __name__="partial",
        **{
            name: getattr(np, name)
            for name in (*names, "reshape", "matmul", "int64", "int32", "take")
        },
    )
    (comparison,) = compare(
        namespaces=[partial], dtypes=["float32"], cases=[make_case("one", MLP((2, 2, 2), "tanh"))]
    ).comparisons
    (departure,) = comparison.departures
    assert departure.operation == "tanh"
    assert "the namespace does not have it" in departure.message


class OwnDtype:
    """A dtype that may be compared with its like alone."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OwnDtype):
            raise TypeError(f"cannot compare a dtype with {other!r}")
        return self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class OwnArray:
    """A NumPy array whose dtype is the library's own."""

    __array_ufunc__ = None

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array

    def __getattr__(self, name: str) -> Any:
        return getattr(self.array, name)

    @property
    def dtype(self) -> OwnDtype:
        return OwnDtype(self.array.dtype.name)

    def __getitem__(self, key: Any) -> Any:
        return OwnArray(self.array[unwrap(key)])

    def __neg__(self) -> Any:
        return OwnArray(-self.array)


for symbol in [
    "add",
    "sub",
    "mul",
    "truediv",
    "radd",
    "rsub",
    "rmul",
    "rtruediv",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "and",
    "or",
    "xor",
]:

    def operation(self: OwnArray, other: Any, symbol: str = symbol) -> OwnArray:
        return OwnArray(getattr(self.array, f"__{symbol}__")(unwrap(other)))

    setattr(OwnArray, f"__{symbol}__", operation)


def unwrap(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(unwrap(item) for item in value)
    if isinstance(value, OwnDtype):
        return np.dtype(value.name)
    return value.array if isinstance(value, OwnArray) else value


class OwnNamespace:
    """NumPy's functions on `OwnArray`, with the dtypes that a network needs and no other."""

    __name__ = "own"
    float32, float64, int32, int64 = map(OwnDtype, ("float32", "float64", "int32", "int64"))

    def __getattr__(self, name: str) -> Any:
        if name in ("bool", "uint8", "erf", "logistic", "softplus"):
            raise AttributeError(name)
        function = getattr(np, name)
        return lambda *args, **kwargs: OwnArray(
            function(*unwrap(args), **{key: unwrap(value) for key, value in kwargs.items()})
        )


def test_dtypes_of_a_librarys_own_kind() -> None:
    """Only what is given as a dtype is compared with one."""
    report = compare(namespaces=[OwnNamespace()], cases=BED_CASES)
    assert report.departures == ()


def test_dtypes_that_a_namespace_lacks() -> None:
    """np.dtype("float64") == None is true: None must not stand for what is missing."""
    dtypes = {name: np.dtype(name) for name in ("float32", "float64", "int32", "int64")}
    library = numpy_names(bool=None, uint8=None, **dtypes)
    assert compare(namespaces=[library], cases=BED_CASES).departures == ()


def test_case_generators_are_reproducible() -> None:
    for first, second in zip(
        [*activation_cases(), *pair_cases()], [*activation_cases(), *pair_cases()], strict=True
    ):
        np.testing.assert_array_equal(first.x, second.x)
        np.testing.assert_array_equal(first.parameters, second.parameters)
