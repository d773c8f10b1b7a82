"""Runs that go on, end, break and are replaced: nothing is lost, and nothing is guessed wrong in silence."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anyarray_mlp.cli import run
from anyarray_mlp.persistence import load, load_checkpoint, save_checkpoint
from anyarray_mlp.persistence.checkpoint import checkpoint_path
from anyarray_mlp.persistence.locks import DirectoryLock
from anyarray_mlp.pipeline import checkpoints as of_runs
from anyarray_mlp.pipeline.environment import environment as whole_environment
from anyarray_mlp.pipeline.environment import versions as own_versions

ROOT = Path(__file__).parent.parent
TRAIN = ("train", "iris", "--hidden", 4, "--quiet", "--out", "run", "--epochs")
RESUME = ("train", "--resume", "--quiet", "--out", "run")
DIVERGING = ("--solver", "sgd", "--learning-rate-init", "1e20")


def contents(folder="run"):
    """Every file in a folder, by its path."""
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def epochs_told(folder="run"):
    lines = Path(folder, "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["epoch"] for line in lines]


# A run that has ended.


@pytest.mark.parametrize("more", [(), ("--epochs", 99)])
def test_a_run_that_stopped_early_does_not_go_on(cli, more):
    options = ("--early-stopping", "--patience", 1, "--learning-rate-init", 0.1)
    assert cli(*TRAIN, 90, *options)[0] == 0
    before, epochs = contents(), epochs_told()[-1]
    assert epochs < 90
    for _ in range(2):
        code, out, err = cli(*RESUME, *more)
        assert code == 0
        assert f"the run stopped early after epoch {epochs}, which more --epochs do not" in err
        assert "a larger --patience" in err
        assert "nothing was changed" in err
        assert "test accuracy" in out
        assert contents() == before


@pytest.mark.parametrize("more", [(), ("--epochs", 999)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_lbfgs_that_can_go_no_further_does_not_go_on(cli, dtype, more):
    assert cli(*TRAIN, 500, "--solver", "lbfgs", "--alpha", 1, "--dtype", dtype)[0] == 0
    before = contents()
    assert epochs_told()[-1] < 500
    code, out, err = cli(*RESUME, *more, "--json")
    assert code == 0
    stopped = json.loads(out)["stopped"]
    # In float32, the last bits of the machine's products decide which of the two it is.
    assert stopped == "converged" or (dtype, stopped) == ("float32", "stalled")
    assert (
        "lbfgs had converged after epoch"
        if stopped == "converged"
        else "lbfgs found no lower loss after epoch"
    ) in err
    assert json.loads(out)["epochs"] == epochs_told()[-1]
    assert contents() == before


def test_a_run_with_all_its_epochs_is_left_alone_and_goes_on_for_more(cli):
    assert cli(*TRAIN, 3)[0] == 0
    before = contents()
    for epochs in (3, 2):
        code, _, err = cli(*RESUME, "--epochs", epochs)
        assert code == 0
        assert "the run has 3 epochs already: give --epochs above 3; nothing was changed" in err
        assert contents() == before
    assert cli(*RESUME, "--epochs", 5)[0] == 0
    assert epochs_told() == [1, 2, 3, 4, 5]


def test_a_run_that_diverged_does_not_go_on(cli):
    with diverging_in_epoch(4):
        code, _, err = cli(*TRAIN, 9)
    assert code == 3
    assert "The parameters of the epoch before are in " in err
    before = contents("run")
    code, _, err = cli(*RESUME, "--epochs", 20)
    assert code == 3
    assert "The run diverged after epoch 3, and would again" in err
    assert contents("run") == before


@contextlib.contextmanager
def diverging_in_epoch(number):
    """The loss of a run is infinite from this epoch on."""
    from anyarray_mlp.training import loop

    calls = []
    divergence = loop.divergence

    def found(*arguments):
        calls.append(arguments)
        return "The loss became inf" if len(calls) >= number else divergence(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "divergence", found)
        yield


@pytest.mark.parametrize("rate", [0.001, 0.1], ids=["finished", "early"])
def test_a_run_cut_between_its_last_epoch_and_its_end_is_ended(cli, rate):
    options = ("--early-stopping", "--patience", 1, "--learning-rate-init", rate)
    assert cli(*TRAIN, 4 if rate < 0.1 else 90, *options)[0] == 0
    whole = contents()
    checkpoint = load_checkpoint("run")
    for name in ("model.safetensors", "nothing"):
        unmarked = replace(checkpoint, state=checkpoint.state | {"stopped": None})
        save_checkpoint("run", unmarked)
        Path("run", name).unlink(missing_ok=True)
        code, _, err = cli(*RESUME)
        assert code == 0
        assert "its model is saved now" in err
        assert contents() == whole


def test_early_stopping_that_saw_no_figure_ends_a_run_too(cli, monkeypatch):
    from anyarray_mlp.training import EarlyStopping

    call = EarlyStopping.__call__
    monkeypatch.setattr(
        EarlyStopping,
        "__call__",
        lambda self, epoch: call(self, replace(epoch, validation_loss=np.nan)),
    )
    assert cli(*TRAIN, 9, "--early-stopping", "--patience", 2)[0] == 0
    before = contents()
    assert cli(*RESUME, "--epochs", 20)[0] == 0
    assert contents() == before
    assert epochs_told() == [1, 2]


def test_an_interrupted_run_that_is_asked_for_fewer_epochs_keeps_its_model(cli):
    assert cli(*TRAIN, 4)[0] == 0
    checkpoint = load_checkpoint("run")
    save_checkpoint("run", replace(checkpoint, state=checkpoint.state | {"stopped": None}))
    config = Path("run/config.toml")
    config.write_text(config.read_text().replace("epochs = 4", "epochs = 40"))
    before = contents()
    code, _, err = cli(*RESUME, "--epochs", 3)
    assert code == 0
    assert "4 epochs already: give --epochs above 4; nothing was changed" in err
    assert contents() == before


def test_a_reproducible_run_has_the_hash_of_one_in_one_go(cli):
    whole = cli(*TRAIN[:-3], "--out", "whole", "--epochs", 3, "--reproducible")[1]
    assert cli(*TRAIN, 2, "--reproducible")[1] != whole
    for _ in range(2):
        assert cli(*RESUME, "--epochs", 3)[1] == whole
    assert "hash " in whole


# The settings that a run keeps.

#: Edits of config.toml: a pattern, what takes its place, what is said.
EDITS = {
    "empty": (r"(?s).*", "", "lacks the key 'data'"),
    "no TOML": (r"(?s).*", "epochs", "is not TOML"),
    "not UTF-8": (r"(?s).*", b"\xff\xfe", "is not TOML"),
    "NUL": (r"(?s).*", b"\0", "is not TOML"),
    "a key twice": (r"epochs = .*", "epochs = 1\nepochs = 2", "is not TOML"),
    "a table": (r"alpha = .*", "[alpha]\nx = 1", ""),
    "an unknown key": (r"alpha = .*", "alpha = 0.0\nalhpa = 1", "'alhpa' is no setting of train (did you mean 'alpha'"),
    "a strange key": (r"alpha = .*", 'alpha = 0.0\n"\\u001b[31m" = 1', "'\\x1b[31m' is no setting"),
    "a flag of the call": (r"alpha = .*", "alpha = 0.0\nquiet = true", "'quiet' is no setting"),
    "its folder": (r"alpha = .*", 'alpha = 0.0\nout = "x"', "'out' is no setting"),
    **{
        f"no {key}": (rf"(?m)^{key} = .*$", "", f"lacks the key '{key}'")
        for key in ("data", "epochs", "hidden", "alpha", "solver", "seed", "dtype", "target", "early_stopping")
    },
    "hidden of text": (r"hidden = .*", 'hidden = "a"', "key 'hidden': 'a' is no list of sizes"),
    "hidden of texts": (r"hidden = .*", 'hidden = ["a", "b"]', "is no list of sizes"),
    "hidden of fractions": (r"hidden = .*", "hidden = [4.5]", "is no list of sizes"),
    "hidden of truth": (r"hidden = .*", "hidden = [true]", "True is neither a number nor a text"),
    "hidden of lists": (r"hidden = .*", "hidden = [[4]]", "is neither a number nor a text"),
    "no units": (r"hidden = .*", "hidden = [0]", "a layer without units"),
    "negative units": (r"hidden = .*", "hidden = [-4]", "a layer without units"),
    "another size": (r"hidden = .*", "hidden = 5", "hidden was [4] and is [5]"),
    "no layers": (r"hidden = .*", "hidden = []", "hidden was [4] and is []"),
    "alpha of text": (r"alpha = .*", 'alpha = "a"', "key 'alpha': 'a' is no number"),
    "alpha of truth": (r"alpha = .*", "alpha = true", "True is neither a number nor a text"),
    "alpha negative": (r"alpha = .*", "alpha = -1", "key 'alpha': '-1' is out of range"),
    "alpha nan": (r"alpha = .*", "alpha = nan", "'nan' is out of range"),
    "alpha infinite": (r"alpha = .*", "alpha = inf", "'inf' is out of range"),
    "alpha a date": (r"alpha = .*", "alpha = 1979-05-27", "is neither a number nor a text"),
    "alpha a list": (r"alpha = .*", "alpha = [0.1]", "is neither a number nor a text"),
    "another alpha": (r"alpha = .*", "alpha = 0.5", "alpha was 0.0 and is 0.5"),
    "no such solver": (r"solver = .*", 'solver = "adagrad"', "key 'solver': 'adagrad' is not one of"),
    "another solver": (r"solver = .*", 'solver = "sgd"', "solver was adam and is sgd"),
    "solver of a number": (r"solver = .*", "solver = 1", "'1' is not one of"),
    "seed of text": (r"seed = .*", 'seed = "x"', "key 'seed': 'x' is no whole number"),
    "seed of a fraction": (r"seed = .*", "seed = 1.5", "'1.5' is no whole number"),
    "seed negative": (r"seed = .*", "seed = -1", "'-1' is out of range"),
    "another seed": (r"seed = .*", "seed = 7", ""),
    "a huge seed": (r"seed = .*", "seed = 0x" + "f" * 9000, "key 'seed': the number has too many digits"),
    "epochs of zero": (r"epochs = .*", "epochs = 0", "key 'epochs': '0' is out of range"),
    "epochs of text": (r"epochs = .*", 'epochs = "many"', "'many' is no whole number"),
    "dropout of 1": (r"dropout = .*", "dropout = 1", "'1' is out of range"),
    "batch size 0": (r"batch_size = .*", "batch_size = 0", "'0' is out of range"),
    "another batch size": (r"batch_size = .*", "batch_size = 5", "batch_size was 4 and is 5"),
    "a huge batch size": (r"batch_size = .*", "batch_size = 99999999999999999999999999", "batch_size was 4 and is 9"),
    "truth of text": (r"standardize = .*", 'standardize = "yes"', "key 'standardize': yes is neither true nor false"),
    "truth of a number": (r"standardize = .*", "standardize = 1", "1 is neither true nor false"),
    "another truth": (r"standardize = .*", "standardize = false", ""),
    "target of text": (r"target = .*", 'target = "a"', "key 'target': a is no list"),
    "target of lists": (r"target = .*", "target = [[1]]", "is neither a number nor a text"),
    "a target": (r"target = .*", 'target = ["z"]', "table"),
    "no such device": (r"device = .*", 'device = "tpu"', "cpu, cuda, cuda:N or auto"),
    "device of a number": (r"device = .*", "device = 7", "cpu, cuda, cuda:N or auto"),
    "no such backend": (r"device = .*", 'device = "cpu"\nbackend = "nympy"', "'nympy' is not one of"),
    "no such dtype": (r"dtype = .*", 'dtype = "float16"', "'float16' is not one of"),
    "another dtype": (r"dtype = .*", 'dtype = "float64"', "dtype was float32 and is float64"),
    "no such activation": (r"activation = .*", 'activation = "rleu"', ""),
    "activation of a number": (r"activation = .*", "activation = 3", ""),
    "activations for more layers": (r"activation = .*", 'activation = ["relu", "tanh"]', "1 hidden layer"),
    "no such loss": (r"loss = .*", 'loss = "mse"', ""),
    "no such initializer": (r"initializer = .*", 'initializer = "zeros"', ""),
    "no such data": (r"data = .*", 'data = "nowhere.csv"', "nowhere.csv"),
    "other data": (r"data = .*", 'data = "wine"', "not those that the run"),
    "data of a number": (r"data = .*", "data = 4", ""),
    "class weights": (r"alpha = .*", 'alpha = 0.0\nclass_weight = "2"', "LABEL=WEIGHT"),
    "other class weights": (r"alpha = .*", 'alpha = 0.0\nclass_weight = "balanced"', "class_weight was not given and"),
    "no such task": (r"alpha = .*", 'alpha = 0.0\ntask = "guess"', "'guess' is not one of"),
    "no such output": (r"alpha = .*", 'alpha = 0.0\noutput = "sigmoid"', ""),
    "fractions of all": (r"test_fraction = .*", "test_fraction = 1.0", "'1.0' is out of range"),
    "another fraction": (r"test_fraction = .*", "test_fraction = 0.3", "test_fraction was 0.2 and is 0.3"),
    "no diagnosis": (r"diagnose = .*", "diagnose = false", "diagnose was True and is False"),
    "early stopping": (r"early_stopping = .*", "early_stopping = true", "early_stopping was False and is True"),
    "no such monitor": (r"monitor = .*", 'monitor = "speed"', "key 'monitor'"),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory):
    """The files of a run with plateau and momentum: the parts that a state can have."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = [*map(str, TRAIN), "3", "--learning-rate", "plateau", "--early-stopping"]
    arguments[arguments.index("run")] = str(folder / "full")
    assert run(arguments) == 0
    arguments = [*map(str, TRAIN), "3"]
    arguments[arguments.index("run")] = str(folder / "plain")
    assert run(arguments) == 0
    return {name: contents(folder / name) for name in ("full", "plain")}


