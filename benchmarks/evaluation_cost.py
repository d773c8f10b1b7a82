"""What a validation and an evaluation cost, in forward passes over the same rows.

`python -m benchmarks.evaluation_cost` writes `benchmarks/results/evaluation_cost.md`.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Timing, limit_threads, ratio
from benchmarks.report import goal_table, heading, timing_table

#: Rows, sizes, and calls of a round.
SETS = {
    "10,000 rows, 784-100-10": (10_000, (784, 100, 10), 3),
    "1,797 rows, 64-100-10": (1_797, (64, 100, 10), 100),
}
BACKENDS = ("numpy", "torch", "jax")
PASS = "one forward pass"


def forward_pass(name: str, x: Any, labels: Any) -> Callable[[], object]:
    """`Predictor`: outputs on the host of rows on the host."""
    predictor = predictor_of(name, x)
    return lambda: predictor(x)


def forward_pass_with_losses(name: str, x: Any, labels: Any) -> Callable[[], object]:
    """The same with the losses: what is beyond one pass here is the loss's own arithmetic."""
    predictor = predictor_of(name, x)
    return lambda: predictor.outputs_and_losses(x, labels)


def validation(name: str, x: Any, labels: Any) -> Callable[[], object]:
    """What `fit` and the command line do after an epoch: loss and accuracy."""
    from anyarray_mlp import select_backend
    from anyarray_mlp.training import to_leaves
    from anyarray_mlp.training.evaluation import Evaluation

    backend, mlp = select_backend(name), network(x)
    evaluation = Evaluation(mlp, backend, (x, labels), ["accuracy"])
    leaves = to_leaves(mlp, backend, mlp.initialize(0))
    return lambda: evaluation(leaves)


def estimator_validation(name: str, x: Any, labels: Any) -> Callable[[], object]:
    """What the classifier's early stopping does after an epoch: loss and accuracy."""
    from anyarray_mlp import select_backend
    from anyarray_mlp.estimators.classifier import MLPClassifier
    from anyarray_mlp.estimators.labels import Labels
    from anyarray_mlp.estimators.validation import HeldOut
    from anyarray_mlp.training import to_leaves

    backend, mlp = select_backend(name), network(x)
    held_out = HeldOut(mlp, backend, x, labels, labels, None)
    classifier = MLPClassifier()
    classifier._set_labels(Labels.of(labels))
    leaves = to_leaves(mlp, backend, mlp.initialize(0))

    def validate() -> float:
        outputs, _ = held_out.measure(leaves)
        return classifier._score_outputs(outputs, held_out)

    return validate


def evaluation(name: str, x: Any, labels: Any) -> Callable[[], object]:
    """What `anyarray-mlp evaluate` does once its data are read and encoded: loss, accuracy, balanced accuracy, F1."""
    from anyarray_mlp import select_backend
    from anyarray_mlp.data import Preprocessor, TargetEncoder
    from anyarray_mlp.pipeline.trained_model import TrainedModel

    backend, mlp = select_backend(name), network(x)
    encoder = TargetEncoder.fit(labels, "classification")
    model = TrainedModel(mlp, mlp.initialize(0), Preprocessor.fit(x[:20]), encoder)
    return lambda: model.scores_of_inputs(x, None, labels, backend)


CONTENDERS: dict[str, Callable[[str, Any, Any], Callable[[], object]]] = {
    PASS: forward_pass,
    "one pass with losses": forward_pass_with_losses,
    "validation in fit": validation,
    "validation in the estimator": estimator_validation,
    "evaluate": evaluation,
}


def network(x: Any) -> Any:
    """The network of rows so wide."""
    from anyarray_mlp import MLP

    return MLP((x.shape[1], 100, 10))


def predictor_of(name: str, x: Any) -> Any:
    """A predictor of that network on a backend."""
    from anyarray_mlp import select_backend
    from anyarray_mlp.training.predicting import Predictor

    mlp = network(x)
    return Predictor(mlp, mlp.initialize(0), select_backend(name))


def rows(n: int, width: int) -> tuple[Any, Any]:
    """Inputs and labels of ten classes."""
    return np.random.default_rng(0).random((n, width), dtype=np.float32), np.arange(n) % 10


def measure(where: str, name: str, rounds: int, scale: float = 1.0) -> dict[str, Timing]:
    """Timings by contender of one set on one backend, interleaved in this process.

    All in one, unlike other benchmarks: how often the C library gives memory back to the system, and gets new pages
    for it, depends on what else a process has loaded, and came to 9 % of a pass. With one thread nobody spins.
    """
    n, sizes, calls = SETS[where]
    data = rows(n, sizes[0])
    made = {what: make(name, *data) for what, make in CONTENDERS.items()}
    timings = {what: Timing(per=max(1, round(calls * scale))) for what in CONTENDERS}
    for call in made.values():
        for _ in range(3):  # the third is replayed where calls are
            call()
    for _ in range(rounds):
        for what, timing in timings.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(timing.per):
                made[what]()
            timing.seconds.append(time.perf_counter() - wall)
            timing.cpu_seconds.append(time.process_time() - cpu)
    return timings


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--scale", type=float, default=1.0, help="share of a round's calls")
    parser.add_argument(
        "--note", default="", help="a sentence on the machine, such as who else used it"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args(arguments)
    limit_threads(1)
    results = {}
    for where, name in itertools.product(SETS, BACKENDS):
        # In a process that starts with the number of threads.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            timings = process.submit(measure, where, name, chosen.rounds, chosen.scale)
            results[f"{name}, {where}"] = timings.result()
    lines = ["# What validation and evaluation cost", ""]
    lines += heading(1, chosen.rounds, "python -m benchmarks.evaluation_cost", "cpu")
    lines[-2] = (
        "Made by `python -m benchmarks.evaluation_cost`: contenders interleaved in one process for each column, "
        f"medians of {chosen.rounds} rounds; ratios are medians of the ratios within a round."
    )
    lines += [chosen.note, ""] if chosen.note else []
    lines += [
        "CPU time, as ratios to one forward pass (`Predictor`, rows and outputs on the host):",
        "",
    ]
    lines += goal_table(
        (f"{what} / one pass", where, ratio(timings, what, PASS, cpu=True), 1.05, True)
        for where, timings in results.items()
        for what in list(CONTENDERS)[1:]
    )
    lines += timing_table(results, "CPU microseconds", cpu=True)
    (chosen.out / "evaluation_cost.md").write_text("\n".join(lines))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
