"""The leaderboard: rows with interval bars, and differences from the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from mobilenet_chest.config.formats import count, duration, listed, number, with_interval
from mobilenet_chest.config.metrics import label
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.paired import BASELINE_METRICS, PRIMARY_METRIC
from mobilenet_chest.report.answer import difference
from mobilenet_chest.report.elements import (
    MISSING,
    Bar,
    Cell,
    Code,
    Comparison,
    Element,
    Figure,
    Paragraph,
    Scale,
    Shape,
    Table,
)
from mobilenet_chest.report.subject import Subject
from mobilenet_chest.selection.rows import REPORTED, Row
from mobilenet_chest.tracking.runs import short_id

SHOWN = 25
"""Rows of the leaderboard at most; the bars of more would not be compared by eye."""

BAR_WIDTH, BAR_HEIGHT, BAR_MARGIN = 200, 16, 6


def leaderboard(subject: Subject, reported: bool) -> list[Element]:
    """Return rows with metric, interval and bar, differences from the baseline, and what else one chooses by.

    Args:
        subject: What the page is about.
        reported: Add the source report's results.
    """
    shown = subject.rows[:SHOWN]
    shown += [row for row in (subject.leader_row, subject.base) if row is not None and row not in shown]
    ends = _ends(shown, subject.metric)
    compared = _compared_metrics(subject)
    rows = [_cells(row, subject, ends) for row in shown]
    if reported:
        rows += [_reported_cells(row, len(compared)) for row in REPORTED]
    headings: list[Cell] = [
        "run",
        f"{label(subject.metric)} (95% interval)",
        "" if ends is None else Scale(*(f"{end:.3f}" for end in ends)),
        *(f"{label(name)} minus baseline" for name in compared),
        "cross-fitted accuracy", "threshold", "parameters", "training", "run id",
    ]  # fmt: skip
    caption = f"By {label(subject.metric)}, {subject.leader.images_scored}"
    if len(subject.rows) > len(shown):
        caption += f"; {len(shown)} of {len(subject.rows)} rows"
    table = Table("leaderboard-rows", caption, headings, rows)
    return [Figure(_note(subject, reported), table), *_unequal_selections(shown, subject.base)]


def _note(subject: Subject, reported: bool) -> str:
    """Return how to read the table."""
    note = (
        "Bar: 95% interval (DeLong for an AUC, Wilson for a share of images, bootstrap for all else and where patients "
        "have several images). Dot: the value. Dashed line: the value of the first row. "
        f"★ has the highest {label(PRIMARY_METRIC)}; ≈ is indistinguishable from it (paired DeLong, corrected for all "
        "pairs)."
    )
    if subject.base is not None:
        note += (
            " Against the baseline: the difference, its 95% interval, and p for no difference (paired DeLong for an "
            "AUC, exact McNemar for a share, paired bootstrap for all else), Holm-corrected over the rows."
        )
    if reported:
        note += " Rows of the source report are reported, not reproduced: they are of other images, without intervals."
    return note


def _ends(rows: Sequence[Row], metric: str) -> tuple[float, float] | None:
    """Return the ends of the scale that holds all intervals; ``None`` without intervals."""
    intervals = [row.intervals[metric] for row in rows if metric in row.intervals]
    if not intervals:
        return None
    return min(interval.low for interval in intervals), max(interval.high for interval in intervals)


def _compared_metrics(subject: Subject) -> tuple[str, ...]:
    """Return the metrics by which rows are compared with the baseline."""
    return tuple(dict.fromkeys([subject.metric, *BASELINE_METRICS])) if subject.base else ()


def _unequal_selections(rows: Sequence[Row], base: Row | None) -> list[Paragraph]:
    """Return which rows were chosen from more or fewer runs than the baseline."""
    others = [row for row in rows if base is None or row.run_id != base.run_id]
    paragraphs = []
    for text in dict.fromkeys(row.selection for row in others if row.selection):
        names = [row.name for row in others if row.selection == text]
        whose = "All but the baseline" if len(names) == len(others) > 1 else listed(names)
        paragraphs.append(Paragraph(f"{whose}: {text}.", "soft"))
    return paragraphs


def _cells(row: Row, subject: Subject, ends: tuple[float, float] | None) -> list[Cell]:
    metric, base = subject.metric, subject.base
    interval = row.intervals.get(metric)
    mark = "★ " if row.best else "≈ " if row.tied else ""
    is_base = base is not None and row.run_id == base.run_id
    compared = ["" if is_base else _comparison(row, name) for name in _compared_metrics(subject)]
    return [
        f"{mark}{row.name}{' (baseline)' if is_base else ''}",
        _with_interval(row, metric),
        "" if interval is None or ends is None else bar(interval, subject.rows[0].metrics[metric], ends),
        *compared,
        _with_interval(row, "val_accuracy_crossfit"),
        number(row.metrics.get("threshold"), 2, MISSING),
        count(row.parameters, MISSING),
        duration(row.metrics.get("train_seconds"), MISSING),
        Code(short_id(row.run_id)),
    ]


def _with_interval(row: Row, metric: str) -> str:
    return with_interval(row.metrics.get(metric), row.intervals.get(metric), 3, MISSING, " to ")


def _comparison(row: Row, metric: str) -> Cell:
    verdict = row.differences.get(metric)
    if verdict is None:
        return row.reason or MISSING
    return Comparison(verdict.verdict, difference(verdict))


def _reported_cells(row: Row, compared: int) -> list[Cell]:
    accuracy = row.metrics.get("val_accuracy_tta_threshold", row.metrics.get("val_accuracy"))
    return [
        f"{row.name}: reported, not reproduced", f"accuracy {number(accuracy, 3)}", "",
        *[MISSING] * compared, MISSING, number(row.metrics.get("threshold"), 2, MISSING), count(row.parameters),
        duration(row.metrics.get("train_seconds"), MISSING), MISSING,
    ]  # fmt: skip


def bar(interval: Interval, best: float, ends: tuple[float, float]) -> Bar:
    """Return an interval to scale, with a dashed line at the best value."""
    low, value, high, guide = (across(x, ends) for x in (interval.low, interval.value, interval.high, best))
    path = f"M{low:.1f} 8H{high:.1f}M{low:.1f} 4v8M{high:.1f} 4v8"
    shapes = [
        Shape("path", {"class": "line guide", "d": f"M{guide:.1f} 0v{BAR_HEIGHT}"}),
        Shape("path", {"class": "line first", "d": path}),
        Shape("circle", {"class": "dot first", "cx": f"{value:.1f}", "cy": "8", "r": "4"}),
    ]
    return Bar("span", BAR_WIDTH, BAR_HEIGHT, shapes)


def across(value: float, ends: tuple[float, float]) -> float:
    """Return where a value is in a bar, in the bar's units."""
    length = ends[1] - ends[0] or 1.0
    return BAR_MARGIN + (BAR_WIDTH - 2 * BAR_MARGIN) * (value - ends[0]) / length
