"""The log of answers, cut into windows: so many films each, or so much time each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from mobilenet_chest.errors import UserError
from mobilenet_chest.evaluation.calibration import apply_temperature
from mobilenet_chest.evaluation.control_charts import LEAST_ROWS
from mobilenet_chest.evaluation.drift import PICTURE_COLUMNS, Films

FILMS = 100
"""Films of a window by default."""

MOST_FILMS = 1000
"""Films of a window that are used, at most; of more, evenly spread ones. Limits of larger windows take minutes."""

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, eq=False)
class Window:
    """Films that were answered one after the other.

    Attributes:
        start: When the first one was answered.
        end: When the last one was.
        films: What is known of them.
    """

    start: datetime
    end: datetime
    films: Films


def window_size(text: str) -> int | timedelta:
    """Return the size of a window: ``100`` films, or a time such as ``12h`` or ``1d``.

    Raises:
        UserError: It is neither, or too small or large.
    """
    if text.isdecimal():
        if not LEAST_ROWS <= int(text) <= MOST_FILMS:
            raise UserError(f"--window {text}: give {LEAST_ROWS} to {MOST_FILMS} films, or a time such as 1d")
        return int(text)
    size = _duration(text)
    if size is None:
        raise UserError(f"--window {text}: give a number of films, such as 100, or a time such as 30m, 12h or 1d")
    return size


def since_time(text: str, now: datetime) -> datetime:
    """Return the time from which answers count: a date such as ``2026-11-28``, or a time before now such as ``7d``.

    Raises:
        UserError: It is neither.
    """
    if (ago := _duration(text)) is not None:
        return now - ago
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--since {text}: give a time ago, such as 12h or 7d, or a date such as 2026-11-28") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _duration(text: str) -> timedelta | None:
    match = re.fullmatch(r"([1-9]\d{0,4})([mhd])", text)
    return None if match is None else timedelta(**{UNITS[match[2]]: int(match[1])})


def cut(rows: pd.DataFrame, size: int | timedelta, temperature: float) -> tuple[list[Window], int]:
    """Return the windows of a log's rows, and how many of the last rows wait for their window to be full.

    Of windows by time, those with fewer than :data:`~mobilenet_chest.evaluation.control_charts.LEAST_ROWS` films are
    left out, and the last one waits, because its time is not over.

    Args:
        rows: In the order of time, with the columns of the log.
        size: Films or time of a window.
        temperature: Of the model; a log of early versions lacks calibrated probabilities.
    """
    if isinstance(size, int):
        whole = len(rows) // size
        parts = [rows.iloc[size * k : size * (k + 1)] for k in range(whole)]
        return [_window(part, temperature) for part in parts], len(rows) - whole * size
    number = (rows["time"] - rows["time"].min()) // size
    parts = [part for _, part in rows.groupby(number)]
    waiting = len(parts.pop()) if parts else 0
    return [_window(part, temperature) for part in parts if len(part) >= LEAST_ROWS], waiting


def _window(rows: pd.DataFrame, temperature: float) -> Window:
    start, end = rows["time"].iloc[0].to_pydatetime(), rows["time"].iloc[-1].to_pydatetime()
    if len(rows) > MOST_FILMS:
        rows = rows.iloc[np.linspace(0, len(rows) - 1, MOST_FILMS).round().astype(int)]
    return Window(start, end, films_of(rows, temperature))


def films_of(rows: pd.DataFrame, temperature: float) -> Films:
    """Return the films of rows of the log; they have features where each row has."""
    features = None
    if "features" in rows and rows["features"].notna().all():
        features = np.stack(rows["features"].to_list()).astype(np.float32)
    pictures = np.stack([rows[name].to_numpy(np.float64) for name in PICTURE_COLUMNS], 1)
    probability = rows["probability"].to_numpy(np.float64)
    return Films(probability, apply_temperature(probability, temperature), pictures, features)
