"""Rules about the result, whatever led to it."""

from __future__ import annotations

from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules.findings import TRAINING, Found, rule
from anyarray_mlp.diagnosis.symptoms import (
    LEAD,
    found_in_vain,
    gave_up,
    is_small,
    is_stuck,
    lacks,
    lags,
    number_of,
    relative_losses,
    unfinished,
)


@rule(
    "the loss has stopped falling",
    order=290,
    severity="error",
    symptom_of=TRAINING,
    explains=(TRAINING,),
)
def plateau(run: RunRecord) -> Found | None:
    """A loss that settled although the data offer more and the network could learn it."""
    if not lacks(run) or unfinished(run) or gave_up(run) or run.outcome.stopped == "diverged":
        return None
    if is_small(run) and not is_stuck(run):
        return None
    return Found(
        f"the loss no longer falls, at {relative_losses(run)[-1]:.2f} times that of the best constant; "
        f"{found_in_vain(run)}",
        "Try the changes below; another seed may do, too",
        changes=(
            {"optimizer": "adam", "learning_rate_init": 0.003},
            {"activation": "relu", "initializer": "auto"},
            {"loss": "auto"},
            {"hidden_layer_sizes": (64, 64)},
        ),
    )


@rule("other learners do better on new rows", order=295, severity="warning", symptom_of=TRAINING)
def falls_short(run: RunRecord) -> Found | None:
    """A network that learned less from the same rows than a quick learner of another kind."""
    best = lags(run)
    if best is None or best.lead <= 3 * LEAD or run.settings.weighted:
        return None
    settings = run.settings
    return Found(
        found_in_vain(run),
        "Try the changes below; if none helps, the kind of learner suits these data better",
        changes=(
            {"numbers": "pieces"},
            {"learning_rate_init": 0.003, "optimizer": "adam", "keep_epoch": "best"},
            {"hidden_layer_sizes": (128, 64), "activation": "relu"},
            {"epochs": 3 * settings.epochs, "keep_epoch": "best"},
        ),
    )


@rule(
    "one class is predicted for every row",
    order=300,
    severity="error",
    symptom_of=TRAINING,
    explains=(TRAINING,),
)
def one_class_predicted(run: RunRecord) -> Found | None:
    """The same class for every row, although others are frequent."""
    predicted, counts = run.outcome.predicted_counts, run.data.class_counts
    if not predicted or not counts or max(counts) > 0.9 * sum(counts):
        return None
    share = max(predicted) / max(sum(predicted), 1)
    if share < 0.98:
        return None
    favoured = predicted.index(max(predicted))
    true_share = counts[favoured] / sum(counts) if favoured < len(counts) else 0.0
    return Found(
        f"class {run.names.label(favoured)} is predicted for {share:.0%} of the rows, and {true_share:.0%} have it",
        "Fix the causes above; if there are none, check labels, loss and output, and train longer with adam",
        changes=(
            {"optimizer": "adam", "learning_rate_init": 0.001},
            {"epochs": 5 * run.settings.epochs},
            {"class_weight": "balanced"},
        ),
    )


@rule(
    "the loss became infinite or NaN",
    order=350,
    severity="error",
    symptom_of=TRAINING,
    explains=(TRAINING,),
)
def diverged(run: RunRecord) -> Found | None:
    """A loss that is not finite."""
    if run.outcome.stopped != "diverged":
        return None
    return Found(
        f"the loss became infinite or NaN at step {run.outcome.steps}",
        "Fix the causes above; clip_norm=1 limits the size of a step",
        changes=(
            {"learning_rate_init": number_of(run.settings.learning_rate_init / 10)},
            {"clip_norm": 1.0},
        ),
    )
