"""Rules about the targets: what should be learned, and whether it can be."""

from __future__ import annotations

import math

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules.findings import TRAINING, VALIDATION, Found, rule


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
    "the labels do not belong to their rows",
    order=110,
    severity="error",
    explains=(TRAINING, VALIDATION),
)
def shuffled_labels(run: RunRecord) -> Found | None:
    """Targets that nothing in the inputs predicts: no neighbour, no column, and not the network on new rows."""
    outcome, data = run.outcome, run.data
    if outcome.neighbour_skill is None or outcome.association is None or data.n < 100:
        return None
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
        "nearest neighbours say nothing about a row's target, and no column is related to it by more than chance"
        + (
            ""
            if on_new_rows is None
            else ", and the network predicts validation rows no better than chance"
        ),
        "Check that inputs and targets were not sorted, shuffled or filtered separately",
    )


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
    return found < RECOGNISED * rows or run.data.class_counts[code] < FEW_ROWS
