"""NumPy's functions and methods by what they do with the elements that they are given."""

from __future__ import annotations

import numpy as np

#: Functions whose result's elements are elements of their arguments, or constants.
MOVES = frozenset(
    [
        "reshape",
        "ravel",
        "transpose",
        "squeeze",
        "swapaxes",
        "flatten",
        "copy",
        "array",
        "asarray",
        "asanyarray",
        "ascontiguousarray",
        "concatenate",
        "stack",
        "vstack",
        "hstack",
        "column_stack",
        "row_stack",
        "dstack",
        "append",
        "insert",
        "expand_dims",
        "broadcast_to",
        "repeat",
        "tile",
        "flip",
        "fliplr",
        "flipud",
        "roll",
        "pad",
        "delete",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "moveaxis",
        "rot90",
        "take",
        "diagonal",
        "diag",
        "split",
        "array_split",
        "hsplit",
        "vsplit",
        "block",
        "trace_rows",
    ]
)


ELEMENTWISE = frozenset(
    ["where", "clip", "nan_to_num", "around", "round", "round_", "real", "sinc"]
)


#: Functions that NumPy calls as they are, whatever they are given.
UNDISPATCHED = (np.array, np.asarray, np.asanyarray)

#: Methods of arrays that are recorded as they are.
METHODS = (
    "dot",
    "sum",
    "mean",
    "max",
    "min",
    "std",
    "var",
    "prod",
    "flatten",
    "copy",
    "astype",
    "clip",
    "argmax",
    "argmin",
    "repeat",
    "cumsum",
    "round",
    "trace",
    "diagonal",
    "any",
    "all",
    "nonzero",
    "take",
    "conj",
    "ptp",
    "argsort",
    "reshape",
    "ravel",
    "transpose",
    "squeeze",
    "swapaxes",
)
