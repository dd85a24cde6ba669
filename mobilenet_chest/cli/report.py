"""The command ``report``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.cli.options import Baseline, Reported
from mobilenet_chest.errors import UserError
from mobilenet_chest.report import report as write_report
from mobilenet_chest.tracking.runs import short_id

ENDING = ".html"

_NOT_IN_NAMES = re.compile(r"[\\/:*?\"<>|\x00-\x1f\x7f]+")
"""Signs that some file system has no room for in a name."""

_MOST_BYTES = 200
"""Length of a name that is made; file systems take 255 bytes with the ending."""


def report(
    references: Annotated[list[str], typer.Argument(metavar="STUDY|RUN_ID ...")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="The page to write, STUDY.html by default; it is replaced."),
    ] = None,
    baseline: Baseline = None,
    reported: Reported = False,
) -> None:
    """Write one HTML page about studies and runs.

    The page is self-contained, and shows each result with its uncertainty.

    Example: mobilenet-chest report quickstart --baseline 1a2b3c4d
    """
    with exit_codes():
        if out is not None and out.suffix.lower() != ENDING and not out.is_dir():
            raise UserError(f"--out {out}: the page is HTML; end the name in {ENDING}, such as {out.stem}{ENDING}")
        page = write_report(references, out or Path(page_name(references)), baseline, reported)
        artifact = "" if page.run_id is None else f", and as report.html in run {short_id(page.run_id)}"
        line(f"{page.out}: {page.size / 1e6:.1f} MB{artifact}")


def page_name(references: Sequence[str]) -> str:
    """Return the name of the file in the working folder that a page is written to, made of what the page is about."""
    name = _NOT_IN_NAMES.sub("-", "-and-".join(references)).strip(" .-")
    short = name.encode(errors="ignore")[:_MOST_BYTES].decode(errors="ignore")
    return f"{short or 'report'}{ENDING}"
