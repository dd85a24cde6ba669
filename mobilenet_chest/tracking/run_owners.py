"""Who writes a run, and whether that process still does: heartbeats in a tag of the run."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mobilenet_chest.liveness import Heartbeat, Watch
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.client import is_away
from mobilenet_chest.tracking.outbox.sender import Sender
from mobilenet_chest.tracking.outbox.writes import Write
from mobilenet_chest.tracking.provenance import process_alive
from mobilenet_chest.tracking.store import connect

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15.0
"""Between two heartbeats of a run's process."""

SILENT_SECONDS = 60.0
"""A process of another machine, or one that is stopped, counts as gone after so long without a heartbeat."""


def run_heartbeat(sender: Sender) -> Heartbeat:
    """Return a heartbeat in the tag of a run that this process writes; it is left out while the store is away."""

    def write() -> Write | None:
        return None if heartbeat.stopped else {"tags": {tags.HEARTBEAT: str(int(time.time()))}}

    def beat(number: int) -> bool:
        try:
            sender.send_or_drop(write)
        except Exception as error:
            return is_away(error)  # else the run is deleted, or not to be written any more: the next write says so
        return True

    heartbeat = Heartbeat(beat, HEARTBEAT_SECONDS, name="run heartbeat")
    return heartbeat


def living_owner(run: Run) -> dict[str, Any] | None:
    """Return the process that is writing a run, if there is one and it has not died; see :func:`living_owners`."""
    return living_owners([run]).get(str(run.info.run_id))


def living_owners(runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """Return the processes that are writing runs, by run id, for runs that are RUNNING and whose process lives.

    This machine is asked about its own processes. A process of another machine, or one that is stopped, cannot be
    asked: its run's heartbeat is watched for up to :data:`SILENT_SECONDS`, which the log says.
    """
    living: dict[str, dict[str, Any]] = {}
    unknown: dict[str, dict[str, Any]] = {}
    for run in runs:
        if run.info.status != "RUNNING" or tags.OWNER not in run.data.tags:
            continue
        owner = json.loads(run.data.tags[tags.OWNER])
        alive = process_alive(owner)
        if alive is not False:
            (living if alive else unknown)[str(run.info.run_id)] = owner
    return living | {run_id: unknown[run_id] for run_id in _with_heartbeat(unknown)}


def _with_heartbeat(run_ids: Iterable[str]) -> set[str]:
    """Watch runs until each has shown a heartbeat or was silent for too long; returns those with a heartbeat."""
    watched, beating = set(run_ids), set[str]()
    if not watched:
        return beating
    logger.info(
        f"watching {len(watched)} run(s) of processes that cannot be seen from here for a heartbeat, up to "
        f"{SILENT_SECONDS:.0f} s"
    )
    client, watch = connect(), Watch(HEARTBEAT_SECONDS)
    while True:
        watch.look({run_id: _heartbeat(client, run_id) for run_id in watched})
        beating |= {run_id for run_id in watched if (pulse := watch.pulse(run_id)) and pulse.moved}
        watched = {run_id for run_id in watched - beating if not watch.stale(run_id, SILENT_SECONDS)}
        if not watched:
            return beating
        time.sleep(min(1.0, HEARTBEAT_SECONDS))


def _heartbeat(client: MlflowClient, run_id: str) -> tuple[str | None, str]:
    """Return what changes with a heartbeat, and also when the run ends or gets another owner."""
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if is_away(error):  # nobody could write a heartbeat either
            return None, "away"
        raise
    return run.data.tags.get(tags.HEARTBEAT), run.info.status + run.data.tags.get(tags.OWNER, "")
