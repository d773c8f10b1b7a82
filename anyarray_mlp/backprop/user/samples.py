"""The user's samples, targets and outputs as (n, features), whatever their layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.backprop.user.adapter import Layout
from anyarray_mlp.backprop.user.network import UserNetwork
from anyarray_mlp.backprop.user.paths import namespace_of, to_host
from anyarray_mlp.backprop.user.returned import flatten
from anyarray_mlp.backprop.user.snapshots import is_tensor
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host

MOST_SAMPLES = 256


def take(data: Any, index: Sequence[int], layout: Layout) -> Any:
    """Some of the samples, in the user's layout."""
    if isinstance(data, (list, tuple)):
        return type(data)(data[i] for i in index)
    axis = 1 if layout == "columns" and len(data.shape) > 1 else 0
    if hasattr(data, "iloc"):
        return data.iloc[:, list(index)] if axis else data.iloc[list(index)]
    if isinstance(data, np.ndarray) or is_tensor(data):
        return data[:, list(index)] if axis else data[list(index)]
    xp = namespace_of(data)
    return xp.take(data, xp.asarray(list(index)), axis=axis)


def scaled(data: Any, factor: float) -> Any:
    """The samples times a number, in the user's type."""
    if isinstance(data, (list, tuple)):
        return type(data)(scaled(item, factor) for item in data)
    if isinstance(data, np.ndarray) and data.dtype.kind in "iub":
        return data.astype(float) * factor
    return data * factor


@dataclass(frozen=True)
class Samples:
    """x and y as the user gave them (for calls) and as float64 matrices (for the reference)."""

    x: Any
    y: Any
    layout: Layout
    inputs: Host  # (n, i)

    @property
    def count(self) -> int:
        return len(self.inputs)

    @property
    def target_layout(self) -> Layout:
        return target_layout(self.y, self.layout, self.count)

    @property
    def lie(self) -> str:
        """ "columns" if a sample is a column, even if each sample is given by itself."""
        single_column = self.layout == "single" and np.shape(to_host(self.x[0]))[1:] == (1,)
        return "columns" if self.layout == "columns" or single_column else "rows"

    def one(self, index: int) -> tuple[Any, Any]:
        """A batch of one sample; in the layout "single", the sample itself."""
        if self.layout == "single":
            return self.x[index], self.y[index]
        return take(self.x, [index], self.layout), take(self.y, [index], self.target_layout)

    def some(self, index: list[int]) -> Samples:
        x = take(self.x, index, self.layout)
        y = take(self.y, index, self.target_layout)
        return Samples(x, y, self.layout, self.inputs[index])


def target_layout(y: Any, layout: Layout, count: int) -> Layout:
    """Targets have the layout of the inputs, or the other one if only that gives one per sample."""
    shape = np.shape(to_host(y))
    if layout == "single":
        return layout
    if len(shape) == 1:
        return "rows"
    ways: list[Layout] = ["rows", "columns"] if layout == "rows" else ["columns", "rows"]
    fitting = [way for way in ways if shape[-1 if way == "columns" else 0] == count]
    return fitting[0] if fitting else layout


def check_finite(x: Any, y: Any) -> None:
    """Refuse samples and targets that contain NaN or infinity.

    Raises
    ------
    DataError
        If there are any.
    """
    for name, data in (("x", x), ("y", y)):
        text = first_text(data)
        if text is not None:
            raise DataError(
                f"{name} holds texts ({shown(text)}); give numbers, and classes as 0, 1, 2, ... or "
                "one-hot; if your functions need texts, convert inside the functions that you give"
            )
        bad = sum(int((~np.isfinite(array)).sum()) for _, array in flatten(data))
        if bad:
            values = f"{bad} value{'s' if bad > 1 else ''}"
            raise DataError(f"{name} holds {values} of NaN or inf; remove those samples")


