"""The weights of a network as files of PyTorch and of NumPy, for modules of linear layers there."""

from __future__ import annotations

import io

import numpy as np

from anyarray_mlp.errors import BackendUnavailableError
from anyarray_mlp.network.exchange import to_keras_weights, to_pytorch_state
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.typing import Host


def torch_file(mlp: MLP, parameters: Host) -> bytes:
    """A file that `torch.load` reads as the state dict of an `nn.Sequential`; see `to_pytorch_state`."""
    try:
        import torch
    except ImportError:
        raise BackendUnavailableError(
            "state dicts are written by PyTorch, which is not installed: pip install 'anyarray-mlp[torch]'"
        ) from None
    state = to_pytorch_state(mlp, parameters)
    buffer = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, buffer)
    return buffer.getvalue()


def keras_file(mlp: MLP, parameters: Host) -> bytes:
    """A file of `np.load` whose arrays, in their order, `Sequential.set_weights` takes; see `to_keras_weights`."""
    buffer = io.BytesIO()
    np.savez(buffer, *to_keras_weights(mlp, parameters))
    return buffer.getvalue()
