"""What `fit`, the estimator and the command line add to the bare loop of steps, on data of MNIST's size."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.harness import Timing, interleave
from benchmarks.workloads import Workload

EPOCHS = 3
#: Epochs over a training set of MNIST's size; a round of the bare loop is as many steps.
MNIST = Workload(
    "784-128-64-10, batch 128, 59,904 rows, 3 epochs", (784, 128, 64, 10), 128, "logistic", 3 * 468
)


def estimator(workload: Workload) -> Callable[[], float]:
    """Epochs through `MLPClassifier.fit`."""
    from anyarray_mlp.estimators import MLPClassifier

    return _epoch(MLPClassifier, workload)


def scikit_learn(workload: Workload) -> Callable[[], float]:
    """Epochs through scikit-learn's `MLPClassifier.fit`."""
    from sklearn.neural_network import MLPClassifier

    return _epoch(MLPClassifier, workload)


def _epoch(kind: Any, workload: Workload) -> Callable[[], float]:
    x, y = workload.data()
    model = kind(
        workload.sizes[1:-1],
        activation=workload.activation,
        alpha=0.0,
        batch_size=workload.batch,
        max_iter=EPOCHS,
        tol=0.0,
        n_iter_no_change=1000,
        random_state=0,
    )

    def one_round() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, y)
        return float(model.loss_)

    return one_round


def command_line(workload: Workload) -> Callable[[], float]:
    """Epochs of `anyarray-mlp train`, with its run folder and its diagnosis; reading the file is not counted."""
    import numpy as np

    from anyarray_mlp.cli.train import command

    x, y = workload.data()
    options = {
        "--hidden": ",".join(map(str, workload.sizes[1:-1])),
        "--activation": workload.activation,
        "--batch-size": workload.batch,
        "--epochs": EPOCHS,
        "--test-fraction": 0,
        "--validation-fraction": 0,
    }

    def one_round() -> float:
        with tempfile.TemporaryDirectory() as folder:
            data, run = Path(folder, "data.npz"), Path(folder, "run")
            np.savez(data, x=x, y=y)
            arguments = [str(data), "--out", str(run)]
            arguments += [str(part) for option in options.items() for part in option]
            quiet = io.StringIO()
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                command.main(arguments, standalone_mode=False)
            record = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        one_round.seconds = record["seconds"]  # type: ignore[attr-defined]
        return float(record["loss"])

    return one_round


CONTENDERS: dict[str, Callable[[Workload], Callable[[], float]]] = {
    "bare loop": peers.anyarray("numpy"),
    "fit": peers.anyarray_fit("numpy"),
    "estimator": estimator,
    "command line": command_line,
    "scikit-learn": scikit_learn,
}


def contender(name: str, workload: Workload) -> Callable[[], float]:
    """One contender's round; named so that another process can make it."""
    return CONTENDERS[name](workload)


def measure(rounds: int) -> dict[str, dict[str, Timing]]:
    """Timings by contender."""
    timings = interleave({name: (contender, (name, MNIST)) for name in CONTENDERS}, rounds)
    for timing in timings.values():
        timing.per = MNIST.steps
    return {MNIST.name: timings}
