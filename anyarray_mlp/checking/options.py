"""Options by name: an error for what a function does not take, with a suggestion of what was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from functools import wraps
from typing import Any, TypeVar, cast

from anyarray_mlp.checking.messages import nearest, shown
from anyarray_mlp.errors import UsageError

Called = TypeVar("Called", bound=Callable[..., Any])

#: Groups of words for one thing, from this package and from other libraries: the one that the function takes is what
#: any other in the group means. If a word is in several groups, the first group with an option of the function counts.
SYNONYMS: tuple[frozenset[str], ...] = tuple(
    frozenset(words.split())
    for words in (
        "epochs max_iter n_epochs num_epochs nb_epoch nb_epochs max_epochs num_train_epochs epoch n_iter num_iter "
        "max_iterations iterations num_iterations niter maxiter n_estimators "
        "num_boost_round num_rounds nrounds cyc_len",
        "batch_size batchsize bs batch minibatch_size mini_batch_size train_batch_size per_device_train_batch_size",
        "every step_size decay_steps period",
        "learning_rate_init lr eta rate base_lr initial_lr lr0 max_lr lr_max step_size learn_rate",
        "learning_rate schedule scheduler lr_schedule lr_scheduler learning_rate_schedule",
        "alpha l2 weight_decay wd l2_reg reg reg_lambda lambda lambda_ lambd regularization l2_penalty lambda_l2 "
        "l2_leaf_reg",
        "verbose verbosity silent verbose_eval disp print_every log_every log_every_n_steps logging_steps logger "
        "progress progress_bar enable_progress_bar progress_bar_refresh_rate",
        "seed random_state random_seed rng_seed rng manual_seed",
        "validation validation_data val_data valid_data validation_set valid_set valid_sets val_set eval_set evals "
        "eval_data X_val",
        "validation_fraction validation_split val_split val_fraction test_size valid_pct train_split",
        "fraction validation_fraction test_size test_fraction validation_split",
        "sample_weight sample_weights weight instance_weight",
        "callbacks callback on_epoch on_epoch_end hooks",
        "optimizer solver optimiser opt optim algorithm opt_func method",
        "clip_norm clipnorm max_norm max_grad_norm grad_clip gradient_clip gradient_clip_val clip_grad_norm",
        "initial init_params initial_parameters initial_weights init_weights theta0 x0 start init_model xgb_model",
        "initializer init kernel_initializer weight_init weights_init init_method",
        "early_stopping early_stop earlystopping",
        "metrics metric eval_metric eval_metrics",
        "scoring metric metrics eval_metric",
        "monitor metric eval_metric",
        "label_smoothing smoothing label_smooth smooth_labels",
        "patience n_iter_no_change early_stopping_rounds stopping_rounds early_stopping_patience wait",
        "tol min_delta tolerance gradient_tol gtol ftol threshold",
        "hidden_layer_sizes hidden hidden_sizes hidden_layers hidden_units n_hidden num_hidden hidden_dim hidden_dims "
        "layers units sizes layer_sizes dims n_layers num_layers",
        "sizes input_dim output_dim n_inputs n_outputs in_features out_features n_classes num_classes num_class",
        "activation activations act act_fn hidden_activation activation_function nonlinearity",
        "output output_activation out_activation final_activation output_function",
        "dropout dropout_rate drop_rate drop p_dropout",
        "bias use_bias fit_intercept",
        "biases bias",
        "loss criterion loss_fn loss_func loss_function objective",
        "dtype precision float_precision",
        "reproducible deterministic",
        "shuffle shuffle_data",
        "momentum mu",
        "nesterovs_momentum nesterov use_nesterov",
        "device gpu gpus accelerator devices use_gpu no_cuda use_cpu task_type cuda",
        "epsilon eps",
        "beta_1 b1",
        "beta_2 b2",
        "rho alpha decay",
        "labels stratify classes",
        "class_weight class_weights weights",
        "path filename file filepath fname fp",
        "max_evaluations max_fun maxfun max_evals",
        "x X x_train X_train xs data inputs features",
        "target targets label y Y y_train Y_train labels ys",
        "network net model mlp",
        "name backend library",
        "factor gamma decay_rate drop_factor",
        "total T_max total_steps num_training_steps",
        "final eta_min min_lr",
        "minimum min_lr",
        "steps warmup warmup_steps num_warmup_steps",
    )
)

#: Advice for options that a function does not take: the words; the functions it applies to, each given by its name or
#: by an option it takes (none: all functions); the advice.
ADVICE: tuple[tuple[str, str, str], ...] = (
    (
        "verbose",
        "callbacks",
        "to see each epoch, pass callbacks=[lambda epoch: print(epoch.epoch, epoch.loss)]",
    ),
    (
        "validation_fraction",
        "validation",
        "hold rows out with data.split_indices, and pass validation=(x, targets)",
    ),
    (
        "loss activation output dropout bias sizes",
        "epochs",
        "it belongs to the network: MLP({word}=...)",
    ),
    (
        "device dtype reproducible",
        "backend",
        "it belongs to the backend: backend=select_backend(device=..., dtype=..., reproducible=...)",
    ),
    (
        "momentum beta_1 beta_2 epsilon rho betas nesterovs_momentum",
        "optimizer",
        "it belongs to the optimizer: optimizer=adam(epsilon=...), nesterov(momentum=...) and the like",
    ),
    (
        "patience monitor tol restore_best_weights",
        "early_stopping",
        "pass early_stopping=EarlyStopping(monitor, patience, tol)",
    ),
    (
        "class_weight scale_pos_weight",
        "sample_weight",
        "pass sample_weight=data.class_weights(labels, ...)",
    ),
    (
        "warm_start resume ckpt_path initial_epoch start_epoch",
        "initial",
        "to resume, pass initial=epoch.snapshot()",
    ),
    (
        "steps_per_epoch max_steps validation_steps validation_freq validation_batch_size val_check_interval "
        "check_val_every_n_epoch num_sanity_val_steps",
        "validation",
        "leave it out: each epoch covers all rows, or all batches, and is followed by one validation pass; "
        "itertools.islice ends batches that have no end",
    ),
    ("validation", "validation_fraction", "pass X_val and y_val to fit"),
    (
        "learning_rate_init learning_rate epochs batch_size alpha optimizer seed early_stopping callbacks initializer "
        "loss activation dropout verbose class_weight hidden_layer_sizes clip_norm shuffle",
        "X",
        "training parameters go to the constructor",
    ),
    ("validation", "X", "pass X_val and y_val"),
    ("learning_rate_init", "train", "give a schedule: schedule=lambda step: 0.001"),
    (
        "callbacks early_stopping verbose",
        "train",
        "train yields each epoch to your own loop; fit takes this option",
    ),
    ("restore_best_weights", "EarlyStopping", "the best parameters are always kept"),
    ("mode", "EarlyStopping", "each metric knows whether higher is better"),
    (
        "learning_rate_init learning_rate epochs batch_size alpha optimizer seed validation early_stopping callbacks "
        "clip_norm initializer metrics shuffle sample_weight",
        "MLP",
        "it is an option of fit",
    ),
    (
        "learning_rate_init learning_rate",
        "sgd momentum nesterov adam adamw rmsprop",
        "set the learning rate in the training call: learning_rate_init of fit, schedule of train",
    ),
    (
        "alpha",
        "sgd momentum nesterov adam rmsprop",
        "for an L2 penalty use alpha of fit and train, for decoupled weight decay use adamw",
    ),
    ("l1 l1_ratio reg_alpha lambda_l1", "alpha", "there is no L1 penalty; alpha is the L2 penalty"),
    ("sizes", "hidden_layer_sizes", "the numbers of inputs and outputs come from X and y"),
    ("steps", "epochs", "give a schedule: learning_rate=schedules.WarmUp(schedule, steps)"),
    ("betas", "beta_1", "give beta_1 and beta_2"),
    ("nesterovs_momentum", "sgd momentum", "use nesterov(momentum)"),
    ("momentum", "sgd adam adamw rmsprop", "use momentum(momentum), or nesterov(momentum)"),
    (
        "n_jobs workers num_workers nthread num_threads thread_count use_multiprocessing",
        "",
        "the array library manages its own threads",
    ),
)


class UnknownOptionError(UsageError, TypeError):
    """An option or argument that a function does not take; also a TypeError, as Python raises."""


def with_known_options(called: Called) -> Called:
    """A function or class that raises an error in its own name if a call does not fit its signature.

    The function itself checks what goes through `**options`, with `refuse_unknown`.
    """
    if isinstance(called, type):
        called.__init__ = _checked(called.__init__, called.__name__)  # type: ignore[misc]
        return called
    return cast(Called, _checked(called, called.__qualname__))


def _checked(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    by_place = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    every = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    places = [p.name for p in every if p.kind is p.POSITIONAL_OR_KEYWORD]
    names = {p.name for p in every}
    required = {p.name for p in every if p.default is p.empty}
    takes = f"it takes {', '.join(by_place) or 'nothing'}"
    if by_name:
        takes += f", and by name {', '.join(by_name)}"

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = {*places[: len(args)], *kwargs}  # as `bind` would, ten times as fast
        if (
            len(given) == len(args) + len(kwargs)
            and required <= given
            and (open_ended or given <= names)
        ):
            return function(*args, **kwargs)
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            # Users may name the positional parameters of an open-ended function: fit(mlp, X=..., y=...).
            refuse_unknown(
                name, kwargs, by_place if open_ended else [*by_place, *by_name], open_ended
            )
            raise UnknownOptionError(f"{name}: {error}; {takes}.") from None
        return function(*args, **kwargs)

    return call


def refuse_unknown(
    function: str, given: Iterable[str], known: Collection[str], open_ended: bool = False
) -> None:
    """Raise `UnknownOptionError`, in a function's name, for given options that are not known.

    An open-ended function may take further options: only synonyms of a known one are refused.
    """
    unknown = [name for name in given if name not in known]
    hints = [meant_by(function, name, known) for name in unknown]
    if not unknown or (open_ended and not any(map(is_question, hints))):
        return
    said = "; ".join(
        shown(name) + (f" ({hint})" if hint else "")
        for name, hint in zip(unknown, hints, strict=True)
    )
    more = "" if all(hints) else f": it takes {', '.join(known) or 'none'}"
    raise UnknownOptionError(
        f"{function} has no option{'s' if len(unknown) > 1 else ''} {said}{more}."
    )


def meant_by(function: str, name: str, known: Collection[str]) -> str:
    """What was likely meant by an option that a function lacks: a question, advice, or ""."""
    last = name.rpartition("__")[2]  # as in optimizer__weight_decay
    groups = [group for group in SYNONYMS if last in group or last.lower() in group]
    for group in groups:
        for own in known:
            if own in group:
                return f"did you mean {own!r}?"
    words = {last, *(word for group in groups for word in group)}
    here = {function, *known}
    for advised, places, advice in ADVICE:
        for word in advised.split():
            if word in words and (not places or not here.isdisjoint(places.split())):
                return advice.format(word=word)
    near = nearest(last, known)
    return f"did you mean {near!r}?" if near else ""


def is_question(hint: str) -> bool:
    """Whether a hint suggests one of the function's own options."""
    return hint.startswith("did you mean")


def options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only options of a function, each with its default (`inspect.Parameter.empty`: none)."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
