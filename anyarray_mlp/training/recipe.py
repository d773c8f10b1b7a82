"""`Recipe`: how a network is trained, declared once for `fit`, `train`, tables, the command line and the estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from anyarray_mlp.checking.names import EPOCHS_KEPT, SCHEDULES, SOLVERS, TASKS
from anyarray_mlp.checking.options import (
    UnknownOptionError,
    refuse_unknown,
    with_known_options,
)
from anyarray_mlp.checking.settings import (
    Name,
    Names,
    Number,
    Truth,
    Whole,
    check_settings,
    names_of,
    setting,
)
from anyarray_mlp.checking.values import check_instance
from anyarray_mlp.errors import UsageError

# What the settings stand for is loaded when a value is checked or used, not by who lists them (`--help`).
if TYPE_CHECKING:
    from anyarray_mlp.network.initializers import Initializer
    from anyarray_mlp.network.optimizers import Optimizer
    from anyarray_mlp.network.schedules import Schedule
    from anyarray_mlp.training.early_stopping import BestEpoch, EarlyStopping

#: What stands for None if arrays are trained on.
EPOCHS, BATCH_SIZE = 100, 32
#: Optimisers that have a momentum.
WITH_MOMENTUM = ("momentum", "nesterov")
#: What only one kind of training has a use for; the other refuses it unless it says no more than its default.
OF_STEPS = ("clip_norm", "warm_up", "label_smoothing", "dropout_fades")
OF_LBFGS = ("gradient_tol", "max_evaluations")
#: What early stopping goes by, and an `EarlyStopping` has itself.
OF_STOPPING = ("monitor", "patience", "tol")
#: What the best epoch is found by, and a `BestEpoch` has itself.
OF_BEST = ("monitor",)
#: Learning rates that are the same however many steps an epoch has.
ENDLESS = ("constant", "plateau")
#: What makes others idle.
DECIDING = ("optimizer", "early_stopping", "keep_epoch")


def is_function(value: Any) -> bool:
    """Whether a value is a function, and no class."""
    return callable(value) and not isinstance(value, type)


def is_optimizer(value: Any) -> bool:
    """Whether a value is an optimiser of one's own, not a name."""
    from anyarray_mlp.network.optimizers import Optimizer

    return isinstance(value, Optimizer)


def is_stopping(value: Any) -> bool:
    """Whether a value is an `EarlyStopping`."""
    from anyarray_mlp.training.early_stopping import EarlyStopping

    return isinstance(value, EarlyStopping)


def is_best(value: Any) -> bool:
    """Whether a value is a `BestEpoch`."""
    from anyarray_mlp.training.early_stopping import BestEpoch

    return isinstance(value, BestEpoch)


def initializer_names() -> Iterable[str]:
    """What initialisers are called."""
    from anyarray_mlp.network.initializers import INITIALIZERS

    return ("auto", *INITIALIZERS)


def metric_names() -> Iterable[str]:
    """What metrics are called."""
    from anyarray_mlp.metrics import METRICS

    return METRICS


def monitored_names() -> Iterable[str]:
    """What early stopping may watch."""
    from anyarray_mlp.training.early_stopping import MONITORED_LOSSES

    return (*MONITORED_LOSSES, *metric_names())


