"""Networks of a stack, trained together: each a run of its own, one step for all."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend, Run
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DivergedError
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.batches import checked_batch_size
from anyarray_mlp.training.callbacks import Watch
from anyarray_mlp.training.feeds import Order, RowFeed
from anyarray_mlp.training.fitting import best_of, fit, origin_of, stopping_of
from anyarray_mlp.training.given import Given
from anyarray_mlp.training.job import Job, Rows, checked_job
from anyarray_mlp.training.loop import begun, rounds_of, shuffles_of
from anyarray_mlp.training.predicting import is_sparse
from anyarray_mlp.training.recipe import Recipe, batch_size_of, with_options
from anyarray_mlp.training.records import Epoch, Fit, TrainingState
from anyarray_mlp.training.signals import Interrupted
from anyarray_mlp.training.state import Member, to_vector
from anyarray_mlp.training.stepper import Stepper
from anyarray_mlp.typing import Host

#: A validation set: (x, targets), or places (n,) of the rows that are trained on, or none.
HeldOut: TypeAlias = "tuple[Any, Any] | NDArray[np.int64] | None"


@dataclass(frozen=True, eq=False)
class Shared:
    """What all networks have in common: the data as they were given and as stacks take them, the backend, and the
    steps that are compiled for it. Whether the weights of rows count for validation rows, where these are places.
    """

    given: Given
    data: Rows
    backend: Backend
    input_scale: float | None
    weighs_validation: bool = False
    compiled: dict[Any, Run] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network that is asked for: its place among the results, and how it is trained on what."""

    place: int
    mlp: MLP
    recipe: Recipe
    rows: NDArray[np.int64] | None
    validation: HeldOut
    initial: Host | TrainingState | None
    shared: Shared

    def held_out(self) -> tuple[Any, Any] | None:
        """Its validation set, taken from the rows where places of these are given: as its turn comes, not before."""
        if not isinstance(self.validation, np.ndarray):
            return self.validation
        given = self.shared.given
        return taken(given.x, self.validation), taken(given.targets, self.validation)

    def finished(self, result: Fit) -> Fit:
        """The result, which knows of its making."""
        made = self.shared
        origin = origin_of(self.mlp, made.given, self.recipe, made.backend, made.input_scale)
        return replace(result, origin=origin)

    def batch_size(self, n: int) -> int:
        """The rows of a full batch, of n rows in all."""
        return checked_batch_size(batch_size_of(self.recipe), self.size(n))

    def size(self, n: int) -> int:
        """The rows that it is trained on, of n rows in all."""
        return n if self.rows is None else len(self.rows)


class UnderWay:
    """A network of a stack under way."""

    def __init__(
        self, candidate: Candidate, member: Member, start: TrainingState, interrupted: Interrupted
    ) -> None:
        self.candidate = candidate
        self.member = member
        self.stopping = stopping_of(candidate.recipe, candidate.initial)
        self.watch = Watch([self.stopping] if self.stopping else [], interrupted)
        #: Its parameters: those at the start, then at the end.
        self.parameters = start.parameters
        self.diverged = False

    def result(self, interrupted: Interrupted) -> Fit:
        """What came of it."""
        history = tuple(self.watch.history)
        if self.diverged:
            return self.candidate.finished(Fit(self.parameters, history, "diverged"))
        stopped = self.watch.stopped
        if interrupted.is_set() and not history:
            stopped = "interrupted"
        signal = interrupted.signal if stopped == "interrupted" else None
        result = Fit(self.parameters, history, stopped, signal)
        return self.candidate.finished(best_of(result, self.stopping))


#: What an epoch came to for each network of a stack that is under way.
Told: TypeAlias = "list[tuple[UnderWay, Epoch | DivergedError]]"


