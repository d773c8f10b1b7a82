"""A fitted estimator: what it predicts, and how it is copied, pickled and moved, also while another thread fits it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from anyarray_mlp.backends import Backend
from anyarray_mlp.errors import DataError
from anyarray_mlp.estimators.placement import (
    HOST,
    Place,
    backend_at,
    check_same_place,
    computing_backend,
    dtype_name,
    moved,
    place_of,
    serves,
    to_host,
)
from anyarray_mlp.estimators.weights import layer_outputs, present_network, weights_of
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.predicting import ForwardPass
from anyarray_mlp.typing import Array, Host

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


class FittedMLP(BaseEstimator):  # type: ignore[misc]
    """What both estimators are once they are fitted."""

    # --- as it was before the fit that is going on, if one is ---

    def __sklearn_is_fitted__(self) -> bool:
        return "coefs_" in vars(self._now())

    def _now(self) -> Any:
        """A shallow copy for predictions, taken in one step; during a fit, of the estimator as it was before."""
        attributes = dict(vars(self))
        return self._with(attributes.get("_before", attributes))

    def _in_training(self) -> Any:
        """A shallow copy with the attributes as they are now in training."""
        copied = self._with(dict(vars(self)))
        copied.__dict__.pop("_before", None)
        return copied

    def _with(self, attributes: dict[str, Any]) -> Any:
        new = type(self).__new__(type(self))
        new.__dict__.update(attributes)
        return new

    # --- predicting ---

    def _predicted(self, X: Any, method: str) -> tuple[Any, Backend, Array]:
        """The estimator as it was at the call, the backend of the place where X is, and outputs (n, k) there."""
        now = self._now()
        if "coefs_" not in vars(now):
            check_is_fitted(now)
        place = check_same_place(X, now.coefs_[0], type(self).__name__, method)
        leaves = weights_of(now)
        answered = vars(now).get("_answered")
        if answered is not None and answered[0] is X:  # held-out rows, just measured
            home = backend_at(place, dtype_name(leaves[0]))
            return now, home, home.asarray(answered[1])
        if not now._needs_no_validation(X):
            X = validate_data(now, X, accept_sparse="csr", reset=False)
        network = present_network(now, leaves)
        if X.shape[1] != network.sizes[0]:
            raise DataError(
                f"X has {X.shape[1]} features, but the weights of {type(self).__name__} take {network.sizes[0]}: "
                "give X as many columns."
            )
        dtype = dtype_name(leaves[0])
        home = backend_at(place, dtype)
        backend = computing_backend(place, now.backend, now.device, dtype, now.reproducible)
        forward = self._forward(backend, network)
        if not serves(backend, place):
            leaves = tuple(moved(backend, leaf) for leaf in leaves)
        parts = forward.outputs(leaves, X)
        with backend.on_device():
            outputs = parts[0] if len(parts) == 1 else backend.xp.concat(parts, axis=0)
        if not serves(backend, place):
            outputs = home.asarray(backend.to_host(outputs))
        return now, home, outputs

    def _forward(self, backend: Backend, network: MLP) -> ForwardPass:
        """The forward pass of a network on a backend, made when first asked for."""
        kept = FORWARD_PASSES.get(self)
        if kept is None or (kept.backend, kept.mlp) != (backend, network):
            kept = FORWARD_PASSES[self] = ForwardPass(network, backend, move=moved)
        return kept

    def _needs_no_validation(self, X: Any) -> bool:
        """Whether validation can be skipped: it takes longer than predicting a few rows."""
        return (
            type(X) is np.ndarray
            and X.dtype in FLOATS
            and X.ndim == 2
            and X.shape[0] > 0
            and X.shape[1] == getattr(self, "n_features_in_", None)
            and not hasattr(self, "feature_names_in_")
            and sum_is_finite(X)
        )

    # --- scikit-learn's private names that public code calls ---

    def _forward_pass(self, activations: list[Any]) -> list[Any]:
        """Fill in the outputs of each layer for the inputs in `activations[0]`."""
        activations[1:] = layer_outputs(self._now(), activations[0])
        return activations

    def _forward_pass_fast(self, X: Any, check_input: bool = True) -> Any:
        """Outputs (n, k) of X (n, i)."""
        return self._predicted(X, "predict")[2]

    # --- copies and pickles ---

    def __getstate__(self) -> dict[str, Any]:
        """The state to pickle; parameters on a GPU are copied to the host."""
        now = self._now()
        state: dict[str, Any] = dict(super(FittedMLP, now).__getstate__())
        for name in ("coefs_", "intercepts_"):
            if name in state and place_of(state[name][0]).device.startswith("cuda"):
                state[name] = [to_host(part) for part in state[name]]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a pickled state; parameters that JAX has put on its first GPU go back to the CPU.

        They were not pickled from a GPU (see `__getstate__`).
        """
        super().__setstate__(state)
        for name in ("coefs_", "intercepts_"):
            place = place_of(state[name][0]) if name in state else HOST
            if place.device.startswith("cuda"):
                cpu = backend_at(Place(place.library, "cpu"), dtype_name(state[name][0]))
                setattr(self, name, [cpu.asarray(to_host(part)) for part in state[name]])

    def __copy__(self) -> Any:
        """A shallow copy that shares arrays on their device."""
        return self._now()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A deep copy; arrays are copied on their device, where pickling would copy them to the host."""
        new = self._now()
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(vars(new), memo))
        return new

    def __sklearn_array_api_convert__(self, converter: Callable[[Array], Array]) -> Any:
        """A copy with the parameters converted: scikit-learn's way to move a fitted estimator."""
        new = self.__copy__()
        for name in ("coefs_", "intercepts_"):
            if name in vars(new):
                setattr(new, name, [converter(part) for part in getattr(new, name)])
        return new


def sum_is_finite(x: Host) -> bool:
    """Whether the sum of x is finite, which implies that every entry is; large finite entries may overflow it."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.sum(x)))


#: What each estimator predicted with last. That holds on to the parameters, so it goes when the estimator goes;
#: it is not kept in the estimator, which `predict` leaves as it is and which can be pickled.
FORWARD_PASSES: WeakKeyDictionary[FittedMLP, ForwardPass] = WeakKeyDictionary()
