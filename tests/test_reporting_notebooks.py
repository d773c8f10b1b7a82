"""What a notebook shows of models, results and diagnoses; estimators that export themselves."""

from __future__ import annotations

import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from anyarray_mlp import fit, train_table
from anyarray_mlp.backprop.causes.catalogue import CATALOGUE
from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.report import BackpropReport
from anyarray_mlp.errors import OutputExistsError
from anyarray_mlp.estimators import MLPClassifier, MLPRegressor, TabularMLPClassifier
from anyarray_mlp.network import MLP

RNG = np.random.default_rng(5)
X = pd.DataFrame({"<b>size": RNG.normal(size=60), "width": RNG.normal(size=60)})
Y = np.where(X["width"] > 0, "yes", "no")


class Text(HTMLParser):
    """The text of a piece of HTML, whose tags are closed."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f"{data} "


def test_a_result_shows_its_scores_its_model_and_its_diagnosis() -> None:
    result = train_table(X.assign(answer=Y), epochs=3, seed=1)
    shown = Text(result._repr_html_()).words
    assert "scores on the test rows" in shown
    assert f"{result.scores['accuracy']:.4g}" in shown
    assert "classification of answer" in shown
    assert "<b>size, width" in shown
    assert Text(result.model._repr_html_()).words in shown
    assert result.diagnosis is not None
    assert Text(result.diagnosis._repr_html_()).words in shown


def test_a_diagnosis_shows_each_finding_with_its_cure() -> None:
    mlp = MLP((2, 4, 1), "relu", "identity")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = fit(mlp, X.to_numpy() * 1e4, RNG.normal(size=(60, 1)), epochs=3, diagnose=True)
    found = result.diagnosis
    shown = Text(found._repr_html_()).words
    assert found.findings
    for finding in found.findings:
        assert f"{finding.severity}: {finding.title}" in shown
        assert finding.cure in shown


def test_a_report_on_backprop_shows_what_its_text_says() -> None:
    finding = BackpropFinding(next(iter(CATALOGUE)), (1,), location="net.py:3", line="dw = x < y")
    report = BackpropReport((finding,), understood={"loss": "squared error"})
    shown = Text(report._repr_html_()).words
    assert f"error: {finding.title}" in shown
    assert "understood as: loss squared error" in shown
    for line in str(finding).splitlines():
        assert line.strip() in shown
    assert "no mistake found" in Text(BackpropReport(())._repr_html_()).words


@pytest.mark.parametrize("make", [MLPClassifier, MLPRegressor, TabularMLPClassifier])
def test_estimators_export_what_they_fitted(make: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        make().export(tmp_path / "model.c")
    more = {"epochs": 2} if make is TabularMLPClassifier else {"max_iter": 2}
    estimator = make(random_state=0, **more)
    target = X["width"] if make is MLPRegressor else Y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, target)
    estimator.export(tmp_path / "model.c", name="answer")
    text = (tmp_path / "model.c").read_text()
    assert "answer" in text
    if make is not MLPRegressor:
        assert '"yes"' in text
    with pytest.raises(OutputExistsError):
        estimator.export(tmp_path / "model.c")
