"""While an estimator is fitted, other threads find it whole: as it was before, and once it is fitted as it is after."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import anyarray_mlp.estimators
from anyarray_mlp import MLPClassifier, MLPRegressor, load_model, save_model
from tests.estimator_data import LABELS, VALUES, X

ROOM = str(Path(anyarray_mlp.estimators.__file__).parent)
NAMES = np.array(["one", "two", "three", "four"])[np.arange(60) % 4]
PAIR = np.stack([VALUES, -VALUES], axis=1)
ONE_EPOCH: dict[str, Any] = {"hidden_layer_sizes": 3, "random_state": 0, "max_iter": 1}

Estimator = Any
Change = tuple[Callable[[], Estimator], Callable[[Estimator], Any], Callable[[Estimator], Any]]

# What makes an estimator, fits it, and fits it again so that it answers otherwise.
CHANGES: dict[str, Change] = {
    "other classes": (
        lambda: MLPClassifier(**ONE_EPOCH),
        lambda e: e.fit(X, LABELS),
        lambda e: e.fit(X, NAMES),
    ),
    "two classes, early stopping": (
        lambda: MLPClassifier(early_stopping=True, scoring="accuracy", **ONE_EPOCH),
        lambda e: e.fit(X, LABELS),
        lambda e: e.fit(X, NAMES == "one"),
    ),
    "another order of the same classes": (
        lambda: MLPClassifier(warm_start=True, **ONE_EPOCH),
        lambda e: e.fit(X, LABELS),
        lambda e: e.fit(X, LABELS[::-1]),
    ),
    "one epoch more": (
        lambda: MLPClassifier(**ONE_EPOCH),
        lambda e: e.partial_fit(X, LABELS, classes=[0, 1, 2]),
        lambda e: e.partial_fit(X, LABELS),
    ),
    "fewer columns": (
        lambda: MLPRegressor(**ONE_EPOCH),
        lambda e: e.fit(X, PAIR),
        lambda e: e.fit(X, VALUES),
    ),
    "lbfgs": (
        lambda: MLPRegressor(solver="lbfgs", **ONE_EPOCH),
        lambda e: e.fit(X, VALUES),
        lambda e: e.fit(X, -VALUES),
    ),
}
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The fit ended worse than a constant"),
]


def answers(estimator: Estimator) -> bytes:
    """All that it says of a few rows, with the labels that it says it in."""
    said = [estimator.predict(X[:4])]
    if isinstance(estimator, MLPClassifier):
        said.append(estimator.predict_proba(X[:4]))
    return b"".join(repr(part.dtype).encode() + part.tobytes() for part in said)


def one_answer(estimator: Estimator) -> bytes:
    """What one call says, which may not mix two fits."""
    said = estimator.predict(X[:4])
    return repr(said.dtype).encode() + said.tobytes()


def before_and_after(change: Change, ask: Callable[[Estimator], bytes]) -> tuple[bytes, bytes]:
    make, fit, again = change
    estimator = make()
    said = []
    for step in (fit, again):
        step(estimator)
        said.append(ask(estimator))
    assert said[0] != said[1]
    return said[0], said[1]


@contextmanager
def looking(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` ahead of every instruction of the estimators' own code that this thread runs."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(ROOM):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            look()
        return trace

    earlier = sys.gettrace()
    # Python 3.12 looks for instructions only if a frame asked for them before this call.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(earlier)


@pytest.mark.parametrize("name", CHANGES)
def test_at_every_instruction_of_a_fit_the_answer_is_the_old_one_or_the_new(name: str) -> None:
    make, fit, again = CHANGES[name]
    before, after = before_and_after(CHANGES[name], answers)
    estimator = make()
    fit(estimator)
    seen: list[bytes] = []
    with looking(lambda: seen.append(answers(estimator))):
        again(estimator)
    assert len(seen) > 200
    turn = seen.index(after)
    assert set(seen[:turn]) == {before}
    assert set(seen[turn:]) == {after}


@pytest.mark.parametrize("name", ["other classes", "fewer columns"])
def test_a_fit_at_any_instruction_of_a_prediction_mixes_nothing(name: str) -> None:
    make, fit, again = CHANGES[name]
    either = before_and_after(CHANGES[name], one_answer)
    estimator = make()
    fit(estimator)
    turns = [again, fit]
    found, at, asked = set(), 0, 1
    while asked > at:
        at, asked = at + 5, 0

        def look(at: int = at) -> None:
            nonlocal asked
            asked += 1
            if asked == at:
                turns[0](estimator)
                turns.reverse()

        with looking(look):
            found.add(one_answer(estimator))
    assert at > 200
    assert found == set(either)


def test_sixteen_threads_predict_while_another_fits() -> None:
    change = CHANGES["other classes"]
    make, fit, again = change
    either = set(before_and_after(change, one_answer))
    estimator = make()
    fit(estimator)
    over = threading.Event()

    def ask() -> set[bytes]:
        found = {one_answer(estimator)}
        while not over.is_set():
            found.add(one_answer(estimator))
        return found

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(16) as pool:
            asking = [pool.submit(ask) for _ in range(16)]
            try:
                for _ in range(10):
                    again(estimator)
                    fit(estimator)
            finally:
                over.set()
            found = set().union(*(each.result(timeout=300) for each in asking))
    finally:
        sys.setswitchinterval(interval)
    assert found <= either


#: What `keep` looks at and what it keeps: a function of the module, as a pickled estimator holds its callback.
WATCHED: dict[str, Any] = {}


def keep(epoch: Any) -> None:
    estimator, path = WATCHED["estimator"], WATCHED["path"]
    save_model(estimator, path)
    WATCHED["kept"] = {
        "copy": copy.copy(estimator),
        "deep copy": copy.deepcopy(estimator),
        "pickle": pickle.loads(pickle.dumps(estimator)),
        "file": load_model(path),
    }
    WATCHED["binarizer"] = estimator._label_binarizer


def test_what_is_copied_pickled_or_saved_during_a_fit_is_whole(tmp_path: Path) -> None:
    estimator = MLPClassifier(**ONE_EPOCH).fit(X, LABELS)
    before = answers(estimator)
    WATCHED.update(estimator=estimator, path=tmp_path / "m.safetensors")
    estimator.set_params(on_epoch=keep).fit(X, NAMES)
    kept = WATCHED["kept"]
    assert {name: answers(each) for name, each in kept.items()} == dict.fromkeys(kept, before)
    assert all("_before" not in vars(each) for each in (estimator, *kept.values()))
    assert WATCHED["binarizer"].classes_.tolist() == [0, 1, 2]
    assert answers(estimator) != before


def test_an_estimator_is_not_fitted_until_its_first_fit_has_ended() -> None:
    refused = []

    def ask(epoch: Any) -> None:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            estimator.predict(X)
        with pytest.raises(NotFittedError):
            check_is_fitted(estimator)
        refused.append(epoch)

    estimator = MLPClassifier(on_epoch=ask, **ONE_EPOCH)
    estimator.fit(X, LABELS)
    assert len(refused) == 1
    check_is_fitted(estimator)


def test_what_a_callback_sets_on_the_estimator_stays_and_the_books_are_told_live() -> None:
    books = []

    def note(epoch: Any) -> None:
        estimator.noted_ = epoch.epoch
        books.append((estimator.n_iter_, list(estimator.loss_curve_)))

    estimator = MLPRegressor(on_epoch=note, **{**ONE_EPOCH, "max_iter": 3})
    estimator.fit(X, VALUES)
    assert estimator.noted_ == 3
    assert books == [(n, estimator.loss_curve_[:n]) for n in (1, 2, 3)]


def test_what_scikit_learns_callbacks_are_given_in_a_second_fit_is_of_that_fit() -> None:
    pytest.importorskip("sklearn.callback")
    found = []

    class Watcher:
        def setup(self, estimator: Any, context: Any) -> None: ...

        def teardown(self, estimator: Any, context: Any) -> None: ...

        def on_fit_task_begin(self, estimator: Any, context: Any) -> None: ...

        def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any) -> None:
            found.append((fitted_estimator.classes_.tolist(), answers(fitted_estimator)))

    estimator = MLPClassifier(**ONE_EPOCH).fit(X, LABELS)
    estimator.set_callbacks(Watcher()).fit(X, NAMES)
    assert found == [(sorted(set(NAMES)), answers(estimator))] * 2  # of the epoch and of the fit
