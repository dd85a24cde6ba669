"""The checklists TRIPOD+AI and CLAIM 2024 about a run, filled from MLflow and the experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobilenet_chest.errors import UserError, allowed_names
from mobilenet_chest.report.checklists.facts import facts
from mobilenet_chest.report.checklists.items import AUTHOR, SOURCES, Item, Name, items, markdown, table
from mobilenet_chest.report.checklists.record import read_record
from mobilenet_chest.report.page_file import check_writable, write_page
from mobilenet_chest.tracking.store import connect

__all__ = ["AUTHOR", "ENDINGS", "SOURCES", "Checklist", "checked_name", "write_checklist"]

ENDINGS = (".md", ".csv")


@dataclass(frozen=True)
class Checklist:
    """A checklist that was written.

    Attributes:
        out: The file.
        run_id: The run that it is about.
        items: In the official order.
    """

    out: Path
    run_id: str
    items: list[Item]


def write_checklist(reference: str, name: Name, out: Path) -> Checklist:
    """Write a checklist about a study's best run, or a run, as Markdown or CSV. The test split is not opened.

    Args:
        reference: A run by its id or first digits, or a study by its name, which means its best run.
        name: ``tripod-ai`` or ``claim``.
        out: File to write, which ends in one of :data:`ENDINGS`; what is there is replaced when the new one is whole.

    Raises:
        UserError: ``out`` has another ending, or cannot be written.
        TrackingError: There is no such finished run.
    """
    check_ending(out, name)
    check_writable(out)
    record = read_record(connect(to_read=True), reference)
    filled = items(name, facts(record))
    about = f"{record.run.name}, run {record.run.run_id}"
    write_page(out, table(filled) if out.suffix.lower() == ".csv" else markdown(name, filled, about))
    return Checklist(out, record.run.run_id, filled)


def checked_name(name: str) -> Name:
    """Return the name of a checklist.

    Raises:
        UserError: There is none of this name.
    """
    for known in SOURCES:
        if name == known:
            return known
    raise UserError(f"--checklist {name}: no such checklist{allowed_names(name, SOURCES)}")


def check_ending(out: Path, name: Name) -> None:
    """Check that a file's name says Markdown or CSV.

    Raises:
        UserError: It does not.
    """
    if out.suffix.lower() not in ENDINGS and not out.is_dir():
        raise UserError(
            f"--out {out}: a checklist is Markdown or CSV; end the name in {' or '.join(ENDINGS)}, such as "
            f"{out.stem or name}{ENDINGS[0]}"
        )
