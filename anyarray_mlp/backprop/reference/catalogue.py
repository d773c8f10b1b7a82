"""The catalogue: every cause that `check_backprop` can name, with what was written and what it should be."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from anyarray_mlp.errors import Severity


@dataclass(frozen=True)
class Cause:
    """A known mistake.

    `rank` orders findings of the same severity: those that make others meaningless come first.
    `hints` are regular expressions for lines that usually contain the mistake.
    """

    title: str
    was: str
    should_be: str
    cure: str
    severity: Severity = "error"
    rank: int = 5
    hints: tuple[str, ...] = ()
    of_bias: tuple[str, str, str] | None = None
    """`was`, `should_be` and `cure` if only biases are meant."""


TARGET = r"(self\.)?(y|Y|t|T|ys?_?\w{0,5}|targets?|labels?|expected|wanted|desired)\b\S*"
OUTPUT_MINUS_TARGET = rf"[\w\])]\s*-\s*{TARGET}"
TARGET_MINUS_OUTPUT = rf"(^|[\s(=]){TARGET}\s*-[^=]"
DIFFERENCE = (OUTPUT_MINUS_TARGET, TARGET_MINUS_OUTPUT, r"(delta|err|grad|\bd\w*)\S*\s*=")
UPDATE = (
    r"[-+]=|[\w\])]\s*-\s*(lr|learning_rate|rate|eta|alpha)\b\s*\*|"
    r"=.*\s[-+]\s.*(lr|rate|eta|alpha|step|grad|\bd[A-Z_w]|\bg\b)"
)
GOES_DOWN = r"(delta|err|grad|\bd|\be|\bg)\w*\S*\s*=.*(\.T\b|transpose|dot|@|einsum|matmul)"
PRODUCT = r"dot|@|outer|einsum|matmul"
SLOPE_HINTS = (
    r"deriv|prime|slope|grad\w*=True|dsig|dtanh|drelu|sigmoid_\w*grad|_d\(|d_sig|nonlin\(.*True|\bdf\(|d_elu",
    r"[*,]\s*\(?\s*1(\.0?)?\s*-|1(\.0?)?\s*-\s*\S+\s*\*\*\s*2|1(\.0?)?\s*-\s*np\.(square|power|tanh)",
    r"[<>]=? ?0|mask",
    r"delta|d[zZ]|err",
)
BIAS_HINTS = (r"\bd_?b\w*|grad\w*\S*b|nabla_b|bias|\bb\d?\b", r"sum\(|mean\(", UPDATE)
SCALE_HINTS = (r"/=?\s*(n|m|N|len|batch\w*|[xXyY]\.s|self\.m)\b", r"mean\(", *DIFFERENCE)

CATALOGUE: dict[str, Cause] = {
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
    "derivative_of_activated": Cause(
        "the activation's derivative is taken at the already activated value",
        "f'(a) with a = f(z): for a sigmoid, sigmoid(a) * (1 - sigmoid(a))",
        "f'(z): for a sigmoid, a * (1 - a)",
        "give the derivative the pre-activation z, or write it in terms of a: a * (1 - a), 1 - a**2",
        hints=SLOPE_HINTS,
    ),
    "derivative_of_preactivation": Cause(
        "the derivative's formula for the activated value is given the pre-activation",
        "z * (1 - z) (sigmoid), 1 - z**2 (tanh)",
        "a * (1 - a) (sigmoid), 1 - a**2 (tanh), with a = f(z)",
        "give the derivative the layer's output a, not its pre-activation z",
        hints=SLOPE_HINTS,
    ),
    "derivative_twice": Cause(
        "the activation's derivative is applied twice",
        "delta = error * f'(z) * f'(z)",
        "delta = error * f'(z)",
        "remove one of the two",
        hints=SLOPE_HINTS,
    ),
    "derivative_missing": Cause(
        "a hidden layer's delta lacks the activation's derivative",
        "delta = delta_above @ W.T",
        "delta = (delta_above @ W.T) * f'(z)",
        "multiply by the derivative of the hidden layer's activation",
        hints=(GOES_DOWN, PRODUCT, r"sum\(", r"delta|err"),
    ),
    "derivative_of_another_activation": Cause(
        "the derivative is that of another activation than in the forward pass",
        "the derivative of another activation",
        "the derivative of the one in the forward pass",
        "use the derivative of the layer's own activation",
        hints=SLOPE_HINTS,
    ),
    "derivative_formula_wrong": Cause(
        "the derivative's formula has a mistake",
        "1 - a for a tanh, a for a sigmoid, z < 0 for a relu, ...",
        "1 - a**2 for a tanh, a * (1 - a) for a sigmoid, z > 0 for a relu",
        "write the derivative of the layer's own activation",
        hints=SLOPE_HINTS,
    ),
    "softmax_elementwise": Cause(
        "the softmax's derivative is taken elementwise, p (1 - p)",
        "delta = dL/dp * p * (1 - p)",
        "delta_i = p_i * (dL/dp_i - sum_j dL/dp_j p_j); with cross-entropy, delta = p - y",
        "softmax mixes the outputs: use the whole Jacobian, or cross-entropy with delta = p - y",
        hints=SLOPE_HINTS,
    ),
    "derivative_on_fused": Cause(
        "the output's derivative is applied to p - y, which contains it already",
        "delta = (p - y) * f'(z)",
        "delta = p - y",
        "for cross-entropy with softmax (or a sigmoid), p - y is already dL/dz: do not multiply it",
        hints=SLOPE_HINTS,
    ),
    "output_derivative_missing": Cause(
        "the output activation's derivative is missing for this loss",
        "delta = output - y",
        "delta = (output - y) * f'(z)",
        "multiply by the output's derivative, or use the cross-entropy as the loss: its delta is output - y",
        hints=DIFFERENCE,
    ),
    "error_not_delta": Cause(
        "the error is propagated instead of the delta: a derivative is missing in the chain",
        "error_below = error_above @ W.T",
        "error_below = delta_above @ W.T, with delta_above = error_above * f'(z)",
        "propagate the delta, not the error",
        hints=(r"err\w*.*(\.T|dot|@|sum)", GOES_DOWN, PRODUCT, r"delta|err"),
    ),
    "bias_missing": Cause(
        "the forward pass never adds the bias",
        "z = a @ W",
        "z = a @ W + b",
        "add the bias in the forward pass",
        rank=3,
        hints=(PRODUCT,),
    ),
    "bias_not_updated": Cause(
        "the bias is never updated",
        "only the weights change",
        "b -= learning_rate * delta.sum(axis=0)",
        "give the bias its gradient: the sum of delta over the samples",
        hints=BIAS_HINTS,
    ),
    "weights_not_updated": Cause(
        "a layer's weights are never updated",
        "the gradient or the change is zero",
        "w -= learning_rate * a.T @ delta",
        "update this layer's weights",
        hints=(UPDATE,),
    ),
    "bias_wrong_axis": Cause(
        "the bias's gradient is summed over the wrong axis",
        "db = delta.sum() or delta.sum(axis=1), or not summed at all",
        "db = delta.sum(axis=0): over the samples",
        "sum over the axis of the samples and keep one number for each unit",
        rank=4,
        hints=(r"sum\(|mean\(", *BIAS_HINTS),
    ),
    "weights_updated_before_use": Cause(
        "a layer's weights are updated before the error is propagated through them",
        "W2 -= ...; error = delta @ W2.T",
        "error = delta @ W2.T; W2 -= ...",
        "compute all deltas first, then update all weights",
        hints=(UPDATE, GOES_DOWN),
    ),
    "gradients_never_reset": Cause(
        "the sum still contains the gradients of earlier calls",
        "dW += ... without dW = 0 at the start of a step",
        "set the gradients to zero before each step",
        "reset the accumulated gradients after every update",
        hints=(r"\+=", r"=.*\+ ", r"zeros"),
    ),
    "only_last_sample": Cause(
        "only one sample of the batch reaches the gradient",
        "dW = ... inside the loop over samples",
        "dW += ... inside the loop",
        "add up the samples' gradients instead of overwriting them",
        hints=(r"(d_?[wW]|[dD]elta|grad|nabla|result)\S*\s*=[^=].*", PRODUCT),
    ),
    "transposed": Cause(
        "a matrix is transposed (or reshaped) and should not be, or the other way round",
        "delta @ W, (a.T @ delta).T",
        "delta @ W.T, a.T @ delta",
        "check the transposes: a square matrix hides the mistake from the shapes",
        hints=(r"^(?!.*(\.T|transpose)).*(@|dot)", r"\.T|transpose|reshape", PRODUCT),
    ),
    "stale_activations": Cause(
        "the gradient uses activations of an earlier call",
        "the forward pass is not run again after the batch or the weights changed",
        "run the forward pass on this batch with these weights before every backward pass",
        "call forward inside the step, and do not keep its earlier results",
        hints=(r"hasattr|is None|cache|tape|append", *DIFFERENCE),
    ),
    "preactivation_as_input": Cause(
        "a weight's gradient uses the layer below before its activation",
        "dW = z.T @ delta",
        "dW = a.T @ delta, with a = f(z)",
        "use the activated values of the layer below",
        hints=(r"z\w*(\[.*\])?\.T|source\.T", PRODUCT),
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
    "loss_reported_differs": Cause(
        "the reported loss is not the one that is trained",
        "a loss whose gradient is not what the backward pass computes, such as y**2 - output**2",
        "report the loss whose gradient you compute: (y - output)**2 belongs to output - y",
        "report the loss that is trained",
        hints=(r"mean|sum|log|\*\*\s*2|square|abs",),
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
    "log_of_zero": Cause(
        "the loss takes the logarithm of zero",
        "-y * log(p) with p = 0",
        "-y * log(clip(p, 1e-12, 1)), or the loss computed from the logits",
        "clip p away from 0 and 1, or use log-sum-exp of the logits",
        "warning",
        rank=8,
        hints=(r"log\(",),
    ),
    "label_shape_broadcast": Cause(
        "the labels' shape broadcasts against the output's: (n,) against (n, 1) makes (n, n)",
        "y of shape (n,) with an output of shape (n, 1), or the other way round",
        "y.reshape(output.shape)",
        "give y the shape of the output",
        rank=1,
        hints=(*DIFFERENCE, r"mean|sum"),
    ),
    "softmax_over_batch": Cause(
        "softmax is taken over the whole batch",
        "exp(z) / exp(z).sum()",
        "exp(z) / exp(z).sum(axis=1, keepdims=True)",
        "sum only over the classes of each sample",
        rank=0,
        hints=(r"sum\(", r"exp\("),
    ),
    "max_over_batch": Cause(
        "softmax subtracts the largest value of the whole batch",
        "exp(z - z.max())",
        "exp(z - z.max(axis=1, keepdims=True))",
        "subtract each row's own maximum: a row far below the batch's underflows to 0 / 0",
        "warning",
        rank=7,
        hints=(r"max\(",),
    ),
    "softmax_twice": Cause(
        "softmax is applied twice: in the forward pass and again in the loss",
        "-log(softmax(softmax(z)))",
        "-log(softmax(z))",
        "give the loss the logits, or remove its softmax",
        rank=2,
        hints=(r"softmax",),
    ),
    "batch_coupled": Cause(
        "a batch gives other results than its rows one by one",
        "a maximum, sum or mean over the whole batch inside the forward pass",
        "each row's output depends only on that row",
        "give axis=1 (keepdims=True) to the reductions of the forward pass",
        rank=0,
        hints=(r"max\(|sum\(|mean\(|std\(",),
    ),
    "rows_do_not_sum_to_one": Cause(
        "the rows of the softmax do not sum to one",
        "exp(z) without its own row's sum",
        "exp(z) / exp(z).sum(axis=1, keepdims=True)",
        "divide each row by its own sum",
        rank=0,
        hints=(r"/.*(sum|max)\(", r"exp\("),
    ),
    "overflow": Cause(
        "large inputs overflow to inf or nan",
        "exp(z) of a large z",
        "exp(z - z.max(axis=1, keepdims=True))",
        "subtract the row's maximum before exp, and scale the inputs",
        "warning",
        rank=7,
        hints=(r"exp\(",),
    ),
    "weights_not_finite": Cause(
        "the weights given are not finite",
        "NaN or inf among the weights or biases",
        "finite numbers",
        "create the network again: an earlier step broke these weights (learning rate too high, division by zero)",
        rank=6,
    ),
    "gradient_not_finite": Cause(
        "the gradient contains inf or nan at ordinary weights",
        "a division by zero, a log or an exp out of range in the backward pass",
        "finite numbers",
        "look for divisions by p or 1 - p: with cross-entropy, delta = p - y needs none",
        rank=4,
        hints=(r"/|log\(|exp\(|\*\*\s*-", *DIFFERENCE),
    ),
    "targets_out_of_reach": Cause(
        "the output cannot reach the targets",
        "targets outside the range of the output's activation",
        "targets inside the range, or another output activation",
        "scale the targets, one-hot the classes for a softmax, or use a linear output",
        rank=6,
    ),
    "random_numbers": Cause(
        "random numbers are drawn (dropout?): the gradients were not compared",
        "each call drops other units or adds other noise",
        "the same result for the same weights and samples",
        "set the rate of dropout (or the noise) to 0 for the check",
        "note",
        rank=0,
        hints=(r"(?i)rand|drop|binomial|bernoulli|choice|noise", r"(?i)mask"),
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
    "constant_output": Cause(
        "the output is the same for every input",
        "all samples give one output",
        "outputs that differ between samples",
        "look for initial weights of zero, dead relu units, saturated units, or a softmax of a single output",
        "warning",
        rank=6,
    ),
    "wrong_operand": Cause(
        "an operation of the backward pass uses another value than the gradient needs",
        "dW1 = a2.T @ delta1",
        "dW1 = a1.T @ delta1",
        "use the value that the line below names",
        rank=5,
    ),
    "wrong_layers_error": Cause(
        "the error of another layer is used",
        "dW1 = X.T @ delta2",
        "dW1 = X.T @ delta1",
        "use this layer's own error",
        rank=5,
    ),
    "wrong_layers_derivative": Cause(
        "the activation's derivative is taken at another layer's values",
        "delta1 = error1 * f'(z2)",
        "delta1 = error1 * f'(z1)",
        "take the derivative at this layer's own values",
        rank=5,
    ),
    "wrong_error": Cause(
        "the error that the backward pass starts from is not the gradient of the loss",
        "delta = something else than dL/doutput",
        "delta = output - y for half the squared error, and for a cross-entropy of a softmax",
        "derive the loss by the output, and start from that",
        rank=4,
    ),
    "adam_bias_correction": Cause(
        "Adam's averages are not corrected for their start at zero",
        "w -= lr * m / (sqrt(v) + epsilon)",
        "w -= lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon)",
        "divide m by 1 - beta1**t and v by 1 - beta2**t, with t counted from 1",
        rank=5,
    ),
    "unexplained": Cause(
        "the gradient is not that of the loss, and no known mistake explains it",
        "see the evidence",
        "the numerical gradient",
        "check this layer's lines one by one against dW = a.T @ delta",
        rank=6,
        hints=(PRODUCT,),
    ),
}


@dataclass(frozen=True)
class BackpropFinding:
    """One mistake found.

    `layers` counts from 1 at the input (empty if no single layer is meant), `where` is the part of
    them that is wrong, `evidence` are the figures that show it, `location` is "file:line" if the
    user's source could be read.
    """

    cause: str
    layers: tuple[int, ...] = ()
    where: str = ""
    detail: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    location: str | None = None
    line: str | None = None
    severity: Severity = "error"
    samples: str = "rows"

    @property
    def layer(self) -> int | None:
        """The layer nearest to the output, if one is meant."""
        return max(self.layers) if self.layers else None

    @property
    def title(self) -> str:
        """The mistake in a few words."""
        return CATALOGUE[self.cause].title

    @property
    def only_of(self) -> str:
        """ "weight" or "bias" if only these are meant, else nothing."""
        meant = self.where.removesuffix(", seen in the update")
        return meant if meant in ("weight", "bias") else ""

    @property
    def was(self) -> str:
        """The line as it probably is."""
        return self.words[0]

    @property
    def should_be(self) -> str:
        """The line as it should be."""
        return self.words[1]

    @property
    def cure(self) -> str:
        """What to write instead."""
        return self.words[2]

    @property
    def words(self) -> tuple[str, str, str]:
        """What was, what should be, and the cure, in the layout of the samples."""
        cause = CATALOGUE[self.cause]
        words = (cause.was, cause.should_be, cause.cure)
        if self.only_of == "bias" and cause.of_bias is not None:
            words = cause.of_bias
        if self.samples == "columns":
            words = (in_columns(words[0]), in_columns(words[1]), in_columns(words[2]))
        return words

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            **asdict(self),
            "layers": list(self.layers),
            "title": self.title,
            "was": self.was,
            "should_be": self.should_be,
            "cure": self.cure,
        }

    def __str__(self) -> str:
        place = ""
        if self.layers:
            names = ", ".join(str(layer) for layer in self.layers)
            of = f"{self.only_of} of " if self.only_of else ""
            place = f" [{of}layer{'s' if len(self.layers) > 1 else ''} {names}]"
        lines = [f"{self.severity}: {self.title}{place} ({self.cause})"]
        if self.detail:
            lines.append(f"  what      {self.detail}")
        lines.append(f"  was       {self.was}")
        lines.append(f"  should be {self.should_be}")
        lines.append(f"  cure      {self.cure}")
        if self.location:
            lines.append(f"  where     {self.location}: {self.line}")
        if self.evidence:
            parts = [f"{key} {format_value(value)}" for key, value in self.evidence.items()]
            lines.append(f"  evidence  {'; '.join(parts)}")
        return "\n".join(lines)


SWAPPED = {"axis=0": "axis=1", "axis=1": "axis=0", "row": "column", "rows": "columns"}


def in_columns(text: str) -> str:
    """Formulas for samples in rows and weights (in, out), rewritten for columns and (out, in).

    Everything is transposed: the factors of a product swap places, and so do the axes.
    """
    text = re.sub(r"(\w+(?:\.T)?) @ (\w+(?:\.T)?)", r"\2 @ \1", text)
    return re.sub(r"axis=[01]|\brows?\b", lambda found: SWAPPED[found[0]], text)


def format_value(value: Any) -> str:
    """Three significant digits of a float; anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
