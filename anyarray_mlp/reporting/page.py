"""The page of a report: one HTML file that holds all it needs, for a browser without a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from xml.etree.ElementTree import Element

from anyarray_mlp import __version__
from anyarray_mlp.markup import element, html
from anyarray_mlp.reporting import charts, library
from anyarray_mlp.reporting.contents import Contents
from anyarray_mlp.reporting.differences import (
    Overview,
    cautions,
    common_scores,
    lines_of,
)
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.reporting.parts import Charts, quiet, scrolled, side_by_side
from anyarray_mlp.reporting.sections import SECTIONS, facts
from anyarray_mlp.reporting.words import in_words


def page_of(runs: Sequence[Contents]) -> str:
    """The report of one run, or of several side by side; `BackendUnavailableError` if charts cannot be drawn."""
    drawn = Charts()
    title = " and ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} runs"
    sections = [] if len(runs) == 1 else [section("Compared", compared(runs, drawn))]
    sections += [
        section(name, beside([(run.name, make(run, drawn)) for run in runs]))
        for name, make in SECTIONS.items()
    ]
    links = [
        element("a", each.findtext("h2") or "", href=f"#{each.get('id')}") for each in sections
    ]
    body = element(
        "body",
        element("h1", title),
        *beside([(run.name, facts(run, drawn)) for run in runs]),
        element("nav", *links),
        *sections,
        element(
            "footer",
            f"Written by anyarray-mlp {__version__}. Charts: {library.version()}, BSD-3-Clause, University of "
            "Washington Interactive Data Lab.",
        ),
        *drawn.data(),
    )
    return document(title, body)


def document(title: str, body: Element) -> str:
    """A page with its style and scripts in it, which may load nothing and run nothing else."""
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    own = files(__package__).joinpath("page.js").read_text("utf-8")
    scripts = [library.vega(), f"(() => {{\n{own}}})();"]
    hashes = " ".join(f"'sha256-{digest(script)}'" for script in scripts)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {hashes}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", style),
    )
    no_script = element(
        "noscript", element("p", "The charts of this page are drawn by its own script.")
    )
    body.insert(1, no_script)
    body.extend(element("script", script) for script in scripts)
    return f"<!DOCTYPE html>\n{html(element('html', head, body, lang='en'))}\n"


def digest(script: str) -> str:
    """What a policy knows a script by."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def section(name: str, parts: Sequence[Element]) -> Element:
    """A section with its heading."""
    return element("section", element("h2", name), *parts, id=name.lower().replace(" ", "-"))


def beside(runs: Sequence[tuple[str, list[Element]]]) -> list[Element]:
    """What is said of each run, side by side where there are several."""
    if len(runs) == 1:
        return runs[0][1]
    each = [element("div", element("h3", name, class_="run"), *parts) for name, parts in runs]
    return [element("div", *each, class_="runs")]


def compared(runs: Sequence[Contents], drawn: Charts) -> list[Element]:
    """What several runs differ in: settings, scores, curves."""
    overviews = [Overview(run.name, run.settings, run.scores, run.curves) for run in runs]
    curves = {run.name: run.curves for run in runs if not isinstance(run.curves, Missing)}
    figures = []
    if curves:
        spec = charts.learning_curves(curves, "loss")
        figures.append(drawn.draw(spec, "Validation loss by epoch"))
    return [
        *(quiet(f"{text[:1].upper()}{text[1:]}.") for text in cautions(overviews)),
        scrolled(("", *(run.name for run in runs)), lines_of(overviews)),
        side_by_side(*figures, *score_charts(overviews, drawn)),
    ]


def score_charts(overviews: Sequence[Overview], drawn: Charts) -> list[Element]:
    """Each score of the runs with its interval."""
    made = []
    for name in common_scores(overviews):
        rows = [
            {"run": run.name, "value": each.value, "low": each.low, "high": each.high}
            for run in overviews
            if not isinstance(run.scores, Missing)
            for each in run.scores.scores
            if each.name == name
        ]
        made.append(
            drawn.draw(
                charts.score_chart(rows, in_words(name)), f"{in_words(name)}, with 95% intervals"
            )
        )
    return made
