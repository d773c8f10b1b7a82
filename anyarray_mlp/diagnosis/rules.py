"""The rules: small pure functions of a run's record, each of which finds one cause or nothing.

A rule states what its cause would show and looks for that; which of several findings comes first is decided by
severity and by the order of `finding.CAUSES`. Thresholds stand beside the rule that uses them; they were set on
runs with planted faults (benchmarks/diagnosis), away from the sets and seeds that the table reports.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from statistics import NormalDist

from anyarray_mlp.diagnosis.findings import Finding
from anyarray_mlp.diagnosis.probe import LayerFigures
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.errors import Severity
from anyarray_mlp.network.initializers import RECTIFIERS

Rule = Callable[[RunRecord], Finding | None]


# --- what several rules ask --------------------------------------------------------------------------


def lacks(run: RunRecord) -> bool:
    """Whether the data hold clearly more than was learned, as nearest neighbours show."""
    neighbours = run.outcome.neighbour_skill
    if neighbours is None:
        return False
    counts = run.data.class_counts
    others = 1.0 - max(counts) / sum(counts) if counts else 1.0  # skill 1 is this much accuracy
    missed = neighbours - max(run.outcome.training_skill, 0.0)
    return (missed > 0.15 and missed * others > 0.02) or (neighbours > 0.1 and run.progress < 0.1)


def failed(run: RunRecord) -> bool:
    """Whether training came to nothing, or to clearly less than it could."""
    return run.outcome.stopped == "diverged" or lacks(run)


def harm(run: RunRecord) -> Severity:
    """How grave a cause is that is there for sure: an error where training failed."""
    return "error" if failed(run) else "warning"


def hidden(run: RunRecord, probe: int) -> tuple[LayerFigures, ...]:
    """Figures of the hidden layers at a probe."""
    return run.probes[probe].layers[:-1]


def largest_update(run: RunRecord, probe: int) -> float:
    """The largest relative change of a layer's weights by one step; NaN counts as infinite."""
    updates = [layer.update for layer in run.probes[probe].layers]
    return max(math.inf if math.isnan(update) else update for update in updates)


def relative_losses(run: RunRecord) -> list[float]:
    """The training loss of each epoch over that of the best constant; before the first, the probe's."""
    losses = run.curve.loss or (run.probes[0].loss,)
    base = run.data.baseline_loss or abs(losses[0]) or 1.0
    return [loss / base for loss in losses]


def late_fall(run: RunRecord) -> float:
    """How far the loss fell over the last fifth of the epochs, in baseline losses; 0 for a single epoch."""
    losses = relative_losses(run)
    if len(losses) < 2:
        return 0.0
    return losses[-1 - math.ceil((len(losses) - 1) / 5)] - losses[-1]


def starts_trained(run: RunRecord) -> bool:
    """Whether the initial parameters already know something: a run that was resumed or started warm."""
    base = run.data.baseline_loss
    return base is not None and run.probes[0].loss < 0.8 * base


def score(run: RunRecord, skill: float, chance: float | None) -> str:
    """A skill as the score that people know: accuracy, or R²."""
    if not run.is_classification:
        return f"{skill:.2f}"
    if chance is None:
        chance = max(run.data.class_counts) / sum(run.data.class_counts)
    return f"{chance + skill * (1.0 - chance):.0%}"


def measure(run: RunRecord) -> str:
    """What `score` gives is called."""
    if not run.is_classification:
        return "R²"
    return "weighted accuracy" if run.settings.weighted else "accuracy"


def found_in_vain(run: RunRecord) -> str:
    """What was learned against what nearest neighbours find, in words."""
    outcome = run.outcome
    text = (
        f"{measure(run)} on training rows is {score(run, outcome.training_skill, outcome.chance)}"
    )
    if outcome.neighbour_skill is None:
        return text
    return f"{text}, and nearest neighbours reach {score(run, outcome.neighbour_skill, outcome.chance)}"


def grows_through_layers(run: RunRecord) -> float:
    """Standard deviation of the last hidden layer over that of the first, before training."""
    layers = hidden(run, 0)
    return layers[-1].std / max(layers[0].std, 1e-30) if layers else 1.0


# --- data --------------------------------------------------------------------------------------------


def non_finite_data(run: RunRecord) -> Finding | None:
    """NaN or infinity in inputs or targets."""
    if not run.data.non_finite:
        return None
    return Finding(
        "non_finite_data",
        "error",
        f"{run.data.non_finite} entries of inputs or targets are NaN or infinite",
        "Drop those rows, or fill the gaps with the column's mean or median",
    )


def output_cannot_reach_targets(run: RunRecord) -> Finding | None:
    """Targets outside the range of the output function."""
    data = run.data
    if not data.unreachable > 0:
        return None
    output = run.settings.output
    cures = {
        "logistic": "Use output='softmax' on class labels, output='identity' for values, or scale targets to [0, 1]",
        "softmax": "Give labels from 0 to k - 1, or one-hot rows; for values use output='identity'",
        "exp": "Use output='identity' for targets that can be negative",
    }
    return Finding(
        "output_cannot_reach_targets",
        "error",
        f"targets run from {data.target_low:.4g} to {data.target_high:.4g} and {output} gives {data.reach}: "
        f"{data.unreachable:.0%} of the targets are out of reach",
        cures.get(output, "Use output='identity'"),
        layer=len(run.settings.sizes) - 1,
    )


