"""The command line: `anyarray-mlp COMMAND`.

Commands live in modules of their own and are imported when they are called, so `--help` answers at once.
Results go to stdout, progress and warnings to stderr (`output`); an error is one line on stderr and an exit code
of `anyarray_mlp.errors`.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from anyarray_mlp import __version__
from anyarray_mlp.checking.messages import shown_path
from anyarray_mlp.cli.output import prepare_streams, reason, tell
from anyarray_mlp.cli.spelling import unknown_command
from anyarray_mlp.errors import AnyArrayMLPError, StorageError, UsageError
from anyarray_mlp.ranks.selection import told_rank

#: Every command: what it does, in the order that `--help` lists them.
COMMANDS = {
    "train": "Train a network on a built-in set, a table, an .npz or images.",
    "tune": "Search better settings for a table, and train with them.",
    "predict": "Predict labels or values with a trained model.",
    "evaluate": "Score a trained model on labelled data.",
    "report": "Show what came of runs on a page: curves, scores, errors, columns, network.",
    "compare": "Say what runs differ in: settings, scores, time.",
    "serve": "Answer requests over HTTP with a trained model.",
    "export": "Write a trained model in another language.",
    "gradcheck": "Check analytic gradients against finite differences.",
    "parity": "Check that gradients agree across backends.",
    "diagnose": "Say what went wrong with a run, or with a network of your own.",
    "info": "List backends, versions and devices, and how to get what is missing.",
}

EXIT_INTERRUPTED = 130
SECONDS_TO_TELL = 2.0


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if find_spec(f"{__name__}.{name}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(unknown_command(args[0], self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


def with_dashes(name: str) -> str:
    """An option's name as it is written here: `batch_size` is batch-size."""
    return name.replace("_", "-").lower() if len(name) > 1 else name


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": with_dashes,
    },
)
@click.version_option(__version__, prog_name="anyarray-mlp")
def cli() -> None:
    """Multilayer perceptrons on any array library.

    Begin with `anyarray-mlp train digits`.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    prepare_streams()
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code. Errors become one line on stderr."""
    try:
        return answered(arguments)
    except KeyboardInterrupt:  # another, while the line about the first was being made
        return EXIT_INTERRUPTED


def answered(arguments: list[str] | None) -> int:
    """Run the command line and say in one line what went wrong; the exit code."""
    code = attempted(lambda: cli.main(arguments, prog_name="anyarray-mlp", standalone_mode=False))
    return code if isinstance(code, int) else 0


def attempted(action: Callable[[], Any]) -> Any:
    """What an action returns; where it fails, say in one line what went wrong and return the exit code."""
    try:
        return action()
    except AnyArrayMLPError as error:
        return fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        tell(error.format_message())
        return 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" See {context.command_path} --help." if context is not None else ""
        return fail(error.format_message() + hint, error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return fail("Interrupted.", EXIT_INTERRUPTED)
    except (MemoryError, RuntimeError) as error:
        from anyarray_mlp.checking.out_of_memory import out_of_memory

        shortage = out_of_memory(error)
        if shortage is None:
            raise
        return fail(str(shortage), shortage.exit_code)
    except OSError as error:
        place = "the output" if error.filename is None else shown_path(error.filename)
        return fail(
            f"{place}: {reason(error)}; check the path, the permissions and the disk.",
            StorageError.exit_code,
        )


def fail(message: str, code: int) -> int:
    """Print an error as one line on stderr and return its exit code.

    What is wrong with a command line is wrong for all ranks alike: rank 0 says it, and the others wait for that, as
    their end would cut it off.
    """
    rank = told_rank(os.environ)
    if rank and code == UsageError.exit_code:
        time.sleep(SECONDS_TO_TELL)
        return code
    who = f"rank {rank}: " if rank else ""
    tell(f"error: {who}{shortened(' '.join(message.split()))}")
    return code


#: Characters of an error, and of a word in it: a value may be anything, a path no longer than this.
LONGEST_MESSAGE, LONGEST_WORD = 2000, 500


def shortened(message: str) -> str:
    """A message without the middle of what is too long to be read."""
    message = re.sub(
        rf"\S{{{LONGEST_WORD + 1},}}", lambda word: f"{word[0][:60]}...{word[0][-20:]}", message
    )
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[: LONGEST_MESSAGE // 2]} ... {message[-LONGEST_MESSAGE // 4 :]}"
