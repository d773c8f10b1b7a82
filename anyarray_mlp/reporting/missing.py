"""What a report lacks, and why: it is said in its place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """In place of a part of a report: the reason, a sentence without its full stop."""

    reason: str
