"""Random streams: each is its own, and none goes with the numbers that people make their data of."""

from __future__ import annotations

import ast
import csv
import json
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

import anyarray_mlp
from anyarray_mlp import TrainedModel, streams
from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.cli import run
from anyarray_mlp.data import Shuffler, split_indices
from anyarray_mlp.network.dropping import dropout_mask
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.steps import dropout_keys
from tests.beds import require_library

Array = Any
#: Draws two columns of n rows with a seed, as a script does.
Way = Callable[[int, int], tuple[Array, Array]]

ROWS = 500
SEEDS = range(10)
#: Largest z of one test (one in 26 million is larger by chance, and there are 34,000), and largest mean of z² over the
#: tests of one kind of draw, which chance brings to 1.
LARGEST_Z, LARGEST_MEAN_SQUARE = 5.5, 2.5


# --- the ways in which people draw data ---


GENERATORS: dict[str, Callable[[int], np.random.Generator]] = {
    "default_rng(s)": np.random.default_rng,
    "PCG64": lambda s: np.random.Generator(np.random.PCG64(s)),
    "PCG64DXSM": lambda s: np.random.Generator(np.random.PCG64DXSM(s)),
    "MT19937": lambda s: np.random.Generator(np.random.MT19937(s)),
    "Philox": lambda s: np.random.Generator(np.random.Philox(s)),
    "Philox(key=s)": lambda s: np.random.Generator(np.random.Philox(key=s)),
    "SFC64": lambda s: np.random.Generator(np.random.SFC64(s)),
    "default_rng([s, 0])": lambda s: np.random.default_rng([s, 0]),
    "default_rng(s + 1)": lambda s: np.random.default_rng(s + 1),
    "spawned": lambda s: np.random.default_rng(np.random.SeedSequence(s).spawn(2)[1]),
}


def shuffled(shuffle: Callable[[Any], None], n: int) -> Array:
    """The numbers 0..n-1 as a shuffle in place leaves them."""
    numbers = list(range(n))
    shuffle(numbers)
    return np.array(numbers)


DRAWS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "random": lambda g, n: g.random((n, 1))[:, 0],
    "uniform": lambda g, n: g.uniform(-1, 1, n),
    "normal": lambda g, n: g.normal(72, 12, n),
    "float32": lambda g, n: g.standard_normal(n, dtype=np.float32),
    "integers": lambda g, n: g.integers(0, 100, n),
    "bytes": lambda g, n: g.integers(0, 256, n, dtype=np.uint8),
    "permutation": lambda g, n: g.permutation(n),
    "choice": lambda g, n: g.choice(n, size=n, replace=True),
    "without replacement": lambda g, n: g.choice(4 * n, size=n, replace=False),
    "shuffle": lambda g, n: shuffled(g.shuffle, n),
}

LEGACY_DRAWS: dict[str, Callable[[Any, int], Array]] = {
    "rand": lambda r, n: r.rand(n),
    "randn": lambda r, n: r.randn(n),
    "randint": lambda r, n: r.randint(0, 100, n),
    "permutation": lambda r, n: r.permutation(n),
    "shuffle": lambda r, n: shuffled(r.shuffle, n),
    "choice": lambda r, n: r.choice(n, n),
}

PYTHON_DRAWS: dict[str, Callable[[int], Array]] = {
    "random": lambda n: np.array([random.random() for _ in range(n)]),
    "gauss": lambda n: np.array([random.gauss(0, 1) for _ in range(n)]),
    "randint": lambda n: np.array([random.randint(0, 99) for _ in range(n)]),
    "sample": lambda n: np.array(random.sample(range(n), n)),
    "shuffle": lambda n: shuffled(random.shuffle, n),
}


def globally_seeded(seed: int) -> Any:
    """NumPy's global generator, after `np.random.seed`."""
    np.random.seed(seed)  # noqa: NPY002
    return np.random


def with_state(make: Callable[[int], Any], draw: Callable[[Any, int], Array]) -> Way:
    """Two columns, one after the other, of one generator."""

    def way(seed: int, n: int) -> tuple[Array, Array]:
        state = make(seed)
        return draw(state, n), draw(state, n)

    return way


def of_python(draw: Callable[[int], Array]) -> Way:
    def way(seed: int, n: int) -> tuple[Array, Array]:
        random.seed(seed)
        return draw(n), draw(n)

    return way


