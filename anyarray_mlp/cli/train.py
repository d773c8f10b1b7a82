"""`anyarray-mlp train`: from raw data to a saved model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import counted, from_here, shown_path
from anyarray_mlp.cli.advice import as_flags
from anyarray_mlp.cli.figures import figure, memory
from anyarray_mlp.cli.options import (
    COUNT,
    DATA,
    FRACTION,
    NAMES,
    NATURAL,
    NON_NEGATIVE,
    POSITIVE,
    SCHEDULE_NAMES,
    SIZES,
    SOLVERS,
    Kind,
    Kinds,
    OneOf,
    PathName,
    Text,
    backend_options,
    class_weight,
    json_option,
    target_option,
)
from anyarray_mlp.cli.output import announce, tell
from anyarray_mlp.cli.spelling import Command

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anyarray_mlp.backends import Backend
    from anyarray_mlp.cli.resuming import Checkpoints
    from anyarray_mlp.diagnosis import RunMonitor
    from anyarray_mlp.errors import DivergedError
    from anyarray_mlp.network.mlp import MLP
    from anyarray_mlp.network.optimizers import Optimizer
    from anyarray_mlp.network.schedules import Schedule
    from anyarray_mlp.persistence import RunFolder
    from anyarray_mlp.pipeline.preparation import Prepared
    from anyarray_mlp.pipeline.trained_model import TrainedModel
    from anyarray_mlp.training import Callback, EarlyStopping, Fit, TrainingState


@click.command(cls=Command)
@click.argument("data", type=DATA, default="digits")
@target_option("the last")
@click.option(
    "--task",
    type=OneOf("task", ["classification", "regression", "multilabel"]),
    help="What the target is; found out where left out.",
)
@click.option("--drop", type=NAMES, help="Columns of a table to leave out.")
@click.option(
    "--header/--no-header", default=None, help="Whether a table's first line names columns."
)
@click.option(
    "--standardize/--no-standardize",
    default=True,
    show_default=True,
    help="Bring columns of numbers to mean 0 and deviation 1; pixels are divided by 255.",
)
@click.option(
    "--scale-target/--no-scale-target",
    default=None,
    help="Standardise the target of a regression; by default where the output is identity.",
)
@click.option(
    "--test-fraction",
    type=FRACTION,
    default=0.2,
    show_default=True,
    help="Share of the rows to score the final model on.",
)
@click.option(
    "--validation-fraction",
    type=FRACTION,
    default=0.1,
    show_default=True,
    help="Share of the rest to score each epoch on.",
)
@click.option(
    "--class-weight",
    type=Text("balanced or LABEL=WEIGHT,..."),
    metavar="balanced|LABEL=W,...",
    help="Weights of the classes.",
)
@click.option(
    "--hidden",
    "--hidden-layer-sizes",
    "hidden",
    type=SIZES,
    default="100",
    show_default=True,
    help="Units of the hidden layers, as 300,75; none for no hidden layer.",
)
@click.option(
    "--activation",
    type=Kinds("activation"),
    default="relu",
    show_default=True,
    help="identity, logistic, tanh, relu, leaky_relu, elu, gelu, gelu_tanh, silu, softplus or mish; one, or one for "
    "each layer.",
)
@click.option(
    "--output",
    type=Kind("output"),
    help="identity, logistic, softmax or exp; what fits the task by default.",
)
@click.option(
    "--loss",
    type=Kind("loss", ("auto",)),
    default="auto",
    show_default=True,
    help="cross_entropy, binary_cross_entropy, poisson, squared_error, absolute_error, huber or quantile, "
    "the last two also as huber:DELTA and quantile:LEVEL; auto takes what belongs to the output.",
)
@click.option(
    "--dropout",
    type=FRACTION,
    default=0.0,
    show_default=True,
    help="Probability of dropping a hidden unit in training.",
)
@click.option(
    "--initializer",
    type=Kind("initializer", ("auto",)),
    default="auto",
    show_default=True,
    help="How weights are drawn: auto fits each activation; he_normal, glorot_uniform and others by name.",
)
@click.option(
    "--solver",
    type=OneOf("solver", SOLVERS),
    default="adam",
    show_default=True,
)
@click.option("--learning-rate-init", type=POSITIVE, default=0.001, show_default=True)
@click.option(
    "--learning-rate",
    type=OneOf("learning_rate", SCHEDULE_NAMES),
    default="constant",
    show_default=True,
    help="How the rate changes over the run, from --learning-rate-init; plateau lowers it where the validation loss, "
    "or without a validation set the training loss, no longer falls.",
)
@click.option("--warm-up", type=NATURAL, default=0, help="Epochs of rising rate at first.")
@click.option(
    "--momentum", type=FRACTION, default=0.9, show_default=True, help="Of momentum and nesterov."
)
@click.option("--alpha", type=NON_NEGATIVE, default=0.0, show_default=True, help="L2 penalty.")
@click.option("--clip-norm", type=POSITIVE, help="Scale gradients down to this norm.")
@click.option("--batch-size", type=COUNT, help="4 to 128, after the number of rows, by default.")
@click.option("--epochs", type=COUNT, default=50, show_default=True)
@click.option(
    "--early-stopping/--no-early-stopping",
    default=False,
    show_default=True,
    help="Stop where --monitor no longer improves, and keep the best epoch.",
)
@click.option(
    "--monitor",
    type=Kind("metric", ("validation_loss", "loss")),
    default="validation_loss",
    show_default=True,
    help="What early stopping watches: validation_loss, loss, or of the validation rows accuracy, balanced_accuracy, "
    "f1, roc_auc, r2, mean_squared_error or mean_absolute_error.",
)
@click.option(
    "--patience",
    type=COUNT,
    default=10,
    show_default=True,
    help="Epochs without improvement to wait for.",
)
@click.option(
    "--seed",
    type=NATURAL,
    default=0,
    show_default=True,
    help="Of the split, the initial weights, the shuffles and dropout.",
)
@backend_options
@click.option("--reproducible", is_flag=True, help="The same bits on every backend and machine.")
@click.option(
    "--diagnose/--no-diagnose", default=True, show_default=True, help="Say what went wrong."
)
@click.option(
    "--out",
    type=PathName("a folder for the run"),
    help="The run's folder; by default runs/NAME, or runs/NAME-2 where that holds a run, and so on.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace the run that is in the folder, that of --out or runs/NAME, once the new one has ended with a model.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in the folder of --out, as if it had not stopped; of its settings, only --epochs, "
    "--device and --backend may change. With a new --epochs, step, exponential and cosine rates are those of a run "
    "of that length; lbfgs learns the curvature anew. A run that stopped early, converged, stalled or diverged "
    "has ended.",
)
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def command(**settings: Any) -> int:
    """Train a network on DATA and save it.

    DATA is a built-in set (digits, iris, breast_cancer, wine, diabetes, xor, moons, spirals, abs_sine), a
    table (CSV and the like), an .npz with x and y, or a folder of IDX images such as MNIST's. Part of it is
    held out to test the final model on, unless it comes with a test set.
    """
    from anyarray_mlp.cli.flags import refuse_idle_flags
    from anyarray_mlp.cli.resuming import explicit_flags, resume_command, resumed_settings
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.persistence import RunFolder
    from anyarray_mlp.persistence.checkpoint import checkpoint_steps

    with ExitStack() as stack:
        run = None
        if settings["resume"]:
            if settings["out"] is None:
                raise UsageError("--resume needs --out DIR, the folder of the run to go on with.")
            run = stack.enter_context(RunFolder.resume(settings["out"]))
            settings = resumed_settings(run, settings, click.get_current_context())
        refuse_idle_flags(settings, explicit_flags(click.get_current_context()))
        plan = make_plan(settings)
        if 0 < settings["epochs"] <= settings["warm_up"]:
            epochs = counted(settings["epochs"], "epoch")
            tell(f"warning: --warm-up {settings['warm_up']} lasts for the whole run, of {epochs}")
        if run is None:
            # Only now: what was refused so far leaves no empty folder behind.
            overwrite = settings["overwrite"]
            folder = settings["out"] or default_folder(settings["data"], overwrite)
            run = stack.enter_context(RunFolder.create(folder, overwrite=overwrite))
        try:
            return train_in(run, plan)
        except BaseException as error:
            goes_on = isinstance(error, KeyboardInterrupt) and checkpoint_steps(run.home)
            run.discard_unless_begun()
            if goes_on:
                tell(f"go on with: {resume_command(run)}")
            raise


@dataclass(frozen=True)
class Plan:
    """What a run will do; `settings` have their defaults filled in."""

    backend: Backend
    prepared: Prepared
    model: TrainedModel
    targets: NDArray[Any]
    validation: tuple[NDArray[Any], NDArray[Any]] | None
    test_targets: NDArray[Any]
    optimizer: str | Optimizer
    schedule: Schedule
    stopping: EarlyStopping | None
    settings: dict[str, Any]


def make_plan(settings: dict[str, Any]) -> Plan:
    """Backend, data, untrained model and the rest that the settings name; raises for what cannot be."""
    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.pipeline.preparation import prepare
    from anyarray_mlp.pipeline.trained_model import TrainedModel, encode_targets

    backend = select_backend(
        settings["backend"],
        settings["device"],
        settings["dtype"],
        reproducible=settings["reproducible"],
    )
    prepared = prepare(settings, class_weight(settings["class_weight"]))
    if settings["batch_size"] is None:
        settings = settings | {"batch_size": default_batch_size(len(prepared.training))}
    mlp = network(prepared, settings)
    targets, test_targets = (
        encode_targets(mlp, prepared.targets, part.y) for part in (prepared.training, prepared.test)
    )
    mlp.check_batch(prepared.training.x, targets)
    validation = None
    if prepared.validation is not None:
        held_out = prepared.validation
        validation = (held_out.x, encode_targets(mlp, prepared.targets, held_out.y))
    return Plan(
        backend,
        prepared,
        TrainedModel(
            mlp,
            initial_parameters(mlp, settings),
            prepared.preprocessor,
            prepared.targets,
            metadata(backend, prepared.target_names),
        ),
        targets,
        validation,
        test_targets,
        optimizer(mlp, settings),
        schedule(prepared, settings),
        early_stopping(prepared, settings),
        settings,
    )


def train_in(run: RunFolder, plan: Plan) -> int:
    """Train as planned and leave the results in an open run folder; the exit code."""
    from dataclasses import replace

    from anyarray_mlp.cli.kept_settings import configuration
    from anyarray_mlp.cli.resuming import Checkpoints
    from anyarray_mlp.diagnosis import RunMonitor
    from anyarray_mlp.errors import DivergedError

    settings, model = plan.settings, plan.model
    checkpoints = Checkpoints(run, plan)
    start = None
    if settings["resume"]:
        start = checkpoints.restore()
        ending = checkpoints.ending(settings["epochs"])
        if ending is not None:
            return leave_ended(run, plan, checkpoints, ending)
        checkpoints.rewind_metrics()
    run.write_config(configuration(settings))
    if not settings["quiet"]:
        if run.replaces:
            tell(f"{shown_path(run.path)} keeps its run until this one has ended")
        tell(describe(plan.prepared, model.mlp, plan.backend, settings))
        for warning in identifiers(plan.prepared):
            tell(warning)
    options = fit_options(plan, start)
    monitor = None
    if settings["diagnose"]:
        monitor = RunMonitor(
            model.mlp,
            plan.prepared.training.x,
            plan.targets,
            learning_rate_init=settings["learning_rate_init"],
            column_names=model.preprocessor.names,
            sources=model.preprocessor.sources,
            held_out=(plan.prepared.test.x,) if plan.prepared.has_test else (),
            class_names=() if model.targets.classes is None else model.targets.classes.tolist(),
            **options,
        )
    try:
        result = fit_plan(plan, checkpoints, monitor, options)
    except DivergedError as error:
        raise leave_diverged(run, plan, checkpoints, monitor, error) from None
    interrupted = result.stopped == "interrupted"
    if interrupted and not checkpoints.epochs and (run.replaces or not result.history):
        tell("interrupted before the first epoch was done; nothing is kept")
        run.discard_unless_begun()
        return exit_code(result)
    model = replace(model, parameters=result.parameters)
    run.save_model(model.to_file())
    # Everything is kept before anything is printed, which may fail.
    diagnosis = None if monitor is None else monitor.finish(result)
    if diagnosis is not None:
        diagnosis.save(run.home)
    if not interrupted:
        # Only now: a run whose model was not saved has not ended.
        checkpoints.save_last("early" if result.stopped == "callback" else result.stopped)
    run.take_over()
    report(run, plan, model, result, checkpoints)
    if diagnosis is not None and not settings["quiet"]:
        tell(as_flags(diagnosis.summary()))
    return exit_code(result)


def exit_code(result: Fit) -> int:
    """That of a process which the signal ended, where one did."""
    return 0 if result.signal is None else 128 + result.signal


def leave_diverged(
    run: RunFolder,
    plan: Plan,
    checkpoints: Checkpoints,
    monitor: RunMonitor | None,
    error: DivergedError,
) -> DivergedError:
    """Keep the last epoch's parameters and say what went wrong; the error to end with."""
    from dataclasses import replace

    from anyarray_mlp.errors import DivergedError

    last = checkpoints.last
    if last is not None:
        model = replace(plan.model, parameters=last.arrays["parameters"])
        run.save_model(model.to_file())
    said = None if monitor is None else monitor.finish(error)
    if said is not None and (last is not None or not run.replaces):
        said.save(run.home)
    kept = "Nothing was learned, so no model is saved"
    kept += "." if not run.replaces else f": {run.path} keeps the run that was there."
    if last is not None:
        checkpoints.save_last("diverged")
        run.take_over()
        kept = f"The parameters of the epoch before are in {run.model_path}."
    if said is not None and not plan.settings["quiet"]:
        tell(as_flags(said.summary()))
    message = f"{as_flags(str(error))} {kept}"
    return DivergedError(message, error.parameters, error.step_losses)


