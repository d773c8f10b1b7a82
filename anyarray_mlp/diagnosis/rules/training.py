"""Rules about how the network was trained: steps, batches, penalty, dropout and epochs."""

from __future__ import annotations

import math
from itertools import pairwise

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules.findings import TRAINING, Found, rule
from anyarray_mlp.diagnosis.symptoms import (
    ENOUGH_STEPS,
    FEWEST_ALIVE,
    failed,
    found_in_vain,
    gave_up,
    hidden,
    lags,
    largest_update,
    number_of,
    relative_losses,
    unfinished,
)
from anyarray_mlp.network.functional import RECTIFIERS


@rule("the rows are sorted and not shuffled", order=150)
def unshuffled_rows(run: RunRecord) -> Found | None:
    """Batches of similar rows, one after the other."""
    settings = run.settings
    if settings.shuffle or run.data.order < 0.5 or settings.batch_size >= run.data.n:
        return None
    return Found(
        "consecutive rows have similar targets, and batches are taken in that order: each step undoes the step before",
        "Use shuffle=True",
        changes=({"shuffle": True},),
    )


@rule("the L2 penalty is too strong", order=160, explains=(TRAINING,))
def l2_too_strong(run: RunRecord) -> Found | None:
    """A penalty that outweighs the data."""
    settings, base = run.settings, run.data.baseline_loss
    if not settings.alpha or not base:
        return None
    decay = settings.alpha / settings.batch_size
    first, last = (sum(layer.weight**2 for layer in run.probes[k].layers) for k in (0, -1))
    penalty = 0.5 * decay * first / base
    overwhelmed = penalty > 20 and run.outcome.stopped == "diverged"
    if not (overwhelmed or (penalty > 1 and last < 0.6 * first)) or run.progress > 0.6:
        return None
    return Found(
        f"with alpha={settings.alpha:.3g} the penalty starts at {penalty:.2g} times the loss of the best constant, and "
        f"the weights ended at {math.sqrt(last / max(first, 1e-300)):.1g} of their initial norm",
        f"Try alpha={settings.alpha / max(1e3 * penalty, 10):.1g} or less",
        changes=({"alpha": number_of(settings.alpha / max(1e3 * penalty, 10))}, {"alpha": 0.0}),
    )


#: Dropout rates: the highest advised for hidden layers (Srivastava et al. 2014), and one that is always too high.
USUAL_DROPOUT, EXTREME_DROPOUT = 0.5, 0.75


#: Units of a layer that a step should leave active.
FEWEST_ACTIVE = 16


@rule("too many units are dropped", order=170, explains=(TRAINING,))
def dropout_too_strong(run: RunRecord) -> Found | None:
    """So many units dropped that too few are left to learn with."""
    highest = max(run.settings.dropout, default=0.0)
    active = min(
        (
            width * (1.0 - p)
            for width, p in zip(run.settings.sizes[1:-1], run.settings.dropout, strict=False)
            if p
        ),
        default=math.inf,
    )
    few = active < FEWEST_ACTIVE and (failed(run) or lags(run) is not None)
    strong = highest > USUAL_DROPOUT and (failed(run) or highest >= EXTREME_DROPOUT)
    if not (few or strong):
        return None
    return Found(
        f"dropout={highest:g} leaves {1 - highest:.0%} of the units active in a step; {found_in_vain(run)}",
        "Try dropout=0.2",
        changes=({"dropout": 0.2}, {"dropout": 0.0}),
        layer=run.settings.dropout.index(highest) + 1,
    )


@rule("the batch is too small", order=180, explains=(TRAINING,))
def batch_too_small(run: RunRecord) -> Found | None:
    """One or two rows a step, and steps in ever different directions."""
    batch = run.settings.batch_size
    if batch > 2 or run.data.n < 50 or run.settings.optimizer == "lbfgs":
        return None
    late = largest_update(run, -1)
    bad = failed(run) or late > 0.008
    return Found(
        f"{counted(batch, 'row')} per step; at the end of training a step still changes a layer's weights by "
        f"{late:.2g} of their norm",
        "Use batch_size=32, or lower the learning rate",
        severity=("error" if failed(run) else "warning") if bad else "note",
        changes=(
            {"batch_size": 32},
            {"learning_rate_init": number_of(run.settings.learning_rate_init / 10)},
        ),
    )


