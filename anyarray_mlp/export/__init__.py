"""A trained model in another language: what it is made of (`contents`, `formulas`), and what writes it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from anyarray_mlp.errors import UsageError

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


def to_onnx(model: Model) -> bytes:
    """An ONNX model."""
    from anyarray_mlp.export.contents import contents_of
    from anyarray_mlp.export.onnx_file import given, onnx_file

    return onnx_file(contents_of(*model, given=given(model.dtype)))


def to_torch(model: Model) -> bytes:
    """PyTorch's file of a state dict."""
    from anyarray_mlp.export.weights import torch_file

    return torch_file(model.mlp, one_network(model))


def to_keras(model: Model) -> bytes:
    """NumPy's file of the arrays that `set_weights` takes."""
    from anyarray_mlp.export.weights import keras_file

    return keras_file(model.mlp, one_network(model))


def one_network(model: Model) -> Host:
    """The parameters (p,) in the dtype; `UsageError` for those of several networks."""
    if model.parameters.ndim > 1:
        raise UsageError(
            f"The model averages {len(model.parameters)} networks, and weights are those of one: export to c or onnx."
        )
    vector: Host = model.parameters.astype(model.dtype)
    return vector


#: By the name of a language: the ending of its files, and what writes one.
WRITERS: dict[str, tuple[str, Callable[[Model], bytes]]] = {
    "c": (".c", to_c),
    "onnx": (".onnx", to_onnx),
    "torch": (".pt", to_torch),
    "keras": (".npz", to_keras),
}
