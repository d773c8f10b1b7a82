"""The progress line of training, on stderr."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType

from anyarray_mlp.cli.figures import figure
from anyarray_mlp.cli.output import tell
from anyarray_mlp.training import Epoch

#: A terminal's line is rewritten at most this often, in seconds.
REFRESH = 0.1
#: Lines that are printed over a whole run where stderr is no terminal.
LINES = 10


class Progress:
    """One line that is rewritten on a terminal; ten lines in all elsewhere."""

    def __init__(self, epochs: int, *, quiet: bool = False) -> None:
        self.epochs = epochs
        self.quiet = quiet
        self.terminal = sys.stderr is not None and sys.stderr.isatty()
        self.every = max(1, epochs // LINES)
        self.shown_at = 0.0
        self.pending = ""

    def __call__(self, epoch: Epoch) -> None:
        """Show an epoch's figures when it is time."""
        if self.quiet:
            return
        line = progress_line(epoch, self.epochs)
        if self.terminal:
            self.pending = line
            if time.monotonic() - self.shown_at >= REFRESH:
                self.rewrite()
        elif epoch.epoch % self.every == 0 or epoch.epoch == self.epochs:
            tell(line)

    def rewrite(self) -> None:
        """Write the pending line over the last one."""
        self.shown_at = time.monotonic()
        # A line that wraps would be written below itself.
        shown = self.pending[: terminal_width() - 1]
        tell(f"\r\x1b[2K{shown}", end="")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.pending:
            self.rewrite()
            tell("")


def terminal_width() -> int:
    """Columns of the terminal behind stderr; 80 where they are not known."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (AttributeError, OSError, ValueError):
        return 80


def progress_line(epoch: Epoch, epochs: int) -> str:
    """epoch 7/50  training loss 0.1234  validation loss 0.2345, accuracy 0.9560  3.2 s."""
    parts = [f"training loss {figure(epoch.loss)}"]
    if epoch.validation_loss is not None:
        validation = {"loss": epoch.validation_loss, **epoch.scores}
        said = (f"{name.replace('_', ' ')} {figure(value)}" for name, value in validation.items())
        parts.append(f"validation {', '.join(said)}")
    width = len(str(epochs))
    return f"epoch {epoch.epoch:>{width}}/{epochs}  {'  '.join(parts)}  {epoch.seconds:.1f} s"
