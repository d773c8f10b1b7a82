"""What activations, losses, solvers and the like are called: here, and in Keras, PyTorch, JAX and scikit-learn.

A name is found regardless of case and separators ("ReLU", "leaky-relu", "nn.LeakyReLU()"), and under the names that
other libraries use for the same thing; the canonical name is what is stored. Something that is only similar is never
substituted: the error suggests it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from anyarray_mlp.checking.messages import letters, nearest_spelling, shown
from anyarray_mlp.errors import UsageError

#: Canonical names that help lists: here, so that help need not load what bears them (tests compare the two).
SOLVERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "lbfgs")
SCHEDULES = (
    "constant", "step", "exponential", "cosine", "flat_cos", "coslog4", "invscaling", "plateau",
)  # fmt: skip
TASKS = ("classification", "multilabel", "regression")
EPOCHS_KEPT = ("last", "best")
PRESETS = ("auto", "plain", "tabular")
NUMBERS = ("standard", "robust", "pieces")
UNKNOWN_CATEGORIES = ("rest", "refuse")

#: By kind: the canonical name, and other names of the same thing.
ALIASES: dict[str, dict[str, str]] = {
    "activation": {
        "identity": "linear none no purelin",
        "logistic": "sigmoid sigm sig expit logsig",
        "tanh": "hyperbolic_tangent tansig",
        "relu": "rectifier rectified_linear rect",
        "leaky_relu": "lrelu leaky leaky_rectify",
        "gelu_tanh": "gelu_new gelu_approximate gelu_pytorch_tanh gelu_approx approximate_gelu",
        "silu": "swish swish_1",
    },
    "output": {
        "identity": "linear none no raw",
        "logistic": "sigmoid sigm expit",
        "exp": "exponential",
    },
    "loss": {
        "cross_entropy": "categorical_crossentropy sparse_categorical_crossentropy softmax_cross_entropy ce xent log "
        "logloss nll negative_log_likelihood softmax_cross_entropy_with_integer_labels multinomial "
        "softmax_cross_entropy_with_logits sparse_softmax_cross_entropy_with_logits multiclass_cross_entropy",
        "binary_cross_entropy": "binary_crossentropy bce bce_with_logits sigmoid_binary_cross_entropy "
        "sigmoid_cross_entropy binary_logloss sigmoid_cross_entropy_with_logits "
        "binary_cross_entropy_with_logits",
        "poisson": "poisson_nll",
        "squared_error": "mse mean_squared_error l2 squared quadratic sum_squared_error sse mean_square",
        "absolute_error": "mae mean_absolute_error l1 absolute",
        "huber": "smooth_l1",
        "quantile": "pinball quantile_regression",
        "auto": "default",
    },
    "solver": {
        "sgd": "gd gradient_descent stochastic_gradient_descent",
        "momentum": "sgd_momentum sgdm momentum_sgd sgd_with_momentum",
        "nesterov": "nag nesterov_momentum nesterovs_momentum sgd_nesterov nesterov_accelerated_gradient",
        "rmsprop": "rms",
        "lbfgs": "limited_memory_bfgs",
    },
    "learning_rate": {
        "constant": "none fixed const constant_lr constant_schedule",
        "step": "step_lr step_decay staircase",
        "exponential": "exp exponential_lr exponential_decay exp_decay",
        "cosine": "cosine_annealing cosine_annealing_lr cosine_decay cos cosine_decay_schedule cosine_lr",
        "flat_cos": "flat_cosine flat_cosine_decay flat_and_cosine flat_and_anneal",
        "coslog4": "cos_log4 cos_log_4 coslog",
        "invscaling": "inverse_scaling invscale",
        "plateau": "reduce_on_plateau reduce_lr_on_plateau",
    },
    "initializer": {
        "glorot_uniform": "xavier_uniform",
        "glorot_normal": "xavier_normal",
        "he_uniform": "kaiming_uniform",
        "he_normal": "kaiming_normal",
        "uniform": "random_uniform",
        "normal": "random_normal",
        "zeros": "zero",
        "auto": "default",
    },
    "metric": {
        "accuracy": "acc accuracy_score categorical_accuracy sparse_categorical_accuracy binary_accuracy val_accuracy "
        "val_acc validation_accuracy",
        "balanced_accuracy": "bacc balanced_acc balanced_accuracy_score",
        "f1": "f1_macro macro_f1 f1_score val_f1",
        "roc_auc": "auc auroc roc_auc_score roc_auc_ovr rocauc val_auc",
        "r2": "r2_score r_squared r_square r^2",
        "mean_squared_error": "mse neg_mean_squared_error val_mse",
        "mean_absolute_error": "mae neg_mean_absolute_error val_mae",
        "loss": "train_loss training_loss",
        "validation_loss": "val_loss valid_loss eval_loss",
    },
    "task": {
        "classification": "classify classifier multiclass binary binary_classification clf class "
        "multiclass_classification",
        "regression": "regress regressor reg",
        "multilabel": "multilabel_classification",
    },
    "dtype": {
        "float32": "f32 fp32 float single 32",
        "float64": "f64 fp64 double 64",
    },
    "backend": {"torch": "pytorch", "numpy": "np", "array_api_strict": "strict", "cupy": "cp"},
    "unknown_categories": {
        "refuse": "error raise",
        "rest": "gap ignore nan missing other infrequent_if_exist",
    },
}

#: By kind: the nearest alternative to things that this package does not have.
INSTEAD: dict[str, dict[str, str]] = {
    "activation": {
        "elu": "celu",
        "relu": "relu6 crelu",
        "leaky_relu": "prelu rrelu",
        "silu": "hard_swish",
        "tanh": "hard_tanh softsign lecun_tanh",
        "logistic": "hard_sigmoid",
    },
    "output": {"logistic": "hard_sigmoid", "exp": "softplus", "softmax": "log_softmax"},
    "loss": {
        "cross_entropy": "hinge kl_div kl_divergence focal categorical_hinge multi_margin",
        "squared_error": "rmse root_mean_squared_error msle",
        "absolute_error": "mape",
        "huber": "log_cosh",
    },
    "solver": {
        "adam": "nadam adamax radam amsgrad",
        "rmsprop": "adagrad adadelta rprop",
        "adamw": "lion lamb muon",
        "lbfgs": "bfgs newton newton_cg cg",
        "sgd": "asgd ftrl",
    },
    "learning_rate": {
        "plateau": "adaptive",
        "cosine": "one_cycle linear polynomial cyclic",
        "step": "multistep",
    },
    "initializer": {
        "glorot_uniform": "xavier glorot",
        "he_uniform": "kaiming he",
        "lecun_uniform": "lecun",
        "normal": "random truncated_normal gaussian",
    },
    "metric": {
        "mean_squared_error": "rmse root_mean_squared_error",
        "f1": "precision recall",
        "validation_loss": "log_loss",
        "roc_auc": "average_precision",
    },
    "dtype": {"float32": "float16 bfloat16 half f16 fp16 bf16"},
    "backend": {"jax": "tensorflow tf keras flax", "cupy": "cuda gpu"},
}


def canonical(kind: str, value: Any, known: Iterable[str]) -> Any:
    """The name among `known` that `value` stands for; `value` itself if there is none or it is not a string."""
    names = list(known)
    if not isinstance(value, str) or value in names:
        return value
    text = folded(value)
    spellings = {letters(name): name for name in names}
    for spelling in (text, text.removesuffix("loss")):
        name = spellings.get(spelling) or other_names(kind).get(spelling)
        if name in names:
            return name
    return value


def find_name(parameter: str, value: Any, known: Iterable[str], kind: str | None = None) -> str:
    """As `canonical`; the kind defaults to the parameter's name. Raises `UsageError` if nothing has that name."""
    names = list(known)
    found = canonical(kind or parameter, value, names)
    if not isinstance(found, str) or found not in names:
        raise UsageError(
            f"{parameter} must be one of {', '.join(names)}, got {shown(value)}"
            f"{meant(kind or parameter, value, names)}."
        )
    return found


