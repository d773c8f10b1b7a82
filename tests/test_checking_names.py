"""What things are called here and elsewhere, and what is said of names that are not known."""

from __future__ import annotations

import numpy as np
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.backends import BACKENDS, select_backend
from anyarray_mlp.checking.messages import counted, nearest, paired, shown, shown_path
from anyarray_mlp.checking.names import (
    ALIASES,
    INSTEAD,
    SCHEDULES,
    SOLVERS,
    TASKS,
    canonical,
    find_name,
    meant,
    misspelt,
)
from anyarray_mlp.checking.settings import names_of
from anyarray_mlp.cli import COMMANDS
from anyarray_mlp.data.dataset import TASKS as DATA_TASKS
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.metrics import METRICS
from anyarray_mlp.network.functional import ACTIVATIONS, OUTPUTS
from anyarray_mlp.network.initializers import INITIALIZERS
from anyarray_mlp.network.losses import LOSS_NAMES
from anyarray_mlp.network.optimizers import OPTIMIZERS
from anyarray_mlp.network.schedules import make_schedule
from anyarray_mlp.pipeline.shape import Shape
from anyarray_mlp.pipeline.table import Table
from anyarray_mlp.training import EarlyStopping, Recipe, fit

KNOWN = {
    "activation": tuple(ACTIVATIONS),
    "output": tuple(OUTPUTS),
    "loss": (*LOSS_NAMES, "auto"),
    "solver": (*OPTIMIZERS, "lbfgs"),
    "learning_rate": SCHEDULES,
    "initializer": (*INITIALIZERS, "auto"),
    "metric": (*METRICS, "loss", "validation_loss"),
    "task": TASKS,
    "dtype": ("float32", "float64"),
    "backend": tuple(BACKENDS),
    "unknown_categories": ("rest", "refuse"),
}


def test_the_names_that_help_lists_are_those_that_there_are():
    """They stand apart from what bears them, so that help need not load that."""
    assert (*OPTIMIZERS, "lbfgs") == SOLVERS
    assert {task for metric in METRICS.values() for task in metric.scores} == set(TASKS)
    assert sorted(DATA_TASKS) == sorted(TASKS)
    for name in SCHEDULES:
        assert make_schedule(name, 0.5, steps_per_epoch=2, epochs=3)(1) > 0  # coslog4 starts from 0


@pytest.mark.parametrize("kind", ALIASES)
def test_every_alias_is_one_name_of_what_there_is(kind):
    others = [other for names in ALIASES[kind].values() for other in names.split()]
    others += [other for names in INSTEAD.get(kind, {}).values() for other in names.split()]
    assert set(ALIASES[kind]) | set(INSTEAD.get(kind, {})) <= set(KNOWN[kind])
    assert len(set(others)) == len(others)
    there = set(others) & set(KNOWN[kind])
    assert not there, f"checking/names.py: delete {there} from the other names: it now exists"
    assert all(other == other.lower() for other in others)


