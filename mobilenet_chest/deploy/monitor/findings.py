"""What the answers of a registered model show: each window on each control chart, accuracy and prevalence to expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mobilenet_chest.deploy import answer_log
from mobilenet_chest.deploy.monitor.reference import reference_of
from mobilenet_chest.deploy.monitor.windows import FILMS, Window, cut, since_time, window_size
from mobilenet_chest.errors import UserError
from mobilenet_chest.evaluation.control_charts import RATE, Chart, Reference, control_charts
from mobilenet_chest.evaluation.cumulative import cumulative_charts
from mobilenet_chest.evaluation.drift import (
    DETAIL,
    Prevalence,
    confidences,
    expected_accuracy,
    prevalence,
)
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.registry import digests
from mobilenet_chest.tracking.store import as_tracking_lost, connect

PICTURES = (
    "exposure", "contrast", "detail", "size", "unlike", "inverted",
    "exposure_sum", "contrast_sum", "detail_sum", "unlike_sum",
)  # fmt: skip
"""Charts of the films themselves: another prevalence alone moves none of them."""


@dataclass(frozen=True)
class Point:
    """A window on a chart: its value, and the limits for as many films as it has."""

    value: float
    low: float
    high: float
    out: bool


@dataclass(frozen=True)
class ChartPoints:
    """A chart with all windows on it, the oldest first.

    Attributes:
        key: Name of the chart.
        title: What it shows.
        stable: The value that stable windows have in the middle.
        points: One for each window.
    """

    key: str
    title: str
    stable: float
    points: list[Point]

    @property
    def out(self) -> int:
        """How many windows are out of control."""
        return sum(point.out for point in self.points)


@dataclass(frozen=True)
class WindowSummary:
    """A window: when it was, how many films it has, and what is to be expected of it without its labels.

    Attributes:
        start: Time of its first answer, ISO 8601.
        end: Time of its last one.
        films: How many.
        accuracy: Expected share of right labels.
        prevalence: Share of class 1, or why there is none.
    """

    start: str
    end: str
    films: int
    accuracy: Interval
    prevalence: Prevalence


@dataclass(frozen=True)
class Findings:
    """The control charts of a version. The attributes are the keys of ``monitor --json``.

    Attributes:
        name: Registered model.
        version: Its version.
        run_id: The run that it was made from.
        answers: Films that the version has answered since ``since``.
        since: Time from which answers count; ``None`` for all.
        window: Size of a window, as it was given.
        rate: False alarms in stable windows, over all charts together, at most.
        validation_rows: Rows that windows are compared with.
        validation_accuracy: Accuracy of the model on them.
        validation_prevalence: Share of class 1 among them.
        waiting: Last films, whose window is not full.
        windows: All windows, the oldest first.
        charts: The charts.
        absent: Charts that there are not, and why, a sentence each.
    """

    name: str
    version: str
    run_id: str
    answers: int
    since: str | None
    window: str
    rate: float
    validation_rows: int
    validation_accuracy: float
    validation_prevalence: float
    waiting: int
    windows: list[WindowSummary]
    charts: list[ChartPoints]
    absent: list[str]

    @property
    def in_control(self) -> bool:
        """Whether no window is out of control on any chart."""
        return not any(chart.out for chart in self.charts)


@as_tracking_lost()
def monitor(
    model: str,
    since: str | None = None,
    window: str = str(FILMS),
    rate: float = RATE,
    folder: Path = answer_log.FOLDER,
) -> Findings:
    """Hold the logged answers of a registered model against its validation rows.

    Args:
        model: NAME, NAME@ALIAS or NAME/VERSION; NAME alone is its champion.
        since: A date, or a time before now such as ``7d``; by default all answers count.
        window: Films of a window, or its time.
        rate: False alarms in stable windows, over all charts together, at most.
        folder: That of the logs of answers.

    Raises:
        UserError: An argument is wrong.
        DataError: There is no log, or the data file of the model's run is gone.
        TrackingError: There is no such model.
    """
    if not 0 < rate < 1:
        raise UserError(f"--alarm-rate {rate:g}: give a share above 0 and below 1, such as {RATE:g}")
    size = window_size(window)
    start = None if since is None else since_time(since, datetime.now(UTC))
    client = connect(to_read=True)
    version = digests.find_version(client, digests.model_address(model))
    rows = answer_log.read(str(version.name), start, folder)
    # a challenger or shadow may be a version of another model
    rows = rows[(rows["model"] == str(version.name)) & (rows["version"] == str(version.version))]
    reference = reference_of(client, version)
    windows, waiting = cut(rows, size, reference.temperature)
    correct = (reference.films.probability >= reference.threshold) == (reference.labels == 1)
    charts, absent = _measured(reference, windows, rate)
    return Findings(
        name=str(version.name),
        version=str(version.version),
        run_id=str(version.run_id),
        answers=len(rows),
        since=None if start is None else start.isoformat(),
        window=window,
        rate=rate,
        validation_rows=len(reference.films),
        validation_accuracy=float(correct.mean()),
        validation_prevalence=float(reference.labels.mean()),
        waiting=waiting,
        windows=[_summary(reference, each, charts, index) for index, each in enumerate(windows)],
        charts=charts,
        absent=absent,
    )


def _measured(reference: Reference, windows: Sequence[Window], rate: float) -> tuple[list[ChartPoints], list[str]]:
    """Return all charts with all windows on them, and which charts there are not.

    Half of the rate of false alarms is for windows alone, and half for the sums over them.
    """
    absent = []
    if reference.films.features is None:
        absent.append("features: this version does not tell them; promote its run again")
    elif any(window.films.features is None for window in windows):
        absent.append("features: the log lacks them for some films")
        reference = replace(reference, films=replace(reference.films, features=None))
    if not all(window.films.have_detail for window in windows):
        absent.append("fine detail: the log lacks it for some films")
        pictures = reference.films.pictures.copy()
        pictures[:, DETAIL] = np.nan
        reference = replace(reference, films=replace(reference.films, pictures=pictures))
    charts: dict[str, ChartPoints] = {}
    by_size: dict[int, list[Chart]] = {}
    for window in windows:
        m = len(window.films)
        for chart in by_size.setdefault(m, control_charts(reference, m, rate / 2)):
            value = chart.measure(window.films)
            points = charts.setdefault(chart.key, ChartPoints(chart.key, chart.title, chart.stable, [])).points
            points.append(Point(value, chart.low, chart.high, chart.is_out(value)))
    if windows and "abstains" not in charts:
        absent.append("model abstains: this version never does")
    return [*charts.values(), *_cumulative(reference, windows, rate / 2)], absent


def _cumulative(reference: Reference, windows: Sequence[Window], rate: float) -> list[ChartPoints]:
    """Return the cumulative sums over all windows; none where there is no window."""
    if not windows:
        return []
    return [
        ChartPoints(
            chart.key, chart.title, 0.0,
            [Point(float(value), -math.inf, chart.limit, bool(out))
             for value, out in zip(chart.sums, chart.out, strict=True)],
        )
        for chart in cumulative_charts(reference, [window.films for window in windows], rate)
    ]  # fmt: skip


def _summary(reference: Reference, window: Window, charts: Sequence[ChartPoints], index: int) -> WindowSummary:
    films, labels, threshold = reference.films, reference.labels, reference.threshold
    called = films.probability >= threshold
    accuracy = expected_accuracy(
        confidences(window.films, threshold), confidences(films, threshold), called == (labels == 1)
    )
    other = [chart.title.partition(",")[0] for chart in charts if chart.key in PICTURES and chart.points[index].out]
    if other:
        share = Prevalence(None, f"the films themselves are others: {', '.join(other)}")
    else:
        share = prevalence(
            int((window.films.probability >= threshold).sum()), len(window.films),
            int((called & (labels == 1)).sum()), int((labels == 1).sum()),
            int((~called & (labels == 0)).sum()), int((labels == 0).sum()),
        )  # fmt: skip
    return WindowSummary(window.start.isoformat(), window.end.isoformat(), len(window.films), accuracy, share)