@rule("the batch is too large", order=190, symptom_of=TRAINING, explains=(TRAINING,))
def batch_too_large(run: RunRecord) -> Found | None:
    """So few steps per epoch that training ended too early."""
    settings, n = run.settings, run.data.n
    if (
        settings.optimizer == "lbfgs"
        or settings.batch_size <= 64
        or 3 * settings.batch_size < n
        or not unfinished(run)
    ):
        return None
    return Found(
        f"batches of {settings.batch_size} of {n} rows made {run.outcome.steps} steps in all, and the loss was still "
        f"falling; {found_in_vain(run)}",
        "Use batch_size=32",
        changes=({"batch_size": 32}, {"epochs": longer(run)}),
    )


#: Changes of a layer's weights by the first step, as shares of their norm: too large if training failed, and too large
#: in any case.
LARGE_UPDATE, WHOLESALE_UPDATE = 0.3, 1.0
#: Largest change by a step at which nothing is learned, and share of the highest rate at which a rate has vanished.
SMALL_UPDATE, VANISHED_RATE = 1e-3, 0.01


#: Beyond this, a step is the sum of more than a hundred gradients.
LONG_MEMORY, ENDLESS_MEMORY = 0.99, 0.995


@rule(
    "the momentum is too high",
    order=215,
    symptom_of=TRAINING,
    explains=(TRAINING, "class_imbalance"),
)
def momentum_too_high(run: RunRecord) -> Found | None:
    """A momentum that goes on in directions that were right long ago."""
    momentum = run.settings.momentum
    if momentum is None or momentum < LONG_MEMORY:
        return None
    if momentum < ENDLESS_MEMORY and not (failed(run) or lags(run)):
        return None
    return Found(
        f"with momentum={momentum:g} a step still has the gradients of {1 / (1 - momentum):.0f} steps before it; "
        f"{found_in_vain(run)}",
        "Use a momentum of 0.9",
        changes=(
            {"momentum": 0.9},
            {
                "momentum": 0.9,
                "learning_rate_init": number_of(run.settings.learning_rate_init / 10),
            },
        ),
    )


