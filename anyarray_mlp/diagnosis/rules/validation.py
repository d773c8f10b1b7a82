"""Rules about the validation rows: whether they match the training rows, and how well they are predicted."""

from __future__ import annotations

import math
from statistics import NormalDist

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules.findings import VALIDATION, Found, rule
from anyarray_mlp.diagnosis.rules.targets import shuffled_labels, target_outliers
from anyarray_mlp.diagnosis.symptoms import listed, measure, relative_losses, score
from anyarray_mlp.errors import Severity

#: Shares of validation rows whose class is unknown: a warning from the first on, an error from the second.
UNKNOWN_ROWS, MANY_UNKNOWN_ROWS = 0.02, 0.1


@rule("a class of the validation rows has no training rows", order=90)
def missing_class(run: RunRecord) -> Found | None:
    """Classes that occur only in validation."""
    missing = run.outcome.missing_classes
    if not missing:
        return None
    share = sum(rows for _, rows in missing) / max(run.data.n_validation, 1)
    texts = [f"class {run.names.label(code)} ({counted(rows, 'row')})" for code, rows in missing]
    severity: Severity = "note"
    if share >= UNKNOWN_ROWS:
        severity = "error" if share >= MANY_UNKNOWN_ROWS else "warning"
    return Found(
        f"{listed(texts[:8], len(texts))} of {run.data.n_validation} validation rows: no training row has "
        f"{'it' if len(missing) == 1 else 'them'}, so they cannot be predicted",
        "Split the rows at random and by class (stratified), not in file order",
        severity=severity,
    )


#: Share of the columns that look like another one of the training rows, and the skill that every learner then loses.
MOVED, LOST = 0.25, 0.2


@rule(
    "the validation columns are in another order",
    order=98,
    severity="error",
    explains=(VALIDATION, "validation_unlike_training", "wrong_validation_labels"),
)
def validation_columns_moved(run: RunRecord) -> Found | None:
    """Columns of the validation rows that look like another column of the training rows."""
    shift, outcome = run.outcome.shift, run.outcome
    lost = outcome.training_skill - max(outcome.validation_skill or 0.0, 0.0)
    best = outcome.learnable.best
    inside = max(outcome.neighbour_skill or 0.0, outcome.training_skill)
    if shift is None or shift.moved < MOVED or lost < 0.1 or best is None:
        return None
    if best.skill > inside - LOST or other_classes(run):
        return None  # what is learned of the training rows holds for these
    return Found(
        f"{shift.moved:.0%} of the columns are spread unlike themselves and like another column of the training rows: "
        f"{run.names.column(shift.moved_column)} looks like {run.names.column(shift.looks_like)}",
        "Bring the columns of the validation rows into the order of the training rows",
    )


#: Share of the rows by which the classes of validation and training rows may differ.
OTHER_MIX = 0.15


def other_classes(run: RunRecord) -> bool:
    """Whether classes are more or less frequent in validation, which by itself changes how columns are spread."""
    counts, rows = run.data.class_counts, run.outcome.rows_of_class
    if not counts or not rows:
        return False
    classes = range(max(len(counts), len(rows)))
    known, new = (
        [part[code] / sum(part) if code < len(part) else 0.0 for code in classes]
        for part in (counts, rows)
    )
    return sum(abs(a - b) for a, b in zip(known, new, strict=True)) / 2.0 > OTHER_MIX


@rule("the test inputs are not like the training inputs", order=145, severity="warning")
def test_unlike_training(run: RunRecord) -> Found | None:
    """Test inputs that were scaled otherwise, or are other data."""
    shift, among = run.outcome.test_shift, run.outcome.shift
    if shift is None or run.settings.validation_is_later:
        return None
    usual = FAR_OFF if among is None else max(FAR_OFF / 2, 3.0 * among.distance)
    if shift.share <= 0.5 and shift.distance <= usual:
        return None
    return Found(
        f"{shift.share:.0%} of the columns have another mean or spread than in training; column "
        f"{run.names.column(shift.column)} has mean {run.names.value(shift.column, shift.validation_mean)}, in "
        f"training {run.names.value(shift.column, shift.training_mean)}",
        "Check the units of the test rows and where they come from; the score on them says little of new rows that "
        "are like the training rows",
    )


