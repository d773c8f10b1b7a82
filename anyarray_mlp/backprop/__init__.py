"""What is wrong with a hand-written backprop: `check_backprop` and `check_file`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyarray_mlp.checking.lazy import lazy

if TYPE_CHECKING:
    from anyarray_mlp.backprop.causes.finding import BackpropFinding
    from anyarray_mlp.backprop.check import check_backprop, check_file
    from anyarray_mlp.backprop.report import BackpropReport
    from anyarray_mlp.backprop.user.adapter import Adapter

#: Where each public name lives.
HOMES = {
    "Adapter": "user.adapter",
    "BackpropFinding": "causes.finding",
    "BackpropReport": "report",
    "check_backprop": "check",
    "check_file": "check",
}

__all__ = ["Adapter", "BackpropFinding", "BackpropReport", "check_backprop", "check_file"]

__getattr__, __dir__ = lazy(__name__, HOMES)
