"""Rules about the network: its initial weights, its size, and the signals that pass through it."""

from __future__ import annotations

import math

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules.findings import TRAINING, Found, rule
from anyarray_mlp.diagnosis.rules.inputs import unscaled_inputs
from anyarray_mlp.diagnosis.rules.targets import unscaled_targets
from anyarray_mlp.diagnosis.symptoms import (
    FEWEST_ALIVE,
    GROWTH,
    failed,
    found_in_vain,
    grows_through_layers,
    harm,
    hidden,
    is_small,
    is_stuck,
    lacks,
    lags,
    number_of,
    starts_trained,
    unfinished,
)
from anyarray_mlp.network.functional import RECTIFIERS

#: Mean of the weights over their root mean square: 0.87 where they are drawn between 0 and a bound.
ONE_SIDED = 0.6


@rule("the initial weights have a bad scale", order=80, explains=(TRAINING,))
def bad_initial_scale(run: RunRecord) -> Found | None:
    """Weights that start at zero, all equal, far too large or far too small; an output that starts far off."""
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
        elif layer.one_sided > ONE_SIDED and run.settings.sizes[number] > 3:
            evidence = (
                "almost all weights start with the same sign, so all units say nearly the same"
            )
        elif layer.gain_in > 5:
            evidence = f"weights start {layer.gain_in:.3g} times as large as 1 / sqrt(inputs)"
        elif max(layer.gain_in, layer.gain_out) < 0.05:
            evidence = f"weights start {layer.gain_in:.2g} times as large as 1 / sqrt(inputs)"
        else:
            continue
        return Found(evidence, cure, layer=number + 1, changes=({"initializer": "auto"},))
    base = run.data.baseline_loss
    first = run.probes[0]
    far_off = base and first.loss > 6 * base and first.layers[-1].dead >= 0.5
    if base and far_off and not unscaled and grows_through_layers(run) < GROWTH:
        return Found(
            f"before training the outputs are the same for every row, and the loss is {first.loss / base:.3g} times "
            "that of the best constant: the output's biases start far off",
            cure,
            layer=len(run.initial),
            changes=({"initializer": "auto"},),
        )
    return None


@rule("gradients explode", order=200, symptom_of=TRAINING, explains=(TRAINING,))
def exploding_gradients(run: RunRecord) -> Found | None:
    """Signals that grow from layer to layer."""
    growth = grows_through_layers(run)
    first = run.probes[0]
    if len(first.layers) < 4 or not growth > GROWTH or starts_trained(run):
        return None
    gradient = math.sqrt(sum(layer.gradient**2 for layer in first.layers))
    return Found(
        f"activations grow by a factor of {growth:.3g} from the first hidden layer to the last, and the gradient's "
        f"norm starts at {gradient:.3g}",
        "Use initializer='auto' or fewer layers, or clip the gradient with clip_norm=1",
        layer=len(first.layers) - 1,
        changes=({"initializer": "auto"}, {"clip_norm": 1.0}, {"hidden_layer_sizes": (64,)}),
    )


@rule("gradients vanish", order=210, symptom_of=TRAINING, explains=(TRAINING,))
def vanishing_gradients(run: RunRecord) -> Found | None:
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
    evidence = f"before training, the first layer's gradient is {sized[0] / max(sized):.1g} of the largest layer's"
    if fades:
        evidence = (
            f"before training, the differences between rows get lost on the way: units of the last hidden layer vary "
            f"{left:.1g} times as much as those of the first"
        )
    return Found(
        evidence,
        "Use activation='relu', fewer hidden layers, and initializer='auto'",
        layer=1,
        severity="error" if failed(run) else "note",
        changes=(
            {"activation": "relu"},
            {"hidden_layer_sizes": (64,)},
            {"initializer": "auto"},
        ),
    )


