"""Logs of a run: what CSV, TensorBoard, MLflow and Weights & Biases are told, and what happens if they fail."""

from __future__ import annotations

import csv
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, MLPClassifier, fit
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.tracking import log_to
from tests.beds import unless_expected

X = np.random.default_rng(0).normal(size=(30, 2))
Y = (X[:, 0] > 0).astype(int)
NETWORK = MLP((2, 3, 2))


def lines_of(folder: Path) -> list[dict[str, str]]:
    """The lines of `curves.csv`."""
    with (folder / "curves.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_line_for_each_epoch_as_soon_as_it_is_done(tmp_path: Path) -> None:
    seen: list[int] = []
    with log_to("csv", tmp_path / "new") as log:
        callbacks = [log, lambda epoch: seen.append(len(lines_of(tmp_path / "new")))]
        result = fit(NETWORK, X, Y, epochs=3, validation=(X, Y), callbacks=callbacks)
    lines = lines_of(tmp_path / "new")
    assert seen == [1, 2, 3]
    assert [int(line["epoch"]) for line in lines] == [1, 2, 3]
    assert [float(line["loss"]) for line in lines] == result.loss_curve
    assert [float(line["validation_loss"]) for line in lines] == result.validation_curve


def test_csv_of_a_new_run_replaces_that_of_before_and_a_resumed_one_continues(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        log = log_to("csv", tmp_path)
        for epoch in (1, 2, 3):
            log.figures(epoch, {"loss": 1.0 / epoch})
    log = log_to("csv", tmp_path)
    log.figures(3, {"loss": 9.0, "other": 1.0})
    log.figures(4, {"loss": 8.0})
    lines = lines_of(tmp_path)
    assert [line["epoch"] for line in lines] == ["1", "2", "3", "4"]
    assert [line["loss"] for line in lines] == ["1.0", "0.5", "9.0", "8.0"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::anyarray_mlp.estimators.CollapsedFitWarning")
def test_estimators_log_by_on_epoch(tmp_path: Path) -> None:
    log = log_to("csv", tmp_path)
    estimator = MLPClassifier(3, max_iter=4, random_state=0, on_epoch=log).fit(X, Y)
    assert [float(line["loss"]) for line in lines_of(tmp_path)] == estimator.loss_curve_


def test_tensorboard_has_curves_settings_and_the_diagnosis(tmp_path: Path) -> None:
    if find_spec("tensorboardX") is None:
        unless_expected("tensorboard", "tensorboardX is not installed")
    from tensorboardX.proto.event_pb2 import Event

    with log_to("tensorboard", tmp_path, settings={"hidden": (3,), "none": None}) as log:
        result = fit(NETWORK, X, Y, epochs=3, callbacks=log)
        log.finish({"accuracy": 0.5}, "model.safetensors", '{"ok": true}')
    (file,) = (tmp_path / "tensorboard").iterdir()
    content, at, values = file.read_bytes(), 0, []
    while at < len(content):  # length (8 bytes), its checksum (4), the event, its checksum (4)
        size = int.from_bytes(content[at : at + 8], "little")
        event = Event.FromString(content[at + 12 : at + 12 + size])
        values += [(value, event.step) for value in event.summary.value]
        at += 16 + size
    losses = [(step, value.simple_value) for value, step in values if value.tag == "loss"]
    assert losses == [(i + 1, pytest.approx(x, rel=1e-6)) for i, x in enumerate(result.loss_curve)]
    texts = {
        value.tag.partition("/")[0]: value.tensor.string_val[0].decode()
        for value, _ in values
        if value.tensor.string_val
    }
    assert "| hidden | (3,) |" in texts["settings"]
    assert "none" not in texts["settings"]
    assert '{"ok": true}' in texts["diagnosis"]
    assert texts["model"] == "model.safetensors"


class Recorder:
    """An object of another library: whatever is called on it is noted."""

    def __init__(self, noted: list[Any], **given: Any) -> None:
        self.noted = noted
        vars(self).update(given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **options: Any) -> None:
            self.noted.append((name, *arguments, *options.items()))

        return call


def test_mlflow_has_a_run_with_metrics_by_epoch_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Any] = []

    class Started:
        info = SimpleNamespace(run_id="r1")

        def __enter__(self) -> Started:
            return self

        def __exit__(self, *error: Any) -> None: ...

    library = SimpleNamespace(
        MlflowClient=lambda: Recorder(noted), start_run=lambda run_name: Started()
    )
    monkeypatch.setitem(sys.modules, "mlflow", library)
    with log_to("mlflow", tmp_path, settings={"alpha": 0.1}) as log:
        log.figures(2, {"loss": 0.5})
        log.finish({"accuracy": 0.9}, "m.safetensors", "{}")
    assert noted == [
        ("update_run", "r1", ("status", "RUNNING")),
        ("log_param", "r1", "alpha", "0.1"),
        ("log_metric", "r1", "loss", 0.5, ("step", 2)),
        ("log_metric", "r1", "final_accuracy", 0.9),
        ("log_artifact", "r1", "m.safetensors"),
        ("log_dict", "r1", {}, "diagnosis.json"),
        ("set_terminated", "r1", "FINISHED"),
    ]


def test_weights_and_biases_has_a_run_with_a_summary_and_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Any] = []
    run = Recorder(noted, name="first", summary={})
    library = SimpleNamespace(
        env=SimpleNamespace(get_project=lambda: None),
        init=lambda **given: noted.append(given) or run,
        Artifact=lambda name, type: Recorder(noted),
    )
    monkeypatch.setitem(sys.modules, "wandb", library)
    log = log_to("wandb", tmp_path / "first", settings={"alpha": 0.1})
    log.figures(1, {"loss": 0.5})
    log.finish({"accuracy": 0.9}, "m.safetensors", '{"ok": true}')
    log.__exit__(ZeroDivisionError, None, None)
    assert noted[0] == {"project": "anyarray-mlp", "name": "first", "config": {"alpha": "0.1"}}
    assert noted[1] == ("log", {"loss": 0.5}, ("step", 1))
    assert noted[2] == ("add_file", "m.safetensors")
    assert noted[-1] == ("finish", ("exit_code", 1))
    assert run.summary == {"final_accuracy": 0.9, "diagnosis": {"ok": True}}


def test_a_log_that_fails_warns_once_and_training_continues(tmp_path: Path) -> None:
    log = log_to("csv", tmp_path)
    (tmp_path / "curves.csv").mkdir()
    with pytest.warns(UserWarning, match="CSVLog has failed and notes no more") as caught:
        result = fit(NETWORK, X, Y, epochs=3, callbacks=log)
    assert len([each for each in caught if "CSVLog" in str(each.message)]) == 1
    assert len(result.history) == 3


@pytest.mark.parametrize("kind", ["mlflow", "wandb", "tensorboard"])
def test_a_package_that_is_missing_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX" if kind == "tensorboard" else kind, None)
    with pytest.raises(BackendUnavailableError, match="not installed: pip install"):
        log_to(kind, tmp_path)


def test_another_kind_and_a_server_that_is_not_there_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="tensorboard"):
        log_to("tensorbord", tmp_path)
    with pytest.raises(UsageError, match="settings must be a dict"):
        log_to("csv", tmp_path, settings=[1])  # type: ignore[arg-type]

    def refused() -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=refused))
    with pytest.raises(BackendUnavailableError, match=r"mlflow cannot be logged to: .*nobody"):
        log_to("mlflow", tmp_path)


def test_train_logs_beside_the_run(cli: Any, here: Path) -> None:
    flags = ("--epochs", 2, "--hidden", 3, "--out", "r")
    assert cli("train", "iris", *flags, "--log", "csv")[0] == 0
    lines = lines_of(here / "r")
    kept = [json.loads(line) for line in (here / "r" / "metrics.jsonl").read_text().splitlines()]
    assert [float(line["loss"]) for line in lines] == [record["loss"] for record in kept]
    assert cli("train", "--out", "r", "--resume", "--epochs", 3, "--log", "csv")[0] == 0
    assert [line["epoch"] for line in lines_of(here / "r")] == ["1", "2", "3"]
    code, _, err = cli("train", "iris", "--log", "tensorbord")
    assert (code, "tensorboard" in err) == (2, True)
