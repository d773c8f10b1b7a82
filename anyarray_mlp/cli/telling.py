"""What `train` says to a person: what is to be trained, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyarray_mlp.checking.messages import counted, from_here, ordinal, shown_path
from anyarray_mlp.cli.advice import as_flags
from anyarray_mlp.cli.figures import figure
from anyarray_mlp.cli.flags import flag
from anyarray_mlp.cli.output import announce, tell
from anyarray_mlp.pipeline.settings import keys_of_settings

if TYPE_CHECKING:
    from anyarray_mlp.persistence import RunFolder
    from anyarray_mlp.pipeline.checkpoints import Checkpoints
    from anyarray_mlp.pipeline.cross_validation import CrossValidation
    from anyarray_mlp.pipeline.plan import Plan
    from anyarray_mlp.pipeline.trained_model import TrainedModel
    from anyarray_mlp.ranks.communicator import Communicator
    from anyarray_mlp.training import Fit


#: Networks whose epochs are named.
MOST_NAMED = 8


def about_preset(plan: Plan) -> str:
    """Which preset a run has and why, what it has chosen, as flags, and what was given in its place."""
    from anyarray_mlp.pipeline.presets import PRESETS

    keys, base, stood_in = keys_of_settings(), plan.settings.base, plan.settings.stood_in
    found = plan.settings.to_keys()
    chosen: list[str] = []
    given: list[str] = []
    for name in PRESETS[base.preset].values:
        value = found[keys[name]]
        told = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        (chosen if name in stood_in.values else given).append(f"{flag(keys[name])} {told}")
    line = as_flags(f"preset {base.preset}, {stood_in.why}")
    line += f": {', '.join(chosen)}" if chosen else ""
    return line + (f"; but {', '.join(given)}" if given else "")


def report(
    run: RunFolder,
    plan: Plan,
    settings: dict[str, Any],
    model: TrainedModel,
    result: Fit,
    checkpoints: Checkpoints,
    crossed: CrossValidation | None = None,
) -> None:
    """Print what came of the run: test scores, where everything is, and what to type next."""
    from anyarray_mlp import streams
    from anyarray_mlp.cli.resuming import resume_command
    from anyarray_mlp.persistence.plain_json import plain
    from anyarray_mlp.pipeline.scoring import scores_of, worse_than_constant

    prepared, backend, test = plan.prepared, plan.backend, plan.prepared.test
    scores = scores_of(plan, model)
    beaten = worse_than_constant(plan, scores) if result.stopped != "interrupted" else None
    held_out = plan.scored_on
    reproducible = backend.arithmetic != "plain"
    epochs = checkpoints.epochs
    if settings["as_json"]:
        summary = {
            "data": shown_path(prepared.name),
            "preset": settings["preset"],
            "rows": {"training": len(prepared.training), held_out: len(test)},
            "scores": plain(scores, "scores", null_for_nonfinite=True),
            "scored_on": held_out,
            "epochs": epochs,
            "stopped": result.stopped,
            "kept_epoch": epochs if result.kept_epoch is None else result.kept_epoch,
            "seconds": round(result.history[-1].seconds, 3) if result.history else 0.0,
            "backend": backend.name,
            "device": backend.device,
            "dtype": backend.dtype,
            "parameters": model.mlp.layout.size,
            "networks": len(plan.networks),
            "run": shown_path(run.path),
            "notes": [
                as_flags(note) for note in (*prepared.preprocessor.notes, *filter(None, [beaten]))
            ],
        }
        if reproducible:
            summary |= {"arithmetic": backend.arithmetic, "random_streams": streams.VERSION}
            summary["hash"] = hash_of(run, result)
        if crossed is not None:
            summary["cross_validation"] = crossed.to_dict()
        announce(json.dumps(summary, indent=2), shown_path(run.path))
    else:
        lines = [listed_scores(scores, f"{held_out} ")]
        lines += [f"hash {hash_of(run, result)}"] if reproducible else []
        lines += [] if crossed is None else [in_words_of(crossed)]
        announce("\n".join(lines), shown_path(run.path))
    if result.stopped == "interrupted":
        done = f"after epoch {epochs}" if epochs else "within the first epoch"
        tell(f"interrupted {done}; what was learned is kept; resume with: {resume_command(run)}")
    elif result.stopped == "early" and result.history:
        tell(f"stopped early after epoch {epochs}; {kept_in_words(plan, result, epochs)}")
    elif result.kept_epoch and not settings["quiet"]:
        tell(kept_in_words(plan, result, epochs))
    if beaten and not settings["quiet"]:
        tell(f"note: {as_flags(beaten)}")
    if not settings["as_json"]:
        tell(f"saved to {from_here(run.path)}")
    if not settings["quiet"] and not settings["as_json"]:
        tell(f"next: {predict_command(run, settings['data'])}")


def listed_scores(scores: dict[str, float], before: str = "") -> str:
    """Scores in one line, each with its name."""
    return "  ".join(
        f"{before}{name.replace('_', ' ')} {figure(value)}" for name, value in scores.items()
    )


def in_words_of(crossed: CrossValidation) -> str:
    """Mean and spread of the folds' scores."""
    spread = crossed.spread
    each = [
        f"{name.replace('_', ' ')} {figure(value)} ± {figure(spread[name])}"
        for name, value in crossed.mean.items()
    ]
    return f"{len(crossed.scores)} folds: " + "  ".join(each)


