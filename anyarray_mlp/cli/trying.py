"""`diagnose --try` and `train --try-cures`: the cures of a run's findings, tried, and the better run kept."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import from_here
from anyarray_mlp.cli.flags import flag
from anyarray_mlp.cli.kinds import Number
from anyarray_mlp.cli.output import tell

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis import Diagnosis, Trials

#: Seconds that trying may take, where nothing else is asked for.
SECONDS = 60.0

seconds_option = click.option(
    "--try-seconds",
    type=Number(0.0, open_low=True),
    default=SECONDS,
    show_default=True,
    help="The time that trying cures may take.",
)


def flags_of(change: Mapping[str, Any]) -> str:
    """A change of settings as it is typed: `--hidden 64 --epochs 100`; what has no flag, as Python has it."""
    from anyarray_mlp.checking.settings import settings_of
    from anyarray_mlp.pipeline.settings import SECTIONS

    keys = {each.field: each.key for part in SECTIONS.values() for each in settings_of(part)}
    return " ".join(written(name, keys.get(name), value) for name, value in change.items())


def written(name: str, key: str | None, value: Any) -> str:
    """One setting as a flag with its value."""
    if not key:
        return f"{name}={value!r}"
    if isinstance(value, bool):
        return flag(key if value else f"no_{key}")
    if isinstance(value, (list, tuple)):
        text = ",".join(map(str, value)) or "none"
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{flag(key)} {shlex.quote(text)}"


def diagnosis_of(path: str) -> tuple[Diagnosis, dict[str, Any]]:
    """The diagnosis of a run's folder, which can make the run again, and the settings that the folder keeps."""
    from anyarray_mlp.cli.kept_settings import read_settings
    from anyarray_mlp.cli.train import command as train
    from anyarray_mlp.diagnosis import load_diagnosis
    from anyarray_mlp.persistence import RunFolder
    from anyarray_mlp.pipeline.settings import Settings
    from anyarray_mlp.pipeline.trials import data_of, triable

    run = RunFolder(path)
    diagnosis = load_diagnosis(path)
    settings = read_settings(run, click.Context(train, info_name="train"))
    data = data_of(settings, path)
    told = run.read_metrics()
    seconds = told[-1]["seconds"] / len(told) if told else 0.0
    return triable(diagnosis, data, Settings.from_keys(settings), seconds, None), settings


def told(trials: Trials, path: Path | str, settings: Mapping[str, Any], keep: bool) -> str:
    """What came of trying, and what can be typed to have it, or where the better run is kept."""
    lines = [trials.report(flags_of)]
    if trials.best is None:
        return lines[0]
    if keep:
        lines.append(f"kept in {from_here(kept_better(trials, path, settings))}")
    else:
        command = shlex.join(["anyarray-mlp", "diagnose", from_here(Path(path)), "--try", "--keep"])
        lines.append(f"to have it, train with {flags_of(trials.best.change)}, or type: {command}")
    return "\n".join(lines)


def kept_better(trials: Trials, path: Path | str, settings: Mapping[str, Any]) -> Path:
    """Train as the best trial was, to the end, in a folder beside the run's; the folder."""
    from anyarray_mlp.persistence import RunFolder
    from anyarray_mlp.pipeline.checkpoints import Checkpoints
    from anyarray_mlp.pipeline.kept import configuration
    from anyarray_mlp.pipeline.plan import make_plan
    from anyarray_mlp.pipeline.run import free_folder
    from anyarray_mlp.pipeline.settings import Settings
    from anyarray_mlp.pipeline.training import train_in
    from anyarray_mlp.pipeline.trials import changed

    assert trials.best is not None
    plan = make_plan(settings["data"], changed(Settings.from_keys(settings), trials.best.change))
    kept = configuration({**settings, **plan.settings.to_keys()})
    with RunFolder.create(free_folder(Path(path))) as folder:
        try:
            folder.write_config(kept)
            train_in(folder, plan, Checkpoints(folder, plan, kept, tell), None, [], True)
        except BaseException:
            folder.discard_unless_begun()
            raise
        return folder.path
