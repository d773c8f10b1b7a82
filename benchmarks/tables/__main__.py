"""`python -m benchmarks.tables`: fit the contenders on the tables, and report. See `README.md` in this folder."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.tables import contenders, fitting, report
from benchmarks.tables.cache import Cache, key_of
from benchmarks.tables.sources import Source, all_sources, index, read, summary

PACKAGE = Path(__file__).parents[2] / "anyarray_mlp"
#: What reading and judging need, imported before every contender's own modules.
ALWAYS = (
    "benchmarks.tables.contenders",
    "sklearn.pipeline",
    "sklearn.compose",
    "sklearn.datasets",
    "scipy.stats",
)


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked for."""
    options = parsed(arguments)
    sources = all_sources()
    if options.fetch is not None:
        return fetch(sources, options.fetch)
    cache = Cache(options.cache or (options.data or Path()) / "results.jsonl")
    if not options.report_only:
        run(options, chosen(sources, options), cache)
    if options.report is not None:
        digests = {name: source.digest for name, source in sources.items()}
        latest = cache.latest(digests, mixed=options.keep.split(","))
        options.report.write_text(report.text(latest, sources, options))
    return 0


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    add = parser.add_argument
    add(
        "--fetch",
        type=Path,
        metavar="FOLDER",
        help="find the files in a folder, and say which lack",
    )
    add("--data", type=Path, help="the folder of --fetch; ANYARRAY_MLP_TABLES by default")
    add("--cache", type=Path, help="file of the results; results.jsonl in the folder by default")
    add("--which", choices=("seen", "aside", "all"), default="seen", help="tables to fit")
    add("--tables", default="", help="their names, separated by commas; all by default")
    add(
        "--contenders",
        default="plain,linear,sklearn-mlp,lightgbm,hgb",
        help="names, of those to fit and report",
    )
    add(
        "--variant",
        action="append",
        default=[],
        metavar="NAME:OPTION=VALUE;...",
        help="a contender of ours by options of train_table, values as JSON",
    )
    add("--keep", default="", help="contenders of ours whose results of older versions stand")
    add("--splits", type=int, default=5, help="at most so many of each table")
    add("--most-rows", type=int, default=sys.maxsize, help="leave larger tables out")
    add("--limit", type=float, default=3600.0, help="seconds that a fit may take")
    add("--again", action="store_true", help="fit again what failed or took too long")
    add("--peers", default=sys.executable, metavar="PYTHON", help="the Python that has the peers")
    add("--report", type=Path, help="file to write the report to")
    add("--report-only", action="store_true", help="fit nothing")
    add("--with-aside", action="store_true", help="report the tables set aside, too")
    add("--baseline", default="plain", help="the contender that ratios are to")
    add("--focus", default="plain", help="the contender whose losses are listed")
    options = parser.parse_args(arguments)
    if options.data is None and "ANYARRAY_MLP_TABLES" in os.environ:
        options.data = Path(os.environ["ANYARRAY_MLP_TABLES"])
    try:
        options.variants = {**contenders.VARIANTS, **dict(map(variant, options.variant))}
    except ValueError as error:
        parser.error(f"--variant is NAME:OPTION=VALUE;OPTION=VALUE with JSON values: {error}")
    options.names = options.contenders.split(",")
    unknown = {*options.names} - {*contenders.PEERS} - {*options.variants}
    if unknown:
        known = ", ".join([*options.variants, *contenders.PEERS])
        parser.error(f"unknown contender {', '.join(sorted(unknown))}; known are {known}")
    return options


def variant(text: str) -> tuple[str, dict[str, Any]]:
    """A name and options of `train_table`, of NAME:OPTION=VALUE;OPTION=VALUE."""
    name, _, rest = text.partition(":")
    pairs = (pair.partition("=") for pair in rest.split(";") if pair)
    return name, {option: json.loads(value) for option, _, value in pairs}


