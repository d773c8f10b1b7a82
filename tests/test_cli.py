"""The command line: what it prints and writes, and one line and an exit code for everything that is wrong."""

from __future__ import annotations

import csv
import errno
import gzip
import importlib.util
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anyarray_mlp import load_model
from anyarray_mlp.cli import run
from anyarray_mlp.errors import ModelFileError
from anyarray_mlp.persistence import files, load
from anyarray_mlp.pipeline.trained_model import TrainedModel
from tests.datasets import shared_data


def write_flowers(path, rows=90, header="width,height,colour,kind"):
    """A small table with numbers, a category and three classes."""
    generator = np.random.default_rng(0)
    lines = [header] if header else []
    for i in range(rows):
        kind = i % 3
        width, height = generator.normal([kind, -kind], 0.2)
        lines.append(f"{width:.3f},{height:.3f},{'red' if kind else 'blue'},{'abc'[kind]}")
    path.write_text("\n".join(lines) + "\n")


def test_a_column_of_names_is_left_out_aloud(cli, here):
    write_flowers(here / "flowers.csv")
    lines = (here / "flowers.csv").read_text().splitlines()
    named = ["name," + lines[0], *(f"flower {i},{line}" for i, line in enumerate(lines[1:]))]
    (here / "named.csv").write_text("\n".join(named) + "\n")
    code, out, err = cli("train", "named.csv", "--epochs", 1, "--json")
    assert code == 0
    assert "note: column 'name': left out: holds texts that hardly ever recur (--keep name)" in err
    assert json.loads(out)["notes"] == [
        "column 'name': left out: holds texts that hardly ever recur (--keep name)"
    ]
    assert "network 3-100-3" in err
    for flags in (("--drop", "name"), ("--keep", "name")):
        assert "note:" not in cli("train", "named.csv", "--epochs", 1, *flags)[2]
    # Rows without that column are predicted as those with it.
    answers = [cli("predict", "runs/named", name)[1] for name in ("named.csv", "flowers.csv")]
    assert answers[0] == answers[1] != ""


def test_train_leaves_a_folder_that_predict_and_evaluate_take(cli, here):
    write_flowers(here / "flowers.csv")
    code, out, err = cli("train", "flowers.csv", "--epochs", 30, "--hidden", "16,8", "--batch-size", 8,
                         "--learning-rate-init", 0.01)  # fmt: skip
    assert code == 0
    assert out.startswith("test loss")
    assert "test accuracy 1.0000" in out
    assert "flowers.csv: 65 to train on, 7 to validate, 18 to test; classification" in err
    assert "network 3-16-8-3, relu, softmax, cross_entropy; 227 parameters" in err
    assert "epoch 30/30" in err
    folder = here / "runs" / "flowers"
    assert {p.name for p in folder.iterdir()} >= {
        "model.safetensors",
        "metrics.jsonl",
        "config.toml",
    }
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in metrics] == list(range(1, 31))
    assert metrics[-1].keys() >= {
        "loss",
        "validation_loss",
        "accuracy",
        "learning_rate",
        "seconds",
        "step",
    }
    config = tomllib.loads((folder / "config.toml").read_text())
    assert config["hidden"] == [16, 8]
    assert config["data"] == "flowers.csv"

    (here / "new.csv").write_text("height,colour,width\n-2.0,red,2.0\n0.0,blue,0.0\n")
    code, out, _ = cli("predict", "runs/flowers", "new.csv", "--proba")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["prediction"] for row in rows] == ["c", "a"]
    for row in rows:
        assert sum(float(row[f"probability_{k}"]) for k in "abc") == pytest.approx(1, abs=1e-5)
    code, out, _ = cli("predict", "runs/flowers", "new.csv", "--json")
    assert json.loads(out) == [{"prediction": "c"}, {"prediction": "a"}]
    code, out, _ = cli("evaluate", "runs/flowers/model.safetensors", "flowers.csv", "--json")
    assert json.loads(out)["accuracy"] == 1.0


