"""The run of a study, and the upkeep of the runs that are nested under it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import NamedTuple

from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import CHECKPOINTS
from mobilenet_chest.tracking.outbox.journal import journals
from mobilenet_chest.tracking.outbox.writes import remove_artifacts
from mobilenet_chest.tracking.run_owners import living_owners
from mobilenet_chest.tracking.run_settings import settings_text
from mobilenet_chest.tracking.runs import existing_run, nested_runs, run_exists, search_runs, short_id
from mobilenet_chest.tracking.store import all_experiment_ids, connect, store_required
from mobilenet_chest.tracking.tracker import TRIAL_KINDS, MlflowTracker

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 30
"""How long a sweep waits for an answer where many files are removed, or many runs are read."""


def open_study_run(config: Config, data: TrainVal, run_id: str | None) -> MlflowTracker:
    """Return a tracker of the study's run, which is RUNNING: the run from before, or a new one.

    Args:
        config: The experiment, with its search space.
        data: For the run's tags and datasets.
        run_id: The run from before, as the study remembers it; it counts if the store still has it.

    Raises:
        TrackingError: The store cannot be used.
    """
    client = connect()
    if run_id is not None and run_exists(client, run_id):
        resumed = MlflowTracker(tags.STUDY_KIND, resume=run_id)
        resumed.take_over()
        resumed.log_tags({tags.SETTINGS: settings_text(config)})  # a study may be continued with a confirmation
        return resumed
    study_tags = {
        tags.STUDY: config.study_name,
        tags.METRIC: config.study.metric,
        tags.DIRECTION: config.study.direction,
    }
    tracker = MlflowTracker(tags.STUDY_KIND, name=config.study_name, tags=study_tags)
    tracker.start(config, data)
    return tracker


def study_run_exists(run_id: str) -> bool:
    """Return whether the store has the run of a study, not deleted.

    Raises:
        TrackingError: The store is away.
    """
    with store_required(ANSWER_SECONDS):
        return run_exists(connect(), run_id)


class Synced(NamedTuple):
    """What was done to bring runs into agreement with their study.

    Attributes:
        lines: What was changed or cannot be mended, a line each.
        gone: Runs of trials that are deleted; ``None`` where the store could not be asked.
    """

    lines: list[str]
    gone: set[str] | None


def sync_trial_runs(
    parent: str, running: Collection[int], states: Mapping[str, str], kind: str = tags.TRIAL_KIND
) -> Synced:  # fmt: skip
    """Bring the runs of trials into agreement with what their study knows.

    Args:
        parent: Id of the study's run.
        running: Numbers of the trials that a worker trains.
        states: Run id -> state of each trial that is done, paused or failed.
        kind: Kind of the runs; the tag of that name has the trial's number.

    Returns:
        What was done; with the store away, or the study's run deleted, a line that says so.
    """
    try:
        with store_required(ANSWER_SECONDS):
            client = connect()
            if not run_exists(client, parent):
                line = f"its run {short_id(parent)} is deleted in MLflow; run its sweep again, which makes a new one"
                return Synced([line], None)
            moved, gone = _adopt(client, parent, states)
            return Synced(moved + _sync(client, parent, running, states, kind), gone)
    except TrackingError as error:
        return Synced([f"its runs are not looked after: {error}"], None)


def _adopt(client: MlflowClient, parent: str, states: Mapping[str, str]) -> tuple[list[str], set[str]]:
    """Move the runs of trials beneath the study's run, where they were beneath one that is deleted; find those gone."""
    beneath = {str(run.info.run_id) for run in nested_runs(client, parent)}
    lines, gone = [], set[str]()
    for run_id in sorted(set(states) - beneath):
        if run_exists(client, run_id):
            client.set_tag(run_id, tags.PARENT_RUN, parent)
            lines.append(f"run {short_id(run_id)}: moved beneath the study's run {short_id(parent)}")
        else:
            gone.add(run_id)
            back = f"from the trash it comes back with: mlflow runs restore --run-id {run_id}"
            lines.append(
                f"run {short_id(run_id)}: deleted in MLflow, so its trial is not chosen as the best; "
                f"{back if existing_run(client, run_id) else 'it was deleted for good'}"
            )
    return lines, gone


