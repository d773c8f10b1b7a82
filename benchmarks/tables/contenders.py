"""The contenders: each takes a problem and returns values, or probabilities of the classes.

All get the same columns as pandas reads them: numbers with gaps, and texts with gaps. What a library cannot take as it
is, is prepared as its own documentation says. Each library is imported where it is used, as no Python has all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.tables.problems import Problem

Fit = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Contender:
    """How it is called, what is imported before the clock starts, and the package whose version counts."""

    fit: Fit
    package: str
    modules: tuple[str, ...] = ()


# --- this project --------------------------------------------------------------------------------


def ours(problem: Problem, **options: Any) -> np.ndarray:
    """`train_table` as a person calls it: its own test rows are taken from those that it is given.

    Categories that it did not meet are gaps, as they are to `anyarray-mlp predict`.
    """
    from anyarray_mlp import train_table
    from anyarray_mlp.data import without_unknown

    name = "the answer"
    frame = problem.train.assign(**{name: problem.target})
    options = {"task": problem.task, "seed": problem.seed, **options}
    model = train_table(frame, target=name, **options).model
    features, _ = without_unknown(model.preprocessor, problem.test)
    outputs = np.asarray(model.outputs(features), dtype=np.float64)
    if problem.is_regression:
        return np.asarray(model.decode(outputs), dtype=np.float64)
    if outputs.shape[1] == 1:
        outputs = np.hstack([1 - outputs, outputs])
    return of_classes(problem, outputs, model.targets.classes)


# --- scikit-learn --------------------------------------------------------------------------------


def scikit_learn(
    problem: Problem, module: str, classifier: str, regressor: str, **options: Any
) -> np.ndarray:
    """An estimator behind the usual pipeline: median for gaps, standardised numbers, one-hot texts."""
    from importlib import import_module

    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    kind = getattr(import_module(module), regressor if problem.is_regression else classifier)
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), problem.numbers),
        (OneHotEncoder(handle_unknown="ignore"), problem.categories),
    )
    estimator = kind(**options)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=problem.seed)
    return answer_of(make_pipeline(encoder, estimator), problem, problem.train, problem.test)


def logistic_or_ridge(problem: Problem) -> np.ndarray:
    """The linear models, with iterations enough to end."""
    options = {} if problem.is_regression else {"max_iter": 2000}
    return scikit_learn(problem, "sklearn.linear_model", "LogisticRegression", "Ridge", **options)


def hist_gradient_boosting(problem: Problem) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = (
        HistGradientBoostingRegressor if problem.is_regression else HistGradientBoostingClassifier
    )
    estimator = kind(random_state=problem.seed, categorical_features="from_dtype")
    return answer_of(estimator, problem, *with_categories(problem, most=255))


# --- gradient boosting ---------------------------------------------------------------------------


def lightgbm(problem: Problem) -> np.ndarray:
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMRegressor if problem.is_regression else LGBMClassifier
    estimator = kind(random_state=problem.seed, n_jobs=1, verbosity=-1)
    train, test = with_categories(problem)
    names = [f"c{place}" for place in range(train.shape[1])]  # it refuses some marks in names
    return answer_of(estimator, problem, train.set_axis(names, axis=1), test.set_axis(names, axis=1))  # fmt: skip


def catboost(problem: Problem) -> np.ndarray:
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostRegressor if problem.is_regression else CatBoostClassifier
    estimator = kind(
        random_seed=problem.seed,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
        cat_features=problem.categories,
    )
    return answer_of(estimator, problem, *without_gaps(problem, numbers=False))


# --- pytabkit ------------------------------------------------------------------------------------


def pytabkit(problem: Problem, model: str, **options: Any) -> np.ndarray:
    """`RealMLP_TD` or `TabM_D` with their defaults; they ask for numbers without gaps."""
    import warnings

    import pytabkit as library

    warnings.simplefilter("ignore")
    kind = getattr(library, f"{model}_{'Regressor' if problem.is_regression else 'Classifier'}")
    estimator = kind(device="cpu", n_threads=1, random_state=problem.seed, verbosity=0, **options)
    train, test = without_gaps(problem, numbers=True)
    estimator.fit(train, problem.target, cat_col_names=problem.categories)
    return predicted(estimator, problem, test)


# --- helpers -------------------------------------------------------------------------------------


def with_categories(problem: Problem, most: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Texts as pandas' categories, those of the training rows; of more than `most`, their codes as numbers."""
    train, test = problem.train.copy(), problem.test.copy()
    for name in problem.categories:
        kind = pd.CategoricalDtype(sorted(train[name].dropna().unique()))
        known = test[name].where(test[name].isin(kind.categories))
        train[name], test[name] = train[name].astype(kind), known.astype(kind)
        if most is not None and len(kind.categories) > most:
            train[name], test[name] = train[name].cat.codes, test[name].cat.codes
    return train, test