def meant(kind: str, value: Any, known: Iterable[str]) -> str:
    """ " (did you mean 'x'?)" or "; the nearest is 'x'" for a name that is not in `known`, or ""."""
    names = list(known)
    if not isinstance(value, str):
        return ""
    instead = alike(kind).get(folded(value))
    if instead in names:
        return f"; the nearest is {instead!r}"
    near = misspelt(kind, value, names)
    return f" (did you mean {near!r}?)" if near else ""


def misspelt(kind: str, value: str, known: Iterable[str]) -> str | None:
    """The name in `known` that `value` may be a misspelling of, or of another name of it; None if there is none."""
    names = list(known)
    spellings = {letters(name): name for name in names}
    spellings |= {text: name for text, name in other_names(kind).items() if name in names}
    return nearest_spelling(folded(value), spellings)


def folded(name: str) -> str:
    """A name in lower case, without separators, module prefix and the () of a call."""
    return letters(name.rpartition(".")[2])


@cache
def other_names(kind: str) -> dict[str, str]:
    """{other name: canonical name} of a kind."""
    return by_spelling(ALIASES.get(kind, {}))


@cache
def alike(kind: str) -> dict[str, str]:
    """{missing thing: nearest alternative} of a kind."""
    return by_spelling(INSTEAD.get(kind, {}))


def by_spelling(table: dict[str, str]) -> dict[str, str]:
    """Inverts {canonical: "one other"}: {one: canonical, other: canonical}."""
    return {letters(other): name for name, others in table.items() for other in others.split()}
