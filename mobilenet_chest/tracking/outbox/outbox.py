"""Outbox: all journals that a process may send, its own and those of processes that are gone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mobilenet_chest.errors import DataError, NotDelivered, OwnershipLost, TrackingError
from mobilenet_chest.tracking.client import is_away
from mobilenet_chest.tracking.outbox.delivery import check_store, flush_journal
from mobilenet_chest.tracking.outbox.journal import Journal, journals
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.store import check_reachable, masked, reason, tracking_uri

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
"""How long the end of a command waits for a store that takes nothing."""


class Outcome(NamedTuple):
    """What became of an attempt to send a journal.

    Attributes:
        line: What happened, in a line.
        retry: Whether to try again: the store was away.
    """

    line: str
    retry: bool = False


class Outbox:
    """The journals that this process writes, and access to those that others have left in the same folder.

    This process holds the file locks of its own journals, so only the objects that it has here can send them.
    """

    def __init__(self) -> None:
        self._own: dict[str, Journal] = {}

    def open_journal(self, run_id: str, guard: Callable[[], AbstractContextManager[None]]) -> Journal:
        """Return this process's journal of a run, which a flush finds from now on."""
        journal = Journal.of_run(run_id, guard)
        self._own[journal.folder.name] = journal
        return journal

    def flush_all(self) -> list[str]:
        """Send this process's pending writes and those of processes that are gone.

        Returns:
            What was sent or could not be, a line each; nothing if nothing was pending.

        Raises:
            TrackingError: Writes are pending, and the store does not answer.
        """
        pending = self.pending()
        if not pending:
            return []
        check_reachable()
        return [outcome.line for journal in pending if (outcome := self._attempt(journal))]

    def flush_run(self, run_id: str) -> None:
        """Send what a process that is gone has left of a run; its last checkpoint may be pending.

        Raises:
            TrackingError: It cannot be sent.
        """
        for journal in journals():
            if journal.run_id != run_id:
                continue
            deadline = time.monotonic() + PATIENCE_SECONDS
            # a living owner is one that has lost the run: it sends nothing any more, and discards what it has
            while (outcome := self._attempt(journal)) is None and journal.has_pending and not journal.owner_may_live():
                if time.monotonic() >= deadline:
                    raise TrackingError(
                        f"run {short_id(run_id)}: another process is sending {journal.folder}; wait for it"
                    )
                time.sleep(0.2)
            if outcome is not None and journal.has_pending:
                raise TrackingError(outcome.line)
            if outcome is not None:
                logger.info(outcome.line)

    def flush(self, patience: float | None = None) -> None:
        """Send what this process, and those that it has started, could not send; wait for a store that is away.

        Args:
            patience: Seconds without progress before it gives up; ``None``: :data:`PATIENCE_SECONDS`.

        Raises:
            NotDelivered: Writes are still pending; the error says where, for which store, and how to send them.
        """
        patience = PATIENCE_SECONDS if patience is None else patience
        deadline, count_before = time.monotonic() + patience, -1
        while own := self.pending(own=True):
            outcomes = [self._attempt(journal) for journal in own]
            for outcome in outcomes:
                if outcome is not None and not outcome.retry:
                    logger.info(outcome.line)
            pending = [journal for journal in own if journal.has_pending]
            if not pending:
                return
            count = sum(journal.count() for journal in pending)
            if count != count_before:
                count_before, deadline = count, time.monotonic() + patience
            hopeless = all(outcome is not None and not outcome.retry for outcome in outcomes)
            if hopeless or time.monotonic() >= deadline:
                raise NotDelivered(pending_summary(pending))
            time.sleep(min(1.0, patience))

    def pending(self, own: bool = False) -> list[Journal]:
        """Return the journals with pending writes that no other living process writes or sends.

        Args:
            own: Only those of this process, and of processes that it has started.
        """
        pending = []
        for journal in journals():
            if journal.folder.name in self._own:
                journal = self._own[journal.folder.name]
                if journal.has_pending:
                    pending.append(journal)
            elif journal.acquire():
                try:
                    if not journal.has_pending:
                        if not journal.owner_may_live():  # killed while it made the journal, or removed it
                            journal.remove()
                    elif not own or journal.is_of_this_process():
                        pending.append(journal)
                finally:
                    journal.release()
        return pending

    def _attempt(self, journal: Journal) -> Outcome | None:
        """Try to send a journal once; ``None`` if another process sends it, or nothing is pending any more."""
        own = journal.folder.name in self._own
        journal = self._own.get(journal.folder.name, journal)
        with journal.turn:
            if not own and not journal.acquire():
                return None
            try:
                if not journal.has_pending:  # another process was quicker
                    return None
                check_store(journal)  # before a client is made: that creates an SQLite file that does not exist
                line = flush_journal(journal, MlflowClient())
                return None if line is None else Outcome(line)
            except (TrackingError, DataError, OwnershipLost) as error:
                return Outcome(str(error))
            except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
                problem = "is away" if is_away(error) else "refuses them; remove the folder to give them up"
                pending = f"run {short_id(journal.run_id)}: {journal.count()} writes are pending in {journal.folder}"
                return Outcome(f"{pending}: {masked(tracking_uri())} {problem} ({reason(error)})", retry=is_away(error))
            finally:
                if not own:
                    journal.release()


_OF_THIS_PROCESS = Outbox()


def process_outbox() -> Outbox:
    """Return the outbox of this process: what its trackers could not send, the end of its command finds there."""
    return _OF_THIS_PROCESS


def pending_summary(pending: list[Journal]) -> str:
    """Return where pending writes are, for which store, and how to send them, in one line."""
    count = sum(journal.count() for journal in pending)
    runs = ", ".join(dict.fromkeys(short_id(journal.run_id) for journal in pending))
    stores = ", ".join(dict.fromkeys(journal.header()["store"] for journal in pending))
    folder = pending[0].folder if len(pending) == 1 else pending[0].folder.parent
    return (
        f"run {runs}: {count} writes could not be sent to {stores}; they are pending in {folder}, and `mobilenet-chest "
        "repair` sends them when the store is back"
    )