def put(files_of_a_run):
    Path("run").mkdir()
    for path, content in files_of_a_run.items():
        Path("run", path.name).write_bytes(content)


def refused(cli, *arguments):
    """What is said, in one line, of a run that cannot go on; nothing is changed."""
    before = contents()
    code, out, err = cli(*RESUME, "--epochs", 6, *arguments)
    assert code in (2, 65), (code, err)
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert len(err) < 1000
    assert contents() == before
    return err


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_configuration_is_refused_by_file_and_key(cli, trained_run, name):
    pattern, text, said = EDITS[name]
    put(trained_run["plain"])
    config = Path("run/config.toml")
    if isinstance(text, bytes):
        config.write_bytes(text)
    else:
        edited, count = re.subn(pattern, lambda match: text, config.read_text(), count=1)
        assert count == 1
        config.write_text(edited)
    error = refused(cli)
    assert said in error
    if "key" in said or "TOML" in said or " was " in said:
        assert "run/config.toml" in error


def test_there_are_the_edits_that_broke_it_and_more():
    assert len(EDITS) >= 45
    assert len(ODD) >= 19


def test_the_same_value_is_refused_in_the_same_words_as_a_flag_and_as_a_setting(cli, trained_run):
    put(trained_run["plain"])
    for name, value in [("alpha", "a"), ("batch-size", "0"), ("solver", "x"), ("hidden", "3,x")]:
        said = cli("train", "iris", f"--{name}", value)[2]
        reason = said.partition(": Invalid value for ")[2].partition(": ")[2].partition(" See ")[0]
        config = Path("run/config.toml")
        kept = config.read_text()
        key = name.replace("-", "_")
        config.write_text(re.sub(rf"(?m)^{key} = .*$", f'{key} = "{value}"', kept))
        assert reason.strip() in refused(cli)
        config.write_text(kept)


