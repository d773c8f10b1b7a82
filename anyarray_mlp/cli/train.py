"""`anyarray-mlp train`: from raw data to a saved model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.cli.advice import as_flags, in_words_of_flags
from anyarray_mlp.cli.kinds import Integer, Logs, PathName
from anyarray_mlp.cli.options import DATA, json_option
from anyarray_mlp.cli.output import tell
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.cli.table_flags import settings_options
from anyarray_mlp.cli.telling import listed_scores, report, tell_plan, tell_ranks
from anyarray_mlp.cli.trying import SECONDS, flags_of, seconds_option, told
from anyarray_mlp.pipeline.presets import LIKELY, PRESETS, Base
from anyarray_mlp.pipeline.settings import keys_of_settings

if TYPE_CHECKING:
    from anyarray_mlp.cli.ranks import Lead
    from anyarray_mlp.diagnosis import Diagnosis
    from anyarray_mlp.errors import DivergedError
    from anyarray_mlp.persistence import RunFolder
    from anyarray_mlp.pipeline.checkpoints import Checkpoints
    from anyarray_mlp.pipeline.cross_validation import CrossValidation
    from anyarray_mlp.pipeline.plan import Plan
    from anyarray_mlp.pipeline.settings import Settings
    from anyarray_mlp.tracking import Log
    from anyarray_mlp.training import Fit


@click.command(cls=Command)
@click.argument("data", type=DATA, default="digits")
@settings_options
@click.option(
    "--diagnose/--no-diagnose", default=True, show_default=True, help="Say what went wrong."
)
@click.option(
    "--try-cures", is_flag=True, help="Where something went wrong, try the cures in short runs."
)
@seconds_option
@click.option(
    "--cv",
    type=Integer(2),
    metavar="K",
    help="Beside the model, train K others, each without a K-th of the rows, and say how they do on these: mean and "
    "spread.",
)
@click.option(
    "--log",
    type=Logs(),
    default=(),
    help="Also log to csv (curves.csv in the folder), tensorboard, mlflow, wandb; several with commas.",
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
    "--device and --backend may change. With a new --epochs, step, exponential, cosine, flat_cos and coslog4 rates are "
    "those of a run of that length; lbfgs estimates the curvature again. A run that stopped early, converged, stalled "
    "or diverged has ended.",
)
@click.option(
    "--report", is_flag=True, help="Write a page about the run, report.html, into its folder."
)
@click.option(
    "--communicator",
    type=click.Choice(["auto", "mpi", "torch", "none"]),
    default="auto",
    show_default=True,
    help="What joins processes that train one network: auto is mpi under mpiexec and srun, torch under torchrun.",
)
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def command(**settings: Any) -> int:
    """Train a network on DATA and save it.

    DATA is a built-in set (digits, iris, breast_cancer, wine, diabetes, xor, moons, spirals, abs_sine), a
    table (CSV and the like, JSON, Parquet, Arrow, .xlsx, ARFF, LIBSVM, .npy), an .npz with x and y, a
    folder of IDX images such as MNIST's, or a folder with a
    sub-folder of pictures for each class. Part of it is held out to test the final model on, unless it comes
    with
    a test set.
    """
    from anyarray_mlp.cli.ranks import on_ranks

    return on_ranks(settings["communicator"], lambda lead: as_told(settings, lead))


def as_told(settings: dict[str, Any], lead: Lead) -> int:
    """Train as the flags say; the exit code."""
    from anyarray_mlp.cli.flags import refuse_idle_flags
    from anyarray_mlp.cli.ranks import for_ranks, own_device
    from anyarray_mlp.cli.resuming import explicit_flags, resume_command, resumed_settings
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.persistence import RunFolder
    from anyarray_mlp.persistence.checkpoint import checkpoint_steps
    from anyarray_mlp.pipeline.cross_validation import check_folds
    from anyarray_mlp.pipeline.plan import make_plan
    from anyarray_mlp.pipeline.run import default_folder
    from anyarray_mlp.pipeline.settings import Settings
    from anyarray_mlp.training.signals import ENDINGS, ending_on

    with ExitStack() as stack:
        stack.enter_context(ending_on(ENDINGS))
        run = None
        named = explicit_flags(click.get_current_context())
        if settings["resume"]:
            if settings["out"] is None:
                raise UsageError("--resume needs --out DIR, the folder of the run to resume.")
            run = stack.enter_context(RunFolder.resume(settings["out"]))
            settings = resumed_settings(run, settings, click.get_current_context())
        if not settings["diagnose"] and settings["try_cures"]:
            raise UsageError("--try-cures tries what a diagnosis found: leave --no-diagnose out.")
        if not settings["try_cures"] and settings["try_seconds"] != SECONDS:
            raise UsageError("--try-seconds is for --try-cures: add that, or leave it out.")
        if settings["report"]:
            from anyarray_mlp.reporting import library

            library.vega()  # rather than after training
        with in_words_of_flags():
            settings = for_ranks(settings, lead.communicator)
            likely = settings if run else settings | likely_settings(settings, named)
            refuse_idle_flags(likely, named)
            own = own_device(settings, lead.communicator)
            asked = Settings.from_keys(own) if run else asked_for(own, {*named, "preset"})
            if settings["cv"] is not None:
                check_folds(asked, settings["data"], settings["cv"])
            plan = make_plan(settings["data"], asked)
        settings = settings | of_preset(plan)
        if 0 < settings["epochs"] <= settings["warm_up"]:
            epochs = counted(settings["epochs"], "epoch")
            tell(f"warning: --warm-up {settings['warm_up']} lasts for the whole run, of {epochs}")
        if run is None:
            # Only now: what was refused so far leaves no empty folder behind.
            overwrite = settings["overwrite"]
            folder = settings["out"] or default_folder(settings["data"], overwrite)
            run = stack.enter_context(RunFolder.create(folder, overwrite=overwrite))
        try:
            return train_and_tell(run, plan, settings, lead)
        except BaseException as error:
            goes_on = isinstance(error, KeyboardInterrupt) and checkpoint_steps(run.home)
            run.discard_unless_begun()
            if goes_on:
                tell(f"resume with: {resume_command(run)}")
            raise


def likely_settings(settings: dict[str, Any], named: set[str]) -> dict[str, Any]:
    """The settings with what a preset has for data that are a table as far as their name tells."""
    from anyarray_mlp.data.builtin import BUILTIN_NAMES

    given, data = named_settings(settings, named), settings["data"]
    may_be_table = data not in BUILTIN_NAMES and not Path(data).is_dir()
    facts = LIKELY._replace(is_table=may_be_table)
    found = Base(settings["preset"]).known(given, facts).beside(given, facts)
    keys = keys_of_settings()
    return {keys[name]: value for name, value in found.items()}


def asked_for(settings: dict[str, Any], named: set[str]) -> Settings:
    """The settings that the command line names, and room for those of a preset."""
    from anyarray_mlp.pipeline.settings import Settings

    return Settings.of("train", None, named_settings(settings, named))


def named_settings(settings: dict[str, Any], named: set[str]) -> dict[str, Any]:
    """The settings that the command line names, by field."""
    return {name: settings[key] for name, key in keys_of_settings().items() if key in named}


def of_preset(plan: Plan) -> dict[str, Any]:
    """The settings of a plan that a preset may have stood in for, by their keys."""
    keys, found = keys_of_settings(), plan.settings.to_keys()
    names = ("preset", "batch_size", *(name for each in PRESETS.values() for name in each.values))
    return {keys[name]: found[keys[name]] for name in names}


def train_and_tell(run: RunFolder, plan: Plan, settings: dict[str, Any], lead: Lead) -> int:
    """Train as planned in an open run folder and say what came of it; the exit code."""
    from anyarray_mlp.pipeline.checkpoints import Checkpoints
    from anyarray_mlp.pipeline.kept import configuration

    quiet = settings["quiet"]
    kept = configuration(settings)
    checkpoints = Checkpoints(run, plan, kept, tell)
    start = None
    if settings["resume"]:
        start = checkpoints.restore()
        ending = checkpoints.ending(settings["epochs"])
        if ending is not None:
            return leave_ended(run, plan, settings, checkpoints, ending)
        checkpoints.rewind_metrics()
    run.write_config(kept)
    if not quiet:
        tell_plan(run, plan, settings)
        tell_ranks(lead.communicator)
    lead.begin(settings, checkpoints.last)
    with ExitStack() as stack:
        logs = [stack.enter_context(log) for log in logs_of(run, kept, settings["log"])]
        return train_and_log(run, plan, settings, checkpoints, start, logs, lead)


def logs_of(run: RunFolder, kept: dict[str, Any], kinds: Sequence[str]) -> Iterator[Log]:
    """The logs of a run that were asked for."""
    from anyarray_mlp.tracking import log_to

    for kind in kinds:
        yield log_to(kind, run.path, settings=kept)


def train_and_log(
    run: RunFolder,
    plan: Plan,
    settings: dict[str, Any],
    checkpoints: Checkpoints,
    start: Any,
    logs: Sequence[Log],
    lead: Lead,
) -> int:
    """Train as planned and say what came of it, also to the logs; the exit code."""
    from anyarray_mlp.cli.progress import Progress
    from anyarray_mlp.errors import DivergedError
    from anyarray_mlp.pipeline.scoring import scores_of
    from anyarray_mlp.pipeline.training import train_in

    quiet = settings["quiet"]
    try:
        with Progress(settings["epochs"], quiet=quiet) as progress:
            result, diagnosis, is_kept = train_in(
                run,
                plan,
                checkpoints,
                start,
                [progress, *logs],
                settings["diagnose"],
                lead.communicator,
            )
    except DivergedError as error:
        ended = diverged(run, checkpoints, error, quiet)
        if error.diagnosis is not None and settings["try_cures"]:
            try_cures(run, plan, settings, error.diagnosis)
        raise ended from None
    if not is_kept:
        tell("interrupted before the first epoch was done; nothing is kept")
        return exit_code(result)
    # Everything is kept before anything is printed, which may fail.
    model = plan.trained(result)
    for log in logs:
        found = None if diagnosis is None else diagnosis.to_json()
        log.finish(scores_of(plan, model), run.model_path, found)
    crossed = cross_validation(run, plan, settings) if result.signal is None else None
    report(run, plan, settings, model, result, checkpoints, crossed)
    if diagnosis is not None and not quiet:
        tell(as_flags(diagnosis.summary(write=flags_of)))
    if diagnosis is not None and settings["try_cures"] and result.signal is None:
        try_cures(run, plan, settings, diagnosis)
    if settings["report"] and result.signal is None:
        from anyarray_mlp.checking.messages import from_here
        from anyarray_mlp.cli.report import write_report

        tell(f"wrote {from_here(write_report([str(run.path)]))}")
    return exit_code(result)


def cross_validation(
    run: RunFolder, plan: Plan, settings: dict[str, Any]
) -> CrossValidation | None:
    """What models of the folds come to, if any were asked for, and kept in the run's folder."""
    from anyarray_mlp.pipeline.cross_validation import cross_validated

    if settings["cv"] is None:
        return None

    def told(fold: int, scores: dict[str, float]) -> None:
        if not settings["quiet"]:
            tell(f"fold {fold} of {settings['cv']}: {listed_scores(scores)}")

    crossed = cross_validated(settings["data"], plan.settings, settings["cv"], told=told)
    if crossed is None:
        tell("the cross-validation was interrupted; the model is kept")
    else:
        crossed.save(run.home)
    return crossed


