"""Rules about the targets: what should be learned, and whether it can be."""

from __future__ import annotations

import math
from collections.abc import Sequence

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules.findings import TRAINING, VALIDATION, Found, rule
from anyarray_mlp.diagnosis.symptoms import failed, listed


@rule("the output cannot reach the targets", order=20, severity="error", explains=(TRAINING,))
def output_cannot_reach_targets(run: RunRecord) -> Found | None:
    """Targets outside the range of the output function."""
    data = run.data
    if not data.unreachable > 0:
        return None
    output = run.settings.output
    cures = {
        "logistic": "Use output='softmax' for class labels, output='identity' for values, or scale targets to [0, 1]",
        "softmax": "Use labels from 0 to k - 1, or one-hot rows; for values use output='identity'",
        "exp": "Use output='identity' for targets that can be negative",
    }
    return Found(
        f"targets run from {data.target_low:.4g} to {data.target_high:.4g} and {output} gives {data.reach}: "
        f"{data.unreachable:.0%} of the targets are out of reach",
        cures.get(output, "Use output='identity'"),
        layer=len(run.settings.sizes) - 1,
        changes=(
            {
                "output": "softmax" if run.settings.table.get("classes") else "identity",
                "loss": "auto",
            },
        ),
    )


@rule("the targets are numbers of classes", order=22, severity="warning")
def classes_as_values(run: RunRecord) -> Found | None:
    """Whole numbers whose order means nothing, learned as amounts."""
    steps = run.data.target_steps
    if not steps:
        return None
    return Found(
        f"the targets have {counted(steps, 'value')}, whole numbers whose order the inputs know nothing of, and they "
        "are learned as amounts",
        "Learn them as classes: task='classification'",
    )


#: Classes that are numbers are amounts if there are so many of them and errors are this much nearer than by chance.
MANY_CLASSES, NEAR_MISSES = 8, 0.7


@rule("the classes are values in order", order=23, severity="warning")
def values_as_classes(run: RunRecord) -> Found | None:
    """Classes that are numbers, mistaken for those next to them."""
    classes, off = run.names.classes, run.outcome.ordered_errors
    if off is None or len(classes) < MANY_CLASSES or not all(map(is_number, classes)):
        return None
    if off > NEAR_MISSES or run.outcome.training_skill > 0.9:
        return None
    return Found(
        f"the {len(classes)} classes are numbers, and wrong answers are {off:.2f} times as far off as by chance: the "
        "network learns an order that it is not told of",
        "Learn them as values: task='regression'",
    )


