"""`Shuffler`: the order of the examples, epoch after epoch, that a run can take up again."""

from __future__ import annotations

from collections.abc import Mapping

from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_whole
from anyarray_mlp.data.seeded import permutation
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.streams import bit_generator
from anyarray_mlp.typing import Host


@with_known_options
class Shuffler:
    """Draws a permutation for each epoch; the same seed gives the same ones everywhere.

    >>> shuffler = Shuffler(7)
    >>> first = shuffler.permutation(1000)
    >>> kept = shuffler.state()
    >>> second = shuffler.permutation(1000)
    >>> shuffler.restore(kept)
    >>> bool((shuffler.permutation(1000) == second).all())
    True
    """

    def __init__(self, seed: int) -> None:
        self.generator = bit_generator("shuffle", seed)

    def permutation(self, n: int) -> Host:
        """The next order of `n` examples, (n,) int64."""
        if check_whole("n", n, 0) < 1:
            raise UsageError(f"n is {n}; there must be at least one example to shuffle")
        return permutation(self.generator, n)

    def state(self) -> dict[str, str]:
        """Where the stream stands, fit for JSON (128-bit integers as hexadecimal text)."""
        state = self.generator.state["state"]
        return {"bit_generator": "PCG64", "state": hex(state["state"]), "inc": hex(state["inc"])}

    def restore(self, state: Mapping[str, str]) -> None:
        """Go back (or on) to where `state()` was taken.

        Raises `ModelFileError` for anything but such a state.
        """
        try:
            if state["bit_generator"] != "PCG64":
                raise ValueError(f"bit generator {state['bit_generator']!r}")
            position, increment = int(state["state"], 16), int(state["inc"], 16)
            if not (0 <= position < 1 << 128 and 0 < increment < 1 << 128 and increment % 2):
                raise ValueError("a number out of range")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"the shuffler's state cannot be used ({error}); resume from another checkpoint"
            ) from error
        self.generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": position, "inc": increment},
            "has_uint32": 0,
            "uinteger": 0,
        }
