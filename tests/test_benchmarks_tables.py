"""The benchmark of tables: its list, its scores, its cache, and runs on tables that ship with scikit-learn."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from benchmarks.tables import comparing, contenders, fitting, goals
from benchmarks.tables.__main__ import main
from benchmarks.tables.cache import Cache
from benchmarks.tables.problems import class_scores, problem_of, scores
from benchmarks.tables.sources import Source, Table, all_sources, from_arff, index, read, split

TABLE = Table(
    pd.DataFrame(
        {
            "number": [*range(29), None],
            "text": ["a", "b", None] * 10,
            "empty": [None] * 30,
        }
    ),
    np.array(["x", "y", "y"] * 10, dtype=object),
    "classification",
)


def test_the_list_is_whole() -> None:
    """At least 45 tables of each kind wanted, a third aside, each with a file that can be known again."""
    sources = all_sources().values()
    assert len(sources) >= 45
    assert all(150 <= each.rows <= 50_000 for each in sources)
    assert all(each.package or (each.repository and len(each.sha256) == 64) for each in sources)
    assert all(reason for each in sources for reason in each.drop.values())
    aside = [each for each in sources if each.is_aside]
    assert len(aside) >= len(sources) / 4
    assert {each.task for each in aside} == {"classification", "regression"}
    assert max(each.rows for each in aside) > 10_000


def test_a_split_has_a_fifth_of_each_class() -> None:
    train, test = split(TABLE, 3)
    assert sorted([*train, *test]) == list(range(30))
    assert [int(np.sum(TABLE.target[test] == label)) for label in ("x", "y")] == [2, 4]
    assert split(TABLE, 3)[1].tolist() == test.tolist() != split(TABLE, 4)[1].tolist()


def test_files_are_found_by_what_they_hold(tmp_path: Path) -> None:
    text = "a; b ;id;y\n1;u ;1;0\n?;;2;0\n3;v;3;2\n"
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "any name").write_text(text)
    source = Source("t", "classification", "y", 3, "t.csv", "some/repository", sha256="2a1c5f")
    assert index([source], tmp_path) == [source]
    source = replace(
        source,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        separator=";",
        missing=("?",),
        above=0,
        drop={"id": "an identifier"},
    )
    assert index([source], tmp_path) == []
    table = read(source, tmp_path)
    assert table.features.columns.tolist() == ["a", "b"]
    assert table.features["a"].isna().tolist() == [False, True, False]
    assert table.features["b"].tolist() == ["u", None, "v"]
    assert table.target.tolist() == ["no", "no", "yes"]
    (tmp_path / "below" / "any name").write_text(text + "4;w;4;1\n")
    with pytest.raises(SystemExit, match="t: below/any name has changed; fetch it anew"):
        read(source, tmp_path)


def test_rare_classes_are_left_out(tmp_path: Path) -> None:
    rows = [f"{place},{'often' if place > 4 else 'rare'}" for place in range(20)]
    text = "\n".join(rows)
    (tmp_path / "file").write_text(text)
    source = Source(
        "t",
        "classification",
        "c2",
        15,
        "t.data",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        header=False,
    )
    assert index([source], tmp_path) == []
    assert read(source, tmp_path).features["c1"].tolist() == list(range(5, 20))


def test_an_arff_file_is_read() -> None:
    text = "% note\n@relation r\n@attribute 'a b' real\n@ATTRIBUTE c {u,'v w'}\n@data\n1, 'v w'\n% no\n?,u\n"
    frame = from_arff(text, ("?",))
    assert frame.columns.tolist() == ["a b", "c"]
    assert frame["c"].tolist() == ["v w", "u"]
    assert frame["a b"].isna().tolist() == [False, True]


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_are_those_of_scikit_learn(classes: int) -> None:
    random = np.random.default_rng(0)
    codes = np.arange(200) % classes
    outputs = random.random((200, classes)) + 0.3 * np.eye(classes)[codes]
    found = class_scores(outputs, codes)
    probabilities = outputs / outputs.sum(axis=1, keepdims=True)
    assert found["error"] == pytest.approx(np.mean(probabilities.argmax(axis=1) != codes))
    assert found["log_loss"] == pytest.approx(log_loss(codes, probabilities))
    given = probabilities[:, 1] if classes == 2 else probabilities
    assert found["auc"] == pytest.approx(roc_auc_score(codes, given, multi_class="ovr"))


def test_calibration_is_0_where_confidence_is_accuracy() -> None:
    codes = np.array([0] * 8 + [1] * 2)
    sure = class_scores(np.tile([0.8, 0.2], (10, 1)), codes)
    assert sure["ece"] == pytest.approx(0.0)
    assert class_scores(np.tile([0.9, 0.1], (10, 1)), codes)["ece"] == pytest.approx(0.1)


def test_an_answer_of_another_shape_or_of_nan_is_refused() -> None:
    problem, truth = problem_of(TABLE, 0)
    with pytest.raises(ValueError, match=r"shape \(6,\), not \(6, 2\)"):
        scores(problem, np.zeros(6), truth)
    with pytest.raises(ValueError, match="not finite"):
        scores(problem, np.full((6, 2), np.nan), truth)


@pytest.mark.filterwarnings("ignore:column 'empty':UserWarning")
@pytest.mark.filterwarnings("ignore:Skipping features without any observed values:UserWarning")
@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("name", ["linear", "hgb", "plain"])
def test_contenders_take_gaps_categories_and_a_column_of_nothing(name: str, task: str) -> None:
    table = TABLE
    if task == "regression":
        table = Table(TABLE.features, np.arange(30.0), task)
    problem, truth = problem_of(table, 0)
    problem.test.loc[0, "text"] = "never seen"
    contender = contenders.PEERS.get(name, contenders.OURS)
    answer = contender.fit(problem)
    assert scores(problem, answer, truth)["error"] >= 0


def test_results_outlive_a_run_that_was_killed_while_it_wrote(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new folder" / "results.jsonl")
    record = {"table": "t", "source": "new", "split": 0, "contender": "c", "version": "1"}
    cache.append({**record, "error": 0.5})
    with cache.path.open("a") as stream:
        stream.write('{"table": "t", "spl')
    cache.append({**record, "split": 1, "error": 0.4})
    cache.append({**record, "error": 0.3})
    assert len(list(cache)) == 3
    found = cache.latest({"t": "new"})["c", "t"]
    assert {place: each["error"] for place, each in found.items()} == {0: 0.3, 1: 0.4}


def test_results_of_two_versions_or_of_an_older_table_are_not_mixed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "results.jsonl")
    record = {"table": "t", "source": "new", "split": 0, "contender": "c", "version": "1"}
    for change in ({}, {"split": 1}, {"version": "2"}, {"version": "3", "source": "old"}):
        cache.append({**record, **change})
    assert len(cache.keys()) == 4
    one, both = cache.latest({"t": "new"}), cache.latest({"t": "new"}, mixed=["c"])
    assert {split: each["version"] for split, each in one["c", "t"].items()} == {0: "2"}
    assert {split: each["version"] for split, each in both["c", "t"].items()} == {0: "2", 1: "1"}


def test_ratios_are_over_what_both_have() -> None:
    values: comparing.Values = {
        "a": {"t": {0: 0.095, 1: 0.5}, "u": {0: 0.195}, "v": {0: 0.1}},
        "b": {"t": {0: 0.195}, "u": {0: 0.095}, "w": {0: 0.1}},
    }
    tables = ["t", "u", "v", "w"]
    found = comparing.ratio(values, "a", "b", tables)
    assert found.mean == pytest.approx(1.0)
    assert (found.tables, found.low, found.high) == (2, pytest.approx(0.5), pytest.approx(2.0))
    assert comparing.wins(values, "a", "b", tables) == (1, 0, 1)
    assert comparing.losses(values, "a", "b", tables) == [("u", 0.195, 0.095)]
    assert comparing.ranks(values, ["a", "b"], tables) == ({"a": 1.5, "b": 1.5}, 2)


def test_goals_are_judged() -> None:
    def of(**means: float) -> comparing.Values:
        return {name: {"t": {0: mean}, "u": {0: mean}} for name, mean in means.items()}

    errors = of(ours=0.1, plain=0.2, hgb=0.09, realmlp=0.11)
    log_losses = of(ours=0.5, linear=0.6, constant=1.0)
    log_losses["ours"]["u"] = log_losses["constant"]["u"] = {0: 0.605}  # no more than noise
    cpu = of(ours=2.0, realmlp=5.0)
    found = goals.judged(errors, log_losses, cpu, ["t", "u"], "ours")
    words = ["met", "missed", "met", "not measured", "met", "missed"]
    assert [each[-1] for each in found] == words
    log_losses["ours"]["t"] = {0: 0.7}
    assert goals.better_probabilities(log_losses, ["t", "u"], "ours")[1:] == (
        "not on t, of 1 tables",
        "missed",
    )


def test_a_run_goes_on_where_it_was_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, report = tmp_path / "results.jsonl", tmp_path / "report.md"
    arguments = [
        *("--tables", "breast_cancer,diabetes,digits", "--which", "aside", "--splits", "1"),
        *("--variant", "short:epochs=2;hidden_layer_sizes=[5]", "--baseline", "short"),
        *("--focus", "short", "--cache", str(cache), "--report", str(report)),
    ]
    assert main([*arguments, "--contenders", "linear"]) == 0
    assert main([*arguments, "--contenders", "short,linear", "--with-aside"]) == 0
    records = list(Cache(cache))
    assert [(each["contender"], each["table"]) for each in records] == [
        ("linear", "diabetes"),
        ("linear", "breast_cancer"),
        ("short", "diabetes"),
        ("short", "breast_cancer"),
    ]
    assert all(each["cpu"] > 0 and each["memory"] > 1 for each in records), records
    assert "problem" not in capsys.readouterr().err
    text = report.read_text()
    assert f"| {records[1]['error']:.4f} (1)" in text.replace("**", "")
    assert "| linear | 2 |" in text
    seen, aside = text.split("## Tables set aside")
    assert "breast_cancer" not in seen
    assert "diabetes (r)" in aside


def test_what_is_aside_is_not_in_the_report_unless_asked_for(tmp_path: Path) -> None:
    cache, report = Cache(tmp_path / "results.jsonl"), tmp_path / "report.md"
    for name, table in (("plain", "diabetes"), ("hgb", "diabetes"), ("plain", "digits")):
        record = {"table": table, "source": all_sources()[table].digest, "split": 0}
        cache.append({**record, "contender": name, "version": "1", "problem": "none"})
    main(
        [
            "--report-only",
            "--contenders",
            "plain,hgb",
            "--cache",
            str(cache.path),
            "--report",
            str(report),
        ]
    )
    assert "digits" in report.read_text()
    assert "diabetes" not in report.read_text()


def test_a_fit_that_fails_or_takes_too_long_is_a_result(tmp_path: Path) -> None:
    cache = tmp_path / "results.jsonl"
    arguments = ["--tables", "digits", "--splits", "1", "--cache", str(cache)]
    main([*arguments, "--contenders", "bad", "--variant", "bad:epochs=-1"])
    main([*arguments, "--contenders", "long", "--variant", "long:epochs=100000", "--limit", "2"])
    main([*arguments, "--contenders", "long", "--variant", "long:epochs=100000", "--limit", "2"])
    first, second = (json.loads(line) for line in cache.read_text().splitlines())
    assert "epochs" in first["problem"]
    assert second["problem"] == "took more than 2 s"


def test_a_worker_of_a_python_that_ends_is_a_problem() -> None:
    with fitting.Worker("false", []) as worker:
        assert "ended" in worker.ask({"modules": [], "packages": []})["problem"]