#: As written for Keras, PyTorch, JAX, optax, scikit-learn and by hand.
SPELT = {
    "activation": {
        "sigmoid": "logistic", "Sigmoid": "logistic", "nn.ReLU()": "relu", "ReLU": "relu", "RELU": "relu",
        "LeakyReLU": "leaky_relu", "leaky-relu": "leaky_relu", "swish": "silu", "SiLU": "silu", "jax.nn.gelu": "gelu",
        "linear": "identity", "Tanh": "tanh", "torch.nn.Softplus": "softplus", "ELU": "elu",
    },
    "output": {"sigmoid": "logistic", "linear": "identity", "Softmax": "softmax", "Exponential": "exp"},
    "loss": {
        "mse": "squared_error", "MSELoss": "squared_error", "mean_squared_error": "squared_error",
        "L1Loss": "absolute_error", "mae": "absolute_error", "CrossEntropyLoss": "cross_entropy",
        "categorical_crossentropy": "cross_entropy", "sparse_categorical_crossentropy": "cross_entropy",
        "categoricalCrossentropy": "cross_entropy", "binary_crossentropy": "binary_cross_entropy",
        "BCEWithLogitsLoss": "binary_cross_entropy", "SmoothL1Loss": "huber", "huber_loss": "huber",
        "log_loss": "cross_entropy", "PoissonNLLLoss": "poisson", "Cross-Entropy": "cross_entropy",
        "binary_cross_entropy_with_logits": "binary_cross_entropy", "default": "auto",
    },
    "solver": {
        "Adam": "adam", "torch.optim.AdamW": "adamw", "L-BFGS": "lbfgs", "RMSProp": "rmsprop", "nag": "nesterov",
        "SGD": "sgd", "rms": "rmsprop", "limited_memory_BFGS": "lbfgs",
    },
    "learning_rate": {
        "CosineAnnealingLR": "cosine", "ReduceLROnPlateau": "plateau", "StepLR": "step",
        "ExponentialDecay": "exponential",
    },
    "initializer": {
        "xavier_uniform_": "glorot_uniform", "kaiming_normal_": "he_normal", "HeNormal": "he_normal",
        "xavier_normal_": "glorot_normal", "kaiming_uniform_": "he_uniform", "RandomUniform": "uniform",
        "RandomNormal": "normal", "zero": "zeros", "default": "auto",
    },
    "metric": {
        "acc": "accuracy", "auc": "roc_auc", "mse": "mean_squared_error", "r2_score": "r2",
        "val_loss": "validation_loss",
        "val_accuracy": "accuracy", "neg_mean_absolute_error": "mean_absolute_error",
    },
    "task": {"multiclass_classification": "classification", "multilabel_classification": "multilabel"},
    "dtype": {"torch.float32": "float32", "double": "float64"},
    "backend": {
        "PyTorch": "torch", "np": "numpy", "array-api-strict": "array_api_strict", "strict": "array_api_strict",
        "cp": "cupy",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "ours"),
    [(kind, name, ours) for kind, names in SPELT.items() for name, ours in names.items()],
)
def test_names_of_other_libraries_are_known(kind, name, ours):
    assert canonical(kind, name, KNOWN[kind]) == ours


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("activation", "crelu", "; the nearest is 'relu'"),
        ("activation", "sigmoidd", " (did you mean 'logistic'?)"),
        ("activation", "reul", " (did you mean 'relu'?)"),
        ("solver", "nadam", "; the nearest is 'adam'"),
        ("solver", "adaam", " (did you mean 'adam'?)"),
        ("loss", "rmse", "; the nearest is 'squared_error'"),
        ("loss", "croscentropy", " (did you mean 'cross_entropy'?)"),
        ("initializer", "xavier", "; the nearest is 'glorot_uniform'"),
        ("initializer", "lecun", "; the nearest is 'lecun_uniform'"),
        ("activation", "nn.PReLU", "; the nearest is 'leaky_relu'"),
        ("output", "HardSigmoid", "; the nearest is 'logistic'"),
        ("output", "softplus", "; the nearest is 'exp'"),
        ("output", "log_softmax", "; the nearest is 'softmax'"),
        ("loss", "log_cosh", "; the nearest is 'huber'"),
        ("learning_rate", "adaptive", "; the nearest is 'plateau'"),
        ("learning_rate", "multistep", "; the nearest is 'step'"),
        ("metric", "log_loss", "; the nearest is 'validation_loss'"),
        ("metric", "average_precision", "; the nearest is 'roc_auc'"),
        ("dtype", "float16", "; the nearest is 'float32'"),
        ("backend", "tf", "; the nearest is 'jax'"),
        ("activation", "soft", ""),
        ("activation", "x" * 25_000, ""),
        ("activation", "", ""),
        ("activation", None, ""),
    ],
)
def test_what_is_not_there_is_never_taken_for_what_is_near(kind, name, said):
    assert canonical(kind, name, KNOWN[kind]) == name
    assert meant(kind, name, KNOWN[kind]) == said
    with pytest.raises(UsageError, match=f"{kind} must be one of") as caught:
        find_name(kind, name, KNOWN[kind])
    assert len(str(caught.value)) < 400


def test_a_parameter_may_be_called_otherwise_than_its_kind_or_have_none():
    assert find_name("monitor", "acc", METRICS, "metric") == "accuracy"
    with pytest.raises(
        UsageError, match=r"^monitor must be .*; the nearest is 'mean_squared_error'"
    ):
        find_name("monitor", "rmse", METRICS, "metric")
    assert find_name("colour", "Dark-Red", ["dark_red"]) == "dark_red"
    with pytest.raises(UsageError, match=r"^colour must be one of dark_red, got 'green'"):
        find_name("colour", "green", ["dark_red"])


