"""The best epoch is kept without stopping early: which one that is, and that it is told, saved and gone on with."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import (
    MLP,
    BestEpoch,
    EarlyStopping,
    Recipe,
    fit,
    fit_many,
    select_backend,
    train_table,
)
from anyarray_mlp.errors import UsageError
from anyarray_mlp.persistence import load_checkpoint
from anyarray_mlp.training.recipe import with_options
from tests.beds import require_library

RNG = np.random.default_rng(0)
X, X_2 = RNG.standard_normal((80, 4)), RNG.standard_normal((40, 4))


def labels(x):
    """Two classes, hard to tell apart."""
    return (x[:, 0] + x[:, 1] * x[:, 2] > RNG.standard_normal(len(x))).astype(int)


Y, Y_2 = labels(X), labels(X_2)
NETWORK = MLP((4, 12, 2), dropout=0.1)
OVERFITS: dict[str, Any] = {
    "epochs": 12,
    "batch_size": 8,
    "learning_rate_init": 0.05,
    "metrics": "accuracy",
}
GIVEN: dict[str, Any] = {"validation": (X_2, Y_2)}


def best(history, monitor):
    """The epoch that the rule keeps, found anew."""
    if monitor == "accuracy":
        keys = [(epoch.scores["accuracy"], -epoch.validation_loss) for epoch in history]
    else:
        keys = [(-epoch.record()[monitor],) for epoch in history]
    return 1 + max(range(len(keys)), key=lambda place: (keys[place], place))


@pytest.mark.parametrize("bed", ["numpy", "torch", "jax", "array_api_strict", "reproducible"])
@pytest.mark.parametrize("monitor", ["validation_loss", "accuracy"])
def test_the_best_epoch_is_kept_and_training_goes_on(bed, monitor):
    backend = (
        select_backend(reproducible=True)
        if bed == "reproducible"
        else select_backend(require_library(bed))
    )
    kept: list[Any] = []
    result = fit(
        NETWORK, X, Y, keep_epoch="best", monitor=monitor, backend=backend,
        callbacks=lambda epoch: kept.append(epoch.snapshot().parameters), **OVERFITS, **GIVEN,
    )  # fmt: skip
    assert (result.stopped, len(result.history)) == ("finished", 12)
    assert result.kept_epoch == best(result.history, monitor) < 12
    np.testing.assert_array_equal(result.parameters, kept[result.kept_epoch - 1])
    last = fit(NETWORK, X, Y, backend=backend, **OVERFITS, **GIVEN)
    assert last.kept_epoch is None
    np.testing.assert_array_equal(last.parameters, kept[-1])


@pytest.mark.parametrize("reproducible", [False, True])
def test_each_of_many_keeps_its_own(reproducible):
    backend = select_backend(dtype="float64", reproducible=reproducible)
    recipe = Recipe(keep_epoch="best", monitor="accuracy", **OVERFITS)
    results = fit_many(NETWORK, X, Y, recipe, seeds=range(3), backend=backend, **GIVEN)
    assert len({result.kept_epoch for result in results}) > 1
    for seed, result in enumerate(results):
        alone = fit(NETWORK, X, Y, recipe, seed=seed, backend=backend, **GIVEN)
        assert result.kept_epoch == alone.kept_epoch
        np.testing.assert_allclose(result.parameters, alone.parameters, rtol=1e-7, atol=1e-9)
        if reproducible:
            assert result.hash == alone.hash


def epoch_of(number, accuracy, validation_loss):
    """What a `BestEpoch` looks at."""
    record = {"accuracy": accuracy, "validation_loss": validation_loss}
    return SimpleNamespace(
        epoch=number, validation_loss=validation_loss, record=lambda: record,
        snapshot=lambda: SimpleNamespace(parameters=np.array([number])),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("monitor", "told", "wanted"),
    [
        ("accuracy", [(0.5, 1.0), (0.9, 0.4), (0.9, 0.3), (0.9, 0.6)], 3),
        ("accuracy", [(0.9, 0.3), (0.9, 0.3), (0.8, 0.1)], 2),
        ("validation_loss", [(0.5, 0.3), (0.9, 0.2), (0.1, 0.2), (0.9, 0.25)], 3),
        ("validation_loss", [(0.5, math.nan), (0.9, 0.2), (0.1, math.nan)], 2),
    ],
)
def test_of_equal_epochs_that_of_lower_validation_loss_is_the_best_then_the_last(
    monitor, told, wanted
):
    keeper = BestEpoch(monitor)
    for number, figures in enumerate(told, 1):
        if number == 2:
            again = BestEpoch(monitor)
            again.restore(json.loads(json.dumps(keeper.state())), keeper.best_parameters)
            keeper = again
        assert not keeper(epoch_of(number, *figures))
    assert keeper.best_epoch == wanted
    assert keeper.best_parameters == [wanted]
    assert keeper.value == told[wanted - 1][0 if monitor == "accuracy" else 1]


def test_what_would_do_nothing_is_refused_and_options_take_the_place_of_others():
    recipe = Recipe(keep_epoch="best", monitor="accuracy")
    assert with_options(recipe, {"keep_epoch": "last"}).monitor == "validation_loss"
    assert isinstance(with_options(recipe, {"early_stopping": True}).stopping(), EarlyStopping)
    own = Recipe(keep_epoch=BestEpoch("loss"))
    assert (own.monitor, own.stopping()) == ("loss", own.keep_epoch)
    for options, message in [
        ({"monitor": "loss"}, "monitor is for early_stopping=True"),
        ({"keep_epoch": "best", "patience": 3}, "patience is for early_stopping=True"),
        ({"keep_epoch": BestEpoch(), "monitor": "loss"}, "monitor is for"),
        ({"keep_epoch": BestEpoch(), "early_stopping": True}, "keep_epoch is early stopping's own"),
        ({"keep_epoch": "first"}, "keep_epoch must be one of last, best"),
        ({"keep_epoch": 3}, "keep_epoch must be 'last', 'best' or a BestEpoch"),
    ]:
        with pytest.raises(UsageError, match=message):
            Recipe(**options)
    with pytest.raises(
        UsageError, match="keep_epoch watches validation_loss, which is not measured"
    ):
        fit(NETWORK, X, Y, keep_epoch="best", epochs=1)
    with pytest.raises(
        UsageError, match="keep_epoch='best' watches validation_loss on a validation set"
    ):
        train_table("iris", keep_epoch="best", validation_fraction=0, epochs=1)


RUN = (
    "train",
    "wine",
    "--hidden",
    8,
    "--learning-rate-init",
    0.03,
    "--validation-fraction",
    0.3,
    "--reproducible",
)


@pytest.mark.parametrize("monitor", ["accuracy", "validation_loss"])
def test_a_run_says_which_epoch_it_keeps_and_goes_on_with_it(cli, monitor):
    best_kept = ("--keep-epoch", "best", "--monitor", monitor)
    code, whole, err = cli(*RUN, *best_kept, "--epochs", 12, "--out", "whole")
    assert code == 0
    told = [json.loads(line) for line in Path("whole/metrics.jsonl").read_text().splitlines()]
    sign = 1 if monitor == "accuracy" else -1
    keys = [(sign * each[monitor], -each["validation_loss"], each["epoch"]) for each in told]
    kept = max(keys)[2]
    assert f"the {kept}" in err
    assert "of 12 epochs, is kept: validation" in err
    result = train_table(
        "wine", hidden_layer_sizes=8, learning_rate_init=0.03, validation_fraction=0.3, reproducible=True,
        keep_epoch="best", monitor=monitor, epochs=12,
    )  # fmt: skip
    assert result.fit.kept_epoch == kept
    assert result.model.metadata["kept_epoch"] == str(kept)
    assert (
        Path("whole/model.safetensors").read_bytes().count(f'kept_epoch\\":\\"{kept}'.encode()) == 1
    )
    assert cli(*RUN, *best_kept, "--epochs", 5, "--out", "cut")[0] == 0
    assert load_checkpoint("cut").state["early_stopping"]["best_epoch"] <= 5
    code, out, _ = cli("train", "--resume", "--out", "cut", "--epochs", 12, "--json")
    assert (code, json.loads(out)["kept_epoch"]) == (0, kept)
    assert json.loads(out)["hash"] in whole
    again = cli("train", "--resume", "--out", "cut")
    assert "the run has 12 epochs already" in again[2]
    assert f"the {kept}" in again[2]


def test_without_validation_rows_it_is_refused_in_words_of_flags(cli):
    _, _, err = cli("train", "iris", "--keep-epoch", "best", "--validation-fraction", 0)
    assert "--keep-epoch best watches validation_loss on a validation set" in err


def test_a_monitor_that_would_do_nothing_is_refused_on_the_command_line(cli):
    code, _, err = cli("train", "iris", "--monitor", "accuracy")
    assert code != 0
    assert "--monitor is for --keep-epoch best and --early-stopping" in err
