"""The page of a report and the commands that write it: contents, well-formedness, and that nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
import shlex
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anyarray_mlp.reporting import library, scores
from tests.beds import unless_expected

VOID = {"meta", "br", "img", "link", "hr", "input"}


def write(name: str, task: str) -> None:
    """A table whose last column is to be predicted; names and texts that would end a script or a tag."""
    random = np.random.default_rng(3)
    size = random.normal(size=120)
    kind = random.choice(["</script><b>", "b & c"], 120)
    target: Any = np.round(3 * size + random.normal(size=120), 3)
    if task == "classification":
        target = np.where(target > 0, "yes", "no")
    frame = pd.DataFrame({"size": size, "<img src=x>": kind, "answer": target})
    frame.loc[::10, "size"] = np.nan
    frame.to_csv(name, index=False)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are tested elsewhere."""
    monkeypatch.setattr(scores, "RESAMPLES", 20)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the library that draws: the page holds whatever script it is."""
    monkeypatch.setattr(library, "vega", lambda: "window.vegaEmbed = 0;")
    monkeypatch.setattr(library, "version", lambda: "Vega 0")


class Page(HTMLParser):
    """A page: its tags in order, its text, and its scripts by id or type; fails where a tag is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append((self.tags[-1][1], data))
        elif self.open and self.open[-1] != "style":
            self.text += data

    @property
    def specs(self) -> list[dict[str, Any]]:
        """The charts."""
        return [json.loads(text) for attributes, text in self.scripts if "id" in attributes]


def page_in(path: str) -> Page:
    return Page(Path(path).read_text("utf-8"))


@pytest.fixture
def runs(cli: Any) -> Any:
    """A run of each task, and another of the first; `cli` to go on with."""
    write("classes.csv", "classification")
    write("numbers.csv", "regression")
    for name, *more in (
        ("classes", "classes.csv"),
        ("other", "classes.csv", "--hidden", "4", "--alpha", "0.5", "--keep-epoch", "best"),
        ("numbers", "numbers.csv"),
    ):
        code, _, err = cli("train", *more, "--out", name, "--epochs", "4", "--quiet")
        assert code == 0, err
    return cli


@pytest.mark.usefixtures("drawn")
def test_a_report_holds_all_it_needs_and_loads_nothing(runs: Any) -> None:
    code, out, err = runs("report", "classes")
    assert (code, out, err) == (0, "wrote classes/report.html\n", "")
    page = page_in("classes/report.html")
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "data", "action"):
            assert name not in attributes, (tag, attributes)
        assert tag not in ("link", "iframe", "img", "b")
        assert (attributes.get("href") or "#").startswith("#")
    text = Path("classes/report.html").read_text("utf-8")
    assert not re.search(r"url\(|@import", text)
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    run = [script for attributes, script in page.scripts if "type" not in attributes]
    for script in run:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256-") == len(run) == 2


@pytest.mark.usefixtures("drawn")
def test_every_chart_has_its_place_and_names_of_the_file_are_text(runs: Any) -> None:
    runs("report", "classes")
    page = page_in("classes/report.html")
    places = [a["data-chart"] for _, a in page.tags if "data-chart" in a]
    assert places == [f"chart-{k}" for k in range(1, len(page.specs) + 1)]
    assert len(places) > 10
    assert "<img src=x>" in page.text
    assert "</script><b>" in page.text
    for heading in ("Scores", "Diagnosis", "Learning curves", "Answers and truth", "What the columns do",
                    "Inside the network", "Data as read", "To repeat it"):  # fmt: skip
        assert heading in page.text
    assert "anyarray-mlp train classes.csv" in page.text
    assert "Not shown" not in page.text


@pytest.mark.usefixtures("drawn")
def test_the_page_of_numbers_has_residuals_and_that_of_several_runs_compares_them(
    runs: Any,
) -> None:
    runs("report", "numbers")
    assert "Half of the residuals lie between" in page_in("numbers/report.html").text
    code, out, err = runs("report", "classes", "other")
    assert (code, out, err) == (0, "wrote report.html\n", "")
    page = page_in("report.html")
    assert "Compared" in page.text
    assert [a for _, a in page.tags if a.get("class") == "run"]
    assert "alpha" in page.text
    code, _, err = runs("report", "classes", "other")
    assert code != 0
    assert "report.html exists: give --overwrite" in err
    assert runs("report", "classes", "other", "--overwrite")[0] == 0


def test_every_chart_compiles(runs: Any) -> None:
    if importlib.util.find_spec("vl_convert") is None:
        unless_expected("vega", "vl-convert is not installed")
    import vl_convert

    runs("report", "classes", "numbers")
    page = page_in("report.html")
    assert page.specs
    for spec in page.specs:
        made = vl_convert.vegalite_to_vega(spec)
        assert made["marks"]
    assert "</script" not in library.vega().lower()


