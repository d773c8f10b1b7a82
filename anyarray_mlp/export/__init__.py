"""A trained model in another language: what it is made of (`contents`, `formulas`), and what writes it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from anyarray_mlp.data import Preprocessor, TargetEncoder
    from anyarray_mlp.network.mlp import MLP
    from anyarray_mlp.typing import Host


class Model(NamedTuple):
    """What is exported: a network, its parameters (p,), or (k, p) of several, and its encodings.

    name : what it is called there. dtype : in which it computes there, "float32" or "float64".
    """

    mlp: MLP
    parameters: Host
    preprocessor: Preprocessor
    targets: TargetEncoder
    name: str
    dtype: str


def to_c(model: Model) -> bytes:
    """One C99 file, in ASCII."""
    from anyarray_mlp.export.c_file import GIVEN, c_file
    from anyarray_mlp.export.contents import contents_of

    return c_file(contents_of(*model, given=GIVEN)).encode("ascii")


#: By the name of a language: the ending of its files, and what writes one.
WRITERS: dict[str, tuple[str, Callable[[Model], bytes]]] = {
    "c": (".c", to_c),
}