def try_cures(run: RunFolder, plan: Plan, settings: dict[str, Any], diagnosis: Diagnosis) -> None:
    """Try the cures of what went wrong and say what came of them."""
    from anyarray_mlp.pipeline.trials import triable

    if not diagnosis.alarms:
        return
    epochs = run.read_metrics()
    seconds = epochs[-1]["seconds"] / len(epochs) if epochs else 0.0
    again = triable(diagnosis, settings["data"], plan.settings, seconds, plan)
    trials = again.try_cures(settings["try_seconds"])
    tell(told(trials, run.path, settings, keep=False))


def exit_code(result: Fit) -> int:
    """That of a process which the signal ended, where one did."""
    return 0 if result.signal is None else 128 + result.signal


def diverged(
    run: RunFolder, checkpoints: Checkpoints, error: DivergedError, quiet: bool
) -> DivergedError:
    """Say what went wrong with a run that diverged; the error to end with."""
    from anyarray_mlp.errors import DivergedError

    kept = f"The parameters of the epoch before are in {run.model_path}."
    if checkpoints.last is None:
        kept = "Nothing was learned, so no model is saved"
        kept += "." if not run.replaces else f": {run.path} keeps the run that was there."
    if error.diagnosis is not None and not quiet:
        tell(as_flags(error.diagnosis.summary(write=flags_of)))
    message = f"{as_flags(str(error))} {kept}"
    return DivergedError(message, error.parameters, error.step_losses)


def leave_ended(
    run: RunFolder, plan: Plan, settings: dict[str, Any], checkpoints: Checkpoints, ending: str
) -> int:
    """Say that a run that is to go on has ended already and leave it as it is; the exit code."""
    from anyarray_mlp.errors import DivergedError
    from anyarray_mlp.persistence.files import exists
    from anyarray_mlp.pipeline.run import best_of_each
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
        result = Fit(last.arrays["parameters"], (), ending)
        if ending != "diverged":
            result = best_of_each(result, plan)
        run.save_model(plan.trained(result).to_file())
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
    best = best_of_each(Fit(model.parameters, (), ending), plan)
    ended = Fit(model.parameters, (), ending, kept_epoch=best.kept_epoch)
    report(run, plan, settings, model, ended, checkpoints)
    return 0