def sentinel_values(run: RunRecord) -> Finding | None:
    """Columns with a value like -999 among numbers."""
    found = run.data.sentinels
    if not found:
        return None
    texts = [
        f"column {run.names.column(column)} holds {value:.4g} (as the network sees it) in {share:.1%} of the "
        "rows"
        for column, value, share in found
    ]
    return Finding(
        "sentinel_values",
        harm(run),
        f"{'; '.join(texts)}, far outside the range of the other values, which it leaves hardly apart",
        "If it stands for 'unknown', make it a gap in the data, to be filled with the column's mean or median",
    )


#: Share of the targets' squared distances that a hundredth of the rows must not hold: of the normal distribution they
#: hold 0.08, of a lognormal one with sigma = 1 about a half.
FEW_ROWS_HOLD = 0.9


def target_outliers(run: RunRecord) -> Finding | None:
    """Values to learn of which a few lie so far out that squared error sees little else."""
    data = run.data
    if run.settings.loss != "squared_error" or data.outlier_share < FEW_ROWS_HOLD:
        return None
    return Finding(
        "target_outliers",
        "warning" if run.outcome.training_skill > 0.5 else "error",
        f"one row in a hundred holds {data.outlier_share:.0%} of what the targets vary (squared distances from the "
        f"median); they run from {data.target_low:.4g} to {data.target_high:.4g}",
        "Look at the rows of the largest and smallest targets: mend or drop them if they are wrong; if they are right, "
        "learn the logarithm of the target, or use loss='absolute_error'",
    )


def identifier_column(run: RunRecord) -> Finding | None:
    """Columns that number the rows."""
    data = run.data
    if not data.identifiers:
        return None
    names = [run.names.column(place) for place in data.identifiers]
    return Finding(
        "identifier_column",
        "warning",
        f"all values of column {listed(names, len(names))} differ, and they are whole steps apart",
        "Drop it: what it says of these rows it does not say of new ones. If it is a time, hold out the latest rows "
        "to validate on",
    )


ENOUGH_VALIDATION = 10
LARGE_INPUT = 10.0
SMALL_INPUT = 0.05


def unscaled_inputs(run: RunRecord) -> Finding | None:
    """Columns far from unit size, or far apart from each other."""
    data = run.data
    if data.largest_rms > LARGE_INPUT:
        evidence = (
            f"column {run.names.column(data.largest_column)} is of size {data.largest_rms:.3g} (root mean square), "
            f"the smallest column of size {data.smallest_rms:.3g}"
        )
    elif 0 < data.largest_rms < SMALL_INPUT:
        evidence = f"no column exceeds a size of {data.largest_rms:.2g} (root mean square)"
    elif not data.sparse and data.spread_ratio > 100:
        evidence = (
            f"column {run.names.column(data.widest)} spreads {data.spread_ratio:.3g} times as far as column "
            f"{run.names.column(data.narrowest)}"
        )
    else:
        return None
    return Finding(
        "unscaled_inputs",
        harm(run),
        evidence,
        "Standardise each column to mean 0 and standard deviation 1 (images: divide by the largest value)",
    )


def unscaled_targets(run: RunRecord) -> Finding | None:
    """Values to learn that are far from unit size."""
    data = run.data
    if run.is_classification or run.settings.output != "identity":
        return None
    size = max(abs(data.target_mean), data.target_std)
    if data.target_std > 0.01 and size < 10:
        return None
    return Finding(
        "unscaled_targets",
        harm(run),
        f"targets have mean {data.target_mean:.3g} and standard deviation {data.target_std:.3g}",
        "Standardise the targets and scale predictions back",
    )


def constant_column(run: RunRecord) -> Finding | None:
    """Columns of one value."""
    data = run.data
    if not data.n_constant:
        return None
    columns = data.columns or data.features
    if data.sparse:
        evidence = f"{data.n_constant} of {columns} columns have one value, as at the rim of images"
        return Finding("constant_column", "note", evidence, "They do no harm")
    names = [run.names.column(place) for place in data.constant]
    return Finding(
        "constant_column",
        "warning",
        f"{data.n_constant} of {columns} columns {'has' if data.n_constant == 1 else 'have'} one value "
        f"({listed(names, data.n_constant)})",
        "Drop them: they carry nothing",
    )


def duplicate_column(run: RunRecord) -> Finding | None:
    """Columns that repeat another one, up to scale and offset, or to the names of categories."""
    data = run.data
    if not data.n_duplicates:
        return None
    column = run.names.column
    pairs = [f"{column(later)} repeats {column(first)}" for first, later in data.duplicates]
    return Finding(
        "duplicate_column",
        "warning",
        f"column {listed(pairs, data.n_duplicates)}, up to scale or the names of categories",
        "Keep one of each",
    )


def leaking_column(run: RunRecord) -> Finding | None:
    """Columns from which the target can be read off."""
    data = run.data
    if not data.n_leaking:
        return None
    names = [run.names.column(place) for place in data.leaking]
    return Finding(
        "leaking_column",
        "warning",
        f"column {listed(names, data.n_leaking)} alone orders the rows as the target does",
        "Ask whether the column is known when a prediction is made; if not, drop it",
    )