def without_gaps(problem: Problem, numbers: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A gap in a text is a text of its own; in a number the median, if `numbers` says so."""
    train, test = problem.train.copy(), problem.test.copy()
    for name in problem.categories:
        train[name], test[name] = (
            each[name].fillna("no value").astype(str) for each in (train, test)
        )
    for name in problem.numbers if numbers else ():
        median = train[name].median()
        filling = 0.0 if np.isnan(median) else median
        train[name], test[name] = (
            each[name].astype(float).fillna(filling) for each in (train, test)
        )
    return train, test


def answer_of(estimator: Any, problem: Problem, train: Any, test: Any) -> np.ndarray:
    estimator.fit(train, problem.target)
    return predicted(estimator, problem, test)


def predicted(estimator: Any, problem: Problem, test: Any) -> np.ndarray:
    if problem.is_regression:
        return np.asarray(estimator.predict(test), dtype=np.float64).ravel()
    return of_classes(problem, np.asarray(estimator.predict_proba(test)), estimator.classes_)


def of_classes(problem: Problem, probabilities: np.ndarray, classes: Any) -> np.ndarray:
    """Probabilities in the order of the problem's classes; 0 of one that no training row had."""
    ordered = np.zeros((len(probabilities), len(problem.classes)))
    ordered[:, np.searchsorted(problem.classes, np.asarray(classes).astype(str))] = probabilities
    return ordered


OURS = Contender(ours, "anyarray_mlp", ("anyarray_mlp.pipeline.training",))
PYTABKIT = ("pytabkit", "torch")
#: Those of other people, by name.
PEERS: dict[str, Contender] = {
    "constant": Contender(
        partial(
            scikit_learn,
            module="sklearn.dummy",
            classifier="DummyClassifier",
            regressor="DummyRegressor",
        ),
        "scikit-learn",
        ("sklearn.dummy", "sklearn.impute"),
    ),
    "linear": Contender(
        logistic_or_ridge, "scikit-learn", ("sklearn.linear_model", "sklearn.impute")
    ),
    "sklearn-mlp": Contender(
        partial(
            scikit_learn,
            module="sklearn.neural_network",
            classifier="MLPClassifier",
            regressor="MLPRegressor",
        ),
        "scikit-learn",
        ("sklearn.neural_network", "sklearn.impute"),
    ),
    "lightgbm": Contender(lightgbm, "lightgbm", ("lightgbm",)),
    "hgb": Contender(hist_gradient_boosting, "scikit-learn", ("sklearn.ensemble",)),
    "catboost": Contender(catboost, "catboost", ("catboost",)),
    "realmlp": Contender(partial(pytabkit, model="RealMLP_TD"), "pytabkit", PYTABKIT),
    "tabm": Contender(partial(pytabkit, model="TabM_D"), "pytabkit", PYTABKIT),
    "realmlp-bag4": Contender(partial(pytabkit, model="RealMLP_TD", n_cv=4), "pytabkit", PYTABKIT),
}
#: Ours, by name, and the options of `train_table` that make them; `--variant` adds others.
VARIANTS: dict[str, dict[str, Any]] = {
    # Those of before there were presets: the name stays theirs when the defaults change.
    "plain": {"preset": "plain"},
    "plain-all-rows": {"preset": "plain", "test_fraction": 0.0},
    "tabular": {"preset": "tabular"},
    "tabular-all-rows": {"preset": "tabular", "test_fraction": 0.0},
}
