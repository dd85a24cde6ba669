"""Calibration and operating points of finished runs, read back from their predictions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import expit, logit
from typer.testing import CliRunner

from mobilenet_chest.cli.app import app
from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.evaluation.bootstrap import bootstrap
from mobilenet_chest.evaluation.calibration import apply_temperature, brier, calibration_scores, ece_interval
from mobilenet_chest.evaluation.conformal import conformal_result, conformal_rule
from mobilenet_chest.evaluation.intervals import Interval, wilson
from mobilenet_chest.evaluation.operating_points import point_at_sensitivity, point_at_specificity
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.selection import operating_points as module
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.selection.operating_points import operating_points
from mobilenet_chest.tracking.artifact_writer import predictions_table
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    from helpers.stores import Store

SCORES = ("ece", "ece_bias", "brier", "log_loss")


def stored(store: Store, split: str) -> tuple[np.ndarray, np.ndarray]:
    table = stored_predictions(store.client, store.run(store.single), split)
    return table["label"].to_numpy(), table["probability_tta"].to_numpy()


def replace_stored(
    monkeypatch: pytest.MonkeyPatch, labels: np.ndarray, probabilities: np.ndarray, patient: np.ndarray | None = None
) -> None:
    """Let runs have these stored predictions."""
    predicted = Predictions(np.arange(len(labels)), labels, probabilities, probabilities, patient)
    monkeypatch.setattr(module, "stored_predictions", lambda client, run, split: predictions_table(predicted))


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_validation_gives_what_the_run_logged(store: Store) -> None:
    logged = metrics_of(store.run(store.single))
    points = operating_points(store.single, "val")
    labels, probabilities = stored(store, "val")
    assert (points.run_id, points.split, points.rows) == (store.single, "val", 34)
    assert points.temperature == pytest.approx(logged["temperature"])
    assert points.scores == pytest.approx({name: logged[f"val_{name}"] for name in SCORES})
    assert points.calibrated == pytest.approx({name: logged[f"val_{name}_calibrated"] for name in SCORES})
    for name, value in points.intervals.items():
        assert value.value == pytest.approx(logged[f"val_{name}"])
        assert value.low <= value.value < value.high
    assert vars(points.intervals["brier"]) == pytest.approx(vars(bootstrap(labels, probabilities, brier)))
    assert points.intervals["ece"] == ece_interval(labels, probabilities)
    assert points.intervals.keys() == {f"{name}{kind}" for name in ("ece", "brier", "log_loss")
                                      for kind in ("", "_calibrated")}  # fmt: skip
    (figures,) = points.figures
    assert figures.threshold == logged["threshold"]
    assert figures.prevalence == labels.mean()
    ones = int(labels.sum())
    assert figures.sensitivity == wilson(round(logged["val_sensitivity"] * ones), ones)
    assert figures.specificity == wilson(round(logged["val_specificity"] * (34 - ones)), 34 - ones)
    assert figures.accuracy.value == pytest.approx(logged["val_accuracy_tta_threshold"])
    assert figures.accuracy.low < figures.accuracy.value < figures.accuracy.high
    kinds = [(target.fixed, target.at) for target in points.targets]
    assert kinds == [("specificity", 0.9), ("specificity", 0.95), ("sensitivity", 0.9), ("sensitivity", 0.95)]
    first, last = points.targets[0], points.targets[3]
    assert first.threshold == point_at_specificity(labels, probabilities, 0.9).threshold
    assert first.value.value == logged["val_sensitivity_at_specificity_90"]
    assert last.threshold == point_at_sensitivity(labels, probabilities, 0.95).threshold
    assert last.value.value == logged["val_specificity_at_sensitivity_95"]
    for target in points.targets:
        assert 0 <= target.value.low < target.value.high <= 1


def test_a_target_s_interval_is_never_narrower_than_wilson_s(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities = np.array([0] * 20 + [1] * 10, np.uint8), np.linspace(0, 1, 30)
    replace_stored(monkeypatch, labels, probabilities)
    for target in operating_points(store.single, "val").targets:
        rows = 10 if target.fixed == "specificity" else 20
        assert target.value == Interval(1.0, wilson(rows, rows).low, 1.0)


def test_another_prevalence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    labels = (generator.random(200) < 0.6).astype(np.uint8)
    probabilities = expit(2 * generator.normal(labels * 2.0 - 1, 1.0))
    replace_stored(monkeypatch, labels, probabilities)
    points = operating_points(store.single, "val", 0.05)
    here, there, moved = points.figures
    assert (here.prevalence, there.prevalence, moved.prevalence) == (labels.mean(), 0.05, 0.05)
    assert (there.threshold, there.sensitivity, there.specificity) == (
        here.threshold, here.sensitivity, here.specificity
    )  # fmt: skip
    s, c = here.sensitivity.value, here.specificity.value
    assert there.accuracy.value == pytest.approx(0.05 * s + 0.95 * c)
    assert there.ppv.value == pytest.approx(0.05 * s / (0.05 * s + 0.95 * (1 - c)))
    assert there.npv.value == pytest.approx(0.95 * c / (0.95 * c + 0.05 * (1 - s)))
    shift = points.temperature * (logit(labels.mean()) - logit(0.05))
    assert logit(moved.threshold) == pytest.approx(logit(here.threshold) + shift)
    assert moved.specificity.value > here.specificity.value
    assert moved.accuracy.value > there.accuracy.value


def test_the_test_split_is_scored_at_what_validation_chose_and_not_opened_again(store: Store) -> None:
    opened = evaluate(store.single, "test").openings
    val_labels, _ = stored(store, "val")
    labels, probabilities = stored(store, "test")
    points = operating_points(store.single, "test", 0.3)
    assert points.temperature == operating_points(store.single, "val").temperature
    assert points.calibrated == calibration_scores(labels, apply_temperature(probabilities, points.temperature))
    run = store.run(store.single)
    assert points.figures[0].sensitivity.value == pytest.approx(metrics_of(run)["test_sensitivity"])
    shift = points.temperature * (logit(val_labels.mean()) - logit(0.3))
    assert logit(points.figures[2].threshold) == pytest.approx(logit(metrics_of(run)["threshold"]) + shift)
    assert run.data.tags["test_evaluations"] == "1"
    assert points.openings == opened
    assert operating_points(store.single, "val").openings == []
    text = shown("points", store.single, "--split", "test").partition("accesses to the test split\n")[2]
    assert len(opened) == 1
    assert store.single[:8] in text


def test_patients_with_several_images_are_drawn_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three copies of every image: intervals are as wide as those of the images, not narrower by the root of three."""
    generator = np.random.default_rng(2)
    labels = (generator.random(120) < 0.6).astype(np.uint8)
    probabilities = expit(1.5 * generator.normal(labels * 2.0 - 1, 1.0))
    thrice, three_times = np.repeat(labels, 3), np.repeat(probabilities, 3)
    replace_stored(monkeypatch, labels, probabilities)
    single = operating_points(store.single, "val", 0.2)
    replace_stored(monkeypatch, thrice, three_times, np.repeat(np.arange(120), 3).astype(str))
    clustered = operating_points(store.single, "val", 0.2)
    replace_stored(monkeypatch, thrice, three_times)
    independent = operating_points(store.single, "val", 0.2)

    def widths(points: module.OperatingPoints) -> np.ndarray:
        figures = [
            getattr(points.figures[1], name) for name in ("sensitivity", "specificity", "accuracy", "ppv", "npv")
        ]
        proper = [points.intervals[name] for name in ("brier", "log_loss")]
        targets = [target.value for target in points.targets]
        return np.array([interval.high - interval.low for interval in (*figures, *proper, *targets)])

    assert widths(clustered) == pytest.approx(widths(single), rel=0.3)
    assert (widths(independent)[:7] < 0.65 * widths(clustered)[:7]).all()
    assert (
        widths(independent) < widths(clustered)
    ).all()  # of few thresholds that reach a target, widths come in steps


