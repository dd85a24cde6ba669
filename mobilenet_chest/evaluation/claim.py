"""A claim about a test split: its rule, the answer that an interval gives, and the power of the split."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mobilenet_chest.errors import UserError, allowed_names
from mobilenet_chest.evaluation.delong import auc_difference, auc_interval
from mobilenet_chest.evaluation.intervals import LEVEL, Difference, Interval, wilson
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import split_metrics
from mobilenet_chest.evaluation.paired import paired_difference
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.evaluation.significance import mcnemar

Sign = Literal[">=", "<="]

Verdict = Literal["held", "not held", "not decidable"]

SIGNS: tuple[Sign, ...] = (">=", "<=")

METRICS = {
    "auc": "auc_tta",
    "accuracy": "accuracy_tta_threshold",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
"""Metric of a rule -> the metric of a split that it means: that of the served model, with TTA at its threshold."""

EXAMPLE = "auc >= 0.95 and accuracy >= 0.90"

ALPHA = (1 - LEVEL) / 2
"""How often a claim that is false by a hair is called held: where its one interval lies wholly above by chance. A rule
of several conditions is called held more rarely, since all of them must be."""

PRIOR = 0.5
"""Share of claims that were true before anything was opened."""

DRAWS = 500
"""Of the simulation of power, whose standard error is then at most 0.022."""

_TERM = re.compile(r"(\w+)\s*(?:([^\w\s.+-]+)\s*(\S+))?")


@dataclass(frozen=True)
class Condition:
    """One condition of a rule.

    Attributes:
        metric: A name of :data:`METRICS`.
        sign: Whether the value must be at least, or at most, the bound.
        bound: Between 0 and 1; for a difference minus the margin.
        difference: Whether the value is the run's metric minus that of the run it is compared with.
    """

    metric: str
    sign: Sign
    bound: float
    difference: bool = False

    @property
    def text(self) -> str:
        """As a rule has it."""
        return f"{self.metric}{' difference' if self.difference else ''} {self.sign} {self.bound:g}"

    def verdict(self, interval: Interval) -> Verdict:
        """Return whether the interval lies wholly where the condition holds, wholly elsewhere, or across the bound."""
        low, high = interval.low, interval.high
        holds, fails = low >= self.bound, high < self.bound
        if self.sign == "<=":
            holds, fails = high <= self.bound, low > self.bound
        return "held" if holds else "not held" if fails else "not decidable"


def parse_rule(text: str, margin: float | None = None) -> list[Condition]:
    """Return the conditions of a rule such as ``auc >= 0.95 and accuracy >= 0.90``.

    Args:
        text: Conditions joined by ``and``. A metric without sign and number is only compared with another run.
        margin: What may be lost against the other run; ``None`` without one. With it, each metric of the rule gets a
            further condition: the difference is at least minus the margin.

    Raises:
        UserError: A metric, sign or number is wrong, or there is nothing to compare with.
    """
    if margin is not None and not 0 <= margin < 1:
        raise UserError(f"--margin {margin:g}: what may be lost, at least 0 and below 1, such as 0.01")
    conditions: list[Condition] = []
    for term in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE):
        condition = _condition(text, term.strip(), margin)
        if condition.metric in {other.metric for other in conditions if other.sign == condition.sign}:
            raise UserError(f"rule '{text}': {condition.metric} has two conditions with {condition.sign}; keep one")
        conditions.append(condition)
    for low in conditions:
        for high in conditions:
            if (low.metric, low.sign, high.sign) == (high.metric, ">=", "<=") and low.bound > high.bound:
                raise UserError(f"rule '{text}': no {low.metric} is at least {low.bound:g} and at most {high.bound:g}")
    bounded = [condition for condition in conditions if not condition.difference]
    if margin is None:
        return bounded
    metrics = dict.fromkeys(condition.metric for condition in conditions)
    return [*bounded, *(Condition(metric, ">=", -margin, difference=True) for metric in metrics)]


def _condition(rule: str, term: str, margin: float | None) -> Condition:
    match = _TERM.fullmatch(term)
    if match is None:
        what = "is empty" if not term else f"'{term}' is no metric with a sign and a number"
        raise UserError(f"rule '{rule}': {what}; join such conditions by 'and': '{EXAMPLE}'")
    metric, sign, number = match.groups()
    if metric not in METRICS:
        raise UserError(f"rule '{rule}': no metric '{metric}'{allowed_names(metric, METRICS)}")
    if sign is None:
        if margin is None:
            raise UserError(
                f"rule '{rule}': {metric} has nothing to compare with; add a number, such as '{metric} >= 0.9', or a "
                "run, by --against RUN_ID"
            )
        return Condition(metric, ">=", -margin, difference=True)
    if sign not in SIGNS:
        raise UserError(f"rule '{rule}': sign '{sign}'; allowed: {', '.join(SIGNS)}")
    return Condition(metric, sign, _bound(rule, metric, number))


def _bound(rule: str, metric: str, number: str) -> float:
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if 0 < bound < 1:
        return bound
    is_percent = number.endswith("%") or 1 < bound <= 100
    share = number.removesuffix("%")
    try:
        hint = f"{float(share) / 100:g}" if is_percent else "0.9"
    except ValueError:
        hint = "0.9"
    raise UserError(f"rule '{rule}': {metric} '{number}' is no number above 0 and below 1, such as {hint}")


def rule_text(conditions: Sequence[Condition]) -> str:
    """Return a rule in one form, whatever spaces and zeros it was typed with."""
    return " and ".join(condition.text for condition in conditions)


def measured(
    conditions: Sequence[Condition], split: str, run: RunPredictions, against: RunPredictions | None = None
) -> list[Interval]:
    """Return the value of each condition with its 95% interval.

    Args:
        conditions: Of a rule.
        split: Of the predictions.
        run: Predictions; its ``metrics`` have the ``threshold`` of the claim.
        against: Those of the run to compare with, on the same images.
    """
    metrics = split_metrics(split, run.predictions, run.metrics["threshold"])
    names = [f"{split}_{name}" for name in METRICS.values()]
    intervals = metric_intervals(split, {name: metrics[name] for name in names}, run)
    values = []
    for condition in conditions:
        name = METRICS[condition.metric]
        if not condition.difference:
            logged = f"{split}_{name}"  # its value to the last bit: DeLong's mean of placements is another sum
            values.append(replace(intervals[logged], value=metrics[logged]))
            continue
        assert against is not None  # a condition of a difference is made with a run to compare with
        difference = paired_difference(name, run, against)
        values.append(Interval(difference.value, difference.low, difference.high))
    return values


def rule_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on a rule from those on its conditions: one that does not hold decides, else all must hold."""
    if "not held" in verdicts:
        return "not held"
    return "held" if all(verdict == "held" for verdict in verdicts) else "not decidable"


