"""The runs that keep the access log for a run: those of its studies, or the run itself."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.runs import existing_run


def record_runs(client: MlflowClient, run: Run) -> dict[str, Run]:
    """Return the runs that keep the record for ``run``, by id, in an order that is the same for all processes."""
    keepers: dict[str, Run] = {}
    _add(client, str(run.info.run_id), keepers, set())
    return dict(sorted(keepers.items()))


def _add(client: MlflowClient, run_id: str, keepers: dict[str, Run], visited: set[str]) -> None:
    run = existing_run(client, run_id)  # also a deleted one: it keeps its record until it is gone for good
    if run is None or run_id in visited:
        return
    visited.add(run_id)
    run_tags, before = run.data.tags, len(visited)
    parent = run_tags.get(tags.PARENT_RUN, "")
    made_from = [*run_tags.get(tags.MEMBERS, "").split(","), run_tags.get(tags.TEACHER, "")]
    for origin in [parent] if parent else made_from:
        if origin:
            _add(client, origin, keepers, visited)
    if len(visited) == before:  # it is nested under nothing, and made from nothing
        keepers[run_id] = run
