"""Which figures have an interval, and that it is the right one of the right images."""

from __future__ import annotations

import math

import numpy as np

from mobilenet_chest.evaluation.figures import figure_intervals
from mobilenet_chest.evaluation.predict import Predictions
from mobilenet_chest.evaluation.statistics import auc_interval, wilson

LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], np.uint8)
PLAIN = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.2, 0.3, 0.4, 0.6, 0.75])
TTA = np.array([0.9, 0.8, 0.7, 0.65, 0.1, 0.2, 0.3, 0.4, 0.6, 0.75])
PREDICTED = Predictions(np.arange(10), LABELS, PLAIN, TTA)


def test_shares_have_wilson_s_interval_of_the_images_they_are_shares_of() -> None:
    figures = {"val_accuracy": 0.7, "val_accuracy_crossfit": 0.9, "val_sensitivity": 0.75, "val_specificity": 5 / 6}
    assert figure_intervals(figures, PREDICTED) == {
        "val_accuracy": wilson(7, 10),
        "val_accuracy_crossfit": wilson(9, 10),
        "val_sensitivity": wilson(3, 4),
        "val_specificity": wilson(5, 6),
    }


def test_aucs_have_delong_s_of_their_own_probabilities() -> None:
    # of 24 pairs: .9 and .8 above all six, .7 above five, .2 above one and level with one; with TTA .65 above five
    found = figure_intervals({"test_auc": (6 + 6 + 5 + 1.5) / 24, "test_auc_tta": (6 + 6 + 5 + 5) / 24}, PREDICTED)
    assert found == {"test_auc": auc_interval(LABELS, PLAIN), "test_auc_tta": auc_interval(LABELS, TTA)}


def test_means_over_folds_have_none() -> None:
    assert figure_intervals({"val_auc": 0.9, "val_accuracy": 0.71}, PREDICTED) == {}


def test_what_is_no_share_of_images_has_none() -> None:
    others = {"threshold": 0.5, "val_loss": 0.3, "stage1_best_val_accuracy": 0.9, "val_accuracy": math.nan, "auc": 0.9}
    assert figure_intervals(others, PREDICTED) == {}
