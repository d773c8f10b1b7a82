"""What it costs to train many networks at once: `python -m benchmarks.many_networks [PART]...`.

- steps: the compiled step of a stack, to that of one network as often, and to one network's step run by step.
- fits: `fit_many` of k networks with a validation set, to `fit` of one after the other.
- shapes: stacks of 2 to 16, of networks of several shapes: how many a stack should have.
- grid: 24 points on 5 folds by `fit_many`, to scikit-learn's `GridSearchCV` of its own `MLPClassifier`.

CPU time of one thread: other load on the machine disturbs it little, and two cores do twice as much of either.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Timing, interleave, limit_threads, ratio
from benchmarks.report import goal_table, heading, timing_table
from benchmarks.workloads import LEARNING_RATE, Workload

BACKENDS = ("numpy", "torch", "jax")
SMALL = Workload("64-100-10, batch 32", (64, 100, 10), 32, "relu", 128)
WIDE = Workload("20-256-256-256-1, batch 256", (20, 256, 256, 256, 1), 256, "relu", 8)
#: The networks of a stack, how many there are in all, and the goals: of the time of one after the other, at most.
STACKS = {
    SMALL: (8, 32, {"numpy": 0.3, "torch": 0.25, "jax": 0.45}),
    WIDE: (8, 8, {"numpy": 1.1, "torch": 0.95, "jax": 0.9}),
}
SHAPES = (
    WIDE,
    Workload("784-128-64-10, batch 128", (784, 128, 64, 10), 128, "relu", 24),
    Workload("64-256-10, batch 64", (64, 256, 10), 64, "relu", 64),
    Workload("30-128-128-1, batch 64", (30, 128, 128, 1), 64, "relu", 64),
    Workload("64-100-10, batch 128", (64, 100, 10), 128, "relu", 64),
    SMALL,
    Workload("10-20-1, batch 32", (10, 20, 1), 32, "relu", 128),
)
FACTS = {"points": 24, "folds": 5, "epochs": 20}
RATES = (3e-4, 1e-3, 2e-3, 3e-3, 1e-2, 3e-2)
ALPHAS = (0.0, 1e-4, 1e-2, 1.0)


# --- steps -----------------------------------------------------------------------------------------------


def network(workload: Workload) -> Any:
    """The network of a workload: one output is a number."""
    from anyarray_mlp import MLP

    output = "identity" if workload.sizes[-1] == 1 else "softmax"
    return MLP(workload.sizes, activation=workload.activation, output=output)


def rows_of(workload: Workload, n: int) -> tuple[Any, Any]:
    """Inputs (n, i) and targets, drawn with a fixed seed."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, workload.sizes[0]), dtype=np.float32)
    k = workload.sizes[-1]
    return x, x[:, :1] if k == 1 else rng.integers(0, k, n)


