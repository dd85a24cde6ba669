"""Bringing to the tracking store what waits on the disk for it."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from typing import Any, NamedTuple

import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mobilenet_chest.errors import DataError, NotDelivered, OwnershipLost, TrackingError
from mobilenet_chest.tracking.client import answer_within, is_away
from mobilenet_chest.tracking.outbox.journal import Journal, journals
from mobilenet_chest.tracking.outbox.writes import Write, send
from mobilenet_chest.tracking.provenance import identity, is_same_process, may_be_alive
from mobilenet_chest.tracking.store import check_reachable, masked, reason, tracking_uri
from mobilenet_chest.tracking.tags import OWNER

PATIENCE_SECONDS = 30.0
"""How long the end of a command waits for a store that takes nothing."""

ANSWER_SECONDS = 5
"""How long a store may take to say whose a run is, before anything is sent to it."""

TURN = threading.RLock()
"""Held while a run is written: the threads of a process write one after the other."""

OWN: dict[str, Journal] = {}
"""Spools of this process, by the names of their folders."""


class Outcome(NamedTuple):
    """What came of a delivery, in a line, and whether it is to be tried again: the store was away."""

    line: str
    again: bool = False


def flush_journal(
    journal: Journal, client: MlflowClient, seconds: float = math.inf, timeout: int | None = None
) -> str | None:
    """Send what waits, in order, and remove the journal when nothing waits any more.

    Args:
        journal: One whose lock is held.
        client: The store in force.
        seconds: After which no further write is begun.
        timeout: Seconds that the store may take for an answer; MLflow's own default where ``None``.

    Returns:
        What was done, in a line; ``None`` when time was up before the end.

    Raises:
        TrackingError: It belongs to another store.
        OwnershipLost: The guard says that the run is another process's; the journal is removed.
        DataError: The journal is damaged.
        MlflowException: As the store's own, refused or away.
    """
    deadline, count, header = time.monotonic() + seconds, 0, _header(journal)
    with answer_within(ANSWER_SECONDS, retries=0):
        owner = client.get_run(journal.run_id).data.tags.get(OWNER)
    if owner is not None and not is_same_process(json.loads(owner), header["owner"]):
        journal.remove()
        return (
            f"run {journal.run_id}: another process has gone on with it; what waited from the one before is discarded"
        )
    for waiting in journal.pending_writes():
        if time.monotonic() >= deadline:
            return None
        try:
            with journal.guard(), answer_within(timeout, retries=0 if timeout else 1):
                _send(journal, client, waiting.write)
        except OwnershipLost:
            journal.remove()
            raise
        journal.mark_sent(waiting)
        count += 1
    journal.remove()
    return f"run {journal.run_id}: {count} writes that had waited are delivered to {header['store']}"


def _header(journal: Journal) -> dict[str, Any]:
    header, store = journal.header(), masked(tracking_uri())
    if header["store"] != store:
        raise TrackingError(
            f"run {journal.run_id}: what waits in {journal.folder} is for {header['store']}, not {store}; set "
            "MLFLOW_TRACKING_URI to that address and type `mobilenet-chest repair`"
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


def flush_all() -> list[str]:
    """Deliver every journal whose process is gone, and this process's own.

    Returns:
        What was done or could not be, a line each; nothing where nothing waited.

    Raises:
        TrackingError: Something waits, and the store does not answer.
    """
    waiting = pending_journals()
    if not waiting:
        return []
    check_reachable()
    return [outcome.line for journal in waiting if (outcome := _attempt(journal))]


def flush_run(run_id: str) -> None:
    """Deliver what a process that is gone has left of a run, with a line on stderr: its last checkpoint may lie there.

    Raises:
        TrackingError: It cannot be delivered.
    """
    for journal in journals():
        if journal.run_id != run_id:
            continue
        deadline = time.monotonic() + PATIENCE_SECONDS
        # a living owner is one that has lost the run: it delivers nothing any more, and discards what it has
        while (outcome := _attempt(journal)) is None and journal.has_pending and not _owner_lives(journal):
            if time.monotonic() >= deadline:
                raise TrackingError(f"run {run_id}: another process is delivering {journal.folder}; wait for it")
            time.sleep(0.2)
        if outcome is not None and journal.has_pending:
            raise TrackingError(outcome.line)
        if outcome is not None:
            print(outcome.line, file=sys.stderr)


def flush(patience: float | None = None) -> None:
    """Deliver what this process, and those that it has started, could not send; wait for a store that is away.

    Args:
        patience: Seconds without a delivery after which it gives up; :data:`PATIENCE_SECONDS` by default.

    Raises:
        NotDelivered: Something still waits: where, for which store, and how to deliver it.
    """
    patience = PATIENCE_SECONDS if patience is None else patience
    deadline, before = time.monotonic() + patience, -1
    while mine := pending_journals(own=True):
        outcomes = [_attempt(journal) for journal in mine]
        for outcome in outcomes:
            if outcome is not None and not outcome.again:
                print(outcome.line, file=sys.stderr)
        waiting = [journal for journal in mine if journal.has_pending]
        if not waiting:
            return
        count = sum(journal.count() for journal in waiting)
        if count != before:
            before, deadline = count, time.monotonic() + patience
        hopeless = all(outcome is not None and not outcome.again for outcome in outcomes)
        if hopeless or time.monotonic() >= deadline:
            raise NotDelivered(pending_summary(waiting))
        time.sleep(min(1.0, patience))


def pending_summary(waiting: list[Journal]) -> str:
    """Where it lies, for which store, and how to deliver it, in one line."""
    count = sum(journal.count() for journal in waiting)
    runs = ", ".join(dict.fromkeys(journal.run_id for journal in waiting))
    stores = ", ".join(dict.fromkeys(journal.header()["store"] for journal in waiting))
    where = waiting[0].folder if len(waiting) == 1 else waiting[0].folder.parent
    return (
        f"run {runs}: {count} writes could not be sent to {stores}; they wait in {where}, and `mobilenet-chest repair` "
        "delivers them when it is back"
    )


def pending_journals(own: bool = False) -> list[Journal]:
    """Spools with something in them that no other living process has in its hands.

    Args:
        own: Only those of this process, and of processes that it has started.
    """
    found = []
    for journal in journals():
        if journal.folder.name in OWN:
            journal = OWN[journal.folder.name]
            if journal.has_pending:
                found.append(journal)
        elif journal.acquire():
            try:
                if not journal.has_pending:
                    if not _owner_lives(journal):  # it was killed while it made the journal, or removed it
                        journal.remove()
                elif not own or any(is_same_process(identity(), one) for one in journal.header()["under"]):
                    found.append(journal)
            finally:
                journal.release()
    return found


def _owner_lives(journal: Journal) -> bool:
    try:
        return may_be_alive(journal.header()["owner"])
    except FileNotFoundError:
        return False


def _attempt(journal: Journal) -> Outcome | None:
    """One try; ``None`` where another process is at it."""
    with TURN:
        own = journal.folder.name in OWN
        journal = OWN.get(journal.folder.name, journal)
        if not own and not journal.acquire():
            return None
        try:
            if not journal.has_pending:  # another process was quicker
                return None
            _header(journal)  # first: another store would be made, if it is a file that is not there
            line = flush_journal(journal, MlflowClient())
            return None if line is None else Outcome(line)
        except (TrackingError, DataError, OwnershipLost) as error:
            return Outcome(str(error))
        except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            what = "is away" if is_away(error) else "refuses them; remove the folder to give them up"
            waits = f"run {journal.run_id}: {journal.count()} writes wait in {journal.folder}"
            return Outcome(f"{waits}: {masked(tracking_uri())} {what} ({reason(error)})", again=is_away(error))
        finally:
            if not own:
                journal.release()
