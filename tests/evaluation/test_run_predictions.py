"""A run's metrics, as its predictions give them again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.crossfit import crossfit_accuracy
from mobilenet_chest.evaluation.metrics import epoch_metrics, selection_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RECOMPUTABLE, RunPredictions

LABELS = np.repeat(np.array([0, 1], np.uint8), (60, 120))
GENERATOR = np.random.default_rng(8)
LOGITS, TTA = (GENERATOR.normal(2.0 * LABELS - 0.7, 1.1) for _ in range(2))
PREDICTED = Predictions(np.arange(180), LABELS, 1 / (1 + np.exp(-LOGITS)), 1 / (1 + np.exp(-TTA)))
CONFIG = EvaluationConfig()
METRICS = selection_metrics(PREDICTED, CONFIG, 3) | {"val_loss": epoch_metrics(LABELS, LOGITS)["val_loss"]}
RUN = RunPredictions(PREDICTED, METRICS, CONFIG, 3)
WHOLE = np.ones((1, 180))


@pytest.mark.parametrize("name", RECOMPUTABLE)
def test_every_metric_is_that_of_the_run(name: str) -> None:
    assert RUN.statistic(name)(WHOLE)[0] == pytest.approx(METRICS[f"val_{name}"], abs=1e-12)


def test_of_some_images_it_is_that_of_them() -> None:
    """Weights of 0, 1 and 2, against the metrics of rows that are left out, there, and there twice."""
    times = np.random.default_rng(2).integers(0, 3, 180)
    rows = np.repeat(np.arange(180), times)
    some = Predictions(rows, *(column[rows] for column in (LABELS, PREDICTED.probability, PREDICTED.probability_tta)))
    expected = RunPredictions(some, METRICS, CONFIG, 3)
    ones = np.ones((1, len(rows)))
    # what is chosen on the images, bins and folds, stays that of all of them
    for name in (
        set(RECOMPUTABLE) - {"accuracy_crossfit", "ece"} - {n for n in RECOMPUTABLE if n.endswith("_calibrated")}
    ):
        result = RUN.statistic(name)(times[None].astype(float))
        assert result[0] == pytest.approx(expected.statistic(name)(ones)[0], abs=1e-12)


def test_of_folds_it_is_the_mean_of_theirs() -> None:
    fold = np.arange(180) % 3
    run = RunPredictions(replace(PREDICTED, fold=fold), METRICS, CONFIG, 3)
    aucs = [auc(LABELS[fold == k], PREDICTED.probability[fold == k]) for k in range(3)]
    assert run.statistic("auc")(WHOLE)[0] == pytest.approx(np.mean(aucs))
    assert run.statistic("auc")(WHOLE)[0] != pytest.approx(auc(LABELS, PREDICTED.probability), abs=1e-6)


def test_accuracies_are_of_the_decisions_that_the_metrics_count() -> None:
    run = RunPredictions(PREDICTED, {"threshold": 0.4, "threshold_plain": 0.6}, CONFIG, 3)
    columns = {
        "accuracy": (PREDICTED.probability, 0.5),
        "accuracy_threshold": (PREDICTED.probability, 0.6),
        "accuracy_tta": (PREDICTED.probability_tta, 0.5),
        "accuracy_tta_threshold": (PREDICTED.probability_tta, 0.4),
    }
    seen = set()
    for name, (probability, threshold) in columns.items():
        assert (run.correct(name) == ((probability >= threshold) == (LABELS == 1))).all()
        seen.add(run.correct(name).tobytes())
    assert len(seen) == 4
    assert (run.correct("sensitivity") == (PREDICTED.probability_tta[60:] >= 0.4)).all()
    assert (run.correct("specificity") == (PREDICTED.probability_tta[:60] < 0.4)).all()
    assert run.correct("accuracy_crossfit").mean() == crossfit_accuracy(LABELS, PREDICTED.probability_tta, CONFIG, 3)


def test_what_predictions_do_not_give_is_a_key_error() -> None:
    for name in ("epoch_seconds", "accuracy_crossfit_all"):
        with pytest.raises(KeyError, match=name):
            RUN.statistic(name)
    with pytest.raises(KeyError, match="loss"):
        RUN.correct("loss")
    with pytest.raises(KeyError, match="threshold"):
        RunPredictions(PREDICTED, {}, CONFIG, 3).statistic("sensitivity")


def test_people_are_known_where_one_has_two_images() -> None:
    assert RUN.clusters is None
    alone = np.array([f"p{row}" for row in range(180)])
    assert RunPredictions(replace(PREDICTED, patient=alone), METRICS, CONFIG, 3).clusters is None
    pairs = np.array([f"p{row // 2}" for row in range(180)])
    people = RunPredictions(replace(PREDICTED, patient=pairs), METRICS, CONFIG, 3).clusters
    assert people is not None
    assert len(np.unique(people)) == 90
    assert (people[::2] == people[1::2]).all()


def test_the_digest_of_images_is_that_of_rows_and_labels() -> None:
    rows, labels = PREDICTED.row + 1, 1 - PREDICTED.label
    digests = {
        RunPredictions(replace(PREDICTED, **changed), METRICS, CONFIG, 3).images_digest
        for changed in ({}, {"probability": PREDICTED.probability / 2}, {"row": rows}, {"label": labels})
    }
    assert len(digests) == 3
    assert {len(digest) for digest in digests} == {16}
