"""F19: sixteen threads predict while another fits the same estimator."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from anyarray_mlp import MLPClassifier, MLPRegressor
from benchmarks.reliability.campaign import Campaign, Trial

THREADS = 16
RNG = np.random.default_rng(6)
X = RNG.normal(size=(80, 4))
NUMBERS = np.arange(80) % 3
NAMES = np.array(["one", "two", "three", "four"])[np.arange(80) % 4]
QUICK: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}

Fit = Callable[[Any], Any]
# What makes an estimator, and the two fits that follow on one another in turn: each says the same every time.
PAIRS: dict[str, tuple[Callable[[], Any], Fit, Fit]] = {
    "other classes": (
        lambda: MLPClassifier(**QUICK),
        lambda e: e.fit(X, NUMBERS),
        lambda e: e.fit(X, NAMES),
    ),
    "two classes and three": (
        lambda: MLPClassifier(early_stopping=True, **QUICK),
        lambda e: e.fit(X, NUMBERS),
        lambda e: e.fit(X, NUMBERS == 1),
    ),
    "one value and two": (
        lambda: MLPRegressor(**QUICK),
        lambda e: e.fit(X, X[:, 0]),
        lambda e: e.fit(X, X[:, :2]),
    ),
    "lbfgs": (
        lambda: MLPRegressor(solver="lbfgs", **QUICK),
        lambda e: e.fit(X, X[:, 0]),
        lambda e: e.fit(X, -X[:, 0]),
    ),
}
#: Questions: the rows of one, as few rows are computed by other code than many.
ROWS_ASKED = (1, 7, 80)


def answer(estimator: Any, rows: int) -> bytes:
    """What one prediction says, its dtype and shape with it."""
    asked = (
        estimator.predict_proba
        if rows == 7 and hasattr(estimator, "classes_")
        else estimator.predict
    )
    said: np.ndarray = asked(X[:rows])
    return f"{said.dtype} {said.shape} ".encode() + said.tobytes()


def threads(trial: Trial) -> None:
    """Fit back and forth while the threads ask, until the answers are as many as wanted."""
    interval = sys.getswitchinterval()
    answered = 0
    sys.setswitchinterval(1e-5)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for turn in trial.turns(200, small=2):
                name = list(PAIRS)[turn % len(PAIRS)]
                answers, problem = one_round(*PAIRS[name], fits=4 if trial.small else 20)
                answered += answers
                trial.check(problem, f"{name}, round {turn}")
    finally:
        sys.setswitchinterval(interval)
    trial.note(f"{answered:,} answers")


def one_round(
    make: Callable[[], Any], first: Fit, second: Fit, fits: int
) -> tuple[int, str | None]:
    """The number of answers while an estimator was fitted so often, and what was wrong with one of them."""
    estimator = make()
    either: dict[int, set[bytes]] = {rows: set() for rows in ROWS_ASKED}
    for fit in (second, first):
        fit(estimator)
        for rows in ROWS_ASKED:
            either[rows].add(answer(estimator, rows))
    over = threading.Event()
    problems: list[str] = []

    def ask(number: int) -> int:
        count = 0
        while not over.is_set() or count < 2:
            rows = ROWS_ASKED[(number + count) % len(ROWS_ASKED)]
            try:
                if answer(estimator, rows) not in either[rows]:
                    problems.append(f"an answer to {rows} rows that is of neither fit")
            except Exception as error:
                problems.append(f"{type(error).__name__}: {error}")
            count += 1
        return count

    with ThreadPoolExecutor(THREADS) as pool:
        asking = [pool.submit(ask, number) for number in range(THREADS)]
        try:
            for n in range(fits):
                (first, second)[(n + 1) % 2](estimator)
        finally:
            over.set()
        answers = sum(each.result() for each in asking)
    return answers, f"{len(problems)} of {answers}: {problems[0]}" if problems else None


ROWS = [
    Campaign(
        "F19",
        "sixteen threads predict while another fits the same estimator to other classes, outputs and values",
        "each answer is, to the bit, the one of before a fit or the one of after it; no error",
        "200 rounds of 20 fits",
        1.0,
        threads,
    )
]
