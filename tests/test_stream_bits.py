"""The bits of random streams, and what is no stream or seed; what they have in common with data: test_streams.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anyarray_mlp import streams
from anyarray_mlp.data import split_indices
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.steps import dropout_keys

#: The first 64 bits of each stream for seed 0 (of "dropout", its layer 1). Other bits are another version.
FIRST = {
    "test split": "6787001c0a53cc8a",
    "validation split": "e7d5249c2fd22a90",
    "test groups": "12807074dc70ab21",
    "validation groups": "d31f3fc89e6107c6",
    "member": "74fc36559d20b0af",
    "trial seed": "9ee101f879bed96e",
    "recorded code": "2acbd1227fc1f063",
    "shuffle": "e0f017f60e40d024",
    "initial weights": "61a8a6cc266c29f1",
    "initial layers": "825efbe82506a9b0",
    "fitted start": "5acb7278a10a4d02",
    "dropout": "3dc0a7436dd4b358",
    "xor": "691707178d532389",
    "moons": "cede3a6a455719d9",
    "spirals": "8baa7a96262eb1c5",
    "abs_sine": "0435acc6e851ece9",
    "gradcheck": "611f4b51ba1ef922",
    "gradcheck batch": "01e5a8455ccb7370",
    "parity case": "c8bfc4bbf3153ada",
    "layout probe": "6da331eb5c0005d7",
    "gradient probe": "0e8615bab892065a",
    "slope sample": "1d67a4217ff683af",
    "tie order": "d5e2d3c016ac93f9",
    "category key": "225d058c3d90bf70",
    "search": "0c7bc12db4e990a4",
    "report rows": "1beaf538d5e7a9dd",
    "bootstrap": "1dd0d557de72479c",
    "shuffled column": "de47ed355a0538ab",
    "row key": "ce459635988f31dc",
}


def test_the_bits_of_this_version_are_pinned() -> None:
    assert streams.VERSION == "2"
    index = {"dropout": (1,)}
    assert {
        stream: f"{streams.bit_generator(stream, 0, *index.get(stream, ())).random_raw():016x}"
        for stream in streams.STREAMS
    } == FIRST


def test_seeds_and_numbers_of_any_size_are_told_apart() -> None:
    seeds = [0, 1, 2, 10, 12, 2**32, 2**32 + 1, 2**63, 2**64, 2**64 + 1, 2**128, 2**256, 10**100]
    keys = [(seed,) for seed in seeds]
    keys += [(0, 0), (0, 0, 0), (1, 0), (0, 1), (1, 23), (12, 3), (123,), (2**32, 0), (0, 2**32)]
    words = [streams.bit_generator("dropout", *key).random_raw() for key in keys]
    assert len(set(words)) == len(keys)
    same = streams.bit_generator("dropout", np.int64(12), np.uint8(3)).random_raw()
    assert same == words[keys.index((12, 3))]


@pytest.mark.parametrize("seed", [-1, True, 1.0, None, "0", np.float64(3)])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    for draw in (
        lambda: streams.generator("shuffle", seed),
        lambda: MLP((2, 3)).initialize(seed),
        lambda: dropout_keys(seed, 0, 0, 1),
    ):
        with pytest.raises(UsageError, match="seed must be a non-negative integer, got "):
            draw()


def test_a_stream_that_is_not_listed_is_refused() -> None:
    with pytest.raises(UsageError, match=r"stream must be one of test split, .* got 'split'"):
        split_indices(10, fraction=0.5, seed=0, stream="split")
    with pytest.raises(UsageError, match=r"stream must be one of .* got \['shuffle'\]"):
        streams.bit_generator(["shuffle"], 0)  # type: ignore[arg-type]
    assert not any("/" in stream for stream in streams.STREAMS)


def test_a_generator_draws_from_the_bits_of_its_stream() -> None:
    generator = streams.generator("dropout", 5, 2)
    expected = np.random.Generator(streams.bit_generator("dropout", 5, 2)).random(4)
    np.testing.assert_array_equal(generator.random(4), expected)
