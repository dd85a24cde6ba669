"""The command ``compare``: runs and studies side by side, differences to a baseline."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobilenet_chest.cli.cohort_table import print_cohort_rows
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import interval_ends, line, out, print_json
from mobilenet_chest.cli.options import Baseline, Json, Reported, Wide
from mobilenet_chest.cli.tables import ID, Table
from mobilenet_chest.config.formats import count, duration, number, signed, signed_interval, with_interval
from mobilenet_chest.config.metrics import heading
from mobilenet_chest.errors import UserError
from mobilenet_chest.selection.cohort_compare import compare_on_cohort
from mobilenet_chest.selection.compare import compare as compare_runs
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.evaluation.intervals import Interval
    from mobilenet_chest.evaluation.paired import PairedComparison
    from mobilenet_chest.selection.rows import Row

METRICS = ("val_auc",)
"""Shown without ``--wide``: the metric by which rows are ordered."""

REPORTED_METRICS = ("val_auc", "val_accuracy", "val_accuracy_tta_threshold")
"""Shown beside the source report's results, which have no AUC."""

WIDE_METRICS = ("val_auc", "val_accuracy", "val_accuracy_crossfit", "val_accuracy_tta_threshold")

STRESS_COLUMNS = ("stress_auc_mean", "stress_auc_worst", "heldout_stress_auc_mean")
"""Further columns with ``--wide``, where a row has them."""

DIFFERENCES = {"val_auc": "AUC", "val_accuracy_crossfit": "cross-fitted"}
"""Metrics that are compared with the baseline, and their names above columns."""


