"""What both estimators share: validation, and training with scikit-learn's bookkeeping."""

from __future__ import annotations

import copy
import math
from numbers import Number
from typing import Any, ClassVar

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import validate_data

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.options import UnknownOptionError, refuse_unknown
from anyarray_mlp.checking.values import check_real
from anyarray_mlp.errors import DataError, DivergedError, UsageError
from anyarray_mlp.estimators.collapse import CollapsedFitWarning, collapse, spread_rows
from anyarray_mlp.estimators.constraints import Constraint, check_parameters, hidden_sizes
from anyarray_mlp.estimators.diagnosing import NON_FINITE
from anyarray_mlp.estimators.fitted import FittedMLP
from anyarray_mlp.estimators.fitting import Data, Run
from anyarray_mlp.estimators.networks import (
    CountedMLP,
    counts_otherwise,
    draw_seed,
    initial_parameters,
)
from anyarray_mlp.estimators.notices import warn, warn_of_unused_overrides
from anyarray_mlp.estimators.observers import CallbackSupportMixin, FitTask
from anyarray_mlp.estimators.placement import (
    check_same_place,
    computing_backend,
    dtype_name,
    float_dtypes,
    followed_place,
    host_vector,
    take_rows,
    to_host,
)
from anyarray_mlp.estimators.progress import EpochOrder, Progress
from anyarray_mlp.estimators.validation import HeldOut
from anyarray_mlp.estimators.weights import weights_of
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training import Fit
from anyarray_mlp.training.predicting import dense
from anyarray_mlp.typing import Array, Host


