"""`TabularMLPClassifier`, `TabularMLPRegressor`: `train_table` as estimators of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.values import checked_weight
from anyarray_mlp.data import Dataset
from anyarray_mlp.data.cells import array_names
from anyarray_mlp.data.targets import tidy_target
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.estimators.networks import draw_seed
from anyarray_mlp.estimators.tables import TableInputs
from anyarray_mlp.pipeline.plan import plan_for
from anyarray_mlp.pipeline.preparation import prepared_set
from anyarray_mlp.pipeline.run import Run
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.training.predicting import plain_numpy
from anyarray_mlp.typing import Host

#: Parameters that are settings of `train_table` by another name, or none.
OF_ITS_OWN = ("random_state", "unknown_categories", "options")


class BaseTabularMLP(TableInputs, BaseEstimator):  # type: ignore[misc]
    """Shared by `TabularMLPClassifier` and `TabularMLPRegressor`."""

    task = ""

    model_: TrainedModel
    n_features_in_: int

    def __init__(
        self,
        preset: str = "tabular",
        *,
        members: int | None = None,
        hidden_layer_sizes: int | Sequence[int] | None = None,
        dropout: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate_init: float | None = None,
        validation_fraction: float | None = None,
        options: Mapping[str, Any] | None = None,
        unknown_categories: str = "rest",
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        backend: str | None = None,
        dtype: str = "float32",
        reproducible: bool | str = False,
    ) -> None:
        self.preset = preset
        self.members = members
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.validation_fraction = validation_fraction
        self.options = options
        self.unknown_categories = unknown_categories
        self.random_state = random_state
        self.device = device
        self.backend = backend
        self.dtype = dtype
        self.reproducible = reproducible

    def _settings(self, seed: int) -> Settings:
        """The settings that the parameters stand for; those that are None are the preset's."""
        given = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in OF_ITS_OWN and value is not None
        }
        further = dict(self.options or {})
        for name in ("target", "test", "test_fraction", "task", "seed", *given):
            if name in further:
                instead = "random_state" if name == "seed" else name
                raise UsageError(
                    f"options holds {name!r}, which {type(self).__name__} has itself"
                    + (f": give {instead}." if name in (*given, "seed") else ": leave it out.")
                )
        own = {"test_fraction": 0.0, "task": self.task, "seed": seed}
        return Settings.of(type(self).__name__, None, {**further, **given, **own})

    def _fit(self, X: Any, y: Any, target: Host, sample_weight: Any) -> None:
        """Train on a checked X and the target in the form that `Dataset` has."""
        weight = weights_of_rows(sample_weight, len(target))
        settings = self._settings(draw_seed(check_random_state(self.random_state)))
        backend = settings.placement.select()
        names = [str(name) for name in X.columns] if hasattr(X, "iloc") else array_names(X, None)
        if hasattr(X, "iloc"):
            X = X.set_axis(names, axis=1)
        dataset = Dataset("X", X, target, tuple(names), "y", self.task)  # type: ignore[arg-type]
        prepared = prepared_set(dataset, settings, backend.dtype, weight)
        plan = plan_for(prepared, settings, backend, is_table=True)
        result = Run.of(plan).fit((), None)
        self.model_ = plan.trained(result)
        self.n_iter_ = len(result.history)
        self.loss_curve_ = result.loss_curve
        self.validation_loss_curve_ = result.validation_curve

    def _checked(self, X: Any, y: Any) -> tuple[Any, Any]:
        """X and y as arrays or X as a DataFrame, with equally many rows, of which two are needed."""
        if y is None:
            raise DataError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        X = self._validated(X, reset=True)
        check_consistent_length(X, y)
        if len(X) < 2:
            raise DataError(
                f"X has 1 sample and {type(self).__name__} needs at least 2: each network holds some out."
            )
        return X, y

    def _outputs(self, X: Any) -> Host:
        """Outputs (n, k) for X."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        if hasattr(X, "iloc"):
            X = X.set_axis([str(name) for name in X.columns], axis=1)
        return self.model_.outputs(X, self._predicting(), self.unknown_categories)

    def _predicting(self) -> Backend:
        """Where predictions are computed: in float64, unless the bits are to be those of training."""
        if self.device == "cpu" and not self.reproducible:
            return plain_numpy("float64")
        placement = self._settings(0).placement
        return placement.select()


def weights_of_rows(sample_weight: Any, n: int) -> Host | None:
    """Weights (n,) or None; `DataError` for others, and where no row has any."""
    if sample_weight is None:
        return None
    weight: Host = checked_weight(check_array(sample_weight, ensure_2d=False, dtype=np.float64), n)
    if not np.any(weight):
        raise DataError("Every sample weight is zero, so no row would count: give one a weight.")
    return weight


class TabularMLPClassifier(ClassifierMixin, BaseTabularMLP):  # type: ignore[misc]
    """A classifier for tables as they come: numbers, texts and dates, with gaps.

    `fit` does with X and y what `train_table(..., preset="tabular")` does with a table, and uses the same parts:
    numbers are cut in pieces, several networks are trained together, each with held-out rows of its own by which it
    keeps its best epoch, and their probabilities are averaged.

    Parameters
    ----------
    preset : "tabular" or "plain".
    members, hidden_layer_sizes, dropout, epochs, batch_size, learning_rate_init, validation_fraction : as those of
        `train_table`; None: what the preset has.
    class_weight : "balanced", or a weight for each label.
    options : further settings of `train_table`, by name, such as {"activation": "silu", "group": "patient"}.
    unknown_categories : "rest" or "refuse", as in `TrainedModel.predict`.
    random_state : an integer, a `RandomState`, or None for another seed each time.
    device, backend, dtype, reproducible : where to compute, as in `select_backend`.

    Attributes
    ----------
    classes_ : the labels.
    model_ : the `TrainedModel`, with its notes; `model_.save(path)` writes the file that `anyarray-mlp predict` takes.
    n_iter_, loss_curve_, validation_loss_curve_ : the epochs, and the networks' mean losses after each.
    n_features_in_, feature_names_in_ : as in scikit-learn.
    """

    task = "classification"
    classes_: Host

    def __init__(
        self,
        preset: str = "tabular",
        *,
        members: int | None = None,
        hidden_layer_sizes: int | Sequence[int] | None = None,
        dropout: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate_init: float | None = None,
        validation_fraction: float | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        options: Mapping[str, Any] | None = None,
        unknown_categories: str = "rest",
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        backend: str | None = None,
        dtype: str = "float32",
        reproducible: bool | str = False,
    ) -> None:
        super().__init__(
            preset,
            members=members,
            hidden_layer_sizes=hidden_layer_sizes,
            dropout=dropout,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            validation_fraction=validation_fraction,
            options=options,
            unknown_categories=unknown_categories,
            random_state=random_state,
            device=device,
            backend=backend,
            dtype=dtype,
            reproducible=reproducible,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TabularMLPClassifier:
        """Learn labels y (n,) from X (n, i), a DataFrame or an array; `sample_weight` (n,) weights rows in the loss."""
        X, y = self._checked(X, y)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        self._fit(X, y, tidy_target(y), sample_weight)
        return self

    def predict_proba(self, X: Any) -> Host:
        """Probabilities (n, k) of `classes_` for X (n, i)."""
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def predict(self, X: Any) -> Host:
        """Labels (n,) for X (n, i)."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: Host = self.classes_[places]
        return labels


class TabularMLPRegressor(RegressorMixin, BaseTabularMLP):  # type: ignore[misc]
    """A regressor for tables as they come: numbers, texts and dates, with gaps.

    As `TabularMLPClassifier`, whose parameters it has apart from `class_weight`. Targets are standardised, and
    predictions kept within those of training.
    """

    task = "regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TabularMLPRegressor:
        """Learn y, (n,) or (n, k), from X (n, i), a DataFrame or an array; `sample_weight` (n,) weights rows."""
        X, y = self._checked(X, y)
        y = check_array(y, ensure_2d=False, dtype=np.float64)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._fit(X, y, y, sample_weight)
        return self

    def predict(self, X: Any) -> Host:
        """Values (n,), or (n, k) of several targets, for X (n, i)."""
        outputs = self._outputs(X)
        return self.model_.decode(outputs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