def test_runs_without_the_predictions(store: Store) -> None:
    with pytest.raises(TrackingError, match=rf"`mobilenet-chest evaluate {store.single[:8]} --split test`"):
        operating_points(store.single, "test")
    with pytest.raises(TrackingError, match=f"run {store.interrupted[:8]} "):
        operating_points(store.interrupted, "val")
    with pytest.raises(TrackingError, match=f"no run {'0' * 32}"):
        operating_points("0" * 32, "val")
    assert "test_evaluations" not in store.run(store.single).data.tags


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 5.0, float("nan")])
def test_a_prevalence_out_of_range(store: Store, prevalence: float) -> None:
    range_named = rf"--prevalence {prevalence:g}: .*\b0 .*\b1\b.*"
    with pytest.raises(UserError, match=range_named):
        operating_points(store.single, "val", prevalence)
    for command in (["points"], ["evaluate", "--split", "test"]):
        result = CliRunner().invoke(app, [*command, store.single, "--prevalence", str(prevalence)])
        assert (result.exit_code, result.stdout) == (2, "")
        assert re.fullmatch(range_named + "\n", result.stderr)
    assert "test_evaluations" not in store.run(store.single).data.tags


def test_the_command_prints_tables_and_writes_nothing(store: Store) -> None:
    before = store.run(store.single).data.to_dictionary()
    points = operating_points(store.single, "val", 0.05)
    printed = shown("points", store.single, "--prevalence", "0.05")
    assert store.run(store.single).data.to_dictionary() == before
    assert printed.startswith(f"run {store.single[:8]}, val: 34 images; temperature {points.temperature:.3f}\n")
    interval = points.figures[1].ppv
    for text in (
        "{0.value:.3f} ({0.low:.3f}–{0.high:.3f})".format(points.intervals["ece"]),
        "{0.value:.3f} ({0.low:.3f}–{0.high:.3f})".format(points.intervals["log_loss_calibrated"]),
        "calibrated, cross-fitted",
        "specificity 0.90",
        f"sensitivity {points.targets[0].value.value:.3f} (",
        f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})",
        f"{points.figures[2].threshold:.4f}",
    ):
        assert text in printed
    document = json.loads(shown("points", store.single, "--json"))
    assert document.keys() == {
        "run_id", "split", "rows", "temperature", "scores", "calibrated", "intervals", "targets", "figures", "openings",
        "abstention",
    }  # fmt: skip
    assert document["figures"][0]["ppv"].keys() == {"value", "low", "high"}


