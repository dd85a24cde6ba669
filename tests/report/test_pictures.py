"""Validation images on the page: random ones, and the most confident mistakes."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from mobilenet_chest.report.elements import Paragraph
from mobilenet_chest.report.pictures import confident_mistakes
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    from report.conftest import Written


def test_they_are_those_of_the_run_s_own_grid_and_the_most_confident_mistakes(written: Written) -> None:
    store, page = written.store, written.page
    run = store.run(store.trials[store.best])
    stored, threshold = stored_predictions(store.client, run, "val"), metrics_of(run)["threshold"]
    positive = stored["probability_tta"] >= threshold
    stored["right"] = positive == (stored["label"] == 1)
    confidence = np.where(positive, stored["probability_tta"], 1 - stored["probability_tta"])
    alts = [image.attributes["alt"] for image in page.all("img")]
    chosen = np.sort(np.random.default_rng(store.config().seed).permutation(len(stored))[:20])
    assert [int(re.findall(r"row (\d+)", alt)[0]) for alt in alts[:20]] == stored["row"][chosen].tolist()
    assert [": right." in alt for alt in alts[:20]] == stored["right"][chosen].tolist()
    classes = [
        item.attributes["class"] for item in page.all("li") if item.attributes.get("class") in ("right", "wrong")
    ]
    assert classes == ["right" if ": right." in alt else "wrong" for alt in alts]
    wrong = stored[~stored["right"]].assign(confidence=confidence[~stored["right"]])
    surest = wrong.sort_values("confidence", ascending=False, kind="stable")["row"][:10]
    assert [int(re.findall(r"row (\d+)", alt)[0]) for alt in alts[20:]] == surest.tolist()


def test_a_run_without_mistakes_says_so() -> None:
    perfect = SimpleNamespace(correct=np.ones(34, bool), labels=np.zeros(34))
    (paragraph,) = confident_mistakes(perfect)  # type: ignore[arg-type]
    assert isinstance(paragraph, Paragraph)
    assert paragraph.style == "missing"
    assert "34" in paragraph.text
