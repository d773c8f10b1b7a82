"""`Stepper`: the steps of an epoch of one network or of a stack, and what they came to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends.base import Run
from anyarray_mlp.checking.values import is_true
from anyarray_mlp.network.passes import Strength
from anyarray_mlp.training.batches import checked_rates
from anyarray_mlp.training.feeds import Feed
from anyarray_mlp.training.records import TrainingState
from anyarray_mlp.training.state import Member, Progress
from anyarray_mlp.training.steps import StepStatistics, Walk, stack_inputs, training_step
from anyarray_mlp.typing import Array, Host


class Pass(NamedTuple):
    """One pass over the data, or its beginning: the steps' losses, their mean over the samples, the steps' figures,
    the last rate, and whether it came to its end."""

    step_losses: Host
    loss: float
    figures: tuple[Host, ...]
    rate: float
    complete: bool


class Stepper:
    """The compiled step of some networks of one kind, the data that it runs on, and where their training stands.

    What their jobs have to be alike in is what the step is compiled for: `many.kind` says it. `compiled` are the steps
    of others that were of the same kind, by function and number of steps.
    """

    def __init__(
        self,
        members: Sequence[Member],
        states: list[TrainingState],
        feed: Feed,
        statistics: StepStatistics | None = None,
        compiled: dict[Any, Run] | None = None,
    ) -> None:
        self.job = members[0].job
        self.feed = feed
        self.statistics = statistics
        self.optimizer = self.job.recipe.step_optimizer()
        self.started = time.perf_counter()
        self.now = Progress(self.job.mlp, self.job.backend, members, states)
        states.clear()  # they would take memory for the whole run
        self.runs: dict[Strength, Run] = {}
        self.compiled = {} if compiled is None else compiled

    @property
    def members(self) -> list[Member]:
        """The networks that are trained, in their order."""
        return self.now.members

    def run(self, members: Sequence[Member]) -> Run:
        """The compiled step of some of them, as the feed's first portion shows it to be."""
        alphas = tuple(member.job.recipe.alpha for member in members)
        alpha: Strength = alphas[0] if len(set(alphas)) == 1 else alphas
        if alpha not in self.runs:
            job, steps = self.job, self.feed.steps_per_epoch
            step = training_step(
                job.mlp,
                self.optimizer,
                alpha=alpha,
                clip_norm=job.recipe.clip_norm,
                input_scale=job.input_scale,
                label_smoothing=job.recipe.label_smoothing,
                statistics=self.statistics,
                **self.feed.options,
            )
            total = None if steps is None else max(m.job.epochs for m in members) * steps
            key = step, total
            if key not in self.compiled:
                self.compiled[key] = job.backend.compile(step, steps=total)
            self.runs[alpha] = self.compiled[key]
        return self.runs[alpha]

    def pass_over(self, stop_requested: Callable[[], bool]) -> list[Pass]:
        """Take the steps of an epoch, until a stop is asked for; what each network's came to."""
        job, now, backend = self.job, self.now, self.job.backend
        k = len(self.members)
        # Of each run of steps the outputs, the rows of a step, and where its networks begin.
        runs: list[tuple[tuple[Array, ...], int, slice]] = []
        last, complete = [0.0] * k, True
        for ahead, indices, steps, rows, span in self.feed.portions():
            span = slice(*span.indices(k))
            # Where some have other steps than others, all of them take theirs.
            if runs and span.start == 0 and is_true(stop_requested()):
                complete = False
                break
            some = self.members[span]
            rates = [rates_of(member, steps) for member in some]
            last[span] = [float(each[-1]) for each in rates]
            walks = [
                Walk(member.step, each, member.job.recipe.seed, member.fades_over)
                for member, each in zip(some, rates, strict=True)
            ]
            inputs = stack_inputs(job.mlp, self.optimizer, backend, indices, walks)
            with np.errstate(all="ignore"):  # a loss that is not finite is reported below
                state, outputs = self.run(some)(now.part(span), self.feed.data, (*ahead, *inputs))
            now.put(span, state)
            if self.feed.waits and runs:
                # Waits, or the host gathers far ahead of the device.
                backend.to_host(runs[-1][0][0])
            runs.append((outputs, rows, span))
            for member in some:
                member.step += steps
        on_host = [
            (tuple(backend.to_host(output) for output in outputs), rows, span)
            for outputs, rows, span in runs
        ]
        return [
            Pass(*figures_of(place, on_host), rate, complete) for place, rate in enumerate(last)
        ]

    def go_on(self, places: list[int]) -> None:
        """Go on with some of the networks."""
        self.now.keep(places)
        self.feed.keep(places)


def rates_of(member: Member, steps: int) -> NDArray[np.float64]:
    """The learning rates of a network's next steps; zero of one that has left, and is there for the others' sake."""
    return np.zeros(steps) if member.over else checked_rates(member.schedule, member.step, steps)


def figures_of(
    place: int, runs: Sequence[tuple[tuple[Host, ...], int, slice]]
) -> tuple[Host, float, tuple[Host, ...]]:
    """The losses of a network's steps, their mean over the samples, and the steps' other figures, of all runs."""
    own = [
        (tuple(own_of(output, place - span.start, span) for output in outputs), rows)
        for outputs, rows, span in runs
        if span.start <= place < span.stop
    ]
    step_losses, *figures = (
        np.concatenate(column, dtype=np.float64)
        for column in zip(*(outputs for outputs, _ in own), strict=True)
    )
    sizes = np.concatenate([np.full(outputs[0].shape[0], rows) for outputs, rows in own])
    loss = math.fsum(step_losses * sizes) / int(sizes.sum())
    return step_losses, loss, tuple(figures)


def own_of(output: Host, place: int, span: slice) -> Host:
    """What one network has of an output (K, k, ...) of a stack, or (K, ...) of itself alone."""
    return output if span.stop - span.start == 1 else output[:, place]