#: Share of its fair share of rows below which a class is rare, rows that it takes to learn a class at all, and share of
#: its rows that are to be recognised.
RARE, FEW_ROWS, RECOGNISED = 0.2, 20, 0.7


def class_imbalance(run: RunRecord) -> Finding | None:
    """A class so rare that it is missed, or has too few rows to be learned from."""
    counts, outcome = run.data.class_counts, run.outcome
    present = [count for count in counts if count]
    if len(present) < 2:
        return None
    limit = RARE * sum(present) / len(present)
    rare = [code for code, count in enumerate(counts) if 0 < count < limit]
    if not rare:
        return None
    missed = [code for code in rare if is_missed(run, code)]
    # Where classes are weighted already, only more rows help, and of those some have too few.
    alarming = [c for c in missed if not run.settings.weighted or counts[c] < FEW_ROWS]
    shown = min(missed or rare, key=lambda code: counts[code])
    rows, found = recognised(run, shown)
    kind = "validation" if outcome.validation_skill is not None else "training"
    others = len(missed or rare) - 1
    weighted = "Class weights are on: gather more rows of the rare class, or join it with another"
    return Finding(
        "class_imbalance",
        "warning" if alarming else "note",
        f"class {run.names.label(shown)} has {counts[shown]} of {sum(present)} rows "
        f"({counts[shown] / sum(present):.1%})"
        + (f", and {found} of {rows} {kind} rows of it are recognised" if rows else "")
        + (
            f"; {counted(others, 'class', 'classes')} more {'is' if others == 1 else 'are'} like it"
            if others
            else ""
        ),
        (
            weighted
            if run.settings.weighted
            else "Weight classes (class_weight='balanced'), gather more rows of the rare class"
        )
        + ", and watch balanced_accuracy or f1 instead of accuracy",
    )


def recognised(run: RunRecord, code: int) -> tuple[int, int]:
    """Rows of a class among those that the network was judged on, and how many of them it recognised."""
    rows, found = run.outcome.rows_of_class, run.outcome.found_of_class
    return (rows[code], found[code]) if code < len(rows) else (0, 0)


def is_missed(run: RunRecord, code: int) -> bool:
    """Whether too few rows of a class are recognised; where it has few to learn from, that is to be feared."""
    rows, found = recognised(run, code)
    return found < RECOGNISED * rows or run.data.class_counts[code] < FEW_ROWS


#: Shares of validation rows that cannot be right for want of their class: from the first on that is a warning, from the
#: second on an error.
UNKNOWN_ROWS, MANY_UNKNOWN_ROWS = 0.02, 0.1


def missing_class(run: RunRecord) -> Finding | None:
    """Classes that occur in validation only."""
    missing = run.outcome.missing_classes
    if not missing:
        return None
    share = sum(rows for _, rows in missing) / max(run.data.n_validation, 1)
    texts = [f"class {run.names.label(code)} ({counted(rows, 'row')})" for code, rows in missing]
    severity: Severity = "note"
    if share >= UNKNOWN_ROWS:
        severity = "error" if share >= MANY_UNKNOWN_ROWS else "warning"
    return Finding(
        "missing_class",
        severity,
        f"{listed(texts[:8], len(texts))} of {run.data.n_validation} validation rows: no training row is of "
        f"{'it' if len(missing) == 1 else 'them'}, so they cannot be right",
        "Split the rows at random and by class (stratified), not as they lie",
    )


#: Distance of a column's median, in standard deviations, that no sample of the same rows shows.
FAR_OFF = 3.0


def validation_unlike_training(run: RunRecord) -> Finding | None:
    """Validation inputs that were scaled otherwise, or are of another kind."""
    shift, outcome = run.outcome.shift, run.outcome
    if shift is None or (shift.share <= 0.5 and shift.distance <= FAR_OFF):
        return None
    lost = outcome.training_skill - max(outcome.validation_skill or 0.0, 0.0)
    return Finding(
        "validation_unlike_training",
        "error" if lost > 0.2 else "warning",
        f"{shift.share:.0%} of the columns lie elsewhere or spread otherwise than in training; column "
        f"{run.names.column(shift.column)} has mean {shift.validation_mean:.3g} and standard deviation "
        f"{shift.validation_std:.3g}, in training {shift.training_mean:.3g} and {shift.training_std:.3g}",
        "Scale validation rows with the mean and standard deviation of the training rows, and split at random",
    )


#: Share of validation rows that recur in training, and how much better they may score than the others.
RECURRING, FLATTERS = 0.05, 0.15


