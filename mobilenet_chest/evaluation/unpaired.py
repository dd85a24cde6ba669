"""Differences and means of one metric over samples of different images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mobilenet_chest.evaluation.intervals import Interval


def unpaired_difference(first: Interval, second: Interval) -> Interval:
    """Return the first value minus the second, with an interval of the level that both have.

    Zou and Donner, Construction of confidence intervals about effect measures, Statistics in Medicine 2008: each end
    lies as far from the difference as the two distances to the ends of the single intervals, added in squares. Of two
    shares with Wilson's intervals it is Newcombe's interval.

    Args:
        first: A metric of some images.
        second: The same metric of other images.
    """
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Interval(value, value - below, value + above)


def unpaired_mean(intervals: Sequence[Interval]) -> Interval:
    """Return the mean of one metric over samples of different images, with an interval of the level that all have.

    Each end lies as far from the mean as the distances to the ends of the single intervals, added in squares, over
    their number: Zou and Donner, as in :func:`unpaired_difference`.
    """
    count = len(intervals)
    value = sum(each.value for each in intervals) / count
    below = math.hypot(*(each.value - each.low for each in intervals)) / count
    above = math.hypot(*(each.high - each.value for each in intervals)) / count
    return Interval(value, value - below, value + above)