def test_a_network_keeps_canonical_names():
    network = MLP((3, 4, 5, 2), ("Sigmoid", "nn.ReLU"), "Linear", "MSE")
    assert network == MLP((3, 4, 5, 2), ("logistic", "relu"), "identity", "squared_error")
    assert network.to_config()["output"] == "identity"
    assert MLP((3, 2), output="sigmoid").loss == "binary_cross_entropy"


def test_training_takes_the_names_too():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(40, 3)), generator.integers(0, 2, 40)
    held_out = (x[:10], y[:10])
    runs = []
    for optimizer, metric in (("adam", "accuracy"), ("Adam", "acc")):
        stopping = EarlyStopping(metric, patience=2)
        assert stopping.monitor == "accuracy"
        runs.append(
            fit(
                MLP((3, 4, 2)), x, y, optimizer=optimizer, epochs=4, validation=held_out, metrics=[metric],
                early_stopping=stopping, initializer="auto",
            )
        )  # fmt: skip
    assert (runs[0].parameters == runs[1].parameters).all()
    assert "accuracy" in runs[1].history[-1].scores
    minima = [
        fit(MLP((3, 4, 2)), x, y, optimizer=o, epochs=2).parameters for o in ("lbfgs", "L-BFGS")
    ]
    assert (minima[0] == minima[1]).all()
    assert make_schedule("CosineDecay", 0.1, steps_per_epoch=2, epochs=3)(0) == 0.1
    assert select_backend("NumPy", "CPU", "double").dtype == "float64"


@pytest.mark.parametrize(
    ("missing", "spare", "found"),
    [
        (["latitude"], ["lat"], {"latitude": "lat"}),
        (["latitude", "longitude"], ["long", "lat"], {"latitude": "lat", "longitude": "long"}),
        (["sepal_length"], ["Sepal Length", "sepal"], {"sepal_length": "Sepal Length"}),
        (["quantity", "quality"], ["qty", "qlty"], {"quantity": "qty", "quality": "qlty"}),
        (["width"], ["height"], {}),
        (["a1", "a2"], ["a2x"], {"a2": "a2x"}),
        (["age"], [], {}),
        (["age"], ["", "--"], {}),
    ],
)
def test_missing_columns_are_paired_with_those_that_nothing_matches(missing, spare, found):
    assert paired(missing, spare) == found


def test_a_missing_column_is_never_said_to_be_one_that_is_used():
    import pandas

    from anyarray_mlp.data import Preprocessor

    table = pandas.DataFrame({"latitude": [1.0, 2], "longitude": [3.0, 4], "pop": [5.0, 6]})
    encoder = Preprocessor.fit(table)
    with pytest.raises(DataError, match=r"'latitude' is missing \(did you mean 'lat'\?\)"):
        encoder.transform(table.rename(columns={"latitude": "lat"}))
    with pytest.raises(DataError, match=r"'latitude' is missing; the model"):
        encoder.transform(table.rename(columns={"latitude": "q"}))
    with pytest.raises(
        DataError,
        match=r"'lat' for 'latitude', 'lon' for 'longitude'|'lon' for 'longitude', 'lat' for",
    ):
        encoder.transform(table.rename(columns={"latitude": "lat", "longitude": "lon"}))


def test_values_counts_and_paths_are_shown_in_one_way():
    assert len(shown("x" * 25_000)) <= 60
    assert "\n" not in shown("a\n" * 20)
    assert counted(1, "row") == "1 row"
    assert counted(2000, "row") == "2,000 rows"
    assert counted(2, "class", "classes") == "2 classes"
    assert shown_path("é.csv") == "é.csv"


#: Names of one table each: options of `fit`, commands, and columns and labels as users have them.
TABLES = {
    **KNOWN,
    "option": names_of(Recipe, Table, Shape),
    "command": tuple(COMMANDS),
    "column": ("age", "colour", "sepal length", "petal width", "species", "ptratio", "lstat", "medv"),
    "label": ("dog", "cat", "red", "blue", "yes", "no"),
}  # fmt: skip