@pytest.mark.parametrize("name", ["flowers.data", "v1.flowers.csv", "flowers.csv.gz"])
def test_the_next_command_names_a_file_of_the_same_kind(cli, here, name):
    write_flowers(here / "flowers.csv")
    raw = (here / "flowers.csv").read_bytes()
    (here / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    _, _, err = cli("train", name, "--epochs", 1, "--out", "run")
    ending = name.removeprefix("v1.").removeprefix("flowers")
    assert f"next: anyarray-mlp predict run new{ending}\n" in err


def test_evaluate_says_if_rows_were_trained_on(cli, here):
    write_flowers(here / "flowers.csv")
    cli("train", "flowers.csv", "--epochs", 1, "--out", "run")
    shutil.copy(here / "flowers.csv", here / "others.csv")
    for model in ("run", "run/model.safetensors"):
        for data in ("flowers.csv", here / "flowers.csv"):
            code, out, err = cli("evaluate", model, data, "--json")
            assert code == 0
            assert json.loads(out)["rows"] == 90
            assert f"note: {model} was trained on rows of" in err
        assert cli("evaluate", model, "others.csv")[2] == ""
    shutil.copy(here / "run" / "model.safetensors", here / "alone")
    assert cli("evaluate", "alone", "flowers.csv")[2] == ""


def test_the_first_command_of_the_readme_reaches_97_percent(cli):
    code, out, _ = cli("train", "digits", "--json", "--quiet")
    assert code == 0
    summary = json.loads(out)
    assert summary["scores"]["accuracy"] >= 0.97
    assert summary["scored_on"] == "test"
    assert summary["parameters"] == 64 * 100 + 100 + 100 * 10 + 10


@pytest.mark.parametrize(
    ("data", "options", "score", "least"),
    [
        ("iris", [], "accuracy", 0.9),
        ("wine", [], "accuracy", 0.9),
        ("breast_cancer", ["--output", "logistic"], "accuracy", 0.93),
        ("breast_cancer", ["--output", "logistic", "--loss", "squared_error"], "accuracy", 0.93),
        ("diabetes", ["--hidden", "none"], "r2", 0.3),
        ("xor", ["--activation", "tanh", "--learning-rate-init", "0.01"], "accuracy", 0.95),
        ("moons", ["--learning-rate-init", "0.01", "--batch-size", "16"], "accuracy", 0.97),
        ("spirals", ["--hidden", "64,64", "--epochs", "150", "--learning-rate-init", "0.005"], "accuracy", 0.9),
        ("abs_sine", ["--hidden", "32,32", "--activation", "tanh", "--learning-rate-init", "0.01"], "r2", 0.98),
        ("iris", ["--solver", "lbfgs", "--hidden", "5", "--alpha", "0.1"], "accuracy", 0.9),
        ("wine", ["--class-weight", "balanced", "--solver", "momentum", "--learning-rate-init", "0.05"],
         "accuracy", 0.9),
    ],
)  # fmt: skip
def test_built_in_sets_are_learned(cli, data, options, score, least):
    code, out, err = cli("train", data, "--json", "--quiet", *options)
    assert code == 0, err
    assert json.loads(out)["scores"][score] >= least


def test_training_says_what_went_wrong_and_diagnose_says_it_again(cli):
    code, _, err = cli("train", "digits", "--learning-rate-init", 10, "--solver", "sgd", "--epochs", 5,
                       "--out", "run")  # fmt: skip
    assert code == 3
    assert "diagnosis: the learning rate is too high" in err
    code, out, _ = cli("diagnose", "run")
    assert code == 1
    assert "Try --learning-rate-init 0." in out or "Try --learning-rate-init 1" in out
    code, _, err = cli("train", "digits", "--epochs", 15, "--out", "good")
    assert "diagnosis: nothing suspicious" in err
    assert cli("diagnose", "good")[0] == 0


def test_reproducible_runs_are_the_same_bits_on_every_backend_at_hand(cli, here):
    names = ["numpy"] + [name for name in ("torch", "jax") if importlib.util.find_spec(name)]
    for name in names:
        code, _, err = cli(
            "train", "iris", "--reproducible", "--epochs", 3, "--backend", name, "--out", name
        )
        assert code == 0, err
    models = [load(here / name / "model.safetensors").arrays for name in names]
    for model in models[1:]:
        for parameter, array in models[0].items():
            np.testing.assert_array_equal(model[parameter], array)


@pytest.mark.parametrize(
    ("file", "rows"),
    [
        ("heart_disease/processed.cleveland.data", 303),
        ("winequality_red/winequality-red.csv", 1599),
    ],
)
def test_public_tables_are_taken_as_they_lie(cli, file, rows):
    path = shared_data(file)
    code, out, err = cli("train", path, "--epochs", 5, "--json", "--quiet")
    assert code == 0, err
    assert json.loads(out)["rows"]["test"] == pytest.approx(rows / 5, abs=2)


@pytest.mark.parametrize("seed", [2, 3])
def test_a_category_that_one_row_holds_stops_no_seed(cli, here, seed):
    lines = [f"{i % 7},{'rare' if i == 50 else 'ab'[i % 2]},{'uv'[i % 2]}" for i in range(100)]
    (here / "rows.csv").write_text("\n".join(["number,kind,label", *lines]) + "\n")
    code, out, err = cli(
        "train", "rows.csv", "--epochs", 2, "--seed", seed, "--out", "run", "--quiet"
    )
    assert code == 0, err
    assert "test accuracy" in out
    assert "kind=rare" in TrainedModel.load("run").preprocessor.encoded_names
    code, out, err = cli("predict", "run", "rows.csv")
    assert code == 0, err
    assert len(out.splitlines()) == 101


def test_unknown_categories_count_as_gaps_unless_they_are_to_be_refused(cli, here):
    rows = "".join(f"{n % 7},{'red' if n % 2 else 'blue'},{'ab'[n % 2]}\n" for n in range(60))
    (here / "known.csv").write_text("size,colour,label\n" + rows)
    (here / "new.csv").write_text(
        "label,note,size,colour\na,x,1,violet\nb,x,2,red\na,x,3,\nb,x,4,pink\n"
    )
    code, _, err = cli("train", "known.csv", "--epochs", 2, "--out", "run", "--quiet")
    assert code == 0, err
    for command in ("predict", "evaluate"):
        code, out, err = cli(command, "run", "new.csv", "--unknown-categories", "refuse")
        assert code == 65
        assert out == ""
        assert "line 2, column 'colour': 'violet' was not seen in training" in err
        assert "--unknown-categories rest takes such rows all the same" in err
    code, out, err = cli("predict", "run", "new.csv", "--proba")
    assert code == 0
    assert "column 'colour': 2 of 4 rows hold categories that were not seen" in err
    assert err.strip().endswith("count as gaps: 'violet', 'pink'")
    (here / "gaps.csv").write_text("size,colour\n1,\n2,red\n3,\n4,\n")
    assert out == cli("predict", "run", "gaps.csv", "--proba")[1]
    code, out, err = cli("evaluate", "run", "new.csv", "--unknown-categories", "rest", "--json")
    assert code == 0
    assert "'violet', 'pink'" in err
    assert json.loads(out)["rows"] == 4


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_several_targets_are_trained_predicted_and_evaluated(cli, here, task):
    generator = np.random.default_rng(0)
    lines = ["a,b,c,d"]
    for a, b in generator.normal(size=(80, 2)):
        c, d = (int(a > 0), int(a + b > 0)) if task == "multilabel" else (a - b, a + 2 * b)
        lines.append(f"{a:.4f},{b:.4f},{c},{d}")
    (here / "two.csv").write_text("\n".join(lines) + "\n")
    targets = ("--target", "c", "--target", "3")
    options = (
        "--epochs",
        30,
        "--hidden",
        8,
        "--learning-rate-init",
        0.02,
        "--out",
        "run",
        "--quiet",
    )
    code, _, err = cli("train", "two.csv", *targets, *options)
    assert code == 0, err
    model = TrainedModel.load("run")
    assert (model.targets.task, model.mlp.sizes[0], model.mlp.sizes[-1]) == (task, 2, 2)
    code, out, err = cli("evaluate", "run", "two.csv", *targets, "--json")
    assert code == 0, err
    assert json.loads(out)["r2" if task == "regression" else "accuracy"] > 0.8
    code, out, _ = cli("predict", "run", "two.csv")
    assert out.splitlines()[0] == "prediction_c,prediction_d"
    code, out, _ = cli("predict", "run", "two.csv", "--proba")
    names = ",probability_c,probability_d" if task == "multilabel" else ""
    assert (code, out.splitlines()[:1]) == (
        (2, []) if task == "regression" else (0, ["prediction_c,prediction_d" + names])
    )
    assert cli("train", "--resume", "--out", "run", "--epochs", 31, "--quiet")[0] == 0
    code, _, err = cli(
        "train", "--resume", "--out", "run", "--epochs", 32, "--quiet", "--target", "c"
    )
    assert code == 2
    assert "--target cannot change" in err


def test_early_stopping_watches_roc_auc_of_two_softmax_classes(cli):
    code, _, err = cli(
        "train",
        "breast_cancer",
        "--early-stopping",
        "--monitor",
        "roc_auc",
        "--epochs",
        3,
        "--out",
        "run",
        "--quiet",
    )
    assert code == 0, err
    scores = [
        json.loads(line)["roc_auc"] for line in Path("run/metrics.jsonl").read_text().splitlines()
    ]
    assert len(scores) == 3
    assert scores[-1] > 0.9


def test_a_model_file_whose_answers_do_not_fit_its_outputs_is_refused(cli, here):
    trained_flowers(here)
    file = load(here / "model" / "model.safetensors")
    for targets in (
        {"task": "classification", "classes": ["a", "b"], "mean": [], "scale": [], "flat": True},
        {"task": "regression", "classes": None, "mean": [0.0], "scale": [1.0], "flat": True},
    ):
        with pytest.raises(ModelFileError, match="answers for a network of 3 outputs"):
            TrainedModel.from_file(replace(file, targets=targets))


def write_idx(path, array):
    """An array of bytes in the format of MNIST, gzipped."""
    kind = {1: b"\0\0\x08\x01", 3: b"\0\0\x08\x03"}[array.ndim]
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(kind + sizes + array.astype(np.uint8).tobytes()))


