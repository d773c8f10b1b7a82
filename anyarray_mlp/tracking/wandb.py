"""Weights & Biases: a run with its configuration, curves, summary and an artifact of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyarray_mlp.tracking.logs import Log, as_texts, imported


class WandbLog(Log):
    """A run, called as the folder, in the project that WANDB_PROJECT names, else anyarray-mlp."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.wandb = imported("wandb", "pip install wandb")
        project = None if self.wandb.env.get_project() else "anyarray-mlp"
        self.run = self.wandb.init(project=project, name=folder.name, config=as_texts(settings))

    def figures(self, epoch: int, figures: Mapping[str, float]) -> None:
        """A point of each curve."""
        self.run.log(dict(figures), step=epoch)

    def results(
        self, scores: Mapping[str, float], model: Any = None, diagnosis: str | None = None
    ) -> None:
        """The summary, and an artifact with the model's file and the diagnosis."""
        self.run.summary.update({f"final_{name}": value for name, value in scores.items()})
        if diagnosis is not None:
            self.run.summary["diagnosis"] = json.loads(diagnosis)
        if model is not None:
            artifact = self.wandb.Artifact(f"{self.run.name}-model", type="model")
            artifact.add_file(str(model))
            self.run.log_artifact(artifact)

    def close(self, failed: bool = False) -> None:
        """End the run."""
        self.run.finish(exit_code=int(failed))
