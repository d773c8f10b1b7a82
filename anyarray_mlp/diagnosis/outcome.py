"""How a run ended: computed once, on the host, from the rows and the final parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.diagnosis.data_summary import DataSummary
from anyarray_mlp.diagnosis.held_out import (
    Repeats,
    Rows,
    Shift,
    crowding,
    neighbour_skill,
    recurring,
    share_repeated,
    shift_between,
)
from anyarray_mlp.diagnosis.record import InitialLayer, Outcome
from anyarray_mlp.diagnosis.references import Learnable, learnable
from anyarray_mlp.diagnosis.rows import HostRows, evenly
from anyarray_mlp.diagnosis.targets import as_classes, association
from anyarray_mlp.metrics import predicted_labels
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training import predict
from anyarray_mlp.typing import Host

#: Rows that the outcome is judged on, and rows among which neighbours are searched.
OUTCOME_ROWS = 512
NEIGHBOUR_ROWS = 2048
#: Fewest rows of a part of the validation set whose score means something.
ENOUGH_ROWS = 20
#: Skills below which nearest neighbours are used to see whether there was more to learn.
DOUBTFUL_TRAINING, DOUBTFUL_VALIDATION = 0.95, 0.6


@dataclass(frozen=True, eq=False)
class Ended:
    """Why training ended, after how many steps, and with which parameters (p,).

    `latest` are those of the last epoch if the best ones were kept. `clipped` is the share of clipped gradients.
    """

    stopped: str
    steps: int
    parameters: Host
    latest: Host | None = None
    clipped: float | None = None


@dataclass(frozen=True, eq=False)
class Neighbours:
    """How well neighbours and single columns predict the targets of training and validation rows."""

    skill: float | None = None
    association: float | None = None
    validation_skill: float | None = None


@dataclass(frozen=True, eq=False)
class RunData:
    """What a run was trained and validated on. `weight` (n,) weights the training rows.

    `host` is the backend that computes outputs; `input_scale` and `sources` are as in `RunMonitor`.
    """

    mlp: MLP
    host: Backend
    x: HostRows
    targets: HostRows
    weight: Host | None
    validation: tuple[HostRows, HostRows] | None
    input_scale: float | None
    sources: tuple[int, ...]
    test: HostRows | None = None

    def outcome(self, ended: Ended) -> Outcome:
        """How the run ended, as the rules need it."""
        rows = evenly(self.x.n, OUTCOME_ROWS)
        seen = self.sample((self.x, self.targets))
        if self.weight is not None:
            seen = replace(seen, weight=self.weight[rows])
        outputs = self.outputs(ended.parameters, seen.x)
        training = seen.skill(outputs)
        held = answers = validation = related = repeats = None
        mapping = 0.0
        if self.validation:
            held = self.sample(self.validation)
            held = replace(held, weight=self.weights_of(held.classes))
            answers = self.outputs(ended.parameters, held.x)
            validation = held.skill(answers)
            related = association(answers, held.targets, held.classes)
            mapping = self.mapping(ended.latest, (seen, outputs), (held, answers))
            repeats = self.repeats(held, answers)
        doubtful = training < DOUBTFUL_TRAINING or (
            validation is not None and validation < DOUBTFUL_VALIDATION
        )
        neighbours = self.neighbours(seen, held) if doubtful else Neighbours()
        others = Learnable()
        if doubtful and alike(seen, held):
            others = learnable(self.known(), held, answers)
        judged = (seen, outputs) if held is None or answers is None else (held, answers)
        of_class, found_of_class = right_of_class(judged[1], judged[0].classes)
        return Outcome(
            stopped=ended.stopped,
            steps=ended.steps,
            training_skill=training,
            validation_skill=validation,
            neighbour_skill=neighbours.skill,
            association=neighbours.association,
            validation_mapping=mapping,
            predicted_counts=() if seen.classes is None else class_counts(outputs),
            clipped=ended.clipped,
            chance=seen.chance,
            validation_chance=None if held is None else held.chance,
            rows_of_class=of_class,
            found_of_class=found_of_class,
            missing_classes=self.missing_classes(),
            validation_neighbour_skill=neighbours.validation_skill,
            validation_association=related,
            shift=None
            if held is None
            else shift_between(
                seen.x,
                held.x,
                self.sources,
                closely=doubtful or (validation or 0.0) < training - 0.1,
            ),
            repeats=repeats,
            learnable=others,
            test_shift=self.test_shift(seen),
            crowded=None if held is None else crowding(self.known().x, held.x),
            ordered_errors=ordered_errors(judged[1], judged[0].classes),
        )

    def test_shift(self, seen: Rows) -> Shift | None:
        """How the test rows differ from the training rows."""
        if self.test is None:
            return None
        return shift_between(
            seen.x, self.test.take(evenly(self.test.n, OUTCOME_ROWS)), self.sources
        )

    def mapping(
        self, latest: Host | None, seen: tuple[Rows, Host], held: tuple[Rows, Host]
    ) -> float:
        """`validation_mapping` of an `Outcome`, from rows and their predictions."""
        (known, learned), (new, answers) = seen, held
        if known.classes is None or new.classes is None or answers.shape[1] < 2:
            return 0.0
        if latest is not None:
            # The best parameters may be the first ones: look at what was learned since.
            answers, learned = (self.outputs(latest, part.x) for part in (new, known))
        return renamed_share(answers, new.classes) - renamed_share(learned, known.classes)

    def neighbours(self, seen: Rows, held: Rows | None) -> Neighbours:
        """What neighbours could learn from the training rows, on samples of training and validation rows."""
        finite = np.all(np.isfinite(seen.x)) and np.all(np.isfinite(seen.targets))
        if len(seen.x) <= 20 or not finite:
            return Neighbours()
        known = self.known()
        return Neighbours(
            neighbour_skill(known),
            association(seen.x, seen.targets, seen.classes),
            neighbour_skill(known, held) if held is not None and alike(known, held) else None,
        )

    def known(self) -> Rows:
        """The training rows that others learn from."""
        rows = evenly(self.x.n, NEIGHBOUR_ROWS)
        targets = self.targets.take(rows)
        weight = None if self.weight is None else self.weight[rows]
        return Rows(self.x.take(rows), targets, as_classes(targets, self.mlp), weight)

    @cached_property
    def classes(self) -> Host | None:
        """The class (n,) of each training row; None without classes."""
        return as_classes(self.targets.whole(), self.mlp)

    def weights_of(self, classes: Host | None) -> Host | None:
        """The weights of rows of these classes: the mean weight of their class in training; None without weights."""
        if self.weight is None or classes is None:
            return None
        known = self.classes
        if known is None:
            return None
        k = int(max(known.max(), classes.max())) + 1
        sums = np.bincount(known, weights=self.weight, minlength=k)
        means = sums / np.maximum(np.bincount(known, minlength=k), 1)
        weight = np.where(means > 0, means, self.weight.mean())[classes]
        return weight if weight.sum() > 0 else None

    def missing_classes(self) -> tuple[tuple[int, int], ...]:
        """Classes of validation rows that no training row has, and their numbers of rows."""
        if self.validation is None:
            return ()
        held = as_classes(self.validation[1].whole(), self.mlp)
        if self.classes is None or held is None:
            return ()
        counts = np.bincount(held)
        missing = np.setdiff1d(np.flatnonzero(counts), self.classes)
        return tuple((int(code), int(counts[code])) for code in missing)

    def repeats(self, held: Rows, answers: Host) -> Repeats | None:
        """Which validation rows in a sample are also training rows, and how well both kinds are predicted."""
        x = self.x.host
        if x is None or len(held.x) < ENOUGH_ROWS or x.dtype != held.x.dtype:
            return None
        again = recurring(x, held.x, allowed=0)
        among = share_repeated(x)
        if again is None or among is None:
            return None
        known, new = (
            held.part(rows).skill(answers[rows]) if len(rows) >= ENOUGH_ROWS else None
            for rows in (np.flatnonzero(again), np.flatnonzero(~again))
        )
        by_class: tuple[float, ...] = ()
        if held.classes is not None:
            rows = np.bincount(held.classes)
            shares = np.bincount(held.classes, weights=again) / np.maximum(rows, 1)
            by_class = tuple(np.where(rows >= ENOUGH_ROWS // 2, shares, -1.0).tolist())
        return Repeats(len(held.x), int(np.count_nonzero(again)), among, known, new, by_class)

    def sample(self, data: tuple[HostRows, HostRows]) -> Rows:
        """Rows of a set, evenly spread, on the host."""
        rows = evenly(data[0].n, OUTCOME_ROWS)
        x, targets = (part.take(rows) for part in data)
        return Rows(x, targets, as_classes(targets, self.mlp))

    def outputs(self, parameters: Host, x: Host) -> Host:
        """Outputs (n, k); those that overflow are zero."""
        with np.errstate(all="ignore"):
            outputs = predict(
                self.mlp,
                np.asarray(parameters, np.float64),
                x,
                backend=self.host,
                input_scale=self.input_scale,
            )
        return np.nan_to_num(outputs)


def alike(known: Rows, held: Rows | None) -> bool:
    """Whether both have classes or both have values."""
    return held is None or (held.classes is None) == (known.classes is None)


def ordered_errors(outputs: Host, classes: Host | None) -> float | None:
    """How far off wrong classes are, over how far off they were by chance; None without a few classes and errors."""
    if classes is None or outputs.shape[1] < 5:
        return None
    told = predicted_labels(outputs)
    wrong = told != classes
    if wrong.sum() < 20:
        return None
    off = np.abs(told[wrong] - classes[wrong]).mean()
    pairs = np.abs(told[wrong][:, None] - classes[None, :])
    by_chance = pairs[pairs > 0].mean()
    return float(off / by_chance)


def mentioned(data: DataSummary, outcome: Outcome) -> set[int]:
    """The places of the columns that findings may mention."""
    places = {
        data.largest_column,
        data.widest,
        data.narrowest,
        *data.constant,
        *data.leaking,
        *data.identifiers,
    }
    for found in (data.sentinels, data.outliers, data.units, data.filled, data.codes):
        places.update(int(each[0]) for each in found)
    places.update(data.leaking_pair[:2] if data.leaking_pair else ())
    for shift in (outcome.shift, outcome.test_shift):
        if shift is not None:
            places.update((shift.column, shift.looks_like))
    places.update(place for pair in data.duplicates for place in pair)
    return places


def initial_layers(mlp: MLP, vector: Host) -> tuple[InitialLayer, ...]:
    """Scale and symmetry of initial weights."""
    parts = mlp.layout.split(np.asarray(vector, dtype=np.float64))
    weights = parts[: mlp.layout.n_layers]
    layers = []
    for layer, w in enumerate(weights):
        rms = float(np.sqrt(np.mean(w**2)))
        following = weights[layer + 1] if layer + 1 < len(weights) else None
        alike = (
            following is not None
            and w.shape[1] > 1
            and bool(np.all(w == w[:, :1]) and np.all(following == following[:1]))
        )
        one_sided = abs(float(w.mean())) / max(rms, 1e-300)
        gains = rms * math.sqrt(w.shape[0]), rms * math.sqrt(w.shape[1])
        layers.append(InitialLayer(*gains, alike, one_sided))
    return tuple(layers)


def renamed_share(outputs: Host, classes: Host) -> float:
    """Share of rows predicted as the most frequent prediction of their class, if that is another class."""
    k = outputs.shape[1]
    table = np.zeros((max(k, int(classes.max()) + 1), k))
    np.add.at(table, (classes, np.argmax(outputs, axis=1)), 1)
    best = table.argmax(axis=1)
    if len(set(best.tolist())) < 2:
        return 0.0
    return float(table.max(axis=1)[best != np.arange(len(best))].sum() / len(classes))


def class_counts(outputs: Host) -> tuple[int, ...]:
    """Rows predicted as each class."""
    k = max(outputs.shape[1], 2)
    return tuple(np.bincount(predicted_labels(outputs), minlength=k).tolist())


def right_of_class(outputs: Host, classes: Host | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows of each class, and how many of them are predicted correctly."""
    if classes is None:
        return (), ()
    right = classes[predicted_labels(outputs) == classes]
    k = int(classes.max()) + 1
    rows, found = (np.bincount(part, minlength=k).tolist() for part in (classes, right))
    return tuple(rows), tuple(found)
