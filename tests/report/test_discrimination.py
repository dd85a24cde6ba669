"""ROC and precision-recall curves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mobilenet_chest.report.details import run_details
from mobilenet_chest.report.discrimination import drawn_baseline
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import Candidate

if TYPE_CHECKING:
    from helpers.stores import Store
    from report.conftest import Written


def test_a_baseline_of_other_images_is_not_drawn(store: Store) -> None:
    leader, baseline = (
        run_details(store.client, Candidate(store.run(run_id)), run_id) for run_id in (store.trials[0], store.single)
    )
    assert drawn_baseline(leader, baseline) == (baseline, None)
    assert drawn_baseline(leader, leader) == (None, None)
    assert drawn_baseline(leader, None) == (None, None)
    rows = replace(baseline.scored.predictions, row=baseline.rows + 1)
    drawn, reason = drawn_baseline(leader, replace(baseline, scored=replace(baseline.scored, predictions=rows)))
    assert drawn is None
    assert reason is not None
    assert store.single in reason


def test_the_page_has_the_run_s_own_auc_and_both_curves(written: Written) -> None:
    store, page = written.store, written.page
    metrics = metrics_of(store.run(store.trials[store.best]))
    assert f"AUC {metrics['val_auc_tta']:.3f} (" in page.by_id("discrimination").text
    for key in ("roc", "precision-recall"):
        assert f"trial {store.best}" in page.by_id(f"{key}-d").text
