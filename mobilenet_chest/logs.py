"""The package's logger: library code logs to it, the command line shows it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

LOGGER = "mobilenet_chest"
"""Name of the package's logger; each module logs under its own name below it."""

FILE_VARIABLE = "MOBILENET_CHEST_LOG_FILE"
"""Environment variable with the file that everything is also logged to; worker processes inherit it."""

PRINTED = "mobilenet_chest_printed"
"""Attribute of a record whose text a command has printed itself: it goes to the file only."""

_PLAIN = logging.Formatter("%(message)s")
_DETAILED = logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(process)d]: %(message)s")


class StderrHandler(logging.StreamHandler[TextIO]):
    """A handler that writes to the present ``sys.stderr``, which a progress display replaces for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.shape: Callable[[str], str] = str
        self.addFilter(lambda record: not getattr(record, PRINTED, False))

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's text as it is shown."""
        return self.shape(super().format(record))

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Ignore the stream that the base class sets when the handler is made."""


class LogFile(logging.FileHandler):
    """A handler that adds everything to a file.

    Args:
        path: Absolute; the file is made, or continued.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.setLevel(logging.DEBUG)
        self.setFormatter(_DETAILED)


def show(level: int | None = None, shape: Callable[[str], str] | None = None) -> None:
    """Show the package's log on stderr, and write it to the file that :data:`FILE_VARIABLE` names.

    A message is a line; from DEBUG on, the line begins with time, level, module and process, as it does in the file.

    Args:
        level: Least level on stderr. ``None`` leaves it as an earlier call has set it, ``INFO`` at first. The file
            always has everything.
        shape: How stderr shows a message, such as wrapped to a terminal's width; ``None`` leaves that as it is.

    Raises:
        OSError: The file cannot be written.
    """
    logger = logging.getLogger(LOGGER)
    logger.propagate = False  # an application's own root handler would show each line twice
    shown = next((handler for handler in logger.handlers if isinstance(handler, StderrHandler)), None)
    if shown is None:
        shown, level = StderrHandler(), logging.INFO if level is None else level
        logger.addHandler(shown)
    if shape is not None:
        shown.shape = shape
    if level is not None:
        shown.setLevel(level)
        shown.setFormatter(_DETAILED if level <= logging.DEBUG else _PLAIN)
    _open_file(logger)
    logger.setLevel(min(each.level for each in logger.handlers if isinstance(each, StderrHandler | LogFile)))


def shown_level() -> int:
    """Return the least level that this process shows on stderr, or would give to an application's handlers."""
    logger = logging.getLogger(LOGGER)
    return max(
        logger.getEffectiveLevel(), *(each.level for each in logger.handlers if isinstance(each, StderrHandler)), 0
    )


def is_quiet() -> bool:
    """Return whether only warnings and errors are shown: then there is no progress either."""
    return any(isinstance(each, StderrHandler) for each in logging.getLogger(LOGGER).handlers) and (
        shown_level() > logging.INFO
    )


def _open_file(logger: logging.Logger) -> None:
    name = os.environ.get(FILE_VARIABLE)
    if not name:
        return
    path = str(Path(name).absolute())
    if not any(isinstance(each, LogFile) and each.baseFilename == path for each in logger.handlers):
        logger.addHandler(LogFile(path))
