"""The speed benchmark: `python -m benchmarks`. See `--help`, and `benchmarks/results/README.md` for what came of it.

Each part writes its tables to the folder of results as it ends; the goals are judged where they are measured.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import (
    callers,
    footprint,
    inference_speed,
    peers,
    report,
    scaling,
    time_to_accuracy,
    training_speed,
    workloads,
)
from benchmarks.harness import limit_threads, ratio

PARTS = ("training", "inference", "callers", "startup", "memory", "scaling", "accuracy")
#: Not among the parts that run by default: draws the picture of training anew from its table of CPU time.
REDRAW = "picture"


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default"
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="cuda: training only"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--threads", type=int, help="of BLAS and OpenMP; the libraries' choice by default"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the rounds: 0.1 for a tenth of the steps"
    )
    parser.add_argument(
        "--workloads", default="", help="places of workloads, as 0,2; all by default"
    )
    parser.add_argument(
        "--contenders", default="", help="names, separated by commas; all by default"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument(
        "--mnist", type=Path, default=Path(os.environ.get("ANYARRAY_MLP_DATA", "../shared/data"), "mnist")
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.parts == [REDRAW]:
        table = report.read_table(options.out / "speed-training.md", "CPU time")
        title = (
            f"One training step, Adam, float32: CPU time, one thread ({report.processor()}, cpu)"
        )
        report.draw(table, options.out / "speed-training.png", title)
        return 0
    wrong = set(options.parts) - set(PARTS)
    if wrong:
        parser.error(f"unknown part {', '.join(sorted(wrong))}; known are {', '.join(PARTS)}")
    limit_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    given = sys.argv[1:] if arguments is None else arguments
    command = "python -m benchmarks " + " ".join(
        a for a in given if a not in ("--out", str(options.out))
    )
    parts = options.parts or (["training"] if options.device == "cuda" else PARTS)
    for part in parts:
        if part == "accuracy" and not options.mnist.is_dir():
            print(f"accuracy: skipped, there is no MNIST in {options.mnist}", file=sys.stderr)
            continue
        print(f"{part} ...", file=sys.stderr, flush=True)
        lines = RUN[part](options)
        suffix = "-gpu" if options.device == "cuda" else ""
        path = options.out / f"speed-{part}{suffix}.md"
        heading = report.heading(options.threads, options.rounds, command.strip(), options.device)
        path.write_text("\n".join([f"# Speed: {part}", "", *heading, *lines]).rstrip() + "\n")
        print("\n".join(lines), flush=True)
    return 0


def training(options: argparse.Namespace) -> list[str]:
    """Microseconds of a step; on a CPU also the CPU time, which a busy machine blurs less, and the goals."""
    on_gpu = options.device == "cuda"
    known = peers.GPU if on_gpu else peers.CPU
    names = options.contenders.split(",") if options.contenders else list(known)
    chosen = workloads.GPU if on_gpu else workloads.CPU
    if options.workloads:
        chosen = tuple(chosen[int(place)] for place in options.workloads.split(","))
    results = training_speed.measure(options.device, names, options.rounds, chosen, options.scale)
    suffix = "-gpu" if on_gpu else ""
    picture = options.out / f"speed-training{suffix}.png"
    report.picture(results, picture, options.device, cpu=options.threads == 1)
    lines = ["Microseconds a step:", "", *report.timing_table(results, "wall time")]
    if on_gpu:
        lines += report.goal_table(gpu_goals(results))
        return lines
    lines += ["CPU time of all threads:", "", *report.timing_table(results, "CPU time", cpu=True)]
    cpu = options.threads == 1
    lines += [
        f"Goals, judged by {'CPU time, as each contender has one thread' if cpu else 'wall time'}:",
        "",
    ]
    lines += report.goal_table(report.training_goals(results, cpu))
    figures = {
        f"{where}: {', '.join(f'{n} {t.figure:.4f}' for n, t in timings.items() if t.figure == t.figure)}"
        for where, timings in results.items()
    }
    return [
        *lines,
        "Mean loss of the first round, the same work for all:",
        "",
        *(f"- {f}" for f in sorted(figures)),
    ]


def gpu_goals(
    results: dict[str, dict[str, report.Timing]],
) -> list[tuple[str, str, float, float, bool]]:
    """The goals for a step on a GPU."""
    goals = []
    for where, timings in list(results.items())[:3]:
        graph = ratio(timings, "anyarray-mlp cupy", "PyTorch, CUDA graph")
        eager = ratio(timings, "PyTorch", "anyarray-mlp cupy")
        goals += [
            ("cupy / PyTorch with a CUDA graph", where, graph, 1.0, True),
            ("PyTorch eager / cupy", where, eager, 5.0, False),
        ]
    return goals


def inference(options: argparse.Namespace) -> list[str]:
    """Microseconds of a prediction."""
    results = inference_speed.measure(
        options.rounds, workloads.CPU[1::2] + workloads.CPU[4:], options.scale
    )
    goals = []
    cpu = options.threads == 1
    for where, timings in results.items():
        if where.endswith(" 1 row"):
            ours, floor = timings["anyarray-mlp numpy"], timings["products alone"]
            extra = ours.cpu_median - floor.cpu_median if cpu else ours.median - floor.median
            goals.append(("microseconds above the products", where, extra, 30.0, True))
        found = ratio(timings, "anyarray-mlp estimator", "scikit-learn", cpu)
        goals.append(("estimator / scikit-learn", where, found, 1.0, True))
    return [
        *report.timing_table(results, "microseconds"),
        *report.timing_table(results, "CPU time", cpu=True),
        *report.goal_table(goals),
    ]


def callers_part(options: argparse.Namespace) -> list[str]:
    """What the layers above the loop add."""
    results = callers.measure(options.rounds)
    ((where, timings),) = results.items()
    cpu = options.threads == 1
    goals = [
        (f"{name} / bare loop", where, ratio(timings, name, "bare loop", by_cpu), 1.05, True)
        for name, by_cpu in (("fit", cpu), ("estimator", cpu), ("command line", False))
    ]
    faster = ratio(timings, "scikit-learn", "estimator", cpu)
    goals.append(("scikit-learn / estimator", where, faster, 1.5, False))
    return [
        *report.timing_table(results, "microseconds a step"),
        *report.timing_table(results, "CPU time", cpu=True),
        *report.goal_table(goals),
    ]


def startup(options: argparse.Namespace) -> list[str]:
    """Milliseconds until a process has started."""
    found = footprint.start_up(options.rounds)
    rows = [f"| {name} | {value:.0f} |" for name, value in found.items()]
    goal = ("--help, milliseconds", "a fresh process", found["anyarray-mlp --help"], 150.0, True)
    return ["| process | milliseconds |", "|---|---|", *rows, "", *report.goal_table([goal])]


def memory(options: argparse.Namespace) -> list[str]:
    """Megabytes at the peak of a fit."""
    rows = footprint.memory(options.rounds)
    goals = [
        (f"{row['backend']}: rest, MB", str(row["fit"]), float(str(row["rest"])), 100.0, True)
        for row in rows
    ]
    return [*report.memory_table(rows), *report.goal_table(goals)]


def scaling_part(options: argparse.Namespace) -> list[str]:
    """Exponents."""
    return report.scaling_table(scaling.measure(min(options.rounds, 5)))


def accuracy(options: argparse.Namespace) -> list[str]:
    """Seconds to 97 % on MNIST."""
    timings = time_to_accuracy.measure(options.mnist, min(options.rounds, 3))
    rows = [
        f"| {name} | {timing.median / 1e6:.2f} | {timing.figure:.4f} |"
        for name, timing in timings.items()
    ]
    return [
        f"Until {time_to_accuracy.GOAL:.0%} of the test images are right: "
        f"{'-'.join(map(str, time_to_accuracy.SIZES))}, relu, batch {time_to_accuracy.BATCH}, Adam, float32.",
        "",
        "| contender | seconds | accuracy |",
        "|---|---|---|",
        *rows,
    ]


RUN = {
    "training": training,
    "inference": inference,
    "callers": callers_part,
    "startup": startup,
    "memory": memory,
    "scaling": scaling_part,
    "accuracy": accuracy,
}

if __name__ == "__main__":
    sys.exit(main())