class BaseMLP(CallbackSupportMixin, FittedMLP):  # type: ignore[misc]
    """Shared by `MLPClassifier` and `MLPRegressor`."""

    own_constraints: ClassVar[dict[str, Constraint]] = {}
    _default_score: ClassVar[str]
    _validation_options: ClassVar[dict[str, Any]] = {}

    n_outputs_: int
    n_layers_: int
    n_iter_: int
    t_: int
    out_activation_: str
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    converged_: bool
    coefs_: list[Array]
    intercepts_: list[Array]
    _network: MLP
    _progress: Progress
    _no_improvement_count: int

    # --- differences between the two ---

    def _labelled(self, y: Any, first: bool, incremental: bool, classes: Any) -> Any:
        """Check y against what was fitted before and remember it; returns y in the form that `_targets` takes."""
        raise NotImplementedError

    def _targets(self, y: Any) -> Host:
        """y in the form that the loss takes."""
        raise NotImplementedError

    def _outputs(self, y: Any) -> tuple[int, str, str]:
        """The number of outputs, the output function and the loss."""
        raise NotImplementedError

    def _weighted(self, y: Any, weight: Host | None) -> Host | None:
        """Sample weights multiplied by class weights."""
        return weight

    def _score_outputs(self, outputs: Host, held_out: HeldOut) -> float:
        """The score that early stopping monitors by default."""
        raise NotImplementedError

    # --- parameters ---

    def set_params(self, **params: Any) -> Any:
        """Set parameters by name, as in scikit-learn; `UnknownOptionError` for an unknown one."""
        known = self._get_param_names()
        name = type(self).__name__
        try:
            refuse_unknown(name, [each.partition("__")[0] for each in params], known)
        except UnknownOptionError as error:  # scikit-learn's words, with more detail
            raise UnknownOptionError(f"Invalid parameter for estimator {name}: {error}") from None
        return super().set_params(**params)

    # --- fitting ---

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        held_out: tuple[Any, Any, Any],
        incremental: bool,
        classes: Any = None,
    ) -> None:
        """Train; other threads see the estimator as it was before until it is fitted, and then as it is after.

        Attributes are set one after another. So `_before` keeps them all as they were; predictions and copies use it
        (see `_now`), and removing it switches from old to new in a single step.
        """
        self._before = dict(vars(self))
        try:
            run, task, final = self._train(X, y, sample_weight, held_out, incremental, classes)
        finally:
            self.__dict__.pop("_before", None)
        if task is not None:
            task.end(lambda: run.attributes(final))
        for message, category in run.warnings:
            warn(message, category)
        if not incremental and not run.watch.end(Fit(final, (), run.stopped)):
            learning = not self.converged_ and self._no_improvement_count == 0
            self._warn_of_collapse(run.network, final, run.data, learning)

    def _train(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        held_out: tuple[Any, Any, Any],
        incremental: bool,
        classes: Any,
    ) -> tuple[Run, FitTask | None, Host]:
        """Set the fitted attributes; returns the run, its task for callbacks, and the parameters (p,) to keep."""
        name = type(self).__name__
        check_parameters(self)
        warn_of_unused_overrides(self)
        first = not (self.__sklearn_is_fitted__() and (self.warm_start or incremental))
        if held_out[0] is None and any(part is not None for part in held_out[1:]):
            raise UsageError("y_val or sample_weight_val was given without X_val: pass X_val too.")
        given = X, y
        X, y = self._validated(X, y, reset=first)
        place = followed_place(X)
        if not first:
            check_same_place(X, self.coefs_[0], name, "partial_fit" if incremental else "fit")
        weight = checked_weight(sample_weight, X.shape[0])
        if first:  # if this fit fails, nothing of an earlier one must be left
            self.__dict__.pop("coefs_", None)
        y = self._labelled(y, first, incremental, classes)
        data = Data(X, y, self._targets(y), self._weighted(y, weight))

        network = self._describe(X.shape[1], y)
        dtype = self.dtype or dtype_name(X if first else weights_of(self)[0])
        backend = computing_backend(place, self.backend, self.device, dtype, self.reproducible)
        start = self._begin(network, first)
        progress = self._progress

        early = self.early_stopping and self.solver != "lbfgs"
        validation = None
        if held_out[0] is not None:
            validation = self._held_out(network, backend, y, *held_out)
        elif early:
            rows, others = self._split(data.targets, progress)
            plain = Data(X, y, data.targets, weight).rows(others)
            validation = HeldOut(network, backend, plain.x, plain.targets, plain.y, plain.weight)
            data = data.rows(rows)
        if early and self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -math.inf
        fresh = not hasattr(self, "best_loss_")
        if self.solver != "lbfgs" and (fresh or early != (self.best_loss_ is None)):
            self.best_loss_ = None if early else math.inf

        run = Run(self, network, backend, data, validation, place)
        task = None if incremental else FitTask(self, self.max_iter, *given, sample_weight)
        if self.solver == "lbfgs":
            final = run.minimize(start, task)
        else:
            final = run.train(start, task, incremental)
        if not np.all(np.isfinite(final)):
            raise DivergedError(NON_FINITE, parameters=start)
        self.__dict__.update(run.attributes(final))
        return run, task, final

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        """X dense or CSR in a float dtype, on its device; y on the host."""
        X, y = validate_data(
            self,
            X,
            to_host(y),
            accept_sparse="csr",
            multi_output=True,
            dtype=list(float_dtypes(X)),
            reset=reset,
            **self._validation_options,
        )
        return X, y

    def _describe(self, n_features: int, y: Any) -> MLP:
        """The network that the parameters describe."""
        n_outputs, output, loss = self._outputs(y)
        kind = CountedMLP if counts_otherwise(output, loss, n_outputs) else MLP
        activation = self.activation
        return kind(
            sizes=(n_features, *hidden_sizes(self.hidden_layer_sizes), n_outputs),
            activation=activation if isinstance(activation, str) else tuple(activation),
            output=output,
            loss=loss,
            dropout=tuple(self.dropout) if np.ndim(self.dropout) else self.dropout,
        )

    def _begin(self, network: MLP, first: bool) -> Host:
        """Set up the state of a first call; returns the parameters (p,) to start from."""
        if not first:
            self._check_goes_on(network)
        self.n_outputs_ = network.sizes[-1]
        self.n_layers_ = len(network.sizes)
        self.out_activation_ = network.output
        self._network = network
        if first or not hasattr(self, "_progress"):
            random_state = check_random_state(self.random_state)
            self._progress = Progress(random_state, EpochOrder(random_state))
        progress = self._progress
        if first:
            start = initial_parameters(
                network, self.initializer, self.activation, progress.random_state
            )
            self.__dict__.update(empty_books())
            self.__dict__.pop("best_loss_", None)  # lbfgs has none
        else:
            start = host_vector([*weights_of(self)])
            self.__dict__.update(
                {**empty_books(), **vars(self)}
            )  # weights may have been set by hand
            if progress.best is None and getattr(self, "validation_scores_", None):
                progress.best = start
            latest, best = progress.latest, progress.best
            if latest is not None and best is not None and np.array_equal(start, best):
                start = latest
        if network.dropout_layers and not progress.dropout_seed:
            progress.dropout_seed = draw_seed(progress.random_state)
        return start

    def _check_goes_on(self, network: MLP) -> None:
        """Raise an error if the present weights do not fit the network."""
        fitted = tuple(tuple(part.shape) for part in weights_of(self))
        n_outputs = fitted[-1][0]
        if n_outputs != network.sizes[-1]:
            raise DataError(
                f"y has {network.sizes[-1]} column(s) and the estimator was fitted to {n_outputs}: "
                "give as many, or fit again with warm_start=False."
            )
        if fitted != network.layout.shapes:
            raise UsageError(
                f"Training continues from weights of shapes {fitted}, "
                f"but hidden_layer_sizes={self.hidden_layer_sizes!r} gives {network.layout.shapes}: "
                "restore hidden_layer_sizes, or fit again with warm_start=False."
            )

    def _split(self, targets: Host, progress: Progress) -> tuple[Host, Host]:
        """Training rows and held-out rows; the same ones in a later call with as many rows."""
        if self.validation_fraction == 0:
            raise UsageError(
                "early_stopping needs held-out rows, but validation_fraction is 0: "
                "give a fraction between 0 and 1, or pass X_val and y_val to fit."
            )
        n = len(targets)
        drawn, before = progress.split or (0, progress.random_state)
        generator = copy.deepcopy(before) if drawn == n else progress.random_state
        split = n, copy.deepcopy(generator)
        labels = getattr(self, "_labels", None)
        binary = labels is not None and labels.kind == "binary"
        try:
            rows, others = train_test_split(
                np.arange(n),
                random_state=generator,
                test_size=self.validation_fraction,
                stratify=targets.astype(bool) if binary else None,
            )
        except ValueError as error:
            meaning = ""
            if labels is not None and binary:
                first, last = labels.classes[[0, -1]].tolist()
                meaning = f" (False is {first!r} and True is {last!r})"
            raise DataError(
                f"{str(error).rstrip('.')}{meaning}: early_stopping holds out validation_fraction="
                f"{self.validation_fraction} of each call's rows, so give more rows or pass X_val and y_val."
            ) from error
        if len(others) < 2:
            raise DataError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset, "
                "or pass X_val and y_val."
            )
        progress.split = split
        return rows, others

    def _held_out(
        self, network: MLP, backend: Backend, trained: Any, X: Any, y: Any, sample_weight: Any
    ) -> HeldOut:
        """The user's own validation set; its y must have the shape of the y used for training."""
        if y is None:
            raise UsageError("X_val was given without y_val: pass both.")
        X, y = self._validated(X, y, reset=False)
        y = self._rows_of_y(y)
        if y.shape[1:] != trained.shape[1:]:
            raise DataError(
                f"y_val has shape {y.shape} and y has shape {trained.shape}: give y_val the same columns as y."
            )
        weight = checked_weight(sample_weight, X.shape[0])
        return HeldOut(network, backend, X, self._targets(y), y, weight)

    def _rows_of_y(self, y: Any) -> Any:
        return y

    def _warn_of_collapse(self, network: MLP, parameters: Host, data: Data, learning: bool) -> None:
        rows = spread_rows(data.x.shape[0])
        sample = to_host(take_rows(data.x, rows))
        problem = collapse(
            network,
            parameters,
            dense(sample),
            data.targets[rows],
            learning,
        )
        if problem is not None:
            warn(problem, CollapsedFitWarning, __name__)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags


