"""What several commands print: lines, tables for people, one JSON document for scripts."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console, ConsoleOptions

from mobilenet_chest import logs
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.cli.wrapping import wrapped
from mobilenet_chest.config.formats import ends, number, with_interval

if TYPE_CHECKING:
    from mobilenet_chest.evaluation.intervals import Interval

PLAIN_WIDTH = 100
"""Columns of a table that goes to a file or a pipe, where ``COLUMNS`` is not set."""


logger = logging.getLogger(__name__)


class Output(Console):
    """Stdout as it is at the moment, in the width that there is now."""

    @property
    def options(self) -> ConsoleOptions:
        """Return rich's options: as many columns as ``COLUMNS`` says, the terminal has, or :data:`PLAIN_WIDTH`."""
        options, columns = super().options, os.environ.get("COLUMNS", "")
        if columns.isdecimal() and int(columns) > 0:
            return options.update(max_width=int(columns))
        return options if self.is_terminal else options.update(max_width=PLAIN_WIDTH)


class ErrorOutput(Console):
    """Stderr for what is shown while a command works: nothing with ``--quiet``."""

    def __init__(self) -> None:
        super().__init__(stderr=True, highlight=False, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        """Return whether a view that changes can be shown."""
        return super().is_terminal and not logs.is_quiet()

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, unless only warnings and errors are to be shown; the log's file has text in any case."""
        if objects and all(isinstance(each, str) for each in objects):
            logger.info("%s", " ".join(objects), extra={logs.PRINTED: True})
        if not logs.is_quiet():
            super().print(*(fitted(each, self) if isinstance(each, str) else each for each in objects), **options)


out = Output(highlight=False, soft_wrap=True)

err = ErrorOutput()


def fitted(text: str, console: Console) -> str:
    """Return a text as a terminal shows it best, in lines that end between words; as it is where there is none."""
    # ErrorOutput's own property says of a quiet command that it has none
    return wrapped(text, console.options.max_width) if Console.is_terminal.__get__(console) else text


def line(text: str) -> None:
    """Print one line on stdout: as it is, but wrapped at words on a terminal that is narrower."""
    out.print(fitted(text, out), markup=False)


def error_line(text: str, level: int = logging.ERROR, log: logging.Logger = logger) -> None:
    """Print one line on stderr, also of a quiet command, wrapped as :func:`line` does; add it to the log's file.

    Args:
        text: The line.
        level: Its level in the file.
        log: Whose line it is there.
    """
    typer.echo(fitted(text, err), err=True)
    log.log(level, "%s", text, extra={logs.PRINTED: True})


def print_json(document: Any) -> None:
    """Print one JSON document; NaN and infinity, which JSON does not have, become null."""
    sys.stdout.write(json.dumps(_finite(document), indent=2) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def metrics_table(title: str, metrics: Mapping[str, float], intervals: Mapping[str, Interval]) -> None:
    """Print a row for each metric, with its 95% interval where it has one."""
    rows = Table(["metric", "value"], left=["metric"], title=title)
    for name, value in metrics.items():
        rows.add_row(name, with_interval(value, intervals.get(name)))
    out.print(rows)


def metric_lines(metrics: Mapping[str, float], intervals: Mapping[str, Interval]) -> None:
    """Print a line for each metric, with its 95% interval where it has one."""
    for name, value in metrics.items():
        interval = intervals.get(name)
        line(f"  {name:<28} {number(value, 4)}" + (f" ({ends(interval, 4)})" if interval else ""))


def interval_ends(intervals: Mapping[str, Interval]) -> dict[str, list[float]]:
    """Return intervals as JSON documents have them: ``[low, high]`` by the metric's name."""
    return {name: [interval.low, interval.high] for name, interval in intervals.items()}


def print_done(done: Mapping[str, str], as_json: bool) -> None:
    """Print what was done with a study: a line, or a JSON document."""
    if as_json:
        print_json(done)
    else:
        line(f"study {done['study']}: {done['done']}")