def is_number(value: object) -> bool:
    """Whether a label is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


#: How much more of the rows of two classes are recognised than the larger one has, where they are not one.
TOLD_APART = 0.02


def spelling(label: str) -> str:
    """What two spellings of a label have in common."""
    return "".join(c for c in label.casefold() if c.isalnum() or c in "+-<>=.,")


def are_told_apart(run: RunRecord, codes: Sequence[int]) -> bool:
    """Whether more rows of some classes are recognised than by always answering the largest of them."""
    rows, right = zip(*(recognised(run, code) for code in codes), strict=True)
    total = sum(rows)
    return bool(total > 0 and sum(right) > (max(rows) / total + TOLD_APART) * total)


@rule("a class has several spellings", order=24, explains=(TRAINING, "class_imbalance"))
def class_spellings(run: RunRecord) -> Found | None:
    """Labels that differ in capitals, blanks and the like alone."""
    spelt: dict[str, list[int]] = {}
    for code, label in enumerate(run.names.classes):
        if isinstance(label, str):
            spelt.setdefault(spelling(label), []).append(code)
    several = [
        [run.names.classes[code] for code in codes]
        for codes in spelt.values()
        if len(codes) > 1 and not are_told_apart(run, codes)
    ]
    if not several:
        return None
    texts = [" and ".join(map(repr, labels)) for labels in several]
    return Found(
        f"{listed(texts[:4], len(texts))} are classes of their own, and differ in spelling alone",
        "Write each class in one way",
    )


@rule("a placeholder for 'unknown' is among the targets", order=38, explains=(TRAINING,))
def target_placeholder(run: RunRecord) -> Found | None:
    """A value like -9999 that many targets have, far from all others."""
    found = run.data.target_placeholder
    if found is None or found[1] > 0.5:
        return None
    value, share = found
    return Found(
        f"{share:.1%} of the targets are {run.names.target_value(value)}, far outside the range of the others",
        "If it stands for 'unknown', leave those rows out",
        changes=({"loss": "huber"}, {"loss": "absolute_error"}),
    )


@rule("the targets have two units", order=42, severity="warning", explains=(TRAINING,))
def two_scales(run: RunRecord) -> Found | None:
    """Targets in two units, with nothing between them."""
    found = run.data.target_units
    if found is None:
        return None
    share, factor = found
    return Found(
        f"{share:.0%} of the targets are about {float(f'{factor:.2g}'):,g} times as large or as small as the others, "
        "with nothing between",
        "Bring all targets to one unit",
    )


#: Share of wrong labels among the third of the rows that trees are surest of, where labels are right; a skill below
#: which a learner is never sure.
USUAL_ERROR, CERTAIN_ERROR, SURE_ENOUGH, ROWS_TO_TELL = 0.06, 0.15, 0.2, 40


@rule("some labels are wrong", order=125, severity="warning", symptom_of=VALIDATION)
def label_noise(run: RunRecord) -> Found | None:
    """Labels that contradict even the rows that are easiest to tell."""
    learned = run.outcome.learnable
    best = learned.best
    if run.settings.weighted or learned.error_of_surest is None or best is None:
        return None
    if best.skill < SURE_ENOUGH:
        return None
    error, rows = learned.error_of_surest, learned.surest
    least = error - 2.0 * math.sqrt(error * (1.0 - error) / rows)
    if rows < ROWS_TO_TELL or least < USUAL_ERROR:
        return None
    return Found(
        f"of the third of the new rows that boosted trees are surest of, {error:.0%} have another label",
        "Look at the rows whose label contradicts what is predicted with certainty, and label them again",
        changes=({"label_smoothing": 0.1}, {"keep_epoch": "best"}),
        # Classes that are hard to tell from each other look much like wrong labels.
        severity="warning" if least > CERTAIN_ERROR else "note",
    )


#: The most that 1 % of the rows may hold of the targets' squared distances from their median. In a normal distribution
#: they hold 0.08, in a lognormal one with sigma = 1 about a half.
FEW_ROWS_HOLD = 0.9


@rule("a few rows make up nearly all of the targets' variation", order=40, explains=(TRAINING,))
def target_outliers(run: RunRecord) -> Found | None:
    """Targets with a few values so far out that the squared error sees little else."""
    data = run.data
    if run.settings.loss != "squared_error" or data.outlier_share < FEW_ROWS_HOLD:
        return None
    return Found(
        f"1 % of the rows hold {data.outlier_share:.0%} of the targets' squared distances from the median; they "
        f"run from {data.target_low:.4g} to {data.target_high:.4g}",
        "Look at the rows with the largest and smallest targets: fix or drop them if they are wrong; if they are "
        "right, learn the logarithm of the target, or use loss='absolute_error'",
        severity="warning" if run.outcome.training_skill > 0.5 else "error",
        changes=({"loss": "huber"}, {"loss": "absolute_error"}),
    )


@rule("the targets are not scaled", order=70, explains=(TRAINING,))
def unscaled_targets(run: RunRecord) -> Found | None:
    """Targets that are far from unit size."""
    data = run.data
    if run.is_classification or run.settings.output != "identity":
        return None
    size = max(abs(data.target_mean), data.target_std)
    if data.target_std > 0.01 and size < 10:
        return None
    return Found(
        f"targets have mean {data.target_mean:.3g} and standard deviation {data.target_std:.3g}",
        "Standardise the targets, and scale the predictions back",
        changes=({"scale_target": True},),
    )


@rule(
    "nothing in the inputs tells the targets",
    order=110,
    severity="error",
    explains=(TRAINING, VALIDATION),
)
def shuffled_labels(run: RunRecord) -> Found | None:
    """Targets that nothing in the inputs predicts: no neighbour, no column, and not the network on new rows."""
    outcome, data = run.outcome, run.data
    if outcome.neighbour_skill is None or outcome.association is None or data.n < 100:
        return None
    best = outcome.learnable.best
    if best is not None and best.skill > 0.1:
        return None
    if (
        data.outliers
        or data.units
        or data.target_placeholder
        or data.target_units
        or data.all_identifiers
    ):
        return None  # what is known to hide a relation comes first
    if target_outliers(run):
        return None  # beside outliers, nothing predicts much of the other targets
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
    return Found(
        "nearest neighbours and trees say nothing about a row's target, and no column is related to it by more than "
        "chance"
        + (
            ""
            if on_new_rows is None
            else ", and the network predicts validation rows no better than chance"
        ),
        "Check that inputs and targets were not sorted, shuffled or filtered separately; if they belong together, "
        "other columns are needed",
    )


#: How many times the total weight of one class another may have.
LOPSIDED = 20.0


@rule(
    "the weights of the classes are too far apart",
    order=155,
    explains=(TRAINING, "class_imbalance"),
)
def weights_too_strong(run: RunRecord) -> Found | None:
    """Class weights that make one class all there is to learn."""
    ratio = run.settings.weight_ratio
    if ratio < LOPSIDED:
        return None
    return Found(
        f"with their weights, all rows of one class count {ratio:.3g} times as much as those of another",
        "Use class_weight='balanced', which makes all classes count alike",
        severity="error" if failed(run) or predicts_one(run) else "warning",
        changes=({"class_weight": "balanced"},),
    )


def predicts_one(run: RunRecord) -> bool:
    """Whether nine of ten rows are predicted as one class."""
    predicted = run.outcome.predicted_counts
    return bool(predicted) and max(predicted) > 0.9 * sum(predicted)


#: A class is rare below this part of its fair share of rows; fewest rows to learn a class from; share of its rows that
#: should be recognised.
RARE, FEW_ROWS, RECOGNISED = 0.2, 20, 0.7


@rule("classes are imbalanced", order=260, explains=("one_class_predicted",))
def class_imbalance(run: RunRecord) -> Found | None:
    """A class so rare that it is missed, or that has too few rows to learn from."""
    counts, outcome = run.data.class_counts, run.outcome
    present = [count for count in counts if count]
    if len(present) < 2:
        return None
    limit = RARE * sum(present) / len(present)
    rare = [code for code, count in enumerate(counts) if 0 < count < limit]
    if not rare:
        return None
    missed = [code for code in rare if is_missed(run, code)]
    # If classes are weighted already, only more rows help: alarm for those that have too few.
    alarming = [c for c in missed if not run.settings.weighted or counts[c] < FEW_ROWS]
    shown = min(missed or rare, key=lambda code: counts[code])
    rows, found = recognised(run, shown)
    kind = "validation" if outcome.validation_skill is not None else "training"
    others = len(missed or rare) - 1
    weighted = (
        "Class weights are on already: gather more rows of the rare class, or merge it with another"
    )
    return Found(
        f"class {run.names.label(shown)} has {counts[shown]} of {sum(present)} rows "
        f"({counts[shown] / sum(present):.1%})"
        + (f", and {found} of {rows} {kind} rows of it are recognised" if rows else "")
        + (
            f"; {counted(others, 'class', 'classes')} more {'is' if others == 1 else 'are'} as rare"
            if others
            else ""
        ),
        (
            weighted
            if run.settings.weighted
            else "Use class_weight='balanced', gather more rows of the rare class"
        )
        + ", and watch balanced_accuracy or f1 instead of accuracy",
        severity="warning" if alarming else "note",
        changes=({"class_weight": "balanced"},) if not run.settings.weighted else (),
    )


def recognised(run: RunRecord, code: int) -> tuple[int, int]:
    """How many rows of a class the network was judged on, and how many of them it recognised."""
    rows, found = run.outcome.rows_of_class, run.outcome.found_of_class
    return (rows[code], found[code]) if code < len(rows) else (0, 0)


def is_missed(run: RunRecord, code: int) -> bool:
    """Whether too few rows of a class are recognised, or it has too few to learn from."""
    rows, found = recognised(run, code)
    # So few may be recognised by chance where seven of ten are.
    beyond_chance = (
        found + 1.64 * math.sqrt(rows * RECOGNISED * (1.0 - RECOGNISED)) < RECOGNISED * rows
    )
    too_few = run.data.class_counts[code] < FEW_ROWS and found <= 0.5 * rows
    return beyond_chance or too_few
