"""What the steps of an epoch are fed: rows of arrays in an order that is drawn, or batches as the user gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic.shard import Shard
from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import UnknownOptionError
from anyarray_mlp.checking.values import checked_weight
from anyarray_mlp.data.stored import is_stored
from anyarray_mlp.errors import DataError, UsageError, in_a_line
from anyarray_mlp.training.batches import (
    STEPS_PER_RUN,
    Shuffles,
    alike,
    check_host_batch,
    checked_order,
)
from anyarray_mlp.training.given import as_rows, as_targets, columns_of, is_array
from anyarray_mlp.training.job import Job, Rows
from anyarray_mlp.training.predicting import STREAM_BYTES, dense, is_sparse
from anyarray_mlp.training.recipe import Recipe, epochs_of
from anyarray_mlp.training.steps import gathered
from anyarray_mlp.typing import Array

#: Bytes of the batches that one compiled run takes along if x is dense and stays on the host (if it is sparse,
#: `STREAM_BYTES`): few, as two runs' batches are there at a time.
GATHER_BYTES = 1 << 24

#: What gives the batches of every epoch from the first one on: an iterable, or a function that makes one.
Batches: TypeAlias = Iterable[Any] | Callable[[], Iterable[Any]]


#: The networks that take a step: all of them.
ALL = slice(None)


class Portion(NamedTuple):
    """What K steps of an epoch take: `ahead`, arrays that come ahead of their other inputs, each with a leading axis
    of K, and the `indices` (K, k rows) of the rows of the feed's data, those of each of the k networks that take these
    steps after those of the one before, or None. `span` says which they are. If there are other ranks, `shard` says
    which rows of each batch the indices are.
    """

    ahead: tuple[Array, ...]
    indices: NDArray[np.int64] | None
    steps: int
    rows: int
    span: slice = ALL
    shard: Shard | None = None


class Feed(Protocol):
    """Where the steps of a job get their rows from.

    data : what lies on the device for all steps.
    options : what `training_step` is told of it.
    steps_per_epoch : None if nobody knows.
    waits : whether portions must not be made far ahead of the device.
    """

    data: tuple[Array, ...]
    steps_per_epoch: int | None
    waits: bool

    @property
    def options(self) -> dict[str, bool]: ...

    def portions(self) -> Iterator[Portion]:
        """One epoch."""

    def state(self, place: int) -> dict[str, Any]:
        """What the next epoch's order of a network follows from, JSON-able."""

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some of the networks."""


class Order:
    """The places of a network's rows in the order in which it takes them: the one that `shuffles` draws for each epoch;
    None takes them as they lie.

    places : which of the rows these are; None for all n.
    """

    def __init__(
        self, n: int, shuffles: Shuffles | None, places: NDArray[np.int64] | None = None
    ) -> None:
        self.n = n if places is None else len(places)
        self.shuffles = shuffles
        self.places = places

    def drawn(self) -> NDArray[np.int64]:
        """The places (n,) in the order of one more epoch."""
        n, shuffles = self.n, self.shuffles
        order = np.arange(n) if shuffles is None else checked_order(shuffles.permutation(n), n)
        return order if self.places is None else self.places[order]


class RowFeed:
    """Batches of arrays, for one network or for several, each of which has an order of its own.

    All of these have equally many full batches, and those with equally many rows stand beside one another.
    """

    def __init__(self, job: Job, rows: Rows, batch_size: int, orders: Sequence[Order]) -> None:
        backend = self.backend = job.backend
        x = rows.x
        if is_stored(x):
            raise UsageError(
                "Several networks are trained on rows in memory, and these are on disk: train one."
            )
        self.rows = rows
        self.orders = list(orders)
        self.batch_size = batch_size
        self.communicator = job.communicator
        self.steps_per_epoch: int | None = -(-self.orders[0].n // batch_size)
        sparse = is_sparse(x)
        self.x = x.tocsr() if sparse else x
        self.waits = sparse or (isinstance(x, np.ndarray) and backend.streams(x))
        rest = rows.targets, rows.sample_weight
        self.data = job.on_device(*rest) if self.waits else job.on_device(self.x, *rest)
        self.options = {"weighted": rows.sample_weight is not None, "streamed": self.waits}
        self.most = STEPS_PER_RUN
        if self.waits:
            room = STREAM_BYTES if sparse else GATHER_BYTES
            rows_of_a_step = len(self.orders) * batch_size
            self.most = max(1, min(self.most, room // (8 * rows_of_a_step * x.shape[1])))

    def portions(self) -> Iterator[Portion]:
        """One epoch, which takes every row of each network once."""
        drawn = [order.drawn() for order in self.orders]
        size = self.batch_size
        full = len(drawn[0]) // size
        for start in range(0, full, self.most):
            stop = min(start + self.most, full)
            runs = [order[start * size : stop * size].reshape(-1, size) for order in drawn]
            yield self.portion(runs, ALL)
        for span in alike([len(order) for order in drawn]):
            rests = [order[None, full * size :] for order in drawn[span]]
            if rests[0].size:
                yield self.portion(rests, span)

    def portion(self, runs: Sequence[NDArray[np.int64]], span: slice) -> Portion:
        """What steps take whose rows (K, rows) of each network are given."""
        indices = runs[0] if len(runs) == 1 else np.concatenate(runs, axis=1)
        (steps, rows), shard = runs[0].shape, None
        if self.communicator is not None:
            shard = Shard.of_rank(self.communicator.rank, self.communicator.size, rows)
            indices = indices[:, shard.span]
        ahead = (gathered(self.backend, self.x, indices),) if self.waits else ()
        return Portion(ahead, indices, steps, rows, span, shard)

    def state(self, place: int) -> dict[str, Any]:
        """Where the shuffles of a network stand."""
        shuffles = self.orders[place].shuffles
        return shuffles.state() if shuffles else {}

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some of the networks."""
        self.orders = [self.orders[place] for place in places]


