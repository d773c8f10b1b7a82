"""`Cause`: a known mistake, with what was written and what it should be."""

from __future__ import annotations

from dataclasses import dataclass

from anyarray_mlp.errors import Severity


@dataclass(frozen=True)
class Cause:
    """A known mistake.

    `rank` orders findings of the same severity: those that make others meaningless come first.
    `hints` are regular expressions for lines that usually contain the mistake.
    """

    title: str
    was: str
    should_be: str
    cure: str
    severity: Severity = "error"
    rank: int = 5
    hints: tuple[str, ...] = ()
    of_bias: tuple[str, str, str] | None = None
    """`was`, `should_be` and `cure` if only biases are meant."""