#: Factor by which distances jump where near copies end.
JUMP = 4.0


@rule("validation rows are near copies of training rows", order=142)
def near_copies(run: RunRecord) -> Found | None:
    """Validation rows that belong to some training rows: copies with noise, or rows of one group."""
    crowded = run.outcome.crowded
    if crowded is None or crowded < JUMP:
        return None
    return Found(
        f"for most validation rows, some training rows are {crowded:.2g} times as near as all others: copies with a "
        "little noise, or rows of the same group (a person, a machine), so that the score is too good for new ones",
        "Drop copies before splitting, and keep groups together (group='COLUMN')",
    )


#: Distance between medians, in standard deviations, that no sample of the same rows shows.
FAR_OFF = 3.0


@rule(
    "the validation inputs are not like the training inputs",
    order=100,
    explains=(VALIDATION, "wrong_validation_labels"),
)
def validation_unlike_training(run: RunRecord) -> Found | None:
    """Validation inputs that were scaled differently, or are different data."""
    shift, outcome = run.outcome.shift, run.outcome
    if shift is None or (shift.share <= 0.5 and shift.distance <= FAR_OFF):
        return None
    lost = outcome.training_skill - max(outcome.validation_skill or 0.0, 0.0)
    cure = "Scale the validation rows with the mean and standard deviation of the training rows, and split at random"
    if run.settings.validation_is_later:
        cure = (
            "Later rows differ from earlier ones: leave out columns that only drift, train on more recent rows, and "
            "expect new rows to differ as much"
        )
    return Found(
        f"{shift.share:.0%} of the columns have another mean or spread than in training; column "
        f"{run.names.column(shift.column)} has mean {shift.validation_mean:.3g} and standard deviation "
        f"{shift.validation_std:.3g}, in training {shift.training_mean:.3g} and {shift.training_std:.3g}",
        cure,
        severity="error" if lost > 0.2 and not run.settings.validation_is_later else "warning",
    )


#: With fewer validation rows, their score is mostly chance.
ENOUGH_VALIDATION = 10


@rule(
    "the validation labels do not match the training labels",
    order=120,
    severity="error",
    explains=(VALIDATION,),
)
def wrong_validation_labels(run: RunRecord) -> Found | None:
    """Validation labels that are encoded differently, or do not belong to their rows."""
    outcome = run.outcome
    if is_apart(run):
        return Found(
            "nearest neighbours and the network predict the targets of training rows, but not those of validation rows",
            "Check that validation inputs and targets were not sorted, shuffled or filtered separately",
        )
    if (
        outcome.validation_mapping < 0.5
        or run.data.n_validation < ENOUGH_VALIDATION
        or outcome.validation_skill is None
        or outcome.validation_skill > 0.1
        or run.progress < 0.2
        or shuffled_labels(run)  # a few meaningless labels may look like this by chance
    ):
        return None
    return Found(
        f"{outcome.validation_mapping:.0%} of the validation rows are predicted as one other class, the same for all "
        "rows of their class, while training rows are predicted well",
        "Encode training and validation labels with the same encoder, fitted once",
    )


def is_apart(run: RunRecord) -> bool:
    """Whether inputs predict the targets in training but not in validation, though the inputs are alike.

    Of later rows, the targets may be others for the same inputs.
    """
    if run.settings.validation_is_later:
        return False
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
    """Whether validation rows are predicted better than by a constant, even slightly, and not by chance."""
    outcome, outputs = run.outcome, run.settings.sizes[-1]
    related = outcome.validation_association
    # The value that the largest of so many correlations exceeds by chance once in twenty times.
    usual = NormalDist().inv_cdf(1.0 - 0.025 / outputs**2)
    return related is not None and (outcome.validation_skill or 0.0) > 0.0 and related > usual


#: Fewest validation rows on which the R² of values says something.
FEW_VALUES = 25
#: Share of validation rows that are also in training, and how much better they may score than the others.
RECURRING, FLATTERS = 0.05, 0.15
#: Share of the validation rows of a class that recur where it was oversampled before the split; and of another class
#: at most.
OVERSAMPLED, NOT_OVERSAMPLED = 0.8, 0.3


