"""Delivery: sending one journal to its store."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from mlflow import MlflowClient

from mobilenet_chest.errors import OwnershipLost, TrackingError
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.client import answer_within
from mobilenet_chest.tracking.outbox.journal import Journal
from mobilenet_chest.tracking.outbox.writes import Write, send
from mobilenet_chest.tracking.provenance import is_same_process
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.store import masked, tracking_uri

ANSWER_SECONDS = 5
"""How long a store may take to tell who owns a run, before anything is sent to it."""


def flush_journal(
    journal: Journal, client: MlflowClient, seconds: float = math.inf, timeout: int | None = None
) -> str | None:
    """Send the pending writes in order, and remove the journal once all are sent.

    Args:
        journal: One whose file lock this process holds.
        client: The present store.
        seconds: No further write is begun after so long.
        timeout: Seconds that the store may take to answer; ``None``: MLflow's own default.

    Returns:
        What was done, in a line; ``None`` when time was up before the end.

    Raises:
        TrackingError: The journal is for another store.
        OwnershipLost: The guard says that another process owns the run; the journal is removed.
        DataError: The journal is damaged.
        MlflowException: The store refuses a write, or is away.
    """
    deadline, count, header = time.monotonic() + seconds, 0, check_store(journal)
    with answer_within(ANSWER_SECONDS, retries=0):
        owner = client.get_run(journal.run_id).data.tags.get(tags.OWNER)
    # fencing: who resumed the run has trained these epochs again, and old writes would mix with the new ones
    if owner is not None and not is_same_process(json.loads(owner), header["owner"]):
        journal.remove()
        return (
            f"run {short_id(journal.run_id)}: another process has resumed it; pending writes of its old owner "
            "are discarded"
        )
    for pending in journal.pending_writes():
        if time.monotonic() >= deadline:
            return None
        try:
            with journal.guard(), answer_within(timeout, retries=0 if timeout else 1):
                _send(journal, client, pending.write)
        except OwnershipLost:
            journal.remove()
            raise
        journal.mark_sent(pending)  # killed before this, the write is sent again, to the same effect
        count += 1
    journal.remove()
    return f"run {short_id(journal.run_id)}: {count} pending writes sent to {header['store']}"


def check_store(journal: Journal) -> dict[str, Any]:
    """Return the header of a journal that is for the present store.

    Raises:
        TrackingError: It is for another store.
    """
    header, store = journal.header(), masked(tracking_uri())
    if header["store"] != store:
        raise TrackingError(
            f"run {short_id(journal.run_id)}: the pending writes in {journal.folder} are for "
            f"{header['store']}, not {store}; set "
            "MLFLOW_TRACKING_URI to that address and run `mobilenet-chest repair`"
        )
    return header


def _send(journal: Journal, client: MlflowClient, write: Write) -> None:
    if "upload" not in write:
        send(client, journal.run_id, write)
        journal.uploaded.pop(write.get("remove", ""), None)
        return
    file = journal.file(write["upload"])
    if not file.exists():  # a later write removes it
        return
    state = file.stat()
    contents = (state.st_mtime_ns, state.st_size)
    if journal.uploaded.get(write["upload"]) != contents:  # an earlier upload has sent the last contents already
        send(client, journal.run_id, write, file)
        journal.uploaded[write["upload"]] = contents