#: As people type them.
MISSPELT = {
    "option": {
        "learing_rate": "learning_rate", "learnig_rate": "learning_rate", "optmizer": "optimizer",
        "optimzer": "optimizer", "optimiser": "optimizer", "activaiton": "activation", "batch_szie": "batch_size",
        "bacth_size": "batch_size", "intializer": "initializer", "initalizer": "initializer",
        "validation_fracton": "validation_fraction", "patiance": "patience", "momentom": "momentum",
        "drouput": "dropout", "epohcs": "epochs", "shuflle": "shuffle", "metircs": "metrics", "alhpa": "alpha",
        "early_stoping": "early_stopping", "clip_nrom": "clip_norm", "warmup": "warm_up", "moniter": "monitor",
        "hiden_layer_sizes": "hidden_layer_sizes", "standarize": "standardize", "traget": "target",
    },
    "activation": {
        "sigmod": "logistic", "sigmoidd": "logistic", "reul": "relu", "rleu": "relu", "lekay_relu": "leaky_relu",
        "tahn": "tanh", "sofplus": "softplus", "mishh": "mish",
    },
    "output": {"softamx": "softmax", "sofmax": "softmax", "identitiy": "identity"},
    "loss": {
        "cross_entorpy": "cross_entropy", "croscentropy": "cross_entropy", "bianry_crossentropy":
        "binary_cross_entropy", "squared_eror": "squared_error", "hubber": "huber", "poison": "poisson",
    },
    "solver": {"adaam": "adam", "adm": "adam", "rmsporp": "rmsprop", "nestrov": "nesterov", "lbgfs": "lbfgs"},
    "learning_rate": {"exponental": "exponential", "consine": "cosine", "platau": "plateau", "constat": "constant"},
    "metric": {"acuracy": "accuracy", "accuray": "accuracy", "mean_sqared_error": "mean_squared_error"},
    "task": {"regresion": "regression", "classifcation": "classification", "multilable": "multilabel"},
    "initializer": {"glorot_unifrom": "glorot_uniform", "ortogonal": "orthogonal"},
    "backend": {"nummpy": "numpy", "pytroch": "torch"},
    "command": {
        "trian": "train", "predcit": "predict", "evalute": "evaluate", "gradchek": "gradcheck",
        "diagnos": "diagnose", "inf": "info",
    },
    "column": {
        "agee": "age", "color": "colour", "sepal_lenght": "sepal length", "petalwidth": "petal width",
        "specie": "species", "pt_ratio": "ptratio", "mdev": "medv",
    },
    "label": {"dgo": "dog", "rde": "red", "yess": "yes", "bleu": "blue"},
}  # fmt: skip

#: Names of other things, which no table has, under whatever name.
NOT_GUESSED = {
    "option": "pretrained num_workers checkpoint tree_method max_depth subsample pin_memory gradient_accumulation "
    "n_neighbors kernel degree mixup save_steps tokenizer stride padding",
    "activation": "maxout gaussian sine threshold step radbas bent cube",
    "output": "argmax tanh sparsemax cloglog",
    "loss": "triplet ctc dice hinge_embedding wasserstein margin_ranking kld tversky gaussian",
    "solver": "sag saga liblinear newton shampoo adafactor ranger sophia yogi",
    "learning_rate": "sqrt noam lambda triangular",
    "metric": "kappa hamming jaccard brier perplexity iou specificity gini",
    "task": "ranking clustering forecasting segmentation survival",
    "initializer": "variance_scaling constant identity dirac ones",
    "backend": "mxnet dask theano onnx openvino",
    "command": "deploy plot clean list version",
    "column": "price id target income rooms tract month",
    "label": "cow bird fox god green maybe",
}


def guessed(kind: str, name: str) -> str | None:
    """What a name may be a misspelling of."""
    if kind in KNOWN:
        return misspelt(kind, name, KNOWN[kind])
    return nearest(name, TABLES[kind])


@pytest.mark.parametrize("kind", TABLES)
def test_what_people_mistype_is_found_and_nothing_else_is_guessed(kind: str) -> None:
    mistyped = MISSPELT.get(kind, {})
    assert {name: guessed(kind, name) for name in mistyped} == mistyped
    others = NOT_GUESSED.get(kind, "").split()
    assert {name: guessed(kind, name) for name in others} == dict.fromkeys(others)


def test_a_swap_counts_where_it_is_the_only_difference() -> None:
    assert nearest("dgo", ["dog"]) == "dog"
    assert nearest("god", ["dog"]) is None  # not neighbours
    assert nearest("dgx", ["dog"]) is None
    assert nearest("dg", ["gdx"]) is None