def steps_of(
    name: str, workload: Workload, members: int, count: int, compiled: bool = True
) -> Callable[[], float]:
    """A round: the steps of `count` networks, `members` of them at once; if not `compiled`, one step a call."""
    from anyarray_mlp import adam, select_backend
    from anyarray_mlp.backends import Backend
    from anyarray_mlp.training import to_leaves
    from anyarray_mlp.training.predicting import on_device
    from anyarray_mlp.training.steps import Walk, stack_inputs, training_step

    backend, mlp, rule = select_backend(name), network(workload), adam()
    data = tuple(on_device(backend, array) for array in rows_of(workload, 2048))
    vectors = np.stack([mlp.initialize(seed) for seed in range(members)])
    zeros = np.zeros_like(vectors)
    moments = tuple(to_leaves(mlp, backend, zeros) for _ in range(rule.n_moments))
    state: Any = to_leaves(mlp, backend, vectors), moments
    step = training_step(mlp, rule)
    jitted = compiled or not backend.flat
    run = backend.compile(step) if jitted else Backend.compile(backend, step)
    indices = np.random.default_rng(1).integers(0, 2048, (workload.steps, members * workload.batch))
    spans = [indices] if compiled else [indices[k : k + 1] for k in range(workload.steps)]

    def one_round() -> float:
        nonlocal state
        found = []
        for _ in range(count // members):
            for done, span in enumerate(spans):
                walks = [Walk(done, [LEARNING_RATE] * len(span), seed) for seed in range(members)]
                inputs = stack_inputs(mlp, rule, backend, span, walks)
                state, (losses,) = run(state, data, inputs)
                found.append(np.mean(backend.to_host(losses)))
        return float(np.mean(found))

    return one_round


def measured_steps(rounds: int, scale: float, backends: Iterable[str]) -> Iterator[Any]:
    """Timings of steps, by backend and workload."""
    for workload, (members, _, _) in STACKS.items():
        short = Workload(**{**vars(workload), "steps": max(2, round(workload.steps * scale))})
        for name in backends:
            contenders = {
                "one after the other": (steps_of, (name, short, 1, members)),
                f"stacks of {members}": (steps_of, (name, short, members, members)),
                "step by step": (steps_of, (name, short, 1, members, False)),
            }
            timings = interleave(contenders, rounds)
            for timing in timings.values():
                timing.per = short.steps * members
            yield name, workload, timings


def steps_part(options: argparse.Namespace) -> list[str]:
    """The compiled step."""
    results: dict[str, dict[str, Timing]] = {}
    goals = []
    for name, workload, timings in measured_steps(options.rounds, options.scale, options.backends):
        where = f"{name}, {workload.name}"
        results[where] = {kind(each): timing for each, timing in timings.items()}
        for to in ("one after the other", "step by step"):
            found = ratio(results[where], "stack", to, cpu=True)
            goals.append((f"stack / {to}", where, found, STACKS[workload][2][name], True))
    return [
        "Microseconds of a step for each network, of a stack of 8 or alone:",
        "",
        *timing_table(results, "CPU time", cpu=True),
        *goal_table(goals),
    ]


def kind(contender: str) -> str:
    """The name of a contender without the number of its networks."""
    return "stack" if contender.startswith("stacks") else contender


def shapes_part(options: argparse.Namespace) -> list[str]:
    """How many networks a stack should have."""
    sizes = (2, 4, 8, 16)
    lines = [
        "CPU time of a step for each network of a stack, to that of one network:",
        "",
        f"| backend | network | alone, us | {' | '.join(map(str, sizes))} |",
        "|---" * (3 + len(sizes)) + "|",
    ]
    for name in options.backends:
        for workload in SHAPES:
            short = Workload(
                **{**vars(workload), "steps": max(2, round(workload.steps * options.scale))}
            )
            contenders = {
                str(members): (steps_of, (name, short, members, max(sizes)))
                for members in (1, *sizes)
            }
            timings = interleave(contenders, options.rounds)
            alone = timings["1"].cpu_median / (short.steps * max(sizes))
            cells = " | ".join(f"{ratio(timings, str(k), '1', cpu=True):.2f}" for k in sizes)
            lines.append(f"| {name} | {workload.name} | {alone:,.0f} | {cells} |")
    return lines


# --- fits ------------------------------------------------------------------------------------------------


def fits_of(name: str, workload: Workload, count: int, epochs: int, at_once: bool) -> Any:
    """A round: `count` fits on 1,150 rows, measured on 288 more after each epoch."""
    from anyarray_mlp import Recipe, fit, fit_many, select_backend

    backend, mlp = select_backend(name), network(workload)
    x, targets = rows_of(workload, 1438)
    recipe = Recipe(epochs=epochs, batch_size=workload.batch)
    given: dict[str, Any] = {"backend": backend, "validation": (x[1150:], targets[1150:])}

    def one_round() -> float:
        if at_once:
            fits = fit_many(mlp, x[:1150], targets[:1150], recipe, seeds=range(count), **given)
        else:
            fits = [
                fit(mlp, x[:1150], targets[:1150], recipe, seed=seed, **given)
                for seed in range(count)
            ]
        return float(np.mean([one.loss_curve[-1] for one in fits]))

    return one_round


def fits_part(options: argparse.Namespace) -> list[str]:
    """`fit_many` and `fit`."""
    results, goals = {}, []
    epochs = max(1, round(10 * options.scale))
    for workload, (_, count, limits) in STACKS.items():
        for name in options.backends:
            where = f"{name}, {count} of {workload.name}"
            results[where] = interleave(
                {
                    "fit, one after the other": (fits_of, (name, workload, count, epochs, False)),
                    "fit_many": (fits_of, (name, workload, count, epochs, True)),
                },
                options.rounds,
            )
            for timing in results[where].values():
                timing.per = count * epochs
            found = ratio(results[where], "fit_many", "fit, one after the other", cpu=True)
            goals.append(("fit_many / fit", where, found, limits[name], True))
    return [
        "Microseconds of an epoch (1,150 rows, 288 more are measured) for each network:",
        "",
        *timing_table(results, "CPU time", cpu=True),
        *goal_table(goals),
    ]


# --- a grid ----------------------------------------------------------------------------------------------


def digits() -> tuple[Any, Any, Any]:
    """scikit-learn's digits, and the fold of each row."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x / 16.0).astype(np.float32), y, np.arange(len(x)) % FACTS["folds"]


def grid_by_scikit_learn(epochs: int) -> Callable[[], float]:
    """A round: `GridSearchCV` of `MLPClassifier`; the best mean accuracy."""
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.neural_network import MLPClassifier

    x, y, folds = digits()
    one = MLPClassifier((100,), batch_size=32, max_iter=epochs, n_iter_no_change=epochs + 1)
    grid = {"learning_rate_init": RATES, "alpha": ALPHAS}
    search = GridSearchCV(one, grid, cv=PredefinedSplit(folds), refit=False)

    def one_round() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged
            search.fit(x, y)
        return float(search.best_score_)

    return one_round


def grid_at_once(name: str, epochs: int) -> Callable[[], float]:
    """A round: the same grid and folds by `fit_many`; the best mean accuracy."""
    from anyarray_mlp import MLP, Recipe, fit_many, predict, select_backend

    backend, mlp = select_backend(name), MLP((64, 100, 10))
    x, y, folds = digits()
    points = [(rate, alpha) for rate in RATES for alpha in ALPHAS]
    recipes = [
        Recipe(epochs=epochs, batch_size=32, learning_rate_init=rate, alpha=alpha)
        for rate, alpha in points
        for _ in range(FACTS["folds"])
    ]
    rows = [np.flatnonzero(folds != fold) for _ in points for fold in range(FACTS["folds"])]

    def one_round() -> float:
        fits = fit_many(mlp, x, y, recipes, rows=rows, backend=backend)
        scores = []
        for place, one in enumerate(fits):
            held_out = folds == place % FACTS["folds"]
            outputs = predict(mlp, one.parameters, x[held_out], backend=backend)
            scores.append(np.mean(outputs.argmax(axis=1) == y[held_out]))
        return float(np.reshape(scores, (-1, FACTS["folds"])).mean(axis=1).max())

    return one_round


def grid_part(options: argparse.Namespace) -> list[str]:
    """A grid of 24 points and 5 folds."""
    epochs = max(1, round(FACTS["epochs"] * options.scale))
    contenders: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "scikit-learn": (grid_by_scikit_learn, (epochs,))
    }
    contenders |= {name: (grid_at_once, (name, epochs)) for name in options.backends}
    timings = interleave(contenders, min(options.rounds, 3))
    for timing in timings.values():
        timing.per = len(RATES) * len(ALPHAS) * FACTS["folds"]
    where = f"digits, 64-100-10, batch 32, {epochs} epochs"
    goals = [
        (
            f"scikit-learn / {name}",
            where,
            ratio(timings, "scikit-learn", name, cpu=True),
            5.0,
            False,
        )
        for name in options.backends
    ]
    return [
        "Microseconds of one of 24 x 5 fits, and the best mean accuracy:",
        "",
        *timing_table({where: timings}, "CPU time", cpu=True),
        *(f"- {name}: {timing.figure:.4f}" for name, timing in timings.items()),
        "",
        *goal_table(goals),
    ]


PARTS: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "steps": steps_part,
    "fits": fits_part,
    "grid": grid_part,
    "shapes": shapes_part,
}


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="share of a round's steps")
    parser.add_argument("--backends", type=partial(str.split, sep=","), default=list(BACKENDS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(arguments)
    wrong = set(options.parts) - set(PARTS)
    if wrong:
        parser.error(f"unknown part {', '.join(sorted(wrong))}; known are {', '.join(PARTS)}")
    limit_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    sections: list[str] = []
    for part in options.parts or PARTS:
        found = [f"## {part.capitalize()}", "", *PARTS[part](options), ""]
        print("\n".join(found), flush=True)
        sections += found
        lines = ["# Many networks at once", ""]
        lines += heading(1, options.rounds, "python -m benchmarks.many_networks", "cpu")
        (options.out / "many_networks.md").write_text(
            "\n".join([*lines, *sections]).rstrip() + "\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
