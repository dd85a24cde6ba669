"""Metric names: labels, directions and formats."""

from __future__ import annotations

from typing import get_args

import pytest

from mobilenet_chest.config.metrics import (
    EPOCH_METRICS,
    FINAL_METRICS,
    METRICS,
    SCORES,
    CostMetric,
    as_score,
    best_direction,
    formatted,
    heading,
    is_epoch_metric,
    label,
    site_prefixes,
)
from mobilenet_chest.evaluation.run_predictions import RECOMPUTABLE

FALLING = {"loss", "brier", "log_loss", "ece"}


def test_every_metric_that_can_be_chosen_is_known() -> None:
    names = {name.removeprefix("val_") for name in FINAL_METRICS}
    assert names <= SCORES.keys()
    assert {name.removesuffix("_calibrated") for name in RECOMPUTABLE} <= SCORES.keys()
    assert set(get_args(CostMetric)) <= METRICS.keys()
    assert [is_epoch_metric(name) for name in FINAL_METRICS] == [name in EPOCH_METRICS for name in FINAL_METRICS]


@pytest.mark.parametrize("name", RECOMPUTABLE)
def test_losses_and_calibration_errors_fall_and_all_else_rises(name: str) -> None:
    falls = name.removesuffix("_calibrated") in FALLING
    assert best_direction(f"val_{name}") == ("minimize" if falls else "maximize")


def test_costs_fall_and_a_name_that_is_not_known_rises() -> None:
    assert {best_direction(name) for name in get_args(CostMetric)} == {"minimize"}
    assert best_direction("somebody's_metric") == "maximize"
    assert best_direction("threshold") == "maximize"


def test_a_score_is_greater_where_the_metric_is_better() -> None:
    assert as_score(0.9, "maximize") > as_score(0.8, "maximize")
    assert as_score(0.1, "minimize") > as_score(0.2, "minimize")


@pytest.mark.parametrize(
    ("name", "words", "short"),
    [
        ("val_auc", "validation AUC", "val AUC"),
        ("test_auc_tta", "test AUC with TTA", "test AUC, TTA"),
        ("train_loss", "training loss", "train loss"),
        ("val_accuracy_crossfit", "cross-fitted validation accuracy", "cross-fitted"),
        ("val_brier_calibrated", "validation Brier score, calibrated", "val Brier, calibrated"),
        ("train_seconds", "training time", "training"),
        ("threshold", "threshold", "threshold"),
        (
            "val_sensitivity_at_specificity_90",
            "validation sensitivity at a specificity of 0.90",
            "val sensitivity at a specificity of 0.90",
        ),
        ("importance.stage2.lr", "importance.stage2.lr", "importance.stage2.lr"),
        ("val_unheard_of", "val_unheard_of", "val_unheard_of"),
    ],
)
def test_names_for_people(name: str, words: str, short: str) -> None:
    assert (label(name), heading(name)) == (words, short)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("val_auc", 0.987654, "0.9877"),
        ("parameters", 5_022_225.0, "5,022,225"),
        ("train_seconds", 150.0, "2.5 min"),
        ("importance.stage2.lr", 0.25, "0.25"),
        ("val_auc", None, ""),
    ],
)
def test_values_for_people(name: str, value: float | None, text: str) -> None:
    assert formatted(name, value) == text


def test_losses_fall_and_everything_else_rises() -> None:
    assert [best_direction(metric) for metric in EPOCH_METRICS] == ["minimize", "maximize", "maximize"]
    assert {best_direction(metric) for metric in FINAL_METRICS if metric != "val_loss"} == {"maximize"}


def test_names_of_sites_are_those_that_mlflow_takes() -> None:
    sites = ["B", "St. Ann", "a_b/c", "Süd", "S@d", "S-d-3", "北", "x" * 300]
    assert site_prefixes(sites) == (
        "site-B", "site-St.-Ann", "site-a-b-c", "site-S-d--3", "site-S-d--4", "site-S-d-3", "site-other",
        "site-" + "x" * 60,
    )  # fmt: skip
