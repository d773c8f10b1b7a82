"""`anyarray-mlp gradcheck`: analytic gradients against finite differences."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.cli.kinds import Kind, Kinds
from anyarray_mlp.cli.options import COUNT, NATURAL, SIZES, json_option
from anyarray_mlp.cli.output import result
from anyarray_mlp.cli.spelling import Command

if TYPE_CHECKING:
    from anyarray_mlp.network.mlp import MLP
    from anyarray_mlp.parity.finite_differences import Gradcheck


#: What a check can go through in a reasonable time.
MOST_PARAMETERS = 1_000_000


@click.command(cls=Command)
@click.option("--hidden", type=SIZES, default="5,4", show_default=True, help="Hidden layer sizes.")
@click.option("--inputs", type=COUNT, default=4, show_default=True)
@click.option("--outputs", type=COUNT, default=3, show_default=True)
@click.option("--batch-size", type=COUNT, default=6, show_default=True)
@click.option("--activation", type=Kinds("activation"), help="Only this one; all by default.")
@click.option(
    "--output",
    type=Kind("output"),
    help="Only this output function; all that fit --outputs by default.",
)
@click.option("--loss", type=Kind("loss"), help="Only this loss; all by default.")
@click.option("--seed", type=NATURAL, default=0, show_default=True)
@json_option
def command(
    hidden: tuple[int, ...],
    inputs: int,
    outputs: int,
    batch_size: int,
    activation: str | tuple[str, ...] | None,
    output: str | None,
    loss: str | None,
    seed: int,
    as_json: bool,
) -> int:
    """Check analytic gradients against finite differences, in float64.

    Without options: every activation with every output and loss that go together, with sample weights and an
    L2 penalty. Exit code 1 where one disagrees.
    """
    from anyarray_mlp.backends import select_backend

    networks = networks_asked_for((inputs, *hidden, outputs), activation, output, loss)
    refuse_large(networks[0], batch_size)
    xp = select_backend("numpy", dtype="float64").xp
    checks = [(network, check(network, xp, batch_size, seed)) for network in networks]
    if as_json:
        result(json.dumps([describe(*pair) for pair in checks], indent=2))
    else:
        show(checks)
    return 0 if all(found.ok for _, found in checks) else 1


def networks_asked_for(
    sizes: tuple[int, ...],
    activation: str | tuple[str, ...] | None,
    output: str | None,
    loss: str | None,
) -> list[MLP]:
    """A network for each activation, output and loss that go together; None stands for all of them."""
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.network.functional import ACTIVATIONS, OUTPUTS
    from anyarray_mlp.network.mlp import MLP
    from anyarray_mlp.network.registry import check_pair, loss_names

    if output is not None and loss is not None:
        check_pair(output, loss)
    # A softmax over one unit is 1 whatever its weights.
    fitting_outputs = [name for name in OUTPUTS if sizes[-1] > 1 or name != "softmax"]
    networks: list[MLP] = []
    for each_activation in [activation] if activation else list(ACTIVATIONS):
        for each_output in [output] if output else fitting_outputs:
            for each_loss in [loss] if loss else list(loss_names()):
                try:
                    check_pair(each_output, each_loss)
                except UsageError:
                    continue
                networks.append(MLP(sizes, each_activation, each_output, each_loss))
    return networks


def refuse_large(network: MLP, batch_size: int) -> None:
    """Raise `UsageError` for a network and a batch that would take too long."""
    from anyarray_mlp.errors import UsageError

    size = network.layout.size
    if size > MOST_PARAMETERS or batch_size * max(network.sizes) > MOST_PARAMETERS:
        raise UsageError(
            f"These networks have {counted(size, 'parameter')}, each of which takes two passes of "
            f"{counted(batch_size, 'row')}: give smaller --hidden, --inputs, --outputs or --batch-size."
        )


def show(checks: list[tuple[MLP, Gradcheck]]) -> None:
    """Print each parameter of networks that are wrong, or of the only one, and a line about all."""
    wrong = [pair for pair in checks if not pair[1].ok]
    for network, found in checks if len(checks) == 1 else wrong:
        result(title(network))
        for each in found.parameters:
            verdict = "ok" if each.relative_error <= found.tolerance else "WRONG"
            result(
                f"  {each.name:<11}{each.shape!s:<10} relative error {each.relative_error:.1e}  {verdict}"
                + (
                    ""
                    if verdict == "ok"
                    else f" at {each.index}: analytic {each.analytic:.6g}, numeric {each.numeric:.6g}"
                )
            )
    largest = max(found.relative_error for _, found in checks)
    right = len(checks) - len(wrong)
    sizes = "-".join(map(str, checks[0][0].sizes))
    result(
        f"{right} of {counted(len(checks), 'network')} {sizes} "
        f"{'agrees' if right == len(checks) == 1 else 'agree'} with finite "
        f"differences; largest relative error {largest:.1e}, allowed {checks[0][1].tolerance:.0e}"
    )


def check(network: MLP, xp: Any, batch_size: int, seed: int) -> Gradcheck:
    """The check of one network on a random batch."""
    from anyarray_mlp import streams
    from anyarray_mlp.parity.finite_differences import gradcheck

    generator = streams.generator("gradcheck batch", seed)
    x = generator.normal(size=(batch_size, network.sizes[0]))
    targets = generator.uniform(0.05, 1.0, size=(batch_size, network.sizes[-1]))
    if network.output == "softmax":
        targets /= targets.sum(axis=1, keepdims=True)
    weight = generator.uniform(0.5, 2.0, size=batch_size)
    return gradcheck(network, x, targets, xp=xp, sample_weight=weight, alpha=0.1, seed=seed)


def describe(network: MLP, found: Gradcheck) -> dict[str, Any]:
    """One network's check, JSON-able."""
    return {"network": network.to_config(), "ok": found.ok, **asdict(found)}


def title(network: MLP) -> str:
    """A network in a line."""
    names = sorted(set(network.activation))
    return (
        f"{'-'.join(map(str, network.sizes))} {'/'.join(names)}, {network.output}, {network.loss}"
    )
