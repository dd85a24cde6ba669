"""Metrics of stressed copies, computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.conformal import conformal_result, conformal_rule
from mobilenet_chest.evaluation.stress import (
    FIGURES,
    mean_rows,
    promise_under_stress,
    stress_intervals,
    stress_metrics,
    stress_row,
)

LABELS = np.array([0, 0, 1, 1], np.uint8)
CLEAN = np.array([-2.0, -1.0, 1.0, 2.0])


def test_mean_worst_and_loss() -> None:
    logits = np.array([[-2.0, -1.0, 1.0, 2.0], [-1.0, 2.0, 1.0, 3.0]])  # AUC 1 and 3/4, accuracy 1 and 3/4
    assert stress_metrics("stress", LABELS, logits, CLEAN) == {
        "stress_auc_mean": 0.875,
        "stress_auc_worst": 0.75,
        "stress_accuracy_mean": 0.875,
        "stress_auc_loss": 0.125,
        "stress_accuracy_loss": 0.125,
    }


def test_a_diverged_network_has_no_metrics() -> None:
    metrics = stress_metrics("heldout_stress", LABELS, np.array([[0.0, 1.0, math.nan, 2.0]]), CLEAN)
    assert len(metrics) == 5
    assert all(name.startswith("heldout_stress_") and math.isnan(value) for name, value in metrics.items())


def test_a_row_of_the_table() -> None:
    row = stress_row(LABELS, np.array([-1.0, 2.0, 1.0, 3.0]), CLEAN, "jpeg", 3, "compression", True)
    assert "promised" not in row  # four images promise nothing
    assert (row["family"], row["corruption"], row["severity"], row["held_out"]) == ("compression", "jpeg", 3, True)
    assert (row["images"], row["auc"], row["accuracy"]) == (4, 0.75, 0.75)
    assert row["auc_low"] < 0.75 < row["auc_high"]
    assert row["accuracy_low"] == pytest.approx(0.3006, abs=1e-4)


def test_what_becomes_of_abstention_is_what_the_clean_rule_gives() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), 100)
    clean = np.random.default_rng(0).normal(size=200) * 2 + np.where(labels == 1, 2.0, -2.0)
    row = promise_under_stress(labels, clean + 2, clean)
    result = conformal_result(conformal_rule(labels, clean, 0.05), labels, clean + 2)
    assert row["promised"] == 0.95
    for label in (0, 1):
        ends = [row[f"kept_{label}{end}"] for end in ("", "_low", "_high")]
        share = result.covered[label]
        assert ends == [share.value, share.low, share.high]
    assert row["kept_0_high"] < 0.95 < row["kept_1"]  # brighter films: class 0 loses its promise
    assert row["referred"] == pytest.approx(result.both.value + result.none.value)
    assert (row["errors"], row["errors_low"]) == (result.errors.value, result.errors.low)


def test_the_promise_is_kept_on_the_images_that_it_was_made_from() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), 40)
    clean = np.random.default_rng(1).normal(size=80)
    row = promise_under_stress(labels, clean, clean)
    assert min(row["kept_0"], row["kept_1"]) >= 0.95
    assert promise_under_stress(labels[22:], clean[22:], clean[22:]) == {}  # 18 images of class 0


def drawn(families: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.array([0, 1], np.uint8), n)
    generator = np.random.default_rng(2)
    return labels, generator.normal(size=(families, 2 * n)) * 2 + np.where(labels == 1, 1.0, -1.0)


def test_intervals_are_those_of_the_same_draws() -> None:
    labels, logits = drawn(3)
    clean = logits[0] + 0.2
    ends, values = stress_intervals("stress", labels, logits, clean), stress_metrics("stress", labels, logits, clean)
    generator = np.random.default_rng(0)
    rows = [np.concatenate([generator.integers(0, 60, 60), generator.integers(60, 120, 60)]) for _ in range(300)]
    metrics = [stress_metrics("stress", labels[row], logits[:, row], clean[row]) for row in rows]
    (worst,) = (family for family in logits if auc(labels, family) == values["stress_auc_worst"])
    for name in FIGURES:
        draws = [each[f"stress_{name}"] for each in metrics]
        if name == "auc_worst":  # of one family, not of the lowest in each draw
            draws = [auc(labels[row], worst[row]) for row in rows]
        expected = np.quantile(draws, [0.025, 0.975])
        assert [ends[f"stress_{name}_low"], ends[f"stress_{name}_high"]] == pytest.approx(expected, abs=0.015)
    assert stress_intervals("stress", labels, logits, clean) == ends
    # equal families are no further images: the interval of their mean is as wide as that of one
    assert stress_intervals("stress", labels, np.stack([logits[0]] * 5), clean) == pytest.approx(
        stress_intervals("stress", labels, logits[:1], clean), abs=1e-12
    )


def test_patients_are_drawn_whole() -> None:
    labels, logits = drawn(2)
    clean = logits[0]
    alone, four = (stress_intervals("stress", labels, logits, clean, np.arange(120) // size) for size in (1, 4))
    patients = np.tile(np.arange(120).astype("U3"), 2)
    twice = stress_intervals("stress", np.tile(labels, 2), np.tile(logits, 2), np.tile(clean, 2), patients)
    width = {name: each["stress_auc_mean_high"] - each["stress_auc_mean_low"]
             for name, each in (("alone", alone), ("four", four), ("twice", twice))}  # fmt: skip
    # images that are there twice say no more than once
    assert width["twice"] == pytest.approx(width["alone"], rel=0.1)
    assert width["four"] != width["alone"]


def test_a_diverged_network_has_no_intervals() -> None:
    ends = stress_intervals("heldout_stress", LABELS, np.array([[-2.0, np.inf, 0.0, 2.0]]), CLEAN)
    names = [f"heldout_stress_{name}" for name in FIGURES]
    assert set(ends) == {f"{name}_{end}" for name in names for end in ("low", "high")}
    assert all(map(math.isnan, ends.values()))


def test_the_table_of_a_trial_is_the_mean_of_its_folds() -> None:
    tables = []
    for seed in (0, 1):
        labels = np.repeat(np.array([0, 1], np.uint8), 40)
        logits = np.random.default_rng(seed).normal(size=80) + np.where(labels == 1, 1.0, -1.0)
        tables.append([stress_row(labels, logits, logits, name, severity, "tone", False)
                       for name, severity in (("clean", 0), ("gamma", 1))])  # fmt: skip
    first, second = mean_rows(tables)
    assert (first["corruption"], first["severity"], first["images"]) == ("clean", 0, 160)
    assert (second["corruption"], second["severity"], second["held_out"]) == ("gamma", 1, False)
    (a, b) = (table[1] for table in tables)
    for name in ("auc", "accuracy", "kept_0", "errors"):
        assert second[name] == pytest.approx((a[name] + b[name]) / 2)
        below = math.hypot(a[name] - a[f"{name}_low"], b[name] - b[f"{name}_low"]) / 2
        assert second[f"{name}_low"] == pytest.approx(second[name] - below)
    assert second["promised"] == pytest.approx(0.95)
    assert second.keys() == a.keys()
    # a fold without the case, or without a promise, leaves it out
    small = stress_row(LABELS, CLEAN, CLEAN, "gamma", 1, "tone", False)
    (only,) = mean_rows([tables[0], [small]])
    assert "promised" not in only
    assert "auc" in only
    assert mean_rows([tables[0], []]) == []
