"""Findings in sentences, for the command line and the page."""

from __future__ import annotations

import math

from mobilenet_chest.config.formats import ends, number
from mobilenet_chest.deploy.monitor.findings import Findings, Point


def limits(point: Point) -> str:
    """Return the limits of a chart in words."""
    low, high = (None if math.isinf(end) else number(end, 3) for end in (point.low, point.high))
    if low is None:
        return "none" if high is None else f"at most {high}"
    return f"{low} to {high}"


def expectations(found: Findings) -> list[str]:
    """Return what is to be expected of the last window without its labels, a sentence each."""
    last = found.windows[-1]
    share = last.prevalence.share
    told = f"refused: {last.prevalence.refusal}" if share is None else f"{share.value:.3f} ({ends(share)})"
    return [
        f"expected accuracy of the last window: {last.accuracy.value:.3f} ({ends(last.accuracy)}); validation "
        f"{found.validation_accuracy:.3f}",
        f"prevalence of the last window: {told}; validation {found.validation_prevalence:.3f}",
    ]


def verdict(found: Findings) -> str:
    """Return in one sentence whether the model's windows are in control."""
    rate = f"one false alarm in {1 / found.rate:,.0f} stable windows"
    charts = [chart for chart in found.charts if chart.out]
    if not charts:
        return f"in control; limits allow {rate}, over all charts together"
    windows = sorted({index for chart in charts for index, point in enumerate(chart.points) if point.out})
    first = found.windows[windows[0]].start[:16]
    return (
        f"out of control: {len(windows)} of {len(found.windows)} windows, the first from {first}; limits allow {rate}"
    )
