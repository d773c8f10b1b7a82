"""Random numbers: each purpose has a stream of its own, seeded from (name of the stream, seed).

A generator seeded with the bare seed gives the same numbers as a user's `np.random.default_rng(seed)`: a table made
with that would be split, shuffled and learned with the very numbers it consists of. So the generator is seeded with a
hash of the stream's name and the seed, which nobody else uses.
"""

from __future__ import annotations

import hashlib

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import UsageError

#: Version of the streams: the same version, stream and seed give the same bits. Any change needs a new version.
VERSION = "2"

#: Every stream, and what is drawn from it.
STREAMS = {
    "test split": "the rows held out for testing",
    "validation split": "the rows held out for validation, from those that are left",
    "test groups": "the order in which groups of rows are considered for testing",
    "validation groups": "the same for validation, of the groups that are left",
    "member": "the seed of each network but the first of those that are trained together on a table",
    "shuffle": "the order of the rows in each epoch",
    "initial weights": "the weights that training starts from",
    "initial layers": "what layers that are not dense start from",
    "fitted start": "what published recipes start from: weights, rows and their shares in a bias",
    "dropout": "the key of each step's dropped units, for each layer",
    "xor": "the built-in set",
    "moons": "the built-in set",
    "spirals": "the built-in set",
    "abs_sine": "the built-in set",
    "gradcheck": "the biases of the network under test, and the entries that are checked",
    "gradcheck batch": "the batch on which the command checks networks",
    "parity case": "the batch and the biases of a case",
    "layout probe": "the weights at which `check_backprop` finds out how a network is built",
    "gradient probe": "the weights at which it compares gradients",
    "slope sample": "the entries whose slopes it takes numerically",
    "tie order": "the order of rows with equal values in a column, in the search for leaking columns",
    "category key": "the direction on which categories are projected to tell them apart",
    "recorded code": "the weights, samples and labels with which code that was recorded is run again",
    "trial seed": "the seeds of further runs in which a cure is tried",
    "search": "the candidates of a search for settings",
    "report rows": "the rows that a report shows, or judges on, of many",
    "bootstrap": "the rows drawn again for the intervals of a report's scores",
    "shuffled column": "the order of a column's cells in permutation importance",
    "row key": "the direction on which rows are projected in the search for repeated rows",
}


def bit_generator(stream: str, seed: int, *index: int) -> np.random.PCG64:
    """The bit generator of a stream of `STREAMS`, for a seed: a non-negative integer of any size.

    `index` (non-negative integers) tells apart streams of one name: one for each layer, say.
    Raises `UsageError` for any other seed and for a stream that is not listed.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UsageError(f"seed must be a non-negative integer, got {shown(seed)}.")
    if not isinstance(stream, str) or stream not in STREAMS:
        raise UsageError(f"stream must be one of {', '.join(STREAMS)}, got {shown(stream)}.")
    # Names contain no "/" and numbers are written in full, so different arguments give different texts.
    text = "/".join(["anyarray-mlp", VERSION, stream, *(str(int(n)) for n in (seed, *index))])
    return np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest(), "little"))


def random_state(stream: str, seed: int, *index: int) -> np.random.RandomState:
    """NumPy's older generator over the same, as scikit-learn's functions want one."""
    return np.random.RandomState(bit_generator(stream, seed, *index))


def generator(stream: str, seed: int, *index: int) -> np.random.Generator:
    """A `numpy.random.Generator` over `bit_generator` of the same arguments."""
    return np.random.Generator(bit_generator(stream, seed, *index))