def pairs_at_once(seed: int, n: int) -> tuple[Array, Array]:
    """Both columns of one draw, row by row."""
    x, y = np.random.default_rng(seed).random((n, 2)).T
    return x, y


def noisy_sine(seed: int, n: int) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    x = generator.random(n)
    return x, np.sin(6 * x) + 0.05 * generator.normal(size=n)


def of_scikit_learn(seed: int, n: int) -> tuple[Array, Array]:
    from sklearn.datasets import make_regression

    x, y = make_regression(n_samples=n, n_features=1, noise=20, random_state=seed)
    return x[:, 0], y


def blobs(seed: int, n: int) -> tuple[Array, Array]:
    from sklearn.datasets import make_blobs

    x, label = make_blobs(n_samples=n, random_state=seed)
    return x[:, 0], label


def of_torch(name: str) -> Way:
    def way(seed: int, n: int) -> tuple[Array, Array]:
        require_library("torch")
        import torch

        draw = {
            "rand": lambda: torch.rand(n),
            "randn": lambda: torch.randn(n),
            "randint": lambda: torch.randint(0, 100, (n,)),
            "randperm": lambda: torch.randperm(n),
        }[name]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return draw().numpy(), draw().numpy()

    return way


def of_jax(name: str) -> Way:
    def way(seed: int, n: int) -> tuple[Array, Array]:
        require_library("jax")
        import jax

        draw = {
            "uniform": lambda key: jax.random.uniform(key, (n,)),
            "normal": lambda key: jax.random.normal(key, (n,)),
            "randint": lambda key: jax.random.randint(key, (n,), 0, 100),
            "permutation": lambda key: jax.random.permutation(key, n),
        }[name]
        key = jax.random.PRNGKey(seed)
        return np.asarray(draw(key)), np.asarray(draw(jax.random.split(key)[1]))

    return way


def ways() -> Iterator[tuple[str, Way]]:
    for maker, make in GENERATORS.items():
        for name in (
            DRAWS if maker == "default_rng(s)" else ("random", "normal", "integers", "permutation")
        ):
            yield f"{maker}, {name}", with_state(make, DRAWS[name])
    for name, legacy in LEGACY_DRAWS.items():
        yield f"RandomState(s), {name}", with_state(np.random.RandomState, legacy)
        yield f"np.random.seed(s), {name}", with_state(globally_seeded, legacy)
    for name, python in PYTHON_DRAWS.items():
        yield f"random.seed(s), {name}", of_python(python)
    yield "default_rng(s), rows of two", pairs_at_once
    yield "default_rng(s), sine with noise", noisy_sine
    yield "make_regression(random_state=s)", of_scikit_learn
    yield "make_blobs(random_state=s)", blobs
    for name in ("rand", "randn", "randint", "randperm"):
        yield f"torch.manual_seed(s), {name}", of_torch(name)
    for name in ("uniform", "normal", "randint", "permutation"):
        yield f"PRNGKey(s), {name}", of_jax(name)


WAYS = dict(ways())


# --- what a run draws, held against them ---


def rank_sum_z(ranks: Array, chosen: Array) -> float:
    """z of the sum of some rows' ranks (Wilcoxon, Mann and Whitney), its variance that of the ranks themselves."""
    n, m = len(ranks), len(ranks[chosen])
    deviation = np.sqrt(m * (n - m) / n * ranks.var(ddof=1))
    return float((ranks[chosen].sum() - m * ranks.mean()) / deviation)


def correlation_z(a: Array, b: Array) -> float:
    """z of the correlation of ranks (Spearman)."""
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)) * np.sqrt(len(a) - 1))


@cache
def splits(seed: int) -> tuple[Array, Array, Array]:
    """Rows to train on, to validate and to test, as `train` splits a table."""
    rest, test = split_indices(ROWS, fraction=0.2, seed=seed)
    kept, held_out = split_indices(len(rest), fraction=0.2, seed=seed, stream="validation split")
    return rest[kept], rest[held_out], test


@cache
def orders(seed: int) -> tuple[Array, ...]:
    """The first epochs' rows, of all rows (`--test-fraction 0`), and of those of `splits`."""
    shuffler, of_training = Shuffler(seed), Shuffler(seed)
    training = splits(seed)[0]
    return (
        *(shuffler.permutation(ROWS) for _ in range(3)),
        *(training[of_training.permutation(len(training))] for _ in range(3)),
    )


