"""The access log of the test split on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.report.accesses import access_log
from mobilenet_chest.report.elements import Paragraph
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    from helpers.stores import Store
    from report.conftest import Written


def test_an_access_is_shown_with_its_results(written: Written) -> None:
    store, page = written.store, written.page
    (cells,) = page.rows("ledger").values()
    run = store.run(store.trials[store.best])
    tested = stored_predictions(store.client, run, "test")
    scored = auc_interval(tested["label"].to_numpy(), tested["probability_tta"].to_numpy())
    assert cells[2] == f"{metrics_of(run)['test_auc_tta']:.3f} ({scored.low:.3f} to {scored.high:.3f})"
    assert cells[6] == run.info.run_id
    assert "opened once" in page.by_id("test").text


def test_without_an_access_there_are_no_results(store: Store) -> None:
    (paragraph,) = access_log(store.client, store.run(store.single))
    assert isinstance(paragraph, Paragraph)
    assert paragraph.style == "missing"