def test_evaluate_adds_them_with_a_prevalence(store: Store) -> None:
    document = json.loads(shown("evaluate", store.single, "--split", "val", "--prevalence", "0.05", "--json"))
    assert [figures["prevalence"] for figures in document["points"]["figures"]][1:] == [0.05, 0.05]
    assert document["metrics"]["val_auc"] == metrics_of(store.run(store.single))["val_auc"]
    assert "points" not in json.loads(shown("evaluate", store.single, "--split", "val", "--json"))
    printed = shown("evaluate", store.single, "--split", "test", "--prevalence", "0.05")
    assert printed.startswith(f"run {store.single[:8]}, test: 34 images; test accesses so far: 1\n")
    assert "calibrated, temperature of val" in printed


def test_a_promise_is_made_on_validation_and_seen_on_the_stored_test_predictions(store: Store) -> None:
    evaluate(store.single, "test")
    val, test = (operating_points(store.single, split, error_rate=0.2).abstention for split in ("val", "test"))
    assert val is not None
    assert test is not None
    rule = conformal_rule(*stored(store, "val"), 0.2)
    assert val.rule == test.rule == rule
    assert test.result == conformal_result(rule, *stored(store, "test"))
    assert val.risk_at["1"] == pytest.approx(1 - metrics_of(store.run(store.single))["val_accuracy_tta_threshold"])
    with pytest.raises(UserError, match="--error-rate 0.01: a promise needs 99"):
        operating_points(store.single, "val", error_rate=0.01)
