"""TensorBoard: curves as scalars, settings and the diagnosis as texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyarray_mlp.tracking.logs import Log, as_texts, imported


class TensorBoardLog(Log):
    """Event files in `tensorboard/` in the folder: `tensorboard --logdir FOLDER` shows them."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        library = imported("tensorboardX", "pip install 'anyarray-mlp[tensorboard]'")
        self.writer = library.SummaryWriter(str(folder / "tensorboard"))
        lines = [f"| {name} | {text} |" for name, text in as_texts(settings).items()]
        self.writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *lines]))

    def figures(self, epoch: int, figures: Mapping[str, float]) -> None:
        """A point of each curve."""
        for name, value in figures.items():
            self.writer.add_scalar(name, value, epoch)

    def results(
        self, scores: Mapping[str, float], model: Any = None, diagnosis: str | None = None
    ) -> None:
        """Scores as points, where the model is, and the diagnosis."""
        for name, value in scores.items():
            self.writer.add_scalar(f"final/{name}", value)
        if model is not None:
            self.writer.add_text("model", str(model))
        if diagnosis is not None:
            self.writer.add_text("diagnosis", f"```\n{diagnosis}\n```")

    def close(self, failed: bool = False) -> None:
        """Write what is left."""
        self.writer.close()
