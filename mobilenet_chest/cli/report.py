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
from mobilenet_chest.report import checklists
from mobilenet_chest.report import report as write_report
from mobilenet_chest.report.checklists import checked_name, write_checklist
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
        typer.Option(metavar="FILE", help="The file to write, STUDY.html by default; it is replaced."),
    ] = None,
    baseline: Baseline = None,
    reported: Reported = False,
    checklist: Annotated[
        str | None,
        typer.Option(
            metavar="tripod-ai|claim",
            help="Fill in this checklist for authors, as FILE.md or FILE.csv, instead of the page.",
        ),
    ] = None,
) -> None:
    """Write one HTML page about studies and runs.

    The page is self-contained, and shows each result with its uncertainty.

    Example: mobilenet-chest report quickstart --baseline 1a2b3c4d
    """
    with exit_codes():
        if checklist is not None:
            _fill_in(checklist, references, out, baseline, reported)
            return
        if out is not None and out.suffix.lower() != ENDING and not out.is_dir():
            raise UserError(f"--out {out}: the page is HTML; end the name in {ENDING}, such as {out.stem}{ENDING}")
        page = write_report(references, out or Path(page_name(references)), baseline, reported)
        artifact = "" if page.run_id is None else f", and as report.html in run {short_id(page.run_id)}"
        line(f"{page.out}: {page.size / 1e6:.1f} MB{artifact}")


def _fill_in(name: str, references: Sequence[str], out: Path | None, baseline: str | None, reported: bool) -> None:
    checklist = checked_name(name)
    if len(references) > 1:
        raise UserError(f"--checklist {name}: is about one study or run; name one of {', '.join(references)}")
    if baseline is not None or reported:
        option = "--reported" if baseline is None else f"--baseline {baseline}"
        raise UserError(f"--checklist {name}: compares nothing; leave out {option}, or leave out --checklist")
    file = out or Path(page_name([*references, name], checklists.ENDINGS[0], "-"))
    made = write_checklist(references[0], checklist, file)
    states = [item.state for item in made.items]
    line(f"{made.out}: {checklists.SOURCES[checklist][0]} of run {short_id(made.run_id)}, {len(states)} items: "
         f"{states.count('filled')} filled, {states.count('partly filled')} partly, "
         f"{states.count(checklists.AUTHOR)} {checklists.AUTHOR}")  # fmt: skip


def page_name(references: Sequence[str], ending: str = ENDING, between: str = "-and-") -> str:
    """Return the name of the file in the working folder that a page is written to, made of what the page is about.

    Args:
        references: What it is about.
        ending: Of the name.
        between: Text between references.
    """
    name = _NOT_IN_NAMES.sub("-", between.join(references)).strip(" .-")
    short = name.encode(errors="ignore")[:_MOST_BYTES].decode(errors="ignore")
    return f"{short or 'report'}{ending}"