def repeated_rows(run: RunRecord) -> Finding | None:
    """Validation rows that were trained on: more than chance repeats, or better predicted than new ones."""
    repeats = run.outcome.repeats
    if repeats is None or not repeats.repeated:
        return None
    share = repeats.repeated / repeats.rows
    expected = repeats.among_training
    known, new = repeats.skill_of_repeats, repeats.skill_of_others
    copied = share > 2 * expected + 3 * math.sqrt(expected / repeats.rows) + RECURRING
    flatters = False
    text = ""
    if known is not None and new is not None:
        few = min(repeats.repeated, repeats.rows - repeats.repeated)
        flatters = known - max(new, 0.0) > FLATTERS + 2.0 / math.sqrt(few)
        text = f"; skill is {known:.2f} on them and {new:.2f} on the others"
    if share < RECURRING or not (copied or flatters):
        return None
    return Finding(
        "repeated_rows",
        "warning",
        f"{share:.0%} of the validation rows have the inputs of a training row ({expected:.0%} of the training rows "
        f"have those of another){text}: the validation score is too good",
        "Drop rows that recur before splitting, and multiply rare rows only afterwards, in training",
    )


def unshuffled_rows(run: RunRecord) -> Finding | None:
    """Batches of like rows one after the other."""
    settings = run.settings
    if settings.shuffle or run.data.order < 0.5 or settings.batch_size >= run.data.n:
        return None
    return Finding(
        "unshuffled_rows",
        harm(run),
        "rows that follow each other have like targets, and batches are taken in that order: each step unlearns the "
        "step before",
        "Use shuffle=True",
    )


#: Share of dropped units beyond what is advised for hidden layers (Srivastava et al. 2014), and beyond all use.
USUAL_DROPOUT, EXTREME_DROPOUT = 0.5, 0.75


def dropout_too_strong(run: RunRecord) -> Finding | None:
    """So many units dropped that too few are left to learn with."""
    highest = max(run.settings.dropout, default=0.0)
    if highest <= USUAL_DROPOUT or not (failed(run) or highest >= EXTREME_DROPOUT):
        return None
    return Finding(
        "dropout_too_strong",
        harm(run),
        f"dropout={highest:g} leaves {1 - highest:.0%} of the units in a step; {found_in_vain(run)}",
        "Try dropout=0.2",
        layer=run.settings.dropout.index(highest) + 1,
    )


def shuffled_labels(run: RunRecord) -> Finding | None:
    """Targets that nothing in the inputs tells: no neighbour, no column, and not the network on new rows."""
    outcome, data = run.outcome, run.data
    if outcome.neighbour_skill is None or outcome.association is None or data.n < 100:
        return None
    if target_outliers(run):
        return None  # beside them, nothing tells much of the others
    if data.class_counts and max(data.class_counts) > 0.8 * data.n:
        return None
    on_new_rows = outcome.validation_skill
    chance = 0.05 + (1.5 / math.sqrt(max(data.n_validation, 1)) if run.is_classification else 0.0)
    by_chance = (
        math.sqrt(2.0 * math.log(2.0 * data.features * max(len(data.class_counts), 1))) + 1.5
    )
    if (
        outcome.neighbour_skill > 0.1
        or outcome.association > by_chance
        or (on_new_rows is not None and on_new_rows > chance)
    ):
        return None
    return Finding(
        "shuffled_labels",
        "error",
        "nearest neighbours tell nothing of a row's target, no column is related to it beyond chance"
        + (
            ""
            if on_new_rows is None
            else ", and the network predicts validation rows by chance only"
        ),
        "Check that rows of inputs and targets were not sorted, shuffled or filtered apart",
    )


def wrong_validation_labels(run: RunRecord) -> Finding | None:
    """Validation labels that are coded otherwise, or do not belong to their rows."""
    outcome = run.outcome
    if is_apart(run):
        return Finding(
            "wrong_validation_labels",
            "error",
            "the nearest training rows tell the targets of training rows and nothing of those of validation rows, nor "
            "does the network",
            "Check that rows of validation inputs and targets were not sorted, shuffled or filtered apart",
        )
    if (
        outcome.validation_mapping < 0.5
        or run.data.n_validation < ENOUGH_VALIDATION
        or outcome.validation_skill is None
        or outcome.validation_skill > 0.1
        or run.progress < 0.2
        or shuffled_labels(run)  # few rows of labels that mean nothing may well fall together so
    ):
        return None
    return Finding(
        "wrong_validation_labels",
        "error",
        f"{outcome.validation_mapping:.0%} of the validation rows are predicted as the one other class that their "
        "class is taken for, while training rows are learned",
        "Encode training and validation labels with the same encoder, fitted once",
    )


def is_apart(run: RunRecord) -> bool:
    """Whether inputs tell of the targets in training but not in validation, though the inputs are alike."""
    outcome, n = run.outcome, run.data.n_validation
    inside, outside = outcome.neighbour_skill, outcome.validation_neighbour_skill
    if inside is None or outside is None or outcome.validation_skill is None:
        return False
    chance = 0.05 + 1.5 / math.sqrt(max(n, 1))
    return (
        n >= 3 * ENOUGH_VALIDATION
        and min(inside, outcome.training_skill) > 0.3
        and max(outside, outcome.validation_skill) < min(chance, 0.15)
        and outcome.validation_mapping < 0.5
        and not tells_of_validation(run)
        and not missing_class(run)
        and not validation_unlike_training(run)
        and not target_outliers(run)
    )


def tells_of_validation(run: RunRecord) -> bool:
    """Whether validation rows are predicted better than by a constant, little as it may be, and not by chance."""
    outcome, outputs = run.outcome, run.settings.sizes[-1]
    related = outcome.validation_association
    # What the largest of so many correlations exceeds by chance once in twenty times.
    usual = NormalDist().inv_cdf(1.0 - 0.025 / outputs**2)
    return related is not None and (outcome.validation_skill or 0.0) > 0.0 and related > usual


