"""docs/fit.md: its examples run, one after the other, and give what the page says."""

from __future__ import annotations

import re
from pathlib import Path

from anyarray_mlp.network.schedules import SCHEDULES
from anyarray_mlp.training.recipe import ENDLESS

PAGE = Path(__file__).parent.parent / "docs" / "fit.md"


def test_the_examples_run(here, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile("\n".join(blocks), "docs/fit.md", "exec"), names)
    *said, labels, same = capsys.readouterr().out.splitlines()
    many = ["5 [5, 5, 5, 5, 5]", "0.1"]
    assert [*said, same] == ["True True", "True", *many, "True", "True"]
    assert re.fullmatch(r"True \['(small|large)' '(small|large)' '(small|large)'\]", labels)
    assert (here / "kind.safetensors").exists()


def test_the_page_says_which_rates_need_a_length():
    (row,) = [
        line for line in PAGE.read_text().splitlines() if line.startswith("| `learning_rate`")
    ]
    always, needing = row.split("always work;")
    for name in SCHEDULES:
        assert (f"`{name}`" in always) == (name in ENDLESS) == (f"`{name}`" not in needing)
