"""`compare_exactly`: reproducible arithmetic on every backend, compared bit by bit."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.backends.selection import DTYPES
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.errors import others_as_usage
from anyarray_mlp.parity.cases import Case, exact_cases
from anyarray_mlp.parity.comparison import without_flags
from anyarray_mlp.parity.passes import CompiledPasses
from anyarray_mlp.parity.subjects import Absent, find_subjects
from anyarray_mlp.typing import Host

Bits = dict[tuple[str, str], Host]


@dataclass(frozen=True)
class ExactComparison:
    """The bits of one backend on one device in one dtype, against NumPy's on this machine.

    Attributes
    ----------
    hash : SHA-256 of outputs, losses and gradients of all cases: equal if every bit is.
    numbers, different_numbers, different_bits : how many there are, and how many differ.
    first : the case and quantity of the first difference, or None.
    """

    backend: str
    version: str | None
    device: str
    dtype: str
    cases: int
    hash: str
    numbers: int
    different_numbers: int
    different_bits: int
    first: str | None
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every bit is the same."""
        return self.different_bits == 0


@dataclass(frozen=True)
class ExactReport:
    """All comparisons, and what was left out with the reason."""

    comparisons: tuple[ExactComparison, ...]
    absent: Absent = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every bit is the same everywhere."""
        return all(comparison.ok for comparison in self.comparisons)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description."""
        return {"ok": self.ok, **asdict(self), "absent": dict(self.absent)}


@with_known_options
def compare_exactly(
    backends: Sequence[str | Backend] | None = None,
    *,
    namespaces: Sequence[str | ModuleType] = (),
    to_host: str | Callable[[Any], Host] | None = None,
    device: str | None = None,
    dtypes: Sequence[str] = DTYPES,
    cases: Sequence[Case] | None = None,
    quick: bool = False,
    progress: Callable[[str], None] = lambda message: None,
) -> ExactReport:
    """Compare outputs, loss and gradients under reproducible arithmetic with NumPy's, bit for bit.

    The arguments are those of `compare`; a `Backend` object is used unchanged.
    """
    started = time.perf_counter()
    chosen = list(exact_cases(quick) if cases is None else cases)
    subjects, absent = find_subjects(backends, namespaces, device, dtypes, True, to_host)
    known: dict[str, Bits] = {}
    comparisons = []
    for subject in subjects:
        with failures_named(subject.namespace):
            backend = subject.make()
        progress(subject.title(backend))
        begun = time.perf_counter()
        if backend.dtype not in known:
            numpy = select_backend("numpy", "cpu", backend.dtype, reproducible=True)
            known[backend.dtype] = bits_of(numpy, chosen)
        wanted = known[backend.dtype]
        with failures_named(subject.namespace):
            found = bits_of(backend, chosen)
        comparisons.append(
            ExactComparison(
                backend=backend.name,
                version=subject.version,
                device=backend.device,
                dtype=backend.dtype,
                cases=len(chosen),
                hash=digest(found),
                seconds=time.perf_counter() - begun,
                **differences(found, wanted),
            )
        )
    return ExactReport(tuple(comparisons), absent, time.perf_counter() - started)


def failures_named(namespace: str | None) -> AbstractContextManager[None]:
    """Shortens a namespace's errors within reproducible arithmetic to one line; other errors pass through."""
    if namespace is None:
        return nullcontext()
    return others_as_usage(
        lambda error: (
            f"Reproducible arithmetic (--exact) does not run on {namespace}: it raised {error}; "
            "docs/parity.md lists what it needs of a namespace."
        )
    )


@without_flags
def bits_of(backend: Backend, cases: Sequence[Case]) -> Bits:
    """All numbers of all cases, by case and quantity."""
    passes = CompiledPasses(backend)
    return {
        (case.name, quantity): values
        for case in cases
        for quantity, values in passes.run(case.rounded(backend.dtype)).items()
    }


def digest(bits: Bits) -> str:
    """SHA-256 of the numbers in order, little-endian."""
    sha = hashlib.sha256()
    for (case, quantity), values in bits.items():
        sha.update(f"{case}/{quantity}{values.shape}".encode())
        sha.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return sha.hexdigest()


def differences(found: Bits, wanted: Bits) -> dict[str, Any]:
    """How many numbers and bits differ, and where the first difference is."""
    numbers = different_numbers = different_bits = 0
    first = None
    for key, right in wanted.items():
        left = found[key]
        numbers += right.size
        if left.shape != right.shape or left.dtype != right.dtype:
            counts = np.full(right.shape, 8 * right.itemsize)
        else:
            counts = np.bitwise_count(as_integers(left) ^ as_integers(right))
        different_numbers += int(np.count_nonzero(counts))
        different_bits += int(np.sum(counts, dtype=np.int64))
        if first is None and np.any(counts):
            first = f"{key[0]}: {key[1]}"
    return {
        "numbers": numbers,
        "different_numbers": different_numbers,
        "different_bits": different_bits,
        "first": first,
    }


def as_integers(values: Host) -> Host:
    """The bits of floats as unsigned integers."""
    return np.ascontiguousarray(values).view(f"u{values.itemsize}").reshape(values.shape)
