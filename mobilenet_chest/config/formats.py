"""How numbers, durations and intervals are written for people; JSON documents have the numbers themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Protocol

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Unit of a time -> its seconds."""


class Ends(Protocol):
    """Anything with two ends, such as :class:`~mobilenet_chest.evaluation.intervals.Interval`."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def number(value: Any, digits: int | None = None, missing: str = "") -> str:
    """Return a number in four significant digits, or with ``digits`` decimals; other values as text.

    Args:
        value: What to write; whole numbers from 10 on have no decimals.
        digits: Decimals; ``None`` for four significant digits.
        missing: Text for ``None``, and for NaN and infinity, unless it is empty: then they are ``nan`` and ``inf``.
    """
    if value is None:
        return missing
    if not isinstance(value, float):
        return str(value) if digits is None else f"{value:.{digits}f}"
    if not math.isfinite(value):
        return missing or str(value)
    if digits is not None:
        return f"{value:.{digits}f}"
    return f"{value:.0f}" if value == int(value) and abs(value) >= 10 else f"{value:.4g}"


def count(value: float | None, missing: str = "") -> str:
    """Return a whole number with commas between thousands."""
    return missing if value is None or not math.isfinite(value) else f"{value:,.0f}"


def times(number: int) -> str:
    """Return how often something happened: ``once``, ``2 times``."""
    return "once" if number == 1 else f"{number} times"


def signed(value: float, digits: int = 4) -> str:
    """Return a difference with its sign, and a minus as long as the plus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def signed_interval(value: float, interval: Ends) -> str:
    """Return a difference with its sign, and in brackets the ends of its interval."""
    return f"{signed(value)} ({signed(interval.low, 3)} to {signed(interval.high, 3)})"


def p_value(p: float) -> str:
    """Return ``p = 0.012`` in three decimals, in which no line breaks."""
    return "p\u00a0<\u00a00.001" if p < 0.001 else f"p\u00a0=\u00a0{p:.3f}"


def ends(interval: Ends, digits: int = 3, to: str | None = None) -> str:
    """Return both ends of an interval, ``0.912–0.973``; with ``to`` between them where one is below 0."""
    to = to or ("–" if interval.low >= 0 else " to ")
    return f"{interval.low:.{digits}f}{to}{interval.high:.{digits}f}"


def with_interval(
    value: float | None, interval: Ends | None, digits: int | None = None, missing: str = "", to: str | None = None
) -> str:
    """Return a value, and in brackets the ends of its interval where it has one.

    The ends have three decimals: no interval here is known more closely. A value below 10 has four, so that the rows
    of a table end alike; one below 0.001 has four significant digits.

    Args:
        value: As :func:`number` takes it, with ``digits`` and ``missing``.
        interval: Its ends.
        digits: Decimals of the value.
        missing: Text for no value.
        to: Between the ends, as :func:`ends` takes it.
    """
    if interval is None:
        return number(value, digits, missing)
    if digits is None and isinstance(value, float) and (0.001 <= abs(value) < 10 or value == 0):
        digits = 4
    return f"{number(value, digits, missing)} ({ends(interval, to=to)})"


def duration(seconds: float | None, missing: str = "unknown time") -> str:
    """Return seconds as ``59 s``, ``2.5 min`` or ``1.8 h``."""
    if seconds is None or not math.isfinite(seconds):
        return missing
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def seconds_of(text: str) -> float | None:
    """Return the seconds of a time such as ``90s``, ``30m``, ``1.5h`` or ``1d``; ``None`` for other text."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    return float(match[1]) * SECONDS[match[2]] if match else None


def listed(names: Sequence[str]) -> str:
    """Return names with commas between them, or with semicolons where a name has a comma: ``7; 1, second attempt``."""
    return ("; " if any("," in name for name in names) else ", ").join(names)
