"""`minimize`: L-BFGS over all samples."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import (
    check_callable,
    check_not_negative,
    check_whole,
    checked_weight,
    is_true,
)
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.training.batches import (
    check_host_batch,
    check_penalties,
    check_scale,
    checked_metrics,
    checked_validation,
)
from anyarray_mlp.training.evaluation import Evaluation
from anyarray_mlp.training.predicting import as_inputs, dense, on_device, to_leaves
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
    x: Array,
    targets: Array,
    *,
    backend: str | Backend | None = None,
    epochs: int,
    initial: Host | TrainingState,
    report: Callable[[Epoch], object],
    sample_weight: Array | None = None,
    validation: tuple[Array, Array] | None = None,
    metrics: str | Sequence[str] = (),
    task: str | None = None,
    alpha: float = 0.0,
    input_scale: float | None = None,
    gradient_tol: float = 1e-4,
    max_evaluations: int = 15000,
) -> Minimum:
    """Minimise the loss over all samples by L-BFGS (`scipy.optimize`, Zhu et al. 1997) from `initial` (p,).

    Arguments as those of `train`, a sparse x made dense as a whole. From a `TrainingState` the iterations are
    counted on, but what L-BFGS knew of the curvature is gone. `report` is told each iteration as an `Epoch` and
    stops it by returning True. It has converged where the gradient's largest entry fell to `gradient_tol`, or the
    loss stood still, within `epochs` iterations and `max_evaluations` evaluations.
    """
    from scipy.optimize import minimize as scipy_minimize

    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    check_network(mlp)
    if mlp.dropout_layers:
        raise UsageError("lbfgs needs a loss that is the same each time: set dropout to 0.")
    if backend.arithmetic != "plain":
        raise UsageError(
            "lbfgs cannot be reproducible: SciPy's sums depend on its BLAS. Use another optimizer, such as adam."
        )
    x = dense(x)
    check_host_batch(mlp, x, targets)
    epochs = check_whole("epochs", epochs, 0)
    check_callable("report", report, "a function of an epoch")
    validation = checked_validation(mlp, validation)
    metrics = checked_metrics(mlp, metrics, task)
    check_penalties(alpha, clip_norm=None)
    check_scale(input_scale)
    check_not_negative("gradient_tol", gradient_tol)
    max_evaluations = check_whole("max_evaluations", max_evaluations, 1)
    sample_weight = checked_weight(sample_weight, x.shape[0])
    start = fresh_state(mlp, None, initial)
    started = time.perf_counter()
    data = [on_device(backend, a) for a in (x, targets, sample_weight) if a is not None]
    evaluate = None
    if validation:
        evaluate = Evaluation(mlp, backend, validation, metrics, input_scale, task)

    def loss_and_grad(
        xp: Namespace,
        leaves: Leaves,
        x: Array,
        targets: Array,
        weight: Array | None = None,
    ) -> Any:
        x = as_inputs(xp, x, leaves[0].dtype, input_scale)
        return mlp.loss_and_grad(xp, leaves, x, targets, weight, alpha=alpha)

    run = backend.jit(loss_and_grad)
    held = np.array(start.parameters, dtype=backend.dtype)
    parts = tuple(mlp.layout.split(held))
    raised: list[StopIteration] = []
    iteration = start.epoch
    evaluations = 0

    def objective(vector: Host) -> tuple[float, Host]:
        nonlocal evaluations
        evaluations += 1
        if backend.name == "numpy" and evaluations > FEW_EVALUATIONS:
            held[...] = vector  # calls are replayed where their parameters lie where they lay
            leaves: Leaves = parts
        else:
            leaves = to_leaves(mlp, backend, vector)
        with np.errstate(all="ignore"):  # a loss that is not finite is reported below
            loss, grad = run(leaves, *data)
        value = float(backend.to_host(loss))
        if not math.isfinite(value):
            raise DivergedError(
                f"The loss became {value} in iteration {iteration + 1} of lbfgs: standardise the inputs.",
                parameters=np.array(vector),
            )
        return value, to_vector(mlp, backend, grad).astype(np.float64)

    def after_iteration(intermediate_result: Any) -> None:
        nonlocal iteration
        iteration += 1
        vector = np.array(intermediate_result.x)
        validation_loss, scores = (
            evaluate(to_leaves(mlp, backend, vector)) if evaluate else (None, {})
        )
        epoch = Epoch(
            epoch=iteration,
            step=start.step + iteration - start.epoch,
            loss=float(intermediate_result.fun),
            learning_rate=1.0,
            seconds=time.perf_counter() - started,
            validation_loss=validation_loss,
            scores=scores,
            complete=True,
            snapshot=lambda: TrainingState(vector, (), epoch.step, epoch.epoch),
            on_device=lambda: (to_leaves(mlp, backend, vector), ()),
            step_losses=np.array([float(intermediate_result.fun)]),
        )
        try:
            over = is_true(report(epoch))
        except StopIteration as error:  # the user's own, which SciPy would take for a wish to stop
            raised.append(error)
            raise
        if over:
            raise StopIteration

    result = scipy_minimize(
        objective,
        np.asarray(start.parameters, dtype=np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=after_iteration,
        options={"maxiter": epochs, "maxfun": max_evaluations, "gtol": gradient_tol},
    )
    if raised:
        raise raised[0]
    return Minimum(result.x, float(result.fun), result.status == 0, result.status == 2)
