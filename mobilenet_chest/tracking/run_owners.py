"""Who writes a run, and whether it still does: signs of life for those who cannot see the process."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mobilenet_chest.tracking.client import answer_within, is_away
from mobilenet_chest.tracking.outbox.delivery import TURN
from mobilenet_chest.tracking.outbox.writes import send
from mobilenet_chest.tracking.provenance import process_alive
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tags import HEARTBEAT, OWNER

SIGN_SECONDS = 15.0
"""Between two signs."""

SILENT_SECONDS = 60.0
"""A process of another machine, or one that is stopped, is taken for gone after so long without a sign."""

ANSWER_SECONDS = 5


class RunHeartbeat:
    """Gives signs of life in a run until it is stopped; none while the store is away.

    Args:
        client: The store.
        run_id: The run that this process writes.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client, self._run_id = client, run_id
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._give, name="signs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No further sign is given from here on."""
        self._done.set()
        self._thread.join()

    def _give(self) -> None:
        while not self._done.wait(SIGN_SECONDS):
            try:
                with TURN, answer_within(ANSWER_SECONDS):
                    if not self._done.is_set():
                        send(self._client, self._run_id, {"tags": {HEARTBEAT: str(int(time.time()))}})
            except Exception as error:
                if not is_away(error):  # the run is deleted, or not to be written any more: the next write says so
                    return


def living_owner(run: Run) -> dict[str, Any] | None:
    """The process that is writing a run, if there is one and it has not died; see :func:`living_owners`."""
    return living_owners([run]).get(str(run.info.run_id))


def living_owners(runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """The processes that are writing runs, by run id, of those that are RUNNING and whose process lives.

    A process of this machine is looked at. For one of another machine, or one that is stopped, the run is watched for a
    sign of life: up to :data:`SILENT_SECONDS`, with a line on stderr.
    """
    living: dict[str, dict[str, Any]] = {}
    unknown: dict[str, dict[str, Any]] = {}
    for run in runs:
        if run.info.status != "RUNNING" or OWNER not in run.data.tags:
            continue
        owner = json.loads(run.data.tags[OWNER])
        known = process_alive(owner)
        if known is not False:
            (living if known else unknown)[str(run.info.run_id)] = owner
    return living | {run_id: unknown[run_id] for run_id in _giving_signs(unknown)}


def _giving_signs(run_ids: Iterable[str]) -> set[str]:
    silent, heard = set(run_ids), set[str]()
    if not silent:
        return heard
    print(f"watching {len(silent)} run(s) of processes that cannot be seen from here for a sign of life, up to "
          f"{SILENT_SECONDS:.0f} s", file=sys.stderr)  # fmt: skip
    client, deadline = connect(), time.monotonic() + SILENT_SECONDS
    before = {run_id: _sign(client, run_id) for run_id in silent}
    while silent and time.monotonic() < deadline:
        time.sleep(min(1.0, SILENT_SECONDS))
        heard |= {run_id for run_id in silent if _sign(client, run_id) != before[run_id]}
        silent -= heard
    return heard


def _sign(client: MlflowClient, run_id: str) -> tuple[str | None, str]:
    """A run that has ended meanwhile, or has another owner, is also a sign."""
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if is_away(error):  # nobody could give a sign either
            return None, "away"
        raise
    return run.data.tags.get(HEARTBEAT), run.info.status + run.data.tags.get(OWNER, "")
