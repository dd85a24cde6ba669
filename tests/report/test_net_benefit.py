"""The decision curve and the distribution of probabilities on the page, and as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mobilenet_chest.evaluation.net_benefit import decision_curve
from mobilenet_chest.report.details import run_details
from mobilenet_chest.report.net_benefit import READ_AT, benefit_files
from mobilenet_chest.tracking.runs import Candidate

if TYPE_CHECKING:
    from report.conftest import Written


def test_figures_and_files_have_the_same_numbers(written: Written) -> None:
    store = written.store
    run = run_details(store.client, Candidate(store.run(store.trials[store.best])), "best")
    curve = decision_curve(run.labels, run.probability_tta)
    rows = written.page.rows("needed")
    assert list(rows) == ["0.10", "0.20", "0.30", "0.50", "0.70", "0.90"]
    for cells, place in zip(rows.values(), READ_AT, strict=True):
        assert cells[0] == f"{curve.value[place]:.3f} ({curve.low[place]:.3f} to {curve.high[place]:.3f})"
    tables = {name: list(csv.DictReader(io.StringIO(text))) for name, text in benefit_files(run).items()}
    decided = tables["decision_curve.csv"]
    assert len(decided) == 99
    assert [float(row["net_benefit"]) for row in decided] == pytest.approx(curve.value.tolist(), abs=1e-5)
    counts = np.array([[int(row[name]) for row in tables["probabilities.csv"]] for name in ("class_0", "class_1")])
    assert counts.sum(axis=1).tolist() == [int((run.labels == label).sum()) for label in (0, 1)]
    logged = [file.path for file in store.client.list_artifacts(store.study_run, "report")]
    assert logged == ["report/decision_curve.csv", "report/probabilities.csv", "report/risk_coverage.csv"]
