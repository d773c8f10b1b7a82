"""What several rules ask about a run: whether it failed, what was left to learn, how large its steps were."""

from __future__ import annotations

import math

from anyarray_mlp.diagnosis.probe import LayerFigures
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.references import Reference
from anyarray_mlp.errors import Severity


def reachable(run: RunRecord) -> float | None:
    """The skill on rows that they have not seen which nearest neighbours and other learners reach; None if unknown."""
    found = [reference.skill for reference in run.outcome.learnable.references]
    if run.outcome.neighbour_skill is not None:
        found.append(run.outcome.neighbour_skill)
    return max(found, default=None)


def lacks(run: RunRecord) -> bool:
    """Whether clearly more could be learned from the data, as nearest neighbours and other learners show."""
    skill = reachable(run)
    if skill is None:
        return False
    counts = run.data.class_counts
    others = 1.0 - max(counts) / sum(counts) if counts else 1.0  # skill 1 is this much accuracy
    missed = skill - max(run.outcome.training_skill, 0.0)
    return (missed > 0.15 and missed * others > 0.02) or (
        skill > 0.1 and run.progress < 0.1 and lags(run) is not None
    )


#: How much better in skill another learner is on new rows than a network that lags, and in standard errors.
LEAD, SURE = 0.08, 3.0


def lags(run: RunRecord) -> Reference | None:
    """The learner that does clearly better than the network on validation rows; None if none does."""
    best = max(run.outcome.learnable.references, key=lambda each: each.lead, default=None)
    if best is None:
        neighbours = run.outcome.neighbour_skill
        if neighbours is not None and neighbours > 0.1:
            return Reference("nearest neighbours", neighbours, 0.0, 0.0)
        return None
    if run.outcome.validation_skill is None:
        return best
    return best if best.lead > LEAD and best.lead > SURE * best.noise and best.skill > 0.1 else None


def failed(run: RunRecord) -> bool:
    """Whether training diverged, or learned clearly less than it could."""
    return run.outcome.stopped == "diverged" or lacks(run)


def harm(run: RunRecord) -> Severity:
    """The severity of a cause that is certain: an error if training failed, else a warning."""
    return "error" if failed(run) else "warning"


def hidden(run: RunRecord, probe: int) -> tuple[LayerFigures, ...]:
    """Figures of the hidden layers at a probe."""
    return run.probes[probe].layers[:-1]


def largest_update(run: RunRecord, probe: int) -> float:
    """The largest relative change of a layer's weights by one step; NaN counts as infinite."""
    updates = [layer.update for layer in run.probes[probe].layers]
    return max(math.inf if math.isnan(update) else update for update in updates)


def relative_losses(run: RunRecord) -> list[float]:
    """The training loss of each epoch over that of the best constant; without epochs, the first probe's loss."""
    losses = run.curve.loss or (run.probes[0].loss,)
    base = run.data.baseline_loss or abs(losses[0]) or 1.0
    return [loss / base for loss in losses]


def late_fall(run: RunRecord) -> float:
    """How far the loss fell over the last fifth of the epochs, in units of the baseline loss; 0 for a single epoch."""
    losses = relative_losses(run)
    if len(losses) < 2:
        return 0.0
    return losses[-1 - math.ceil((len(losses) - 1) / 5)] - losses[-1]


def starts_trained(run: RunRecord) -> bool:
    """Whether the initial parameters were trained already: a resumed run or a warm start."""
    base = run.data.baseline_loss
    return base is not None and run.probes[0].loss < 0.8 * base


def score(run: RunRecord, skill: float, chance: float | None) -> str:
    """A skill as accuracy or R²."""
    if not run.is_classification:
        return f"{skill:.2f}"
    if chance is None:
        chance = max(run.data.class_counts) / sum(run.data.class_counts)
    return f"{chance + skill * (1.0 - chance):.0%}"


