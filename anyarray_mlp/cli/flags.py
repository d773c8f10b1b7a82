"""How settings are written as flags, and the refusal of those of `train` that would do nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from anyarray_mlp.errors import UsageError

#: What lbfgs, which finds its own steps on all rows at once, has no use for, beside what a recipe refuses with it.
OF_STEPS = ("learning_rate", "learning_rate_init", "momentum", "batch_size")


def refuse_idle_flags(settings: dict[str, Any], given: Collection[str]) -> None:
    """Raise `UsageError` for a flag among those that were `given` which the other settings make idle."""
    from anyarray_mlp.training import recipe

    for name in ("test", "folds"):
        if settings[name] is not None and "test_fraction" in given:
            raise UsageError(
                f"{flag(name)} says which rows are the test set: leave --test-fraction out."
            )
    solver = settings["solver"]
    if not settings["early_stopping"]:
        if "patience" in given:
            raise UsageError("--patience is for --early-stopping: add that, or leave it out.")
        if "monitor" in given and settings["keep_epoch"] == "last":
            raise UsageError(
                "--monitor is for --keep-epoch best and --early-stopping: add one of these, or leave it out."
            )
    if solver == "lbfgs":
        for name in (*OF_STEPS, *recipe.OF_STEPS):
            if name in given:
                raise UsageError(f"--solver lbfgs finds its own steps: leave {flag(name)} out.")
        if settings["dropout"]:
            raise UsageError(
                "--solver lbfgs takes no --dropout: its loss must be the same each time."
            )
    elif "momentum" in given and solver not in ("momentum", "nesterov"):
        raise UsageError(
            f"--momentum is for --solver momentum and nesterov, and this is {solver}: leave it out."
        )


def flag(name: str) -> str:
    """How a setting is written on the command line."""
    return f"--{name.replace('_', '-')}"
