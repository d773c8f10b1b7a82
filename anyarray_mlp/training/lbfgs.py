"""`minimize`: L-BFGS over all samples."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.options import options_of, with_known_options
from anyarray_mlp.checking.values import check_callable, is_true
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.training.given import as_given
from anyarray_mlp.training.job import Job, Rows, checked_job, checked_rows
from anyarray_mlp.training.predicting import as_inputs, dense, to_leaves
from anyarray_mlp.training.recipe import Recipe, recipe_of
from anyarray_mlp.training.records import Epoch, TrainingState
from anyarray_mlp.training.state import fresh_state, to_vector
from anyarray_mlp.typing import Array, Host, Leaves, Namespace

#: Evaluations after which NumPy's are recorded and replayed: recording takes as long as some tens of them.
FEW_EVALUATIONS = 48


class Minimum(NamedTuple):
    """Where L-BFGS ended: parameters (p,), their loss, and whether it had converged, or stalled: rounding keeps the
    line search from a lower loss.
    """

    parameters: Host
    loss: float
    converged: bool
    stalled: bool


@with_known_options
def minimize(
    mlp: MLP,
    x: Any,
    targets: Any,
    recipe: Recipe | None = None,
    *,
    report: Callable[[Epoch], object],
    backend: str | Backend | None = None,
    validation: tuple[Array, Array] | None = None,
    sample_weight: Array | None = None,
    input_scale: float | None = None,
    initial: Host | TrainingState | None = None,
    **options: Any,
) -> Minimum:
    """Minimise the loss over all samples by L-BFGS (`scipy.optimize`, Zhu et al. 1997) from `initial` (p,).

    Arguments as those of `train`, a sparse x made dense as a whole. From a `TrainingState` the iterations are
    counted on, but what L-BFGS knew of the curvature is gone. `report` is told each iteration as an `Epoch` and
    stops it by returning True. It has converged if the gradient's largest entry fell to `gradient_tol`, or the
    loss stood still, within `epochs` iterations and `max_evaluations` evaluations.
    """
    recipe = recipe_of("minimize", recipe, {"optimizer": "lbfgs", **options}, OWN)
    if not recipe.by_lbfgs:
        raise UsageError(
            f"minimize is L-BFGS: leave optimizer={recipe.optimizer!r} to fit or train."
        )
    check_network(mlp)
    if mlp.dropout_layers:
        raise UsageError("lbfgs needs a loss that is the same each time: set dropout to 0.")
    given = as_given(mlp, dense(x), targets, sample_weight, validation)
    rows = checked_rows(mlp, given.x, given.targets, given.sample_weight)
    job = checked_job(mlp, recipe, backend, given.validation, input_scale)
    if job.backend.arithmetic != "plain":
        raise UsageError(
            "lbfgs cannot be reproducible: SciPy's sums depend on its BLAS. Use another optimizer, such as adam."
        )
    check_callable("report", report, "a function of an epoch")
    if initial is None:
        initial = mlp.initialize(recipe.seed, recipe.initializer)
    return minimum_of(job, rows, fresh_state(mlp, None, initial), report)


#: The options that `minimize` takes itself, each with its default.
OWN = options_of(minimize)


def minimum_of(
    job: Job, rows: Rows, start: TrainingState, report: Callable[[Epoch], object]
) -> Minimum:
    """Where L-BFGS comes to from a state."""
    from scipy.optimize import minimize as scipy_minimize

    reporter = Reporter(job, start, report)
    result = scipy_minimize(
        Objective(job, rows, start, reporter),
        np.asarray(start.parameters, dtype=np.float64),
        method="L-BFGS-B",
        jac=True,
        # SciPy looks for this very argument in the signature of what it calls.
        callback=lambda intermediate_result: reporter(intermediate_result),
        options={
            "maxiter": job.epochs,
            "maxfun": job.recipe.max_evaluations,
            "gtol": job.recipe.gradient_tol,
        },
    )
    if reporter.raised:
        raise reporter.raised
    return Minimum(result.x, float(result.fun), result.status == 0, result.status == 2)


class Reporter:
    """Tells each iteration as an `Epoch`.

    `raised` is what the user's function raised and SciPy would take for a wish to stop.
    """

    def __init__(self, job: Job, start: TrainingState, report: Callable[[Epoch], object]) -> None:
        self.job = job
        self.start = start
        self.report = report
        self.started = time.perf_counter()
        self.evaluate = job.evaluation()
        self.iteration = start.epoch
        self.raised: StopIteration | None = None

    def __call__(self, result: Any) -> None:
        self.iteration += 1
        vector = np.array(result.x)
        try:
            over = is_true(self.report(self.epoch(vector, float(result.fun))))
        except StopIteration as error:
            self.raised = error
            raise
        if over:
            raise StopIteration

    def epoch(self, vector: Host, loss: float) -> Epoch:
        """The record of an iteration that came to parameters (p,)."""
        mlp, backend, number = self.job.mlp, self.job.backend, self.iteration
        evaluate = self.evaluate
        validation_loss, scores = (
            evaluate(to_leaves(mlp, backend, vector)) if evaluate else (None, {})
        )
        step = self.start.step + number - self.start.epoch
        return Epoch(
            epoch=number,
            step=step,
            loss=loss,
            learning_rate=1.0,
            seconds=time.perf_counter() - self.started,
            validation_loss=validation_loss,
            scores=scores,
            complete=True,
            snapshot=lambda: TrainingState(vector, (), step, number),
            on_device=lambda: (to_leaves(mlp, backend, vector), ()),
            step_losses=np.array([loss]),
        )


class Objective:
    """The loss and its gradient over all samples, as functions of the parameters (p,) on the host."""

    def __init__(self, job: Job, rows: Rows, start: TrainingState, reporter: Reporter) -> None:
        self.job = job
        self.reporter = reporter
        self.data = job.on_device(*rows)
        self.held = np.array(start.parameters, dtype=job.backend.dtype)
        self.parts = tuple(job.mlp.layout.split(self.held))
        self.evaluations = 0
        alpha, input_scale = job.recipe.alpha, job.input_scale

        def loss_and_grad(
            xp: Namespace,
            leaves: Leaves,
            x: Array,
            targets: Array,
            weight: Array | None = None,
        ) -> Any:
            x = as_inputs(xp, x, leaves[0].dtype, input_scale)
            return job.mlp.loss_and_grad(xp, leaves, x, targets, weight, alpha=alpha)

        self.run = job.backend.jit(loss_and_grad)

    def __call__(self, vector: Host) -> tuple[float, Host]:
        mlp, backend = self.job.mlp, self.job.backend
        self.evaluations += 1
        if backend.name == "numpy" and self.evaluations > FEW_EVALUATIONS:
            self.held[...] = vector  # calls are replayed where their parameters lie where they lay
            leaves: Leaves = self.parts
        else:
            leaves = to_leaves(mlp, backend, vector)
        with np.errstate(all="ignore"):  # a loss that is not finite is reported below
            loss, grad = self.run(leaves, *self.data)
        value = float(backend.to_host(loss))
        if not math.isfinite(value):
            raise DivergedError(
                f"The loss became {value} in iteration {self.reporter.iteration + 1} of lbfgs: standardise the inputs.",
                parameters=np.array(vector),
            )
        return value, to_vector(mlp, backend, grad).astype(np.float64)