def leave_ended(run: RunFolder, plan: Plan, checkpoints: Checkpoints, ending: str) -> int:
    """Say that a run that is to go on has ended already and leave it as it is; the exit code."""
    from dataclasses import replace

    from anyarray_mlp.errors import DivergedError
    from anyarray_mlp.persistence.files import exists
    from anyarray_mlp.pipeline.trained_model import TrainedModel
    from anyarray_mlp.training import Fit

    epochs, last = checkpoints.epochs, checkpoints.last
    assert last is not None
    kept = exists(run.model_path)
    # An interrupted run that is asked for no more epochs than it has keeps the model that it has.
    cut = last.state["stopped"] is None and (
        ending != "finished" or run.read_config()["epochs"] <= epochs
    )
    if cut or not kept:  # between the last epoch and the end of the run
        parameters = last.arrays["parameters"]
        if ending != "diverged":
            parameters = last.arrays.get("best_parameters", parameters)
        run.save_model(replace(plan.model, parameters=parameters).to_file())
        checkpoints.save_last(ending)
    left = "its model is saved now" if cut or not kept else "nothing was changed"
    run.take_over()
    new_run = "start a new run with another --out"
    if ending == "diverged":
        raise DivergedError(
            f"The run diverged after epoch {epochs}, and would again; {run.model_path} has the parameters of that "
            f"epoch: {new_run} and a lower --learning-rate-init, or --clip-norm."
        )
    said = {
        "finished": f"the run has {epochs} epochs already: give --epochs above {epochs}",
        "early": f"the run stopped early after epoch {epochs}, which more --epochs do not change: {new_run} and a "
        "larger --patience or without --early-stopping",
        "converged": f"lbfgs had converged after epoch {epochs}, so more --epochs change nothing: {new_run}",
        "stalled": f"lbfgs found no lower loss after epoch {epochs}, so more --epochs change nothing: {new_run}",
    }
    tell(f"{said[ending]}; {left}")
    model = TrainedModel.from_file(run.load_model(), str(run.model_path))
    report(run, plan, model, Fit(model.parameters, (), ending), checkpoints)
    return 0


