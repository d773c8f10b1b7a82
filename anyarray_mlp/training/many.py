"""`fit_many`: several networks at once. Those that are alike in what a step is compiled for are trained as stacks."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.options import options_of, with_known_options
from anyarray_mlp.checking.values import check_whole, items, refuse
from anyarray_mlp.data.stored import is_stored
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.training.given import Given, as_given
from anyarray_mlp.training.job import Rows, checked_rows
from anyarray_mlp.training.predicting import is_sparse, on_device
from anyarray_mlp.training.recipe import Recipe, recipe_of, with_options
from anyarray_mlp.training.records import Fit, TrainingState
from anyarray_mlp.training.signals import interruption
from anyarray_mlp.training.stacked import Candidate, HeldOut, Shared, fit_alone, fit_stack, warn_of
from anyarray_mlp.typing import Host

#: The most networks of a stack on a CPU: more gain next to nothing (`python -m benchmarks.many_networks shapes`).
MOST_ON_CPU = 8
#: Bytes of parameters, gradients and moments of a stack there: what no longer fits the cache costs more than fewer
#: calls save, unless a compiler fuses operations; then it is memory alone that counts.
BYTES_ON_CPU, BYTES_FUSED = 1 << 21, 1 << 25
#: The same on a GPU, which is hardly busy with one small network.
MOST_ON_GPU, BYTES_ON_GPU = 64, 1 << 28
#: Vectors of a network's size that a step of Adam goes over: parameters, gradient and two moments.
VECTORS = 4


@with_known_options
def fit_many(
    mlp: MLP | Sequence[MLP],
    x: Any,
    targets: Any,
    recipe: Recipe | Sequence[Recipe] | None = None,
    *,
    seeds: Sequence[int] | None = None,
    rows: Sequence[Any] | None = None,
    validation: Any = None,
    sample_weight: Any = None,
    input_scale: float | None = None,
    initial: Sequence[Host | TrainingState] | None = None,
    backend: str | Backend | None = None,
    **options: Any,
) -> list[Fit]:
    """Train several networks on rows of x (n, i) and targets, each as `fit` does alone; what came of each, in order.

    Networks that are alike in their `MLP`, optimizer, batch size and number of batches are trained as stacks: one
    compiled step for all, whose products are batched. Each has its own rows, order, dropout, rates, penalty and early
    stopping. Under reproducible arithmetic each has the bits that it has alone, else the same to rounding. L-BFGS and
    networks of a class of one's own are trained one after the other.

    Parameters
    ----------
    mlp, recipe : one for all, or a list of one for each. `seeds`, `rows` and `initial` are lists of one for each; all
        lists are equally long, and at least one is needed to say how many networks there are.
    seeds : in place of the recipes' own.
    rows : which rows each is trained on: integer places, or a boolean mask (n,); without, all.
    validation : (x, targets), a tuple, for all; or a list of one for each, such a pair, or which rows of x, or None.
    sample_weight : (n,), of which each network has those of its rows.
    input_scale, backend : as for `fit`.
    initial : as for `fit`, of each: parameters (p,) or a `TrainingState`.
    options : settings of a `Recipe`, in place of those of every recipe.

    A network that diverges does not end the others: its result says `stopped="diverged"`, with the parameters of the
    epoch before, and a warning says which they are. After Ctrl-C the networks that were under way are "interrupted",
    and those that were not begun have the parameters that they would have started from. Epochs can be asked for their
    state until their network's training has ended, not later.

    Raises
    ------
    DataError, UsageError : data or a setting that nothing can be trained with; lists of different lengths.
    """
    if targets is None:
        raise UsageError(
            "fit_many takes arrays, and targets are missing: to train on batches use fit."
        )
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    lists = {
        "mlp": listed(mlp, MLP),
        "recipe": listed(recipe, Recipe),
        "seeds": seeds,
        "rows": rows,
        "validation": None if isinstance(validation, tuple) else validation,
        "initial": initial,
    }
    count, each = one_for_each(lists)
    mlps = each["mlp"] or [mlp] * count
    for one in mlps:
        check_network(one)
    recipes = [
        recipe_of("fit_many", one, options, OWN) for one in each["recipe"] or [recipe] * count
    ]
    if each["seeds"]:
        seeds = [check_whole("seeds", seed, 0) for seed in each["seeds"]]
        recipes = [
            with_options(*pair) for pair in zip(recipes, ({"seed": s} for s in seeds), strict=True)
        ]
    pair = validation if isinstance(validation, tuple) else None
    given = as_given(mlps[0], x, targets, sample_weight, pair)
    shared = Shared(given, rows_of(mlps, given, backend), backend, input_scale)
    n = given.x.shape[0]
    places = [places_in("rows", one, n) for one in each["rows"] or [None] * count]
    held_out = held_out_of(mlps[0], given, each["validation"] or [given.validation] * count)
    starts = each["initial"] or [None] * count
    recipes = [of_one(one) for one in recipes]
    candidates = [
        Candidate(place, *own, shared)
        for place, own in enumerate(zip(mlps, recipes, places, held_out, starts, strict=True))
    ]
    results: dict[int, Fit] = {}
    with interruption() as interrupted:
        for group in groups_of(candidates, n, backend):
            train_group = fit_stack if stacks(group[0]) else fit_alone
            results |= train_group(group, shared, interrupted)
    warn_of([results[place] for place in range(count)])
    return [results[place] for place in range(count)]


#: The options that `fit_many` takes itself, each with its default.
OWN = options_of(fit_many)
# --- what is asked for ---------------------------------------------------------------------------------


def of_one(recipe: Recipe) -> Recipe:
    """The recipe with a copy of what remembers how a run went: several networks may have been given one object."""
    own: dict[str, Any] = {}
    for name in ("early_stopping", "keep_epoch"):
        value = getattr(recipe, name)
        if not isinstance(value, (bool, str)):
            own[name] = copy.copy(value)
    if hasattr(recipe.learning_rate, "observe"):
        own["learning_rate"] = copy.deepcopy(recipe.learning_rate)
    return replace(recipe, **own) if own else recipe


def listed(value: Any, kind: type) -> Any:
    """A list of some kind; None for one alone."""
    return None if value is None or isinstance(value, kind) else value


def one_for_each(lists: dict[str, Any]) -> tuple[int, dict[str, list[Any]]]:
    """How many networks there are, and what each has; `UsageError` if the lists do not agree on it."""
    given = {}
    for name, value in lists.items():
        if value is not None:
            given[name] = list(items(name, value, "a list of one for each network"))
    lengths = {name: len(value) for name, value in given.items()}
    if not lengths:
        raise UsageError(
            "fit_many does not know how many networks: give a list of seeds, such as seeds=range(4), or of recipes, "
            "rows, validation, initial or mlp."
        )
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UsageError(f"Lists of one for each network must be equally long, got {told}.")
    count = next(iter(lengths.values()))
    if not count:
        raise UsageError(f"{next(iter(lengths))} must name at least one network, got none.")
    return count, {name: given.get(name, []) for name in lists}


def places_in(name: str, value: Any, n: int) -> NDArray[np.int64] | None:
    """Places of rows, of integers or of a mask (n,); None for all. `UsageError` for what names none."""
    if value is None:
        return None
    what = f"places of rows, integers from 0 to {n - 1}, or a mask ({n},), for each network"
    array = np.asarray(value)
    if array.dtype == bool and array.shape == (n,):
        array = np.flatnonzero(array)
    if array.ndim == 1 and not array.size:
        raise DataError(f"{name} holds no row for one of the networks: give at least one.")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        refuse(name, what, value)
    if array.min() < 0 or array.max() >= n:
        refuse(name, what, int(array.min()) if array.min() < 0 else int(array.max()))
    return array.astype(np.int64)


def held_out_of(mlp: MLP, given: Given, each: Sequence[Any]) -> list[HeldOut]:
    """The validation set of each network: a pair of arrays, places of rows, or None."""

    def found(one: Any) -> HeldOut:
        if one is None or one is given.validation:
            return one
        if isinstance(one, tuple):
            pair: HeldOut = as_given(mlp, given.x, given.targets, None, one).validation
            return pair
        return places_in("validation", one, given.x.shape[0])

    return [found(one) for one in each]


def rows_of(mlps: Sequence[MLP], given: Given, backend: Backend) -> Rows:
    """The data, checked for every network, on the device if it is to lie there: once for all stacks."""
    for mlp in dict.fromkeys(mlps):
        rows = checked_rows(mlp, given.x, given.targets, given.sample_weight)
    if is_stored(rows.x):
        raise UsageError("Several networks are trained on rows in memory, and these are on disk.")
    if is_sparse(rows.x) or (isinstance(rows.x, np.ndarray) and backend.streams(rows.x)):
        return rows
    weight = rows.sample_weight
    return Rows(
        on_device(backend, rows.x),
        on_device(backend, rows.targets),
        None if weight is None else on_device(backend, weight),
    )


# --- stacks ----------------------------------------------------------------------------------------------


def stacks(candidate: Candidate) -> bool:
    """Whether a network can be one of a stack."""
    return type(candidate.mlp) is MLP and not candidate.recipe.by_lbfgs


def kind(candidate: Candidate, n: int) -> Any:
    """What the networks of a stack have to be alike in."""
    if not stacks(candidate):
        return candidate.place
    size = candidate.batch_size(n)
    recipe = candidate.recipe
    full = candidate.size(n) // size
    compiled = recipe.step_optimizer(), recipe.clip_norm, recipe.label_smoothing
    return candidate.mlp, (*compiled, recipe.dropout_fades), size, full


def groups_of(
    candidates: Sequence[Candidate], n: int, backend: Backend
) -> Iterator[list[Candidate]]:
    """The candidates in groups that are trained together, of sizes that are about the same."""
    kinds: dict[Any, list[Candidate]] = {}
    for candidate in candidates:
        kinds.setdefault(kind(candidate, n), []).append(candidate)
    for some in kinds.values():
        # Those of one penalty and rate share what is compiled, and numbers in place of arrays.
        some.sort(key=lambda c: (c.recipe.alpha, c.recipe.learning_rate_init))
        groups = -(-len(some) // members_at_once(some[0].mlp, backend))
        for numbers in np.array_split(np.arange(len(some)), groups):
            yield neighbours([some[number] for number in numbers], n)


def neighbours(group: list[Candidate], n: int) -> list[Candidate]:
    """A group in an order in which those with equally many rows, and equally many held out, are neighbours."""

    def sizes(candidate: Candidate) -> tuple[int, int]:
        held_out = candidate.validation
        rows = held_out[0] if isinstance(held_out, tuple) else held_out
        return candidate.size(n), 0 if rows is None else int(rows.shape[0])

    return sorted(group, key=sizes)


def members_at_once(mlp: MLP, backend: Backend) -> int:
    """How many networks a stack may have."""
    most, room = MOST_ON_CPU, BYTES_ON_CPU if backend.flat else BYTES_FUSED
    if backend.device.startswith("cuda"):
        most, room = MOST_ON_GPU, BYTES_ON_GPU
    bytes_each = VECTORS * mlp.layout.size * np.dtype(backend.dtype).itemsize
    return max(1, min(most, room // bytes_each))


# --- one after the other ---------------------------------------------------------------------------------