def test_the_missing_library_is_named_with_its_command_and_json_needs_none(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.vega.cache_clear()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    for arguments in (("report", "classes"), ("train", "classes.csv", "--out", "new", "--report")):
        code, _, err = runs(*arguments)
        assert code != 0
        assert "pip install 'anyarray-mlp[report]'" in err
    assert not Path("new").exists()
    code, out, err = runs("report", "classes", "--json")
    assert code == 0, err
    (found,) = json.loads(out)
    judged = json.loads(runs("evaluate", "classes", "--json")[1])
    told = {each["name"]: each["value"] for each in found["scores"]["scores"]}
    for name in ("loss", "accuracy", "f1"):
        assert told[name] == pytest.approx(judged[name])
    assert found["residuals"] == {"reason": "the model predicts classes, not numbers"}


def test_rows_that_cannot_be_read_are_said_and_found_elsewhere(runs: Any) -> None:
    Path("classes.csv").rename("moved.csv")
    code, out, err = runs("report", "classes", "--json")
    assert code == 0
    assert "note: classes: " in err
    assert "--data FILE" in err
    (lost,) = json.loads(out)
    assert "classes.csv" in lost["scores"]["reason"]
    assert lost["curves"]["epochs"] == [1, 2, 3, 4]
    code, out, err = runs("report", "classes", "--data", "moved.csv", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)[0]["scores"]["rows"] == 24
    code, _, err = runs("report", "classes", "--data", "numbers.csv", "--json")
    assert code != 0
    assert "error:" in err
    code, _, err = runs("report", "classes", "other", "--data", "moved.csv")
    assert "--data is for a single RUN" in err


@pytest.mark.usefixtures("drawn")
def test_train_writes_the_report_when_asked_and_a_new_run_takes_it_away(runs: Any) -> None:
    code, _, err = runs("train", "classes.csv", "--out", "new", "--epochs", "2", "--report")
    assert code == 0, err
    assert "wrote new/report.html" in err
    assert "report" not in Path("new/config.toml").read_text()
    code, _, err = runs("train", "classes.csv", "--out", "new", "--epochs", "2", "--overwrite")
    assert code == 0, err
    assert not Path("new/report.html").exists()


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--hidden none --alpha 0.5 --no-standardize --seed 3 --early-stopping",
        "--preset tabular --epochs 3",
        "--preset tabular --epochs 3 --hidden 5 --test-fraction 0.3",
        "--keep size --drop '<img src=x>' --batch-size 7 --learning-rate cosine --no-diagnose",
        "--target size --epochs 2 --clip-norm 1 --class-weight balanced",
    ],
)
def test_the_command_of_a_report_makes_the_run_again(cli: Any, flags: str) -> None:
    write("classes.csv", "classification")
    if "--target size" in flags:
        frame = pd.read_csv("classes.csv")
        frame["size"] = (frame["size"] > 0).astype(int)
        frame.to_csv("classes.csv", index=False)
    given = ["--epochs", "2"] if "--epochs" not in flags else []
    code, _, err = cli(
        "train", "classes.csv", "--out", "one", "--quiet", *given, *shlex.split(flags)
    )
    assert code == 0, err
    (found,) = json.loads(cli("report", "one", "--json")[1])
    words = shlex.split(found["command"])
    assert words[0] == "anyarray-mlp"
    code, _, err = cli(*words[1:], "--out", "two", "--quiet")
    assert code == 0, err
    settings = [tomllib.loads(Path(run, "config.toml").read_text()) for run in ("one", "two")]
    assert settings[0] == settings[1]
    one, two = (Path(run, "model.safetensors").read_bytes() for run in ("one", "two"))
    assert one == two


def test_runs_are_compared_by_what_differs(runs: Any) -> None:
    code, out, err = runs("compare", "classes", "other", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["runs"] == ["classes", "other"]
    assert set(found["settings"]) == {"hidden", "alpha", "keep_epoch"}
    assert found["settings"]["alpha"] == [0.0, 0.5]
    for place, run in enumerate(found["runs"]):
        judged = json.loads(runs("evaluate", run, "--json")[1])
        assert found["scores"]["accuracy"][place] == pytest.approx(judged["accuracy"])
    assert found["epochs"] == [4, 4]
    assert found["notes"] == []
    code, out, err = runs("compare", "classes", "other")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["classes", "other"]
    assert ["alpha", "0", "0.5"] in [line.split() for line in lines]
    _, _, err = runs("compare", "classes", "numbers")
    assert "judged on different rows" in err
    assert "give two or more" in runs("compare", "classes")[2]


def test_a_folder_without_a_run_is_refused(cli: Any) -> None:
    Path("empty").mkdir()
    code, _, err = cli("report", "empty", "--json")
    assert code != 0
    assert "holds no run" in err


def test_a_run_that_learned_nothing_says_so_in_each_place(cli: Any) -> None:
    write("classes.csv", "classification")
    cli("train", "classes.csv", "--out", "one", "--epochs", "1", "--quiet")
    Path("one/model.safetensors").unlink()
    code, out, _ = cli("report", "one", "--json")
    assert code == 0
    (found,) = json.loads(out)
    assert "holds a run without a model" in found["scores"]["reason"]
    assert "holds a run without a model" in found["inside"]["reason"]
    assert found["curves"]["epochs"] == [1]
