"""What the examples share: where the data are, how a picture looks, what is printed and kept."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from anyarray_mlp.data import load, split_indices

Array = Any

REPOSITORY = Path(__file__).resolve().parent.parent
BLUE, ORANGE, GREEN, RED, GREY = "#2f6db3", "#e07b27", "#3a9a5b", "#c23b3b", "#8a8a8a"
COLOURS = (BLUE, ORANGE, GREEN, RED, "#7a55a8", "#2aa3a3")


class MissingData(Exception):
    """A data set that is not on this machine; the message says in one sentence where it is looked for."""


# ---- options -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Options:
    """How to run: in a small form or in full, and where the pictures go."""

    quick: bool = False
    out: Path = Path("runs/examples")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags that every example has."""
    parser.add_argument("--quick", action="store_true", help="a small form, for tests")
    parser.add_argument("--out", type=Path, default=Options.out, help="folder of the pictures")


def run(module_name: str, main: Callable[[Options, Report], None], doc: str | None) -> None:
    """Run one example as a program; exit code 1 where a figure misses its mark."""
    name = Path(sys.modules[module_name].__file__ or "example").stem
    parser = argparse.ArgumentParser(
        f"python -m examples.{name}", description=(doc or "").splitlines()[0]
    )
    add_options(parser)
    arguments = parser.parse_args()
    try:
        report = perform(main, name, doc, Options(arguments.quick, arguments.out))
    except MissingData as error:
        print(f"skipped: {error}", file=sys.stderr)
        return
    sys.exit(1 if report.missed else 0)


def perform(
    main: Callable[[Options, Report], None], name: str, doc: str | None, options: Options
) -> Report:
    """Run one example and return what it reported.

    One thread does: the matrices are small, and figures then do not depend on the number of cores.
    """
    report = Report(name, (doc or name).splitlines()[0].rstrip("."), options)
    print(f"\n{report.title}\n{'=' * len(report.title)}")
    with threadpool_limits(1):
        main(options, report)
    report.seconds = time.process_time() - report.started
    print(f"  {report.seconds:.1f} s of processor time")
    return report


# ---- what came of it -----------------------------------------------------------------------------


@dataclass
class Report:
    """Figures, findings and pictures of one example, printed as they come; `seconds` of processor time."""

    name: str
    title: str
    options: Options
    figures: dict[str, str] = field(default_factory=dict)
    headline: str = ""
    named: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.process_time)
    seconds: float = 0.0

    def say(self, text: str) -> None:
        """A line, or several, of explanation."""
        for line in text.splitlines():
            print(f"  {line}".rstrip())

    def figure(
        self,
        name: str,
        value: float,
        shown: str = "{:.4g}",
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """A figure, with the mark that it must reach (if any)."""
        text = self.figures[name] = shown.format(value)
        mark = ""
        if at_least is not None:
            mark = f"   (at least {shown.format(at_least)})"
        if at_most is not None:
            mark = f"   (at most {shown.format(at_most)})"
        print(f"  {name:<58} {text:>12}{mark}")
        too_low = at_least is not None and not value >= at_least
        too_high = at_most is not None and not value <= at_most
        if too_low or too_high:
            self.missed.append(f"{name}: {text}{mark}")

    def reached(self, text: str) -> None:
        """The figures in a line, for the table of README.md."""
        self.headline = text

    def finding(self, what: str, found: Any, expected: Iterable[str]) -> None:
        """Print a report of `check_backprop` or `diagnose`; each expected cause must be in it."""
        causes = tuple(finding.cause for finding in found.findings)
        print(f"\n  {what}:")
        text = found.summary() if hasattr(found, "summary") else str(found)
        for line in text.splitlines():
            print(f"    {line}".rstrip())
        print()
        for cause in expected:
            if cause not in causes:
                self.missed.append(f"{what}: {cause} is not among {', '.join(causes) or 'nothing'}")
        self.named += [f"`{cause}`" for cause in expected if cause in causes]

    def picture(self, drawing: Any, name: str | None = None) -> Path:
        """Save a figure of matplotlib under the output folder, in 128 colours: half the bytes."""
        from PIL import Image

        self.options.out.mkdir(parents=True, exist_ok=True)
        path = self.options.out / f"{name or self.name}.png"
        drawing.savefig(path, dpi=100)
        with Image.open(path) as image:
            image.convert("RGB").quantize(128).save(path, optimize=True)
        print(f"  picture: {path}")
        return path


PERCENT = "{:.2%}"


# ---- pictures ------------------------------------------------------------------------------------


def drawing(width: float, height: float, title: str) -> Any:
    """A figure of matplotlib, sized in inches, in the examples' style."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        sys.exit("The pictures need matplotlib: pip install 'anyarray-mlp[plot]'")
    matplotlib.rcParams.update(
        {
            "font.size": 9,
            "axes.titlesize": 9.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "lines.linewidth": 1.6,
        }
    )
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


# ---- data ----------------------------------------------------------------------------------------


def data_folder(name: str) -> Path:
    """The folder of a data set: under $ANYARRAY_MLP_DATA, or else in `shared/data` beside the repository."""
    named = os.environ.get("ANYARRAY_MLP_DATA")
    place = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if (place / name).is_dir():
        return place / name
    raise MissingData(
        f"the data set {name} is not here: put it into a folder {name} and set ANYARRAY_MLP_DATA to "
        "the folder above it"
    )


@dataclass(frozen=True)
class Images:
    """Images as rows of bytes, training and test set, and what scales them to 0..1."""

    name: str
    x: Array
    y: Array
    x_test: Array
    y_test: Array
    scale: float
    shape: tuple[int, int]


def digit_images(options: Options) -> Images:
    """MNIST; scikit-learn's 8x8 digits in the small form, or where MNIST is not here."""
    try:
        if options.quick:
            raise MissingData
        mnist = load(data_folder("mnist"))
    except MissingData:
        if not options.quick:
            print("  MNIST is not here: scikit-learn's 8x8 digits stand in for it")
        digits = load("digits")
        train, test = split_indices(len(digits), fraction=0.2, seed=0, labels=digits.target)
        x = np.asarray(digits.features).astype(np.uint8)
        y = np.asarray(digits.target)
        return Images("digits", x[train], y[train], x[test], y[test], 1 / 16, (8, 8))
    test_set = mnist.test
    assert test_set is not None
    return Images(
        "MNIST", mnist.features, mnist.target, test_set.features, test_set.target, 1 / 255, (28, 28)
    )


def one_hot(labels: Array, classes: int) -> Array:
    """Labels (n,) as rows (n, classes) with a single 1."""
    return np.eye(classes)[labels]
