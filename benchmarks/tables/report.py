"""The report of the results: one section for the tables that were seen, one for those set aside."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np

from benchmarks.tables.cache import Latest
from benchmarks.tables.comparing import OFFSET, Values, losses, pairs, ranks, ratio, wins
from benchmarks.tables.goals import judged
from benchmarks.tables.sources import Source


def text(latest: Latest, sources: dict[str, Source], options: argparse.Namespace) -> str:
    """The whole report; the tables set aside only if `options.with_aside`."""
    names = [name for name in options.names if any(name == each for each, _ in latest)]
    latest = {key: splits for key, splits in latest.items() if key[0] in names}
    lines = ["# Tables: this package and its peers", "", *introduction(options), ""]
    lines += section("Tables that were seen", latest, sources, names, options, aside=False)
    if options.with_aside:
        lines += section("Tables set aside", latest, sources, names, options, aside=True)
    lines += failures(latest, sources, options.with_aside)
    lines += contenders_used(latest, names)
    return "\n".join(lines).rstrip() + "\n"


def introduction(options: argparse.Namespace) -> list[str]:
    return [
        f"Ratios are geometric means over tables of (score + {OFFSET}) over that of `{options.baseline}`, with",
        "95 % intervals by bootstrap over tables; below 1 is better. Each is over the tables and splits that both",
        "have results of, which is why their number is given. The error is the share of wrong classes, or the root",
        "mean squared error over the deviation of the test targets. CPU seconds are user and system time of fit and",
        "predict with one thread, imports apart; on a busy machine they are too high, and only their ratios count.",
    ]


def values_of(latest: Latest, score: str, tables: Iterable[str]) -> Values:
    """One score by contender, table and split, of the fits that have it."""
    wanted = {*tables}
    found: Values = {}
    for (name, table), splits in latest.items():
        scores = {split: record[score] for split, record in splits.items() if score in record}
        if scores and table in wanted:
            found.setdefault(name, {})[table] = scores
    return found


def section(
    title: str,
    latest: Latest,
    sources: dict[str, Source],
    names: list[str],
    options: argparse.Namespace,
    aside: bool,
) -> list[str]:
    tables = [name for name, source in sources.items() if source.is_aside == aside]
    errors = values_of(latest, "error", tables)
    lines = [f"## {title}", ""]
    kinds = kinds_of([sources[name] for name in tables])
    lines += summary(errors, names, kinds, options.baseline)
    lines += probabilities(latest, names, kinds["classification"], options.baseline)
    lines += costs(latest, names, tables, options.baseline)
    lines += every_table(errors, names, sources, tables)
    lines += against_each(latest, names, tables, options.focus)
    if options.focus != options.baseline:
        log_losses, cpu = (values_of(latest, score, tables) for score in ("log_loss", "cpu"))
        rows = judged(errors, log_losses, cpu, tables, options.focus)
        lines += [
            "Goals, which are meant for the tables set aside.",
            "",
            *table_of(["goal", "found", ""], rows),
        ]
    return lines


def kinds_of(tables: list[Source]) -> dict[str, list[str]]:
    """Names of the tables by what sets them apart."""
    groups = {
        "error": tables,
        "classification": [each for each in tables if each.task == "classification"],
        "regression": [each for each in tables if each.task == "regression"],
        "to 2,000 rows": [each for each in tables if each.rows <= 2_000],
        "to 10,000": [each for each in tables if 2_000 < each.rows <= 10_000],
        "more": [each for each in tables if each.rows > 10_000],
    }
    return {kind: [each.name for each in group] for kind, group in groups.items()}


def table_of(heading: list[str], rows: Iterable[Iterable[object]]) -> list[str]:
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def summary(
    errors: Values, names: list[str], kinds: dict[str, list[str]], baseline: str
) -> list[str]:
    average, many = ranks(errors, names, kinds["error"])
    heading = ["contender", "tables", *kinds, "wins-ties-losses", "rank"]
    rows = []
    for name in names:
        found = [ratio(errors, name, baseline, kinds[kind]) for kind in kinds]
        counts = "-".join(map(str, wins(errors, name, baseline, kinds["error"])))
        rows.append([name, found[0].tables, *found, counts, f"{average[name]:.2f}"])
    return [
        f"Errors. The average rank is over the {many} tables of which all have a result.",
        "",
        *table_of(heading, rows),
    ]


def probabilities(latest: Latest, names: list[str], tables: list[str], baseline: str) -> list[str]:
    scores = {score: values_of(latest, score, tables) for score in ("log_loss", "ece", "auc")}
    misses = {
        name: {t: {s: 1 - v for s, v in splits.items()} for t, splits in found.items()}
        for name, found in scores["auc"].items()
    }
    rows = []
    for name in names:
        log_loss = ratio(scores["log_loss"], name, baseline, tables)
        counts = "-".join(map(str, wins(scores["log_loss"], name, baseline, tables)))
        linear = "-".join(map(str, wins(scores["log_loss"], name, "linear", tables)))
        areas = ratio(misses, name, baseline, tables)
        calibration = f"{overall(scores['ece'], name):.4f}"
        rows.append([name, log_loss.tables, log_loss, counts, linear, areas, calibration])
    heading = ["contender", "tables", "log loss", "wins-ties-losses", "of it against linear"]
    heading += ["1 - AUC", "mean ECE"]
    return ["Probabilities of the classifications.", "", *table_of(heading, rows)]


def overall(values: Values, name: str) -> float:
    """The mean over a contender's tables of its means."""
    means = [np.mean(list(splits.values())) for splits in values.get(name, {}).values()]
    return float(np.mean(means)) if means else float("nan")


