"""Models for the tests of export: every activation, output and kind of column, and rows for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from anyarray_mlp import MLP, select_backend
from anyarray_mlp.data import Preprocessor, TargetEncoder
from anyarray_mlp.data.dates import TEXT_FORMS, days_of_cell
from anyarray_mlp.network.before import Scale
from anyarray_mlp.network.functional import ACTIVATIONS
from anyarray_mlp.parity.roundoff import RoundoffNamespace
from anyarray_mlp.pipeline import TrainedModel

N = 240
RNG = np.random.default_rng(18)
NUMBERS = pd.DataFrame({"a": RNG.normal(5, 3, N), "b": RNG.exponential(100, N), "c": RNG.random(N)})
GAPS = NUMBERS.mask(RNG.random(NUMBERS.shape) < 0.1)
#: What a text in C and in ONNX must survive.
NAMES = ['say "so"', "what??/", "naïve", "back\\slash", "with,comma", "3"]
KINDS = pd.DataFrame(
    {
        "kind": RNG.choice(NAMES, N),
        "sort": RNG.choice(["x", "y"], N),
        "zone": [f"z{int(k)}" for k in RNG.geometric(0.08, N)],
        "a": NUMBERS["a"],
    }
)
DAYS = pd.date_range("1969-12-28", periods=N, freq="53h")
DIGITS = {"yyyymmdd": "%Y%m%d", "ddmmyyyy": "%d%m%Y", "mmddyyyy": "%m%d%Y", "yymmdd": "%y%m%d",
          "ddmmyy": "%d%m%y", "mmddyy": "%m%d%y"}  # fmt: skip
#: Columns whose form a person must say.
FORMS = [f"{form}:{form}" for form in (*DIGITS, "seconds", "milliseconds", "year")]


@dataclass(frozen=True)
class Case:
    """A model and rows for it."""

    model: TrainedModel
    rows: Any

    def inputs(self, dtype: str) -> np.ndarray:
        """The rows as the network takes them."""
        x = self.model.preprocessor.transform(self.rows, dtype=dtype)
        if self.model.preprocessor.pixels:
            # As the step scales bytes.
            x = self.rows.astype(dtype) * np.dtype(dtype).type(1 / 255)
        return x

    def reference(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """The outputs (n, k) in float64 and the bound of parity on what a correct program in `dtype` may differ."""
        xp: Any = RoundoffNamespace(dtype)
        found, bound = [], []
        vectors = self.model.parameters
        for vector in vectors if vectors.ndim == 2 else vectors[None]:
            leaves = (xp.exact(vector.astype(dtype)),)
            y = self.model.mlp.predict(xp, leaves, xp.exact(self.inputs(dtype)))
            found.append(y.value)
            bound.append(y.error)
        # Of several networks, the sum and the quotient round as well.
        rounding = len(found) * np.finfo(dtype).eps * np.abs(found).mean(0) * (len(found) > 1)
        return np.mean(found, 0), np.mean(bound, 0) + rounding

    def values(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """Of a regression, the reference (n, k) in its own unit, within its bounds, and what it may differ by."""
        reference, bound = self.reference(dtype)
        targets = self.model.targets
        scale, mean = np.array(targets.scale), np.array(targets.mean)
        # The value in its own unit is worked out in float64.
        bound = bound * scale + 4 * np.finfo(float).eps * (np.abs(reference * scale) + np.abs(mean))
        return targets.clamped(reference * scale + mean), bound

    def outputs(self, dtype: str) -> np.ndarray:
        """What `predict` computes."""
        return self.model.outputs(self.rows, select_backend(dtype=dtype))


def model_of(
    preprocessor: Preprocessor, task: str = "classification", target: Any = None, **network: Any
) -> TrainedModel:
    """A network with random weights and biases."""
    if target is None:
        target = RNG.choice(["no", "yes", "don't know"], N)
    targets = TargetEncoder.fit(target, task, scale_target=task == "regression")  # type: ignore[arg-type]
    hidden = network.pop("hidden", (7, 5))
    outputs = network.pop("outputs", targets.width)
    mlp = MLP((preprocessor.n_features_out, *hidden, outputs), **network)
    parameters = mlp.initialize(3)
    parameters += 0.1 * np.random.default_rng(4).normal(size=parameters.size)
    return TrainedModel(mlp, parameters, preprocessor, targets)


def dates() -> pd.DataFrame:
    """A column of each form."""
    slashed = DAYS.strftime("%d/%m/%Y").to_series(index=range(N))
    slashed[5:20] = None
    return pd.DataFrame(
        {
            "text": DAYS.strftime("%Y-%m-%d %H:%M"),
            "slashed": slashed,
            "datetime": DAYS,
            "seconds": DAYS.shift(3000).astype("int64") // 10**9,
            "milliseconds": DAYS.shift(3000).astype("int64") // 10**6,
            "year": 1800.0 + np.arange(N) % 400,
            **{form: DAYS.strftime(code).astype("int64") for form, code in DIGITS.items()},
        }
    )


def of_columns(rows: pd.DataFrame, **fit: Any) -> Case:
    """A network on the columns of a table."""
    return Case(model_of(Preprocessor.fit(rows, **fit), activation="tanh"), rows)


def cases() -> dict[str, Case]:
    """Every case by name."""
    plain = Preprocessor.fit(NUMBERS)
    names = [*ACTIVATIONS]
    found = {
        name: Case(model_of(plain, hidden=(6,) * len(some), activation=some), NUMBERS)
        for name, some in (("activations", names[::2]), ("others", names[1::2]))
    }
    several = RNG.normal(1e4, 300, (N, 2))
    heads = {
        "regression": model_of(plain, "regression", several[:, 0], output="identity"),
        "regressions": model_of(plain, "regression", several, output="identity"),
        "rates": model_of(plain, "regression", several, output="exp"),
        "shares": model_of(plain, "regression", several, output="logistic", loss="squared_error"),
        "binary": model_of(plain, target=RNG.random(N) < 0.5, output="logistic", outputs=1),
        "labels": model_of(plain, "multilabel", RNG.integers(0, 2, (N, 3)), output="logistic"),
        "numbered": model_of(plain, target=RNG.integers(5, 9, N), bias=False),
        "linear": model_of(plain, hidden=()),
        "mixed": model_of(plain, activation=["relu", "gelu"], dropout=0.5),
        "named": model_of(plain, target=RNG.choice(NAMES, N)),
    }  # fmt: skip
    bent = model_of(plain, before=[Scale()], parametric=True, activation="gelu")
    heads["bent"] = bent
    bag = replace(
        bent, parameters=np.stack([bent.parameters, 0.8 * bent.parameters, 0.5 - bent.parameters])
    )
    heads["bag"] = bag
    clamped = TargetEncoder.fit(several, "regression", scale_target=True, clamp=True)
    clamped = replace(clamped, low=(9990.0, -1e9), high=(1e9, 10010.0))
    heads["clamped"] = replace(heads["regressions"], targets=clamped)
    found |= {name: Case(model, NUMBERS) for name, model in heads.items()}
    found["gaps"] = of_columns(GAPS)
    for numbers in ("robust", "pieces"):
        found[numbers] = of_columns(GAPS, numbers=numbers)
    gone = KINDS.mask(RNG.random(KINDS.shape) < 0.1)
    gone["sort"] = KINDS["sort"]
    found["categories"] = of_columns(gone)
    with_gaps = found["categories"].rows.mask(RNG.random(KINDS.shape) < 0.1)
    found["categories_with_gaps"] = replace(found["categories"], rows=with_gaps)
    for numbers in ("standard", "pieces"):
        found[f"dates_{numbers}"] = of_columns(dates(), date=[*FORMS], numbers=numbers)
    late = dates().assign(slashed=DAYS.shift(999).strftime("%d/%m/%Y"), seconds=4e9)
    late.loc[3:9, "slashed"] = None
    late.loc[5:6, "year"] = np.nan
    found["dates_of_later"] = replace(found["dates_pieces"], rows=late)
    pixels = RNG.integers(0, 256, (N, 12)).astype(np.uint8)
    found["pixels"] = Case(model_of(Preprocessor.fit(pixels)), pixels)
    return found


def as_numbers(column: Any, cells: pd.Series) -> np.ndarray:
    """A column without categories (n,) as exports ask for it: of dates that are none in the table, the days."""
    if column.kind == "date" and column.form in (*TEXT_FORMS, "datetime"):
        texts = [None if pd.isna(cell) else str(cell) for cell in cells]
        return np.array([days_of_cell(text, column.form) for text in texts])
    return cells.to_numpy(dtype=np.float64)


def as_texts(cells: pd.Series) -> list[str]:
    """A column of categories as exports ask for it: an empty text for a gap."""
    return ["" if pd.isna(cell) else str(cell) for cell in cells]
