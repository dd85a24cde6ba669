"""The cohorts that a run was scored on: data of other sources, and how far its metrics are from validation there."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config.formats import signed_interval, with_interval
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.report.elements import MISSING, Cell, Code, Element, Paragraph, Table
from mobilenet_chest.selection.access import Access, cohort_prefix
from mobilenet_chest.selection.cohort_compare import cohort_intervals
from mobilenet_chest.selection.cohorts import COMPARED, cohort_facts, differences_from_validation
from mobilenet_chest.selection.ledger import cohort_accesses
from mobilenet_chest.tracking.runs import get_run

HEADINGS = ("cohort", "opening", "when", "images", "of class 1", "AUC with TTA", "accuracy, TTA, threshold",
            "sensitivity", "specificity", "AUC minus validation", "run", "row digest")  # fmt: skip


def elsewhere(client: MlflowClient, run: Run) -> list[Element]:
    """Return every access to a cohort for a run, or for a study, which is given by its run; nothing without one."""
    logged = cohort_accesses(client, run)
    if not logged:
        return []
    text = "Only the first opening of a cohort is unbiased: later choices may depend on it."
    rows, opened = list[list[Cell]](), dict[str | None, int]()
    for access in logged:
        opened[access.digest] = opened.get(access.digest, 0) + 1
        rows.append(_row(client, access, opened[access.digest]))
    caption = "Results on data of other sources, with 95% intervals"
    return [Paragraph(text), Table("cohorts", caption, HEADINGS, rows, text_columns=3)]


def _row(client: MlflowClient, access: Access, place: int) -> list[Cell]:
    name = str(access.cohort)
    names = [f"{cohort_prefix(name)}_{score}" for score in COMPARED]
    try:
        run = get_run(client, access.run_id)
        facts, intervals = cohort_facts(run).get(name, {}), cohort_intervals(client, run, name)
        apart = differences_from_validation(client, run, name, intervals).get("auc_tta")
    except TrackingError:  # the run was deleted, or the access ended before its predictions were stored
        facts, intervals, apart = {}, {}, None
    return [
        name,
        f"{place}{', again' if access.again else ''}",
        str(access.when)[:16].replace("T", " ") + " UTC",
        str(facts.get("rows", MISSING)),
        f"{share:.1%}" if isinstance(share := facts.get("prevalence"), float) else MISSING,
        *(with_interval(access.result.get(each), intervals.get(each), 3, MISSING, " to ") for each in names),
        MISSING if apart is None else signed_interval(apart.value, apart),
        Code(access.run_id),
        Code(str(access.digest)),
    ]
