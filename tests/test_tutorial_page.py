"""docs/tutorial.md: what it types and runs works, from the table to the file in C."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.md"


def test_every_step_works(here: Path, cli: Any, capsys: Any) -> None:
    names: dict[str, object] = {}
    said = {}
    for kind, block in re.findall(r"```(python|sh)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        if kind == "python":
            exec(compile(block, "docs/tutorial.md", "exec"), names)
            said[block.splitlines()[-1]] = capsys.readouterr().out
            continue
        program, *arguments = shlex.split(block)
        assert program == "anyarray-mlp"
        code, out, err = cli(*arguments)
        assert code == 0, err
        said[arguments[0]] = out
    assert "R²" in said["train"] or "r2" in said["train"]
    assert Path("predictions.csv").read_text().splitlines()[0].startswith("age,bmi,")
    assert len(Path("predictions.csv").read_text().splitlines()) == 443
    assert "#include" in Path("diabetes.c").read_text()
    printed = said[
        'print(model.predict(pd.read_csv("diabetes.csv").drop(columns="progress").head()))'
    ]
    assert len(printed.strip("[]\n ").split()) == 5