def compare(
    references: Annotated[list[str] | None, typer.Argument(metavar="[STUDY|RUN_ID|EXPERIMENT ...]")] = None,
    baseline: Baseline = None,
    margin: Annotated[
        float | None, typer.Option(help="Loss of AUC or accuracy that still counts as not inferior, such as 0.01.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="A further metric to compare: val_brier, val_loss, ….")] = None,
    reported: Reported = False,
    cohort: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare on data of another source; see evaluate --data.")
    ] = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Compare finished runs and studies, with 95% intervals.

    Without names: all runs and studies of the tracking store.

    Example: mobilenet-chest compare quickstart --baseline 1a2b3c4d --margin 0.01
    """
    with exit_codes(), _no_garbage_collection():
        if cohort is not None:
            for option, given in (("margin", margin), ("metric", metric), ("reported", reported), ("wide", wide)):
                if given:
                    raise UserError(f"--{option} is for validation, not for --cohort {cohort}; leave one of them out")
            print_cohort_rows(cohort, compare_on_cohort(cohort, references or [], baseline), as_json)
            return
        print_comparison(compare_runs(references or [], baseline, reported, margin, metric), metric, as_json, wide)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause collections: modules and hundreds of runs stay in use to the end, and walking them takes a third of the
    time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def comparison_document(rows: Sequence[Row]) -> dict[str, Any]:
    """Return rows as JSON documents have them."""
    # asdict would copy the intervals, which are most of a row, one by one
    return {"rows": [asdict(replace(row, intervals={})) | {"intervals": interval_ends(row.intervals)} for row in rows]}


def print_comparison(rows: Sequence[Row], metric: str | None, as_json: bool, wide: bool = False) -> None:
    """Print a row for each run, and differences to the baseline where there is one.

    Args:
        rows: In their order; with a baseline, it is the first.
        metric: A further metric that has columns of its own.
        as_json: Print one JSON document instead.
        wide: Print all columns, and not only those that matter most.
    """
    if as_json:
        print_json(comparison_document(rows))
        return
    if not rows:
        line("no finished runs yet; start with: python sweep.py")
        return
    out.print(_all_columns(rows, metric) if wide else _columns(rows, metric))
    if any(row.intervals for row in rows):
        line("in brackets: 95% intervals")
    if any(row.tied for row in rows):
        line("tied: AUC is indistinguishable from the best one on these images")
    if any(row.baseline for row in rows):
        _print_differences(rows[0], [row for row in rows[1:] if row.kind != "reported"], metric, wide)


def _columns(rows: Sequence[Row], metric: str | None) -> Table:
    """Return a table of five columns, of a few more with a further metric or the source report's results."""
    shown = REPORTED_METRICS if any(row.kind == "reported" for row in rows) else METRICS
    metrics = _headings(shown, metric)
    models = len(metrics) == 1
    marked = any(map(_mark, rows))
    names, mark = ["name", *(["model"] if models else [])], [""] if marked else []
    cells = Table([*names, *metrics.values(), *mark, ID], left=[*names, *mark, ID])
    for row in rows:
        values = (with_interval(row.metrics.get(name), row.intervals.get(name)) for name in metrics)
        marks = [_mark(row)] if marked else []
        cells.add_row(row.name, *([row.model] if models else []), *values, *marks, short_id(row.run_id))
    return cells


def _all_columns(rows: Sequence[Row], metric: str | None) -> Table:
    stress = [name for name in STRESS_COLUMNS if any(name in row.metrics for row in rows)]
    metrics = _headings([*WIDE_METRICS, *stress, *_site_columns(rows)], metric)
    marks = ["" if row.kind == "reported" else _mark(row) for row in rows]  # the kind says of those what they are
    marked = any(marks)
    names = ["name", ID, *([""] if marked else []), "kind", "model"]
    headings = [*names, "parameters", *metrics.values(), "threshold", "TTA gain", "training"]
    cells = Table(headings, left=names, key=2)
    for row, mark in zip(rows, marks, strict=True):
        values = row.metrics
        cells.add_row(
            row.name,
            short_id(row.run_id),
            *([mark] if marked else []),
            kind_label(row),
            row.model,
            count(row.parameters),
            *(with_interval(values.get(name), row.intervals.get(name)) for name in metrics),
            number(values.get("threshold")),
            _gain(values.get("tta_gain"), row.intervals.get("tta_gain")),
            duration(values.get("train_seconds"), missing=""),
        )
    return cells


def _gain(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return ""
    return signed(value) if interval is None else signed_interval(value, interval)


def _site_columns(rows: Sequence[Row]) -> list[str]:
    """Return the AUCs of the sites that were left out, of all rows; a site that a row does not have is empty there."""
    found = [name for row in rows for name in row.metrics if name.startswith("site-") and name.endswith("_auc")]
    return sorted(dict.fromkeys(found))


def _headings(metrics: Sequence[str], further: str | None) -> dict[str, str]:
    headings = {name: heading(name) for name in metrics}
    if further:
        headings.setdefault(further, further)
    return headings


def _mark(row: Row) -> str:
    """Return what the last word on a row is: the best, tied with it, or no result of ours."""
    return "best" if row.best else "tied" if row.tied else kind_label(row) if row.kind == "reported" else ""


def kind_label(row: Row) -> str:
    """Return what kind of row it is; results of the source report are labelled as such."""
    return "reported, not reproduced" if row.kind == "reported" else row.kind


def _print_differences(base: Row, others: Sequence[Row], metric: str | None, wide: bool) -> None:
    names = ({metric: metric} if metric else {}) | DIFFERENCES
    headings = ["name", ID, *(heading for name in names.values() for heading in (f"Δ {name}", "p", ""))]
    title = f"against {base.name}, run {short_id(base.run_id)}"
    cells = Table([*headings, *(["speed ratio"] if wide else [])], left=("name", "", ID), title=title, key=2, group=3)
    for row in others:
        differences = [cell for name in names for cell in _difference_cells(row.differences.get(name))]
        speed = [number(row.baseline.get("speed_ratio"))] if wide else []
        cells.add_row(row.name, short_id(row.run_id), *differences, *speed)
    out.print(cells)
    if any(row.differences for row in others):
        tests = "paired DeLong, exact McNemar or paired bootstrap"
        line(f"p tests for no difference ({tests}), Holm-corrected over the rows")
    for row in others:
        if not row.comparable:
            line(f"{row.name}, run {short_id(row.run_id)}, is not compared: {row.reason}")
        if row.selection is not None:
            line(f"{row.name}, run {short_id(row.run_id)}: {row.selection}")


def _difference_cells(comparison: PairedComparison | None) -> tuple[str, str, str]:
    if comparison is None:
        return "", "", ""
    difference = f"{signed(comparison.value)} ({signed(comparison.low)} to {signed(comparison.high)})"
    within = f" within {comparison.margin:g}" if comparison.verdict == "not inferior" else ""
    return difference, f"{comparison.p_holm:.2g}", f"{comparison.verdict}{within}"
