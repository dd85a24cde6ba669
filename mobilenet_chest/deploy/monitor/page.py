"""The control charts of a model in use as one self-contained page, like that of ``report``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from mobilenet_chest.config.formats import ends, number
from mobilenet_chest.deploy.monitor.findings import ChartPoints, Findings
from mobilenet_chest.deploy.monitor.words import expectations, limits, verdict
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.report.axes import Axes, around, drawing
from mobilenet_chest.report.elements import MISSING, Element, Figure, Figures, Folded, Items, Paragraph, Table
from mobilenet_chest.report.page import Page, Section, html


def monitoring_page(found: Findings) -> str:
    """Return the whole HTML document; ``found`` has at least one window."""
    sections = [
        Section("charts", "Control charts", [_charts_table(found), Figures([_chart(each) for each in found.charts])]),
        Section("expected", "Accuracy and prevalence to expect", _expected(found)),
        Section("reading", "How to read this", _reading(found)),
    ]
    first, last = found.windows[0].start[:16], found.windows[-1].end[:16]
    return html(Page(
        title=f"Monitoring of {found.name}, version {found.version}",
        answer=[verdict(found), *expectations(found)],
        about=f"{found.answers} films from {first} to {last} UTC, in {len(found.windows)} windows of {found.window}; "
        f"compared with {found.validation_rows} validation rows of run {found.run_id}.",
        sections=sections,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    ))  # fmt: skip


def _charts_table(found: Findings) -> Table:
    rows = [
        [chart.title, "out" if chart.out else "ok", limits(chart.points[-1]), number(chart.stable, 3),
         number(chart.points[-1].value, 3), str(chart.out)]
        for chart in found.charts
    ]  # fmt: skip
    headings = ("chart", "state", "limits of the last window", "stable", "last window", "windows out")
    return Table("charts-table", "Each chart at the last window", headings, rows, text_columns=3)


def _chart(chart: ChartPoints) -> Figure:
    points = chart.points
    at = [float(index + 1) for index in range(len(points))]
    values = [point.value for point in points]
    lines = [
        [(x, getattr(point, end)) for x, point in zip(at, points, strict=True) if math.isfinite(getattr(point, end))]
        for end in ("low", "high")
    ]
    shown = [y for line in lines for _, y in line]
    axes = Axes(around(at), around([*values, *shown, chart.stable]), "window", chart.title, integers=True)
    # a single window has no line through it
    dots = [axes.dot(x, point.value, "wrong" if point.out else "first") for x, point in zip(at, points, strict=True)]
    shapes = [
        *axes.frame(),
        axes.line([(axes.x[0], chart.stable), (axes.x[1], chart.stable)], "guide"),
        *(axes.line(line, "second") for line in lines if line),
        axes.line(list(zip(at, values, strict=True)), "first"),
        *dots,
    ]
    out = [str(index + 1) for index, point in enumerate(points) if point.out]
    state = f"Out of control: window {', '.join(out)}." if out else "No window is out of control."
    description = f"{state} The last of {len(points)} windows is at {number(values[-1], 3)}; {limits(points[-1])}."
    plot = drawing(f"chart-{chart.key}", chart.title, description, shapes)
    return Figure(state, plot, chart.title, [("first", "windows"), ("second", "limits"), ("guide", "stable")])


def _expected(found: Findings) -> list[Element]:
    at = [float(index + 1) for index in range(len(found.windows))]
    accuracy = [window.accuracy for window in found.windows]
    shares = [(x, window.prevalence.share) for x, window in zip(at, found.windows, strict=True)]
    told = [(x, share) for x, share in shares if share is not None]
    figures = [
        _intervals("accuracy", "expected accuracy", list(zip(at, accuracy, strict=True)), found.validation_accuracy)
    ]
    if told:
        figures.append(_intervals("prevalence", "share of class 1", told, found.validation_prevalence))
    rows = [
        [str(index + 1), window.start[:16], str(window.films), _cell(window.accuracy),
         MISSING if window.prevalence.share is None else _cell(window.prevalence.share),
         window.prevalence.refusal or ""]
        for index, window in enumerate(found.windows)
    ]  # fmt: skip
    headings = ("window", "from", "films", "expected accuracy", "prevalence", "why there is none")
    table = Table("windows", "Each window", headings, rows, text_columns=2)
    return [Figures(figures), Folded("The windows as a table", [table])]


def _intervals(key: str, title: str, values: Sequence[tuple[float, Interval]], stable: float) -> Figure:
    ys = [y for _, interval in values for y in (interval.low, interval.high)]
    axes = Axes(around([x for x, _ in values]), around([*ys, stable]), "window", title, integers=True)
    shapes = [
        *axes.frame(),
        axes.line([(axes.x[0], stable), (axes.x[1], stable)], "guide"),
        *(axes.whisker(x, interval.low, interval.high, "first") for x, interval in values),
        *(axes.dot(x, interval.value, "first") for x, interval in values),
    ]
    last = values[-1][1]
    description = f"In the last window it is {_cell(last)}; on validation {stable:.3f}."
    plot = drawing(f"expected-{key}", title.capitalize(), description, shapes)
    return Figure(f"95% intervals. {description}", plot, title.capitalize(), [("first", "windows"),
                                                                            ("guide", "validation")])  # fmt: skip


def _cell(interval: Interval) -> str:
    return f"{interval.value:.3f} ({ends(interval)})"


def _reading(found: Findings) -> list[Element]:
    return [
        Paragraph(
            f"Limits are exact: in stable windows, one false alarm in {1 / found.rate:,.0f} over all charts together, "
            "averaged over the validation rows that might have been drawn."
        ),
        Paragraph(
            "A cumulative sum adds up what windows say. So a small, lasting shift is found that no window shows alone. "
            "It grows where films are off by more than half a standard deviation of a window, falls back to 0 where "
            "they are not, and begins again at 0 after an alarm."
        ),
        Paragraph(
            "A chart that is out says that the films, or the model's answers to them, are no longer those of the "
            "validation rows. It does not say that the model is wrong: that takes labels."
        ),
        *([Items(found.absent)] if found.absent else []),
    ]