def kept_in_words(plan: Plan, result: Fit, epochs: int) -> str:
    """Which epoch is kept, and the figure that it was best by."""
    assert plan.stopping is not None
    assert result.kept_epoch is not None
    watched = plan.stopping.monitor.replace("_", " ")
    if plan.stopping.monitor not in ("loss", "validation_loss"):
        watched = f"validation {watched}"
    if isinstance(result.kept_epoch, int):
        return (
            f"the best one, the {ordinal(result.kept_epoch)} of {counted(epochs, 'epoch')}, is kept: {watched} "
            f"{figure(plan.stopping.value)}"
        )
    values = [own.stopping.value for own in plan.networks if own.stopping is not None]
    return (
        f"of {counted(epochs, 'epoch')}, each network keeps its best one, the {listed_ordinals(result.kept_epoch)}: "
        f"{watched} {figure(min(values))} to {figure(max(values))}"
    )


def listed_ordinals(epochs: Iterable[int]) -> str:
    """Epochs of several networks, the first few."""
    named = [ordinal(epoch) for epoch in epochs]
    return ", ".join(named[:MOST_NAMED]) + (" ..." if len(named) > MOST_NAMED else "")


def hash_of(run: RunFolder, result: Fit) -> str:
    """The hash of a whole run, which may have gone on several times."""
    from anyarray_mlp.training.records import run_hash

    told = run.read_metrics()
    losses, validation_losses = (
        [record[name] for record in told if record.get(name) is not None]
        for name in ("loss", "validation_loss")
    )
    return run_hash(losses, validation_losses, result.parameters)


def predict_command(run: RunFolder, data: str) -> str:
    """What to type for predictions of rows in the form of the data."""
    import shlex

    path = Path(data)
    suffix = path.suffix if path.suffix != ".gz" else "".join(path.suffixes[-2:])
    new = "IMAGES" if path.is_dir() else f"new{suffix if path.is_file() else '.csv'}"
    return shlex.join(["anyarray-mlp", "predict", from_here(run.path), new])


def tell_plan(run: RunFolder, plan: Plan, settings: dict[str, Any]) -> None:
    """Say what is to be trained, and what looks odd about it."""
    if run.replaces:
        tell(f"{shown_path(run.path)} keeps its run until this one has ended")
    tell(describe(plan, settings))
    if plan.settings.stood_in.why:
        tell(about_preset(plan))
    for note in plan.prepared.preprocessor.notes:
        tell(f"note: {as_flags(note)}")


def tell_ranks(communicator: Communicator | None) -> None:
    """Say how many processes share the work, if there are others."""
    if communicator is not None:
        tell(
            f"{counted(communicator.size, 'rank')} by {communicator.engine}, each with its share of every batch"
        )


def in_turn(plan: Plan) -> str:
    """How many rows each of several networks holds out."""
    sizes = sorted({len(held) for held in plan.prepared.folds})
    rows = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    return f"each of {len(plan.networks)} networks holds out {rows} of its own"


def describe(plan: Plan, settings: dict[str, Any]) -> str:
    """Data, network and backend in three lines."""
    prepared, mlp, backend = plan.prepared, plan.model.mlp, plan.backend
    kinds = "-".join(str(size) for size in mlp.sizes)
    activations = "/".join(sorted(set(mlp.activation))) or "no hidden layer"
    held_out = [f"{len(prepared.training):,} to train on"]
    if prepared.validation is not None:
        held_out.append(f"{len(prepared.validation):,} to validate")
    if prepared.folds:
        held_out.append(f"of which {in_turn(plan)} to validate")
    if prepared.has_test:
        held_out.append(f"{len(prepared.test):,} to test")
    solver = settings["solver"]
    if solver != "lbfgs":
        solver += f", learning rate {settings['learning_rate_init']:g}, batches of {settings['batch_size']}"
    arithmetic = "" if backend.arithmetic == "plain" else f", {backend.arithmetic}"
    task: str = prepared.targets.task
    if prepared.target_names and not settings["target"]:
        task += f" of {prepared.target_names[0]!r}"
        # Of pictures, a note says which.
        task += "" if prepared.preprocessor.pixels or not prepared.is_last else ", the last column"
    several = f"{len(plan.networks)} networks" if plan.is_bag else "network"
    return (
        f"{shown_path(prepared.name)}: {', '.join(held_out)}; {task}\n"
        f"{several} {kinds}, {activations}, {mlp.output}, {mlp.loss}; {counted(mlp.layout.size, 'parameter')}"
        f"{' each' if plan.is_bag else ''}\n"
        f"{solver}; {backend.name} on {backend.device}, {backend.dtype}{arithmetic}"
    )
