"""The command ``data import``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import err, line, out, print_json
from mobilenet_chest.cli.options import Json
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.data.importing.entries import ColumnNames
from mobilenet_chest.data.importing.importer import ImportOptions, import_pictures
from mobilenet_chest.data.importing.summary import counted, reasons
from mobilenet_chest.errors import UserError

if TYPE_CHECKING:
    from mobilenet_chest.data.importing.summary import ImportReport

SHOWN = 5
"""Sizes, kinds of files and reasons printed; JSON has all."""

SHARES = "70,15,15"
"""Percent of train, val and test where none are given."""

SIZE = 224
"""Side of the rows where none is given: that of the networks."""


def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A folder, a .csv or .parquet of files, or a .npz.")],
    out: Annotated[Path, typer.Option(metavar="FILE.npz", help="Data file to write.")],
    size: Annotated[int, typer.Option(help="Height and width of the rows, in pixels.")] = SIZE,
    fit: Annotated[Literal["letterbox", "stretch"], typer.Option(help="Keep the shape, or fill the square.")] = (
        "letterbox"
    ),
    bits: Annotated[int | None, typer.Option(help="Depth of 16-bit files; found from all of them by default.")] = None,
    window: Annotated[
        Literal["voi", "percentile", "bits"], typer.Option(help="Gray range of DICOM: the file's, or found.")
    ] = "voi",
    colour: Annotated[
        Literal["auto", "gray", "colour"], typer.Option(help="Of the rows; auto: colour if any picture is.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the division, where the source has no splits.")] = 0,
    shares: Annotated[
        str, typer.Option(metavar="TRAIN,VAL,TEST", help="Percent of the splits, where the source has none.")
    ] = SHARES,
    classes: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Order of the classes; by name by default.")
    ] = None,
    file_column: Annotated[str, typer.Option(metavar="NAME", help="Column of a table: path of the picture.")] = "file",
    label_column: Annotated[str, typer.Option(metavar="NAME", help="Column: class.")] = "label",
    patient_column: Annotated[str, typer.Option(metavar="NAME", help="Column: patient.")] = "patient",
    split_column: Annotated[str, typer.Option(metavar="NAME", help="Column: train, val or test.")] = "split",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further column to keep, besides sex, age, view and site."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything and report; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make a data file of pictures in folders, of a table of files, of DICOM, or of arrays.

    Folders are SOURCE/split/class/* or SOURCE/class/*. A killed import goes on where it stopped.

    Example: mobilenet-chest data import films --out films.npz --size 128
    """
    with exit_codes():
        names = ColumnNames(file_column, label_column, patient_column, split_column, tuple(column or ()))
        ordered = tuple(name.strip() for name in classes.split(",")) if classes else ()
        options = ImportOptions(size, fit, bits, window, colour, seed, ordered, names, _shares(shares))
        with _progress() as progress:
            report = import_pictures(source, out, options, dry_run, progress=progress)
        if as_json:
            print_json(report.as_dict())
        else:
            _print(report)


def _shares(text: str) -> tuple[int, int, int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != len(SHARES.split(",")) or not all(part.isascii() and part.isdecimal() for part in parts):
        raise UserError(f"--shares {text}: give the percent of train, val and test, for example {SHARES}")
    train, val, test = map(int, parts)
    return train, val, test


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Give a callback that moves a bar on stderr, where that is a terminal."""
    if not err.is_terminal:
        yield lambda done, total: None
        return
    columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("pictures", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(report: ImportReport) -> None:
    classes = list(report.counts["train"])
    rows = Table(["class", *report.counts], left=["class"])
    for name in classes:
        rows.add_row(name, *(str(counts[name]) for counts in report.counts.values()))
    if report.patients:
        rows.add_row("(patients)", *map(str, report.patients.values()))
    out.print(rows)
    line(f"splits: {report.divided}")
    line(f"sizes: {_most(report.sizes)}")
    line(f"kinds: {_most(report.modes)}")
    for sentence in report.done:
        line(f"pixels: {sentence}")
    for note, count in report.notes.items():
        line(f"note: {counted(count, 'file')}: {note}")
    if report.columns or report.left_out:
        line(f"columns: {', '.join(report.columns) or 'none'}; left out: {', '.join(report.left_out) or 'none'}")
    twice = report.duplicates
    line(f"duplicates: {counted(twice.groups, 'group')} of equal pictures, {counted(twice.rows, 'row')}")
    for one, other in twice.examples[:SHOWN]:
        line(f"  {one} = {other}")
    for warning in report.warnings:
        line(f"warning: {warning}")
    if report.skipped:
        line(
            f"skipped: {counted(len(report.skipped), 'file')}"
            + (f"; see {report.skipped_file}" if report.written else "")
        )
        for reason, count in list(reasons(report.skipped).items())[:SHOWN]:
            line(f"  {count}: {reason}")
    line(f"{counted(report.rows, 'row')} " + (f"in {report.out}" if report.written else "would be written"))


def _most(counts: dict[str, int]) -> str:
    """Return the most frequent of what was counted, and how many others there are."""
    shown = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:SHOWN])
    return shown + (f" and {len(counts) - SHOWN} others" if len(counts) > SHOWN else "")