def measure(run: RunRecord) -> str:
    """The name of what `score` gives."""
    if not run.is_classification:
        return "R²"
    return "weighted accuracy" if run.settings.weighted else "accuracy"


def found_in_vain(run: RunRecord) -> str:
    """What was learned, and what other learners reach, in words."""
    outcome = run.outcome
    best = lags(run)
    if best is not None and best.lead > 0 and outcome.validation_skill is not None:
        mine, theirs = (
            score(run, skill, outcome.validation_chance)
            for skill in (outcome.validation_skill, best.skill)
        )
        reach = "reach" if best.name.endswith("s") else "reaches"
        return (
            f"{measure(run)} on validation rows is {mine}, and {best.name}, which learned from the same rows, {reach} "
            f"{theirs}"
        )
    text = (
        f"{measure(run)} on training rows is {score(run, outcome.training_skill, outcome.chance)}"
    )
    if outcome.neighbour_skill is None:
        return text
    return f"{text}, and nearest neighbours reach {score(run, outcome.neighbour_skill, outcome.chance)}"


#: Growth of activations from the first hidden layer to the last that counts as exploding; its inverse is vanishing.
GROWTH = 10.0


def grows_through_layers(run: RunRecord) -> float:
    """Standard deviation of the last hidden layer over that of the first, before training."""
    layers = hidden(run, 0)
    return layers[-1].std / max(layers[0].std, 1e-30) if layers else 1.0


#: In layers with fewer units, the share of dead ones says nothing.
FEWEST_ALIVE = 4


def unfinished(run: RunRecord) -> bool:
    """Whether training ended too early: the loss still falling with more to learn, or after very few steps."""
    skill = reachable(run)
    if run.outcome.stopped != "finished" or skill is None:
        return False
    if not lacks(run) and (is_past_its_best(run) or keeps_up(run)):
        return False
    fall = late_fall(run)
    gap = skill - run.outcome.training_skill
    if is_small(run) and lacks(run):
        return fall > 0.1
    return (
        fall > 0.15
        or (fall > 0.02 and gap > 0.08)
        or (run.outcome.steps < 100 and (lacks(run) or fall > 0.05))
    )


def keeps_up(run: RunRecord) -> bool:
    """Whether a network that made its steps predicts validation rows as well as the other learners do."""
    learned = run.outcome.learnable.references
    if run.outcome.validation_skill is None or not learned or run.outcome.steps < 100:
        return False
    return max(each.lead for each in learned) < 0.05


def is_past_its_best(run: RunRecord) -> bool:
    """Whether the validation loss was lowest well before the end: more epochs would only overfit."""
    losses = run.curve.validation_loss
    return len(losses) >= 8 and losses.index(min(losses)) < 0.75 * (len(losses) - 1)


#: Steps that it takes to learn much; more are advised if there were fewer.
ENOUGH_STEPS = 1000


def gave_up(run: RunRecord) -> bool:
    """Whether early stopping ended training when it had hardly begun."""
    return (
        run.outcome.stopped == "early"
        and lacks(run)
        and run.outcome.steps < ENOUGH_STEPS
        and not is_small(run)
    )


def is_small(run: RunRecord) -> bool:
    """Whether the narrowest hidden layer has at most as many units as telling the classes apart takes."""
    widths = run.settings.sizes[1:-1]
    needed = max(3.0, math.log2(max(run.settings.sizes[-1], 2)) + 1)
    return not widths or min(widths) <= needed


def is_stuck(run: RunRecord) -> bool:
    """Whether a network with hidden layers learned nothing at all, by loss and by score."""
    return len(run.settings.sizes) > 2 and run.progress < 0.02 and run.outcome.training_skill < 0.1


def number_of(number: float) -> float:
    """One significant digit, as it is typed."""
    return float(f"{number:.1g}")


def listed(items: list[str], count: int) -> str:
    """The first few, and how many more."""
    shown = ", ".join(items)
    return shown if count <= len(items) else f"{shown} and {count - len(items)} more"
