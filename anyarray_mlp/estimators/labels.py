"""Class labels as training targets, and outputs as labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.values import as_array, refuse
from anyarray_mlp.errors import DataError, UsageError, in_a_line
from anyarray_mlp.typing import Host


@dataclass(frozen=True, eq=False)
class Labels:
    """The classes of a problem, sorted, and its kind: "binary", "multiclass" or "multilabel".

    A problem of one class is binary and predicts that class. `sparse` says whether label indicators are sparse
    matrices, on input and on output.
    """

    kind: str
    classes: Host
    sparse: bool = False

    @classmethod
    def of(cls, y: Any, classes: Any = None) -> Labels:
        """The labels found in y (n,) or (n, k); `classes` lists them if y may lack some."""
        check_kind(y)
        check_classification_targets(y)
        if type_of_target(y).startswith("multilabel"):
            return cls("multilabel", np.arange(y.shape[1]), sparse.issparse(y))
        if np.ndim(y) == 2:
            raise DataError(
                "Multioutput target data is not supported with label binarization: "
                "give one column of labels, or a label indicator matrix of 0 and 1."
            )
        if classes is not None and (
            isinstance(classes, str) or as_array("classes", classes).ndim != 1
        ):
            refuse("classes", "a list of the labels", classes)
        if classes is not None and len(classes) == 0:
            raise UsageError("y has 0 samples: []: `classes` must name every label.")
        if classes is None:
            return cls.among(unique_labels(y))
        try:
            return cls.among(unique_labels(classes))
        except (TypeError, ValueError) as error:  # of types that cannot be compared
            raise DataError(f"classes cannot be used: {in_a_line(error)}") from error

    @classmethod
    def among(cls, classes: Host, multilabel: bool = False) -> Labels:
        """Labels with one of these classes for each sample, or with any of them if `multilabel`."""
        if multilabel:
            return cls("multilabel", classes)
        return cls("multiclass" if len(classes) > 2 else "binary", classes)

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network: one for two classes, else one for each class."""
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def output(self) -> str:
        """The output function that gives their probabilities."""
        return "softmax" if self.kind == "multiclass" else "logistic"

    def codes(self, y: Host) -> Host:
        """The index of each label (n,) among the classes; `DataError` for an unknown label."""
        order = np.argsort(self.classes)  # already sorted, unless set by hand
        found = np.searchsorted(self.classes, y, sorter=order)
        codes = order[np.minimum(found, len(self.classes) - 1)]
        unseen = self.classes[codes] != y
        if np.any(unseen):
            raise DataError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. 'y' has {np.unique(y)}."
            )
        return codes.astype(np.int64)

    def encode(self, y: Any, loss: str) -> Host:
        """Targets for a loss: codes (n,) with cross_entropy, else floats (n, k)."""
        if self.kind == "multilabel":
            dense = y.toarray() if sparse.issparse(y) else np.asarray(y)
            if dense.ndim != 2 or dense.shape[1] != len(self.classes):
                raise DataError(
                    f"y has {dense.shape[1] if dense.ndim == 2 else 1} label column(s) "
                    f"and the estimator was fitted with {len(self.classes)}: give the same columns."
                )
            return np.asarray(dense > 0, dtype=np.float64)
        codes = self.codes(y)
        if self.kind == "binary":
            return codes[:, None].astype(np.float64)
        return codes if loss == "cross_entropy" else np.eye(len(self.classes))[codes]

    def decode(self, backend: Backend, outputs: Any) -> Any:
        """Labels (n,) or a label indicator (n, k) of outputs (n, k), in the outputs' library.

        Text labels are returned as NumPy arrays, and sparse indicators as SciPy matrices.
        """
        with backend.on_device():
            return self.decode_here(backend, outputs)

    def decode_here(self, backend: Backend, outputs: Any) -> Any:
        """`decode`, when the outputs' device is the current device."""
        xp = backend.xp
        if self.kind == "multilabel":
            chosen = xp.astype(outputs > 0.5, xp.int64)
            return sparse.csr_matrix(backend.to_host(chosen)) if self.sparse else chosen
        codes = self.chosen(xp, outputs)
        if backend.name == "numpy":
            return self.classes[codes]
        if self.classes.dtype.kind not in "biuf":
            return self.classes[backend.to_host(codes)]
        return xp.take(backend.asarray(self.classes, dtype=str(self.classes.dtype)), codes, axis=0)

    def chosen(self, xp: Any, outputs: Any) -> Any:
        """The index (n,) of the most probable class for each row of outputs (n, k)."""
        if outputs.shape[1] > 1:
            return xp.argmax(outputs, axis=1)
        last = len(self.classes) - 1  # if there is one class, always that one
        return xp.astype(outputs[:, 0] > 0.5, xp.int64) * last

    def probabilities(self, backend: Backend, outputs: Any) -> Any:
        """A column for each class: one output becomes the probabilities of two classes."""
        if self.kind == "multilabel" or outputs.shape[1] > 1:
            return outputs
        with backend.on_device():
            return backend.xp.concat([1.0 - outputs, outputs], axis=1)


class TargetTypeError(DataError, TypeError):
    """Targets of a type that cannot be learned; also a TypeError, as in scikit-learn."""


def check_kind(y: Any) -> None:
    """Raise `TargetTypeError` for labels of dtype object that are not all text."""
    if np.ndim(y) != 1 or getattr(y, "dtype", np.dtype(float)).kind != "O":
        return
    kinds = sorted({"str" if isinstance(label, str) else type(label).__name__ for label in y})
    if len(kinds) > 1:
        raise TargetTypeError(
            f"y mixes labels of the types {', '.join(kinds)}: "
            "convert all of them to one type, such as y.astype(str), and leave out rows without a label."
        )
    if kinds and kinds != ["str"]:
        raise TargetTypeError(
            f"Unknown label type: {kinds[0]}, with dtype object: "
            "convert y to text or numbers, such as y.astype(str) or y.astype(int)."
        )
