"""A graph of ONNX under construction: values by name, constants among them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from anyarray_mlp.errors import BackendUnavailableError
from anyarray_mlp.export.contents import Contents
from anyarray_mlp.typing import Host


def library() -> Any:
    """The package `onnx`; `BackendUnavailableError` with the remedy if there is none."""
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise BackendUnavailableError(
            "ONNX files are written by onnx, which is not installed: pip install 'anyarray-mlp[export]'"
        ) from None
    return onnx


#: What an operation takes beside the values of others.
Constant: TypeAlias = "Host | np.generic"


class Graph:
    """Nodes and constants; every value is known by a name."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[Any, str] = {}
        self.tensors: list[Any] = []

    def add(self, operation: str, *inputs: str | Constant, **attributes: Any) -> str:
        """The value of an operation; arrays among the inputs are constants."""
        name = f"/{operation}/{len(self.nodes)}"
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        node = self.onnx.helper.make_node(operation, names, [name], **attributes)
        self.nodes.append(node)
        return name

    def constant(self, value: Constant) -> str:
        """A constant; an equal one is the same."""
        value = np.asarray(value)
        key = value.dtype.str, value.shape, value.tobytes()
        if value.dtype.kind in "UO":
            key = "text", value.shape, tuple(value.ravel().tolist())  # type: ignore[assignment]
        if key not in self.constants:
            name = f"/constant/{len(self.tensors)}"
            self.constants[key] = name
            self.tensors.append(self.tensor(name, value))
        return self.constants[key]

    def tensor(self, name: str, value: Host) -> Any:
        """A constant as the file has it."""
        if value.dtype.kind in "UO":
            texts = [str(text).encode() for text in value.ravel().tolist()]
            kind = self.onnx.TensorProto.STRING
            return self.onnx.helper.make_tensor(name, kind, value.shape, texts)
        return self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)

    def cast(self, value: str, dtype: Any) -> str:
        """A value as numbers of another type."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", value, to=kind)

    def renamed(self, value: str, name: str) -> None:
        """The same value under the name that it has outside."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))


def real(contents: Contents, value: float) -> Host:
    """A number as the network computes with it."""
    return np.array(value, contents.dtype)
