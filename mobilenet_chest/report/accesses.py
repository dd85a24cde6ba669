"""The access log of the sealed test split, and what each access showed."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config.formats import times, with_interval
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.report.elements import MISSING, Cell, Code, Element, Paragraph, Table
from mobilenet_chest.selection.access import Access
from mobilenet_chest.selection.evaluate import stored_intervals
from mobilenet_chest.selection.ledger import accesses
from mobilenet_chest.tracking.runs import get_run

TEST_METRICS = ("test_auc_tta", "test_accuracy_tta_threshold", "test_sensitivity", "test_specificity")

HEADINGS = ("access", "when", "by", "AUC with TTA", "accuracy, TTA, threshold", "sensitivity", "specificity",
            "run", "row digest")  # fmt: skip


def access_log(client: MlflowClient, run: Run) -> list[Element]:
    """Return every access to the test split for a run, or for a study, which is given by its run."""
    logged = accesses(client, run)
    if not logged:
        return [Paragraph("The test split has not been opened, so there are no test results.", "missing")]
    first = (
        f"The test split was opened {times(len(logged))}. Only the first is unbiased: later choices may depend on it."
    )
    caption = "Accesses to the test split and their results, with 95% intervals"
    rows = [_row(client, place, access) for place, access in enumerate(logged, 1)]
    return [Paragraph(first), Table("ledger", caption, HEADINGS, rows, text_columns=3)]


def _row(client: MlflowClient, place: int, access: Access) -> list[Cell]:
    intervals = _intervals(client, access)
    return [
        f"{place}{', again' if access.again else ''}",
        "unknown" if access.when is None else access.when[:16].replace("T", " ") + " UTC",
        access.who or "unknown",
        *(with_interval(access.result.get(name), intervals.get(name), 3, MISSING, " to ") for name in TEST_METRICS),
        Code(access.run_id),
        Code(access.digest or "unknown"),
    ]


def _intervals(client: MlflowClient, access: Access) -> dict[str, Interval]:
    """Return the intervals of an access's metrics; none where its predictions are not stored."""
    try:
        run = get_run(client, access.run_id)
        return stored_intervals(client, run, "test", access.result)
    except TrackingError:
        return {}
