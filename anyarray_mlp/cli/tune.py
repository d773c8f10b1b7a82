"""`anyarray-mlp tune`: better settings for a data set, and a run with them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import counted, from_here, shown_path
from anyarray_mlp.cli.advice import as_flags, in_words_of_flags
from anyarray_mlp.cli.figures import figure
from anyarray_mlp.cli.kinds import Integer, Number, PathName
from anyarray_mlp.cli.options import DATA, json_option
from anyarray_mlp.cli.output import announce, tell
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.cli.table_flags import settings_options
from anyarray_mlp.cli.telling import listed_scores
from anyarray_mlp.cli.trying import flags_of

if TYPE_CHECKING:
    from anyarray_mlp.pipeline.settings import Settings
    from anyarray_mlp.pipeline.training import TrainedTable
    from anyarray_mlp.tuning.search import Found, Search, Tried


@click.command(cls=Command)
@click.argument("data", type=DATA)
@click.option(
    "--minutes",
    type=Number(0, open_low=True),
    default=5.0,
    show_default=True,
    help="How long to search; the run with what was found comes after.",
)
@click.option("--trials", type=Integer(1), help="Search until so many candidates have been tried.")
@settings_options
@click.option(
    "--out",
    type=PathName("a folder for the run"),
    help="The run's folder; by default runs/NAME-tuned. The search is kept beside it, in OUT.search.",
)
@click.option("--overwrite", is_flag=True, help="Replace the run and the search that are there.")
@click.option("--resume", is_flag=True, help="Continue a search.")
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def command(minutes: float, trials: int | None, **settings: Any) -> int:
    """Search better settings for DATA, and train with them.

    Settings that are given are kept, the others are searched. Candidates are judged by their loss on validation rows;
    no test row is looked at until the run at the end, which is one like any other. It has the settings of before
    unless others have beaten them.
    """
    from anyarray_mlp.cli.resuming import explicit_flags
    from anyarray_mlp.cli.train import asked_for
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.pipeline.run import default_folder
    from anyarray_mlp.pipeline.training import train_as
    from anyarray_mlp.training.signals import ENDINGS, ending_on

    named = explicit_flags(click.get_current_context())
    by_count = trials is not None and "minutes" not in named
    with ExitStack() as stack:
        stack.enter_context(ending_on(ENDINGS))
        with in_words_of_flags():
            if settings["monitor"] != "validation_loss":
                raise UsageError("tune goes by validation_loss: leave monitor out.")
            asked = asked_for(settings, {*named, "preset"})
            out = Path(settings["out"] or f"{default_folder(settings['data'], True)}-tuned")
            search = search_of(settings, asked, named, out)
            base = search.judge.base
        try:
            found = search.run(
                None if by_count else minutes * 60, trials, teller(settings["quiet"])
            )
        except KeyboardInterrupt:
            tell(f"what was tried is kept; continue with the same flags, --out {out} and --resume")
            raise
        if not settings["quiet"]:
            tell(in_words(found))
        with in_words_of_flags():
            final = train_as(
                settings["data"],
                search.judge.settings_of(found.chosen) if found.beaten else base,
                out,
                settings["overwrite"],
                [],
                diagnose=True,
            )
    return report(found, final, settings)


def search_of(settings: dict[str, Any], asked: Settings, named: set[str], out: Path) -> Search:
    """The search for a data set, new or continued."""
    from anyarray_mlp.errors import OutputExistsError, UsageError
    from anyarray_mlp.pipeline.kept import changes, deciding
    from anyarray_mlp.pipeline.preparation import load_as
    from anyarray_mlp.pipeline.presets import Facts
    from anyarray_mlp.pipeline.settings import keys_of_settings
    from anyarray_mlp.tuning.candidates import Judge
    from anyarray_mlp.tuning.search import Search, library
    from anyarray_mlp.tuning.space import FIXED, space

    library()
    path = out.with_name(f"{out.name}.search")
    if settings["resume"] and not path.exists():
        raise UsageError(f"{shown_path(path)} holds no search to continue: leave --resume out.")
    if out.exists() and not settings["overwrite"] and any(out.iterdir()):
        raise OutputExistsError(f"{shown_path(out)} exists: give another --out, or --overwrite.")
    dataset = load_as(settings["data"], asked)
    is_table = hasattr(dataset.features, "iloc")
    base = asked.settled(Facts(len(dataset), is_table, dataset.task))
    judge = Judge(dataset, base)
    if path.exists() and not settings["resume"]:
        if not settings["overwrite"]:
            raise OutputExistsError(
                f"{shown_path(path)} holds a search: --resume continues it, --overwrite begins again."
            )
        path.unlink()
    fields = {key: name for name, key in keys_of_settings().items()}
    given = {fields[key] for key in named if key in fields}
    draws = space(
        base,
        judge.rows(),
        is_table=is_table,
        is_classes=dataset.task == "classification",
    )
    free = {name: draw for name, draw in draws.items() if name not in given}
    path.parent.mkdir(parents=True, exist_ok=True)
    search = Search(judge, free, {name: FIXED[name] for name in FIXED if name not in given}, path)
    kept = {name: value for name, value in deciding(settings).items() if name in fields}
    kept["data"] = str(settings["data"])
    search.check_same(json.loads(json.dumps(kept)), changes)
    return search


def teller(quiet: bool) -> Any:
    """What says how the search goes: each candidate that is better than all before."""
    best: list[float] = []

    def told(tried: Tried) -> None:
        if quiet or tried.value is None or (best and tried.value >= best[0]):
            return
        best[:] = [tried.value]
        what = flags_of(tried.change) or "the settings as they are"
        tell(f"candidate {tried.number + 1}: validation loss {figure(tried.value)}: {what}")

    return told


def in_words(found: Found) -> str:
    """What a search came to."""
    tried = f"{counted(found.tried, 'candidate')} tried, {found.given_up} of them given up early"
    before = "diverged" if found.default.value is None else figure(found.default.value)
    if found.best is None or found.best.value is None:
        return f"{tried}; none but the settings as they are came to its end: {before}"
    if not found.beaten:
        return (
            f"{tried}; none beats the settings as they are on the validation rows: {before}, and the best "
            f"{figure(found.best.value)}. They stay"
        )
    return f"{tried}; validation loss {figure(found.best.value)}, and {before} with the settings as they are"


def report(found: Found, final: TrainedTable, settings: dict[str, Any]) -> int:
    """Print what came of the search and of the run; the exit code."""
    assert final.path is not None
    path = shown_path(final.path)
    if settings["as_json"]:
        record = {
            "tried": found.tried,
            "given_up": found.given_up,
            "validation_loss": {
                "before": found.default.value,
                "best": found.best and found.best.value,
            },
            "beaten": found.beaten,
            "change": found.chosen,
            "flags": flags_of(found.chosen),
            "scores": final.scores,
            "scored_on": final.scored_on,
            "run": path,
        }
        announce(json.dumps(record, indent=2), path)
        return 0
    announce(listed_scores(final.scores, f"{final.scored_on} "), path)
    if final.diagnosis is not None and not settings["quiet"]:
        tell(as_flags(final.diagnosis.summary(write=flags_of)))
    tell(f"saved to {from_here(final.path)}")
    return 0 if final.fit.signal is None else 128 + final.fit.signal
