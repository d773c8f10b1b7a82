"""One call of `fit` or `partial_fit`: the training run and scikit-learn's bookkeeping."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from anyarray_mlp.backends import Backend
from anyarray_mlp.errors import DivergedError
from anyarray_mlp.estimators.diagnosing import Watch, non_finite
from anyarray_mlp.estimators.notices import warn
from anyarray_mlp.estimators.observers import FitTask
from anyarray_mlp.estimators.placement import HOST, Place, backend_at, moved, place_of, take_rows
from anyarray_mlp.estimators.progress import Progress, Rate
from anyarray_mlp.estimators.validation import HeldOut, score_with, scorer_of
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import Optimizer
from anyarray_mlp.training import Epoch, Recipe, TrainingState, minimize, train
from anyarray_mlp.training.callbacks import as_callbacks, tell
from anyarray_mlp.training.predicting import dense, to_leaves
from anyarray_mlp.training.recipe import optimizer_of
from anyarray_mlp.training.signals import interruption
from anyarray_mlp.training.state import fresh_state
from anyarray_mlp.typing import Array, Host

INTERRUPTED = "Training interrupted by user."
#: An adaptive learning rate below this ends training instead of decreasing further.
SMALLEST_RATE = 1e-6


@dataclass(frozen=True, eq=False)
class Data:
    """The training data of a call: x on its device, targets and weights on the host, y as validated."""

    x: Array
    y: Any
    targets: Host
    weight: Host | None

    def rows(self, rows: Host) -> Data:
        """Some rows of the data."""
        weight = None if self.weight is None else self.weight[rows]
        return Data(take_rows(self.x, rows), self.y[rows], self.targets[rows], weight)


class Run:
    """The training of a call: runs `train` or `minimize` and keeps the estimator's attributes up to date."""

    def __init__(
        self,
        estimator: Any,
        network: MLP,
        backend: Backend,
        data: Data,
        held_out: HeldOut | None,
        place: Place,
    ) -> None:
        self.estimator = estimator
        self.network = network
        self.backend = backend
        self.data = data
        self.held_out = held_out
        self.home = backend_at(place, backend.dtype)
        self.progress: Progress = estimator._progress
        self.early = bool(estimator.early_stopping) and estimator.solver != "lbfgs"
        self.scorer = None
        if estimator.scoring is not None and estimator.scoring != "loss":
            self.scorer = scorer_of(estimator.scoring, estimator)
        self.watchers = as_callbacks("on_epoch", estimator.on_epoch)
        self.watch = Watch(estimator)
        self.stopped = "finished"
        #: Warnings to give once the estimator is fitted: a warning may be turned into an error.
        self.warnings: list[tuple[str, type[Warning]]] = []

    def attributes(self, parameters: Host) -> dict[str, Any]:
        """`coefs_` and `intercepts_` of parameters (p,), on X's device."""
        parts = [self.home.asarray(part) for part in self.network.layout.split(parameters)]
        n = self.network.layout.n_layers
        return {"coefs_": parts[:n], "intercepts_": parts[n:]}

    def train(self, start: Host, task: FitTask | None, incremental: bool) -> Host:
        """Epochs of steps until a stopping rule holds; returns the parameters (p,) to keep."""
        est, progress = self.estimator, self.progress
        optimizer = self.optimizer()
        state = self.state(start, optimizer)
        rate = Rate(self.starting_rate())
        recipe = self.recipe(optimizer, rate, 1 if incremental else est.max_iter)
        if self.early and progress.best is not None:
            est.best_validation_score_ = self.score_again(progress.best)
        if not incremental:
            self.watch.begin(self, recipe, state)
        final = start
        est.n_iter_ = 0
        est.converged_ = stopped = False
        try:
            with interruption() as interrupted:
                for epoch in train(
                    self.network,
                    self.inputs(),
                    self.data.targets,
                    recipe,
                    backend=self.backend,
                    sample_weight=self.data.weight,
                    initial=state,
                    shuffles=progress.order if est.shuffle else None,
                    stop_requested=interrupted.is_set,
                ):
                    last = epoch
                    if epoch.complete:
                        stopped = self.ends_with(epoch, rate, task)
                    if interrupted.is_set():
                        self.warnings.append((INTERRUPTED, UserWarning))
                        stopped = True
                    if stopped:
                        break
        except DivergedError as error:
            self.watch.end(error)
            final = self.best_after(error)
            progress.moments = ()  # they led to this divergence
            stopped = True
        else:
            snapshot = last.snapshot()
            final = snapshot.parameters
            progress.moments, progress.step, progress.epoch = (
                snapshot.moments,
                snapshot.step,
                snapshot.epoch,
            )
        if stopped and self.stopped == "finished":
            converged = "early" if self.early else "converged"
            self.stopped = converged if est.converged_ else "callback"
        progress.solver = optimizer.name
        progress.rate, progress.rate_init = rate.value, est.learning_rate_init
        if not stopped and not incremental:
            message = (
                f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) "
                "reached and the optimization hasn't converged yet."
            )
            self.warnings.append((message, ConvergenceWarning))
        progress.latest = None
        if self.early and progress.best is not None:
            progress.latest = final
            return progress.best
        return final

    def ends_with(self, epoch: Epoch, rate: Rate, task: FitTask | None) -> bool:
        """Keep the books of a whole epoch, set the rate of the next and tell who watches; whether it is the last."""
        est, stopped = self.estimator, False
        est.t_ += self.data.x.shape[0]
        epoch = self.keep_books(epoch)
        self.watch.epoch(epoch)
        if est.learning_rate == "invscaling" and est.solver == "sgd":
            rate.value = self.scaled_rate()
        if est._no_improvement_count > est.n_iter_no_change:
            stopped = est.converged_ = self.stops_or_lowers(rate)
        return self.tell(epoch, task) or stopped

    def recipe(self, optimizer: Optimizer, rate: Rate, epochs: int) -> Recipe:
        """How the steps are taken, by the estimator's parameters."""
        est = self.estimator
        return Recipe(
            optimizer=optimizer,
            learning_rate=rate,
            epochs=epochs,
            batch_size=self.batch_size(self.data.x.shape[0]),
            seed=self.progress.dropout_seed,
            shuffle=est.shuffle,
            alpha=est.alpha,
            clip_norm=est.clip_norm,
        )

    def optimizer(self) -> Optimizer:
        """The optimiser that the estimator's parameters describe."""
        est = self.estimator
        if est.solver == "adam":
            return optimizer_of("adam", est.beta_1, est.beta_2, est.epsilon)
        if est.momentum == 0:
            return optimizer_of("sgd")
        return optimizer_of("nesterov" if est.nesterovs_momentum else "momentum", est.momentum)

    def inputs(self) -> Array:
        """x on the backend's device, unless it is on the host: `train` copies it from there."""
        x = self.data.x
        return x if place_of(x) == HOST else moved(self.backend, x)

    def state(self, start: Host, optimizer: Optimizer) -> TrainingState:
        """The training state to start from, with the optimiser's state if the optimiser is the same."""
        progress = self.progress
        if progress.solver != optimizer.name or len(progress.moments) != optimizer.n_moments:
            return fresh_state(self.network, optimizer, start)
        return TrainingState(start, progress.moments, progress.step, progress.epoch)

    def batch_size(self, n: int) -> int:
        """Samples per step."""
        size = self.estimator.batch_size
        if size == "auto":
            return min(200, n)
        if size > n:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
            )
        return min(int(size), n)

    def starting_rate(self) -> float:
        """The learning rate of the next epoch."""
        est, progress = self.estimator, self.progress
        if est.solver == "sgd" and progress.rate_init == est.learning_rate_init:
            if est.learning_rate == "adaptive":
                return progress.rate
            if est.learning_rate == "invscaling":
                return self.scaled_rate()
        return float(est.learning_rate_init)

    def scaled_rate(self) -> float:
        """The inverse scaling rate after the samples seen so far."""
        est = self.estimator
        # In floats: with integers Python computes every digit of the power, which may take forever.
        with np.errstate(over="ignore"):
            return float(est.learning_rate_init / np.float64(est.t_ + 1) ** np.float64(est.power_t))

    def keep_books(self, epoch: Epoch) -> Epoch:
        """Record the losses and scores of an epoch and whether they improved; returns the epoch with all of them."""
        est = self.estimator
        epoch, outputs = self.keep_losses(epoch)
        if outputs is not None and epoch.validation_loss is not None and self.early:
            loss = epoch.validation_loss
            score = self.score(outputs, loss, lambda: epoch.snapshot().parameters)
            self.keep_score(epoch, score)
            return (
                epoch if est.scoring == "loss" else replace(epoch, scores={self.score_name: score})
            )
        if epoch.loss > est.best_loss_ - est.tol:
            est._no_improvement_count += 1
        else:
            est._no_improvement_count = 0
        est.best_loss_ = min(est.best_loss_, epoch.loss)
        return epoch

    def keep_losses(self, epoch: Epoch) -> tuple[Epoch, Host | None]:
        """Note the losses of one more epoch, or iteration; the epoch with both, and the held-out rows' outputs."""
        est = self.estimator
        est.n_iter_ += 1
        est.loss_ = epoch.loss
        est.loss_curve_.append(epoch.loss)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {epoch.loss:.8f}")
        if self.held_out is None:
            return epoch, None
        outputs, loss = self.held_out.measure(epoch.on_device()[0])
        est.validation_loss_curve_.append(loss)
        return replace(epoch, validation_loss=loss), outputs

    @property
    def score_name(self) -> str:
        """The name under which callbacks find the validation score."""
        scoring = self.estimator.scoring
        if scoring is None:
            return str(self.estimator._default_score)
        return scoring if isinstance(scoring, str) else "score"

    def score(self, outputs: Host, loss: float, parameters: Callable[[], Host]) -> float:
        """The validation score of parameters (p,), given their outputs and loss."""
        est, held_out = self.estimator, self.held_out
        assert held_out is not None
        if est.scoring == "loss":
            return -loss
        if not np.all(np.isfinite(outputs)):
            return math.nan
        if self.scorer is None:
            return float(est._score_outputs(outputs, held_out))
        return score_with(self.scorer, est, self.attributes(parameters()), held_out, outputs)

    def score_again(self, best: Host) -> float:
        """The score of the best parameters (p,) so far on the rows that are held out now.

        On the rows of the previous call it is unchanged; on other rows, the scores of the two calls are not
        comparable.
        """
        assert self.held_out is not None
        leaves = to_leaves(self.network, self.backend, best)
        score = self.score(*self.held_out.measure(leaves), lambda: best)
        return -math.inf if math.isnan(score) else score

    def keep_score(self, epoch: Epoch, score: float) -> None:
        """Record a validation score, and the parameters if it is the best so far."""
        est = self.estimator
        est.validation_scores_.append(score)
        if est.verbose:
            print(f"Validation score: {score:f}")
        if score < est.best_validation_score_ + est.tol:
            est._no_improvement_count += 1
        else:
            est._no_improvement_count = 0
        if score > est.best_validation_score_:
            est.best_validation_score_ = score
            self.progress.best = epoch.snapshot().parameters

    def stops_or_lowers(self, rate: Rate) -> bool:
        """Whether training ends when patience has run out; an adaptive learning rate decreases instead."""
        est = self.estimator
        watched = "Validation score" if self.early else "Training loss"
        message = f"{watched} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} consecutive epochs."
        if est.solver != "sgd" or est.learning_rate != "adaptive":
            ending = "Stopping."
        elif rate.value <= SMALLEST_RATE:
            ending = "Learning rate too small. Stopping."
        else:
            rate.value /= 5.0
            est._no_improvement_count = 0
            ending = f"Setting learning rate to {rate.value:f}"
        if est.verbose:
            print(f"{message} {ending}")
        return ending.endswith("Stopping.")

    def tell(self, epoch: Epoch, task: FitTask | None) -> bool:
        """Report an epoch to the callbacks; True if one asks to stop."""
        asked = tell(self.watchers, epoch)
        if task is not None:
            asked |= task.epoch(lambda: self.attributes(epoch.snapshot().parameters))
        return asked

    def best_after(self, error: DivergedError) -> Host:
        """Early stopping's best parameters (p,) after a run that diverged; raises the error if there are none."""
        est = self.estimator
        best = self.progress.best
        if not self.early or best is None:
            raise non_finite(error) from None
        est.n_iter_ += 1
        est.loss_ = math.nan
        est.loss_curve_.append(math.nan)
        est.validation_loss_curve_.append(math.nan)
        est.validation_scores_.append(math.nan)
        message = (
            f"{error} Training has stopped; the parameters that validated best so far are kept."
        )
        self.warnings.append((message, ConvergenceWarning))
        return best

    def minimize(self, start: Host, task: FitTask | None) -> Host:
        """L-BFGS over all samples; returns the final parameters (p,)."""
        est = self.estimator
        recipe = Recipe(
            optimizer="lbfgs",
            epochs=est.max_iter,
            alpha=est.alpha,
            gradient_tol=est.tol,
            max_evaluations=est.max_fun,
        )
        stopped = False
        est.n_iter_ = 0

        self.watch.begin(self, recipe, start)

        def report(epoch: Epoch) -> bool:
            nonlocal stopped
            epoch, _ = self.keep_losses(epoch)
            self.watch.epoch(epoch)
            stopped = self.tell(epoch, task) or interrupted.is_set()
            return stopped

        with interruption() as interrupted:
            try:
                final, est.loss_, converged, _ = minimize(
                    self.network,
                    moved(self.backend, dense(self.data.x)),  # every iteration uses all of it
                    self.data.targets,
                    recipe,
                    report=report,
                    backend=self.backend,
                    sample_weight=self.data.weight,
                    initial=start,
                )
            except DivergedError as error:
                self.watch.end(error)
                raise non_finite(error) from None
        self.stopped = "converged" if converged else "callback" if stopped else "finished"
        est.converged_ = bool(converged)
        if interrupted.is_set():
            self.warnings.append((INTERRUPTED, UserWarning))
        elif not converged and not stopped:
            message = (
                f"lbfgs failed to converge after {est.n_iter_} iteration(s): "
                f"max_iter={est.max_iter} or max_fun={est.max_fun} was reached, or no step lowered the loss. "
                "Increase them, raise tol, or scale the data (StandardScaler)."
            )
            self.warnings.append((message, ConvergenceWarning))
        return final.astype(self.backend.dtype)
