"""docs/network.md: its examples run, one after the other, and give what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import anyarray_mlp.network
from anyarray_mlp.network.functional import ACTIVATIONS
from anyarray_mlp.network.losses import LOSSES
from anyarray_mlp.network.registry import OWN

PAGE = Path(__file__).parent.parent / "docs" / "network.md"


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    """What the page registers is gone afterwards."""
    before = [dict(table) for table in (ACTIVATIONS, LOSSES, OWN)]
    yield
    for table, kept in zip((ACTIVATIONS, LOSSES, OWN), before, strict=True):
        table.clear()
        table.update(kept)


def test_the_examples_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile("\n".join(blocks), "docs/network.md", "exec"), names)
    assert capsys.readouterr().out.splitlines() == [
        "True", "(5, 121) (5, 4) True", "True", "(3,) (3, 200, 1)", "True",
        "['0.weight', '0.bias', '2.weight', '2.bias'] True",
        "{'frequencies.0': (2, 16), 'phases.0': (2, 16), 'mixing.0': (2, 16, 3), 'offsets.0': (2, 3), "
        "'scales.0': (10,), 'alphas.0': (20,)}",
    ]  # fmt: skip
    assert names["result"].loss_curve[-1] < names["result"].loss_curve[0] / 2


def test_the_page_names_what_the_room_exports():
    text = PAGE.read_text()
    # Described with the options of training, where they are used by name.
    elsewhere = tuple(
        f"anyarray_mlp.network.{room}"
        for room in ("initializers", "layout", "optimizers", "schedules")
    )
    network = anyarray_mlp.network
    absent = [name for name in network.__all__ if name not in text]
    assert [name for name in absent if getattr(network, name).__module__ not in elsewhere] == []
    for name in anyarray_mlp.network.__all__:
        assert getattr(anyarray_mlp.network, name).__doc__
