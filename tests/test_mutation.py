"""The mutation tester, in small: what it changes, what it finds killed, and what survives."""

from __future__ import annotations

import json
from typing import Any

import pytest

libcst = pytest.importorskip("libcst")
pytest.importorskip("mutmut")

from benchmarks.mutation import (  # noqa: E402
    OWN_TESTS,
    Mutant,
    Tally,
    difference,
    mutants,
    path_of,
    puts_none,
    sample,
)

#: Run in a process of its own, which has imported nothing yet.
SMALL_FORM = """
import json, tempfile
from dataclasses import replace
from benchmarks.mutation import judge, mutants, path_of, prepare, sample

chosen = {}
for module, text in {"network.optimizers": "m -= g * (1.0 - beta_1)", "metrics": "1.0 + residual / total"}.items():
    every = mutants(module)
    (named,) = (m for m in every if text in m.new)
    chosen[module] = [named, *sample([m for m in every if m is not named], 6)]
steps = chosen["network.optimizers"]
steps.append(replace(steps[0], place="a comment", source=path_of(steps[0].module).read_text() + "# more"))
with tempfile.TemporaryDirectory() as cache:
    prepare(cache)
    tallies = [judge(module, some, 2) for module, some in chosen.items()]
print(json.dumps({
    "killed": [m.name for t in tallies for m in t.killed],
    "survivors": [m.place for t in tallies for m in t.survivors],
}))
"""


def test_changes_of_the_math_are_noticed_by_its_own_tests_with_numpy_alone(run_python: Any) -> None:
    done = run_python(SMALL_FORM)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # Adam's first moment negated, and r2's sign.
    assert any("m += g * (1.0 - beta_1) => m -= g" in name for name in found["killed"])
    assert any(
        "1.0 - residual / total" in name and "1.0 + residual" in name for name in found["killed"]
    )
    assert found["survivors"] == ["a comment"]
    assert len(found["killed"]) == 14


def test_every_module_has_tests_of_its_own() -> None:
    for module, topics in OWN_TESTS.items():
        assert path_of(module).is_file()
        for topic in topics:
            assert (path_of("").parent.parent / "tests" / f"test_{topic}.py").is_file(), module


def test_mutants_have_names_of_their_own_and_differ_from_the_original() -> None:
    source, every = path_of("data.sampling").read_text(), mutants("data.sampling")
    assert len({m.name for m in every}) == len(every) > 50
    for mutant in every:
        assert mutant.source != source
        compile(mutant.source, "mutant", "exec")
    assert sample(every, 5) == sample(every[::-1], 5)
    names = " ".join(m.name for m in every)
    assert "an example" not in names  # no wording
    assert len(mutants("data.sampling", none=True)) > len(every)


def test_lines_that_differ_are_told_apart() -> None:
    assert difference("a\nb\nc\n", "a\nx  y\nc\n") == ("b", "x y")
    assert difference("a\nb\nc\n", "a\nc\n") == ("b", "")
    call = libcst.parse_expression("f(a, b)")
    first, second = call.args
    none = second.with_changes(value=libcst.Name("None"))
    assert puts_none(call, call.with_changes(args=[first, none]))
    assert not puts_none(call, call.with_changes(args=[first]))


def test_shares_leave_out_what_is_equivalent() -> None:
    tally = Tally("m")
    for k, (code, listed) in enumerate(
        [(1, False), (-24, False), (0, True), (0, False), (1, True)]
    ):
        tally.add(Mutant("m", "f", str(k), "", ""), code, listed)
    assert (len(tally.killed), tally.timed_out, len(tally.equivalent), len(tally.survivors)) == (
        3,
        1,
        1,
        1,
    )
    assert [m.old for m in tally.not_equivalent] == ["4"]
    assert tally.share == 3 / 4
    assert tally.row() == "| m | 5 | 3 | 1 | 1 | 1 | 75.0% | 0 |"
