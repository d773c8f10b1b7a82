"""`Evaluation`: loss and scores of a validation set; `Evaluations`: those of networks that are trained together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from anyarray_mlp.arithmetic.shard import Shard
from anyarray_mlp.backends import Backend
from anyarray_mlp.metrics import default_task, exact_mean, find_score
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.ranks.agreement import joined
from anyarray_mlp.ranks.communicator import Communicator
from anyarray_mlp.training.batches import alike
from anyarray_mlp.training.predicting import (
    ForwardPass,
    LabelledRows,
    comes_in_parts,
    on_device,
    rows_at_once,
    spans,
)
from anyarray_mlp.typing import Array, Host, Leaves

if TYPE_CHECKING:
    from anyarray_mlp.training.state import Progress

#: Mean loss, and scores by name.
Figures = tuple[float, dict[str, float]]


class Evaluation:
    """Loss and scores of one fixed set, moved to the device once.

    `task` is what the metrics take the targets for; None for what the output is made for. `weight` (n,) weights the
    rows, unless it is all zero. Of several ranks each takes its share of the rows through the network.
    """

    def __init__(
        self,
        mlp: MLP,
        backend: Backend,
        held_out: tuple[Array, Array],
        metrics: Sequence[str] = (),
        input_scale: float | None = None,
        task: str | None = None,
        weight: Host | None = None,
        communicator: Communicator | None = None,
    ) -> None:
        task = task or default_task(mlp)
        self.metrics = {name: find_score(name, task) for name in metrics}
        self.held_out = held_out
        self.weight = weight if weight is not None and np.any(weight) else None
        self.communicator = communicator
        self.forward = ForwardPass(mlp, backend, input_scale)
        # In the precision of the losses.
        self.targets = backend.to_host(on_device(backend, held_out[1]))

    @cached_property
    def rows(self) -> LabelledRows:
        """The set on the device."""
        if self.shard is None:
            return LabelledRows(self.forward, *self.held_out)
        x, targets = (part[self.shard.span, ...] for part in self.held_out)
        return LabelledRows(self.forward, x, targets)

    @cached_property
    def shard(self) -> Shard | None:
        """The rows that this rank takes; None for all."""
        if self.communicator is None:
            return None
        n = self.held_out[0].shape[0]
        return Shard.of_rank(self.communicator.rank, self.communicator.size, n)

    def __call__(self, leaves: Leaves) -> Figures:
        """Mean loss, and the scores by name, of one forward pass."""
        return self.figures(*self.measure(leaves))

    def measure(self, leaves: Leaves) -> tuple[Host, Host]:
        """Outputs (n, k) and losses (n,) on the host."""
        outputs, losses = self.rows.measure(leaves)
        if self.communicator is None or self.shard is None:
            return outputs, losses
        start, rows, n, counts = self.shard
        own = slice(rows if counts else 0)
        return (
            joined(self.communicator, outputs[own], start, n),
            joined(self.communicator, losses[own], start, n),
        )

    def figures(self, outputs: Host, losses: Host) -> Figures:
        """Mean loss, and the scores by name, of outputs (n, k) and losses (n,)."""
        weight = self.weight
        scores = {
            name: score(outputs, self.targets, weight) for name, score in self.metrics.items()
        }
        found = exact_mean(losses[:, None], weight), scores
        # Those of rank 0 for all, as libraries of other machines may round the last bit of a score otherwise.
        return found if self.communicator is None else self.communicator.broadcast(found)


class Evaluations:
    """What measures networks that are trained together; neighbours whose sets are of one shape in one forward pass."""

    def __init__(self, each: Sequence[Evaluation | None]) -> None:
        self.each = list(each)
        self.spans = alike([shape_of(one) for one in self.each])
        self.stacks: dict[int, StackedRows] = {}

    def of(self, places: Sequence[int]) -> Evaluations:
        """Those of some of the networks."""
        return Evaluations([self.each[place] for place in places])

    def __call__(self, now: Progress) -> list[tuple[float | None, dict[str, float]]]:
        """Loss and scores of each network; None and nothing without a set, and where a network has left."""
        found: list[tuple[float | None, dict[str, float]]] = [(None, {}) for _ in self.each]
        for span in self.spans:
            some = [one for one in self.each[span] if one is not None]
            if not some or all(member.over for member in now.members[span]):
                continue
            for place, measured in enumerate(self.measured(some, span, now), span.start):
                if not now.members[place].over:
                    found[place] = some[place - span.start].figures(*measured)
        return found

    def measured(
        self, some: Sequence[Evaluation], span: slice, now: Progress
    ) -> Iterator[tuple[Host, Host]]:
        """Outputs and losses of the networks of a span."""
        leaves, _ = now.part(span)
        if len(some) == 1:
            yield some[0].measure(leaves)
            return
        if span.start not in self.stacks:
            self.stacks[span.start] = StackedRows(some)
        yield from zip(*self.stacks[span.start].measure(leaves), strict=True)


class StackedRows:
    """The sets of several networks, equally large, on the device; one that is the same for all is there once."""

    def __init__(self, each: Sequence[Evaluation]) -> None:
        first = each[0]
        self.forward, xp = first.forward, first.forward.backend.xp
        shared = all(
            a is b for one in each for a, b in zip(one.held_out, first.held_out, strict=True)
        )
        rows = rows_at_once(self.forward.mlp, self.forward.backend) // len(each)

        def part(which: int, span: tuple[int, int]) -> Array:
            some = each[:1] if shared else each
            return xp.stack([self.forward.part(one.held_out[which], *span) for one in some])

        n = first.held_out[0].shape[0]
        with self.forward.backend.on_device():
            self.parts = [(part(0, span), part(1, span)) for span in spans(n, max(1, rows))]

    def measure(self, leaves: Leaves) -> tuple[Host, Host]:
        """Outputs (k, n, ...) and losses (k, n) on the host of the leaves of a stack."""
        return self.forward.outputs_and_losses(leaves, self.parts, axis=1)


def shape_of(one: Evaluation | None) -> Any:
    """What neighbours have to be alike in to be measured at once."""
    if one is None:
        return None
    x, targets = one.held_out
    if comes_in_parts(x):
        return one
    return tuple(x.shape), x.dtype, tuple(targets.shape), targets.dtype
