"""Callbacks: functions of the user's that are told each epoch, of which one may end training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from anyarray_mlp.checking.values import is_true, items, refuse
from anyarray_mlp.ranks.agreement import any_rank
from anyarray_mlp.ranks.communicator import Communicator
from anyarray_mlp.training.records import Epoch
from anyarray_mlp.training.signals import Interrupted

#: A function of an epoch. True ends training, and so does NumPy's True, which comparisons give; any other answer is
#: of no account: `file.write` and `list.append` are callbacks as they are.
Callback = Callable[[Epoch], object]


def as_callbacks(name: str, given: Callback | Sequence[Callback] | None) -> list[Callback]:
    """One callback, several or none as a list; `UsageError` where one of them cannot be called."""
    what = "a function of an epoch, or a list of such functions"
    if given is None:
        return []
    several = not callable(given)
    watchers: Any = items(name, given, what) if several else (given,)
    for place, watcher in enumerate(watchers):
        where = f"{name}[{place}]" if several else name
        if isinstance(watcher, type):
            refuse(
                where, f"an object, not the class itself (write {watcher.__name__}(...))", watcher
            )
        if not callable(watcher):
            refuse(where, what, watcher)
    return list(watchers)


def tell(watchers: Sequence[Callback], epoch: Epoch) -> bool:
    """Tell every callback of an epoch; whether one asks for the end of training."""
    answers = [watcher(epoch) for watcher in watchers]
    return any(map(is_true, answers))


class Watch:
    """What `fit` notes while a run goes on, by steps or by L-BFGS: its epochs, and what has stopped it, on any rank."""

    def __init__(
        self,
        watchers: Sequence[Callback],
        interrupted: Interrupted,
        communicator: Communicator | None = None,
    ) -> None:
        self.communicator = communicator
        self.watchers = watchers
        self.interrupted = interrupted
        self.history: list[Epoch] = []
        self.stopped = "finished"

    def __call__(self, epoch: Epoch) -> bool:
        """Note an epoch and tell the callbacks of it; True when it was the last."""
        self.history.append(epoch)
        if any_rank(self.communicator, tell(self.watchers, epoch)):
            self.stopped = "callback"
        if any_rank(self.communicator, self.interrupted.is_set()):
            self.stopped = "interrupted"
        return self.stopped != "finished"