def test_a_folder_of_images_brings_its_own_test_set(cli, here):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 120)
    images = generator.integers(0, 100, (120, 4, 4)) + 150 * labels[:, None, None]
    for name, part in (("train", slice(0, 100)), ("t10k", slice(100, 120))):
        write_idx(here / f"{name}-images-idx3-ubyte.gz", images[part])
        write_idx(here / f"{name}-labels-idx1-ubyte.gz", labels[part])
    code, out, _ = cli("train", here, "--epochs", 20, "--json", "--quiet", "--out", "run")
    assert code == 0
    summary = json.loads(out)
    assert summary["rows"] == {"training": 90, "test": 20}
    assert summary["scores"]["accuracy"] == 1.0
    assert json.loads(cli("evaluate", "run", here, "--json")[1])["rows"] == 20
    assert TrainedModel.load(here / "run").preprocessor.pixels


def test_a_run_that_was_cut_in_two_ends_where_a_whole_one_does(cli, here):
    for out, spans in (("whole", [6]), ("parts", [2, 6])):
        for epochs in spans:
            more = ["--resume"] if epochs == 6 and len(spans) == 2 else ["--dropout", 0.2]
            code, _, err = cli(
                "train", "digits", "--epochs", epochs, "--out", out, "--quiet", *more
            )
            assert code == 0, err
    models = [load(here / out / "model.safetensors") for out in ("whole", "parts")]
    for name, array in models[0].arrays.items():
        np.testing.assert_array_equal(array, models[1].arrays[name])
    records = [
        (here / out / "metrics.jsonl").read_text().splitlines() for out in ("whole", "parts")
    ]
    assert len(records[1]) == 6
    assert [json.loads(r)["loss"] for r in records[0]] == [
        json.loads(r)["loss"] for r in records[1]
    ]


def test_a_cut_run_remembers_its_plateau_behind_a_warm_up(cli, here):
    options = (
        "train", "iris", "--quiet", "--reproducible", "--hidden", 4, "--learning-rate", "plateau", "--warm-up", 2,
        "--learning-rate-init", 0.5, "--early-stopping", "--patience", 100,
    )  # fmt: skip
    for out, epochs, more in [("whole", 40, ()), ("parts", 25, ()), ("parts", 40, ("--resume",))]:
        code, _, err = cli(*options, "--epochs", epochs, "--out", out, *more)
        assert code == 0, err
    whole, parts = (
        [json.loads(line) for line in (here / out / "metrics.jsonl").read_text().splitlines()]
        for out in ("whole", "parts")
    )
    for name in ("loss", "validation_loss", "learning_rate"):
        assert [r[name] for r in whole] == [r[name] for r in parts]
    assert whole[24]["learning_rate"] < 0.5  # or a plateau that was forgotten would not show
    models = [(here / out / "model.safetensors").read_bytes() for out in ("whole", "parts")]
    assert models[0] == models[1]


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_was_learned(here, number, expected):
    command = [
        sys.executable,
        "-m",
        "anyarray_mlp",
        "train",
        "digits",
        "--epochs",
        "100000",
        "--out",
        "run",
    ]
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(root)}, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        metrics = here / "run" / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (
            metrics.exists() and metrics.read_text().count("\n") > 3
        ):
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == expected, err
    assert "interrupted after epoch" in err
    assert "Traceback" not in err
    assert "test accuracy" in out
    assert TrainedModel.load(here / "run").predict(np.zeros((1, 64))).shape == (1,)


def test_info_names_every_backend_and_how_to_get_it(cli):
    code, out, _ = cli("info")
    assert code == 0
    for name in ("numpy", "cupy", "torch", "jax", "array_api_strict"):
        assert name in out
    report = json.loads(cli("info", "--json")[1])
    arithmetic, streams = report["reproducible_arithmetic"], report["random_streams"]
    assert f"reproducible arithmetic {arithmetic}, random streams {streams}\n" in out
    statuses = report["backends"]
    for status in statuses:
        assert (
            status["devices"]
            or "pip install" in status["problem"]
            or "--device cpu" in status["problem"]
        )


def test_gradcheck_passes_and_shows_one_network(cli):
    code, out, _ = cli("gradcheck", "--activation", "tanh")
    assert code == 0
    assert "19 of 19 networks 4-5-4-3 agree with finite differences" in out
    code, out, _ = cli(
        "gradcheck", "--activation", "relu", "--output", "logistic", "--loss", "squared_error"
    )
    assert code == 0
    assert out.count(" ok") == 6
    assert "1 of 1 network 4-5-4-3 agrees with" in out


def test_a_wrong_gradient_ends_with_code_1_and_names_the_parameter(cli, monkeypatch):
    from anyarray_mlp.network import functional as model

    right = model.ACTIVATIONS["tanh"]
    monkeypatch.setitem(model.ACTIVATIONS, "tanh", lambda xp, z: (right(xp, z)[0], lambda da: da))
    code, out, _ = cli(
        "gradcheck", "--activation", "tanh", "--output", "softmax", "--loss", "cross_entropy"
    )
    assert code == 1
    assert out.count("WRONG at") == 4
    assert "weights.2" in out


# --- everything that is wrong ---------------------------------------------------------------------


def trained_flowers(here):
    """A folder with a small trained model, made once per test that needs it."""
    write_flowers(here / "flowers.csv")
    assert run(["train", "flowers.csv", "--epochs", "1", "--quiet", "--out", "model"]) == 0


def altered(here):
    trained_flowers(here)
    data = bytearray((here / "model/model.safetensors").read_bytes())
    data[-3] ^= 1
    (here / "model/model.safetensors").write_bytes(bytes(data))


def truncated(here):
    trained_flowers(here)
    data = (here / "model/model.safetensors").read_bytes()
    (here / "model/model.safetensors").write_bytes(data[: len(data) // 2])


def text(content, name="x.csv"):
    """Writes a file of some text or bytes."""

    def write(here):
        data = content if isinstance(content, bytes) else content.encode()
        (here / name).write_bytes(data)

    return write


def nothing(here):
    """Leaves the folder empty."""


def arrays(**values):
    """Writes x.npz."""
    return lambda here: np.savez(here / "x.npz", **values)


def flowers(here):
    write_flowers(here / "x.csv")


def also(*writers):
    """Several of them."""

    def write(here):
        for writer in writers:
            writer(here)

    return write


def a_file_called_runs(here):
    (here / "runs").write_text("")


NOTHING = nothing
GOOD = "a,b,y\n" + "".join(f"{i},{i % 7},{'uv'[i % 2]}\n" for i in range(30))
IMAGES = gzip.compress(
    b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (5, 2, 2)) + bytes(7)
)

#: What is there, the command, its exit code, and what the one line must contain.
WRONG = {
    # the data
    "no such file": (NOTHING, "train nowhere.csv", 65, "nowhere.csv"),
    "no such set": (NOTHING, "train digitz", 65, "digits"),
    "a folder without images": (NOTHING, "train .", 65, "IDX"),
    "empty file": (text(""), "train x.csv", 65, "empty"),
    "header only": (text("a,b,y\n"), "train x.csv", 65, "row"),
    "one column": (text("a\n1\n2\n3\n"), "train x.csv", 65, "column"),
    "ragged": (text(GOOD + "1,2\n"), "train x.csv", 65, "line 32"),
    "too many cells": (text(GOOD + "1,2,u,9\n"), "train x.csv", 65, "line 32"),
    "damaged UTF-8": (text(GOOD.encode() + b"\xc3\xa9,1,u\n\xff,1,u\n"), "train x.csv", 65, "UTF-8"),
    "UTF-16 cut short": (text(GOOD.encode("utf-16")[:-1]), "train x.csv", 65, "UTF-16"),
    "NUL": (text(GOOD.replace("3,3,v", "3,\0,v")), "train x.csv", 65, "NUL"),
    "infinite": (text(GOOD.replace("3,3,v", "1e999,3,v")), "train x.csv", 65, "line 5"),
    "missing target": (text(GOOD.replace("3,3,v", "3,3,")), "train x.csv", 65, "line 5"),
    "one class": (text(GOOD.replace("v", "u")), "train x.csv", 65, "one class"),
    "unknown target": (text(GOOD), "train x.csv --target z", 65, "'a', 'b', 'y'"),
    "target out of place": (text(GOOD), "train x.csv --target 7", 65, "7"),
    "text target as numbers": (text(GOOD), "train x.csv --task regression", 65, "is not a number"),
    "one slip": (text(GOOD.replace("3,3,v", "3x,3,v")), "train x.csv", 65, "line 5"),
    "no such separator": (text(GOOD), "train x.csv --separator abcd", 2, "semicolon"),
    "no such decimal mark": (text(GOOD), "train x.csv --decimal ;", 2, "neither"),
    "a pickle": (text(b"\x80\x04.", "x.pkl"), "train x.pkl", 65, "pickle"),
    "npz without y": (arrays(x=np.zeros((3, 2))), "train x.npz", 65, "y"),
    "npz of unequal length": (arrays(x=np.zeros((3, 2)), y=np.zeros(4)), "train x.npz", 65, "3"),
    "npz with NaN": (arrays(x=np.full((9, 2), np.inf), y=np.arange(9) % 2), "train x.npz", 65, "finite"),
    "npz of objects": (arrays(x=np.array([{}]), y=np.zeros(1)), "train x.npz", 65, "object"),
    "no npz at all": (text(b"PK garbage", "x.npz"), "train x.npz", 65, "x.npz"),
    "truncated images": (text(IMAGES, "train-images-idx3-ubyte.gz"), "train .", 65, "idx"),
    "one row": (text("a,b,y\n1,2,u\n"), "train x.csv", 65, ""),
    # the options
    "unknown command": (NOTHING, "trane", 2, "No such command"),
    "unknown flag": (NOTHING, "train digits --epoch 3", 2, "--epoch"),
    "no number": (NOTHING, "train digits --epochs many", 2, "'many'"),
    "zero epochs": (NOTHING, "train digits --epochs 0", 2, "--epochs"),
    "negative rate": (NOTHING, "train digits --learning-rate-init -1", 2, "above 0"),
    "NaN rate": (NOTHING, "train digits --learning-rate-init nan", 2, "out of range"),
    "infinite alpha": (NOTHING, "train digits --alpha inf", 2, "out of range"),
    "no layer sizes": (NOTHING, "train digits --hidden 3,x", 2, "300,75"),
    "empty layer": (NOTHING, "train digits --hidden 3,0", 2, "positive integers"),
    "dropout of 1": (NOTHING, "train digits --dropout 1", 2, "below 1"),
    "unknown activation": (NOTHING, "train digits --activation sigmod", 2, "(did you mean 'logistic'?)"),
    "activations for other layers": (NOTHING, "train digits --activation relu,tanh", 2, "1 hidden layer"),
    "unknown loss": (NOTHING, "train digits --loss rmse", 2, "the nearest is 'squared_error'"),
    "impossible pair": (NOTHING, "train digits --output logistic --loss cross_entropy", 2, "softmax"),
    "unknown solver": (NOTHING, "train digits --solver adagrad", 2, "adam"),
    "unknown initializer": (NOTHING, "train digits --initializer xavier", 2, "glorot_uniform"),
    "unknown metric": (NOTHING, "train digits --early-stopping --monitor speed", 2, "accuracy"),
    "nothing to monitor": (
        NOTHING, "train digits --early-stopping --validation-fraction 0", 2, "validation set",
    ),
    "dropout with lbfgs": (NOTHING, "train digits --solver lbfgs --dropout 0.5", 2, "--dropout"),
    "patience without early stopping": (NOTHING, "train iris --patience 5", 2, "--patience is for --early-stopping"),
    "a monitor without early stopping": (NOTHING, "train iris --monitor loss", 2, "--keep-epoch best and --early-stop"),
    "lbfgs with a rate": (NOTHING, "train iris --solver lbfgs --learning-rate-init 1", 2, "--learning-rate-init out"),
    "lbfgs with a schedule": (NOTHING, "train iris --solver lbfgs --learning-rate step", 2, "--learning-rate out"),
    "lbfgs with momentum": (NOTHING, "train iris --solver lbfgs --momentum 0.5", 2, "leave --momentum out"),
    "lbfgs with clipping": (NOTHING, "train iris --solver lbfgs --clip-norm 1", 2, "leave --clip-norm out"),
    "momentum of adam": (NOTHING, "train iris --momentum 0.5", 2, "this is adam"),
    "a layer beyond memory": (
        NOTHING, "train iris --hidden 100000000000", 71, "5,960 GiB, which do not fit in memory: give fewer",
    ),
    "a layer beyond numbers": (NOTHING, "train iris --hidden 10000000000000000000000", 71, "--hidden"),
    "class weight of no class": (flowers, "train x.csv --class-weight z=2", 2, "'a', 'b', 'c'"),
    "class weight without =": (flowers, "train x.csv --class-weight 2", 2, "LABEL=WEIGHT"),
    "class weight for numbers": (NOTHING, "train diabetes --class-weight balanced", 2, "regression"),
    "target of a built-in set": (NOTHING, "train digits --target x", 2, "table"),
    "poisson with negative targets": (
        text("a,y\n" + "".join(f"{i},{i - 40.5}\n" for i in range(90))),
        "train x.csv --output exp --loss poisson", 65, "negative, -40.5",
    ),
    # where to compute
    "unknown device": (NOTHING, "train digits --device tpu", 2, "cpu, cuda, cuda:N or auto"),
    "no GPU on NumPy": (NOTHING, "train digits --device cuda --backend numpy", 2, "--backend cupy"),
    "CuPy on the CPU": (NOTHING, "train digits --backend cupy", 2, "on a GPU only"),
    # models and folders
    "no model": (NOTHING, "predict nowhere digits", 74, "nowhere"),
    "no model in the folder": (NOTHING, "predict . digits", 74, "model.safetensors"),
    "a table as model": (text(GOOD), "predict x.csv digits", 65, "x.csv"),
    "altered model": (altered, "predict model flowers.csv", 65, "model.safetensors"),
    "truncated model": (truncated, "predict model flowers.csv", 65, "model.safetensors"),
    "other columns": (also(trained_flowers, text(GOOD)), "predict model x.csv", 65, "'width'"),
    "other number of features": (trained_flowers, "predict model digits", 65, "64"),
    "unseen category": (
        also(trained_flowers, text("width,height,colour\n1,2,green\n")),
        "predict model x.csv --unknown-categories refuse", 65, "'green'",
    ),
    "unseen label": (
        also(trained_flowers, text("width,height,colour,kind\n1,2,red,z\n1,2,red,a\n")),
        "evaluate model x.csv", 65, "'z'",
    ),
    "probabilities of numbers": (
        lambda here: run(["train", "diabetes", "--epochs", "1", "--quiet", "--out", "model"]),
        "predict model diabetes --proba", 2, "numbers",
    ),
    "a run is there": (trained_flowers, "train flowers.csv --out model", 73, "--overwrite"),
    "a prediction is there": (
        also(trained_flowers, text("", "p.csv")), "predict model flowers.csv --out p.csv", 73, "p.csv",
    ),
    "an unseen label in the test set": (
        arrays(x=np.zeros((20, 2)), y=np.arange(20) % 2, x_test=np.zeros((2, 2)), y_test=np.array([1, 2])),
        "train x.npz --epochs 1", 65, "the label 2 in row 1",
    ),
    "a metric of another task": (
        NOTHING, "train breast_cancer --early-stopping --monitor r2 --epochs 1", 2, "balanced_accuracy, f1, roc_auc",
    ),
    "errors of classes": (
        NOTHING, "train breast_cancer --early-stopping --monitor mean_squared_error --epochs 1", 2, "use accuracy",
    ),
    "an unknown second target": (
        text(GOOD), "train x.csv --target b --target c --epochs 1", 65, "no column 'c'",
    ),
    "nothing to resume": (NOTHING, "train --resume --out nowhere", 74, "nowhere"),
    "resume without a folder": (NOTHING, "train --resume", 2, "--out"),
    "resume with another network": (
        trained_flowers, "train --resume --out model --hidden 5", 2, "--hidden cannot change",
    ),
    "resume with other data": (
        also(trained_flowers, lambda here: write_flowers(here / "flowers.csv", rows=60)),
        "train --resume --out model --epochs 5", 65, "not those",
    ),
    "a file where the folder should be": (a_file_called_runs, "train iris --epochs 1", 74, "runs"),
    "diverged": (
        NOTHING, "train diabetes --solver sgd --learning-rate-init 1e20 --epochs 5", 3, "lower --learning-rate-init",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_gets_one_line_and_its_exit_code(name, cli, here, capsys):
    prepare, command, expected, words = WRONG[name]
    prepare(here)
    capsys.readouterr()
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file() and p.suffix != ".lock"}
    code, _, err = cli(*command.split(), *(["--quiet"] if command.startswith("train") else []))
    assert code == expected, err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    assert err.count("\n") == 1, err
    assert words in errors[0]
    assert "Traceback" not in err
    after = {p: p.read_bytes() for p in before}
    assert after == before
    if command.startswith("train") and name != "diverged":
        assert not any((here / "runs").glob("*"))


def test_there_are_at_least_forty_wrong_inputs():
    assert len(WRONG) >= 40


@pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/proc/sys").is_dir(), reason="needs a read-only place"
)
def test_an_unwritable_folder_is_one_line(cli):
    code, _, err = cli("train", "iris", "--epochs", 1, "--quiet", "--out", "/proc/sys/run")
    assert code == 74
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_backend_that_is_not_installed_ends_with_69_and_its_cure(cli, monkeypatch):
    from anyarray_mlp.backends import selection

    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: None)
    assert importlib.util.find_spec("torch") is None
    code, _, err = cli("train", "digits", "--backend", "torch", "--quiet")
    assert code == 69
    assert err.count("\n") == 1
    assert "pip install 'anyarray-mlp[torch]'" in err


def test_an_overwritten_run_leaves_no_diagnosis(cli, here):
    arguments = ("train", "iris", "--epochs", 2, "--out", "run", "--quiet")
    assert cli(*arguments)[0] == 0
    assert cli("diagnose", "run")[0] != 74
    assert cli(*arguments, "--overwrite", "--no-diagnose")[0] == 0
    assert not (here / "run" / "diagnosis.json").exists()
    code, _, err = cli("diagnose", "run")
    assert code == 74
    assert "train with --diagnose" in err


def test_what_was_trained_answers_lists_and_names_its_reader_to_load_model(cli, here):
    assert cli("train", "iris", "--epochs", 30, "--quiet", "--out", "run")[0] == 0
    rows = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
    model = TrainedModel.load("run")
    assert model.predict(rows).tolist() == model.predict(np.array(rows)).tolist()
    with pytest.raises(ModelFileError, match=r"load it with TrainedModel\.load"):
        load_model("run/model.safetensors")


def test_overwrite_without_out_replaces_the_run_of_the_data(cli, here):
    arguments = ("train", "iris", "--epochs", 1, "--quiet", "--seed")
    assert cli(*arguments, 1)[0] == cli(*arguments, 2)[0] == 0
    assert sorted(path.name for path in (here / "runs").iterdir()) == ["iris", "iris-2"]
    assert cli(*arguments, 3, "--overwrite")[0] == 0
    assert sorted(path.name for path in (here / "runs").iterdir()) == ["iris", "iris-2"]
    assert "seed = 3" in (here / "runs" / "iris" / "config.toml").read_text()


def test_help_names_every_activation_loss_and_score(cli):
    from anyarray_mlp.metrics import METRICS
    from anyarray_mlp.network.functional import ACTIVATIONS
    from anyarray_mlp.network.losses import LOSS_NAMES

    text = " ".join(cli("train", "--help")[1].split())
    missing = [name for name in (*ACTIVATIONS, *LOSS_NAMES, *METRICS) if name not in text]
    assert missing == []


def test_a_diagnosis_that_cannot_be_written_leaves_the_run_before(cli, here, monkeypatch):
    arguments = ("train", "iris", "--epochs", 2, "--out", "run", "--quiet")
    assert cli(*arguments)[0] == 0
    before = {path: path.read_bytes() for path in (here / "run").iterdir()}
    put = files.disk.replace

    def full(source, target):
        if target.name == "diagnosis.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        put(source, target)

    monkeypatch.setattr(files.disk, "replace", full)
    code, _, err = cli(*arguments, "--overwrite", "--seed", 5)
    assert code == 74
    assert "diagnosis.json: No space left on device; free some space" in err
    assert {path: path.read_bytes() for path in before} == before
    monkeypatch.setattr(files.disk, "replace", put)
    assert cli("train", "--resume", "--out", "run", "--quiet")[0] == 0
    assert "seed = 5" in (here / "run" / "config.toml").read_text()
    assert not (here / "run" / "diagnosis.json").exists()


def command_line(arguments, here, **options):
    """The program in a process of its own, as text."""
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "anyarray_mlp", *arguments], cwd=here, env=environment, stderr=subprocess.PIPE,
        text=True, check=False, **options,
    )  # fmt: skip


def test_a_label_that_the_encoding_lacks_is_escaped(here):
    rows = "".join(f"{i % 2}.{i},{'赤青'[i % 2]}\n" for i in range(40))
    (here / "x.csv").write_text("a,y\n" + rows, encoding="utf-8")
    assert run(["train", "x.csv", "--epochs", "1", "--quiet", "--out", "run"]) == 0
    for arguments in (["predict", "run", "x.csv", "--proba"], ["train", "x.csv", "--epochs", "1"]):
        process = command_line(
            arguments, here, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "latin-1"}
        )
        assert process.returncode == 0, process.stderr
        assert "Traceback" not in process.stderr
        assert "\\u8d64" in process.stdout or arguments[0] == "train"


def test_gradcheck_of_one_output_leaves_softmax_out(cli):
    code, out, err = cli("gradcheck", "--outputs", 1, "--activation", "tanh")
    assert code == 0, err
    assert "networks 4-5-4-1 agree" in out
    assert cli("gradcheck", "--outputs", 1, "--output", "softmax")[0] == 2


def test_pixels_that_are_divided_already_are_refused(cli, here):
    images = np.random.default_rng(0).integers(0, 256, (40, 6)).astype(np.uint8)
    np.savez(here / "bytes.npz", x=images, y=np.arange(40) % 2)
    np.savez(here / "whole.npz", x=images.astype(np.float32), y=np.arange(40) % 2)
    np.savez(here / "divided.npz", x=images.astype(np.float32) / 255, y=np.arange(40) % 2)
    assert cli("train", "bytes.npz", "--epochs", 1, "--quiet", "--out", "run")[0] == 0
    assert cli("predict", "run", "bytes.npz")[1] == cli("predict", "run", "whole.npz")[1]
    for command in ("predict", "evaluate"):
        code, _, err = cli(command, "run", "divided.npz")
        assert code == 65
        assert "whole numbers from 0 to 255, and these look already divided by 255" in err


def test_evaluate_scores_the_column_that_the_model_was_trained_on(cli, here):
    lines = [f"{i % 5},{'uv'[i % 2]},{i * 1.37}" for i in range(60)]
    (here / "t.csv").write_text("\n".join(["size,kind,price", *lines]) + "\n")
    turned = [",".join(reversed(line.split(","))) for line in lines]
    (here / "turned.csv").write_text("\n".join(["price,kind,size", *turned]) + "\n")
    code, _, err = cli("train", "t.csv", "--epochs", 1, "--out", "run")
    assert code == 0, err
    assert "regression of 'price', the last column" in err
    assert TrainedModel.load("run").target_names == ("price",)
    scores = [cli("evaluate", "run", name)[1] for name in ("t.csv", "turned.csv")]
    assert scores[0].partition("\n")[0] == "60 rows, all of t.csv"
    assert scores[0].partition("\n")[2] == scores[1].partition("\n")[2] != ""
    (here / "bare.csv").write_text("\n".join(["kind,size", "u,1", "v,2"]) + "\n")
    code, _, err = cli("evaluate", "run", "bare.csv")
    assert code == 65
    assert "no column 'price', which the model predicts" in err
    code, _, err = cli("train", "t.csv", "--epochs", 1, "--target", "price", "--out", "named")
    assert "the last column" not in err


def test_categories_and_labels_that_look_like_numbers_are_still_texts(cli, here):
    codes = ["01234", "04567", "90210", "AB12"]
    lines = [f"{i % 7},{codes[i % 4]},{['007', '07', 'x'][i % 3]}" for i in range(60)]
    (here / "t.csv").write_text("\n".join(["n,zip,label", *lines]) + "\n")
    assert cli("train", "t.csv", "--epochs", 1, "--quiet", "--out", "run")[0] == 0
    rows = "1,01234,007\n2,04567,07\n"
    for content, header in (("n,zip,label\n" + rows, "--header"), (rows, "--no-header")):
        (here / "new.csv").write_text(content)
        code, _, err = cli("evaluate", "run", "new.csv", header)
        assert code == 0, err
    (here / "new.csv").write_text("zip,n\n01234,1\n90210,2\n")
    code, out, err = cli("predict", "run", "new.csv")
    assert code == 0, err
    assert out.count("\n") == 3


def test_a_model_of_one_feature_predicts_a_table_of_one_column(cli, here):
    (here / "t.csv").write_text("a size,y\n" + "".join(f"{i},{i % 3}.5\n" for i in range(40)))
    assert cli("train", "t.csv", "--epochs", 1, "--quiet", "--out", "run")[0] == 0
    for content in ("a size\n1\n2\n", "1\n2\n"):
        (here / "new.csv").write_text(content)
        code, out, err = cli("predict", "run", "new.csv")
        assert code == 0, err
        assert out.count("\n") == 3


@pytest.mark.parametrize("name", ["config.toml", "metrics.jsonl", "model.safetensors"])
@pytest.mark.parametrize("option", ["--quiet", "--overwrite", "--resume"])
def test_files_that_no_run_made_are_left_alone(cli, here, name, option):
    (here / name).write_text("mine = 1\n")
    for _ in range(2):
        code, _, err = cli("train", "iris", "--epochs", 1, "--out", ".", option)
        assert code == (74 if option == "--resume" else 73)
        assert err.count("\n") == 1
        assert [path.name for path in here.iterdir()] == [name]
    assert (here / name).read_text() == "mine = 1\n"