def test_what_may_change_may_be_edited(cli, trained_run):
    put(trained_run["plain"])
    config = Path("run/config.toml")
    config.write_text(config.read_text().replace("epochs = 3", "epochs = 5"))
    assert cli(*RESUME)[0] == 0
    assert epochs_told() == [1, 2, 3, 4, 5]


# The checkpoint of a run, sealed and odd.


def state(**changes):
    return lambda checkpoint: replace(checkpoint, state=checkpoint.state | changes)


def without(*keys):
    return lambda checkpoint: replace(
        checkpoint, state={k: v for k, v in checkpoint.state.items() if k not in keys}
    )


def arrays(**changes):
    """The arrays with some made anew of the old ones; None takes one out."""

    def change(checkpoint):
        changed = {name: make(checkpoint.arrays["parameters"]) for name, make in changes.items()}
        kept = {k: v for k, v in (checkpoint.arrays | changed).items() if v is not None}
        return replace(checkpoint, arrays=kept)

    return change


def nothing(vector):
    return None


def with_one(value):
    def change(vector):
        vector = vector.copy()
        vector[3] = value
        return vector

    return change


ORDER = {"bit_generator": "PCG64", "state": "0x1", "inc": "0x3"}
STOPPING = {"best": -0.5, "best_epoch": 3, "waited": 0}
PLATEAU = {"rate": 0.001, "best": 0.5, "waited": 0}
ODD = {
    **{f"no {key}": (without(key), "") for key in (
        "versions", "environment", "settings", "data", "step", "epoch", "order", "schedule", "early_stopping",
        "stopped",
    )},
    "nothing": (lambda checkpoint: replace(checkpoint, state={}), "another version of anyarray-mlp"),
    "a key more": (state(extra=1), "other keys (extra)"),
    "a strange key more": (state(**{"\x1b[31m" * 50: 1}), "other keys"),
    "versions of text": (state(versions="1"), "no 'versions'"),
    "another state version": (state(versions={"state": 999}), "state was 999 and is 2"),
    "unknown versions": (state(versions={"layers": 3, "state": 1, "streams": "2"}), "layers was 3 and is not given"),
    "no versions at all": (state(versions={}), "another version"),
    "an environment of text": (state(environment="x"), "no 'environment'"),
    "settings of a list": (state(settings=[]), "no 'settings'"),
    "other settings": (state(settings={"alpha": 1}), "and is"),
    "data of a number": (state(data=1), "no 'data'"),
    "other data": (state(data="00"), "not those that the run"),
    "epoch of text": (state(epoch="3"), "not of epoch 3"),
    "epoch of truth": (state(epoch=True), "not of epoch 3"),
    "a fraction of an epoch": (state(epoch=3.0), "not of epoch 3"),
    "epoch of another file": (state(epoch=4), "not of epoch 3"),
    "a negative epoch": (state(epoch=-3), "not of epoch 3"),
    "step of text": (state(step="81"), "its step is 81"),
    "a negative step": (state(step=-1), "its step is -1"),
    "a huge step": (state(step=2**80), "its step is 12089"),
    "step within an epoch": (state(step=80), "its step is 80"),
    "no order": (state(order={}), "the shuffler's state"),
    "order of text": (state(order="PCG64"), "the shuffler's state"),
    "order of a list": (state(order=[]), "the shuffler's state"),
    "order of another generator": (state(order=ORDER | {"bit_generator": "MT19937"}), "bit generator"),
    "order out of range": (state(order=ORDER | {"state": hex(1 << 128)}), "out of range"),
    "order of numbers": (state(order=ORDER | {"state": 1}), "the shuffler's state"),
    "order without a state": (state(order={"bit_generator": "PCG64"}), "the shuffler's state"),
    "schedule of nothing": (state(schedule={}), "state of schedule"),
    "schedule of a list": (state(schedule=[1]), "state of schedule"),
    "rate of text": (state(schedule=PLATEAU | {"rate": "a"}), "state of schedule"),
    "a negative rate": (state(schedule=PLATEAU | {"rate": -0.001}), "learning rate cannot be"),
    "no rate": (state(schedule=PLATEAU | {"rate": None}), "state of schedule"),
    "a huge rate": (state(schedule=PLATEAU | {"rate": 10**400}), "state of schedule"),
    "a raised rate": (state(schedule=PLATEAU | {"rate": 5.0}), "learning rate cannot be"),
    "waited of text": (state(schedule=PLATEAU | {"waited": "0"}), "state of schedule"),
    "waited too long": (state(schedule=PLATEAU | {"waited": 99}), "state of schedule"),
    "no early stopping": (state(early_stopping=None), "state of early stopping"),
    "early stopping of a list": (state(early_stopping=[]), "state of early stopping"),
    "best of text": (state(early_stopping=STOPPING | {"best": "x"}), "state of early stopping"),
    "best in the future": (state(early_stopping=STOPPING | {"best_epoch": 7}), "state of early stopping"),
    "waited backwards": (state(early_stopping=STOPPING | {"waited": -1}), "state of early stopping"),
    "no best": (state(early_stopping=STOPPING | {"best": None}), "other arrays (best_parameters)"),
    "stopped by magic": (state(stopped="magic"), "reason to end"),
    "stopped by a list": (state(stopped=["early"]), "reason to end"),
    "no parameters": (arrays(parameters=nothing), "other arrays (parameters)"),
    "no second moments": (arrays(**{"moments.1": nothing}), "other arrays (moments.1)"),
    "third moments": (arrays(**{"moments.2": np.copy}), "other arrays (moments.2)"),
    "moments of text": (arrays(**{"moments.x": np.copy}), "other arrays (moments.x)"),
    "an array more": (arrays(extra=np.copy), "other arrays (extra)"),
    "no best parameters": (arrays(best_parameters=nothing), "other arrays (best_parameters)"),
    "too few parameters": (arrays(parameters=lambda vector: vector[1:]), "parameters is (34,)"),
    "too few moments": (arrays(**{"moments.0": lambda vector: vector[:1]}), "moments.0 is (1,)"),
    "parameters in columns": (arrays(parameters=lambda vector: vector[:, None]), "(35, 1)"),
    "parameters of integers": (arrays(parameters=lambda vector: vector.astype(np.int32)), "int32"),
    "parameters of bytes": (arrays(parameters=lambda vector: vector.astype(bool)), "bool"),
    "half parameters": (arrays(parameters=lambda vector: vector.astype(np.float16)), "float16"),
    "NaN": (arrays(parameters=with_one(np.nan)), "parameters is not finite"),
    "infinite moments": (arrays(**{"moments.1": with_one(np.inf)}), "moments.1 is not finite"),
    "a NaN of the best": (arrays(best_parameters=with_one(np.nan)), "best_parameters is not finite"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_checkpoint_is_refused_by_file(cli, trained_run, name):
    change, said = ODD[name]
    put(trained_run["full"])
    path = checkpoint_path("run", 3)
    save_checkpoint("run", change(load_checkpoint("run")))
    error = refused(cli)
    assert said in error
    assert path.name in error or "config.toml" in error or "The data" in error


def test_a_checkpoint_under_the_name_of_another_is_passed_over(cli, trained_run):
    put(trained_run["plain"])
    os.rename("run/checkpoint-0000000003.safetensors", "run/checkpoint-0000000002.safetensors")
    error = cli(*RESUME, "--epochs", 6)
    assert error[0] == 65
    warning, said = error[2].splitlines()
    assert "holds another step than its name says" in warning
    assert "has no undamaged checkpoint: start the run again" in said


def test_a_damaged_checkpoint_is_a_warning_in_one_line(cli, monkeypatch):
    monkeypatch.setattr(of_runs, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    assert cli(*TRAIN, 3)[0] == 0
    path = Path("run/checkpoint-0000000003.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    code, _, err = cli(*RESUME)
    assert code == 0
    assert err.splitlines()[0].startswith("warning: ")
    assert "trying the previous checkpoint" in err.splitlines()[0]
    assert epochs_told() == [1, 2, 3]


# Where it goes on.


def test_other_versions_and_threads_are_told_in_a_line(cli, trained_run, monkeypatch):
    put(trained_run["plain"])
    here_and_now = whole_environment

    def elsewhere(backend, metadata):
        return here_and_now(backend, metadata) | {"numpy": "9.9", "threads": 77, "machine": "vax"}

    assert "warning" not in cli(*RESUME, "--epochs", 4)[2]
    monkeypatch.setattr(of_runs, "environment", elsewhere)
    code, _, err = cli(*RESUME, "--epochs", 5)
    assert code == 0
    (warning,) = [line for line in err.splitlines() if line.startswith("warning")]
    assert f"numpy was {np.__version__} and is 9.9" in warning
    assert re.search(r"threads was \d+ and is 77", warning)
    assert "machine was" in warning
    assert "bits may differ" in warning
    assert "warning" not in cli(*RESUME, "--epochs", 6)[2]  # the run has gone on here by then


def test_a_reproducible_run_depends_on_the_arithmetic_alone(cli, monkeypatch):
    assert cli(*TRAIN, 1, "--reproducible")[0] == 0
    here_and_now = whole_environment
    for changed, warned in ({"numpy": "9.9", "threads": 77}, False), ({"arithmetic": "x"}, True):
        monkeypatch.setattr(
            of_runs, "environment", lambda *given, changed=changed: here_and_now(*given) | changed
        )
        code, _, err = cli(*RESUME, "--epochs", 2)
        assert code == 0
        assert ("warning" in err) == warned


def test_versions_that_make_another_run_are_refused(cli, trained_run, monkeypatch):
    put(trained_run["plain"])
    monkeypatch.setattr(of_runs, "versions", lambda: own_versions() | {"state": 9})
    error = refused(cli)
    assert "checkpoint-0000000003.safetensors" in error
    assert "state was 2 and is 9" in error


# A run in the place of another.


def test_a_run_that_learns_nothing_leaves_the_old_one_and_none_where_there_was_none(cli):
    assert cli(*TRAIN, 2)[0] == 0
    before = contents()
    code, _, err = cli(*TRAIN, 2, "--overwrite", *DIVERGING)
    assert code == 3
    assert "Nothing was learned, so no model is saved: " in err
    assert "keeps the run that was there" in err
    assert contents() == before
    assert cli("predict", "run", "iris")[0] == 0

    code, _, err = cli("train", "iris", "--quiet", "--out", "new", *DIVERGING)
    assert code == 3
    assert "Nothing was learned, so no model is saved." in err
    assert {path.name for path in contents("new")} == {"config.toml", "diagnosis.json"}
    for command in ("predict", "evaluate"):
        code, _, err = cli(command, "new", "iris")
        assert code == 74
        assert "holds a run without a model" in err
        assert "anyarray-mlp diagnose new says why" in err
        assert err.count("\n") == 1
    assert cli("diagnose", "new")[0] == 1
    assert cli("train", "iris", "--quiet", "--out", "new", "--epochs", 1)[0] == 0
    assert cli("predict", "new", "iris")[0] == 0


def test_a_run_that_diverges_later_keeps_the_epoch_before(cli):
    assert cli(*TRAIN, 2)[0] == 0
    old = contents()
    with diverging_in_epoch(3):
        assert cli(*TRAIN, 9, "--overwrite", "--seed", 5)[0] == 3
    assert epochs_told() == [1, 2]
    kept = load("run/model.safetensors")
    assert contents() != old
    assert not list(Path("run").glob(".*"))
    assert cli(*TRAIN[:-3], "--out", "two", "--epochs", 2, "--seed", 5)[0] == 0
    for name, array in load("two/model.safetensors").arrays.items():
        np.testing.assert_array_equal(array, kept.arrays[name])


@pytest.mark.parametrize(
    "arguments",
    [("--hidden", "x"), ("--output", "logistic", "--loss", "cross_entropy"), ("--target", "z"), ("--monitor", "loss")],
)  # fmt: skip
def test_flags_that_are_refused_leave_the_old_run(cli, arguments):
    assert cli(*TRAIN, 2)[0] == 0
    before = contents()
    assert cli(*TRAIN, 2, "--overwrite", *arguments)[0] == 2
    assert contents() == before


@pytest.mark.parametrize("moment", ["before the first epoch", "in a later one"])
def test_an_abort_leaves_the_old_run_until_the_new_one_has_ended(cli, moment):
    assert cli(*TRAIN, 2)[0] == 0
    old = contents()
    later = moment == "in a later one"
    call = of_runs.Checkpoints.__call__

    def abort(checkpoints, epoch):
        call(checkpoints, epoch)
        if not later or epoch.epoch == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        if later:
            patch.setattr(of_runs, "SECONDS_BETWEEN_CHECKPOINTS", 0)
        patch.setattr(of_runs.Checkpoints, "__call__", abort)
        code, _, err = cli(*TRAIN, 5, "--overwrite", "--seed", 5)
    assert code == 130
    assert ("resume with: anyarray-mlp train --resume --out run\n" in err) == later
    kept = contents()
    assert {path: kept[path] for path in old} == old
    assert cli("predict", "run", "iris")[0] == 0
    if not later:
        assert kept == old
        return
    code, _, err = cli("train", "iris", "--out", "run")
    assert code == 73
    assert "--resume to continue it" in err
    assert cli(*RESUME)[0] == 0
    assert epochs_told() == [1, 2, 3, 4, 5]
    assert "seed = 5" in Path("run/config.toml").read_text()
    assert not list(Path("run").glob(".*"))
    assert cli(*TRAIN[:-3], "--out", "two", "--epochs", 5, "--seed", 5)[0] == 0
    assert Path("two/model.safetensors").read_bytes() == Path("run/model.safetensors").read_bytes()


def test_predict_on_a_run_that_was_cut_says_how_to_go_on(cli):
    assert cli(*TRAIN, 2)[0] == 0
    Path("run/model.safetensors").unlink()
    code, _, err = cli("predict", "run", "iris")
    assert code == 74
    assert "holds a run without a model" in err
    assert "resume it (anyarray-mlp train --resume --out run)" in err
    Path("run/diagnosis.json").unlink()
    code, _, err = cli("diagnose", "run")
    assert code == 74
    assert "train --resume" in err


def test_a_run_without_a_checkpoint_does_not_start_again_in_silence(cli):
    assert cli(*TRAIN, 2)[0] == 0
    Path("run/checkpoint-0000000002.safetensors").unlink()
    before = contents()
    code, _, err = cli(*RESUME, "--epochs", 5)
    assert code == 74
    assert "has a model and no checkpoint" in err
    assert contents() == before
    Path("run/model.safetensors").unlink()
    code, _, err = cli(*RESUME, "--epochs", 3)
    assert code == 0
    assert "the run has no checkpoint: it starts from its beginning" in err
    assert epochs_told() == [1, 2, 3]
    for name in ("model.safetensors", "checkpoint-0000000003.safetensors"):
        code, _, err = cli("train", "--resume", "--out", f"run/{name}")
        assert code == 74
        assert f"{name} is a file: give the folder of a run to resume" in err


@pytest.fixture
def cut_in_first_epoch(monkeypatch):
    """Inside, Ctrl-C comes at the first step of a run."""
    from anyarray_mlp.training import signals

    handled = signals.Interrupted.is_set

    @contextlib.contextmanager
    def inside():
        with monkeypatch.context() as patched:
            patched.setattr("anyarray_mlp.training.feeds.STEPS_PER_RUN", 1)
            patched.setattr(
                signals.Interrupted,
                "is_set",
                lambda self: setattr(self, "signal", signal.SIGINT) or handled(self),
            )
            yield

    return inside


def test_an_interrupt_within_the_first_epoch_replaces_nothing(cli, cut_in_first_epoch):
    with cut_in_first_epoch():
        code, _, err = cli(*TRAIN, 9)
        assert code == 130
        assert "interrupted within the first epoch; what was learned is kept; resume with" in err
        assert cli("predict", "run", "iris")[0] == 0
        before = contents()
        code, _, err = cli(*TRAIN, 9, "--seed", 5, "--overwrite")
        assert code == 130
        assert "interrupted before the first epoch was done; nothing is kept" in err
        assert contents() == before


def out_of_memory(*arguments):
    raise MemoryError


def test_a_run_cut_in_its_first_epoch_is_resumed_from_its_beginning(cli, cut_in_first_epoch):
    model = Path("run/model.safetensors")
    assert cli(*TRAIN, 3)[0] == 0
    undisturbed = model.read_bytes()
    with cut_in_first_epoch():
        assert cli(*TRAIN[:-3], "--epochs", 3, "--out", "cut")[0] == 130
    cut = ("train", "--resume", "--out", "cut")
    with pytest.MonkeyPatch.context() as patched:
        # What dies as it starts again leaves no model that would keep the next attempt from the same.
        patched.setattr("anyarray_mlp.pipeline.run.Run.fit", out_of_memory)
        assert cli(*cut)[0] == 71
    assert not Path("cut/model.safetensors").exists()
    code, _, err = cli(*cut)
    assert code == 0
    assert "the run has no checkpoint: it starts from its beginning" in err
    assert Path("cut/model.safetensors").read_bytes() == undisturbed
    assert epochs_told("cut") == [1, 2, 3]


def test_trashed_metrics_of_a_run_without_checkpoint_or_model_stop_nobody(cli, trained_run):
    put(trained_run["plain"])
    for path in Path("run").glob("*.safetensors"):
        path.unlink()
    with Path("run/metrics.jsonl").open("ab") as stream:
        stream.write(b"\0\0\0}\n")
    code, _, err = cli(*RESUME, "--epochs", 3)
    assert code == 0
    assert "the run has no checkpoint: it starts from its beginning" in err
    assert epochs_told() == [1, 2, 3]


def test_a_run_that_is_replaced_keeps_what_no_run_made(cli):
    assert cli(*TRAIN, 1)[0] == 0
    Path("run/notes.txt").write_text("mine")
    assert cli(*TRAIN, 1, "--overwrite")[0] == 0
    assert Path("run/notes.txt").read_text() == "mine"
    assert not list(Path("run").glob(".*"))


# Power loss, links and locks.


@pytest.mark.parametrize("tail", [b"\0\0\0}\n", b'{"epoch": 9}\n', b'{"epoch": 4, "lo'])
def test_a_trashed_tail_of_the_metrics_stops_nobody(cli, trained_run, tail):
    put(trained_run["plain"])
    with Path("run/metrics.jsonl").open("ab") as stream:
        stream.write(tail)
    assert cli(*RESUME, "--epochs", 5)[0] == 0
    assert epochs_told() == [1, 2, 3, 4, 5]


def test_metrics_that_are_lost_are_told_and_stop_nobody(cli, trained_run):
    put(trained_run["plain"])
    metrics = Path("run/metrics.jsonl")
    metrics.write_bytes(metrics.read_bytes().replace(b'{"epoch": 2', b"\0\0\0\0\0\0\0\0\0\0\0"))
    error = refused(cli)
    assert "metrics.jsonl, line 2 is not a JSON table: fix the line, or move the file away" in error
    metrics.unlink()
    code, _, err = cli(*RESUME, "--epochs", 5)
    assert code == 0
    assert "warning: " in err
    assert "lacks the epochs from 1 to 3: the run goes on without them" in err
    assert epochs_told() == [4, 5]
    assert cli(*RESUME, "--epochs", 6)[0] == 0
    assert epochs_told() == [4, 5, 6]


@pytest.mark.skipif(os.name != "posix", reason="needs links")
@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.toml", "metrics.jsonl", "diagnosis.json", "checkpoint-0000000003.safetensors"]
)  # fmt: skip
def test_a_run_does_not_go_on_through_a_link(cli, trained_run, name):
    put(trained_run["plain"])
    victim = Path("victim")
    os.rename(Path("run", name), victim)
    Path("run", name).symlink_to(victim.absolute())
    before = victim.read_bytes()
    code, _, err = cli(*RESUME, "--epochs", 5)
    assert code == 74
    assert f"{name} is a link, and links are not followed" in err
    assert cli(*TRAIN, 1, "--overwrite")[0] == 0
    assert victim.read_bytes() == before
    assert not Path("run", name).is_symlink()


def test_a_run_leaves_no_lock_and_one_in_use_is_refused(cli):
    assert cli(*TRAIN, 1)[0] == 0
    assert not list(Path("run").glob(".*"))
    with DirectoryLock(Path("run")):
        for arguments in ((*TRAIN, 1, "--overwrite"), RESUME):
            code, _, err = cli(*arguments)
            assert code == 75
            assert f"in use by process {os.getpid()} on" in err


# Signals.


@pytest.fixture
def started(here):
    """`started("train", ...)`: a run in a process of its own, once it has done some epochs."""
    processes = []

    def start(*arguments, epochs=3):
        process = subprocess.Popen(
            [sys.executable, "-m", "anyarray_mlp", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        metrics = Path("run/metrics.jsonl")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (
            metrics.exists() and metrics.read_text().count("\n") > epochs
        ):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_terminal_that_closes_ends_a_run_as_a_kill_does(started):
    process = started("train", "digits", "--epochs", 100000, "--out", "run", "--quiet")
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 129, err
    assert "test accuracy" in out
    said = re.search(
        r"interrupted after epoch (\d+); what was learned is kept; resume with: (.*)\n", err
    )
    assert said, err
    epochs = int(said[1])
    assert load_checkpoint("run").step == epochs
    assert not list(Path("run").glob(".*"))
    assert shlex.split(said[2]) == ["anyarray-mlp", "train", "--resume", "--out", "run"]
    more = [*shlex.split(said[2])[1:], "--epochs", str(epochs + 1), "--quiet"]
    assert run(more) == 0
    assert epochs_told() == list(range(1, epochs + 2))


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_again_and_again_leaves_no_temporary(started):
    process = started("train", "digits", "--epochs", 100000, "--out", "run", "--quiet")
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (130, -signal.SIGINT), err
    assert [path.name for path in Path("run").rglob("*.tmp")] == []
    assert run(["train", "--resume", "--out", "run", "--epochs", "1", "--quiet"]) == 0


# What is said at the end.


def test_the_end_of_a_run_says_what_to_type_next(cli, here):
    (here / "my data").mkdir()
    rows = "".join(f"{i % 7},{'ab'[i % 2]}\n" for i in range(60))
    (here / "my data" / "t.csv").write_text("x,y\n" + rows)
    code, _, err = cli("train", "my data/t.csv", "--epochs", 1, "--out", "my data/-run")
    assert code == 0
    assert "saved to my data/-run\nnext: anyarray-mlp predict 'my data/-run' new.csv\n" in err
    code, _, err = cli("train", "my data/t.csv", "--epochs", 1, "--out=-run")
    assert "next: anyarray-mlp predict ./-run new.csv\n" in err
    assert "next:" not in cli(*TRAIN, 1)[2]