def empty_books() -> dict[str, Any]:
    """The fitted attributes before the first epoch."""
    return {
        "n_iter_": 0,
        "t_": 0,
        "loss_curve_": [],
        "validation_loss_curve_": [],
        "validation_scores_": None,
        "best_validation_score_": None,
        "_no_improvement_count": 0,
    }


def checked_weight(sample_weight: Any, n: int) -> Host | None:
    """Sample weights (n,) on the host, or None if there are none."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Number):
        if not isinstance(sample_weight, bool):
            check_real(
                "sample_weight", sample_weight, "a finite number or one for each row", np.isfinite
            )
        weight = np.full(n, float(sample_weight))  # type: ignore[arg-type]
    else:
        weight = check_array(
            to_host(sample_weight),
            ensure_2d=False,
            dtype=[np.float64, np.float32],
            input_name="sample_weight",
        )
    if weight.ndim != 1:
        raise DataError(
            f"Sample weights must be 1D array or scalar, got {weight.ndim}D array. "
            f"Expected either a scalar value or a 1D array of length {n}."
        )
    if weight.shape != (n,):
        raise DataError(f"sample_weight.shape == {weight.shape}, expected {(n,)}!")
    if not np.any(weight):
        raise DataError("Sample weights must contain at least one non-zero number.")
    return np.asarray(weight)
