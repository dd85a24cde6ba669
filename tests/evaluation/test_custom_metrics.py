"""Metrics of plugins: values, failures, and their intervals by the bootstrap."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.plugin_files import HEAD
from sklearn.metrics import fbeta_score

from mobilenet_chest import plugins
from mobilenet_chest.config import EvaluationConfig, load
from mobilenet_chest.errors import PluginFailed
from mobilenet_chest.evaluation.bootstrap import bootstrap
from mobilenet_chest.evaluation.crossfit import choose_epoch, epoch_values
from mobilenet_chest.evaluation.custom_metrics import custom_metric, custom_metrics, custom_statistic
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import epoch_metrics, selection_metrics
from mobilenet_chest.evaluation.paired import indistinguishable, paired_difference
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions

CONFIG = EvaluationConfig()


def rows(n: int = 60, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    label = (np.arange(n) % 3 == 0).astype(np.uint8)
    plain, tta = (np.clip(0.3 + 0.3 * label + generator.normal(0, 0.2, n), 0.01, 0.99) for _ in range(2))
    return Predictions(np.arange(n), label, plain, tta)


@pytest.fixture
def f2(plugin_file: Path) -> None:
    """The plugin's metric, at work."""
    plugins.activate(load({"name": "x", "plugins": [str(plugin_file)]}).plugins)


@pytest.fixture
def failing(plugin_file: Path) -> Callable[[str], None]:
    """Puts a metric to work whose body is the given line."""

    def make(line: str) -> None:
        plugin_file.write_text(f"{HEAD}\n@register_metric('val_odd')\ndef odd(labels, probabilities):\n    {line}\n")
        plugins.activate(load({"name": "x", "plugins": [str(plugin_file)]}).plugins)

    return make


@pytest.mark.usefixtures("f2")
def test_it_is_a_metric_of_epochs_and_runs_without_tta() -> None:
    predictions = rows()
    expected = fbeta_score(predictions.label, predictions.probability >= 0.5, beta=2)
    logits = np.log(predictions.probability / (1 - predictions.probability))
    assert epoch_metrics(predictions.label, logits)["val_f2"] == pytest.approx(expected, abs=1e-12)
    assert selection_metrics(predictions, CONFIG, 0)["val_f2"] == pytest.approx(expected, abs=1e-12)
    assert math.isnan(epoch_metrics(predictions.label, logits * np.nan)["val_f2"])


@pytest.mark.slow
@pytest.mark.usefixtures("f2")
def test_its_interval_is_the_bootstraps() -> None:
    predictions = rows()
    run = RunPredictions(predictions, {}, CONFIG, 0)
    value = custom_metric("val_f2", predictions.label, predictions.probability)
    interval = metric_intervals("val", {"val_f2": value}, run)["val_f2"]

    def reference(labels: np.ndarray, scores: np.ndarray) -> float:
        return float(fbeta_score(labels, scores >= 0.5, beta=2))

    expected = bootstrap(predictions.label, predictions.probability, reference)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert metric_intervals("val", {"val_f2": value + 0.1}, run) == {}


@pytest.mark.usefixtures("f2")
def test_runs_are_paired_by_it() -> None:
    first, second = (RunPredictions(rows(seed=seed), {}, CONFIG, 0) for seed in (0, 1))
    difference = paired_difference("val_f2", first, second)
    values = [custom_metric("val_f2", run.predictions.label, run.predictions.probability) for run in (first, second)]
    assert difference.value == pytest.approx(values[0] - values[1], abs=1e-12)
    assert difference.low <= difference.value <= difference.high
    assert indistinguishable("val_f2", first, [second]) == [difference.p > 0.05 or difference.low <= 0]


@pytest.mark.usefixtures("f2")
def test_an_epoch_is_chosen_by_it() -> None:
    predictions = rows()
    good = np.log(predictions.probability / (1 - predictions.probability))
    values = epoch_values(predictions.label, np.stack([good - 9, good]), "val_f2")
    assert values[0] == 0
    assert choose_epoch(values, [1.0, 1.0], "val_f2") == 2


def test_what_is_no_finite_number_is_left_out_or_refused(
    failing: Callable[[str], None], logged: pytest.LogCaptureFixture
) -> None:
    predictions = rows()
    for line in ("return float('nan')", "return None", "return 'x'", "return labels", "raise KeyError('a')"):
        failing(line)
        assert custom_metrics(predictions.label, predictions.probability) == {}
        with pytest.raises(PluginFailed, match="val_odd"):
            custom_metrics(predictions.label, predictions.probability, ("val_odd",))
        before = len(logged.records)
        custom_metrics(predictions.label, predictions.probability)
        assert len(logged.records) == before  # a warning once
    assert {record.levelno for record in logged.records} == {logging.WARNING}


def test_no_interval_where_it_fails_on_some_draws(failing: Callable[[str], None]) -> None:
    failing("return 1 / (probabilities.mean() > 0.4)")
    predictions = rows()
    mean = predictions.probability.mean()
    failing(f"return 1 / (probabilities.mean() > {mean - 1e-6})")
    run = RunPredictions(predictions, {}, CONFIG, 0)
    assert metric_intervals("val", {"val_odd": 1.0}, run) == {}
    statistic = custom_statistic("val_odd", predictions.label, predictions.probability)
    assert statistic(np.ones((1, len(predictions.label)))).tolist() == [1.0]


def test_a_function_cannot_change_the_rows(failing: Callable[[str], None]) -> None:
    failing("probabilities[:] = 0; return 1")
    predictions = rows()
    custom_metrics(predictions.label, predictions.probability)
    assert predictions.probability.min() > 0