def validation_too_small(run: RunRecord) -> Finding | None:
    """Too few validation rows for their loss to say anything; no harm where nothing is decided by it."""
    n = run.data.n_validation
    if not 0 < n < ENOUGH_VALIDATION:
        return None
    return Finding(
        "validation_too_small",
        "warning" if run.settings.early_stopping else "note",
        f"{counted(n, 'validation row')}"
        + (
            f": one row moves the accuracy by {1 / n:.0%}"
            if run.is_classification
            else ": a score on so few rows is mostly chance"
        ),
        "Hold out a hundred rows where there are enough, or cross-validate",
    )


# --- start -------------------------------------------------------------------------------------------


def bad_initial_scale(run: RunRecord) -> Finding | None:
    """Weights that start at zero, all alike, far too large or far too small; an output that starts far off."""
    if starts_trained(run):
        return None
    unscaled = unscaled_inputs(run) or unscaled_targets(run)
    cure = (
        "Use initializer='auto' (He for rectifiers, Glorot for tanh and logistic) and biases of 0"
    )
    for number, layer in enumerate(run.initial):
        if layer.gain_in == 0:
            evidence = "all weights start at zero"
        elif layer.alike:
            evidence = "all units start with the same weights, so they stay the same"
        elif layer.gain_in > 5:
            evidence = f"weights start {layer.gain_in:.3g} times as large as 1 / sqrt(inputs)"
        elif max(layer.gain_in, layer.gain_out) < 0.05:
            evidence = f"weights start {layer.gain_in:.2g} times as large as 1 / sqrt(inputs)"
        else:
            continue
        return Finding("bad_initial_scale", harm(run), evidence, cure, layer=number + 1)
    base = run.data.baseline_loss
    first = run.probes[0]
    far_off = base and first.loss > 6 * base and first.layers[-1].dead >= 0.5
    if base and far_off and not unscaled and grows_through_layers(run) < GROWTH:
        return Finding(
            "bad_initial_scale",
            harm(run),
            f"before training the outputs are the same for every row and the loss is {first.loss / base:.3g} times "
            "that of the best constant: the output's biases start far off",
            cure,
            layer=len(run.initial),
        )
    return None


#: Growth of activations from the first hidden layer to the last; vanishing is the inverse.
GROWTH = 10.0


def exploding_gradients(run: RunRecord) -> Finding | None:
    """Signals that grow from layer to layer."""
    growth = grows_through_layers(run)
    first = run.probes[0]
    if len(first.layers) < 4 or not growth > GROWTH or starts_trained(run):
        return None
    gradient = math.sqrt(sum(layer.gradient**2 for layer in first.layers))
    return Finding(
        "exploding_gradients",
        harm(run),
        f"activations grow {growth:.3g} times from the first hidden layer to the last and the gradient's norm starts "
        f"at {gradient:.3g}",
        "Use initializer='auto', fewer layers, or clip the gradient with clip_norm=1",
        layer=len(first.layers) - 1,
    )


def vanishing_gradients(run: RunRecord) -> Finding | None:
    """Gradients that shrink on their way to the first layer."""
    layers = run.probes[0].layers
    sizes = run.settings.sizes
    if len(layers) < 4:
        return None
    for layer, activation in zip(layers[:-1], run.settings.activation, strict=True):
        if layer.saturated > 0.5 or (activation in RECTIFIERS and layer.dead > 0.5):
            return None
    sized = [
        layer.gradient / math.sqrt(i * o)
        for layer, i, o in zip(layers, sizes[:-1], sizes[1:], strict=True)
    ]
    left = layers[-2].spread / max(layers[0].spread, 1e-30)
    fades = failed(run) and 0 < left < 1.0 / GROWTH
    if sized[0] <= 0 or not (sized[0] < 0.015 * max(sized) or fades):
        return None
    evidence = f"the first layer's gradient is {sized[0] / max(sized):.1g} of the largest layer's, before training"
    if fades:
        evidence = (
            f"before training, what tells rows apart is lost on the way: units of the last hidden layer vary "
            f"{left:.1g} times as much as those of the first"
        )
    return Finding(
        "vanishing_gradients",
        "error" if failed(run) else "note",
        evidence,
        "Use relu in the hidden layers (activation='relu'), fewer of them, and initializer='auto'",
        layer=1,
    )


#: Units of a layer from which a share of dead ones says something.
FEWEST_ALIVE = 4


def dead_units(run: RunRecord) -> Finding | None:
    """Rectified layers most of whose units give the same value for every row."""
    for number, layer in enumerate(hidden(run, -1)):
        if layer.saturated > 0.5:
            return None  # what follows saturated units is constant through no fault of its own
        if layer.dead < 0.75 or run.settings.activation[number] not in RECTIFIERS:
            continue
        if run.settings.sizes[number + 1] < FEWEST_ALIVE:
            continue
        before = hidden(run, 0)[number].dead
        since = "from the start" if before >= 0.75 else f"{before:.0%} were before training"
        return Finding(
            "dead_units",
            harm(run),
            f"{layer.dead:.0%} of the {run.settings.activation[number]} units give one value for every row; {since}",
            "Lower the learning rate, start with initializer='auto' and biases of 0, or use activation='leaky_relu'",
            layer=number + 1,
        )
    return None


