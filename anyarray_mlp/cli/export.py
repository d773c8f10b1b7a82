"""`anyarray-mlp export`: a trained model in another language."""

from __future__ import annotations

import os
from pathlib import Path

import click

from anyarray_mlp.backends.placement import Placement
from anyarray_mlp.checking.messages import shown_path
from anyarray_mlp.cli.kinds import FileName, OneOf, Text
from anyarray_mlp.cli.options import MODEL
from anyarray_mlp.cli.output import result
from anyarray_mlp.cli.sections import section_options
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.export import WRITERS


@click.command(cls=Command)
@click.argument("model", type=MODEL)
@click.option("--to", type=OneOf("to", WRITERS), help="The language; by the ending of --out.")
@click.option(
    "--out",
    type=FileName("the name of a file"),
    help="The file; by default one in this folder with the name of MODEL.",
)
@click.option(
    "--name",
    type=Text("a name"),
    help="What the model is called there; by default as the file.",
)
@section_options(Placement, only=("dtype",))
@click.option("--overwrite", is_flag=True, help="Replace the file.")
def command(
    model: str, to: str | None, out: str | None, name: str | None, dtype: str, overwrite: bool
) -> None:
    """Write MODEL, a model file or a run's folder, for programs without this package.

    \b
    c      one C99 file without dependencies, for microcontrollers as well
    onnx   an ONNX model, from the columns of a table to labels and probabilities
    torch  the weights alone, as a state dict
    keras  the weights alone, as the arrays of set_weights
    """
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.pipeline.trained_model import TrainedModel

    if to is None and out is None:
        raise UsageError(f"Nothing says what to export to: give --to, one of {', '.join(WRITERS)}.")
    trained = TrainedModel.load(model)
    if out is None:
        assert to is not None
        out = f"{own_name(model)}{WRITERS[to][0]}"
    trained.export(out, to, dtype=dtype, name=name, overwrite=overwrite)
    result(f"wrote {shown_path(out)}")


def own_name(model: str) -> str:
    """The name of a run's folder, or of a model file without its ending."""
    path = Path(os.path.abspath(model))
    is_of_run = path.is_file() and path.name == "model.safetensors"
    return path.parent.name if is_of_run else path.name.removesuffix(".safetensors") or "model"
