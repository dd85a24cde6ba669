"""The package's logger: library code logs to it, the command line shows it."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

LOGGER = "mobilenet_chest"
"""Name of the package's logger; each module logs under its own name below it."""


class StderrHandler(logging.StreamHandler[TextIO]):
    """A handler that writes to the present ``sys.stderr``, which a progress display replaces for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Ignore the stream that the base class sets when the handler is made."""


def show(level: int = logging.INFO) -> None:
    """Show the package's log on stderr, one line a message; a second call changes the level only."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    logger.propagate = False  # an application's own root handler would show each line twice
    if not any(isinstance(handler, StderrHandler) for handler in logger.handlers):
        logger.addHandler(StderrHandler())