class Stack:
    """Networks of one kind that are trained at once, each until it is over."""

    def __init__(self, group: list[Candidate], shared: Shared, interrupted: Interrupted) -> None:
        n = shared.data.x.shape[0]
        size = group[0].batch_size(n)
        jobs = [job_of(candidate) for candidate in group]
        orders = [
            Order(n, shuffles_of(candidate.recipe, candidate.initial), candidate.rows)
            for candidate in group
        ]
        states = []
        self.interrupted = interrupted
        self.runs: list[UnderWay] = []
        for candidate, job, order in zip(group, jobs, orders, strict=True):
            member, state = begun(job, -(-order.n // size), candidate.initial)
            self.runs.append(UnderWay(candidate, member, state, interrupted))
            states.append(state)
        self.stepper: Stepper | None = None
        if not interrupted.is_set() and any(run.member.left for run in self.runs):
            feed = RowFeed(jobs[0], shared.data, size, orders)
            members = [run.member for run in self.runs]
            self.stepper = Stepper(members, states, feed, compiled=shared.compiled)

    def rounds(self, stop_requested: Callable[[], bool]) -> Iterator[Told]:
        """Train them; what each epoch came to for those that are not over yet."""
        if self.stepper is None:
            return
        under_way = {run.member: run for run in self.runs}
        for round_ in rounds_of(self.stepper, stop_requested):
            told: Told = []
            for member, epoch in round_:
                run = under_way[member]
                if isinstance(epoch, DivergedError):
                    run.parameters, run.diverged = epoch.parameters, True
                else:
                    member.over = run.watch(epoch) or member.over
                    if member.over:
                        run.parameters = self.now(run)
                if member.over:
                    del under_way[member]
                told.append((run, epoch))
            yield told
        for run in under_way.values():  # where a stop was asked for
            if run.watch.history:
                run.parameters = self.now(run)

    def now(self, run: UnderWay) -> Host:
        """The parameters (p,) of a network as they are now."""
        assert self.stepper is not None
        leaves, _ = run.watch.history[-1].on_device()
        return to_vector(self.stepper.job.mlp, self.stepper.job.backend, leaves)

    def free(self) -> None:
        """Give the memory of the device back; no epoch can be asked for its state from here on."""
        if self.stepper is not None:
            self.stepper.go_on([])

    def results(self) -> dict[int, Fit]:
        """What came of each, by place."""
        return {run.candidate.place: run.result(self.interrupted) for run in self.runs}


def fit_stack(group: list[Candidate], shared: Shared, interrupted: Interrupted) -> dict[int, Fit]:
    """Train networks of one kind at once; results by place."""
    stack = Stack(group, shared, interrupted)
    for _ in stack.rounds(interrupted.is_set):
        pass
    stack.free()
    return stack.results()


def job_of(candidate: Candidate) -> Job:
    """The job of a network."""
    made, held_out = candidate.shared, candidate.validation
    job = checked_job(
        candidate.mlp, candidate.recipe, made.backend, candidate.held_out(), made.input_scale
    )
    if made.weighs_validation and isinstance(held_out, np.ndarray):
        job = replace(job, validation_weight=taken(made.given.sample_weight, held_out))
    return job


def fit_alone(group: list[Candidate], shared: Shared, interrupted: Interrupted) -> dict[int, Fit]:
    """Train what is in no stack; results by place."""
    given, results = shared.given, {}
    for candidate in group:
        recipe = candidate.recipe
        if interrupted.is_set():
            recipe = with_options(recipe, {"epochs": 0})
        try:
            result = fit(
                candidate.mlp,
                taken(given.x, candidate.rows),
                taken(given.targets, candidate.rows),
                recipe,
                backend=shared.backend,
                validation=candidate.held_out(),
                sample_weight=taken(given.sample_weight, candidate.rows),
                input_scale=shared.input_scale,
                initial=candidate.initial,
            )
        except DivergedError as error:
            result = Fit(error.parameters, (), "diverged")
        if result.signal is not None:
            interrupted.signal = result.signal
        elif interrupted.is_set():
            result = replace(result, stopped="interrupted", signal=interrupted.signal)
        results[candidate.place] = candidate.finished(result)
    return results


def warn_of(results: Sequence[Fit]) -> None:
    """Warn of networks that diverged."""
    places = [place for place, result in enumerate(results) if result.stopped == "diverged"]
    if places:
        warnings.warn(
            f"{len(places)} of {len(results)} networks diverged, at the places {shown(places)}: lower their "
            "learning_rate_init, standardise the inputs, or clip the gradient with clip_norm.",
            RuntimeWarning,
            stacklevel=4,
        )


def taken(array: Any, places: NDArray[np.int64] | None) -> Any:
    """Some rows of an array, of any library, or of a sparse matrix; None and no places stand for all."""
    if array is None or places is None:
        return array
    return array.tocsr()[places] if is_sparse(array) else array[places]
