"""The package's logger: library code logs, the command line shows it."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

LOGGER = "mobilenet_chest"
"""Name of the package's logger; each module logs under its own name below it."""


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is when a line comes: a progress display replaces it while it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Ignore it: the base class sets the stream that was there when the handler was made."""


def show(level: int = logging.INFO) -> None:
    """Show the package's log on stderr, one line a message; a second call changes the level only."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    logger.propagate = False  # an application's own root handler would show each line twice
    if not any(isinstance(handler, StderrHandler) for handler in logger.handlers):
        logger.addHandler(StderrHandler())