def default_batch_size(n: int) -> int:
    """Small enough for some forty steps an epoch on little data, large enough to be quick on much."""
    return 128 if n >= 20_000 else min(32, max(4, n // 40))


def network(prepared: Prepared, settings: dict[str, Any]) -> MLP:
    """The network that the settings describe, its ends fitted to the data."""
    from anyarray_mlp.network.mlp import MLP

    task = prepared.targets.task
    output = settings["output"]
    if output is None:
        output = {"classification": "softmax", "multilabel": "logistic"}.get(task, "identity")
    outputs = prepared.targets.width
    if task == "classification" and outputs == 2 and output != "softmax":
        outputs = 1
    sizes = (prepared.preprocessor.n_features_out, *settings["hidden"], outputs)
    return MLP(sizes, settings["activation"], output, settings["loss"], settings["dropout"])


def initial_parameters(mlp: MLP, settings: dict[str, Any]) -> NDArray[Any]:
    """Initial parameters (p,); `OutOfMemoryError` where they alone are too many."""
    from anyarray_mlp.errors import OutOfMemoryError

    size = mlp.layout.size
    if size <= sys.maxsize // 8:
        with suppress(MemoryError):
            return mlp.initialize(settings["seed"], settings["initializer"])
    raise OutOfMemoryError(
        f"The network has {size:,} parameters, {memory(8 * size)}, which do not fit in memory: give fewer or "
        "smaller layers with --hidden."
    )


def optimizer(mlp: MLP, settings: dict[str, Any]) -> str | Optimizer:
    """The optimiser of --solver; momentum goes to those that have it."""
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.network.optimizers import OPTIMIZERS

    name: str = settings["solver"]
    if name in ("momentum", "nesterov"):
        return OPTIMIZERS[name](settings["momentum"])
    if name == "lbfgs" and (mlp.dropout_layers or settings["clip_norm"] is not None):
        raise UsageError(
            "--solver lbfgs takes neither --dropout nor --clip-norm: its loss must be the same each time."
        )
    return name


def schedule(prepared: Prepared, settings: dict[str, Any]) -> Schedule:
    """The learning rate as a function of the step."""
    from anyarray_mlp.network.schedules import make_schedule

    n = len(prepared.training)
    return make_schedule(
        settings["learning_rate"],
        settings["learning_rate_init"],
        steps_per_epoch=-(-n // min(settings["batch_size"], n)),
        epochs=settings["epochs"],
        warm_up_epochs=settings["warm_up"],
    )


def early_stopping(prepared: Prepared, settings: dict[str, Any]) -> EarlyStopping | None:
    """What --early-stopping asks for."""
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.metrics import find_score
    from anyarray_mlp.training import EarlyStopping

    if not settings["early_stopping"]:
        return None
    monitor = settings["monitor"]
    if monitor not in ("loss", "validation_loss"):
        find_score(monitor, prepared.targets.task)
    if monitor != "loss" and prepared.validation is None:
        raise UsageError(
            f"--early-stopping watches {monitor} on a validation set: raise --validation-fraction, or "
            "use --monitor loss."
        )
    return EarlyStopping(monitor, settings["patience"])


def fit_options(plan: Plan, start: TrainingState | None) -> dict[str, Any]:
    """What `fit` and the diagnosis are told alike; `start` is where a run goes on."""
    settings, prepared = plan.settings, plan.prepared
    metrics = ["accuracy"] if prepared.targets.task == "classification" else []
    if plan.stopping and plan.stopping.monitor not in (*metrics, "loss", "validation_loss"):
        metrics.append(plan.stopping.monitor)
    options: dict[str, Any] = {
        "backend": plan.backend,
        "optimizer": plan.optimizer,
        "epochs": max(0, settings["epochs"] - (0 if start is None else start.epoch)),
        "batch_size": settings["batch_size"],
        "seed": settings["seed"],
        "initial": plan.model.parameters if start is None else start,
        "early_stopping": plan.stopping,
        "alpha": settings["alpha"],
        "sample_weight": prepared.sample_weight,
        "input_scale": prepared.training.input_scale,
        "metrics": metrics,
        "task": prepared.targets.task,
    }
    if plan.validation is not None:
        options["validation"] = plan.validation
    if settings["clip_norm"] is not None:
        options["clip_norm"] = settings["clip_norm"]
    return options


def fit_plan(
    plan: Plan, checkpoints: Checkpoints, monitor: RunMonitor | None, options: dict[str, Any]
) -> Fit:
    """Train the planned network on the prepared rows."""
    from anyarray_mlp.cli.progress import Progress
    from anyarray_mlp.training import fit

    settings = plan.settings
    with Progress(settings["epochs"], quiet=settings["quiet"]) as progress:
        callbacks: list[Callback] = [lambda epoch: checkpoints.run.log(epoch.record())]
        callbacks += [progress, checkpoints]
        if monitor is not None:
            callbacks.append(monitor)
            if monitor.statistics is not None:
                options = options | {"statistics": monitor.statistics}
        result = fit(
            plan.model.mlp,
            plan.prepared.training.x,
            plan.targets,
            learning_rate=plan.schedule,
            callbacks=callbacks,
            **options,
        )
    checkpoints.save_last()
    return result


def report(
    run: RunFolder,
    plan: Plan,
    model: TrainedModel,
    result: Fit,
    checkpoints: Checkpoints,
) -> None:
    """Print what came of the run: test scores, where everything is, and what to type next."""
    from anyarray_mlp import streams
    from anyarray_mlp.cli.resuming import resume_command
    from anyarray_mlp.persistence.plain_json import plain

    prepared, backend, settings = plan.prepared, plan.backend, plan.settings
    test = prepared.test
    scores = model.scores_of_inputs(test.x, test.input_scale, plan.test_targets, backend)
    held_out = "test" if prepared.has_test else "training"
    reproducible = backend.arithmetic != "plain"
    if settings["as_json"]:
        summary = {
            "data": shown_path(prepared.name),
            "rows": {"training": len(prepared.training), held_out: len(test)},
            "scores": plain(scores, "scores", null_for_nonfinite=True),
            "scored_on": held_out,
            "epochs": checkpoints.epochs,
            "stopped": result.stopped,
            "seconds": round(result.history[-1].seconds, 3) if result.history else 0.0,
            "backend": backend.name,
            "device": backend.device,
            "dtype": backend.dtype,
            "parameters": model.mlp.layout.size,
            "run": shown_path(run.path),
        }
        if reproducible:
            summary |= {"arithmetic": backend.arithmetic, "random_streams": streams.VERSION}
            summary["hash"] = hash_of(run, result)
        announce(json.dumps(summary, indent=2), shown_path(run.path))
    else:
        names = {name: f"{held_out} {name.replace('_', ' ')}" for name in scores}
        lines = ["  ".join(f"{names[name]} {figure(value)}" for name, value in scores.items())]
        lines += [f"hash {hash_of(run, result)}"] if reproducible else []
        announce("\n".join(lines), shown_path(run.path))
    epochs = checkpoints.epochs
    if result.stopped == "interrupted":
        done, way_on = f"after epoch {epochs}", f"go on with: {resume_command(run)}"
        if not epochs:
            done, way_on = "within the first epoch", "to train it whole, start it with --overwrite"
        tell(f"interrupted {done}; what was learned is kept; {way_on}")
    elif result.stopped == "early" and result.history:
        tell(f"stopped early after epoch {epochs}; the best one is kept")
    if not settings["as_json"]:
        tell(f"saved to {from_here(run.path)}")
    if not settings["quiet"] and not settings["as_json"]:
        tell(f"next: {predict_command(run, settings['data'])}")


def hash_of(run: RunFolder, result: Fit) -> str:
    """The hash of a whole run, which may have gone on several times."""
    from anyarray_mlp.training import run_hash

    told = run.read_metrics()
    losses, validation_losses = (
        [record[name] for record in told if record.get(name) is not None]
        for name in ("loss", "validation_loss")
    )
    return run_hash(losses, validation_losses, result.parameters)


def predict_command(run: RunFolder, data: str) -> str:
    """What to type for predictions of rows in the form of the data."""
    import shlex

    suffixes = "".join(Path(data).suffixes[-2:]) if Path(data).is_file() else ".csv"
    new = "IMAGES" if Path(data).is_dir() else f"new{suffixes}"
    return shlex.join(["anyarray-mlp", "predict", from_here(run.path), new])


def identifiers(prepared: Prepared) -> Iterator[str]:
    """A warning for each column of texts most of which occur once, as names do: nothing is learned of them."""
    rows = len(prepared.training)
    for column in prepared.preprocessor.columns:
        if len(column.categories) > max(20, rows // 2):
            yield (
                f"warning: column {column.name!r} has {len(column.categories):,} different texts, each an input of its "
                f"own, for {counted(rows, 'row')} to train on: leave it out with --drop {column.name!r}, unless they "
                "recur"
            )


def describe(prepared: Prepared, mlp: MLP, backend: Backend, settings: dict[str, Any]) -> str:
    """Data, network and backend in three lines."""
    kinds = "-".join(str(size) for size in mlp.sizes)
    activations = "/".join(sorted(set(mlp.activation))) or "no hidden layer"
    held_out = [f"{len(prepared.training):,} to train on"]
    if prepared.validation is not None:
        held_out.append(f"{len(prepared.validation):,} to validate")
    if prepared.has_test:
        held_out.append(f"{len(prepared.test):,} to test")
    solver = settings["solver"]
    if solver != "lbfgs":
        solver += f", learning rate {settings['learning_rate_init']:g}, batches of {settings['batch_size']}"
    arithmetic = "" if backend.arithmetic == "plain" else f", {backend.arithmetic}"
    task: str = prepared.targets.task
    if prepared.target_names and not settings["target"]:
        task += f" of {prepared.target_names[0]!r}, the last column"
    return (
        f"{shown_path(prepared.name)}: {', '.join(held_out)}; {task}\n"
        f"network {kinds}, {activations}, {mlp.output}, {mlp.loss}; {counted(mlp.layout.size, 'parameter')}\n"
        f"{solver}; {backend.name} on {backend.device}, {backend.dtype}{arithmetic}"
    )


def metadata(backend: Backend, target_names: tuple[str, ...]) -> dict[str, str]:
    """What the model was made with, and a table's columns that it predicts."""
    from anyarray_mlp import __version__, streams
    from anyarray_mlp.backends import BACKENDS, distribution_version

    found = {
        "anyarray_mlp": __version__,
        "backend": backend.name,
        "device": backend.device,
        "dtype": backend.dtype,
        "arithmetic": backend.arithmetic,
        "random_streams": streams.VERSION,
        "python": sys.version.split()[0],
    }
    if target_names:
        found["target"] = json.dumps(target_names)
    for distribution in BACKENDS[backend.name].distributions:
        if version := distribution_version(distribution):
            found[distribution] = version
    return found


def default_folder(data: str, overwrite: bool) -> Path:
    """runs/NAME; or runs/NAME-2, ... where that holds a run already which is not to be replaced."""
    name = Path(data).resolve().name if Path(data).exists() else data
    name = name.removesuffix(".gz").rsplit(".", 1)[0] or "data"
    folder, number = Path("runs") / name, 1
    while folder.exists() and not overwrite:
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder
