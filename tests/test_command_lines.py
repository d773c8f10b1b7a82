"""Command lines as people type them for other trainers, and values that are no values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anyarray_mlp.checking.messages import memory
from anyarray_mlp.cli import run
from anyarray_mlp.cli.figures import figure
from anyarray_mlp.pipeline.answers import shortest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table of two classes, d.csv, and a model of it, m."""
    folder = tmp_path_factory.mktemp("lines")
    rows = "".join(f"{i % 7},{i % 5},{'uvw'[i % 3]},{'pq'[i % 2]}\n" for i in range(60))
    (folder / "d.csv").write_text("a,b,c,y\n" + rows)
    arguments = ["train", str(folder / "d.csv"), "--epochs", "1", "--quiet"]
    assert run([*arguments, "--out", str(folder / "m")]) == 0
    return folder


@pytest.fixture
def cli(folder, tmp_path, monkeypatch, capsys):
    """`cli("train", ...)` in a folder with d.csv and m; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    for name in ("d.csv", "m"):
        (tmp_path / name).symlink_to(folder / name)

    def call(*arguments):
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


#: What is typed for other trainers, and the settings that it becomes.
TAKEN = {
    "--batch_size 64 --hidden 100,50": {"batch_size": 64, "hidden": [100, 50]},
    "--hidden_layer_sizes (100,50)": {"hidden": [100, 50]},
    "--hidden [5,4,]": {"hidden": [5, 4]},
    "--hidden none": {"hidden": []},
    "--activation ReLU --loss categorical_crossentropy": {"activation": "relu", "loss": "cross_entropy"},
    "--activation sigmoid,nn.Tanh --hidden 3,2": {"activation": ["logistic", "tanh"]},
    "--solver Adam --learning_rate_init 1e-3": {"solver": "adam", "learning_rate_init": 0.001},
    "--solver SGD --learning_rate CosineAnnealingLR": {"solver": "sgd", "learning_rate": "cosine"},
    "--initializer xavier_uniform --dtype double": {"initializer": "glorot_uniform", "dtype": "float64"},
    "--early_stopping --monitor val_acc": {"monitor": "accuracy"},
    "--task multiclass --backend NumPy": {"task": "classification", "backend": "numpy"},
    "--SEED=1": {"seed": 1},
}  # fmt: skip


@pytest.mark.parametrize("options", TAKEN)
def test_the_spellings_of_other_trainers_are_taken(cli, tmp_path, options):
    import tomllib

    code, _, err = cli("train", "d.csv", "--epochs", "1", "--quiet", "--out", "o", *options.split())
    assert code == 0, err
    kept = tomllib.loads((tmp_path / "o" / "config.toml").read_text())
    assert {name: kept[name] for name in TAKEN[options]} == TAKEN[options]


#: What is typed for other trainers, and what the answer names.
ANSWERED = {
    "train d.csv --lr 0.01": "give --learning-rate-init",
    "train d.csv -lr 0.01": "No such option '-lr': give --learning-rate-init",
    "train d.csv --learning_rate 1e-3": "the rate itself is --learning-rate-init 1e-3",
    "train d.csv --num_epochs 20": "give --epochs",
    "train d.csv --epoches 20": "give --epochs",
    "train d.csv --max_iter=200": "give --epochs",
    "train d.csv --nb-epochs 5": "give --epochs",
    "train d.csv -e 5": "No such option '-e'",
    "train d.csv --mbs 50": "give --batch-size",
    "train d.csv --batchsize 64": "give --batch-size",
    "train d.csv --optimizer Adam": "give --solver",
    "train d.csv --optim adam": "give --solver",
    "train d.csv --optimizer__lr 0.1": "give --learning-rate-init",
    "train d.csv --weight_decay 0.0005": "give --alpha",
    "train d.csv -wd 0.1": "give --alpha",
    "train d.csv --hidden_size 128": "give --hidden",
    "train d.csv --hidden-dims 100 50": "give --hidden",
    "train d.csv --dnn_hidden_units 1000,200": "give --hidden",
    "train d.csv --num_hidden_layers 3": "give --hidden",
    "train d.csv --model.hidden_size 3": "give --hidden",
    "train d.csv --act relu": "give --activation",
    "train d.csv --criterion mse": "give --loss",
    "train d.csv --weight_init xavier": "give --initializer",
    "train d.csv --random_state 0": "give --seed",
    "train d.csv --val_split 0.1": "give --validation-fraction",
    "train d.csv --test-size 0.25": "give --test-fraction",
    "train d.csv --save_dir out": "give --out",
    "train d.csv --cuda": "give --device cuda",
    "train d.csv --no-cuda": "give --device cpu",
    "train d.csv --device gpu": "--device cuda for an NVIDIA GPU",
    "train --dataset d.csv": "give the data as the argument DATA",
    "train --data_path d.csv": "give the data as the argument DATA",
    "train d.csv --hidden 100 50": "as in --hidden 100,50",
    "train --hidden 100 50": "as in --hidden 100,50",
    "train d.csv --hidden 100x50": "give 100,50",
    "train d.csv --hidden 100-50": "give 100,50",
    "train d.csv --hidden 0": "or none for no hidden layer",
    "train epochs=5": "give --epochs 5 instead",
    "train d.csv --solver nadam": "the nearest is 'adam'",
    "train d.csv --activation crelu": "the nearest is 'relu'",
    "train d.csv --loss rmse": "the nearest is 'squared_error'",
    "train d.csv --initializer xavier": "the nearest is 'glorot_uniform'",
    "train d.csv --learning-rate adaptive": "the nearest is 'plateau'",
    "train d.csv --output model.pt": "the folder of the run is --out",
    "train d.csv --solver adm": "(did you mean 'adam'?)",
    "train d.csv --backend tensorflow": "the nearest is 'jax'",
    "train d.csv --out --json": "'--json' is an option",
    "train d.csv --mlp_lr 0.1": "give --learning-rate-init",
    "train --csv-path d.csv": "give the data as the argument DATA",
    "predict --model_path m d.csv": "give the model as the argument MODEL",
    "trian d.csv": "did you mean 'train'?",
    "fit d.csv": "did you mean 'train'?",
    "eval m d.csv": "did you mean 'evaluate'?",
    "pred m d.csv": "did you mean 'predict'?",
    "predict --model m d.csv": "give the model as the argument MODEL",
    "predict m d.csv --output p.csv": "give --out",
    "evaluate m d.csv --metrics acc": "No such option '--metrics'",
    "gradcheck --activation sigmod": "(did you mean 'logistic'?)",
}  # fmt: skip


@pytest.mark.parametrize("line", ANSWERED)
def test_what_is_typed_for_other_trainers_is_answered_with_what_to_give(cli, line):
    code, out, err = cli(*line.split())
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert ANSWERED[line] in err


NO_VALUES = (
    "", " \t", "\n", "x" * 25_000, "9" * 25_000, "a " * 9_000, "a\0b", "\udcff\n", "nan", "-inf", "1e999", "１", "1_0",
    "0x10", "true", ",", "a,,b", "()", "--quiet", "-1", "%s{0}", "20%",
)  # fmt: skip
#: By command: the rest of its line, and the options that take a value.
OPTIONS = {
    "train d.csv": "--target --task --drop --keep --date --split --group --folds --test "
    "--test-fraction --validation-fraction --class-weight --hidden --activation "
    "--output --loss --dropout --initializer --solver --learning-rate-init --learning-rate --warm-up --momentum "
    "--alpha --clip-norm --batch-size --epochs --monitor --patience --dtype --backend --device",
    "predict m d.csv": "--unknown-categories --dtype --backend --device",
    "evaluate m d.csv": "--target --drop --unknown-categories --dtype --backend --device",
    "gradcheck": "--hidden --inputs --outputs --batch-size --activation --output --loss",
    "parity": "--backends --namespace --dtype --device",
}
#: What may be meant: the last column, for one.
SENSIBLE = {("--target", "-1"), ("--drop", "-1"), ("--unknown-categories", "nan")}


@pytest.mark.parametrize(
    ("line", "option"),
    [(line, option) for line, options in OPTIONS.items() for option in options.split()],
)
def test_a_value_that_is_none_is_refused_in_a_line(cli, line, option):
    for value in NO_VALUES:
        if (option, value) in SENSIBLE:
            continue
        code, out, err = cli(*line.split(), option, value)
        assert code in (2, 65, 69), (value[:20], err)
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert len(err) < 1000
        assert out == ""


@pytest.mark.parametrize(
    "line", ["train d.csv --out", "predict m d.csv --out", "train", "diagnose", "predict m"]
)
@pytest.mark.parametrize("value", ["", " ", "a\0b", "--json=x"])
def test_a_path_that_is_none_is_refused_in_a_line(cli, line, value):
    code, _, err = cli(*line.split(), value)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "options", ["--target a --target a", "--drop a,a", "--class-weight p=1,p=2"]
)
def test_what_is_given_twice_is_refused(cli, options):
    code, _, err = cli("train", "d.csv", *options.split())
    assert code == 2
    assert "twice" in err or "two weights" in err


def test_a_long_name_is_shortened_wherever_it_turns_up(cli):
    lines = (
        "train {};predict {} d.csv;train d.csv --out {};{};train --{};train d.csv {};diagnose {}.py"
    )
    for line in lines.split(";"):
        code, _, err = cli(*line.format("x" * 25_000).split())
        assert code in (2, 65, 74), line
        assert len(err) < 1000
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"), (0.95678, "0.9568"), (0.0123, "0.01230"), (1e-6, "1.000e-06"), (12.5, "12.5000"),
        (1234.56, "1,234.6"), (-98765.4, "-98,765.4"), (3.029e9, "3,029,000,000"), (1e200, "1.000e+200"),
        (float("nan"), "nan"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_figures_can_be_read(value, text):
    assert figure(value) == text


def test_memory_has_a_unit_that_suits_it():
    assert [memory(n) for n in (8, 1536, 8 * 10**8, 6.4e12)] == [
        "8 bytes",
        "1.5 KiB",
        "763 MiB",
        "5,960 GiB",
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_have_the_fewest_digits_that_give_the_output_back(dtype):
    generator = np.random.default_rng(0)
    outputs = (generator.normal(size=2000) * 10.0 ** generator.integers(-6, 6, 2000)).astype(dtype)
    outputs[:4] = [0, 1, -0.5, 0.1]
    for mean, scale in ((0.0, 1.0), (1e9, 250.0), (-3.7, 1e-5), (0.0, 1e100)):
        values = outputs.astype(np.float64) * scale + mean
        said = shortest(values, outputs, mean, scale)
        changed = said != values
        assert (((said - mean) / scale).astype(dtype) == outputs)[changed].all()
        assert (
            np.abs(said - values).max()
            <= np.abs(np.spacing(outputs)).max().astype(np.float64) * scale
        )
    if dtype is np.float32:
        digits = [
            len(repr(v).strip("-0.").replace(".", "")) for v in shortest(outputs, outputs).tolist()
        ]
        assert max(digits) <= 13
        plain = outputs[np.abs(outputs) > 1e-3]
        assert shortest(plain, plain).tolist() == [float(str(v)) for v in plain]


def test_predictions_of_a_float32_network_are_printed_short(cli, tmp_path):
    rows = "".join(f"{i % 7},{(i % 7) * 1.37 + 1}\n" for i in range(60))
    (tmp_path / "r.csv").write_text("a,y\n" + rows)
    assert cli("train", "r.csv", "--epochs", "2", "--quiet", "--out", "r")[0] == 0
    _, out, _ = cli("predict", "r", "r.csv")
    lines = out.splitlines()[1:]
    assert max(map(len, lines)) <= 11
    assert [row["prediction"] for row in json.loads(cli("predict", "r", "r.csv", "--json")[1])] == [
        *map(float, lines)
    ]
    _, out, _ = cli("predict", "m", "d.csv", "--proba")
    assert max(len(cell) for line in out.splitlines()[1:] for cell in line.split(",")) <= 12


def test_scores_say_whose_they_are(cli):
    _, out, err = cli("train", "d.csv", "--epochs", "1", "--out", "o")
    assert "test accuracy" in out
    assert "training loss" in err
    assert "validation loss" in err
    assert ", accuracy " in err
    assert cli("evaluate", "m", "d.csv")[1].startswith("60 rows, all of d.csv\n")
    told = json.loads(cli("evaluate", "m", "d.csv", "--json")[1])
    assert (told["data"], told["scored_on"], told["rows"]) == ("d.csv", "all", 60)
    _, out, _ = cli("train", "d.csv", "--epochs", "1", "--test-fraction", "0", "--out", "p")
    assert "training accuracy" in out