def first_text(data: Any) -> str | None:
    """The first text in an array or in nested lists; None if there is none."""
    if isinstance(data, (list, tuple)):
        return next((t for t in map(first_text, data) if t is not None), None)
    if isinstance(data, np.ndarray) and data.dtype.kind in "USO":
        return first_text(data.ravel().tolist())
    return str(data) if isinstance(data, (str, bytes)) else None


def as_samples(x: Any, y: Any, layout: Layout) -> Samples:
    """Check that x and y fit together in this layout.

    Raises
    ------
    DataError
        If the numbers of samples differ.
    """
    if layout == "single":
        inputs = np.stack([np.asarray(to_host(xi), dtype=np.float64).ravel() for xi in x])
        targets = len(y)
    else:
        host = np.asarray(to_host(x), dtype=np.float64)
        host = host.reshape(len(host), -1) if host.ndim != 2 else host
        inputs = host.T if layout == "columns" else host
        shape = np.shape(to_host(y))
        by_columns = target_layout(y, layout, len(inputs)) == "columns"
        targets = shape[-1 if by_columns else 0]
    if targets != len(inputs):
        raise DataError(
            f"x has {len(inputs)} samples and y has {targets} (read as {layout}); give one target for each "
            "sample, or samples='rows', 'columns' or 'single'"
        )
    samples = Samples(x, y, layout, inputs)
    if len(inputs) > MOST_SAMPLES:
        samples = samples.some(list(range(MOST_SAMPLES)))
    return samples


def outputs_of(network: UserNetwork, samples: Samples) -> Host:
    """The user's outputs (n, k) for these samples."""
    if samples.layout == "single":
        rows = [np.ravel(network.output(samples.x[i])) for i in range(samples.count)]
        return np.stack(rows)
    return as_rows(network.output(samples.x), samples)


def outputs_one_by_one(network: UserNetwork, samples: Samples) -> Host:
    """The same, each sample in a call of its own."""
    rows = [np.ravel(network.output(samples.one(i)[0])) for i in range(samples.count)]
    return np.stack(rows)


def as_rows(output: Host, samples: Samples) -> Host:
    """(n, k) from the user's output.

    Raises
    ------
    DataError
        If its shape does not fit the samples.
    """
    n = samples.count
    if samples.layout == "columns" and output.ndim == 2 and output.shape[1] == n:
        return output.T
    if output.ndim >= 1 and output.shape[0] == n:
        return output.reshape(n, -1)
    if output.ndim == 2 and output.shape[1] == n:
        return output.T
    if output.size == n:
        return output.reshape(n, 1)
    raise DataError(
        f"forward returns shape {output.shape} for {n} samples (read as {samples.layout}), not one row or one "
        "column for each sample; give samples='rows', 'columns' or 'single'"
    )


def targets_of(samples: Samples, outputs: int) -> Host:
    """Targets (n, k) in float64; class numbers become one-hot rows.

    Raises
    ------
    DataError
        If their shape does not fit the outputs.
    """
    n = samples.count
    if samples.layout == "single":
        y = np.stack([np.asarray(to_host(yi), dtype=np.float64).ravel() for yi in samples.y])
    else:
        y = np.asarray(to_host(samples.y), dtype=np.float64)
        if samples.target_layout == "columns" and y.ndim == 2:
            y = y.T
        y = y.reshape(n, -1)
    if y.shape[1] == outputs:
        return y
    labels = y[:, 0]
    if y.shape[1] == 1 and np.array_equal(labels, np.round(labels)) and labels.min() >= 0:
        if labels.max() >= outputs:
            raise DataError(
                f"the targets contain class {labels.max():g}, but the network has {outputs} outputs (classes 0 to "
                f"{outputs - 1}); number the classes from 0"
            )
        return np.asarray(np.eye(outputs)[labels.astype(int)])
    raise DataError(
        f"targets of shape {np.shape(samples.y)} do not fit {outputs} outputs for {n} samples; give one row of "
        "that many numbers, or one class number, for each sample"
    )
