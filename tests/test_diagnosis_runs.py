"""`diagnose` for training runs: every cause is found, healthy runs are silent, every backend sees the same."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris

from anyarray_mlp import MLP, EarlyStopping, fit, select_backend
from anyarray_mlp.cli import run as command_line
from anyarray_mlp.data import Preprocessor, class_weights, load
from anyarray_mlp.diagnosis import Diagnosis, RunMonitor, load_diagnosis
from anyarray_mlp.diagnosis.data_summary import summarize_data
from anyarray_mlp.diagnosis.held_out import skill
from anyarray_mlp.diagnosis.probe import gradient_norms
from anyarray_mlp.diagnosis.report import diagnose_run
from anyarray_mlp.errors import DataError, StorageError
from benchmarks.diagnosis.planted_faults import FAULTS, Plan, healthy, planted
from tests.diagnosed import diagnosed_fit


def diagnosis_of(plan: Plan, **options: Any) -> Diagnosis:
    with np.errstate(all="ignore"):
        _, diagnosis = diagnosed_fit(
            plan.network(), plan.x, plan.targets, **{**plan.fit_options(), **options}
        )
    return diagnosis


SET_OF = {
    "class_imbalance": "breast_cancer",
    "overfitting": "breast_cancer",
    "underfitting": "xor",
    "unscaled_targets": "diabetes",
    "target_outliers": "diabetes",
    "sentinel_values": "diabetes",
    "plateau": "xor",
    "batch_too_large": "breast_cancer",
    "batch_too_small": "diabetes",
    "constant_column": "iris",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_planted_fault_comes_first(fault):
    name = SET_OF.get(fault, "digits" if "digits" in FAULTS[fault][1] else "iris")
    plan = planted(fault, name, seed=501)
    plan.options["epochs"] = min(plan.options["epochs"], 40)
    diagnosis = diagnosis_of(plan)
    assert diagnosis.first is not None
    assert diagnosis.first.cause in plan.accept, diagnosis.report()
    assert diagnosis.first.evidence
    assert diagnosis.first.cure
    assert diagnosis.first.title in diagnosis.summary()


@pytest.mark.parametrize("name", ["digits", "iris", "breast_cancer", "wine", "xor", "diabetes"])
def test_healthy_runs_are_silent(name):
    diagnosis = diagnosis_of(healthy(name, seed=502))
    assert diagnosis.alarms == (), diagnosis.report()
    assert diagnosis.summary() == "diagnosis: nothing suspicious"


def small_problem() -> tuple[MLP, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 5))
    return MLP((5, 4, 2)), x, (np.abs(x[:, 0]) + x[:, 1] > 1).astype(np.int64)


@pytest.mark.on(
    "numpy",
    "numpy-readonly",
    "strict",
    "cupy-like",
    "jax",
    "torch",
    "cupy",
    "torch-cuda",
    "jax-cuda",
)
def test_probes_agree_with_numpy_on_every_backend(backend):
    """The strict bed raises on any host sync inside the compiled step and the probe."""
    mlp, x, targets = small_problem()
    options = {
        "epochs": 2,
        "batch_size": 60,
        "validation": (x, targets),
        "alpha": 0.1,
        "clip_norm": 1.0,
    }
    _, found = diagnosed_fit(mlp, x, targets, backend=backend, probe_on_device=True, **options)
    _, wanted = diagnosed_fit(
        mlp, x, targets, backend=select_backend("numpy", dtype=backend.dtype), **options
    )
    assert [probe.epoch for probe in found.record.probes] == [0, 1, 2]
    for probe, reference in zip(found.record.probes, wanted.record.probes, strict=True):
        assert probe.loss == pytest.approx(reference.loss, rel=1e-6)
        for layer, other in zip(probe.layers, reference.layers, strict=True):
            assert vars(layer) == pytest.approx(vars(other), rel=1e-6, abs=1e-12)
    assert found.record.outcome.clipped == wanted.record.outcome.clipped
    assert [f.cause for f in found.findings] == [f.cause for f in wanted.findings]


def test_figures_of_a_probe_are_what_they_are_called():
    """Two relu units, one never active; the gradient and the step by hand."""
    mlp = MLP((1, 2, 1), "relu", "identity")
    x, targets = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
    initial = np.array([1.0, -1.0, 3.0, 5.0, 0.0, 0.0, 0.0])  # w0 (1, 2), w1 (2, 1), b0, b1
    backend = select_backend("numpy", dtype="float64")
    monitor = RunMonitor(
        mlp, x, targets, backend=backend, initial=initial, optimizer="sgd", learning_rate_init=0.1
    )
    first, second = monitor.probes[0].layers
    errors = np.array([3.0, 5.0])  # outputs 3 and 6 against 0 and 1
    assert monitor.probes[0].loss == pytest.approx(0.5 * np.mean(errors**2))
    assert (first.dead, first.mean) == (0.5, 0.75)
    assert first.gradient == pytest.approx(np.mean(errors * 3.0 * x[:, 0]))
    assert second.gradient == pytest.approx(np.mean(errors * x[:, 0]))
    assert second.update == pytest.approx(0.1 * second.gradient / math.sqrt(34.0))


@pytest.mark.parametrize("name", ["logistic", "tanh"])
def test_saturation_counts_activations_near_a_bound(name):
    mlp = MLP((1, 1, 2), name)
    vector = np.array([1.0, 1.0, -1.0, 0.0, 0.0, 0.0])
    x = np.array([[0.0], [1.0], [-30.0], [30.0]])
    monitor = RunMonitor(mlp, x, np.array([0, 1, 0, 1]), initial=vector)
    assert monitor.probes[0].layers[0].saturated == 0.5


def test_watching_changes_nothing():
    mlp, x, targets = small_problem()
    options = {"epochs": 5, "validation": (x, targets)}
    watched, _ = diagnosed_fit(mlp, x, targets, **options)
    alone = fit(mlp, x, targets, **options)
    assert np.array_equal(watched.parameters, alone.parameters)


def test_every_step_can_be_asked_for_gradient_norms():
    mlp, x, targets = small_problem()
    result = fit(mlp, x, targets, epochs=2, batch_size=50, statistics=gradient_norms(mlp))
    norms = result.history[-1].statistics
    assert [len(layer) for layer in norms] == [3, 3]
    assert all(np.all(layer > 0) for layer in norms)


@pytest.mark.parametrize("rate", [0.01, 0.02])
def test_a_clipped_gradient_is_clipped_whatever_part_of_it_is_long(rate):
    """Tiny inputs: the bias alone has a gradient, of norm 5."""
    mlp, x, targets = MLP((2, 1), output="identity"), np.full((20, 2), 1e-6), np.full((20, 1), 5.0)
    options = {"optimizer": "sgd", "learning_rate_init": rate, "epochs": 5}
    for clip_norm, share in ((1.0, 1.0), (100.0, 0.0)):
        _, found = diagnosed_fit(mlp, x, targets, clip_norm=clip_norm, **options)
        assert found.record.outcome.clipped == share


def test_statistics_that_another_gathers_are_left_to_it():
    mlp, x, targets = small_problem()
    result, found = diagnosed_fit(
        mlp, x, targets, epochs=2, clip_norm=1e-3, statistics=gradient_norms(mlp)
    )
    assert len(result.history[-1].statistics) == 2
    assert found.record.outcome.clipped is None


def test_sparse_inputs_are_judged_as_dense_ones():
    mlp, x, targets = small_problem()
    x[x < 0.5] = 0.0
    options = {"epochs": 3, "batch_size": 60}
    _, dense = diagnosed_fit(mlp, x, targets, **options)
    for kind in (sparse.csr_matrix, sparse.csc_array):
        _, found = diagnosed_fit(mlp, kind(x), targets, **options)
        assert found.record.data == dense.record.data
        assert found.record.probes[0] == dense.record.probes[0]
        assert found.record.outcome.stopped == "finished"


def test_layers_are_counted_from_one():
    _, found = diagnosed_fit(
        MLP((2, 3, 1), "tanh", "logistic"), np.eye(2), np.array([[0.0], [1.0]]), epochs=1
    )
    record = found.record
    beyond = replace(
        record, data=replace(record.data, unreachable=0.5, constant=(0,), n_constant=1)
    )
    layers = {finding.cause: finding.layer for finding in diagnose_run(beyond).findings}
    assert layers["constant_column"] is None  # what is in the data is in no layer
    assert layers["output_cannot_reach_targets"] == 2


@pytest.mark.parametrize("seed", [0, 1])
def test_a_single_hidden_unit_is_too_few_even_where_it_learned_nothing(seed):
    """Of seed 0 the score rose and the probe's loss did not; seed 1 is stuck."""
    data = load("spirals")
    x = Preprocessor.fit(data.features).transform(data.features)
    _, found = diagnosed_fit(MLP((2, 1, 2)), x, np.asarray(data.target), epochs=60, seed=seed)
    assert found.first.cause == "underfitting", found.report()


