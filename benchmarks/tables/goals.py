"""What one contender of ours is to reach on the tables set aside, and whether it does."""

from __future__ import annotations

from benchmarks.tables.comparing import Ratio, Values, losses, pairs, ratio

#: A table is noise if logistic regression's log loss is less than this share below that of the constant.
LEAST_GAIN = 0.01
MOST_OF_PLAIN = 0.85
MOST_CPU = 0.2

Goal = tuple[str, str, str]


def judged(
    errors: Values, log_losses: Values, cpu: Values, tables: list[str], focus: str
) -> list[Goal]:
    """The goals, what was found, and "met", "missed" or "not measured"."""
    of_plain, of_hgb, of_realmlp, of_bag = (
        ratio(errors, focus, name, tables) for name in ("plain", "hgb", "realmlp", "realmlp-bag4")
    )
    times = ratio(cpu, focus, "realmlp", tables, offset=0.0)
    return [
        goal(f"error at most {MOST_OF_PLAIN} of `plain`", of_plain, of_plain.mean <= MOST_OF_PLAIN),
        goal("error below `hgb`, interval below 1", of_hgb, of_hgb.high < 1),
        goal("error below `realmlp`, interval below 1", of_realmlp, of_realmlp.high < 1),
        goal("error level with `realmlp-bag4` or below, interval not above 1", of_bag, of_bag.low <= 1),
        better_probabilities(log_losses, tables, focus),
        goal(f"CPU at most {MOST_CPU} of `realmlp`", times, times.mean <= MOST_CPU),
    ]  # fmt: skip


def goal(words: str, found: Ratio, is_met: bool) -> Goal:
    if not found.tables:
        return words, "-", "not measured"
    return words, f"{found}, {found.tables} tables", "met" if is_met else "missed"


def better_probabilities(log_losses: Values, tables: list[str], focus: str) -> Goal:
    """Whether the log loss is below that of logistic regression wherever that has learned anything."""
    words = "log loss below `linear` on every table but noise"
    gains = pairs(log_losses, "linear", "constant", tables)
    signal = [name for name, (a, b) in gains.items() if a < (1 - LEAST_GAIN) * b]
    compared = pairs(log_losses, focus, "linear", signal)
    if not compared:
        return words, "-", "not measured"
    worse = [name for name, _, _ in losses(log_losses, focus, "linear", signal)]
    found = f"not on {', '.join(worse)}" if worse else "on all"
    return words, f"{found}, of {len(compared)} tables", "missed" if worse else "met"