def saturated_units(run: RunRecord) -> Finding | None:
    """Layers whose units sit at their bounds, where the derivative is nothing."""
    for number, layer in enumerate(hidden(run, -1)):
        if layer.saturated < 0.9 or run.settings.sizes[number + 1] < 2:
            continue
        before = hidden(run, 0)[number].saturated
        # Training that goes well may end there: sharp boundaries are made of saturated units.
        grown = before < 0.5 and not failed(run)
        return Finding(
            "saturated_units",
            "note" if grown else harm(run),
            f"{layer.saturated:.0%} of the {run.settings.activation[number]} activations are within 1 % of a bound "
            f"({before:.0%} before training)",
            "Standardise the inputs, start with initializer='auto', lower the learning rate, or use activation='relu'",
            layer=number + 1,
        )
    return None


# --- steps -------------------------------------------------------------------------------------------

#: Changes of a layer's weights by the first step, in shares of their size: too large where training failed, and so
#: large that nothing is left of them.
LARGE_UPDATE, WHOLESALE_UPDATE = 0.3, 1.0
SMALL_UPDATE = 1e-3


def learning_rate_too_high(run: RunRecord) -> Finding | None:
    """Steps that change the weights wholesale, make the loss climb, or end in infinity."""
    if run.settings.optimizer == "lbfgs":
        return None
    rate = run.settings.learning_rate_init
    update = largest_update(run, 0)
    losses = relative_losses(run)
    died = failed(run) and any(
        after.dead >= 0.75
        and before.dead < 0.4
        and activation in RECTIFIERS
        and width >= FEWEST_ALIVE
        for before, after, activation, width in zip(
            hidden(run, 0),
            hidden(run, -1),
            run.settings.activation,
            run.settings.sizes[1:-1],
            strict=True,
        )
    )
    climbs = sum(b > a for a, b in pairwise(losses))
    if run.outcome.stopped == "diverged":
        evidence = (
            f"the loss became infinite or NaN at step {run.outcome.steps}; the first step changes the weights by "
            f"{update:.2g} of their size"
        )
    elif update > (LARGE_UPDATE if failed(run) else WHOLESALE_UPDATE):
        evidence = f"the first step changes the weights of a layer by {update:.2g} of their size (usual: 0.01)"
    elif (
        len(losses) >= 5
        and losses[-1] > 2 * min(losses)
        and failed(run)
        and climbs > len(losses) / 4
    ):
        evidence = (
            f"the loss climbed in {climbs} of {len(losses) - 1} epochs and ended at {losses[-1] / min(losses):.2g} "
            "times its lowest"
        )
    elif died:
        evidence = "units that were alive before training died"
    else:
        return None
    return Finding(
        "learning_rate_too_high",
        harm(run),
        f"{evidence}, at learning rate {rate:.3g} of {run.settings.optimizer}",
        f"Try learning_rate_init={rounded(suggested_rate(run, update))}",
    )


def suggested_rate(run: RunRecord, update: float) -> float:
    """The rate at which the first step would change weights by a hundredth of their size, at most a tenth as high."""
    rate = run.settings.learning_rate_init
    if not 0 < update < math.inf:
        return rate / 10
    return min(rate / 10, rate * 0.01 / update) if update > 0.01 else rate / 10


def learning_rate_too_low(run: RunRecord) -> Finding | None:
    """Steps that hardly change the weights although the gradient is there."""
    if run.settings.optimizer == "lbfgs" or not failed(run) or run.outcome.stopped == "diverged":
        return None
    update = max(largest_update(run, probe) for probe in range(len(run.probes)))
    last = run.probes[-1]
    pull = sum(layer.gradient * layer.weight for layer in last.layers)
    if pull < 0.1 * (run.data.baseline_loss or last.loss):
        return None
    rate, rates = run.settings.learning_rate_init, run.curve.learning_rate
    highest = max(rate, *rates) if rates else rate
    if rates and rates[-1] < VANISHED_RATE * highest and largest_update(run, -1) < SMALL_UPDATE:
        return Finding(
            "learning_rate_too_low",
            "error",
            f"the learning rate fell from {highest:.2g} to {rates[-1]:.1g} before there was anything learned; "
            f"{found_in_vain(run)}",
            "Use learning_rate='constant', or let the rate fall more slowly",
        )
    if update > SMALL_UPDATE:
        return None
    clipped = run.outcome.clipped or 0.0
    rate *= min(1e4, 0.01 / max(update, 1e-12))
    return Finding(
        "learning_rate_too_low",
        "error",
        f"no step changes a layer's weights by more than {update:.1g} of their size (usual: 0.01) at learning rate "
        f"{run.settings.learning_rate_init:.3g} of {run.settings.optimizer}"
        + (f", and {clipped:.0%} of the gradients were clipped" if clipped else "")
        + f"; {found_in_vain(run)}",
        "Clip less: clip_norm=1, or not at all"
        if clipped > 0.5 and (run.settings.clip_norm or 1.0) < 1.0
        else f"Try learning_rate_init={rounded(rate)}, and more if the loss still falls slowly",
    )


