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
from mobilenet_chest.tracking.outbox.journal import Spool, spools
from mobilenet_chest.tracking.outbox.writes import Write, impatient, is_away, send
from mobilenet_chest.tracking.provenance import OWNER, identity, is_alive, is_same
from mobilenet_chest.tracking.store import check_reachable, reason, shown, tracking_uri

PATIENCE_SECONDS = 30.0
"""How long the end of a command waits for a store that takes nothing."""

ANSWER_SECONDS = 5
"""How long a store may take to say whose a run is, before anything is sent to it."""

TURN = threading.RLock()
"""Held while a run is written: the threads of a process write one after the other."""

OWN: dict[str, Spool] = {}
"""Spools of this process, by the names of their folders."""


class Outcome(NamedTuple):
    """What came of a delivery, in a line, and whether it is to be tried again: the store was away."""

    line: str
    again: bool = False


def deliver(spool: Spool, client: MlflowClient, seconds: float = math.inf, timeout: int | None = None) -> str | None:
    """Send what waits, in order, and remove the spool when nothing waits any more.

    Args:
        spool: One whose lock is held.
        client: The store in force.
        seconds: After which no further write is begun.
        timeout: Seconds that the store may take for an answer; MLflow's own default where ``None``.

    Returns:
        What was done, in a line; ``None`` when time was up before the end.

    Raises:
        TrackingError: It belongs to another store.
        OwnershipLost: The guard says that the run is another process's; the spool is removed.
        DataError: The spool is damaged.
        MlflowException: As the store's own, refused or away.
    """
    deadline, count, header = time.monotonic() + seconds, 0, _header(spool)
    with impatient(ANSWER_SECONDS, retries=0):
        owner = client.get_run(spool.run_id).data.tags.get(OWNER)
    if owner is not None and not is_same(json.loads(owner), header["owner"]):
        spool.remove()
        return f"run {spool.run_id}: another process has gone on with it; what waited from the one before is discarded"
    for waiting in spool.pending():
        if time.monotonic() >= deadline:
            return None
        try:
            with spool.guard(), impatient(timeout, retries=0 if timeout else 1):
                _send(spool, client, waiting.write)
        except OwnershipLost:
            spool.remove()
            raise
        spool.delivered(waiting)
        count += 1
    spool.remove()
    return f"run {spool.run_id}: {count} writes that had waited are delivered to {header['store']}"


def _header(spool: Spool) -> dict[str, Any]:
    header, store = spool.header(), shown(tracking_uri())
    if header["store"] != store:
        raise TrackingError(
            f"run {spool.run_id}: what waits in {spool.folder} is for {header['store']}, not {store}; set "
            "MLFLOW_TRACKING_URI to that address and type `mobilenet-chest repair`"
        )
    return header


def _send(spool: Spool, client: MlflowClient, write: Write) -> None:
    if "upload" not in write:
        send(client, spool.run_id, write)
        spool.sent.pop(write.get("remove", ""), None)
        return
    file = spool.file(write["upload"])
    if not file.exists():  # a later write removes it
        return
    state = file.stat()
    contents = (state.st_mtime_ns, state.st_size)
    if spool.sent.get(write["upload"]) != contents:  # an earlier upload has sent the last contents already
        send(client, spool.run_id, write, file)
        spool.sent[write["upload"]] = contents


def deliver_all() -> list[str]:
    """Deliver every spool whose process is gone, and this process's own.

    Returns:
        What was done or could not be, a line each; nothing where nothing waited.

    Raises:
        TrackingError: Something waits, and the store does not answer.
    """
    waiting = left()
    if not waiting:
        return []
    check_reachable()
    return [outcome.line for spool in waiting if (outcome := _attempt(spool))]


