"""Lists in the documents of what there is: names of activations, backends, what is said where a GPU does not work."""

from __future__ import annotations

from anyarray_mlp.backends import BACKENDS
from anyarray_mlp.backends.cuda import driver_problem
from anyarray_mlp.network.exchange import SKLEARN_ACTIVATIONS
from anyarray_mlp.network.functional import ACTIVATIONS


def activations() -> str:
    """The names of the activations."""
    return ", ".join(ACTIVATIONS)


def further_activations() -> str:
    """The names of those that scikit-learn lacks."""
    return ", ".join(name for name in ACTIVATIONS if name not in SKLEARN_ACTIVATIONS)


def backends() -> str:
    """The backends and what each can do, as a table."""
    rows = [
        "| backend | CPU | NVIDIA GPU | writable | compiled | to install |",
        "|---|---|---|---|---|---|",
    ]
    for name, library in BACKENDS.items():
        can = (library.cpu, library.cuda, library.writable, library.jit)
        cells = [f"`{name}`", *(("no", "yes")[each] for each in can), as_code(library.install)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(["", *rows, ""])


def as_code(command: str) -> str:
    """A command as code, what is said about it as text."""
    code, bracket, rest = command.partition(" (")
    return f"`{code}`{bracket}{rest}"


def driver_states() -> str:
    """What each state of the NVIDIA driver is answered with, as a table."""
    states = {
        "no driver": (35, 0),
        "driver too old": (35, 12040),
        "no device visible": (100, 13000),
        **{f"cuInit answers {status}": (status, 13000) for status in (3, 34, 802, 803, 804, 999)},
    }
    rows = [
        f"| {state} | {driver_problem(status, version, 13000, 'CuPy')} |"
        for state, (status, version) in states.items()
    ]
    return "\n".join(["", "| state | message |", "|---|---|", *rows, ""])