@cache
def initial_weights(seed: int) -> tuple[Array, ...]:
    """Ranks of weights (`ROWS`,) by each kind of draw."""
    network = MLP((20, 20, 5))
    found = [network.initialize(seed, name) for name in ("uniform", "normal", "orthogonal")]
    return tuple(rankdata(vector[:ROWS]) for vector in found)


@cache
def masks(seed: int) -> tuple[Array, ...]:
    """Dropout's masks (`ROWS`,) in two layers at two steps."""
    xp = PlainNamespace(np)
    keys = [key for layer in (0, 1) for key in dropout_keys(seed, layer, 0, 2)]
    return tuple(dropout_mask(xp, (ROWS // 10, 10), 0.5, np.asarray(k)).ravel() for k in keys)


def statistics(way: Way, seed: int) -> dict[str, list[float]]:
    """z of every test of what a run with a seed draws against a table drawn with the same seed."""
    x, y = way(seed, ROWS)
    columns = [rankdata(x), rankdata(y), np.arange(ROWS)]
    _, validation, test = splits(seed)
    of_rest = np.isin(np.setdiff1d(np.arange(ROWS), test), validation)
    return {
        "test rows": [rank_sum_z(column, test) for column in columns],
        "validation rows": [rank_sum_z(np.delete(column, test), of_rest) for column in columns],
        "order": [
            correlation_z(column[order], np.arange(len(order)))
            for column in columns
            for order in orders(seed)
        ],
        "initial weights": [
            correlation_z(weights, column)
            for column in columns
            for weights in initial_weights(seed)
        ],
        "dropout": [rank_sum_z(column, mask) for column in columns for mask in masks(seed)],
    }


def check_way(way: Way) -> None:
    found = [statistics(way, seed) for seed in SEEDS]
    for what in found[0]:
        z = np.array([each[what] for each in found])
        seed, test = np.unravel_index(np.argmax(np.abs(z)), z.shape)
        assert np.abs(z).max() < LARGEST_Z, f"{what}: z {z[seed, test]:.1f} with seed {seed}"
        # The row numbers are the same for every way.
        columns = z.reshape(len(found), 3, -1)[:, :2]
        assert np.mean(columns**2) < LARGEST_MEAN_SQUARE, what


@pytest.mark.parametrize("name", WAYS)
def test_nothing_drawn_goes_with_a_table_drawn_with_the_same_seed(name: str) -> None:
    check_way(WAYS[name])


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("anyarray_mlp.data.sampling.bit_generator", "default_rng(s), sine with noise"),
        ("anyarray_mlp.data.sampling.bit_generator", "PCG64, random"),
        ("anyarray_mlp.data.sampling.bit_generator", "default_rng(s), uniform"),
        ("anyarray_mlp.streams.bit_generator", "default_rng(s), random"),
    ],
)
def test_a_generator_started_from_the_bare_seed_is_found(
    place: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = (splits, orders, initial_weights, masks)
    for function in cached:
        function.cache_clear()
    monkeypatch.setattr(place, lambda stream, seed, *index: np.random.PCG64(seed))
    try:
        with pytest.raises(AssertionError, match=r"z -?\d\d"):
            check_way(WAYS[name])
    finally:
        for function in cached:
            function.cache_clear()


def write_table(path: Path, seed: int) -> None:
    x, y = noisy_sine(seed, ROWS)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("x", "y"), *zip(x.tolist(), y.tolist(), strict=True)])