@pytest.mark.parametrize("seed", [0, 2])
def test_shuffled_labels_are_not_called_labels_coded_otherwise(seed):
    """Of 14 rows, most of a class's are taken for one other class by chance."""
    x, labels = load_iris(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    rng = np.random.default_rng(seed)
    labels, order = labels[rng.permutation(150)], rng.permutation(150)
    held, rows = order[:14], order[14:]
    options = {"validation": (x[held], labels[held]), "epochs": 200, "learning_rate_init": 0.01}
    _, found = diagnosed_fit(MLP((4, 64, 64, 3)), x[rows], labels[rows], seed=seed, **options)
    assert found.record.outcome.validation_mapping > 0.5
    assert [finding.cause for finding in found.alarms] == ["shuffled_labels"]


def test_a_diagnosis_survives_its_file(tmp_path):
    diagnosis = diagnosis_of(planted("learning_rate_too_high", "iris", seed=503))
    endless = replace(diagnosis.record.outcome, association=math.inf)
    diagnosis = diagnose_run(replace(diagnosis.record, outcome=endless))
    diagnosis.save(tmp_path)
    json.loads((tmp_path / "diagnosis.json").read_text(), parse_constant=pytest.fail)
    assert load_diagnosis(tmp_path) == diagnosis


def test_a_file_that_is_no_diagnosis_is_refused(tmp_path):
    with pytest.raises(StorageError, match="train with --diagnose"):
        load_diagnosis(tmp_path)
    (tmp_path / "diagnosis.json").write_text("{}")
    with pytest.raises(DataError, match="no diagnosis"):
        load_diagnosis(tmp_path)


def test_the_command_prints_causes_and_says_by_its_exit_code_whether_there_are_any(
    tmp_path, capsys
):
    ill, well = tmp_path / "ill", tmp_path / "well"
    for folder, plan in [
        (ill, planted("unscaled_inputs", "iris", 504)),
        (well, healthy("iris", 504)),
    ]:
        folder.mkdir()
        diagnosis_of(plan).save(folder)
    assert command_line(["diagnose", str(ill)]) == 1
    assert "the inputs are not scaled" in capsys.readouterr().out
    assert command_line(["diagnose", str(well), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "findings": []}
    assert command_line(["diagnose", str(tmp_path / "none")]) == 74


def test_lbfgs_and_early_stopping_are_watched_as_well():
    plan = healthy("iris", 505)
    plan.options = {"optimizer": "lbfgs", "epochs": 30, "alpha": 1e-2}
    assert diagnosis_of(plan).first is None
    plan = healthy("iris", 505)
    stopped = diagnosis_of(plan, early_stopping=EarlyStopping(patience=2))
    assert stopped.record.outcome.stopped in ("early", "finished")
    assert stopped.record.settings.early_stopping


def test_weights_that_were_trained_are_no_bad_start():
    plan = healthy("xor", 506)
    trained = fit(plan.network(), plan.x, plan.targets, epochs=200, learning_rate_init=0.03)
    large = 4.0 * trained.parameters
    plan.options["initial"] = large
    diagnosis = diagnosis_of(plan)
    assert max(layer.gain_in for layer in diagnosis.record.initial) > 5
    assert "bad_initial_scale" not in [finding.cause for finding in diagnosis.findings]


def test_data_that_live_on_the_device_are_summarised():
    mlp, x, targets = small_problem()
    backend = select_backend("array_api_strict", dtype="float64")
    _, found = diagnosed_fit(
        mlp, backend.asarray(x), backend.asarray(targets), backend=backend, epochs=2
    )
    assert found.record.data == summarize_data(mlp, x, targets)


def test_gaps_in_data_on_the_device_are_named():
    """Host data with gaps are refused before training; data on a device are seen when the loss breaks."""
    mlp, x, targets = small_problem()
    x[7, 3] = np.nan
    backend = select_backend("array_api_strict", dtype="float64")
    result, found = diagnosed_fit(
        mlp, backend.asarray(x), backend.asarray(targets), backend=backend, epochs=2
    )
    assert result is None
    assert next(iter(found.findings)).cause == "non_finite_data"


def test_image_data_are_judged_as_the_network_sees_them():
    mlp = MLP((64, 8, 10))
    bytes_ = np.random.default_rng(0).integers(0, 256, (200, 64), dtype=np.uint8)
    targets = np.arange(200) % 10
    assert summarize_data(mlp, bytes_, targets).largest_rms > 100
    assert summarize_data(mlp, bytes_, targets, input_scale=1 / 255).largest_rms < 1


def test_skill_is_zero_for_the_most_frequent_class_and_one_for_perfection():
    classes = np.array([0, 0, 0, 1])
    assert skill(np.array([[1.0, 0.0]] * 4), None, classes) == 0.0
    assert skill(np.eye(2)[classes], None, classes) == 1.0
    values = np.array([[1.0], [3.0]])
    assert skill(values, values, None) == 1.0
    assert skill(np.full((2, 1), 2.0), values, None) == 0.0


def causes(diagnosis: Diagnosis) -> list[str]:
    return [finding.cause for finding in diagnosis.alarms]


def test_a_cause_is_not_joined_by_what_it_brings_about():
    """An update too large kills units and leaves the loss where it is: no advice on those contradicts the first."""
    plan = healthy("digits", 507)
    plan.options |= {"optimizer": "sgd", "learning_rate_init": 30.0, "epochs": 5}
    diagnosis = diagnosis_of(replace(plan, activation="relu", hidden=(32,)))
    assert causes(diagnosis) == ["learning_rate_too_high"]
    followed = [finding for finding in diagnosis.findings if finding.because]
    assert followed
    assert all(finding.severity == "note" for finding in followed)
    assert "probably because the learning rate is too high" in diagnosis.report()


def test_class_weights_are_part_of_what_is_judged():
    """A network that is told to weigh a rare class loses accuracy by it: that is no failure."""
    rng = np.random.default_rng(0)
    x, xv = rng.standard_normal((2, 500, 2))
    rare, truth = ((a[:, 0] + rng.standard_normal(500) > 1.9).astype(np.int64) for a in (x, xv))
    weight = class_weights(rare, "balanced")
    _, found = diagnosed_fit(
        MLP((2, 8, 2)), x, rare, sample_weight=weight, epochs=30, validation=(xv, truth)
    )
    outcome = found.record.outcome
    recalls = np.divide(outcome.found_of_class, outcome.rows_of_class)
    assert outcome.chance == pytest.approx(0.5, abs=1e-9)
    assert 0.5 + 0.5 * outcome.validation_skill == pytest.approx(recalls.mean(), abs=0.02)
    assert found.record.data.baseline_loss == pytest.approx(math.log(2.0))
    assert causes(found) == []
    _, unweighted = diagnosed_fit(MLP((2, 8, 2)), x, rare, epochs=30, validation=(xv, truth))
    assert unweighted.record.outcome.training_skill < outcome.training_skill


def test_advice_on_a_rare_class_is_not_what_is_done_already():
    plan = planted("class_imbalance", "breast_cancer", 508)
    weight = class_weights(plan.targets.reshape(-1).astype(int), "balanced")
    with_weights = diagnosis_of(plan, sample_weight=weight).findings
    for findings, advised in ((diagnosis_of(plan).findings, True), (with_weights, False)):
        found = next(finding for finding in findings if finding.cause == "class_imbalance")
        assert ("class_weight='balanced'" in found.cure) == advised


def test_a_value_for_unknown_is_named_with_its_column():
    mlp, x, targets = small_problem()
    x[::7, 2] = -999.0
    _, found = diagnosed_fit(mlp, x, targets, epochs=3, column_names=list("abcde"))
    assert found.first.cause == "sentinel_values"
    evidence = "column 'c' is -999 in 15.0% of the rows"
    assert evidence in found.first.evidence


@pytest.mark.parametrize("values", [np.arange(120) % 4, 200.0 * (np.arange(120) % 3 == 0)])
def test_counts_and_zeros_stand_for_themselves(values):
    mlp, x, targets = small_problem()
    x[:, 2] = values
    x[:, 3] = np.where(np.arange(120) % 2, 0.0, np.exp(x[:, 3]))  # nothing, or a positive amount
    assert summarize_data(mlp, x, targets).sentinels == ()


def test_numbers_of_rows_are_told_from_measurements():
    mlp, x, targets = small_problem()
    rng = np.random.default_rng(3)
    x = np.concatenate([x, rng.uniform(size=(120, 1)), rng.integers(0, 900, (120, 1))], axis=1)
    mlp = MLP((7, 4, 2))
    assert summarize_data(mlp, x, targets).identifiers == ()
    x[:, 5] = rng.permutation(150)[:120] * 0.37 - 5.0
    assert summarize_data(mlp, x, targets).identifiers == (5,)
    assert summarize_data(mlp, x.astype(np.float32), targets).identifiers == (5,)


def test_a_copy_upside_down_is_a_copy():
    mlp, x, targets = small_problem()
    x[:, 4] = 1.0 - 3.0 * x[:, 1]
    assert summarize_data(mlp, x, targets).duplicates == ((1, 4),)


def test_validation_rows_are_held_against_training_rows():
    mlp, x, targets = small_problem()
    rows, held = slice(0, 80), slice(80, 120)
    trained = x[rows], targets[rows]

    def judged(xv: np.ndarray, tv: np.ndarray) -> Diagnosis:
        return diagnosed_fit(
            mlp, *trained, learning_rate_init=0.02, epochs=40, validation=(xv, tv)
        )[1]

    alike = judged(x[held], targets[held])
    assert {"validation_unlike_training", "repeated_rows"}.isdisjoint(causes(alike))
    assert alike.record.outcome.repeats.repeated == 0
    scaled = judged(x[held] * 20.0 + 10.0, targets[held])
    assert "validation_unlike_training" in causes(scaled)
    assert "in training" in scaled.first.evidence
    copied = np.concatenate([x[held], x[:20]]), np.concatenate([targets[held], targets[:20]])
    found = judged(*copied)
    assert "repeated_rows" in causes(found)
    assert found.record.outcome.repeats.repeated == 20


def test_rows_that_recur_everywhere_are_no_fault_of_the_split():
    """Few values a column: validation rows are training rows by chance, and predicted no better for it."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (400, 3)).astype(float) - 1.5
    targets = (x.sum(axis=1) + rng.standard_normal(400) > 0).astype(np.int64)
    _, found = diagnosed_fit(
        MLP((3, 8, 2)), x[:300], targets[:300], epochs=30, validation=(x[300:], targets[300:])
    )
    assert found.record.outcome.repeats.repeated > 50
    assert "repeated_rows" not in causes(found)


def test_a_class_without_training_rows_is_named():
    plan = planted("missing_class", "iris", 509)
    monitored = diagnosis_of(plan, class_names=["setosa", "versicolor", "virginica"])
    (code, rows), *others = monitored.record.outcome.missing_classes
    assert not others
    assert rows == np.count_nonzero(plan.tv == code)
    name = ["setosa", "versicolor", "virginica"][code]
    assert f"class '{name}' ({rows} rows)" in monitored.first.evidence


def test_validation_labels_moved_by_a_row_are_not_overfitting():
    plan = healthy("digits", 510)
    assert causes(diagnosis_of(replace(plan, tv=np.roll(plan.tv, 1)))) == [
        "wrong_validation_labels"
    ]


def test_units_that_saturate_where_training_goes_well_are_a_note():
    x = np.linspace(-1.0, 1.0, 200)[:, None]
    targets = (x > 0).astype(float)
    _, found = diagnosed_fit(
        MLP((1, 2, 1), "tanh", "logistic"), x, targets, optimizer="lbfgs", epochs=200
    )
    record = found.record
    first, last = record.probes[0], record.probes[-1]
    layers = (replace(last.layers[0], saturated=0.95), last.layers[1])
    ended = replace(record, probes=(first, replace(last, layers=layers)))
    assert {f.cause: f.severity for f in diagnose_run(ended).findings} == {
        "saturated_units": "note"
    }


def test_signals_that_fade_are_named_where_the_loss_stands_still():
    """Five logistic layers: gradients per weight look even, but rows are no longer told apart."""
    plan = healthy("breast_cancer", 511)
    plan.options |= {"optimizer": "sgd", "learning_rate_init": 0.05, "epochs": 20}
    plan.options.pop("early_stopping", None)
    found = diagnosis_of(replace(plan, hidden=(32,) * 5, activation="logistic"))
    assert causes(found) == ["vanishing_gradients"]
    layers = found.record.probes[0].layers
    assert layers[4].spread < 0.1 * layers[0].spread


def test_early_stopping_before_anything_is_learned_is_said():
    data = load("spirals")
    x = Preprocessor.fit(data.features).transform(data.features)
    y = np.asarray(data.target)
    stopping = EarlyStopping(patience=2)
    _, found = diagnosed_fit(
        MLP((2, 32, 2)), x, y, validation=(x, y), epochs=50, batch_size=64, early_stopping=stopping
    )
    if found.record.outcome.stopped == "early":
        assert causes(found) == ["too_few_epochs"]
        assert "patience=" in found.first.cure


def test_a_rate_that_falls_to_nothing_is_said():
    plan = healthy("digits", 512)
    plan.options.pop("early_stopping", None)
    found = diagnosis_of(plan, learning_rate=lambda step: 1e-3 * 0.8**step)
    assert causes(found) == ["learning_rate_too_low"]
    assert "fell from" in found.first.evidence


def test_diagnoses_of_before_are_read():
    """Records lack what was not looked at when they were written."""
    diagnosis = diagnosis_of(healthy("iris", 513))
    record = json.loads(diagnosis.to_json())["record"]
    for part, names in {
        "settings": ("shuffle", "weighted"),
        "data": ("identifiers", "sentinels", "outlier_share", "order", "widest", "narrowest"),
        "outcome": ("chance", "validation_chance", "rows_of_class", "missing_classes", "shift"),
    }.items():
        for name in names:
            del record[part][name]
    assert Diagnosis.from_json(json.dumps({"record": record})).alarms == ()