def deliver_run(run_id: str) -> None:
    """Deliver what a process that is gone has left of a run, with a line on stderr: its last checkpoint may lie there.

    Raises:
        TrackingError: It cannot be delivered.
    """
    for spool in spools():
        if spool.run_id != run_id:
            continue
        deadline = time.monotonic() + PATIENCE_SECONDS
        # a living owner is one that has lost the run: it delivers nothing any more, and discards what it has
        while (outcome := _attempt(spool)) is None and spool.waiting and not _owner_lives(spool):
            if time.monotonic() >= deadline:
                raise TrackingError(f"run {run_id}: another process is delivering {spool.folder}; wait for it")
            time.sleep(0.2)
        if outcome is not None and spool.waiting:
            raise TrackingError(outcome.line)
        if outcome is not None:
            print(outcome.line, file=sys.stderr)


def settle(patience: float | None = None) -> None:
    """Deliver what this process, and those that it has started, could not send; wait for a store that is away.

    Args:
        patience: Seconds without a delivery after which it gives up; :data:`PATIENCE_SECONDS` by default.

    Raises:
        NotDelivered: Something still waits: where, for which store, and how to deliver it.
    """
    patience = PATIENCE_SECONDS if patience is None else patience
    deadline, before = time.monotonic() + patience, -1
    while mine := left(own=True):
        outcomes = [_attempt(spool) for spool in mine]
        for outcome in outcomes:
            if outcome is not None and not outcome.again:
                print(outcome.line, file=sys.stderr)
        waiting = [spool for spool in mine if spool.waiting]
        if not waiting:
            return
        count = sum(spool.count() for spool in waiting)
        if count != before:
            before, deadline = count, time.monotonic() + patience
        hopeless = all(outcome is not None and not outcome.again for outcome in outcomes)
        if hopeless or time.monotonic() >= deadline:
            raise NotDelivered(what_waits(waiting))
        time.sleep(min(1.0, patience))


def what_waits(waiting: list[Spool]) -> str:
    """Where it lies, for which store, and how to deliver it, in one line."""
    count = sum(spool.count() for spool in waiting)
    runs = ", ".join(dict.fromkeys(spool.run_id for spool in waiting))
    stores = ", ".join(dict.fromkeys(spool.header()["store"] for spool in waiting))
    where = waiting[0].folder if len(waiting) == 1 else waiting[0].folder.parent
    return (
        f"run {runs}: {count} writes could not be sent to {stores}; they wait in {where}, and `mobilenet-chest repair` "
        "delivers them when it is back"
    )


def left(own: bool = False) -> list[Spool]:
    """Spools with something in them that no other living process has in its hands.

    Args:
        own: Only those of this process, and of processes that it has started.
    """
    found = []
    for spool in spools():
        if spool.folder.name in OWN:
            spool = OWN[spool.folder.name]
            if spool.waiting:
                found.append(spool)
        elif spool.take():
            try:
                if not spool.waiting:
                    if not _owner_lives(spool):  # it was killed while it made the spool, or removed it
                        spool.remove()
                elif not own or any(is_same(identity(), one) for one in spool.header()["under"]):
                    found.append(spool)
            finally:
                spool.release()
    return found


def _owner_lives(spool: Spool) -> bool:
    try:
        return is_alive(spool.header()["owner"])
    except FileNotFoundError:
        return False


def _attempt(spool: Spool) -> Outcome | None:
    """One try; ``None`` where another process is at it."""
    with TURN:
        own = spool.folder.name in OWN
        spool = OWN.get(spool.folder.name, spool)
        if not own and not spool.take():
            return None
        try:
            if not spool.waiting:  # another process was quicker
                return None
            _header(spool)  # first: another store would be made, if it is a file that is not there
            line = deliver(spool, MlflowClient())
            return None if line is None else Outcome(line)
        except (TrackingError, DataError, OwnershipLost) as error:
            return Outcome(str(error))
        except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            what = "is away" if is_away(error) else "refuses them; remove the folder to give them up"
            waits = f"run {spool.run_id}: {spool.count()} writes wait in {spool.folder}"
            return Outcome(f"{waits}: {shown(tracking_uri())} {what} ({reason(error)})", again=is_away(error))
        finally:
            if not own:
                spool.release()
