"""Where random numbers come from: a stream of its own for each purpose, started from (name of the stream, seed).

A generator that is started from the bare seed gives the very numbers of a user's `np.random.default_rng(seed)`: a
table made with it would then be split, shuffled and learned by the numbers that it consists of. So the generator
starts from a hash of the stream's name and the seed, which nobody else starts from.
"""

from __future__ import annotations

import hashlib

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import UsageError

#: Version of the streams: the same version, stream and seed give the same bits. A new one for any change of them.
VERSION = "2"

#: Every stream, and what is drawn from it.
STREAMS = {
    "test split": "the rows held out to test",
    "validation split": "the rows held out to validate, of those that are left",
    "shuffle": "the order of the rows in each epoch",
    "initial weights": "the weights that training starts from",
    "dropout": "the key of each step's dropped units, for each layer",
    "xor": "the built-in set",
    "moons": "the built-in set",
    "spirals": "the built-in set",
    "abs_sine": "the built-in set",
    "gradcheck": "the biases of a network to check, and the entries that are checked",
    "gradcheck batch": "the batch that the command checks networks on",
    "parity case": "the batch and the biases of a case",
    "layout probe": "the weights at which `check_backprop` finds how a network is built",
    "gradient probe": "the weights at which it compares gradients",
    "slope sample": "the entries of which it takes numerical slopes",
    "tie order": "the order of rows that a column does not tell apart, when leaking columns are looked for",
    "category key": "the direction that categories are projected on, to be told apart",
    "row key": "the direction that rows are projected on, when repeated rows are looked for",
}


def bit_generator(stream: str, seed: int, *index: int) -> np.random.PCG64:
    """The bit generator of a stream of `STREAMS`, for a seed: a non-negative integer of any size.

    `index`, non-negative integers, numbers streams of one name: one for each layer, say.
    Raises `UsageError` for another seed and for a stream that is not listed.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UsageError(f"seed must be a non-negative integer, got {shown(seed)}.")
    if not isinstance(stream, str) or stream not in STREAMS:
        raise UsageError(f"stream must be one of {', '.join(STREAMS)}, got {shown(stream)}.")
    # Names hold no "/" and numbers are written in full: different arguments are different texts.
    text = "/".join(["anyarray-mlp", VERSION, stream, *(str(int(n)) for n in (seed, *index))])
    return np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest(), "little"))


def generator(stream: str, seed: int, *index: int) -> np.random.Generator:
    """A `numpy.random.Generator` over `bit_generator` of the same arguments."""
    return np.random.Generator(bit_generator(stream, seed, *index))
