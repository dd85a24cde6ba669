"""Metrics that plugins register: their values, and their values over resampled images."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest import plugins
from mobilenet_chest.errors import PluginFailed
from mobilenet_chest.evaluation.bootstrap import Statistic, row_statistic
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

logger = logging.getLogger(__name__)

_reported: set[str] = set()
"""Messages that were logged: once in a process, not once in each epoch."""


def custom_metric(name: str, labels: Labels, probabilities: Probabilities) -> float:
    """Return a plugin's metric.

    Args:
        name: With ``val_``.
        labels: uint8 (n,).
        probabilities: float64 (n,), of class 1.

    Raises:
        PluginFailed: Its function raises, or returns anything but a finite number.
    """
    value = plugins.call("metric", name, labels.copy(), probabilities.copy())
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        owner, shown = plugins.owner("metric", name), " ".join(repr(value).split())[:60]
        raise PluginFailed(
            f"plugin {owner.path if owner else ''}: metric '{name}' returned {shown} for {len(labels)} images; "
            "return a finite number"
        )
    return number


def custom_metrics(labels: Labels, probabilities: Probabilities, required: Collection[str] = ()) -> dict[str, float]:
    """Return all metrics of the plugins at work; one that fails is left out, with a warning.

    Args:
        labels: uint8 (n,).
        probabilities: float64 (n,), of class 1.
        required: Metrics that must be there.

    Raises:
        PluginFailed: A required metric fails.
    """
    values = {}
    for name in plugins.names("metric"):
        try:
            values[name] = custom_metric(name, labels, probabilities)
        except PluginFailed as error:
            if name in required:
                raise
            if str(error) not in _reported:
                logger.warning("%s; it is left out", error)
                _reported.add(str(error))
    return values


def custom_statistic(name: str, labels: Labels, probabilities: Probabilities) -> Statistic:
    """Return a plugin's metric as a statistic of resampled images; NaN where it fails."""

    def value(labels: Labels, probabilities: Probabilities) -> float:
        try:
            return custom_metric(name, labels, probabilities)
        except PluginFailed:
            return math.nan

    return row_statistic(value, labels, probabilities)


def custom_epochs(name: str, labels: Labels, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a plugin's metric of each epoch, (epochs,), from probabilities (epochs, n); NaN where it fails."""
    once = np.ones((1, len(labels)))
    return np.array([custom_statistic(name, labels, row)(once)[0] for row in probabilities])