@rule("the warm-up is too long", order=225, symptom_of=TRAINING, explains=(TRAINING,))
def warm_up_too_long(run: RunRecord) -> Found | None:
    """A rate that was still rising for most of the run."""
    warm_up = run.settings.table.get("warm_up", run.settings.warm_up)
    done = len(run.curve.loss)
    if not isinstance(warm_up, int) or 2 * warm_up < done or not (failed(run) or lags(run)):
        return None
    if not warm_up or not done:
        return None
    return Found(
        f"the rate rises for {counted(warm_up, 'epoch')}, and the run had {done}: it got to "
        f"{run.curve.learning_rate[-1]:.2g} of {run.settings.learning_rate_init:.2g}; {found_in_vain(run)}",
        "Use a warm-up of a tenth of the epochs at most",
        changes=({"warm_up": max(1, done // 20)}, {"warm_up": 0}),
    )


@rule("the learning rate is too high", order=220, symptom_of=TRAINING, explains=(TRAINING,))
def learning_rate_too_high(run: RunRecord) -> Found | None:
    """Steps that change the weights too much, make the loss rise, or end in infinity."""
    if run.settings.optimizer == "lbfgs":
        return None
    if momentum_too_high(run) and run.outcome.stopped != "diverged":
        return None
    rate = run.settings.learning_rate_init
    update = largest_update(run, 0)
    losses = relative_losses(run)
    died = failed(run) and any(
        after.dead >= 0.75
        and before.dead < 0.4
        and activation in RECTIFIERS
        and width >= FEWEST_ALIVE
        for before, after, activation, width in zip(
            hidden(run, 0),
            hidden(run, -1),
            run.settings.activation,
            run.settings.sizes[1:-1],
            strict=True,
        )
    )
    climbs = sum(b > a for a, b in pairwise(losses))
    if run.outcome.stopped == "diverged":
        evidence = (
            f"the loss became infinite or NaN at step {run.outcome.steps}; the first step changes the weights by "
            f"{update:.2g} of their norm"
        )
    elif update > (LARGE_UPDATE if failed(run) else WHOLESALE_UPDATE):
        evidence = f"the first step changes the weights of a layer by {update:.2g} of their norm (usual: 0.01)"
    elif (
        len(losses) >= 5
        and losses[-1] > 2 * min(losses)
        and failed(run)
        and climbs > len(losses) / 4
    ):
        evidence = (
            f"the loss rose in {climbs} of {len(losses) - 1} epochs and ended at {losses[-1] / min(losses):.2g} "
            "times its lowest value"
        )
    elif died:
        evidence = "units died in training"
    else:
        return None
    return Found(
        f"{evidence}, with {run.settings.optimizer} at learning rate {rate:.3g}",
        f"Try learning_rate_init={rounded(suggested_rate(run, update))}",
        changes=(
            {"learning_rate_init": number_of(suggested_rate(run, update))},
            {"learning_rate_init": number_of(suggested_rate(run, update) / 10)},
            {"clip_norm": 1.0},
        ),
    )


def suggested_rate(run: RunRecord, update: float) -> float:
    """The rate at which the first step would change the weights by 0.01 of their norm, at most a tenth of today's."""
    rate = run.settings.learning_rate_init
    if not 0 < update < math.inf:
        return rate / 10
    return min(rate / 10, rate * 0.01 / update) if update > 0.01 else rate / 10


@rule(
    "the learning rate is too low",
    order=230,
    severity="error",
    symptom_of=TRAINING,
    explains=(TRAINING,),
)
def learning_rate_too_low(run: RunRecord) -> Found | None:
    """Steps that hardly change the weights although there is a gradient."""
    if run.settings.optimizer == "lbfgs" or not failed(run) or run.outcome.stopped == "diverged":
        return None
    update = max(largest_update(run, probe) for probe in range(len(run.probes)))
    last = run.probes[-1]
    pull = sum(layer.gradient * layer.weight for layer in last.layers)
    if pull < 0.1 * (run.data.baseline_loss or last.loss):
        return None
    rate, rates = run.settings.learning_rate_init, run.curve.learning_rate
    highest = max(rate, *rates) if rates else rate
    if warm_up_too_long(run):
        return None
    if rates and rates[-1] < VANISHED_RATE * highest and largest_update(run, -1) < SMALL_UPDATE:
        return Found(
            f"the learning rate fell from {highest:.2g} to {rates[-1]:.1g} before anything was learned; "
            f"{found_in_vain(run)}",
            "Use learning_rate='constant', or let the rate fall more slowly",
            changes=({"learning_rate": "constant"}, {"epochs": longer(run)}),
        )
    if update > SMALL_UPDATE:
        return None
    clipped = run.outcome.clipped or 0.0
    rate *= min(1e4, 0.01 / max(update, 1e-12))
    return Found(
        f"no step changes a layer's weights by more than {update:.1g} of their norm (usual: 0.01), with "
        f"{run.settings.optimizer} at learning rate {run.settings.learning_rate_init:.3g}"
        + (f", and {clipped:.0%} of the gradients were clipped" if clipped else "")
        + f"; {found_in_vain(run)}",
        "Clip less (clip_norm=1), or not at all"
        if clipped > 0.5 and (run.settings.clip_norm or 1.0) < 1.0
        else f"Try learning_rate_init={rounded(rate)}, or more if the loss still falls slowly",
        changes=({"clip_norm": 1.0},)
        if clipped > 0.5 and (run.settings.clip_norm or 1.0) < 1.0
        else ({"learning_rate_init": number_of(rate)}, {"learning_rate_init": number_of(3 * rate)}),
    )


def rounded(number: float) -> str:
    """One significant digit, as it is typed."""
    return f"{number_of(number):g}"


@rule("training ended too early", order=280, symptom_of=TRAINING, explains=(TRAINING,))
def too_few_epochs(run: RunRecord) -> Found | None:
    """Training that ended while the loss was still falling, or before it began to fall."""
    done = len(run.curve.loss)
    if gave_up(run):
        return Found(
            f"early stopping ended training after {done} epochs ({run.outcome.steps} steps); {found_in_vain(run)}",
            f"Give early stopping more patience (patience={max(20, 5 * done)}), or raise the learning rate",
            changes=(
                {"patience": max(20, 5 * done)},
                {"learning_rate_init": number_of(3 * run.settings.learning_rate_init)},
            ),
        )
    if (
        not unfinished(run)
        or batch_too_large(run)
        or learning_rate_too_low(run)
        or warm_up_too_long(run)
    ):
        return None
    epochs = longer(run)
    return Found(
        f"after {counted(done, 'epoch')} ({run.outcome.steps} steps) the loss was still falling; {found_in_vain(run)}",
        f"Train longer, with epochs={epochs} and early_stopping",
        changes=(
            {"epochs": epochs, "keep_epoch": "best"}
            if run.data.n_validation and not run.settings.early_stopping
            else {"epochs": epochs},
            {"learning_rate_init": number_of(3 * run.settings.learning_rate_init)},
        ),
    )


def longer(run: RunRecord) -> int:
    """Epochs enough for a thousand steps, and five times as many as there were."""
    done = len(run.curve.loss)
    per_epoch = max(1, round(run.outcome.steps / max(done, 1)))
    return max(5 * done, math.ceil(ENOUGH_STEPS / per_epoch))
