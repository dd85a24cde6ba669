"""The command ``monitor``: control charts of a registered model in use."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.options import Json
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config.formats import number
from mobilenet_chest.deploy import answer_log
from mobilenet_chest.deploy.monitor import findings as monitoring
from mobilenet_chest.deploy.monitor.words import expectations, limits, verdict
from mobilenet_chest.evaluation import control_charts
from mobilenet_chest.report.page_file import check_writable, write_page

if TYPE_CHECKING:
    from mobilenet_chest.deploy.monitor.findings import Findings

OUT_OF_CONTROL = 3
"""Exit code, so that cron or CI can act."""


def monitor(
    model: Annotated[str, typer.Argument(metavar="NAME", help="NAME, which means its champion, NAME@ALIAS or NAME/3.")],
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only answers since a date, or a time ago such as 7d.")
    ] = None,
    window: Annotated[str, typer.Option(help="Films of a window, or its time such as 1d.")] = "100",
    alarm_rate: Annotated[float, typer.Option(help="False alarms in stable windows, over all charts together.")] = 1e-4,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Also write a page with the charts.")] = None,
    log_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where serve writes its logs; by default as serve does it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the answers of a served model with its validation rows.

    Exit code 3 says that a window is out of control on a chart.

    Example: mobilenet-chest monitor chest --since 7d
    """
    with exit_codes():
        if report is not None:
            check_writable(report, "--report")
        found = monitoring.monitor(model, since, window, alarm_rate, log_dir or answer_log.FOLDER)
        if report is not None and found.windows:
            from mobilenet_chest.deploy.monitor.page import monitoring_page

            write_page(report, monitoring_page(found), "--report")
        if as_json:
            print_json(asdict(found) | {"in_control": found.in_control})
        else:
            print_findings(found)
        if not found.in_control:
            raise typer.Exit(OUT_OF_CONTROL)


def print_findings(found: Findings) -> None:
    """Print the charts, one a line, and what is to be expected of the last window."""
    films = f"{found.answers} films answered by version {found.version} of '{found.name}'"
    if not found.windows:
        line(f"{films}; a window takes {_needed(found)}")
        return
    line(f"{films}: {len(found.windows)} windows of {found.window}, {found.waiting} films wait for the next")
    rows = Table(["chart", "stable", "last", "limits", "out", "state"], left=["chart", "limits", "state"])
    for chart in found.charts:
        last = chart.points[-1]
        rows.add_row(chart.title, number(chart.stable, 3), number(last.value, 3), limits(last), str(chart.out),
                     "out" if chart.out else "ok")  # fmt: skip
    out.print(rows)
    for line_of in (*expectations(found), *found.absent, verdict(found)):
        line(line_of)


def _needed(found: Findings) -> str:
    if found.window.isdecimal():
        missing = int(found.window) - found.waiting
        return f"{found.window}: {missing} more are needed"
    return f"{found.window} and at least {control_charts.LEAST_ROWS} films, and the last one must be over"