#: What is left of a learning rate that has fallen to nothing.
VANISHED_RATE = 0.01


def rounded(number: float) -> str:
    """One digit, as it is typed."""
    return f"{float(f'{number:.1g}'):g}"


def batch_too_small(run: RunRecord) -> Finding | None:
    """A row or two a step, and steps that go this way and that."""
    batch = run.settings.batch_size
    if batch > 2 or run.data.n < 50 or run.settings.optimizer == "lbfgs":
        return None
    late = largest_update(run, -1)
    bad = failed(run) or late > 0.008
    return Finding(
        "batch_too_small",
        ("error" if failed(run) else "warning") if bad else "note",
        f"{counted(batch, 'row')} a step; at the end a step still changes a layer's weights by "
        f"{late:.2g} of their size",
        "Use batch_size=32, or lower the learning rate",
    )


def unfinished(run: RunRecord) -> bool:
    """Whether training ended on its way: still falling with more to be had, or after hardly any steps."""
    if run.outcome.stopped != "finished" or run.outcome.neighbour_skill is None:
        return False
    fall = late_fall(run)
    gap = run.outcome.neighbour_skill - run.outcome.training_skill
    if is_small(run) and lacks(run):
        return fall > 0.1
    return (
        fall > 0.15
        or (fall > 0.02 and gap > 0.08)
        or (run.outcome.steps < 100 and (lacks(run) or fall > 0.05))
    )


def batch_too_large(run: RunRecord) -> Finding | None:
    """So few steps an epoch that training ended on its way."""
    settings, n = run.settings, run.data.n
    if (
        settings.optimizer == "lbfgs"
        or settings.batch_size <= 64
        or 3 * settings.batch_size < n
        or not unfinished(run)
    ):
        return None
    return Finding(
        "batch_too_large",
        harm(run),
        f"batches of {settings.batch_size} of {n} rows gave {run.outcome.steps} steps in all, and the loss was still "
        f"falling; {found_in_vain(run)}",
        "Use batch_size=32",
    )


#: Steps that it takes to learn anything much: fewer are no training, more are advised.
ENOUGH_STEPS = 1000


def gave_up(run: RunRecord) -> bool:
    """Whether early stopping ended training when it had hardly begun."""
    return (
        run.outcome.stopped == "early"
        and lacks(run)
        and run.outcome.steps < ENOUGH_STEPS
        and not is_small(run)
    )


def too_few_epochs(run: RunRecord) -> Finding | None:
    """Training that ended while the loss was falling, or before it began to fall."""
    done = len(run.curve.loss)
    if gave_up(run):
        return Finding(
            "too_few_epochs",
            harm(run),
            f"early stopping ended training after {done} epochs ({run.outcome.steps} steps); {found_in_vain(run)}",
            f"Wait longer for the validation loss to fall (patience={max(20, 5 * done)}), or raise the learning rate",
        )
    if not unfinished(run) or batch_too_large(run) or learning_rate_too_low(run):
        return None
    per_epoch = max(1, round(run.outcome.steps / max(done, 1)))
    epochs = max(5 * done, math.ceil(ENOUGH_STEPS / per_epoch))
    return Finding(
        "too_few_epochs",
        harm(run),
        f"after {counted(done, 'epoch')} ({run.outcome.steps} steps) the loss was still falling; {found_in_vain(run)}",
        f"Train longer, with epochs={epochs} and early_stopping",
    )


# --- what came of it ---------------------------------------------------------------------------------


def l2_too_strong(run: RunRecord) -> Finding | None:
    """A penalty that outweighs the data."""
    settings, base = run.settings, run.data.baseline_loss
    if not settings.alpha or not base:
        return None
    decay = settings.alpha / settings.batch_size
    first, last = (sum(layer.weight**2 for layer in run.probes[k].layers) for k in (0, -1))
    penalty = 0.5 * decay * first / base
    overwhelmed = penalty > 20 and run.outcome.stopped == "diverged"
    if not (overwhelmed or (penalty > 1 and last < 0.6 * first)) or run.progress > 0.6:
        return None
    return Finding(
        "l2_too_strong",
        harm(run),
        f"with alpha={settings.alpha:.3g} the penalty starts at {penalty:.2g} times the loss of the best constant and "
        f"the weights ended at {math.sqrt(last / max(first, 1e-300)):.1g} of their initial norm",
        f"Try alpha={settings.alpha / max(1e3 * penalty, 10):.1g} or less",
    )


def is_small(run: RunRecord) -> bool:
    """Whether the narrowest hidden layer has hardly more units than it takes to tell the classes apart."""
    widths = run.settings.sizes[1:-1]
    needed = max(3.0, math.log2(max(run.settings.sizes[-1], 2)) + 1)
    return not widths or min(widths) <= needed


#: So few units that a network which learned nothing is too small, whatever else holds it.
FEWEST_UNITS = 2


def is_stuck(run: RunRecord) -> bool:
    """Whether a network with hidden layers learned nothing at all, by loss and by score."""
    return len(run.settings.sizes) > 2 and run.progress < 0.02 and run.outcome.training_skill < 0.1