def power(
    conditions: Sequence[Condition],
    run: RunPredictions,
    images: tuple[int, int],
    against: RunPredictions | None = None,
    draws: int = DRAWS,
) -> float:
    """Return the chance that a split answers *held*, if its images are like those of validation.

    Sets of as many images of each class as the split has are drawn from the validation predictions with replacement,
    always the same ones. Each set is answered as the split will be. Images count as independent.

    Args:
        conditions: Of the rule.
        run: Validation predictions; its ``metrics`` have the ``threshold`` of the claim.
        images: Images of class 0 and of class 1 in the split.
        against: Validation predictions of the run to compare with, of the same images.
        draws: Number of sets.
    """
    labels, generator = run.predictions.label, np.random.default_rng(0)
    classes = [np.flatnonzero(labels == label) for label in (0, 1)]
    held = 0
    for _ in range(draws):
        chosen = np.concatenate([generator.choice(rows, count) for rows, count in zip(classes, images, strict=True)])
        held += all(c.verdict(_value(c, chosen, run, against)) == "held" for c in conditions)
    return held / draws


def _value(condition: Condition, chosen: np.ndarray, run: RunPredictions, against: RunPredictions | None) -> Interval:
    """Return the value of a condition on drawn images, by the formulas of :func:`measured`."""
    labels = run.predictions.label[chosen]
    if condition.metric == "auc":
        scores = run.predictions.probability_tta[chosen]
        if not condition.difference or against is None:
            return auc_interval(labels, scores)
        return _interval(auc_difference(labels, scores, against.predictions.probability_tta[chosen]))
    among = {"sensitivity": labels == 1, "specificity": labels == 0}.get(condition.metric, labels >= 0)
    right = run.correct("accuracy_tta_threshold")[chosen][among]
    if not condition.difference or against is None:
        return wilson(int(right.sum()), len(right))
    return _interval(mcnemar(right, against.correct("accuracy_tta_threshold")[chosen][among]))


def _interval(difference: Difference) -> Interval:
    return Interval(difference.value, difference.low, difference.high)


def chance_false(tries: int, power: float) -> float:
    """Return the chance that a claim is false although a split answered *held*.

    One false claim is called held with :data:`ALPHA`; at least one of several tries with 1 − (1 − ALPHA)^tries. A true
    claim is called held with the power. Before, both were equally likely (:data:`PRIOR`). By Bayes' theorem, as
    Ioannidis (PLoS Medicine 2005) has it for several teams, but with the power of one try: the chance is rather too
    large than too small.

    Args:
        tries: How often something could have been called held, this time included.
        power: Of the split.
    """
    false_alarm = (1 - PRIOR) * (1 - (1 - ALPHA) ** tries)
    return false_alarm / (false_alarm + PRIOR * power)
