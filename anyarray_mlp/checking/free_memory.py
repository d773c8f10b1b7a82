"""How much memory there is for a run: what the machine has free, or what the process may take of it."""

from __future__ import annotations

from pathlib import Path

#: Where Linux tells of the machine's memory, and of the bounds of a group of processes (containers have one).
MACHINE = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")
#: The share of what is free that data may take before they are left on disk.
SHARE = 0.5


def free_memory() -> int | None:
    """Bytes that can still be had; None on a system that does not tell."""
    known = [each for each in (free_of_machine(), free_of_group()) if each is not None]
    return min(known, default=None)


def free_of_machine() -> int | None:
    """What the machine has free, with what it would free if it were asked."""
    try:
        for line in MACHINE.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return None


def free_of_group() -> int | None:
    """What the process' group may take beside what it has, files that are kept in memory counted as free."""
    try:
        bound, taken = ((GROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        files = dict(map(str.split, (GROUP / "memory.stat").read_text().splitlines()))
        return max(0, int(bound) - int(taken) + int(files["inactive_file"]))
    except (OSError, ValueError, KeyError):  # "max": there is no bound
        return None


def is_large(size: int) -> bool:
    """Whether so many bytes are too large a share of what is free to be taken."""
    free = free_memory()
    return free is not None and size > SHARE * free