def test_a_finished_run_that_is_resumed_says_so_and_keeps_its_diagnosis(cli, here):
    assert (
        cli("train", "digits", "--learning-rate-init", 1e-9, "--epochs", 6, "--out", "run")[0] == 0
    )
    kept = {path.name: path.read_bytes() for path in (here / "run").iterdir()}
    assert b"learning_rate_too_low" in kept["diagnosis.json"]
    for epochs in (6, 4):
        code, _, err = cli("train", "--resume", "--out", "run", "--epochs", epochs)
        assert code == 0
        assert "the run has 6 epochs already: give --epochs above 6" in err
        assert "suspicious" not in err
        assert {path.name: path.read_bytes() for path in (here / "run").iterdir()} == kept


def test_a_warm_up_that_never_ends_is_a_warning(cli):
    options = ("train", "iris", "--epochs", 2, "--quiet", "--warm-up")
    assert "warning" not in cli(*options, 1)[2]
    code, _, err = cli(*options, 2)
    assert code == 0
    assert "warning: --warm-up 2 lasts for the whole run, of 2 epochs\n" in err


def test_a_run_that_is_interrupted_before_its_first_epoch_leaves_nothing(cli, here, monkeypatch):
    from anyarray_mlp.pipeline.run import Run

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "fit", interrupted)
    (here / "mine").mkdir()
    for out in ("new", "mine"):
        assert cli("train", "iris", "--epochs", 1, "--quiet", "--out", out)[0] == 130
    assert [path.name for path in here.iterdir()] == ["mine"]


def test_scores_of_small_and_large_units_have_their_digits(cli, here):
    rows = "".join(f"{i % 9},{(i % 9) * 1e-6}\n" for i in range(60))
    (here / "t.csv").write_text("a,y\n" + rows)
    code, out, _ = cli("train", "t.csv", "--epochs", 3, "--quiet", "--out", "run")
    assert code == 0
    assert " 0.0000" not in out
    assert "e-" in out.partition("mean absolute error")[2]
    (here / "huge.csv").write_text("a,y\n1,1e200\n2,-1e200\n")
    code, out, err = cli("evaluate", "run", "huge.csv", "--json")
    assert code == 0, err
    assert json.loads(out, parse_constant=pytest.fail)["mean_squared_error"] is None
    assert "e+200" in cli("evaluate", "run", "huge.csv")[1]


def test_a_progress_line_is_cut_to_the_terminal(monkeypatch, capsys):
    from anyarray_mlp.cli import progress

    monkeypatch.setattr(progress, "terminal_width", lambda: 20)
    with progress.Progress(3) as shown:
        shown.pending = "epoch 1/3  loss 0.1234  validation loss 0.2345"
    assert capsys.readouterr().err.endswith("epoch 1/3  loss 0.1\n")


def test_findings_name_columns_labels_and_flags(cli, here):
    generator = np.random.default_rng(0)
    lines = ["amount,twin,site,country,rare,label"]
    for i in range(400):
        amount = round(generator.normal() + 4 * (i < 8), 4)
        kind = "odd" if i == 3 else "ab"[i % 2]
        label = "bad" if i < 8 else "good"
        lines.append(f"{amount:.4f},{2 * amount + 1:.5f},7,US,{kind},{label}")
    (here / "t.csv").write_text("\n".join(lines) + "\n")
    assert (
        cli("train", "t.csv", "--epochs", 2, "--quiet", "--out", "run", "--keep", "site,country")[0]
        == 0
    )
    _, out, _ = cli("diagnose", "run")
    assert "'twin' repeats 'amount'" in out
    assert "2 of 5 columns have only one value ('site', 'country')" in out
    assert "class 'bad' has" in out
    assert "Use --class-weight balanced, gather" in out
    record = json.loads(cli("diagnose", "run", "--json")[1])
    assert any("--class-weight balanced" in finding["flags"] for finding in record["findings"])
    assert any("Use --class-weight balanced" in finding["cure"] for finding in record["findings"])


@pytest.mark.parametrize(
    "names", [["a"], ["a", "b c"], ["wind [m/s]", "it's"], ['"'], ["\\", "$x"], ["é]'\", '"]]
)
def test_columns_of_any_name_are_written_as_the_flag_takes_them(names):
    from anyarray_mlp.cli.advice import as_flags

    said = as_flags(f"columns: left out (keep={names}); split='time:the day', group='k'")
    start, end = "columns: left out (", "); --split 'time:the day', --group k"
    assert said.startswith(start)
    assert said.endswith(end)
    assert shlex.split(said[len(start) : -len(end)]) == ["--keep", ",".join(names)]


def test_advice_is_written_in_flags():
    from anyarray_mlp.cli.advice import as_flags

    said = (
        "Try learning_rate_init=0.005 clip_norm=1. Use hidden_layer_sizes=(64,) or (64, 64), output='softmax' or "
        "batch_size=32 to 256, with early_stopping; lower learning_rate_init (now 1). The output cannot, alpha=1e-05. "
        "'batch_size' repeats 'a'. Use activation='relu', dropout=0.2, epochs=50 or patience=20, a penalty (alpha)."
    )
    assert as_flags(said) == (
        "Try --learning-rate-init 0.005 --clip-norm 1. Use --hidden 64 or 64,64, --output softmax or "
        "--batch-size 32 to 256, with --early-stopping; lower --learning-rate-init (now 1). The output cannot, --alpha "
        "1e-05. 'batch_size' repeats 'a'. Use --activation relu, --dropout 0.2, --epochs 50 or --patience 20, a "
        "penalty (--alpha)."
    )
