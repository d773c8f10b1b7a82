"""The formulas that exports are made of: those of the activations, worked out step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import UsageError
from anyarray_mlp.export.formulas import OPERATIONS, Formula, Number, Step, formula_of
from anyarray_mlp.network.functional import ACTIVATIONS, OUTPUTS

Z = np.concatenate([np.linspace(-6, 6, 301), [-900.0, -80.0, 80.0, 0.0]])


def worked_out(formula: Formula, z: np.ndarray) -> Any:
    """The value of a formula at z."""
    values: list[Any] = [z]

    def of(operand: Any) -> Any:
        return z.dtype.type(operand.value) if isinstance(operand, Number) else values[operand]

    for operation, operands in formula.steps:
        function = erf if operation == "erf" else getattr(np, operation)
        assert len(operands) == OPERATIONS[operation]
        values.append(function(*map(of, operands)))
    return of(formula.result)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [(), ("erf",)], ids=["without erf", "with erf"])
@pytest.mark.parametrize("name", [*ACTIVATIONS, "exp"])
def test_a_formula_gives_what_the_function_gives(name: str, given: Any, dtype: str) -> None:
    z = (Z if name != "exp" else np.linspace(-5, 5, 99)).astype(dtype)
    function = (ACTIVATIONS | OUTPUTS)[name]
    formula = formula_of(name, function, dtype, given)
    assert ("erf" in formula.operations) == (bool(given) and name == "gelu")
    expected, _ = function(PlainNamespace(np), z.copy())
    with np.errstate(under="ignore"):
        found = worked_out(formula, z)
    assert found.dtype == dtype
    tolerance = 8 * np.finfo(dtype).eps
    assert np.allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_equal_steps_are_one_and_those_that_nobody_needs_are_left_out() -> None:
    def function(xp: Any, z: Any) -> Any:
        _ = xp.exp(z)
        a = z * z + 1.0
        a *= z * z + 1
        return a, lambda da: da

    square = Step("multiply", (0, 0))
    more = Step("add", (1, Number(1.0)))
    assert formula_of("f", function, "float64") == Formula(
        (square, more, Step("multiply", (2, 2))), 3
    )


def test_a_number_is_no_place_and_is_one_of_the_dtype() -> None:
    formula = formula_of("f", lambda xp, z: ((z + 1) * (z + z) + 0.1, None), "float32")  # type: ignore[arg-type,return-value]
    assert formula.steps[0] == Step("add", (0, Number(1.0)))
    assert formula.steps[1] == Step("add", (0, 0))
    assert formula.steps[3] == Step("add", (3, Number(float(np.float32(0.1)))))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda xp, z: (xp.sum(z), None), "it uses 'sum', which is no elementwise operation"),
        (lambda xp, z: (z + xp.zeros(3), None), "it uses 'zeros'"),
        (lambda xp, z: (z**3, None), "it uses the power 3"),
        (lambda xp, z: (xp.exp(z, z), None), "it uses 'exp'"),
        (lambda xp, z: (z[0], None), "is not a formula of single numbers: TypeError"),
        (lambda xp, z: (z if z > 0 else 0.0, None), "is not a formula of single numbers"),
    ],
)
def test_what_is_no_formula_is_refused(function: Any, message: str) -> None:
    with pytest.raises(UsageError, match=r"the activation 'mine' cannot be exported.*" + message):
        formula_of("mine", function, "float32")
