"""F13: labels and targets that cannot be learned or were never seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from anyarray_mlp import MLPClassifier, MLPRegressor
from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.processes import Commands
from benchmarks.reliability.runs import write_tables

X = np.random.default_rng(3).normal(size=(30, 2))
Y = np.arange(30) % 3
V = X[:, 0] * 2
QUICK: dict[str, Any] = {"hidden_layer_sizes": 3, "max_iter": 2, "random_state": 0}


def classifier(**options: Any) -> MLPClassifier:
    return MLPClassifier(**{**QUICK, **options})


def regressor(**options: Any) -> MLPRegressor:
    return MLPRegressor(**{**QUICK, **options})


def fitted() -> MLPClassifier:
    return classifier().fit(X, Y)


# Calls that must end with a ValueError, by what is wrong.
REFUSED: dict[str, Callable[[], Any]] = {
    "labels unseen in partial_fit": lambda: fitted().partial_fit(X, Y + 1),
    "other classes in partial_fit": lambda: fitted().partial_fit(X, Y, classes=[0, 1]),
    "no classes in a first partial_fit": lambda: classifier().partial_fit(X, Y),
    "no labels in a first partial_fit": lambda: classifier().partial_fit(X, Y, classes=[]),
    "other classes in a warm start": lambda: classifier(warm_start=True).fit(X, Y).fit(X, Y + 5),
    "one label NaN": lambda: classifier().fit(X, np.where(Y == 1, np.nan, Y)),
    "all labels NaN": lambda: classifier().fit(X, np.full(30, np.nan)),
    "infinite labels": lambda: classifier().fit(X, np.where(Y == 1, np.inf, Y)),
    "real numbers for labels": lambda: classifier().fit(X, V),
    "labels too few": lambda: classifier().fit(X, Y[:-1]),
    "labels too many": lambda: classifier().fit(X, np.r_[Y, 0]),
    "no labels": lambda: classifier().fit(X, []),
    "None for labels": lambda: classifier().fit(X, None),
    "labels None": lambda: classifier().fit(X, np.array([None] * 30, dtype=object)),
    "labels of mixed types": lambda: classifier().fit(
        X, np.array([1, "a", 2.0] * 10, dtype=object)
    ),
    "labels of tuples": lambda: classifier().fit(X, [(1, 2, 3)] * 15 + [(1, 2)] * 15),
    "labels in a cube": lambda: classifier().fit(X, Y.reshape(30, 1, 1)),
    "two columns of classes": lambda: classifier().fit(X, np.stack([Y, Y], axis=1)),
    "unequal labels held out": lambda: classifier().fit(X, Y, X_val=X, y_val=Y[:-1]),
    "unseen labels held out": lambda: classifier().fit(X, Y, X_val=X, y_val=Y + 1),
    "a class without rows to hold out": lambda: classifier(early_stopping=True).fit(
        X[:5], [0, 0, 0, 0, 1]
    ),
    "weights that are all zero": lambda: classifier().fit(X, Y, np.zeros(30)),
    "weights NaN": lambda: classifier().fit(X, Y, np.full(30, np.nan)),
    "weights infinite": lambda: classifier().fit(X, Y, np.full(30, np.inf)),
    "weights too few": lambda: classifier().fit(X, Y, np.ones(29)),
    "weights of text": lambda: classifier().fit(X, Y, ["a"] * 30),
    "class weight of no class": lambda: classifier(class_weight={7: 2.0}).fit(X, Y),
    "class weight NaN": lambda: classifier(class_weight={0: np.nan}).fit(X, Y),
    "score of labels unseen": lambda: fitted().score(X, Y[:-1]),
    "targets NaN": lambda: regressor().fit(X, np.where(Y == 1, np.nan, V)),
    "targets infinite": lambda: regressor().fit(X, np.where(Y == 1, np.inf, V)),
    "targets of text": lambda: regressor().fit(X, ["a"] * 30),
    "targets too few": lambda: regressor().fit(X, V[:-1]),
    "targets None": lambda: regressor().fit(X, None),
    "targets complex": lambda: regressor().fit(X, V + 1j),
    "targets in a cube": lambda: regressor().fit(X, V.reshape(30, 1, 1)),
    "negative counts": lambda: regressor(loss="poisson").fit(X, V),
    "other number of targets in a warm start": lambda: (
        regressor(warm_start=True).fit(X, V).fit(X, np.stack([V, V], axis=1))
    ),
    "targets held out of other width": lambda: regressor().fit(
        X, V, X_val=X, y_val=np.stack([V, V], axis=1)
    ),
}
# Calls that look odd and must work: one class is always predicted, a class of weight zero is still one.
TAKEN: dict[str, Callable[[], bool]] = {
    "one class": lambda: set(classifier().fit(X, np.full(30, 7)).predict(X)) == {7},
    "a class of weight zero": lambda: (
        classifier(class_weight={0: 0.0, 1: 1.0, 2: 1.0}).fit(X, Y).classes_.tolist() == [0, 1, 2]
    ),
    "labels out of order and negative": lambda: (
        set(classifier().fit(X, np.array([5, -3, 0])[Y]).predict(X)) <= {5, -3, 0}
    ),
    "labels as a column": lambda: classifier().fit(X, Y[:, None]).predict(X).shape == (30,),
    "labels as texts of numbers": lambda: (
        set(classifier().fit(X, Y.astype(str)).predict(X)) <= set("012")
    ),
    "one row of a class": lambda: classifier().fit(X, [0] * 29 + [1]).classes_.tolist() == [0, 1],
}
#: Columns of targets, and the exit code of training on them by the command line.
COLUMNS: dict[str, tuple[list[str], list[str], int]] = {
    "one class": (["a"] * 20, [], 65),
    "all missing": ([""] * 20, [], 65),
    "some missing": (["a", "b", "", "a"] * 5, [], 65),
    "infinite": (["1.5", "inf", "2.5", "0.1"] * 5, [], 65),
    "class weight of no class": (["a", "b"] * 10, ["--class-weight", "c=2"], 2),
    "class weight NaN": (["a", "b"] * 10, ["--class-weight", "a=nan"], 2),
    "class weight negative": (["a", "b"] * 10, ["--class-weight", "a=-1"], 2),
    "text as regression": (["a", "b"] * 10, ["--task", "regression"], 65),
    "negative counts": (["-1", "2"] * 10, ["--task", "regression", "--output", "exp"], 65),
}


def problem_refusing(call: Callable[[], Any]) -> str | None:
    """What is wrong with how a call is refused."""
    try:
        call()
    except ValueError as error:
        return None if str(error).strip() else "an error without a message"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "it was accepted"


def labels(trial: Trial) -> None:
    """Make every call, and train on every column of targets by the command line."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, call in trial.each(list(REFUSED.items()), small=100):
            trial.check(problem_refusing(call), name)
        for name, works in trial.each(list(TAKEN.items()), small=100):
            try:
                problem = None if works() else "another answer"
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            trial.check(problem, name)
    commands = Commands(trial.folder)
    write_tables(trial.folder)
    for name, (cells, options, code) in trial.each(list(COLUMNS.items()), small=3):
        path = trial.folder / "targets.csv"
        path.write_text("x,y\n" + "".join(f"{n / 7:.3f},{cell}\n" for n, cell in enumerate(cells)))
        ended = commands.run(["train", path, "--epochs", "2", "--out", "labels", *options])
        problem = ended.problem(code)
        if not problem and (trial.folder / "labels").exists():
            problem = "it left a folder"
        trial.check(problem, f"the command line, {name}")


ROWS = [
    Campaign(
        "F13",
        "labels and targets: unseen, one class, missing, not finite, of another length, weights that cannot be",
        "a ValueError that says something (exit 65 or 2 with one line, no folder left); one class, and a class of "
        "weight zero, are learned",
        "every case",
        0.5,
        labels,
    )
]
