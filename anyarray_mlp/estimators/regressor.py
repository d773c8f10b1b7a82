"""`MLPRegressor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.errors import DataError
from anyarray_mlp.estimators.base import BaseMLP
from anyarray_mlp.estimators.constraints import function_of, meant
from anyarray_mlp.estimators.labels import TargetTypeError
from anyarray_mlp.estimators.observers import with_callbacks
from anyarray_mlp.estimators.placement import HOST, place_of
from anyarray_mlp.estimators.steps import with_steps_only
from anyarray_mlp.estimators.validation import HeldOut
from anyarray_mlp.network.initializers import Initializer
from anyarray_mlp.network.losses import LOSSES
from anyarray_mlp.training import Callback
from anyarray_mlp.typing import Host

#: Losses of values, and those that only a classifier has.
LOSS_NAMES = ("poisson", *LOSSES)
PROBABLE = ("cross_entropy", "binary_cross_entropy")


@with_known_options
class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """Multilayer perceptron regressor: scikit-learn's, on any device, with more options.

    The parameters down to `max_fun` are scikit-learn's, with its defaults and its results; those after it are
    additions.

    Parameters
    ----------
    loss : "squared_error" or "poisson" as in scikit-learn, or "absolute_error", "huber" (also "huber:DELTA"),
        "quantile:LEVEL", or what `register_loss` gave.
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
    dropout : probability of dropping a hidden unit in training: one number, or a list with one for each hidden layer.
    initializer : "scikit-learn" for the same draws as scikit-learn, "auto" to fit each activation, a name in
        `initializers.INITIALIZERS`, or a callable (generator, fan_in, fan_out) -> weights.
    clip_norm : Euclidean norm to which sgd and adam scale down longer gradients; None for no clipping.
    scoring : what early stopping monitors: None for R2, "loss" for the validation loss, the name of a scikit-learn
        scorer, or a callable (estimator, X, y) -> float; higher is better.
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
    CollapsedFitWarning : the fitted network predicts only one value; says why, and what to change.
    """

    _default_score: ClassVar = "r2"
    own_constraints: ClassVar = {
        "loss": replace(
            function_of("loss", LOSS_NAMES, PROBABLE),
            hint=lambda v: (
                meant(v, LOSS_NAMES)
                if isinstance(v, str)
                else " loss comes first: give hidden_layer_sizes by name."
            ),
        )
    }
    _validation_options: ClassVar = {"y_numeric": True}

    def __init__(
        self,
        loss: str = "squared_error",
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
        self.loss = loss
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
    ) -> MLPRegressor:
        """Fit to X (n, i), dense or sparse, and targets y (n,) or (n, k).

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
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPRegressor:
        """Train one more epoch over X and y, continuing from the last call; solvers sgd and adam only.

        With `early_stopping`, each call keeps the parameters that validated best so far, and `converged_` says
        when to stop calling. If calls bring different rows, pass the same X_val and y_val each time: without them a
        call compares the best parameters so far with the new ones on a few of its own rows, which it holds out from
        training.
        """
        self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), incremental=True)
        return self

    def predict(self, X: Any) -> Any:
        """Values (n,), or (n, k) if there are several outputs, for X (n, i)."""
        outputs = self._predicted(X, "predict")[2]
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        if place_of(y) == HOST:  # no other library has text
            values = np.asarray(y)
            if values.size > 0 and isinstance(values.flat[0], str):
                raise TargetTypeError(
                    f"y holds text ({shown(str(values.flat[0]))}), but a regressor predicts numbers: "
                    "convert y to float, or fit an MLPClassifier to the labels."
                )
        return super()._validated(X, y, reset)

    def _labelled(self, y: Any, first: bool, incremental: bool, classes: Any) -> Any:
        y = self._rows_of_y(y)
        if self.loss == "poisson" and np.any(y < 0):
            raise DataError(
                "Some value(s) of y are out of the valid range of the loss 'poisson': "
                f"the minimum is {np.min(y):.6g}, and counts cannot be negative; use loss='squared_error'."
            )
        return y

    def _rows_of_y(self, y: Any) -> Any:
        """Targets (n,) or (n, k), shaped like predictions; a single column gives a warning."""
        if y.ndim == 2 and y.shape[1] == 1:
            return column_or_1d(y, warn=True)
        return y

    def _targets(self, y: Any) -> Host:
        return np.asarray(y, dtype=np.float64).reshape(len(y), -1)

    def _outputs(self, y: Any) -> tuple[int, str, str]:
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        return n_outputs, "exp" if self.loss == "poisson" else "identity", self.loss

    def _score_outputs(self, outputs: Host, held_out: HeldOut) -> float:
        return float(r2_score(held_out.y, outputs, sample_weight=held_out.weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
