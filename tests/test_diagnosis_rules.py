"""The causes: each is one function under `rule`; their order and what they bring about are held here."""

from __future__ import annotations

from pathlib import Path

import pytest

from anyarray_mlp.diagnosis import Finding
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules import CAUSES
from anyarray_mlp.diagnosis.rules.findings import REGISTRY, Found, rule
from benchmarks.diagnosis.planted_faults import FAULTS
from benchmarks.diagnosis.table_faults import FAULTS as TABLE_FAULTS

ROOT = Path(__file__).resolve().parents[1]

#: Symptoms that any training that fails may show.
TRAINING = [
    "batch_too_large",
    "exploding_gradients",
    "vanishing_gradients",
    "learning_rate_too_high",
    "learning_rate_too_low",
    "dead_units",
    "saturated_units",
    "underfitting",
    "too_few_epochs",
    "plateau",
    "one_class_predicted",
    "diverged",
]
#: The causes of the first rules in the order of causation, and what each brings about; later ones need no line here.
ORDER = {
    "non_finite_data": TRAINING,
    "output_cannot_reach_targets": TRAINING,
    "sentinel_values": TRAINING,
    "target_outliers": TRAINING,
    "identifier_column": [],
    "unscaled_inputs": TRAINING,
    "unscaled_targets": TRAINING,
    "bad_initial_scale": TRAINING,
    "missing_class": [],
    "validation_unlike_training": ["overfitting", "wrong_validation_labels"],
    "shuffled_labels": [*TRAINING, "overfitting"],
    "wrong_validation_labels": ["overfitting"],
    "leaking_column": [],
    "repeated_rows": [],
    "unshuffled_rows": [],
    "l2_too_strong": TRAINING,
    "dropout_too_strong": TRAINING,
    "batch_too_small": TRAINING,
    "batch_too_large": TRAINING,
    "exploding_gradients": TRAINING,
    "vanishing_gradients": TRAINING,
    "learning_rate_too_high": TRAINING,
    "learning_rate_too_low": TRAINING,
    "dead_units": TRAINING,
    "saturated_units": TRAINING,
    "class_imbalance": ["one_class_predicted"],
    "underfitting": TRAINING,
    "too_few_epochs": TRAINING,
    "plateau": TRAINING,
    "one_class_predicted": TRAINING,
    "validation_too_small": [],
    "overfitting": [],
    "duplicate_column": [],
    "constant_column": [],
    "diverged": TRAINING,
}


def test_causes_come_in_the_order_of_causation() -> None:
    assert [name for name in CAUSES if name in ORDER] == list(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_a_cause_brings_about_what_it_did(name: str) -> None:
    found = [other for other in ORDER if CAUSES[name].brings_about(CAUSES[other])]
    assert sorted(found) == sorted(ORDER[name])


def test_what_a_rule_explains_is_a_cause_or_a_group_of_symptoms() -> None:
    groups = {cause.symptom_of for cause in CAUSES.values()} - {None}
    assert groups == {"training", "validation"}
    for cause in CAUSES.values():
        assert {*cause.explains} <= groups | set(CAUSES), cause.name


def test_every_file_of_the_folder_is_read() -> None:
    files = {path.stem for path in (ROOT / "anyarray_mlp/diagnosis/rules").glob("*.py")}
    read = {cause.find.__module__.rpartition(".")[2] for cause in CAUSES.values()}
    assert read == files - {"__init__", "findings"}


def test_every_cause_is_planted_and_documented_in_its_order() -> None:
    """`diverged`, `non_finite_data` and `falls_short` have tests of their own."""
    absent = set(CAUSES) - {*FAULTS, *TABLE_FAULTS, "diverged", "non_finite_data", "falls_short"}
    assert not absent, (
        f"plant {absent} in benchmarks/diagnosis/planted_faults.py or table_faults.py"
    )
    assert set(FAULTS) <= set(CAUSES)
    lines = (ROOT / "docs/diagnose.md").read_text().splitlines()
    rows = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert sorted(set(CAUSES) - set(rows)) == [], (
        "docs/diagnose.md: add a row to the table of causes"
    )
    assert rows == list(CAUSES), "docs/diagnose.md: rows stand in the order of causation"


def test_a_title_is_part_of_a_sentence() -> None:
    for cause in CAUSES.values():
        assert cause.title == cause.title.strip(" .")
        assert cause.title[0].islower(), cause.title


def test_a_rule_makes_a_cause_of_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyarray_mlp.diagnosis.rules.findings.harm", lambda run: "warning")
    record = object.__new__(RunRecord)
    before = dict(REGISTRY)
    try:

        @rule("the moon is full", order=55, symptom_of="training")
        def full_moon(run: RunRecord) -> Found | None:
            """Nights that are too bright."""
            return Found("it shines", "Wait", layer=2) if run is record else None

        finding = full_moon(record)
        assert finding == Finding("full_moon", "warning", "it shines", "Wait", 2)
        assert str(finding) == "warning: the moon is full (layer 2): it shines. Wait."
        assert full_moon(object.__new__(RunRecord)) is None
        assert CAUSES["unscaled_inputs"].brings_about(REGISTRY["full_moon"])
        assert not CAUSES["leaking_column"].brings_about(REGISTRY["full_moon"])
        with pytest.raises(
            ValueError, match=r"'full_moon' with order 56: 'full_moon' already has order 55"
        ):
            rule("twice", order=56)(full_moon)
        with pytest.raises(ValueError, match=r"'other' with order 60: 'unscaled_inputs' already"):

            @rule("the same place", order=60)
            def other(run: RunRecord) -> Found | None:
                return None
    finally:
        REGISTRY.clear()
        REGISTRY.update(before)
