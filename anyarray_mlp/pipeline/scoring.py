"""What is said of a trained model: scores of the rows that it was not trained on, beside a constant's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.metrics import find_score
from anyarray_mlp.pipeline.plan import Plan
from anyarray_mlp.pipeline.preparation import Prepared
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.training.predicting import Predictor, losses_of
from anyarray_mlp.typing import Host


def scores_of(plan: Plan, model: TrainedModel) -> dict[str, float]:
    """The scores of a model on the rows that `Plan.scored_on` names.

    Rows that networks have held out are answered by these alone: all together would do better on new ones.
    """
    test, backend = plan.prepared.test, plan.backend
    if plan.scored_on != "held-out":
        return model.scores_of_inputs(test.x, test.input_scale, plan.test_targets, backend)
    outputs = outputs_held_out(model, plan.prepared, backend)
    targets = plan.targets[held_out_rows(plan.prepared)]
    return model.scores_of_outputs(outputs, losses_of(model.mlp, outputs, targets), targets)


def outputs_held_out(model: TrainedModel, prepared: Prepared, backend: Backend) -> Host:
    """The outputs (n, k) of `held_out_rows`, each by the networks that have held it out."""
    training, places = prepared.training, held_out_rows(prepared)
    total = np.zeros((len(training), model.mlp.sizes[-1]))
    answers = np.zeros((len(training), 1))
    for parameters, held in zip(model.parameters, prepared.folds, strict=True):
        answer = Predictor(model.mlp, parameters, backend, training.input_scale)
        total[held] += answer(training.x[held])
        answers[held] += 1
    outputs: Host = (total[places] / answers[places]).astype(model.parameters.dtype)
    return outputs


def held_out_rows(prepared: Prepared) -> NDArray[np.int64]:
    """The places of the training rows that a network holds out."""
    return np.unique(np.concatenate(prepared.folds))


def worse_than_constant(plan: Plan, scores: dict[str, float]) -> str | None:
    """What to tell of a model of a table that the best answer without looking at a row beats on rows it has not seen.

    That is the most frequent class or the mean of the rows to train on. None if it does not, if no rows were held
    out, and if another loss or weights of classes ask for something else.
    """
    prepared, shape = plan.prepared, plan.settings.shape
    task = prepared.targets.task
    asks_for_more = shape.loss != "auto" or prepared.sample_weight is not None
    is_table = bool(prepared.target_names)
    if plan.scored_on == "training" or not is_table or asks_for_more or task == "multilabel":
        return None
    labels_scored, targets_scored = prepared.test.y, plan.test_targets
    if plan.scored_on == "held-out":
        places = held_out_rows(plan.prepared)
        labels_scored, targets_scored = labels_scored[places], targets_scored[places]
    if task == "classification":
        name, known, test = "accuracy", prepared.training.y, labels_scored
        labels, counts = np.unique(known, return_counts=True)
        constant = float(np.mean(test == labels[counts.argmax()]))
        answer = f"always answering {shown(labels[counts.argmax()].item())}"
    else:
        name, known, test = "r2", plan.targets, targets_scored
        constant = find_score("r2", task)(
            np.broadcast_to(known.mean(axis=0), test.shape), test, None
        )
        answer = "always answering the mean"
    # Not a number is no better either.
    if scores[name] >= constant:
        return None
    cure = ""
    if plan.stopping is None and prepared.validates:
        cure = ": keep_epoch='best' keeps the epoch that is best on the validation rows"
    return (
        f"the model is worse than a constant: {answer} has {name} {constant:.4g} on the {plan.scored_on} rows, the "
        f"model {scores[name]:.4g}{cure}"
    )
