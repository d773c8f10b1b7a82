"""Where training stands: before the first step on the host, then on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.values import refuse
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.checks import is_finite
from anyarray_mlp.network.layout import is_flat
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import Optimizer, State
from anyarray_mlp.network.schedules import Schedule
from anyarray_mlp.training.job import Job
from anyarray_mlp.training.predicting import to_leaves
from anyarray_mlp.training.records import TrainingState
from anyarray_mlp.typing import Host, Leaves


def fresh_state(
    mlp: MLP, optimizer: Optimizer | None, initial: Host | TrainingState
) -> TrainingState:
    """The state before the first step: moments of zero, or none without an optimiser (L-BFGS)."""
    n_moments = 0 if optimizer is None else optimizer.n_moments
    if isinstance(initial, TrainingState):
        shapes = {part.shape for part in (initial.parameters, *initial.moments)}
        if shapes != {(mlp.layout.size,)} or len(initial.moments) != n_moments:
            raise UsageError(
                f"The training state to continue from has {len(initial.moments)} moments of shapes {shapes}, but this "
                f"training needs {n_moments} moments for the {mlp.layout.size} parameters of sizes {mlp.sizes}: "
                "continue with the same network and optimizer."
            )
        return initial
    if not isinstance(initial, np.ndarray) or initial.dtype.kind not in "fiu":
        refuse("initial", "a vector of numbers (p,) or a TrainingState", initial)
    if initial.shape != (mlp.layout.size,):
        raise UsageError(
            f"Initial parameters must have shape ({mlp.layout.size},) for sizes {mlp.sizes}, got {initial.shape}."
        )
    if not is_finite(initial, rows=1 << 16):
        place = int(np.argmin(np.isfinite(initial)))
        raise UsageError(
            f"Initial parameters hold {initial[place]} at place {place}: give finite numbers."
        )
    moments = () if optimizer is None else optimizer.start(mlp.layout)
    return TrainingState(np.asarray(initial), moments, 0, 0)


def to_vector(mlp: MLP, backend: Backend, leaves: Leaves) -> Host:
    """Leaves as a flat host vector (p,), copied."""
    return mlp.layout.to_vector(tuple(backend.to_host(leaf) for leaf in leaves))


@dataclass(eq=False)
class Member:
    """One of the networks that are trained together, or the only one: how, and where it stands.

    left : epochs still to come.
    over : whether it has left the training.
    fades_over : how many steps its dropout fades over; None if it does not.
    """

    job: Job
    schedule: Schedule
    step: int
    epoch: int
    left: int
    over: bool = False
    fades_over: int | None = None


class Progress:
    """Where networks stand on the device, one alone or a stack; snapshots taken of an earlier step are refused."""

    def __init__(
        self, mlp: MLP, backend: Backend, members: Sequence[Member], states: Sequence[TrainingState]
    ) -> None:
        self.mlp = mlp
        self.backend = backend
        self.members = list(members)
        self.theta = to_leaves(mlp, backend, beside([state.parameters for state in states]))
        moments = zip(*(state.moments for state in states), strict=True)
        self.moments = tuple(to_leaves(mlp, backend, beside(each)) for each in moments)
        self.views: dict[tuple[int, int], tuple[Any, Any]] = {}

    # --- some of the networks ---

    def part(self, span: slice) -> tuple[Leaves, State]:
        """The leaves and moments of neighbours; the same objects while the whole is the same."""
        start, stop, _ = span.indices(len(self.members))
        if stop - start == len(self.members):
            return self.theta, self.moments
        source, views = self.views.get((start, stop), (None, None))
        if source is not self.theta[0]:
            views = (
                self.cut(self.theta, start, stop),
                tuple(self.cut(leaves, start, stop) for leaves in self.moments),
            )
            self.views[start, stop] = self.theta[0], views
        part: tuple[Leaves, State] = views
        return part

    def cut(self, leaves: Leaves, start: int, stop: int) -> Leaves:
        """The leaves of the networks from one place to another."""
        size = self.mlp.layout.size
        if is_flat(leaves):
            return (leaves[0][start * size : stop * size],)
        key: Any = start if stop - start == 1 else slice(start, stop)
        return tuple(leaf[key, ...] for leaf in leaves)

    def put(self, span: slice, part: tuple[Leaves, State]) -> None:
        """Put back what `part` gave, one or several steps later."""
        start, stop, _ = span.indices(len(self.members))
        if stop - start == len(self.members):
            self.theta, self.moments = part
            return
        _, (theta, moments) = self.views[start, stop]
        olds, news = (theta, *moments), (part[0], *part[1])
        if all(
            a is b
            for old, new in zip(olds, news, strict=True)
            for a, b in zip(old, new, strict=True)
        ):
            return  # written in place
        self.theta, *changed = (
            self.changed(whole, new, start, stop)
            for whole, new in zip((self.theta, *self.moments), news, strict=True)
        )
        self.moments = tuple(changed)

    def changed(self, whole: Leaves, part: Leaves, start: int, stop: int) -> Leaves:
        """Leaves with those of some networks in place of theirs."""
        xp, stack = self.backend.xp, len(self.members)
        rows = self.mlp.layout.size if is_flat(whole) else 1
        leaves = []
        for leaf, new in zip(whole, part, strict=True):
            alone = new[None, ...] if new.ndim < leaf.ndim else new
            pieces = (leaf[: start * rows, ...], alone, leaf[stop * rows : stack * rows, ...])
            leaves.append(xp.concat([piece for piece in pieces if piece.shape[0]]))
        return tuple(leaves)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some of the networks."""
        self.theta, *moments = (self.kept(leaves, places) for leaves in (self.theta, *self.moments))
        self.moments = tuple(moments)
        self.members = [self.members[place] for place in places]
        self.views.clear()

    def kept(self, leaves: Leaves, places: Sequence[int]) -> Leaves:
        """The leaves of some of the networks."""
        if not places:
            return ()
        if len(places) == 1:
            return self.cut(leaves, places[0], places[0] + 1)
        xp = self.backend.xp
        if is_flat(leaves):
            return (xp.concat([self.cut(leaves, place, place + 1)[0] for place in places]),)
        return tuple(xp.stack([leaf[place, ...] for place in places]) for leaf in leaves)

    # --- one of them ---

    def on_device(self, member: Member, step: int) -> tuple[Leaves, State]:
        """The leaves and moments of a network after its step `step`."""
        if step != member.step:
            raise UsageError(
                f"The snapshot of step {step} was asked for at step {member.step}: take it before the next epoch runs."
            )
        if member not in self.members:
            raise UsageError(
                f"The snapshot of step {step} was asked for when training of this network had ended: take it in time."
            )
        place = self.members.index(member)
        return self.part(slice(place, place + 1))

    def snapshot(
        self, member: Member, step: int, epoch: int, order: dict[str, Any]
    ) -> TrainingState:
        """The training state of a network after its step `step`."""
        theta, moments = self.on_device(member, step)
        return TrainingState(
            to_vector(self.mlp, self.backend, theta),
            tuple(to_vector(self.mlp, self.backend, moment) for moment in moments),
            step,
            epoch,
            order,
        )


def beside(vectors: Sequence[Host]) -> Host:
    """The vectors (p,) of several networks as a matrix (k, p); that of one as it is."""
    return vectors[0] if len(vectors) == 1 else np.stack(vectors)
