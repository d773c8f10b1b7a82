"""MLflow: a run with parameters, metrics by epoch, the model's file and the diagnosis as artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyarray_mlp.tracking.logs import Log, as_texts, imported


class MLflowLog(Log):
    """A run of MLflow, called as the folder, where MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME say."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.mlflow = imported("mlflow", "pip install mlflow-skinny")
        self.client = self.mlflow.MlflowClient()
        with self.mlflow.start_run(run_name=folder.name) as run:
            self.run_id = run.info.run_id
        self.client.update_run(self.run_id, status="RUNNING")
        for name, text in as_texts(settings).items():
            self.client.log_param(self.run_id, name, text)

    def figures(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Metrics of an epoch."""
        for name, value in figures.items():
            self.client.log_metric(self.run_id, name, value, step=epoch)

    def results(
        self, scores: Mapping[str, float], model: Any = None, diagnosis: str | None = None
    ) -> None:
        """Final metrics, and files as artifacts."""
        for name, value in scores.items():
            self.client.log_metric(self.run_id, f"final_{name}", value)
        if model is not None:
            self.client.log_artifact(self.run_id, str(model))
        if diagnosis is not None:
            self.client.log_dict(self.run_id, json.loads(diagnosis), "diagnosis.json")

    def close(self, failed: bool = False) -> None:
        """End the run."""
        self.client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")
