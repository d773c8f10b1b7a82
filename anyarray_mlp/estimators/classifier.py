"""`MLPClassifier`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import unique_labels

from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.errors import DataError, UsageError, in_a_line
from anyarray_mlp.estimators.base import BaseMLP
from anyarray_mlp.estimators.constraints import function_of
from anyarray_mlp.estimators.labels import Labels
from anyarray_mlp.estimators.observers import with_callbacks
from anyarray_mlp.estimators.placement import to_host
from anyarray_mlp.estimators.steps import with_steps_only
from anyarray_mlp.estimators.validation import HeldOut
from anyarray_mlp.network.initializers import Initializer
from anyarray_mlp.network.losses import FUSED_LOSSES, LOSSES
from anyarray_mlp.training import Callback
from anyarray_mlp.typing import Host


@with_known_options
class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """Multilayer perceptron classifier: scikit-learn's, on any device, with more options.

    The parameters down to `max_fun` are scikit-learn's, with its defaults and its results; those after it are
    additions.

    Parameters
    ----------
    hidden_layer_sizes : units of each hidden layer; an integer means one layer, () none.
    activation : a name in `functional.ACTIVATIONS` or of `register_activation`, or a list with one for each hidden
        layer.
    solver : "adam", "sgd" or "lbfgs"; lbfgs uses all samples in each iteration and suits small data.
    alpha : strength of the L2 penalty on the weights.
    batch_size : samples per step; "auto" is min(200, n); lbfgs uses all samples.
    learning_rate : for sgd: "constant", "invscaling" (decreases with the samples seen) or "adaptive" (divided by 5
        whenever training stops improving).
    learning_rate_init : the initial learning rate of sgd and adam.
    power_t : exponent of "invscaling".
    max_iter : maximum number of epochs, or of lbfgs iterations.
    shuffle : whether each epoch takes the samples in a new order.
    random_state : seed or generator of the initial weights, the shuffles, the held-out rows and dropout.
    tol : the least improvement of the loss or score that counts; for lbfgs, the gradient at which to stop.
    verbose : whether to print each epoch's loss.
    warm_start : whether `fit` continues with the weights and the optimiser's state of the previous call.
    momentum : for sgd, between 0 and 1.
    nesterovs_momentum : whether to use Nesterov's momentum.
    early_stopping : whether to stop when the score on held-out rows stops improving, and keep the best weights.
    validation_fraction : fraction of the rows to hold out.
    beta_1, beta_2, epsilon : adam's decay rates of the two moments, and the constant that keeps its divisor positive.
    n_iter_no_change : number of epochs without improvement after which to stop.
    max_fun : maximum number of loss evaluations by lbfgs.
    loss : "log_loss", or a loss of the probabilities: "squared_error", "absolute_error", "huber", "quantile",
        or what `register_loss` gave.
    class_weight : "balanced", weights by label, or None; for label indicators as in `compute_sample_weight`.
    dropout : probability of dropping a hidden unit in training: one number, or a list with one for each hidden layer.
    initializer : "scikit-learn" for the same draws as scikit-learn, "auto" to fit each activation, a name in
        `initializers.INITIALIZERS`, or a callable (generator, fan_in, fan_out) -> weights.
    clip_norm : Euclidean norm to which sgd and adam scale down longer gradients; None for no clipping.
    scoring : what early stopping monitors: None for accuracy, "loss" for the validation loss, the name of a
        scikit-learn scorer, or a callable (estimator, X, y) -> float; higher is better.
    on_epoch : a function, or a list of them, called with each `training.Epoch`; training stops if one returns True
        (or NumPy's), and for no other value.
    device : "cpu", "cuda", "cuda:1", "auto", or None for X's device. NumPy in, NumPy out, wherever it trains.
    backend : "numpy", "cupy", "torch", "jax", or None for X's library, or the available one on `device`.
    dtype : "float32" or "float64" to compute in; None for X's dtype.
    reproducible : compute the same bits on every backend.
    diagnose : whether `fit` looks for what went wrong, which takes some milliseconds: `diagnosis_` has the findings.

    Attributes
    ----------
    Those of scikit-learn's estimator, and:

    validation_loss_curve_ : loss on the validation set after each epoch, if there is a validation set.
    converged_ : whether training ended because it had stopped improving.
    diagnosis_ : with diagnose=True, the `Diagnosis` of the last `fit`: `print(estimator.diagnosis_.report())`.

    Warns
    -----
    ConvergenceWarning : `max_iter` was reached before convergence.
    DiagnosedFitWarning : with diagnose=True, an error was found.
    CollapsedFitWarning : the fitted network predicts only one class; says why, and what to change.
    """

    _default_score: ClassVar = "accuracy"
    own_constraints: ClassVar = {
        "loss": function_of("loss", ("log_loss", *LOSSES), [loss for _, loss in FUSED_LOSSES])
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: str = "log_loss",
        class_weight: str | Mapping[Any, float] | None = None,
        dropout: float | Sequence[float] = 0.0,
        initializer: str | Initializer = "scikit-learn",
        clip_norm: float | None = None,
        scoring: str | Callable[..., float] | None = None,
        on_epoch: Callback | Sequence[Callback] | None = None,
        device: str | None = None,
        backend: str | None = None,
        dtype: str | None = None,
        reproducible: bool = False,
        diagnose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.class_weight = class_weight
        self.dropout = dropout
        self.initializer = initializer
        self.clip_norm = clip_norm
        self.scoring = scoring
        self.on_epoch = on_epoch
        self.device = device
        self.backend = backend
        self.dtype = dtype
        self.reproducible = reproducible
        self.diagnose = diagnose

    @with_known_options
    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPClassifier:
        """Fit to X (n, i), dense or sparse, and labels y (n,) or label indicators (n, k).

        `sample_weight` (n,) weights samples in the loss. X_val, y_val and sample_weight_val are your own validation
        set; without one, `early_stopping` holds out `validation_fraction` of X.
        """
        self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), incremental=False)
        return self

    @with_steps_only
    @with_known_options
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPClassifier:
        """Train one more epoch over X and y, continuing from the last call; solvers sgd and adam only.

        `classes` names all labels in the first call; label indicators need none.

        With `early_stopping`, each call keeps the parameters that validated best so far, and `converged_` says
        when to stop calling. If calls bring different rows, pass the same X_val and y_val each time: without them a
        call compares the best parameters so far with the new ones on a few of its own rows, which it holds out from
        training.
        """
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            raise UsageError(
                "class_weight='balanced' is not supported by partial_fit, which does not see all samples: pass "
                "the weights, from sklearn.utils.class_weight.compute_class_weight('balanced', classes=classes, y=y)."
            )
        if classes is None and not hasattr(self, "classes_") and names_labels(sample_weight, y):
            raise UsageError(
                "classes must be passed on the first call to partial_fit, and by name: classes=labels; "
                "the third argument is sample_weight."
            )
        held_out = (X_val, y_val, sample_weight_val)
        self._fit(X, y, sample_weight, held_out, incremental=True, classes=to_host(classes))
        return self

    def predict(self, X: Any) -> Any:
        """Labels (n,), or label indicators (n, k), of X (n, i)."""
        now, home, outputs = self._predicted(X, "predict")
        return now._known_labels().decode(home, outputs)

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class (n, k), in the order of `classes_`."""
        now, home, outputs = self._predicted(X, "predict_proba")
        return now._known_labels().probabilities(home, outputs)

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithm of `predict_proba`."""
        now, home, outputs = self._predicted(X, "predict_log_proba")
        with home.on_device():
            return home.xp.log(now._known_labels().probabilities(home, outputs))

    def _labelled(self, y: Any, first: bool, incremental: bool, classes: Any) -> Any:
        y = self._rows_of_y(y)
        if not incremental and (first or not hasattr(self, "classes_")):
            self._set_labels(Labels.of(y))
            return y
        if hasattr(self, "classes_"):
            self._set_labels(self._known_labels())
        if incremental:
            self._check_classes(y, classes)
        found = Labels.of(y, None)
        if found.kind == "multilabel" and self._labels.kind != "multilabel":
            raise DataError(
                f"y has shape {y.shape} and the estimator was fitted to one label for each sample: "
                "give labels (n,), or fit again with warm_start=False."
            )
        if self.warm_start and set(found.classes) != set(self.classes_):
            raise DataError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {found.classes}"
            )
        return y

    def _check_classes(self, y: Any, classes: Any) -> None:
        """Store the classes of a first `partial_fit`; those of later calls must be the same."""
        if not hasattr(self, "classes_"):
            labels = Labels.of(y)
            if labels.kind != "multilabel":
                if classes is None:
                    raise UsageError("classes must be passed on the first call to partial_fit.")
                labels = Labels.of(y, classes)
            self._set_labels(labels)
        if classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise UsageError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )

    def _set_labels(self, labels: Labels) -> None:
        self._labels = labels
        self.classes_ = labels.classes

    def _known_labels(self) -> Labels:
        """The labels of the last fit; if the weights were set by hand, those in `classes_`.

        Raises `UsageError` if there is neither.
        """
        if hasattr(self, "_labels"):
            return self._labels
        if not hasattr(self, "classes_"):
            raise UsageError(
                "coefs_ was set by hand and classes_ was not: "
                "set classes_ to the labels, in the order of the outputs."
            )
        classes = np.asarray(self.classes_)
        n_outputs = self.coefs_[-1].shape[1] if hasattr(self, "coefs_") else 1
        return Labels.among(classes, n_outputs > 1 and self.out_activation_ == "logistic")

    @property
    def _label_binarizer(self) -> LabelBinarizer:
        """The labels in the form of scikit-learn's classifier, which converters and serialisers read."""
        now = self._now()
        if not (hasattr(now, "_labels") or hasattr(now, "classes_")):
            raise AttributeError(f"This {type(self).__name__} is not fitted and has no labels yet.")
        labels = now._known_labels()
        by_sample = labels.classes
        if labels.kind == "multilabel":
            by_sample = np.eye(len(labels.classes), dtype=np.int64)
        return LabelBinarizer(sparse_output=labels.sparse).fit(by_sample)

    @_label_binarizer.setter
    def _label_binarizer(self, binarizer: LabelBinarizer) -> None:
        multilabel = binarizer.y_type_.startswith("multilabel")
        self._labels = Labels.among(np.asarray(binarizer.classes_), multilabel)

    def _rows_of_y(self, y: Any) -> Any:
        """Labels (n,) (from a column, with a warning) or label indicators (n, k)."""
        if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1:
            return column_or_1d(y, warn=True)
        return y

    def _targets(self, y: Any) -> Host:
        return self._labels.encode(y, self._outputs(y)[2])

    def _outputs(self, y: Any) -> tuple[int, str, str]:
        labels: Labels = self._labels
        if self.loss != "log_loss":
            return labels.n_outputs, labels.output, self.loss
        loss = "cross_entropy" if labels.output == "softmax" else "binary_cross_entropy"
        return labels.n_outputs, labels.output, loss

    def _weighted(self, y: Any, weight: Host | None) -> Host | None:
        if self.class_weight is None:
            return weight
        labels: Labels = self._labels
        try:
            if labels.kind == "multilabel":
                dense = y.toarray() if labels.sparse else y
                by_sample = compute_sample_weight(self.class_weight, dense)
            else:
                by_class = compute_class_weight(self.class_weight, classes=labels.classes, y=y)
                by_sample = by_class[labels.codes(y)]
        except (TypeError, ValueError) as error:
            raise UsageError(f"class_weight cannot be used: {in_a_line(error)}") from error
        return np.asarray(by_sample if weight is None else by_sample * weight)

    def _score_outputs(self, outputs: Host, held_out: HeldOut) -> float:
        labels: Labels = self._labels
        if labels.kind == "multilabel":
            right = np.all((outputs > 0.5) == (labels.encode(held_out.y, "") > 0.5), axis=1)
        else:
            right = labels.chosen(np, outputs) == labels.codes(held_out.y)
        return float(np.average(right, weights=held_out.weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def names_labels(sample_weight: Any, y: Any) -> bool:
    """Whether the weights given for labels y (n,) are really the names of the labels."""
    if not (np.ndim(sample_weight) == 1 and np.ndim(y) == 1):
        return False
    return len(sample_weight) != len(y) and set(np.unique(y)) <= set(np.unique(sample_weight))