@with_known_options
@dataclass(frozen=True)
class Recipe:
    """How to train: everything but the network, the data and where it is computed.

    Attributes
    ----------
    initializer : how weights are drawn: a name of `initializers.INITIALIZERS`, "auto", which fits each activation (and
        for a table draws the first layer by "glorot_uniform"), or a function.
    optimizer : a name of `optimizers.OPTIMIZERS`, "lbfgs", or an `Optimizer`.
    learning_rate_init : the rate that a named schedule starts from.
    learning_rate : a name of `schedules.SCHEDULES`, or a function of the steps taken so far.
    warm_up : epochs of rising rate at first.
    momentum : of the optimisers "momentum" and "nesterov".
    alpha, clip_norm : L2 penalty; Euclidean norm that a gradient is scaled down to.
    label_smoothing : the share of a class's certainty that the targets of training spread over all classes; validation
        is measured against the true ones.
    dropout_fades : whether the network's dropout fades in the second half of the run, along half a cosine to zero
        (RealMLP, Holzmüller et al. 2024).
    batch_size : samples of a step; None: 32, and for a table 4 to 128, after the number of its rows.
    epochs : passes over the data; None: 100, and for a table 50.
    early_stopping : whether to stop if `monitor` has not improved by `tol` for `patience` epochs, and keep the best
        parameters; or an `EarlyStopping` of your own, which has these three itself.
    keep_epoch : whose parameters are the result: "last", or "best", the epoch that is best by `monitor` (of equal ones
        that of lower validation loss, then the last), while training goes on to its end; or a `BestEpoch` of your own,
        which has `monitor` itself. Early stopping keeps the best in any case.
    monitor : "loss", "validation_loss" or the name of a metric.
    seed : of the initial weights, the shuffles and dropout, and of the split of a table.
    shuffle : whether samples come in a new order each epoch.
    task : "classification", "multilabel" or "regression"; None finds out, from the network's output or from a table.
    metrics : names of metrics to measure on the validation set after each epoch.
    gradient_tol, max_evaluations : of L-BFGS: it has converged if the gradient's largest entry fell to this; how often
        it may evaluate the loss.

    Raises `UsageError`, naming the parameter, for what cannot be, and for an option that the others make idle.
    """

    initializer: str | Initializer = setting(
        "auto",
        Name("initializer", initializer_names, is_function, "a name or a function, got {value}"),
        "How weights are drawn: auto fits each activation; he_normal, glorot_uniform and others by name.",
    )
    optimizer: str | Optimizer = setting(
        "adam",
        Name(
            "solver",
            SOLVERS,
            is_optimizer,
            "a name or an Optimizer, such as optimizers.adam(), got {value}",
            listed=True,
        ),
        key="solver",
    )
    learning_rate_init: float = setting(1e-3, Number(open_low=True))
    learning_rate: str | Schedule = setting(
        "constant",
        Name(
            "learning_rate",
            SCHEDULES,
            is_function,
            "a schedule's name or a function of the step, got {value}: a rate is given as learning_rate_init",
            listed=True,
        ),
        "How the rate changes over the run, from --learning-rate-init; plateau lowers it where the validation loss, "
        "or without a validation set the training loss, no longer falls.",
    )
    warm_up: int = setting(0, Whole(), "Epochs of rising rate at first.", show_default=False)
    momentum: float = setting(0.9, Number(high=1.0), "Of momentum and nesterov.")
    alpha: float = setting(0.0, Number(), "L2 penalty.")
    clip_norm: float | None = setting(
        None, Number(open_low=True), "Scale gradients down to this norm."
    )
    label_smoothing: float = setting(
        0.0,
        Number(high=1.0),
        "Share of a class's certainty that is spread over all classes.",
        show_default=False,
    )
    dropout_fades: bool = setting(False, Truth(), key=None)
    batch_size: int | None = setting(
        None, Whole(1), "4 to 128, after the number of rows, by default."
    )
    epochs: int | None = setting(None, Whole(), flag_default=50, flag_kind=Whole(1))
    early_stopping: bool | EarlyStopping = setting(
        False,
        Truth(is_stopping, "an EarlyStopping(monitor, patience, tol), True or False"),
        "Stop where --monitor no longer improves, and keep the best epoch.",
    )
    keep_epoch: str | BestEpoch = setting(
        "last",
        Name(
            "keep_epoch",
            EPOCHS_KEPT,
            is_best,
            "'last', 'best' or a BestEpoch, got {value}",
            listed=True,
        ),
        "The epoch that the model is of: the last, or the best by --monitor, without stopping early.",
    )
    monitor: str = setting(
        "validation_loss",
        Name("metric", monitored_names),
        "What --early-stopping and --keep-epoch best go by: validation_loss, loss, or of the validation rows accuracy, "
        "balanced_accuracy, f1, roc_auc, r2, mean_squared_error or mean_absolute_error.",
    )
    patience: int = setting(10, Whole(1), "Epochs without improvement to wait for.")
    tol: float = setting(1e-4, Number(), key=None)
    seed: int = setting(0, Whole(), "Of the split, the initial weights, the shuffles and dropout.")
    shuffle: bool = setting(True, Truth(), key=None)
    task: str | None = setting(
        None,
        Name("task", TASKS, listed=True),
        "What the target is; found out where left out.",
    )
    metrics: str | Iterable[str] = setting((), Names("metric", metric_names), key=None)
    gradient_tol: float = setting(1e-4, Number(), key=None)
    max_evaluations: int = setting(15000, Whole(1), key=None)

    def __post_init__(self) -> None:
        if self.early_stopping is None:
            object.__setattr__(self, "early_stopping", False)
        check_settings(self)
        own, its = self.of_its_own()
        idle = self.idle()
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in its:
                object.__setattr__(self, each.name, getattr(own, each.name))
                if value == getattr(own, each.name):
                    continue
            if each.name in idle and value != each.default:
                raise UnknownOptionError(f"{each.name} is {idle[each.name]}.")

    def of_its_own(self) -> tuple[Any, tuple[str, ...]]:
        """The object of the user's that watches the epochs, and which settings it has itself; None and none."""
        if not isinstance(self.early_stopping, bool):
            return self.early_stopping, OF_STOPPING
        if not self.early_stopping and not isinstance(self.keep_epoch, str):
            return self.keep_epoch, OF_BEST
        return None, ()

    def idle(self) -> dict[str, str]:
        """The settings that do nothing beside this optimizer and this early stopping, each with the reason."""
        unused: tuple[str, ...] = OF_LBFGS
        place = "lbfgs alone"
        if self.by_lbfgs:
            unused, place = OF_STEPS, "training by steps, and lbfgs has none"
        idle = dict.fromkeys(
            unused, f"an option of {place}: leave it out, or choose another optimizer"
        )
        if self.optimizer not in WITH_MOMENTUM:
            idle["momentum"] = (
                "for optimizer='momentum' and 'nesterov' by name, and an Optimizer has its own: leave it out, or "
                "choose one of these"
            )
        if self.early_stopping is not True:
            of_its_own = "for early_stopping=True, and an EarlyStopping has its own: leave it out"
            idle |= dict.fromkeys(OF_STOPPING, of_its_own)
        if self.early_stopping is False and self.keep_epoch == "best":
            idle = {name: why for name, why in idle.items() if name not in OF_BEST}
        if self.early_stopping and not isinstance(self.keep_epoch, str):
            idle["keep_epoch"] = "early stopping's own, which keeps the best epoch: leave it out"
        return idle

    @property
    def by_lbfgs(self) -> bool:
        """Whether L-BFGS is asked for."""
        return self.optimizer == "lbfgs"

    def step_optimizer(self) -> Optimizer:
        """The optimiser of the steps; `UsageError` if that is L-BFGS, which takes none."""
        if not isinstance(self.optimizer, str):
            return self.optimizer
        if self.by_lbfgs:
            raise UsageError("optimizer is lbfgs, which takes no steps: use fit or minimize.")
        settings = (self.momentum,) if self.optimizer in WITH_MOMENTUM else ()
        return optimizer_of(self.optimizer, *settings)

    def schedule(self, n: int, done: int = 0) -> Schedule:
        """The learning rate as a function of the steps, of `done` epochs of n samples and those to come."""
        return self.schedule_over(-(-n // min(batch_size_of(self), n)), done)

    def schedule_over(self, steps_per_epoch: int | None, done: int = 0) -> Schedule:
        """The same of epochs of so many steps; `UsageError` if nobody knows how many (None) and it matters."""
        from anyarray_mlp.network.schedules import WarmUp, make_schedule

        if steps_per_epoch is None:
            if self.warm_up or not (callable(self.learning_rate) or self.learning_rate in ENDLESS):
                raise UsageError(
                    f"{'warm_up' if self.warm_up else self.learning_rate} needs to know how many batches an epoch "
                    "has: give something with a len(), such as a list of batches, or learning_rate=a function of the "
                    "step."
                )
            steps_per_epoch = 0
        if callable(self.learning_rate):
            steps = self.warm_up * steps_per_epoch
            return WarmUp(self.learning_rate, steps) if steps else self.learning_rate
        return make_schedule(
            self.learning_rate,
            self.learning_rate_init,
            steps_per_epoch=steps_per_epoch,
            epochs=done + epochs_of(self),
            warm_up_epochs=self.warm_up,
        )

    def stopping(self) -> EarlyStopping | BestEpoch | None:
        """What keeps the best epoch, and may end training early: that of the user, a new one, or None."""
        from anyarray_mlp.training.early_stopping import BestEpoch, EarlyStopping

        if not isinstance(self.early_stopping, bool):
            return self.early_stopping
        if self.early_stopping:
            return EarlyStopping(self.monitor, self.patience, self.tol)
        if not isinstance(self.keep_epoch, str):
            return self.keep_epoch
        return BestEpoch(self.monitor) if self.keep_epoch == "best" else None

    @property
    def keeps_best(self) -> bool:
        """Whether the result is of the best epoch rather than the last."""
        return bool(self.early_stopping) or self.keep_epoch != "last"


def epochs_of(recipe: Recipe) -> int:
    """The epochs of a recipe, or what stands for None if arrays are trained on."""
    return EPOCHS if recipe.epochs is None else recipe.epochs


def batch_size_of(recipe: Recipe) -> int:
    """The batch size of a recipe, or what stands for None if arrays are trained on."""
    return BATCH_SIZE if recipe.batch_size is None else recipe.batch_size


def recipe_of(
    function: str, recipe: Recipe | None, options: dict[str, Any], own: Iterable[str] = ()
) -> Recipe:
    """The recipe that a function is given, with the options beside it in place of its own.

    own: what else the function takes. Raises `UnknownOptionError`, in the function's name, for other options.
    """
    refuse_unknown(function, options, [*own, *names_of(Recipe)])
    if recipe is None:
        return Recipe(**options)
    check_instance("recipe", recipe, Recipe, "a Recipe, such as Recipe(epochs=50)")
    return with_options(recipe, options) if options else recipe


def with_options(recipe: Recipe, options: dict[str, Any]) -> Recipe:
    """A recipe with some settings in place of its own; those of its own that these make idle go."""
    deciding = {name: options.get(name, getattr(recipe, name)) for name in DECIDING}
    idle = Recipe(**deciding).idle()
    kept = {name: getattr(recipe, name) for name in names_of(Recipe) if name not in idle}
    return Recipe(**{**kept, **options})


@lru_cache(maxsize=64)
def optimizer_of(name: str, *settings: float) -> Optimizer:
    """One optimiser for each name and settings, so that a step with it is compiled once."""
    from anyarray_mlp.network.optimizers import OPTIMIZERS

    make: Callable[..., Optimizer] = OPTIMIZERS[name]
    return make(*settings)
