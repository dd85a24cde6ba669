"""What workers write on stderr, where a live view is on the terminal: it is passed on line by line, above the view.

A worker that wrote to the terminal itself would write into the midst of the view.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from multiprocessing.connection import Connection

LEAVE_SECONDS = 1.0
"""How long the last lines of workers that have ended are waited for."""


class OutputRelay:
    """Writes the lines of worker processes to this process's stderr, which a live view may have replaced.

    Each worker has a pipe of its own: one that is killed in the midst of a line holds up no other.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def pipe(self) -> Connection | None:
        """Return the end of a new pipe for a worker; ``None`` where stderr is no terminal, which needs none."""
        if sys.stderr is None or not sys.stderr.isatty():
            return None
        receiver, sender = multiprocessing.Pipe(duplex=False)
        thread = threading.Thread(target=_pass_on, args=(os.dup(receiver.fileno()),), daemon=True, name="worker-output")
        receiver.close()
        thread.start()
        self._threads.append(thread)
        return sender

    def finish(self) -> None:
        """Wait for the last lines of workers that have ended."""
        for thread in self._threads:
            thread.join(LEAVE_SECONDS)


def write_to(pipe: Connection | None) -> None:
    """Let this process, a worker, write its stderr into a pipe from now on."""
    if pipe is not None:
        os.dup2(pipe.fileno(), 2)
        pipe.close()


def _pass_on(descriptor: int) -> None:
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            sys.stderr.write(line)
            sys.stderr.flush()