class BatchFeed:
    """Batches (x, targets) or (x, targets, sample_weight) as they come, each one step."""

    waits = True

    def __init__(self, job: Job, given: Batches) -> None:
        check_batches(given, job.recipe)
        self.data: tuple[Array, ...] = ()
        self.job = job
        self.given = given
        self.steps_per_epoch = length_of(given)
        self.weighted: bool | None = None
        self.epoch = 0

    @property
    def options(self) -> dict[str, bool]:
        """Known once the first batch has come."""
        return {"weighted": bool(self.weighted), "in_batches": True}

    def portions(self) -> Iterator[Portion]:
        """One epoch: all batches from the first one on."""
        self.epoch += 1
        given: Any = self.given
        number = -1
        for number, item in enumerate(given if hasattr(given, "__iter__") else made_by(given)):
            try:
                arrays = self.arrays(item)
            except DataError as error:
                raise DataError(f"Batch {number} (from 0) of epoch {self.epoch}: {error}") from None
            yield Portion(arrays, None, 1, arrays[0].shape[1])
        if number < 0:
            again = ", as if it could be read only once: give it a new iterator each time"
            raise DataError(
                f"There is no batch in epoch {self.epoch}: {shown(given)} gives nothing"
                f"{again if self.epoch > 1 else ''}."
            )

    def arrays(self, item: Any) -> tuple[Array, ...]:
        """The arrays of a batch on the device, each with an axis of one step in front; `DataError` for what is none."""
        mlp, backend = self.job.mlp, self.job.backend
        if not isinstance(item, tuple | list) or len(item) not in (2, 3):
            raise DataError(
                f"a batch must be (x, targets) or (x, targets, sample_weight), got {shown(item)}."
            )
        parts = item[:2] if item[-1] is None else item
        x, targets, *weights = (readable(backend, part) for part in parts)
        x, targets = dense(as_rows("x", x)), as_targets(mlp, targets)
        check_host_batch(mlp, x, targets)
        if x.shape[0] < 1:
            raise DataError("x has no rows: leave empty batches out.")
        weights = [checked_weight(as_rows("sample_weight", w), x.shape[0]) for w in weights]
        if self.weighted is None:
            self.weighted = bool(weights)
        if self.weighted != bool(weights):
            raise DataError("some batches have sample weights and others have none: give them all.")
        return tuple(a_step(backend, array) for array in (x, targets, *weights))

    def state(self, place: int) -> dict[str, Any]:
        """Nothing: the order is the user's."""
        return {}

    def keep(self, places: Sequence[int]) -> None:
        """There is one network, and it is kept."""


def check_batches(given: Any, recipe: Recipe) -> None:
    """Raise `UsageError` for what gives no batches, or not in every epoch, and for settings that go with arrays."""
    what = (
        "a list of batches (x, targets), an iterable of them, such as the DataLoader of a data set, or a function that "
        "gives one"
    )
    if is_array(given) or columns_of(given) is not None:
        raise UsageError(f"targets are missing: without them x must be {what}.")
    iterable = hasattr(given, "__iter__") and not isinstance(given, str | bytes | dict | set)
    if isinstance(given, type) or not (iterable or callable(given)):
        raise UsageError(f"Without targets x must be {what}, got {shown(given)}.")
    if recipe.batch_size is not None:
        raise UnknownOptionError(
            f"batch_size={recipe.batch_size} is for arrays, and batches have sizes of their own: leave it out."
        )
    if recipe.by_lbfgs:
        raise UsageError(
            "lbfgs takes each step on all rows, and a batch has only some: give arrays, or choose another optimizer."
        )
    # To ask `iter(given)` would start a DataLoader's workers and draw from its generator.
    if hasattr(given, "__next__") and epochs_of(recipe) > 1:
        raise UsageError(
            f"A {type(given).__name__} can be read only once, and there are {epochs_of(recipe)} epochs: pass the "
            "function that makes it, without calling it, or a list of batches, or epochs=1."
        )


def made_by(function: Callable[[], Any]) -> Iterable[Any]:
    """The batches that a user's function gives; `UsageError` if they are none."""
    made: Any = function()
    if not hasattr(made, "__iter__"):
        raise UsageError(
            f"The function of batches must give an iterable of them, got {shown(made)}."
        )
    batches: Iterable[Any] = made
    return batches


def length_of(given: Any) -> int | None:
    """How many batches there are, or None if they do not say so."""
    try:
        return len(given)
    except (
        TypeError,
        NotImplementedError,
    ):  # as DataLoaders of streams and Keras' data sets have it
        return None


def readable(backend: Backend, array: Any) -> Any:
    """A batch's part for `as_rows`: the backend's own arrays stay on their device, those of others come to the host."""
    on_cpu = str(getattr(array, "device", "")) == "cpu"
    if not is_array(array) or is_sparse(array) or (backend.owns(array) and not on_cpu):
        return array
    try:
        # PyTorch tells by `detach` that no gradient is wanted.
        return np.asarray(array.detach() if hasattr(array, "detach") else array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"a {type(array).__module__}.{type(array).__name__} cannot be read on the host ({in_a_line(error)}): move "
            f"it there, or give arrays of {backend.name}."
        ) from None


def a_step(backend: Backend, array: Array) -> Array:
    """An array as the input of one step: a copy, as whoever makes batches may use the memory again."""
    if not isinstance(array, np.ndarray):
        return array[None, ...]
    return backend.asarray(array[None], "uint8" if array.dtype == np.uint8 else None)