def costs(latest: Latest, names: list[str], tables: list[str], baseline: str) -> list[str]:
    cpu, memory = (values_of(latest, score, tables) for score in ("cpu", "memory"))
    rows = []
    for name in names:
        times = ratio(cpu, name, baseline, tables, offset=0.0)
        of_all = [v for splits in cpu.get(name, {}).values() for v in splits.values()]
        middle, most = (f"{f(of_all):.2f}" if of_all else "-" for f in (np.median, np.max))
        rows.append([name, times.tables, times, middle, most, f"{overall(memory, name):.0f}"])
    heading = ["contender", "tables", "CPU", "median s", "most s", "mean peak, MB"]
    return ["Cost of a fit with its prediction.", "", *table_of(heading, rows)]


def every_table(
    errors: Values, names: list[str], sources: dict[str, Source], tables: list[str]
) -> list[str]:
    """Mean errors of each table, the best one in bold, and of how many splits they are where not of all."""
    rows = []
    for table in tables:
        found = {name: errors.get(name, {}).get(table, {}) for name in names}
        means = {name: float(np.mean(list(v.values()))) for name, v in found.items() if v}
        if not means:
            continue
        whole = sources[table].splits
        cells = []
        for name in names:
            cell = f"{means[name]:.4f}" if name in means else "-"
            cell = f"**{cell}**" if name in means and means[name] == min(means.values()) else cell
            cells.append(cell + (f" ({len(found[name])})" if 0 < len(found[name]) < whole else ""))
        rows.append([f"{table} ({sources[table].task[0]})", sources[table].rows, *cells])
    return [
        "Mean error by table (c: classification, r: regression); in brackets the splits that are done, if not all.",
        "",
        *table_of(["table", "rows", *names], rows),
    ]


def against_each(latest: Latest, names: list[str], tables: list[str], focus: str) -> list[str]:
    """One contender against each of the others, and wherever it is worse."""
    errors, log_losses, cpu = (
        values_of(latest, score, tables) for score in ("error", "log_loss", "cpu")
    )
    others = [name for name in names if name != focus and pairs(errors, focus, name, tables)]
    rows = []
    for name in others:
        error = ratio(errors, focus, name, tables)
        counts = ("-".join(map(str, wins(v, focus, name, tables))) for v in (errors, log_losses))
        log_loss = ratio(log_losses, focus, name, tables)
        times = ratio(cpu, focus, name, tables, offset=0.0)
        rows.append([name, error.tables, error, next(counts), log_loss, next(counts), times])
    heading = ["to", "tables", "error", "wins-ties-losses", "log loss", "wins-ties-losses", "CPU"]
    lines = [f"`{focus}` against each of the others.", "", *table_of(heading, rows)]
    for title, values in (("error", errors), ("log loss", log_losses)):
        rows = [[name, listed(losses(values, focus, name, tables))] for name in others]
        words = f"Every table on which the {title} of `{focus}` is the higher one: its own / the other's,"
        lines += [f"{words} the largest ratio first.", "", *table_of(["to", "tables"], rows)]
    return lines


def listed(found: list[tuple[str, float, float]]) -> str:
    return ", ".join(f"{table} {ours:.4f} / {other:.4f}" for table, ours, other in found) or "none"


def failures(latest: Latest, sources: dict[str, Source], with_aside: bool) -> list[str]:
    rows = [
        [name, table, split, record["problem"]]
        for (name, table), splits in sorted(latest.items())
        if table in sources and (with_aside or not sources[table].is_aside)
        for split, record in sorted(splits.items())
        if "problem" in record
    ]
    if not rows:
        return []
    return ["## Fits that failed", "", *table_of(["contender", "table", "split", "problem"], rows)]


def contenders_used(latest: Latest, names: list[str]) -> list[str]:
    """Which versions the results are of."""
    rows = []
    for name in names:
        versions = {
            record["version"]
            for (contender, _), splits in latest.items()
            if contender == name
            for record in splits.values()
        }
        rows.append([name, "; ".join(sorted(versions))])
    return ["## Versions", "", *table_of(["contender", "version"], rows)]