def fetch(sources: dict[str, Source], folder: Path) -> int:
    """Note where the files are and read them; say what is still to be put into the folder."""
    lacking = index(sources.values(), folder)
    for source in lacking:
        print(f"{source.name}: {source.origin}, sha256 {source.sha256}")
    for source in sources.values():
        if source not in lacking:
            found = summary(read(source, folder))
            words = ", ".join(f"{count} {what}" for what, count in found.items())
            print(f"{source.name}: {words}{', set aside' if source.is_aside else ''}")
            if found["rows"] != source.rows:
                raise SystemExit(f"{source.name} has {found['rows']} rows, not {source.rows}")
    print(f"{len(sources) - len(lacking)} of {len(sources)} tables are there")
    return 1 if lacking else 0


def chosen(sources: dict[str, Source], options: argparse.Namespace) -> list[Source]:
    """The tables to fit, small ones first."""
    names = options.tables.split(",") if options.tables else list(sources)
    unknown = {*names} - {*sources}
    if unknown:
        raise SystemExit(f"unknown table {', '.join(sorted(unknown))}; they are in sources.toml")
    wanted = {"seen": (False,), "aside": (True,), "all": (False, True)}[options.which]
    found = [sources[name] for name in names if sources[name].is_aside in wanted]
    found = [each for each in found if each.rows <= options.most_rows]
    return sorted(found, key=lambda each: each.rows)


def our_version() -> str:
    """What the sources of the package are, in twelve digits: any change of them is another version."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def versions_of(options: argparse.Namespace) -> dict[str, str]:
    """The version of each contender; its options are part of one of ours."""
    packages = tuple(contenders.PEERS[name].package for name in options.names if is_peer(name))
    found = {}
    if packages:
        with fitting.Worker(options.peers, [], packages) as worker:
            found = worker.versions
    versions = {}
    for name in options.names:
        if is_peer(name):
            package = contenders.PEERS[name].package
            if package not in found:
                raise SystemExit(f"{name}: {options.peers} lacks {package}; --peers names a Python")
            versions[name] = f"{package} {found[package]}"
        else:
            version = {"version": our_version(), **options.variants[name]}
            versions[name] = " ".join(f"{key}={value}" for key, value in version.items())
    return versions


def is_peer(name: str) -> bool:
    return name in contenders.PEERS


def jobs(
    options: argparse.Namespace, tables: list[Source], cache: Cache
) -> Iterator[dict[str, Any]]:
    """What is not in the cache: first splits first, then the contenders as they are named, small tables first."""
    versions = versions_of(options)
    records = list(cache)
    done = {key_of(each) for each in records if not (options.again and "problem" in each)}
    kept = {*options.keep.split(",")}
    stands = {(each["source"], each["split"], each["contender"]) for each in records}
    for split in range(options.splits):
        for name in options.names:
            for source in tables:
                job: dict[str, Any] = {"table": source.name, "source": source.digest}
                job |= {"split": split, "contender": name, "version": versions[name]}
                if split >= source.splits or key_of(job) in done:
                    continue
                if name in kept and (source.digest, split, name) in stands:
                    continue
                yield job


def run(options: argparse.Namespace, tables: list[Source], cache: Cache) -> None:
    """Fit what is not in the cache yet, one after the other. Says how far it is, and no result."""
    todo = list(jobs(options, tables, cache))
    data = None if options.data is None else str(options.data.resolve())
    number = 0
    for name, group in itertools.groupby(todo, key=lambda job: job["contender"]):
        contender = contenders.PEERS.get(name, contenders.OURS)
        python = options.peers if is_peer(name) else sys.executable
        settings = {} if is_peer(name) else options.variants[name]
        with fitting.Worker(python, [*ALWAYS, *contender.modules]) as worker:
            for job in group:
                number += 1
                task = {**job, "options": settings, "data": data, "limit": options.limit}
                record = worker.ask(task)
                cache.append({**job, **record})
                words = f"{name} on {job['table']}, split {job['split']}"
                trouble = f": {record['problem']}" if "problem" in record else ""
                print(f"{number} of {len(todo)}: {words}{trouble}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # A run that is told to end ends its fit with it, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
