"""`train` on several ranks: rank 0 does what one process does alone; the others compute along and say nothing."""

from __future__ import annotations

import atexit
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.errors import AnyArrayMLPError, DivergedError

if TYPE_CHECKING:
    from anyarray_mlp.persistence import Checkpoint
    from anyarray_mlp.ranks.communicator import Communicator


class Lead:
    """Rank 0: it tells the others what to do, and with which exit code to end; alone it tells nobody."""

    def __init__(self, communicator: Communicator | None) -> None:
        self.communicator = communicator
        self.has_begun = False

    def begin(self, settings: dict[str, Any], checkpoint: Checkpoint | None) -> None:
        """Have the others train with these settings, from a checkpoint on."""
        if self.communicator is not None:
            self.communicator.broadcast((settings, checkpoint))
            self.has_begun = True

    def end(self, exit_code: int) -> None:
        """Have the others end, which wait for this before they have begun and when they have trained."""
        if self.communicator is not None:
            self.communicator.broadcast(exit_code)


def on_ranks(name: str, train: Callable[[Lead], int]) -> int:
    """Train alone or as one of several ranks; the exit code.

    An error goes to the others when the process ends: its message is printed by then, which their end may not cut off.
    """
    from anyarray_mlp.ranks.communicator import LostRankError
    from anyarray_mlp.ranks.selection import select_communicator

    communicator = select_communicator(name)
    lead = Lead(communicator)
    if communicator is None:
        return train(lead)
    try:
        if communicator.rank:
            code = follow(communicator)
        else:
            code = train(lead)
            lead.end(code)
        communicator.leave()
        return code
    except LostRankError as error:
        atexit.register(communicator.abort, error.exit_code)
        if not communicator.is_first_to_tell():
            raise click.exceptions.Exit(error.exit_code) from None
        raise
    except BaseException as error:
        code = error.exit_code if isinstance(error, AnyArrayMLPError) else 1
        # That a run diverges, all ranks find together.
        waited_for = not lead.has_begun or isinstance(error, DivergedError)
        atexit.register(
            lead.end if waited_for and not communicator.rank else communicator.abort, code
        )
        raise


def follow(communicator: Communicator) -> int:
    """Do what rank 0 says until it ends; the exit code, which is that of rank 0."""
    from anyarray_mlp.pipeline.checkpoints import states_of
    from anyarray_mlp.pipeline.plan import make_plan
    from anyarray_mlp.pipeline.settings import Settings
    from anyarray_mlp.pipeline.training import follow_in
    from anyarray_mlp.training.signals import ENDINGS, ending_on

    told = communicator.broadcast()
    if isinstance(told, int):
        return told
    settings, checkpoint = told
    with warnings.catch_warnings(), ending_on(ENDINGS):
        warnings.simplefilter("ignore")  # rank 0 tells them
        plan = make_plan(settings["data"], Settings.from_keys(own_device(settings, communicator)))
        start = None if checkpoint is None else states_of(plan, checkpoint)
        with suppress(DivergedError):
            follow_in(plan, start, settings["diagnose"], communicator)
    code: int = communicator.broadcast()
    return code


def for_ranks(settings: dict[str, Any], communicator: Communicator | None) -> dict[str, Any]:
    """The settings, of which several ranks, which train one network, take the plain ones for tables as well."""
    if communicator is None or settings["preset"] != "auto":
        return settings
    return settings | {"preset": "plain"}


def own_device(settings: dict[str, Any], communicator: Communicator | None) -> dict[str, Any]:
    """The settings with the GPU that belongs to a rank where they say a GPU."""
    if communicator is None or settings["device"] != "cuda":
        return settings
    return settings | {"device": f"cuda:{communicator.local_rank}"}