def oversampled_class(run: RunRecord) -> int | None:
    """The class whose validation rows recur in training although those of another hardly do."""
    repeats = run.outcome.repeats
    if repeats is None:
        return None
    known = {code: share for code, share in enumerate(repeats.by_class) if share >= 0.0}
    if not known or min(known.values()) > NOT_OVERSAMPLED:
        return None
    most = max(known, key=lambda code: known[code])
    return most if known[most] >= OVERSAMPLED else None


@rule("validation rows are also training rows", order=140, severity="warning")
def repeated_rows(run: RunRecord) -> Found | None:
    """Validation rows that were trained on: more than by chance, or predicted better than new ones."""
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
        flatters |= known - max(new, 0.0) > FLATTERS + 2.0 / math.sqrt(few)
        text = f"; skill is {known:.2f} on them and {new:.2f} on the others"
    oversampled = oversampled_class(run)
    if oversampled is not None:
        flatters = True
        text = (
            f"; of class {run.names.label(oversampled)} {repeats.by_class[oversampled]:.0%} do"
            + text
        )
    if share < RECURRING or not (copied or flatters):
        return None
    return Found(
        f"{share:.0%} of the validation rows have the same inputs as a training row ({expected:.0%} of the training "
        f"rows as another one){text}: the validation score is too good",
        "Drop repeated rows before splitting; oversample rare rows only after that, in training",
    )


@rule("the validation set is too small", order=310)
def validation_too_small(run: RunRecord) -> Found | None:
    """Too few validation rows for their loss to say anything; a note if nothing depends on it."""
    n = run.data.n_validation
    if not 0 < n < ENOUGH_VALIDATION:
        return None
    return Found(
        f"{counted(n, 'validation row')}"
        + (
            f": one row moves the accuracy by {1 / n:.0%}"
            if run.is_classification
            else ": a score on so few rows is mostly chance"
        ),
        "Hold out a hundred rows if there are enough, or cross-validate",
        severity="warning" if run.settings.early_stopping or run.settings.keeps_best else "note",
    )


def by_chance(run: RunRecord) -> bool:
    """Whether so few validation rows may score this badly by chance, although new rows score like training rows."""
    outcome, n = run.outcome, max(run.data.n_validation, 1)
    if not run.is_classification or outcome.validation_skill is None:
        return n < FEW_VALUES
    chance, known_chance = (c or 0.0 for c in (outcome.validation_chance, outcome.chance))
    new = chance + outcome.validation_skill * (1.0 - chance)
    known = known_chance + outcome.training_skill * (1.0 - known_chance)
    variance = max(new * (1.0 - new), 0.02)
    return known - new < 2.0 * math.sqrt(variance / n)


@rule("the network overfits", order=320, severity="warning", symptom_of=VALIDATION)
def overfitting(run: RunRecord) -> Found | None:
    """Much better on training rows than on validation rows, by loss and by score."""
    outcome, curve, base = run.outcome, run.curve, run.data.baseline_loss
    if outcome.validation_skill is None or not curve.validation_loss or not base:
        return None
    if validation_too_small(run):
        return None
    if by_chance(run):
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
    settings = run.settings
    if outcome.stopped == "early" if settings.early_stopping else settings.keeps_best:
        return None
    best = curve.validation_loss.index(min(curve.validation_loss)) + 1
    return Found(
        f"validation loss was lowest in epoch {best} of {len(curve.loss)} and ended {end / max(lowest, 1e-12):.2g} "
        f"times as high; {measure(run)} is {score(run, outcome.training_skill, outcome.chance)} on training rows and "
        f"{score(run, outcome.validation_skill, outcome.validation_chance)} on validation rows",
        "Gather more data; a smaller network, a penalty, dropout or the best epoch may help",
        changes=(
            {"early_stopping": True},
            {"alpha": 1.0},
            {"dropout": 0.3},
            {"hidden_layer_sizes": (8,), "alpha": 1.0},
        ),
    )
