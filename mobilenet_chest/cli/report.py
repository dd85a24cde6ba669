"""The command ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.cli.options import Baseline, Reported
from mobilenet_chest.report import report as write_report


def report(
    references: Annotated[list[str], typer.Argument(metavar="STUDY|RUN_ID ...")],
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page to write; an existing file is replaced.")],
    baseline: Baseline = None,
    reported: Reported = False,
) -> None:
    """Write one HTML page about studies and runs.

    The page is self-contained, and shows each result with its uncertainty.
    """
    with exit_codes():
        page = write_report(references, out, baseline, reported)
        artifact = "" if page.run_id is None else f", and as report.html in run {page.run_id}"
        line(f"{page.out}: {page.size / 1e6:.1f} MB{artifact}")
