"""The command that makes a page of what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.reporting import reporting


def report(
    references: Annotated[list[str], typer.Argument(metavar="STUDY|RUN_ID ...")],
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="Where the page goes; replaced when it is there.")],
    baseline: Annotated[str | None, typer.Option(metavar="RUN_ID|STUDY", help="Set the others against this.")] = None,
    reported: Annotated[bool, typer.Option(help="Add the source report's figures, not reproduced here.")] = False,
) -> None:
    """One self-contained page about a study, a run or several of them, with every figure's uncertainty."""
    with reporting():
        from mobilenet_chest.cli import output
        from mobilenet_chest.report import report as make

        made = make(references, out, baseline, reported)
        where = "" if made.run_id is None else f", and as report.html in run {made.run_id}"
        output.line(f"{made.out}: {made.size / 1e6:.1f} MB{where}")
