"""How weights and biases lie in the leaves, by a network of 2, 3 and 1 units whose parameters are 0, 1, 2, ..."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.network.layout import Layout, is_flat

XP = PlainNamespace(np)
LAYOUT, WITHOUT_BIAS = Layout((2, 3, 1)), Layout((2, 3, 1), bias=False)
PARTS: list[Any] = [[[0, 1, 2], [3, 4, 5]], [[6], [7], [8]], [9, 10, 11], [12]]
VECTOR = np.arange(13.0)


def lists(arrays: Any) -> list[Any]:
    return [None if array is None else array.tolist() for array in arrays]


def test_shapes_bounds_and_names() -> None:
    assert LAYOUT.shapes == ((2, 3), (3, 1), (3,), (1,))
    assert LAYOUT.bounds == ((0, 6), (6, 9), (9, 12), (12, 13))
    assert LAYOUT.names == ("weights.0", "weights.1", "biases.0", "biases.1")
    assert (LAYOUT.n_layers, LAYOUT.size) == (2, 13)
    assert WITHOUT_BIAS.shapes == LAYOUT.shapes[:2]
    assert WITHOUT_BIAS.bounds == LAYOUT.bounds[:2]
    assert WITHOUT_BIAS.names == LAYOUT.names[:2]
    assert (WITHOUT_BIAS.n_layers, WITHOUT_BIAS.size) == (2, 9)


def test_parts_are_views_of_a_vector() -> None:
    vector = VECTOR.copy()
    parts = LAYOUT.split(vector)
    assert lists(parts) == PARTS
    parts[1][0, 0] = -1.0
    assert vector[6] == -1.0


@pytest.mark.parametrize("flat", [True, False])
def test_leaves_hold_a_vector_and_give_it_back(flat: bool) -> None:
    leaves = LAYOUT.to_leaves(VECTOR, flat)
    assert lists(leaves) == ([VECTOR.tolist()] if flat else PARTS)
    assert is_flat(leaves) == flat
    assert not any(np.shares_memory(leaf, VECTOR) for leaf in leaves)
    weights, biases = LAYOUT.unpack(XP, leaves)
    assert (lists(weights), lists(biases)) == (PARTS[:2], PARTS[2:])
    again = LAYOUT.pack(XP, weights, biases, flat)
    assert lists(again) == lists(leaves)
    vector = LAYOUT.to_vector(leaves)
    np.testing.assert_array_equal(vector, VECTOR)
    assert not any(np.shares_memory(leaf, vector) for leaf in leaves)


@pytest.mark.parametrize("flat", [True, False])
def test_networks_without_bias_have_none_in_its_place(flat: bool) -> None:
    leaves = WITHOUT_BIAS.to_leaves(VECTOR[:9], flat)
    weights, biases = WITHOUT_BIAS.unpack(XP, leaves)
    assert (lists(weights), biases) == (PARTS[:2], [None, None])
    np.testing.assert_array_equal(
        WITHOUT_BIAS.to_vector(WITHOUT_BIAS.pack(XP, weights, [], flat)), VECTOR[:9]
    )


def test_one_matrix_is_not_a_flat_vector() -> None:
    assert not is_flat((np.ones((2, 3)),))
    assert not is_flat((np.ones(2), np.ones(3)))
