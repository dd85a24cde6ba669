"""The risk–coverage curve and the promises on the page, and as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from mobilenet_chest.evaluation.conformal import RATES, crossfit_result, risk_coverage
from mobilenet_chest.report.abstention import abstention_files
from mobilenet_chest.report.details import run_details
from mobilenet_chest.tracking.runs import Candidate

if TYPE_CHECKING:
    from report.conftest import Written


def test_page_and_file_have_the_run_s_curve_and_promises(written: Written) -> None:
    store = written.store
    run = run_details(store.client, Candidate(store.run(store.trials[store.best])), "best")
    curve = risk_coverage(run.labels, run.probability_tta, run.threshold)
    rows = list(csv.DictReader(io.StringIO(abstention_files(run)["risk_coverage.csv"])))
    assert [float(row["risk"]) for row in rows] == pytest.approx(curve.risk.tolist(), abs=1e-5)
    assert float(rows[-1]["coverage"]) == 1.0
    assert f"{curve.area:.4f}" in written.page.by_id("abstention").text
    promises = written.page.rows("promises")
    assert list(promises) == [f"{rate:.0%}, {name}" for rate in RATES for name in run.classes]
    for rate in RATES:
        result = crossfit_result(run.labels, run.probability_tta, rate, run.config.evaluation.folds, run.config.seed)
        for label, name in enumerate(run.classes):
            kept, referred = promises[f"{rate:.0%}, {name}"][2:]
            assert kept.startswith(f"{result.covered[label].value:.3f} (")
            assert referred.startswith(f"{1 - result.one.value:.3f} (")


def test_too_few_images_promise_nothing(written: Written) -> None:
    promises = written.page.rows("promises")
    few = [cells[0] for name, cells in promises.items() if name.startswith("5%")]
    assert "always: too few images" in few