def _sync(
    client: MlflowClient, parent: str, running: Collection[int], states: Mapping[str, str], kind: str
) -> list[str]:  # fmt: skip
    lines, idle = [], {}
    for run in (run for run in nested_runs(client, parent) if run.data.tags.get(tags.KIND) == kind):
        run_id, state = str(run.info.run_id), states.get(run.info.run_id)
        if state is not None:
            if run.data.tags.get(tags.TRIAL_STATE) != state:
                client.set_tag(run_id, tags.TRIAL_STATE, state)
                client.set_terminated(run_id, {"FAIL": "FAILED", "PAUSED": "SCHEDULED"}.get(state, "FINISHED"))
                lines.append(f"run {short_id(run_id)}: {state}, as its trial in the study")
        elif run.info.status in ("RUNNING", "SCHEDULED") and int(run.data.tags.get(kind, -1)) not in running:
            client.set_terminated(run_id, "KILLED")
            client.set_tag(run_id, tags.TRIAL_STATE, "INTERRUPTED")
            lines.append(f"run {short_id(run_id)}: nobody works on its trial any more, KILLED")
        if tags.FOLDS in run.data.tags and int(run.data.tags[kind]) not in running:
            idle[run_id] = run.info.experiment_id
    folds = f"tags.{tags.KIND} = '{tags.FOLD_KIND}' AND attributes.status = 'RUNNING'"
    for run in search_runs(client, [*set(idle.values())], folds):
        if run.data.tags.get(tags.PARENT_RUN) in idle:
            client.set_terminated(run.info.run_id, "KILLED")
            lines.append(f"run {short_id(run.info.run_id)}: nobody works on its fold any more, KILLED")
    return lines


def close_abandoned_runs(running: Collection[str] = ()) -> list[tuple[str, str]]:
    """Mark runs KILLED that are still RUNNING although the process that wrote them is gone.

    Runs of trials are left to their study.

    Args:
        running: Ids of further runs to leave alone.

    Returns:
        Id and kind of each run that was closed.
    """
    client = connect()
    candidates = [
        run
        for run in search_runs(client, all_experiment_ids(client), "attributes.status = 'RUNNING'")
        if run.data.tags.get(tags.KIND, tags.TRIAL_KIND) not in TRIAL_KINDS and run.info.run_id not in running
    ]
    living = living_owners(candidates)
    abandoned = [
        (str(run.info.run_id), run.data.tags[tags.KIND]) for run in candidates if run.info.run_id not in living
    ]
    for run_id, _ in abandoned:
        client.set_terminated(run_id, "KILLED")
    return abandoned


def prune_checkpoints(runs: Mapping[str, bool]) -> None:
    """Delete the checkpoints of runs that are not to keep them; their metrics, predictions and plots stay.

    With the store away, a warning is logged, and the checkpoints are deleted the next time.

    Args:
        runs: Run id -> whether it keeps its checkpoints.
    """
    superfluous = {run_id for run_id, keep in runs.items() if not keep} - _pruned()
    # a pending write may upload a checkpoint after it was deleted here
    superfluous -= {journal.run_id for journal in journals() if journal.has_pending}
    try:
        with store_required(ANSWER_SECONDS):
            client = connect()
            for run_id in sorted(superfluous):
                run = client.get_run(run_id) if run_exists(client, run_id) else None
                if run is not None and tags.CHECKPOINTS_REMOVED not in run.data.tags:
                    remove_artifacts(run, CHECKPOINTS)
                    client.set_tag(run_id, tags.CHECKPOINTS_REMOVED, "not among the study's best")
                _pruned().add(run_id)
    except TrackingError as error:
        logger.warning(f"checkpoints of trials that are not among the best are not deleted yet: {error}")


@lru_cache(maxsize=1)
def _pruned() -> set[str]:
    """Return the runs that this process knows to be without checkpoints: to ask for each of them again is slow."""
    return set()
