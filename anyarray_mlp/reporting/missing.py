"""What a report lacks, and why: it is said in its place."""

from __future__ import annotations

from dataclasses import dataclass

from anyarray_mlp.errors import AnyArrayMLPError


@dataclass(frozen=True)
class Missing:
    """In place of a part of a report: the reason, a sentence without its full stop."""

    reason: str

    @classmethod
    def because(cls, error: AnyArrayMLPError, more: str = "") -> Missing:
        """What an error keeps from being had, with what may be done about it."""
        return cls(" ".join(str(error).split()).removesuffix(".") + more)
