"""Whether a searched field has an influence on the trials, told from their ranks.

Ranks, because a metric such as AUC is not normally distributed. A pruned trial ranks behind all complete ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial

from mobilenet_chest.config import Distribution
from mobilenet_chest.config.metrics import Direction, as_score

PREFERRED = 0.4
"""Share of what the other parts of a range would have, and the preferred part has besides its own."""


class Ranked(NamedTuple):
    """An ended trial and its score: greater is better, and pruned trials share the least one."""

    params: dict[str, Any]
    score: float


def rank(direction: Direction, complete: Sequence[FrozenTrial], pruned: Sequence[FrozenTrial]) -> list[Ranked]:
    """Return the ended trials with their scores; none without a complete one.

    Args:
        direction: In which the study's metric gets better.
        complete: The complete trials.
        pruned: The pruned ones.
    """
    if not complete:
        return []
    ranked = [Ranked(trial.params, as_score(trial.values[0], direction)) for trial in complete]
    behind = min(trial.score for trial in ranked) - 1.0
    return ranked + [Ranked(trial.params, behind) for trial in pruned]


def bounds(distribution: Distribution) -> tuple[float, float, bool]:
    """Return both ends of a range, or of choices that are numbers, and whether it is logarithmic."""
    if distribution.choices is None:
        assert distribution.low is not None
        assert distribution.high is not None
        return distribution.low, distribution.high, distribution.log
    numbers = [choice for choice in distribution.choices if isinstance(choice, int | float)]
    low, high = min(numbers), max(numbers)
    return low, high, low > 0 and high / low >= 10


def place_in_range(distribution: Distribution) -> Callable[[float], float] | None:
    """Return what gives the place of a value in a range, from 0 at its low end to 1 at its high end.

    ``None`` for what is no range: names, a single value, and two numbers, each of which would be an end.
    """
    choices = distribution.choices
    if choices is not None and (len(choices) < 3 or any(not _is_number(c) for c in choices)):
        return None
    low, high, log = bounds(distribution)
    if low == high:
        return None
    if log:
        return lambda value: math.log(value / low) / math.log(high / low)
    return lambda value: (value - low) / (high - low)


def _is_number(choice: object) -> bool:
    return isinstance(choice, int | float) and not isinstance(choice, bool)


def greater_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the one-sided p-value of the Mann–Whitney test that the first numbers are greater."""
    from scipy.stats import mannwhitneyu

    if not first or not second or len({*first, *second}) == 1:
        return 1.0
    return float(mannwhitneyu(first, second, alternative="greater").pvalue)


def influence_p(distribution: Distribution, values: Sequence[Any], scores: Sequence[float]) -> float | None:
    """Return the p-value of "this field has no influence on the scores"; ``None`` where it cannot be tested.

    Two tests look for an influence, and the smaller of their p-values counts twice (Bonferroni). Spearman's rank
    correlation sees one direction over a range. Kruskal and Wallis's test on the thirds of a range, or on the choices,
    also sees a best value in the middle. There is no correction over the fields: it would make "no influence" easier to
    say.

    Args:
        distribution: What is searched.
        values: The field's value in each trial, as Optuna has stored it.
        scores: The trials' scores.
    """
    from scipy.stats import kruskal, spearmanr

    if len(set(scores)) == 1 or len(set(map(repr, values))) == 1:
        return None
    place = place_in_range(distribution)
    if place is None:
        return float(kruskal(*_groups(list(map(repr, values)), scores)).pvalue)
    where = [place(value) for value in values]
    ordered = sorted(where)
    thirds = [3 * ordered.index(each) // len(ordered) for each in where]  # equal values are in one third
    groups = _groups(thirds, scores)
    p_values = [float(spearmanr(where, scores).pvalue)]
    p_values += [float(kruskal(*groups).pvalue)] if len(groups) > 1 else []
    return min(1.0, len(p_values) * min(p_values))


def is_preferred(distribution: Distribution, values: Sequence[Any]) -> bool:
    """Return whether a sampler has come back to one third of a range, or to one choice, far more often than to others.

    A sampler that learns, such as TPE, then has seen an influence: within the part that it prefers there is little left
    to see. "Far more" is beyond the equal share by :data:`PREFERRED` of what the others would have.
    """
    place = place_in_range(distribution)
    if place is None:
        keys, parts = [repr(value) for value in values], len(distribution.choices or (0,))
    else:
        keys, parts = [str(min(2, int(3 * place(value)))) for value in values], 3
    most = max(keys.count(key) for key in set(keys)) / len(keys)
    return parts > 1 and most > 1 / parts + PREFERRED * (1 - 1 / parts)


def _groups(keys: Sequence[Any], scores: Sequence[float]) -> list[list[float]]:
    return [[score for score, key in zip(scores, keys, strict=True) if key == each] for each in sorted(set(keys))]
