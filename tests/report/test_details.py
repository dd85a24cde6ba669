"""What the page reads of one run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mobilenet_chest.report.details import run_details
from mobilenet_chest.tracking.runs import Candidate
from mobilenet_chest.tracking.tags import OUT_OF_FOLD, SCORED_ON

if TYPE_CHECKING:
    from helpers.stores import Store


def test_an_ensemble_of_folds_shows_the_images_that_it_was_scored_on(store: Store) -> None:
    store.client.set_tag(store.single, SCORED_ON, OUT_OF_FOLD)
    run = run_details(store.client, Candidate(store.run(store.single)), "single")
    with np.load(store.data) as file:
        expected, in_train = [file["val_images"][3], file["train_images"][5]], len(file["train_images"])
    rows = replace(run.scored.predictions, row=np.array([in_train + 3, 5]))
    images = replace(run, scored=replace(run.scored, predictions=rows)).images(np.arange(2))
    assert not isinstance(images, str)
    for image, stored in zip(images, expected, strict=True):
        np.testing.assert_array_equal(image, stored)
    assert f"({OUT_OF_FOLD})" in run.images_scored


def test_the_history_has_the_epochs_and_not_the_final_metrics(store: Store) -> None:
    run = run_details(store.client, Candidate(store.run(store.single)), "single")
    assert list(run.history) == [1, 2, 3, 4, 5, 6]
    assert all("train_loss" in metrics for metrics in run.history.values())
    assert run.best_epoch in run.history
    assert run.folds is None
