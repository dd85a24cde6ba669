"""The parent run of a study, and what concerns the runs nested under it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import lru_cache

from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking.artifact_writer import CHECKPOINTS
from mobilenet_chest.tracking.outbox.journal import journals
from mobilenet_chest.tracking.outbox.writes import remove_artifacts
from mobilenet_chest.tracking.run_owners import living_owners
from mobilenet_chest.tracking.runs import nested_runs, run_exists, search_runs
from mobilenet_chest.tracking.store import all_experiment_ids, connect, store_required
from mobilenet_chest.tracking.tags import CHECKPOINTS_REMOVED, FOLDS
from mobilenet_chest.tracking.tracker import TRIAL_KINDS, MlflowTracker

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 30
"""How long a sweep waits for an answer where many files are removed, or many runs looked at."""


def open_study_run(config: Config, data: TrainVal, known: str | None) -> MlflowTracker:
    """The study's parent run, running: the one known from before if the store still has it, or a new one.

    Args:
        config: The experiment, with its search space.
        data: For tags and the dataset.
        known: Run id that the study remembers.
    """
    client = connect()
    tags = {"study": config.study_name, "metric": config.study.metric, "direction": config.study.direction}
    if known is not None and run_exists(client, known):
        resumed = MlflowTracker("study", resume=known)
        resumed.take_over()
        return resumed
    tracker = MlflowTracker("study", name=config.study_name, tags=tags)
    tracker.start(config, data)
    return tracker


def sync_trial_runs(parent: str, living: Collection[int], told: Mapping[str, str], kind: str = "trial") -> list[str]:
    """Bring the runs nested under a study's into agreement with what the study knows.

    Args:
        parent: The study's run.
        living: Numbers of the trials that are being worked on.
        told: Run id -> state of each trial that counts, done or failed.
        kind: Of the runs; the tag of that name has the trial's number.

    Returns:
        What was changed, or cannot be mended, a line each; with the store away, a line that says so.
    """
    said: list[str] = []
    try:
        with store_required(ANSWER_SECONDS):
            said += _settled(connect(), parent, living, told, kind)
    except TrackingError as error:
        said.append(f"its runs are not looked after: {error}")
    return said


def _settled(
    client: MlflowClient, parent: str, living: Collection[int], told: Mapping[str, str], kind: str
) -> list[str]:  # fmt: skip
    said, there, idle = [], set(), {}
    for run in (run for run in nested_runs(client, parent) if run.data.tags.get("kind") == kind):
        run_id, state = str(run.info.run_id), told.get(run.info.run_id)
        there.add(run_id)
        if state is not None:
            if run.data.tags.get("trial_state") != state:
                client.set_tag(run_id, "trial_state", state)
                client.set_terminated(run_id, "FAILED" if state == "FAIL" else "FINISHED")
                said.append(f"run {run_id}: {state}, as its trial in the study")
        elif run.info.status in ("RUNNING", "SCHEDULED") and int(run.data.tags.get(kind, -1)) not in living:
            client.set_terminated(run_id, "KILLED")
            client.set_tag(run_id, "trial_state", "INTERRUPTED")
            said.append(f"run {run_id}: nobody works on its trial any more, KILLED")
        if FOLDS in run.data.tags and int(run.data.tags[kind]) not in living:
            idle[run_id] = run.info.experiment_id
    running = search_runs(client, [*set(idle.values())], "tags.kind = 'fold' AND attributes.status = 'RUNNING'")
    for run in running:
        if run.data.tags.get("mlflow.parentRunId") in idle:
            client.set_terminated(run.info.run_id, "KILLED")
            said.append(f"run {run.info.run_id}: nobody works on its fold any more, KILLED")
    return said + [f"run {run_id}: gone, though its trial is {told[run_id]}" for run_id in sorted(set(told) - there)]


def close_abandoned_runs(at_work: Collection[str] = ()) -> list[tuple[str, str]]:
    """Mark KILLED what still says RUNNING though the process that wrote it is gone, but for those of
    trials, which are their study's, and for the runs ``at_work``; run ids with their tag ``kind``."""
    client = connect()
    running = [
        run
        for run in search_runs(client, all_experiment_ids(client), "attributes.status = 'RUNNING'")
        if run.data.tags.get("kind", "trial") not in TRIAL_KINDS and run.info.run_id not in at_work
    ]
    living = living_owners(running)
    dead = [(str(run.info.run_id), run.data.tags["kind"]) for run in running if run.info.run_id not in living]
    for run_id, _ in dead:
        client.set_terminated(run_id, "KILLED")
    return dead


def prune_checkpoints(runs: Mapping[str, bool]) -> None:
    """Delete the checkpoints of the runs that map to False; their metrics, predictions and plots stay.

    With the store away it says so on stderr and leaves the rest for the next time.
    """
    superfluous = {run_id for run_id, keep in runs.items() if not keep} - _cleaned()
    # a checkpoint may be among the pending writes
    superfluous -= {journal.run_id for journal in journals() if journal.has_pending}
    try:
        with store_required(ANSWER_SECONDS):
            client = connect()
            for run_id in sorted(superfluous):
                run = client.get_run(run_id)
                if CHECKPOINTS_REMOVED not in run.data.tags:
                    remove_artifacts(run, CHECKPOINTS)
                    client.set_tag(run_id, CHECKPOINTS_REMOVED, "not among the study's best")
                _cleaned().add(run_id)
    except TrackingError as error:
        logger.warning(f"checkpoints of trials that are not among the best are not deleted yet: {error}")


@lru_cache(maxsize=1)
def _cleaned() -> set[str]:
    """Runs this process knows to be without checkpoints: asking the store for each of them again is slow."""
    return set()
