"""Multilayer perceptrons on any array library: one backprop, gradients that agree."""

from __future__ import annotations

__version__ = "0.1.0"
