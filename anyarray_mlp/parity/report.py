"""What parity found, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from anyarray_mlp.parity.tracing import FaultyOperation
from anyarray_mlp.persistence.plain_json import plain


@dataclass(frozen=True)
class Difference:
    """How far one quantity is from the reference: "outputs", "loss", or a parameter's gradient ("weights.0").

    Attributes
    ----------
    absolute : the largest difference of any element.
    relative : `absolute` divided by the largest magnitude of the quantity, if the bound distinguishes that from zero.
    ulp : the largest difference in units in the last place of the element itself, among elements that the bound
        distinguishes from zero. It is large, rightly, if a sum nearly cancels.
    share : the largest difference as a fraction of what the error bound allows; above 1 is a departure.
    tolerance : the bound of the element with the largest share.
    case : where that share was seen.
    """

    quantity: str
    absolute: float
    relative: float
    ulp: float
    share: float
    tolerance: float
    case: str

    def merged(self, other: Difference) -> Difference:
        """The larger value of each field, with the tolerance and the case of the larger share."""
        worse = other if other.share > self.share else self
        return Difference(
            self.quantity,
            max(self.absolute, other.absolute),
            max(self.relative, other.relative),
            max(self.ulp, other.ulp),
            worse.share,
            worse.tolerance,
            worse.case,
        )


@dataclass(frozen=True)
class Departure:
    """A case in which a backend exceeds the bound.

    `operation` is the first one that departs, None if every operation is right on its own and only the compiled whole
    is wrong; `others` are the operations that depart after it; `message` is one sentence.
    """

    case: str
    operation: str | None
    message: str
    quantities: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @classmethod
    def from_faults(
        cls, case: str, faults: list[FaultyOperation], quantities: tuple[str, ...]
    ) -> Departure:
        """The departure caused by faulty operations."""
        first = faults[0]
        others = dict.fromkeys(f.operation for f in faults if f.operation != first.operation)
        return cls(case, first.operation, str(first), quantities, tuple(others))


@dataclass(frozen=True)
class Comparison:
    """One backend on one device in one dtype, over all cases.

    `reduced_precision` lists the settings and measurements that make its arithmetic less precise than the dtype;
    `unchecked` are operations for which the op-by-op check has no rule; `operations` is how many it checked.
    `stopped` is the case in which its time was over, and how many cases there are; None if all were run.
    """

    backend: str
    version: str | None
    device: str
    dtype: str
    cases: int
    operations: int
    differences: tuple[Difference, ...]
    departures: tuple[Departure, ...]
    reduced_precision: tuple[str, ...]
    unchecked: tuple[str, ...]
    seconds: float
    stopped: tuple[str, int] | None = None

    @property
    def ok(self) -> bool:
        """Whether all cases were run and none departs."""
        return not self.departures and self.stopped is None


@dataclass(frozen=True)
class Report:
    """All comparisons, what was left out with the reason, and what the tolerance is."""

    comparisons: tuple[Comparison, ...]
    absent: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing departs."""
        return all(comparison.ok for comparison in self.comparisons)

    @property
    def departures(self) -> tuple[Departure, ...]:
        """All departures, in order."""
        return tuple(d for comparison in self.comparisons for d in comparison.departures)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description; non-finite numbers become null."""
        description: dict[str, Any] = plain(
            {"ok": self.ok, "tolerance": TOLERANCE, **asdict(self)},
            "the report",
            null_for_nonfinite=True,
        )
        for comparison, entry in zip(self.comparisons, description["comparisons"], strict=True):
            entry["ok"] = comparison.ok
        description["absent"] = dict(self.absent)
        return description


TOLERANCE = (
    "a running error analysis: each operation of the same pass, computed in float64, carries what rounding "
    "in the tested dtype may change (sums and products over k terms k u / (1 - k u), in any order; functions 8 units "
    "in the last place, erf 16, division 2.5), through every layer, with the sizes and values of the case"
)