@pytest.mark.parametrize("seed", [0, 1])
def test_train_scores_a_table_drawn_with_its_own_seed(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for drawn_with in (0, seed):
        write_table(tmp_path / "s.csv", drawn_with)
        command = ["train", str(tmp_path / "s.csv"), "--epochs", "100", "--seed", str(seed)]
        command += [
            "--quiet",
            "--json",
            "--out",
            str(tmp_path / f"run-{drawn_with}"),
            "--overwrite",
        ]
        assert run(command) == 0
        model = TrainedModel.load(tmp_path / f"run-{drawn_with}")
        assert model.metadata["random_streams"] == streams.VERSION
        assert json.loads(capsys.readouterr().out)["scores"]["r2"] > 0.95


def test_train_holds_out_test_and_validation_rows_by_two_streams(tmp_path: Path) -> None:
    from anyarray_mlp import Recipe
    from anyarray_mlp.pipeline.preparation import prepare
    from anyarray_mlp.pipeline.settings import Settings
    from anyarray_mlp.pipeline.table import Table

    table = tmp_path / "rows.csv"
    table.write_text("x,row\n" + "".join(f"{(7 * i) % 100}.5,{i}.25\n" for i in range(ROWS)))
    split = Table(test_fraction=0.2, validation_fraction=0.2)
    prepared = prepare(table, Settings(table=split, recipe=Recipe(seed=3, task="regression")))
    assert prepared.validation is not None
    parts = (prepared.training, prepared.validation, prepared.test)
    for part, rows in zip(parts, splits(3), strict=True):
        assert (part.y.ravel() - 0.25).tolist() == rows.tolist()


# --- the streams themselves, whose bits test_stream_bits.py pins ---


def started(stream: str, seed: int) -> list[np.random.PCG64]:
    """The bit generators of a stream; several of one that is numbered."""
    layers = [(0,), (1,), (2,)] if stream == "dropout" else [()]
    return [streams.bit_generator(stream, seed, *layer) for layer in layers]


def test_no_two_streams_share_a_number() -> None:
    """Not at any distance within the first 10,000, nor with a user's generators of the same seeds."""
    seeds = (0, 1, 2, 2**32, 2**64)
    words = [
        generator.random_raw(10_000)
        for stream in streams.STREAMS
        for seed in seeds
        for generator in started(stream, seed)
    ]
    users = (np.random.PCG64, np.random.PCG64DXSM, np.random.Philox)
    words += [user(seed).random_raw(10_000) for user in users for seed in seeds]
    together = np.concatenate(words)
    assert len(np.unique(together)) == len(together)


def test_streams_and_seeds_are_not_correlated() -> None:
    first = [
        rankdata([streams.bit_generator(stream, seed).random_raw() for seed in range(1000)])
        for stream in streams.STREAMS
    ]
    for i, numbers in enumerate(first):
        assert abs(correlation_z(numbers, np.arange(1000))) < LARGEST_Z
        assert abs(correlation_z(numbers[1:], numbers[:-1])) < LARGEST_Z
        for others in first[:i]:
            assert abs(correlation_z(numbers, others)) < LARGEST_Z


def test_dropout_keys_of_neighbours_have_nothing_in_common() -> None:
    """Half of the bits differ between seeds, layers and steps, and no key comes twice."""
    steps = 1000
    runs = [(seed, layer) for seed in (0, 1, 2, 2**31, 2**64) for layer in (0, 1, 2)]
    keys = {key: dropout_keys(*key, 0, steps).view(np.uint32) for key in runs}
    drawn = np.concatenate(list(keys.values()))
    assert len(np.unique(drawn)) == len(drawn)

    def distance(a: Array, b: Array) -> float:
        return float(np.unpackbits((a ^ b).view(np.uint8)).mean())

    allowed = LARGEST_Z * 0.5 / np.sqrt(32 * (steps - 1))
    for one, other in pairwise(runs):
        assert abs(distance(keys[one], keys[other]) - 0.5) < allowed
        assert abs(distance(keys[one][1:], keys[other][:-1]) - 0.5) < allowed
    for key in runs:
        assert abs(distance(keys[key][1:], keys[key][:-1]) - 0.5) < allowed


# --- nobody else starts a generator ---

#: What starts a generator of NumPy, Python, PyTorch or JAX.
STARTERS = {
    *("default_rng", "Generator", "RandomState", "SeedSequence", "seed", "Random", "manual_seed"),
    *("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64", "PRNGKey", "key"),
}
#: The probe's inputs are part of the arithmetic, whose version says when they change.
OWN = {"streams.py", "arithmetic/probe.py"}


def name_of(node: ast.AST) -> str:
    """The last part of a name, of an attribute, or of a subscript that is text."""
    if isinstance(node, ast.Subscript):
        node = node.slice
    return str(getattr(node, "attr", getattr(node, "id", getattr(node, "value", ""))))


def test_every_generator_is_started_by_a_stream_and_no_seed_is_reckoned_with() -> None:
    root = Path(anyarray_mlp.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            starts = isinstance(node, ast.Call) and name_of(node.func) in STARTERS
            if starts and place not in OWN:
                found.append(f"{place}:{node.lineno} starts a generator")
            if isinstance(node, ast.BinOp) and any(
                re.search(r"(^|_)seed$", name_of(operand)) for operand in (node.left, node.right)
            ):
                found.append(f"{place}:{node.lineno} reckons with a seed")
    assert found == []
