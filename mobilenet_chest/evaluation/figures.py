"""How far a run's figures are from being known: an interval for each, from the predictions that they were made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from mobilenet_chest.evaluation.delong import auc_intervals
from mobilenet_chest.evaluation.metrics import Predicted
from mobilenet_chest.evaluation.statistics import Interval, wilson

ROUNDING = 1e-9

ACCURACIES = ("accuracy", "accuracy_threshold", "accuracy_tta", "accuracy_tta_threshold", "accuracy_crossfit",
              "accuracy_crossfit_all")  # fmt: skip


_wilson = lru_cache(maxsize=4096)(wilson)  # hundreds of runs on the same images have the same few hundred counts


def figure_intervals(figures: Mapping[str, float], predicted: Predicted) -> dict[str, Interval]:
    """95% intervals of AUCs (DeLong) and shares of images (Wilson), by the figure's name.

    They say what another sample of images would do to the figures of this model. What its choice did to them, of the
    epoch, of the threshold, among trials, is not in them.

    Args:
        figures: Of one split, named ``<split>_auc`` and so on. Others have no interval, nor have those that are not
            of all images at once, such as means over folds.
        predicted: Of that split.
    """
    labels = predicted.label
    positive = int((labels == 1).sum())
    counted = dict.fromkeys(ACCURACIES, len(labels)) | {"sensitivity": positive, "specificity": len(labels) - positive}
    ranked = dict(zip(("auc", "auc_tta"), auc_intervals(labels, predicted.probability, predicted.probability_tta),
                      strict=True))  # fmt: skip
    found = {}
    for name, value in figures.items():
        kind = name.partition("_")[2] if name.startswith(("val_", "test_")) else ""
        if kind in ranked:
            found[name] = ranked[kind]
        elif kind in counted and math.isfinite(value):
            found[name] = _wilson(round(value * counted[kind]), counted[kind])
    return {name: one for name, one in found.items() if abs(one.value - figures[name]) < ROUNDING}
