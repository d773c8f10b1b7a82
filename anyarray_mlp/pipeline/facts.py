"""What a trained model is, in words: for reports, and for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyarray_mlp.pipeline.trained_model import TrainedModel

#: What a model was made with: where, and by which versions.
PLACES = ("backend", "device", "dtype", "arithmetic")
VERSIONS = ("anyarray_mlp", "python", "numpy")


def facts_of_model(model: TrainedModel) -> dict[str, str]:
    """Task, network, size and what it was made with, by what each is called."""
    mlp = model.mlp
    networks = len(model.parameters) if model.parameters.ndim == 2 else 1
    several = f"{networks} networks " if networks > 1 else ""
    of = f" of {', '.join(model.target_names)}" if model.target_names else ""
    activations = "/".join(dict.fromkeys(mlp.activation)) or "no hidden layer"
    sizes = "-".join(map(str, mlp.sizes))
    facts = {
        "task": f"{model.targets.task}{of}",
        "network": f"{several}{sizes}, {activations}, {mlp.output}, {mlp.loss}",
        "parameters": f"{networks * mlp.layout.size:,}",
    }
    if model.metadata.get("kept_epoch"):
        facts["epoch"] = model.metadata["kept_epoch"]
    told = [model.metadata[name] for name in PLACES if model.metadata.get(name)]
    told += [
        f"{name.replace('_', '-')} {model.metadata[name]}"
        for name in VERSIONS
        if model.metadata.get(name)
    ]
    return facts | ({"computed by": ", ".join(told)} if told else {})
