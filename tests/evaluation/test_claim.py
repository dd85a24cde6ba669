"""Claims: rules are read strictly, intervals decide, and power and the chance of a false claim are what they say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.errors import UserError
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.claim import (
    ALPHA,
    Condition,
    chance_false,
    measured,
    parse_rule,
    power,
    rule_text,
    rule_verdict,
)
from mobilenet_chest.evaluation.delong import auc_difference, auc_interval
from mobilenet_chest.evaluation.intervals import Interval, wilson
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.evaluation.significance import mcnemar


def predicted(seed: int, distance: float = 2.0, rows: int = 300, threshold: float = 0.6) -> RunPredictions:
    """A run whose scores are normal, ``distance`` apart between the classes; labels and order are always the same."""
    labels = np.repeat(np.array([0, 1], np.uint8), [rows // 3, rows - rows // 3])
    scores = np.random.default_rng(seed).normal(size=rows) + distance * labels
    probability = 1 / (1 + np.exp(-scores + distance / 2))
    predictions = Predictions(np.arange(rows), labels, probability, probability)
    return RunPredictions(predictions, {"threshold": threshold}, EvaluationConfig(), 0)


def test_a_rule_is_read() -> None:
    conditions = parse_rule("  AUC>=.950 and accuracy <= 0.9 ".replace("AUC", "auc"))
    assert conditions == [Condition("auc", ">=", 0.95), Condition("accuracy", "<=", 0.9)]
    assert rule_text(conditions) == "auc >= 0.95 and accuracy <= 0.9"


def test_a_margin_adds_a_difference_of_each_metric() -> None:
    conditions = parse_rule("auc >= 0.95 and specificity", 0.02)
    assert conditions == [
        Condition("auc", ">=", 0.95),
        Condition("auc", ">=", -0.02, difference=True),
        Condition("specificity", ">=", -0.02, difference=True),
    ]
    assert rule_text(conditions[1:]) == "auc difference >= -0.02 and specificity difference >= -0.02"


@pytest.mark.parametrize(
    ("rule", "wants"),
    [
        ("", "is empty"),
        ("auc >= 0.9 and ", "is no metric"),
        ("auc >= 0.9 or accuracy >= 0.9", "and"),
        ("acuracy >= 0.9", "did you mean 'accuracy'"),
        ("auc => 0.9", "'=>'; allowed: >=, <="),
        ("auc > 0.9", "'>'; allowed: >=, <="),
        ("auc >= 98.5%", "0.985"),
        ("auc >= 90", "0.9"),
        ("auc >= 0,985", "'0,985'"),
        ("auc >= 1", "'1'"),
        ("auc >= -0.1", "'-0.1'"),
        ("auc >= nan", "'nan'"),
        ("auc", "--against"),
        ("auc >= 0.9 and auc >= 0.95", "two conditions"),
        ("auc >= 0.9 and auc <= 0.8", "at most 0.8"),
    ],
)
def test_a_wrong_rule_is_one_line(rule: str, wants: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_rule(rule)
    assert wants in str(caught.value)
    assert "\n" not in str(caught.value)
    assert f"rule '{rule}'" in str(caught.value)


@pytest.mark.parametrize("margin", [-0.01, 1.0, math.nan])
def test_a_wrong_margin_is_refused(margin: float) -> None:
    with pytest.raises(UserError, match="--margin"):
        parse_rule("auc", margin)


@pytest.mark.parametrize(
    ("sign", "low", "high", "verdict"),
    [
        (">=", 0.9, 0.95, "held"),
        (">=", 0.89, 0.95, "not decidable"),
        (">=", 0.85, 0.9, "not decidable"),
        (">=", 0.85, 0.89, "not held"),
        ("<=", 0.85, 0.9, "held"),
        ("<=", 0.85, 0.95, "not decidable"),
        ("<=", 0.91, 0.95, "not held"),
    ],
)
def test_the_interval_decides(sign: str, low: float, high: float, verdict: str) -> None:
    condition = Condition("auc", sign, 0.9)  # type: ignore[arg-type]  # a parameter is text
    assert condition.verdict(Interval((low + high) / 2, low, high)) == verdict


def test_a_rule_holds_if_all_conditions_do() -> None:
    assert rule_verdict(["held", "held"]) == "held"
    assert rule_verdict(["held", "not decidable"]) == "not decidable"
    assert rule_verdict(["not decidable", "not held"]) == "not held"


def test_values_are_those_of_the_served_model() -> None:
    run, other = predicted(1), predicted(2)
    conditions = parse_rule("auc >= 0.9 and specificity >= 0.5 and accuracy", 0.05)
    labels, scores = run.predictions.label, run.predictions.probability_tta
    right, others = (((each.predictions.probability_tta >= 0.6) == (labels == 1)) for each in (run, other))
    of_auc = auc_difference(labels, scores, other.predictions.probability_tta)
    of_accuracy = mcnemar(right, others)
    assert measured(conditions, "test", run, other)[:2] == [
        replace(auc_interval(labels, scores), value=auc(labels, scores)), wilson(int(right[labels == 0].sum()), 100),
    ]  # fmt: skip
    values = zip(conditions, measured(conditions, "test", run, other), strict=True)
    differences = {condition.metric: value for condition, value in values if condition.difference}
    assert differences["auc"] == Interval(of_auc.value, of_auc.low, of_auc.high)
    assert differences["accuracy"] == Interval(of_accuracy.value, of_accuracy.low, of_accuracy.high)


def test_power_is_the_chance_that_the_interval_clears_the_bound() -> None:
    run = predicted(3)
    right = float(run.correct("accuracy_tta_threshold").mean())
    conditions = parse_rule(f"accuracy >= {right - 0.06:.4f}")
    small, large = (power(conditions, run, images, draws=200) for images in ((40, 80), (400, 800)))
    assert 0.2 < small < 0.6
    assert large > 0.98
    assert power(parse_rule("auc", 0.0), run, (50, 50), run, draws=5) == 1.0  # a run is never worse than itself
    assert power(parse_rule("auc >= 0.999"), run, (50, 50), draws=20) == 0.0


def test_the_chance_of_a_false_claim_grows_with_tries() -> None:
    assert chance_false(1, 1.0) == pytest.approx(ALPHA / (1 + ALPHA))
    assert chance_false(1, 0.5) == pytest.approx(ALPHA / (0.5 + ALPHA))
    assert chance_false(40, 0.5) == pytest.approx(0.5598, abs=1e-3)
    assert chance_false(1, 0.0) == 1.0
