"""Smoothed labels: training on targets that spread a share of their certainty, measured against the true ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, Recipe, fit, fit_many, select_backend
from anyarray_mlp.errors import UsageError
from tests.beds import require_library

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 4))
LABELS = RNG.integers(0, 3, 50)
ONE_HOT = np.eye(3)[LABELS]
SOFTMAX, LOGISTIC = MLP((4, 6, 3), "tanh"), MLP((4, 6, 3), "tanh", "logistic")
OPTIONS: dict[str, Any] = {"epochs": 3, "batch_size": 16, "learning_rate_init": 0.02}


@pytest.mark.parametrize("bed", ["numpy", "torch", "jax", "array_api_strict", "reproducible"])
@pytest.mark.parametrize(
    ("mlp", "targets", "written_out"),
    [
        (SOFTMAX, LABELS, 0.8 * ONE_HOT + 0.2 / 3),
        (SOFTMAX, ONE_HOT, 0.8 * ONE_HOT + 0.2 / 3),
        (LOGISTIC, ONE_HOT, 0.8 * ONE_HOT + 0.1),
    ],
)
def test_it_is_training_on_smoothed_targets(bed, mlp, targets, written_out):
    library = "numpy" if bed == "reproducible" else require_library(bed)
    backend = select_backend(library, dtype="float64", reproducible=bed == "reproducible")
    held_out = X[:20], targets[:20]
    found = fit(
        mlp, X, targets, backend=backend, label_smoothing=0.2, validation=held_out, **OPTIONS
    )
    expected = fit(mlp, X, written_out, backend=backend, validation=held_out, **OPTIONS)
    np.testing.assert_allclose(found.parameters, expected.parameters, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.loss_curve, expected.loss_curve, rtol=1e-12)
    # Against the true classes in both.
    np.testing.assert_allclose(found.validation_curve, expected.validation_curve, rtol=1e-9)
    assert (
        abs(found.parameters - fit(mlp, X, targets, backend=backend, **OPTIONS).parameters).max()
        > 1e-3
    )


@pytest.mark.parametrize("reproducible", [False, True])
def test_each_of_many_has_its_own(reproducible):
    backend = select_backend(dtype="float64", reproducible=reproducible)
    recipes = [
        Recipe(label_smoothing=share, seed=seed, **OPTIONS)
        for seed, share in enumerate([0.0, 0.2, 0.2, 0.3])
    ]
    results = fit_many(SOFTMAX, X, LABELS, recipes, backend=backend)
    for result, recipe in zip(results, recipes, strict=True):
        alone = fit(SOFTMAX, X, LABELS, recipe, backend=backend)
        np.testing.assert_allclose(result.parameters, alone.parameters, rtol=1e-7, atol=1e-9)
        if reproducible:
            assert result.hash == alone.hash


def test_where_there_are_no_classes_to_smooth_it_is_refused(cli):
    with pytest.raises(
        UsageError, match="label_smoothing is for classes, with the loss cross_entropy or"
    ):
        fit(MLP((4, 3), output="identity"), X, ONE_HOT, label_smoothing=0.1, epochs=1)
    with pytest.raises(UsageError, match="label_smoothing is an option of training by steps"):
        Recipe(optimizer="lbfgs", label_smoothing=0.1)
    with pytest.raises(UsageError, match=r"label_smoothing must be a number in \[0, 1\), got 1"):
        Recipe(label_smoothing=1)
    code, _, err = cli("train", "diabetes", "--label-smoothing", 0.1)
    assert code != 0
    assert "--label-smoothing is for classes" in err
    code, _, err = cli("train", "iris", "--label-smoothing", 0.1, "--solver", "lbfgs")
    assert code != 0
    assert "leave --label-smoothing out" in err
