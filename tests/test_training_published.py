"""Published recipes: their facts, and starts that fit the rows."""

from __future__ import annotations

import numpy as np
import pytest

from anyarray_mlp import MLP, fit
from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import DataError
from anyarray_mlp.training.published import fitted_start, realmlp, tabm

XP = PlainNamespace(np)
X = np.random.default_rng(0).standard_normal((50, 4)) * [1.0, 3.0, 0.1, 0.0]
LABELS = (X[:, 0] > 0).astype(int)
SMALL = {"hidden": (7, 6), "epochs": 2, "batch_size": 16}


def test_realmlp_has_the_facts_of_its_paper() -> None:
    mlp, recipe, _ = realmlp(X, 3, classes=True, numbers=[0, 1])
    assert mlp.sizes == (4, 256, 256, 256, 3)
    assert (set(mlp.activation), set(mlp.dropout), mlp.output) == ({"selu"}, {0.15}, "softmax")
    assert (recipe.learning_rate_init, recipe.learning_rate, recipe.label_smoothing) == (
        0.04, "coslog4", 0.1,
    )  # fmt: skip
    assert (recipe.epochs, recipe.batch_size, recipe.dropout_fades) == (256, 256, True)
    assert mlp.layout.shapes[0] == (2 * 3 + 4, 256)
    value = realmlp(X, 1, classes=False, **SMALL)
    assert (value.mlp.activation, value.mlp.output) == (("mish", "mish"), "identity")
    assert (value.recipe.learning_rate_init, value.recipe.label_smoothing) == (0.2, 0.0)


def test_realmlps_factors_are_those_of_each_kind() -> None:
    mlp, recipe, _ = realmlp(X, 3, classes=True, numbers=[0, 1], **SMALL)
    rates, decays = (
        dict(zip(mlp.layout.names, each, strict=True)) for each in recipe.optimizer.factors
    )
    assert rates["weights.0"] == 10**-0.5
    assert rates["weights.2"] == 6**-0.5
    assert (rates["biases.1"], rates["scales.0"], rates["alphas.1"]) == (0.1, 6.0, 0.1)
    assert {rates[f"{kind}.0"] for kind in ("frequencies", "phases", "mixing", "offsets")} == {0.1}
    # What a step multiplies by is 1 - rate * decay * ...: of weights without a factor, of others with its square.
    assert decays["weights.0"] == pytest.approx(1.0)
    assert decays["scales.0"] == pytest.approx(36.0)
    assert decays["alphas.0"] == pytest.approx(0.01)
    assert decays["biases.0"] == 0.0
    _, keep = recipe.optimizer.scalars(1, 0.5)
    assert keep == 1.0 - 0.5 * 0.02
    assert recipe.optimizer.scalars(1 + 4 * 2, 0.5)[1] == 1.0  # after all steps


def test_a_fitted_start_has_units_of_variance_one_that_bend_among_the_rows() -> None:
    mlp = MLP((4, 30, 20, 3), "tanh")
    theta = fitted_start(mlp, X, 3)
    biases = mlp.layout.split(theta)[3:]
    for (z, _), b in zip(mlp.layers(XP, (theta,), X), biases, strict=True):
        np.testing.assert_allclose(z.std(axis=0), 1.0, rtol=1e-9)
        values = z - b
        assert np.all((-b > values.min(axis=0)) & (-b < values.max(axis=0)))
        assert len(set(b)) == len(b)
    assert fitted_start(mlp, X, 3).tobytes() == theta.tobytes()
    assert np.all(fitted_start(mlp, X, 4) != theta)
    alike = fitted_start(mlp, np.zeros((5, 4)), 0)  # nothing varies: nothing is scaled
    assert np.all(np.isfinite(alike))
    with pytest.raises(DataError, match=r"^x must be rows"):
        fitted_start(mlp, np.zeros((0, 4)), 0)


def test_tabm_starts_as_its_authors_do() -> None:
    mlp, recipe, start = tabm(X, 2, classes=True, members=3, hidden=(7, 6))
    assert (mlp.members, mlp.activation, mlp.dropout) == (3, ("relu", "relu"), (0.1, 0.1))
    assert recipe.learning_rate_init == 2e-3
    part = dict(zip(mlp.layout.names, mlp.layout.split(start), strict=True))
    for name, fan_in in (("weights.0", 4), ("weights.1", 7), ("weights.2", 6)):
        largest = np.abs(part[name]).max()
        assert 0.7 * fan_in**-0.5 < largest < fan_in**-0.5
    assert np.all(part["biases.0"] == part["biases.0"][0])
    assert np.any(part["biases.0"])
    assert np.all(part["biases.2"][0] != part["biases.2"][1])


@pytest.mark.parametrize("publish", [realmlp, tabm])
def test_a_published_recipe_can_be_trained(publish: object) -> None:
    mlp, recipe, start = publish(X, 2, classes=True, **SMALL)  # type: ignore[operator]
    result = fit(mlp, X, LABELS, recipe, initial=start)
    assert np.all(np.isfinite(result.parameters))
    assert np.any(result.parameters != start.astype(result.parameters.dtype))