@rule("units are dead", order=240, symptom_of=TRAINING, explains=(TRAINING,))
def dead_units(run: RunRecord) -> Found | None:
    """Rectified layers in which most units give the same value for every row."""
    for number, layer in enumerate(hidden(run, -1)):
        if layer.saturated > 0.5:
            return None  # units behind saturated ones are constant too: they are not the cause
        if layer.dead < 0.75 or run.settings.activation[number] not in RECTIFIERS:
            continue
        if run.settings.sizes[number + 1] < FEWEST_ALIVE:
            continue
        before = hidden(run, 0)[number].dead
        since = "from the start" if before >= 0.75 else f"{before:.0%} did before training"
        return Found(
            f"{layer.dead:.0%} of the {run.settings.activation[number]} units give one value for every row; {since}",
            "Lower the learning rate, start with initializer='auto' and biases of 0, or use activation='leaky_relu'",
            layer=number + 1,
            changes=(
                {"learning_rate_init": number_of(run.settings.learning_rate_init / 10)},
                {"initializer": "auto"},
                {"activation": "leaky_relu"},
            ),
        )
    return None


@rule("units are saturated", order=250, symptom_of=TRAINING, explains=(TRAINING,))
def saturated_units(run: RunRecord) -> Found | None:
    """Layers whose units sit at their bounds, where the derivative is almost zero."""
    for number, layer in enumerate(hidden(run, -1)):
        if layer.saturated < 0.9 or run.settings.sizes[number + 1] < 2:
            continue
        before = hidden(run, 0)[number].saturated
        # Successful training may end like this: sharp boundaries need saturated units.
        grown = before < 0.5 and not failed(run)
        return Found(
            f"{layer.saturated:.0%} of the {run.settings.activation[number]} activations are within 1 % of a bound "
            f"({before:.0%} before training)",
            "Standardise the inputs, start with initializer='auto', lower the learning rate, or use activation='relu'",
            layer=number + 1,
            severity="note" if grown else harm(run),
            changes=(
                {"initializer": "auto"},
                {"activation": "relu"},
                {"learning_rate_init": number_of(run.settings.learning_rate_init / 10)},
            ),
        )
    return None


@rule("the network is linear", order=265, symptom_of=TRAINING, explains=(TRAINING,))
def linear_network(run: RunRecord) -> Found | None:
    """Identity layers, or none, where trees or neighbours learn more."""
    best = lags(run)
    hidden_layers = run.settings.sizes[1:-1]
    if best is None or best.name == "a linear model" or best.lead <= 0:
        return None
    if hidden_layers and any(name != "identity" for name in run.settings.activation):
        return None
    what = "every hidden layer is an identity" if hidden_layers else "there is no hidden layer"
    return Found(
        f"{what}, so the outputs are weighted sums of the inputs; {found_in_vain(run)}",
        "Use a hidden layer with activation='relu'",
        changes=({"activation": "relu"},) if hidden_layers else ({"hidden_layer_sizes": (64,)},),
    )


#: With so few units, a network that learned nothing is too small, whatever else is wrong.
FEWEST_UNITS = 2


@rule(
    "the network is too small",
    order=270,
    severity="error",
    symptom_of=TRAINING,
    explains=(TRAINING,),
)
def underfitting(run: RunRecord) -> Found | None:
    """A narrow network that settled at less than the data offer."""
    widths = run.settings.sizes[1:-1]
    if not lacks(run) or unfinished(run) or not is_small(run):
        return None
    if is_stuck(run) and min(widths) > FEWEST_UNITS:
        return None
    small = "no hidden layer"
    if widths:
        small = f"the narrowest hidden layer has {counted(min(widths), 'unit')}"
    return Found(
        f"{small}, and the loss has settled; {found_in_vain(run)}",
        "Use a wider network: hidden_layer_sizes=(64,) or (64, 64)",
        layer=None if not widths else widths.index(min(widths)) + 1,
        changes=({"hidden_layer_sizes": (64,)}, {"hidden_layer_sizes": (64, 64)}),
    )
