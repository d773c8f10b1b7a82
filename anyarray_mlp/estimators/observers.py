"""Support for scikit-learn's callbacks (new in 1.9) for fits and epochs; does nothing in older versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks as managed
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No callbacks."""

    def managed(method: Any) -> Any:
        """The method itself."""
        return method


Method = TypeVar("Method")


def with_callbacks(method: Method) -> Method:
    """Let scikit-learn tear down callbacks when the method ends, in whatever way."""
    return cast(Method, managed(method))


class FitTask:
    """A fit as scikit-learn's callbacks see it: a task with one subtask for each epoch."""

    def __init__(self, estimator: Any, epochs: int, x: Any, y: Any, weight: Any) -> None:
        self.estimator = estimator
        self.data = {"X": x, "y": y, "metadata": {"sample_weight": weight}}
        begin = getattr(estimator, "_init_callback_context", None)
        self.context = begin(max_subtasks=epochs) if begin is not None else None
        if self.context is not None:
            self.context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def epoch(self, attributes: Callable[[], dict[str, Any]]) -> bool:
        """Report an epoch; True if a callback asks to stop.

        `attributes` gives the fitted attributes after the epoch.
        """
        if self.context is None:
            return False
        task = self.context.subcontext(task_name="epoch")
        task.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return bool(
            task.call_on_fit_task_end(
                estimator=self.estimator,
                # scikit-learn copies the estimator, and during a fit a copy is of the earlier state.
                reconstruction_attributes=lambda: (
                    vars(self.estimator._in_training()) | attributes()
                ),
                **self.data,
            )
        )

    def end(self, attributes: Callable[[], dict[str, Any]]) -> None:
        """Report the end of the fit."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=attributes, **self.data
            )
