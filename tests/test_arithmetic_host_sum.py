"""Sums of host arrays without error, against `math.fsum`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyarray_mlp.arithmetic.host_sum import exact_sum

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1, 1, width=32),
    st.integers(-(2**60), 2**60).map(float),
)


@settings(max_examples=300)
@given(st.lists(NUMBERS, min_size=1, max_size=60), st.booleans())
def test_the_exact_sum_is_fsums(numbers: list[float], cancelling: bool) -> None:
    numbers = [*numbers, *(-number for number in numbers[1:])] if cancelling else numbers
    try:
        truth = math.fsum(numbers)
    except OverflowError:
        with pytest.raises(OverflowError):
            exact_sum(np.array(numbers))
    else:
        assert exact_sum(np.array(numbers)) == truth


@pytest.mark.parametrize("spread", [0, 30, 300, 900])
def test_the_exact_sum_of_many_is_fsums(spread: int) -> None:
    rng = np.random.default_rng(spread)
    values = rng.standard_normal(5000) * np.exp2(rng.uniform(-spread, spread, 5000))
    assert exact_sum(values) == math.fsum(values.tolist())


@pytest.mark.parametrize("number", [0.0, 1.0, -1.0, 0.5, 1e-300, 1e300])
def test_the_exact_sum_of_one_is_itself(number: float) -> None:
    assert exact_sum(np.array([number])) == number


@pytest.mark.parametrize("sign", [1, -1])
def test_the_exact_sum_of_as_many_of_one_sign_as_a_cut_is_made_for_is_fsums(sign: int) -> None:
    # Their multiples add up to nearly 2**53 of the units that they are multiples of, most of them odd.
    for seed in range(20):
        values = sign * np.random.default_rng(seed).uniform(0.5, 1.0, 4095)
        assert exact_sum(values) == math.fsum(values.tolist())
