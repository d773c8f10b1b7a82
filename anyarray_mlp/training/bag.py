"""`fit_bag`: networks that answer together, by the mean of their outputs, trained in step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import ordinal
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.metrics import exact_mean
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.callbacks import Callback, tell
from anyarray_mlp.training.given import as_given
from anyarray_mlp.training.many import groups_of, held_out_of, rows_of
from anyarray_mlp.training.recipe import Recipe
from anyarray_mlp.training.records import Epoch, Fit, TrainingState
from anyarray_mlp.training.signals import interruption
from anyarray_mlp.training.stacked import Candidate, HeldOut, Shared, Stack
from anyarray_mlp.typing import Host


@dataclass(frozen=True, eq=False)
class Network:
    """What a network of a bag has of its own.

    Attributes
    ----------
    recipe : with the schedule and what keeps the best epoch of this network alone.
    initial : its parameters (p,), or the state from which it goes on.
    rows : places of the rows that it is trained on; None for all.
    validation : places of those that it is measured on, or (x, targets), or None.
    """

    recipe: Recipe
    initial: Host | TrainingState
    rows: NDArray[np.int64] | None
    validation: HeldOut


def fit_bag(
    mlp: MLP,
    x: Any,
    targets: Any,
    networks: Sequence[Network],
    *,
    backend: Backend,
    sample_weight: Any = None,
    input_scale: float | None = None,
    callbacks: Sequence[Callback] = (),
    of_first: Sequence[Callback] = (),
) -> Fit:
    """Train networks on rows of x (n, i) and targets, an epoch of all and then the next; each as `fit_many` does.

    The result has their parameters (k, p), and what came of each as `members`; its epochs have the mean of their
    figures. The weights of rows count where these validate as well. `callbacks` are told these epochs, `of_first`
    those of the first network. Raises `DivergedError` as soon as one of them diverges.
    """
    given = as_given(mlp, x, targets, sample_weight, None)
    shared = Shared(
        given, rows_of([mlp], given, backend), backend, input_scale, weighs_validation=True
    )
    held_out = held_out_of(mlp, given, [network.validation for network in networks])
    candidates = [
        Candidate(place, mlp, network.recipe, network.rows, validation, network.initial, shared)
        for place, (network, validation) in enumerate(zip(networks, held_out, strict=True))
    ]
    history: list[Epoch] = []
    asked = False
    with interruption() as interrupted:
        groups = groups_of(candidates, given.x.shape[0], backend)
        stacks = [Stack(group, shared, interrupted) for group in groups]
        rounds = [stack.rounds(lambda: asked or interrupted.is_set()) for stack in stacks]
        while told := [pair for each in rounds for pair in next(each, ())]:
            by_place = {run.candidate.place: epoch for run, epoch in told}
            epochs = each_of(by_place)
            if 0 in by_place:
                tell(of_first, epochs[0])
            if len(epochs) < len(networks):  # a stop was asked for before the others' turn
                continue
            history.append(joint(epochs))
            asked = tell(callbacks, history[-1])
        stopped = "callback" if asked else "finished"
        if interrupted.is_set():
            stopped = "interrupted"
    found: dict[int, Fit] = {}
    for stack in stacks:
        found |= stack.results()
    members = tuple(replace(found[place], stopped=stopped) for place in sorted(found))
    signal = interrupted.signal if stopped == "interrupted" else None
    result = Fit(np.empty(0), tuple(history), stopped, signal, origin=members[0].origin)
    return together(replace(result, members=members), members)


def together(result: Fit, each: Sequence[Fit]) -> Fit:
    """A result with the parameters (k, p) and the kept epochs of several networks."""
    kept = [one.kept_epoch for one in each if isinstance(one.kept_epoch, int)]
    return replace(
        result,
        parameters=np.stack([one.parameters for one in each]),
        kept_epoch=tuple(kept) if len(kept) == len(each) else None,
    )


def each_of(told: dict[int, Epoch | DivergedError]) -> list[Epoch]:
    """The epochs in the order of the networks; raises the `DivergedError` of one that diverged."""
    epochs = []
    for place in sorted(told):
        epoch = told[place]
        if isinstance(epoch, DivergedError):
            raise DivergedError(
                f"Of {len(told)} networks, the {ordinal(place + 1)}: {epoch}",
                epoch.parameters,
                epoch.step_losses,
            )
        epochs.append(epoch)
    return epochs


def joint(epochs: Sequence[Epoch]) -> Epoch:
    """One record of the same epoch of several networks: the means of their figures; steps are of the one with most."""
    first = epochs[0]
    validation = [e.validation_loss for e in epochs if e.validation_loss is not None]
    return Epoch(
        epoch=first.epoch,
        step=max(epoch.step for epoch in epochs),
        loss=mean([epoch.loss for epoch in epochs]),
        learning_rate=first.learning_rate,
        seconds=max(epoch.seconds for epoch in epochs),
        validation_loss=mean(validation) if validation else None,
        scores={name: mean([e.scores[name] for e in epochs]) for name in first.scores},
        complete=all(epoch.complete for epoch in epochs),
        snapshot=partial(snapshots, epochs),
        on_device=on_several,
        step_losses=np.concatenate([epoch.step_losses for epoch in epochs]),
    )


def mean(values: Sequence[float]) -> float:
    """The mean, the same to the bit in any order."""
    return exact_mean(np.array(values))


def snapshots(epochs: Sequence[Epoch]) -> tuple[TrainingState, ...]:
    """The training state of each network."""
    return tuple(epoch.snapshot() for epoch in epochs)


def on_several() -> Any:
    """In place of one network's state on the device."""
    raise UsageError("An epoch of several networks has no state of one: take its snapshot.")
