"""Commands and options that are not there: what was meant by them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from anyarray_mlp.checking.messages import letters, nearest_spelling, shown

#: By what is here: how other programs call it. Without dashes and underscores.
OTHER_FLAGS = {
    "--learning-rate-init": "lr eta alpha0 initlr baselr rate step-size stepsize learnrate lr0 max-lr",
    "--learning-rate": "scheduler schedule lr-schedule lr-scheduler lr-decay decay learning-rate-schedule lr-policy",
    "--hidden": "hidden-size hidden-sizes hidden-dim hidden-dims hidden-units hidden-layers hidden-nodes hidden- "
    "neurons hidden-channels layers layer-sizes layer-dims layer-dimensions units neurons n-hidden num- "
    "hidden nhidden width arch archi architecture dnn-hidden-units mlp-hidden-dim sz nodes topology num- "
    "layers n-layers nlayers nhl depth num-hidden-layers n-hidden-layers num-mlp-layers num-units n-units "
    "hidden-features mlp-dims mlp-layers sizes",
    "--activation": "act nonlinearity act-fn act-func activation-function activation-fn hidden-activation",
    "--output": "output-activation last-activation final-activation out-activation output-function out-act",
    "--loss": "criterion loss-function loss-fn loss-func objective cost cost-function loss-type",
    "--solver": "optimizer optim opt optimiser algorithm optimizer-name optim-type",
    "--alpha": "weight-decay wd l2 reg regularization lambda l2-reg lmbda reg-lambda lambd l2-lambda l2-penalty",
    "--epochs": "e epoch num-epochs n-epochs nepochs max-epochs epoches max-iter iters iterations n-iter niter "
    "num-iter max-steps steps num-steps passes nb-epoch ep num-train-epochs n-iterations "
    "max-iterations num-iterations rounds",
    "--batch-size": "b batch bs batchsize mbs minibatch-size mini-batch-size minibatch bsz train-batch-size batch-sz",
    "--image-size": "img-size imgsz image-shape input-size resize target-size image-dim img-dim",
    "--image-mode": "color-mode colour-mode color grayscale",
    "--dropout": "dropout-rate drop-rate dropout-prob dropout-p drop-prob pdrop p-dropout",
    "--initializer": "init weight-init weights-init w-init w-i kernel-initializer initialization init-method "
    "initialisation weight-initialization init-type",
    "--seed": "random-state random-seed rs rng rng-seed manual-seed rand-seed",
    "--momentum": "mom mu",
    "--clip-norm": "grad-clip clip clip-grad max-grad-norm gradient-clip-val clipnorm gradient-clip clip-grad-norm "
    "grad-clip-norm max-norm",
    "--warm-up": "warmup warmup-epochs warmup-steps n-warmup num-warmup-steps",
    "--validation-fraction": "val-split validation-split val-fraction val-size valid-size validation-size val-ratio "
    "val-frac valid-fraction validation-ratio val-pct split validation-set-size",
    "--test-fraction": "test-size test-split test-ratio test-frac holdout test-pct train-test-split",
    "--early-stopping": "early-stop es earlystopping early-stopping-patience",
    "--patience": "n-iter-no-change early-stopping-rounds tolerance-epochs es-patience",
    "--keep-epoch": "keep-best restore-best restore-best-weights save-best best-epoch load-best load-best-model-at-end",
    "--label-smoothing": "smoothing label-smooth smooth-labels ls",
    "--monitor": "metric metrics eval-metric scoring early-stopping-metric",
    "--out": "output-dir save-dir save-path out-dir outdir logdir log-dir model-dir checkpoint-dir save output-file "
    "save-model model-path output-path outfile exp-dir results-dir ckpt-dir run-dir export-dir o",
    "--overwrite": "force f replace clobber",
    "--quiet": "silent q no-progress no-verbose",
    "--target": "label target-column target-col label-column label-col y response outcome labels y-col class-column",
    "--task": "problem-type problem mode task-type problem-kind",
    "--drop": "ignore exclude drop-columns ignore-columns drop-cols skip-columns",
    "--sheet": "sheet-name worksheet tab",
    "--numbers": "ple piecewise-linear robust-scale quantile-bins num-encoding numerical-encoding",
    "--standardize": "normalize scale standardise normalise scaler preprocess scaling normalization",
    "--class-weight": "class-weights pos-weight weights-of-classes",
    "--dtype": "precision fp floatx",
    "--reproducible": "deterministic bitwise",
    "--resume": "continue resume-from load-checkpoint warm-start restart resume-training from-checkpoint",
    "--device cuda": "gpu cuda use-gpu use-cuda gpus gpu-id gpu-ids device-id",
    "--device cpu": "no-cuda no-gpu disable-cuda nocuda",
    "--solver nesterov": "nag nesterovs-momentum",
    "--dtype float64": "double fp64",
    "--proba": "probabilities probability predict-proba probs prob",
    "the data as the argument DATA": "dataset data data-path data-dir input csv file train-data train data-file "
    "train-file dataset-path data-root train-csv training-data input-file dataset-name d i filename",
    "the model as the argument MODEL": "model model-path model-dir checkpoint load weights "
    "model-file load-model ckpt m",
}


#: By command: how other programs call it.
OTHER_COMMANDS = {
    "train": "fit learn",
    "predict": "pred infer inference",
    "evaluate": "eval test score",
}


def unknown_command(name: str, names: Iterable[str]) -> str:
    """The message for a command that is not there."""
    others = {
        other: command
        for command, all_others in OTHER_COMMANDS.items()
        for other in all_others.split()
    }
    near = nearest_spelling(name, others | {command: command for command in names})
    return f"No such command {shown(name)}{f' (did you mean {shown(near)}?)' if near else ''}."


def unknown_option(option: str, command: click.Command) -> str:
    """The message for an option that `command` has not got."""
    meant = meant_option(option, command)
    return f"No such option {shown(option)}{f': give {meant}' if meant else ''}."


def meant_option(option: str, command: click.Command) -> str | None:
    """What a command has in place of an option, in its own words."""
    own = {
        letters(name): name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if isinstance(parameter, click.Option)
    }
    spelt = letters(option)
    arguments = [p.human_readable_name for p in command.params if isinstance(p, click.Argument)]
    others = {
        letters(other): name
        for name, all_others in OTHER_FLAGS.items()
        for other in all_others.split()
        if name.split()[0] in own.values() or name.split()[-1] in arguments
    }
    spellings = others | own
    if spelt in spellings:
        return spellings[spelt]
    # "--mlp_lr", "--model.hidden_size", "--csv-path": a part of the words is known, the longest and last one counts.
    words = re.findall(r"[a-z0-9]+", option.casefold())
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length, -1, -1):
            part = "".join(words[start : start + length])
            if len(part) > 1 and part in spellings:
                return spellings[part]
    return nearest_spelling(spelt, spellings)


def whole_option(option: str, arguments: Iterable[str]) -> str:
    """An option as it was typed: `-lr` where the parser names its first letter, `--Max_Iter` and not --max-iter."""
    names = [given.partition("=")[0] for given in arguments]
    if option.startswith("--"):
        return next((name for name in names if letters(name) == letters(option)), option)
    return next((name for name in names if name.startswith(option)), option)


class Command(click.Command):
    """A command that names what was meant by an option or an argument which it has not got."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        # What is left over is refused below.
        self.allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            option = whole_option(error.option_name, given)
            raise click.UsageError(unknown_option(option, self), ctx) from error
        if ctx.args and not ctx.resilient_parsing:
            raise click.UsageError(unexpected(ctx.args), ctx)
        return rest


def unexpected(arguments: list[str]) -> str:
    """The message for arguments that no parameter takes."""
    text = f"There is no use for {', '.join(map(shown, arguments[:3]))}"
    if all(argument.strip("[](),").isdigit() for argument in arguments):
        return f"{text}: several sizes or names go with commas and without spaces, as in --hidden 100,50."
    return f"{text}: quote a value that has spaces, and give several names with commas."
