"""Mistakes of signs, of lengths and of the update: the gradient has the right direction."""

from __future__ import annotations

from anyarray_mlp.backprop.causes.cause import Cause
from anyarray_mlp.backprop.causes.hints import (
    DIFFERENCE,
    PRODUCT,
    SCALE_HINTS,
    TARGET_MINUS_OUTPUT,
    UPDATE,
)

OF_UPDATE: dict[str, Cause] = {
    "sign_flipped": Cause(
        "the gradient has the wrong sign",
        "w += learning_rate * dL/dw (or delta = y - output with w -= ...)",
        "delta = output - y with w -= learning_rate * gradient",
        "change the sign in one place: either in the delta or in the update",
        of_bias=(
            "db = -delta.sum(axis=0) (or b += learning_rate * db)",
            "db = delta.sum(axis=0) with b -= learning_rate * db",
            "change the sign of the bias's gradient or of its update",
        ),
        hints=(
            TARGET_MINUS_OUTPUT,
            r"\+=|\+ \S*(lr|rate|eta|alpha|step)\b",
            r"= ?-|\(-|: -|return.* -",
            *DIFFERENCE,
        ),
    ),
    "sign_flipped_twice": Cause(
        "the sign is flipped twice, in the gradient and in the update",
        "gradient = -dL/dw and w += learning_rate * gradient",
        "gradient = dL/dw and w -= learning_rate * gradient",
        "the two cancel, so it learns; change both signs, or give update='+=' if that is meant",
        "warning",
        hints=(TARGET_MINUS_OUTPUT, r"\+=", r"= ?-|: -|return.* -", *DIFFERENCE),
    ),
    "mean_missing": Cause(
        "the mean of the loss is not in the gradient: 1/n (or 1/outputs) is missing",
        "dW = a.T @ delta",
        "dW = a.T @ delta / n",
        "divide the output's delta by what the loss is divided by, or use the sum as the loss",
        of_bias=(
            "db = delta.sum(axis=0)",
            "db = delta.sum(axis=0) / n",
            "divide the bias's gradient by what the weights' gradient is divided by",
        ),
        hints=(*DIFFERENCE, PRODUCT),
    ),
    "mean_twice": Cause(
        "the mean is taken twice: the gradient is divided by n (or the outputs) once too often",
        "delta = (output - y) / n and dW = a.T @ delta / n",
        "divide once",
        "remove one of the two divisions",
        of_bias=(
            "delta = (output - y) / n and db = delta.mean(axis=0)",
            "db = delta.sum(axis=0)",
            "sum the bias's gradient as the weights' gradient is summed",
        ),
        hints=SCALE_HINTS,
    ),
    "factor_two": Cause(
        "the loss and its gradient differ by a factor of 2",
        "loss = mean((output - y)^2) with delta = output - y (or 1/2 in the loss and 2 in the delta)",
        "delta = 2 (output - y), or 1/2 in the loss",
        "write the 2 in both or in neither",
        of_bias=(
            "a 2 in the bias's gradient that is not in the weights', or the other way round",
            "db = delta.sum(axis=0) with the delta of the weights' gradient",
            "use one delta for both",
        ),
        hints=(r"\b2(\.0?)?\s*\*", *DIFFERENCE),
    ),
    "wrong_scale": Cause(
        "the gradient has the right direction and a wrong length",
        "gradient = factor * dL/dw",
        "gradient = dL/dw",
        "look for a constant that the loss does not have",
        hints=SCALE_HINTS,
    ),
    "learning_rate_missing": Cause(
        "the learning rate is not in the update",
        "w -= gradient",
        "w -= learning_rate * gradient",
        "multiply the gradient by the learning rate",
        of_bias=(
            "b -= db",
            "b -= learning_rate * db",
            "multiply the bias's gradient by the learning rate",
        ),
        rank=4,
        hints=(UPDATE,),
    ),
    "learning_rate_twice": Cause(
        "the learning rate is in the update twice",
        "w -= learning_rate * (learning_rate * gradient)",
        "w -= learning_rate * gradient",
        "remove one of the two",
        of_bias=(
            "b -= learning_rate * (learning_rate * db)",
            "b -= learning_rate * db",
            "remove one of the two",
        ),
        rank=4,
        hints=(
            r"\b(self\.)?(lr|\w*rate|eta|alpha|step)\b.*\*|\*.*\b(lr|\w*rate|eta|alpha)\b",
            UPDATE,
        ),
    ),
    "momentum_misapplied": Cause(
        "the momentum is applied to the wrong thing",
        "momentum times the weights or the present gradient",
        "change = momentum * previous_change - learning_rate * gradient; w += change",
        "keep the whole previous change of each weight, and add momentum times that",
        hints=(r"\b(self\.)?(mu|momentum|beta|M|mom)\b", r"\bv\w*\b.*=", UPDATE),
    ),
    "weight_decay_differs": Cause(
        "the weight decay in the gradient is not the one in the loss",
        "gradient + other * w",
        "gradient + decay * w for a loss with decay / 2 * sum(w**2)",
        "use the same coefficient in both",
        hints=(r"(?i)reg|lambda(?!\s+\w+\s*[,:])|lambd\b|lmbda|\blam\b|decay|\bl2",),
    ),
    "adam_bias_correction": Cause(
        "Adam's averages are not corrected for their start at zero",
        "w -= lr * m / (sqrt(v) + epsilon)",
        "w -= lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon)",
        "divide m by 1 - beta1**t and v by 1 - beta2**t, with t counted from 1",
        rank=5,
    ),
    "gradients_never_reset": Cause(
        "the sum still contains the gradients of earlier calls",
        "dW += ... without dW = 0 at the start of a step",
        "set the gradients to zero before each step",
        "reset the accumulated gradients after every update",
        hints=(r"\+=", r"=.*\+ ", r"zeros"),
    ),
    "stale_activations": Cause(
        "the gradient uses activations of an earlier call",
        "the forward pass is not run again after the batch or the weights changed",
        "run the forward pass on this batch with these weights before every backward pass",
        "call forward inside the step, and do not keep its earlier results",
        hints=(r"hasattr|is None|cache|tape|append", *DIFFERENCE),
    ),
    "mini_batches": Cause(
        "a step uses mini-batches: checked on one of them",
        "one call, several updates",
        "fine for training; the check compares one update",
        "nothing; or give the function that makes one update as train_step",
        "note",
        rank=0,
    ),
    "several_updates": Cause(
        "one call makes several updates: checked at a tiny learning rate, at which they add up",
        "train_step contains a loop",
        "fine for training; the check compares one update",
        "nothing; or give a function that does one turn of the loop as train_step",
        "note",
        rank=0,
    ),
}