def underfitting(run: RunRecord) -> Finding | None:
    """A narrow network that settled at less than the data hold."""
    widths = run.settings.sizes[1:-1]
    if not lacks(run) or unfinished(run) or not is_small(run):
        return None
    if is_stuck(run) and min(widths) > FEWEST_UNITS:
        return None
    small = "no hidden layer"
    if widths:
        small = f"the narrowest hidden layer has {counted(min(widths), 'unit')}"
    return Finding(
        "underfitting",
        "error",
        f"{small} and the loss has settled; {found_in_vain(run)}",
        "Use a wider network: hidden_layer_sizes=(64,) or (64, 64)",
        layer=None if not widths else widths.index(min(widths)) + 1,
    )


def plateau(run: RunRecord) -> Finding | None:
    """A loss that settled at less than the data hold, in a network that could do better."""
    if not lacks(run) or unfinished(run) or gave_up(run) or run.outcome.stopped == "diverged":
        return None
    if is_small(run) and not is_stuck(run):
        return None
    return Finding(
        "plateau",
        "error",
        f"the loss no longer falls, at {relative_losses(run)[-1]:.2f} times that of the best constant; "
        f"{found_in_vain(run)}",
        "Try adam with learning_rate_init=0.003, another seed, activation='relu', and for classes loss='auto'",
    )


def one_class_predicted(run: RunRecord) -> Finding | None:
    """The same class for every row, although others are frequent."""
    predicted, counts = run.outcome.predicted_counts, run.data.class_counts
    if not predicted or not counts or max(counts) > 0.9 * sum(counts):
        return None
    share = max(predicted) / max(sum(predicted), 1)
    if share < 0.98:
        return None
    favoured = predicted.index(max(predicted))
    true_share = counts[favoured] / sum(counts) if favoured < len(counts) else 0.0
    return Finding(
        "one_class_predicted",
        "error",
        f"class {run.names.label(favoured)} is predicted for {share:.0%} of the rows and is right for {true_share:.0%}",
        "Mend the causes above; if there are none, check labels, loss and output, and train longer with adam",
    )


def overfitting(run: RunRecord) -> Finding | None:
    """Much better on the training rows than on the validation rows, by loss and by score."""
    outcome, curve, base = run.outcome, run.curve, run.data.baseline_loss
    if outcome.validation_skill is None or not curve.validation_loss or not base:
        return None
    if validation_too_small(run):
        return None
    end, lowest = curve.validation_loss[-1] / base, min(curve.validation_loss) / base
    gap = end - relative_losses(run)[-1]
    unknown = sum(rows for _, rows in outcome.missing_classes) / max(run.data.n_validation, 1)
    unknown /= max(1.0 - (outcome.validation_chance or 0.0), 0.01)  # from accuracy to skill
    apart = outcome.training_skill - unknown - max(outcome.validation_skill, 0.0)
    rose = end > 2.0 * lowest and apart > 0.1
    fell_behind = apart > 0.2 and (end > 1.3 * lowest or outcome.training_skill > 0.95)
    if not (apart > 0.4 or (gap > 0.4 and (rose or fell_behind))):
        return None
    if run.settings.early_stopping and outcome.stopped == "early":
        return None
    best = curve.validation_loss.index(min(curve.validation_loss)) + 1
    return Finding(
        "overfitting",
        "warning",
        f"validation loss was lowest in epoch {best} of {len(curve.loss)} and ended {end / max(lowest, 1e-12):.2g} "
        f"times as high; {measure(run)} is {score(run, outcome.training_skill, outcome.chance)} on training rows and "
        f"{score(run, outcome.validation_skill, outcome.validation_chance)} on validation rows",
        ("Use" if run.settings.early_stopping else "Use early_stopping,")
        + " more data, a smaller network, an L2 penalty (alpha) or dropout=0.2",
    )


def diverged(run: RunRecord) -> Finding | None:
    """A loss that is no longer a number."""
    if run.outcome.stopped != "diverged":
        return None
    return Finding(
        "diverged",
        "error",
        f"the loss became infinite or NaN at step {run.outcome.steps}",
        "Mend the causes above; clip_norm=1 keeps single steps short",
    )


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """1 row, 2 rows."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"


def listed(items: list[str], count: int) -> str:
    """The first few, and how many more."""
    shown = ", ".join(items)
    return shown if count <= len(items) else f"{shown} and {count - len(items)} more"


RULES: tuple[Rule, ...] = (
    non_finite_data,
    output_cannot_reach_targets,
    sentinel_values,
    target_outliers,
    identifier_column,
    unscaled_inputs,
    unscaled_targets,
    bad_initial_scale,
    missing_class,
    validation_unlike_training,
    shuffled_labels,
    wrong_validation_labels,
    leaking_column,
    repeated_rows,
    unshuffled_rows,
    l2_too_strong,
    dropout_too_strong,
    batch_too_small,
    batch_too_large,
    exploding_gradients,
    vanishing_gradients,
    learning_rate_too_high,
    learning_rate_too_low,
    dead_units,
    saturated_units,
    class_imbalance,
    underfitting,
    too_few_epochs,
    plateau,
    one_class_predicted,
    validation_too_small,
    overfitting,
    duplicate_column,
    constant_column,
    diverged,
)
