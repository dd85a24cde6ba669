"""The parent run of a study, and what concerns the runs nested under it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.tracking.keeper import FOLDER
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tracker import MlflowTracker, remove_artifacts

CHECKPOINTS_REMOVED = "checkpoints_removed"


def open_study_run(config: Config, data: TrainVal, known: str | None) -> MlflowTracker:
    """The study's parent run, running: the one known from before if the store still has it, or a new one.

    Args:
        config: The experiment, with its search space.
        data: For tags and the dataset.
        known: Run id that the study remembers.
    """
    client = connect()
    tags = {"study": config.study_name, "metric": config.study.metric, "direction": config.study.direction}
    if known is not None and _exists(client, known):
        client.update_run(known, status="RUNNING")
        return MlflowTracker("study", resume=known)
    tracker = MlflowTracker("study", name=config.study_name, tags=tags)
    tracker.start(config, data)
    return tracker


def close_dead_runs(parent: str, living: Collection[int]) -> list[str]:
    """Mark KILLED the nested runs that still say RUNNING though nobody works on their trial any more.

    Args:
        parent: The study's run.
        living: Numbers of the trials that are being worked on.

    Returns:
        The ids of the runs that were marked.
    """
    client = connect()
    closed = []
    for run in nested_runs(client, parent):
        if run.info.status in ("RUNNING", "SCHEDULED") and int(run.data.tags.get("trial", -1)) not in living:
            client.set_terminated(run.info.run_id, "KILLED")
            client.set_tag(run.info.run_id, "trial_state", "INTERRUPTED")
            closed.append(str(run.info.run_id))
    return closed


def nested_runs(client: MlflowClient, parent: str) -> list[Run]:
    """All runs under a parent, however many pages they take."""
    experiment = client.get_run(parent).info.experiment_id
    return search_all(client, [experiment], f"tags.`mlflow.parentRunId` = '{parent}'")


def search_all(client: MlflowClient, experiments: list[str], filter_string: str) -> list[Run]:
    """Every run that matches, newest first; MLflow gives a page at a time."""
    runs: list[Run] = []
    token = None
    while experiments:
        page = client.search_runs(experiments, filter_string, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            break
    return runs


def keep_checkpoints(runs: Mapping[str, bool]) -> None:
    """Delete the checkpoints of the runs that map to False; their metrics, predictions and plots stay."""
    client = connect()
    for run_id, keep in runs.items():
        if keep or run_id in _cleaned():
            continue
        run = client.get_run(run_id)
        if CHECKPOINTS_REMOVED not in run.data.tags:
            remove_artifacts(run, FOLDER)
            client.set_tag(run_id, CHECKPOINTS_REMOVED, "not among the study's best")
        _cleaned().add(run_id)


@lru_cache(maxsize=1)
def _cleaned() -> set[str]:
    """Runs this process knows to be without checkpoints: asking the store for each of them again is slow."""
    return set()


def _exists(client: MlflowClient, run_id: str) -> bool:
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
