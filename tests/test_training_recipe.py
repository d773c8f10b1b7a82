"""`Recipe`: one declaration of how to train, for every door that trains."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from anyarray_mlp import MLP, EarlyStopping, Recipe, adam, fit, train, training
from anyarray_mlp.checking.settings import settings_of
from anyarray_mlp.diagnosis import Details, RunMonitor
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.network.schedules import ReduceOnPlateau, WarmUp, constant, cosine
from anyarray_mlp.training import minimize
from anyarray_mlp.training.recipe import with_options

X = np.random.default_rng(3).normal(size=(60, 2))
LABELS = (X[:, 0] * X[:, 1] > 0).astype(int)
NETWORK = MLP((2, 5, 2), "tanh")
#: Settings that each change what is learned.
OPTIONS = {
    "optimizer": "nesterov",
    "learning_rate_init": 0.05,
    "learning_rate": "cosine",
    "warm_up": 1,
    "momentum": 0.7,
    "epochs": 4,
    "batch_size": 7,
    "alpha": 0.01,
    "clip_norm": 0.5,
    "seed": 3,
    "initializer": "he_normal",
}


def same(one, other):
    """Whether two runs came to the same bits."""
    return one.loss_curve == other.loss_curve and np.array_equal(one.parameters, other.parameters)


def test_options_are_a_recipe_and_a_recipe_is_options():
    by_recipe = fit(NETWORK, X, LABELS, Recipe(**OPTIONS))
    assert same(by_recipe, fit(NETWORK, X, LABELS, **OPTIONS))
    assert same(by_recipe, fit(NETWORK, X, LABELS, Recipe(**{**OPTIONS, "seed": 9}), seed=3))
    assert same(by_recipe, training.fit(NETWORK, X, LABELS, Recipe(**OPTIONS)))


@pytest.mark.parametrize("name", OPTIONS)
def test_every_setting_reaches_the_steps(name):
    without = {other: value for other, value in OPTIONS.items() if other != name}
    if name == "optimizer":
        del without["momentum"]
    assert not same(fit(NETWORK, X, LABELS, **OPTIONS), fit(NETWORK, X, LABELS, **without))


def test_train_takes_the_recipe_of_fit():
    recipe = Recipe(**OPTIONS)
    epochs = list(train(NETWORK, X, LABELS, recipe))
    assert [epoch.loss for epoch in epochs] == fit(NETWORK, X, LABELS, recipe).loss_curve
    kept = fit(NETWORK, X, LABELS, recipe, shuffle=False)
    assert [e.loss for e in train(NETWORK, X, LABELS, recipe, shuffle=False)] == kept.loss_curve
    assert kept.loss_curve != [epoch.loss for epoch in epochs]


def test_train_goes_on_from_a_snapshot_as_fit_does():
    recipe = Recipe(learning_rate="cosine", epochs=3)
    *_, last = train(NETWORK, X, LABELS, recipe)
    state = last.snapshot()
    rest = [epoch.loss for epoch in train(NETWORK, X, LABELS, recipe, initial=state)]
    assert rest == fit(NETWORK, X, LABELS, recipe, initial=state).loss_curve
    whole = fit(NETWORK, X, LABELS, epochs=6)
    *_, last = train(NETWORK, X, LABELS, epochs=3)
    rest = [epoch.loss for epoch in train(NETWORK, X, LABELS, epochs=3, initial=last.snapshot())]
    assert rest == whole.loss_curve[3:]


def test_minimize_takes_the_recipe_of_fit():
    recipe = Recipe(optimizer="lbfgs", epochs=5, alpha=0.1)
    seen = []
    minimum = minimize(NETWORK, X, LABELS, recipe, report=seen.append)
    assert np.array_equal(minimum.parameters, fit(NETWORK, X, LABELS, recipe).parameters)
    assert len(seen) == 5
    with pytest.raises(UsageError, match="minimize is L-BFGS"):
        minimize(NETWORK, X, LABELS, recipe, optimizer="adam", report=len)
    with pytest.raises(UsageError, match="optimizer is lbfgs, which takes no steps"):
        train(NETWORK, X, LABELS, recipe)


def test_what_is_not_said_is_a_hundred_epochs_in_batches_of_32():
    few = fit(NETWORK, X[:40], LABELS[:40])
    assert len(few.history) == 100
    assert few.history[0].step == 2
    assert same(few, fit(NETWORK, X[:40], LABELS[:40], epochs=100, batch_size=32))


def test_names_of_other_libraries_become_the_canonical_ones():
    recipe = Recipe(optimizer="Adam", learning_rate="CosineAnnealingLR")
    assert (recipe.optimizer, recipe.learning_rate) == ("adam", "cosine")
    assert Recipe(early_stopping=True, monitor="val_acc").monitor == "accuracy"
    assert Recipe(optimizer="L-BFGS").by_lbfgs
    assert Recipe(metrics="acc").metrics == ("accuracy",)
    assert Recipe(metrics=["f1_score", "acc"]).metrics == ("f1", "accuracy")


def test_a_recipe_cannot_be_changed_and_travels():
    recipe = Recipe(**OPTIONS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.epochs = 3
    assert dataclasses.replace(recipe, epochs=3).epochs == 3
    assert pickle.loads(pickle.dumps(recipe)) == recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs must be a whole number of at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"learning_rate_init": 0}, "learning_rate_init must be positive and finite, got 0"),
        ({"learning_rate": 0.1}, "learning_rate must be a .*got 0.1: a rate is given as learning_rate_init"),
        ({"alpha": -1}, "alpha must be at least 0 and finite"),
        ({"clip_norm": 0.0}, "clip_norm must be positive"),
        ({"momentum": 1.0, "optimizer": "momentum"}, r"momentum must be a number in \[0, 1\), got 1.0"),
        ({"optimizer": "nadam"}, "optimizer must be one of .*; the nearest is 'adam'"),
        ({"optimizer": 3}, "optimizer must be a name or an Optimizer"),
        ({"monitor": "acuracy"}, "monitor must be one of .*did you mean 'accuracy'"),
        ({"metrics": ["a"]}, "metrics must be one of accuracy"),
        ({"task": "a"}, "task must be one of classification"),
        ({"shuffle": 1}, "shuffle must be True or False"),
        ({"early_stopping": "yes"}, "early_stopping must be an EarlyStopping"),
        ({"initializer": 3}, "initializer must be a name or a function"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_setting(options, message):
    with pytest.raises(UsageError, match=message):
        Recipe(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "lbfgs", "clip_norm": 1.0}, "clip_norm is an option of training by steps"),
        ({"optimizer": "lbfgs", "warm_up": 1}, "warm_up is an option of training by steps"),
        ({"gradient_tol": 1e-3}, "gradient_tol is an option of lbfgs alone"),
        ({"momentum": 0.5}, "momentum is for optimizer='momentum' and 'nesterov'"),
        ({"patience": 3}, "patience is for early_stopping=True"),
        ({"early_stopping": EarlyStopping(), "monitor": "loss"}, "monitor is for early_stopping=True"),
    ],
)  # fmt: skip
def test_a_setting_that_would_do_nothing_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Recipe(**options)


def test_an_option_takes_the_place_of_the_recipes_and_what_it_makes_idle_goes():
    recipe = Recipe(
        optimizer="nesterov", momentum=0.5, early_stopping=True, patience=3, clip_norm=1
    )
    assert with_options(recipe, {"optimizer": "Adam"}).momentum == 0.9
    assert with_options(recipe, {"early_stopping": False}).patience == 10
    assert with_options(recipe, {"optimizer": "lbfgs"}).clip_norm is None
    assert with_options(recipe, {"seed": 3}).momentum == 0.5
    own = with_options(recipe, {"early_stopping": EarlyStopping("loss", 7, 0.1)})
    assert (own.monitor, own.patience, own.tol) == ("loss", 7, 0.1)
    assert dataclasses.replace(own, seed=1).patience == 7
    with pytest.raises(UsageError, match="momentum is for optimizer="):
        with_options(recipe, {"optimizer": "adam", "momentum": 0.7})


def test_early_stopping_by_settings_is_that_of_an_object():
    options = {"epochs": 60, "learning_rate_init": 0.5, "validation": (X[:20], LABELS[:20])}
    by_object = fit(NETWORK, X, LABELS, early_stopping=EarlyStopping("loss", 3, 0.01), **options)
    recipe = Recipe(early_stopping=True, monitor="loss", patience=3, tol=0.01)
    by_settings = fit(NETWORK, X, LABELS, recipe, **options)
    assert by_object.stopped == by_settings.stopped == "early"
    assert same(by_object, by_settings)
    assert same(fit(NETWORK, X, LABELS, recipe, **options), by_settings)  # each run has its own


def test_schedules_of_a_recipe():
    named = Recipe(learning_rate="cosine", learning_rate_init=0.1, warm_up=2, epochs=10, batch_size=10)  # fmt: skip
    schedule, expected = named.schedule(30), WarmUp(cosine(0.1, total=24), 6)
    assert [schedule(step) for step in range(30)] == [expected(step) for step in range(30)]
    own = Recipe(learning_rate=constant(0.5), warm_up=1, batch_size=10).schedule(20)
    assert [own(step) for step in range(3)] == [0.25, 0.5, 0.5]
    assert isinstance(Recipe(learning_rate="plateau").schedule(20), ReduceOnPlateau)


def test_a_step_is_compiled_once_for_recipes_that_are_alike():
    assert Recipe().step_optimizer() is Recipe(epochs=3).step_optimizer()
    nesterov = Recipe(optimizer="nesterov", momentum=0.5)
    assert nesterov.step_optimizer() is dataclasses.replace(nesterov, seed=1).step_optimizer()
    own = adam(epsilon=1e-3)
    assert Recipe(optimizer=own).step_optimizer() is own


def test_every_field_says_what_it_is():
    keys = [each.key for each in settings_of(Recipe) if each.key]
    assert len(keys) == len(set(keys))
    for each in settings_of(Recipe):
        if each.default is not None:
            assert each.allowed.check(each.field, each.default) == each.default


# --- the diagnosis of a run ---


def test_fit_diagnoses_if_asked_and_learns_the_same():
    recipe = Recipe(epochs=5, clip_norm=0.1)
    plain = fit(NETWORK, X, LABELS, recipe)
    found = fit(NETWORK, X, LABELS, recipe, diagnose=True)
    assert plain.diagnosis is None
    assert same(plain, found)
    monitor = RunMonitor(NETWORK, X, LABELS, recipe)
    result = fit(NETWORK, X, LABELS, recipe, callbacks=[monitor], statistics=monitor.statistics)
    assert monitor.finish(result).to_json() == found.diagnosis.to_json()
    assert found.diagnosis.record.outcome.clipped is not None


def test_the_diagnosis_knows_the_details_and_the_recipe():
    x = np.column_stack([X, np.ones(len(X))])
    details = Details(column_names=["a", "b", "always 1"])
    mlp = MLP((3, 5, 2))
    found = fit(mlp, x, LABELS, epochs=2, batch_size=9, diagnose=details).diagnosis
    assert "always 1" in found.report()
    settings = found.record.settings
    assert (settings.epochs, settings.batch_size, settings.shuffle) == (2, 9, True)
    with pytest.raises(UsageError, match="diagnose must be True, False or diagnosis"):
        fit(mlp, x, LABELS, diagnose=3)


def test_a_run_that_diverges_has_a_diagnosis_too():
    mlp = MLP((2, 8, 1), "relu", "identity")
    options = {"optimizer": "sgd", "learning_rate_init": 1e30, "epochs": 3, "shuffle": False}
    targets = LABELS[:, None] * 1.0
    with pytest.raises(DivergedError) as caught:
        fit(mlp, X, targets, diagnose=True, **options)
    assert "diverged" in [finding.cause for finding in caught.value.diagnosis.findings]
    with pytest.raises(DivergedError) as caught:
        fit(mlp, X, targets, **options)
    assert caught.value.diagnosis is None
