"""The model card and the tags of a registered version."""

from __future__ import annotations

import pytest
from helpers.registry import Promoted

from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.selection.access import access_lines
from mobilenet_chest.tracking import artifacts
from mobilenet_chest.tracking.run_metrics import metrics_of


def test_the_version_carries_its_origin_and_metrics(promoted: Promoted) -> None:
    store, promotion = promoted
    run = store.run(promotion.run_id)
    version_tags = store.client.get_model_version("tiny", "1").tags
    for name in ("model", "weights", "dataset", "config_digest", "data_digest", "git_commit", "git_dirty",
                 "study", "trial"):  # fmt: skip
        assert version_tags[name] == run.data.tags[name]
    assert version_tags["run_id"] == promotion.run_id
    assert version_tags["test_evaluations"] == "1"
    assert version_tags["test_openings"] == access_lines(promotion.openings)[0]
    assert float(version_tags["verified_difference"]) <= 1e-4
    for name in ("threshold", "temperature", "val_auc", "val_accuracy_crossfit", "val_ece"):
        assert float(version_tags[name]) == pytest.approx(metrics_of(run)[name], rel=1e-5)
    for name, value in promotion.test.items():
        assert float(version_tags[name]) == pytest.approx(value, rel=1e-5)


def test_the_card_says_what_the_model_is_and_is_not(promoted: Promoted) -> None:
    store, promotion = promoted
    card = store.client.get_model_version("tiny", "1").description
    run = store.run(promotion.run_id)
    metrics = metrics_of(run)
    table = artifacts.stored_predictions(store.client, run, "val")
    val_interval = auc_interval(table["label"].to_numpy(), table["probability_tta"].to_numpy())
    cells = [
        (promotion.test["test_auc_tta"], promotion.intervals["test_auc_tta"]),
        (metrics["val_auc_tta"], val_interval),
    ]
    for text in (
        "**pneumothorax** (label 1) from **cardiomegaly** (label 0)",
        *(f"| {value:.4f} ({interval.low:.3f}–{interval.high:.3f}) |" for value, interval in cells),
        f"Cross-fitted validation accuracy: {metrics['val_accuracy_crossfit']:.4f}",
        f"threshold {metrics['threshold']:.2f}",
        f"{metrics['val_accuracy_crossfit_all']:.4f} where the other folds choose",
        f"temperature {metrics['temperature']:.3f}",
        f"{metrics['val_ece_calibrated']:.4f} instead of {metrics['val_ece']:.4f}",
        "test (accesses: 1)",
        f"- {access_lines(promotion.openings)[0]}\n",
        promotion.run_id,
        run.data.tags["data_digest"],
        "not a medical device",
    ):
        assert text in card
    assert "prepared" not in card  # the data file was not imported
    assert "nan" not in card.lower().replace("nano", "")
    with artifacts.artifact(store.client, run, "model_card.md") as path:
        assert path.read_text(encoding="utf-8") == card
