"""One self-contained page about a study, a run or several of them, for someone who was not there."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobilenet_chest.report.abstention import abstention_files
from mobilenet_chest.report.net_benefit import benefit_files
from mobilenet_chest.report.page import html, page
from mobilenet_chest.report.page_file import NAME, check_writable, write_page
from mobilenet_chest.report.subject import Subject, read_subject
from mobilenet_chest.tracking.store import connect, is_read_only, store_required
from mobilenet_chest.tracking.tracker import MlflowTracker

ARTIFACT = NAME

TABLES = "report"
"""Folder among a run's artifacts for the report's curves as CSV."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """A page that was written.

    Attributes:
        out: The file.
        size: In bytes.
        run_id: The run, or study's run, that has it as the artifact ``report.html``; ``None`` for a comparison.
    """

    out: Path
    size: int
    run_id: str | None


def report(references: Sequence[str], out: Path, baseline: str | None = None, reported: bool = False) -> Report:
    """Write the page, and log it to the study's run, or the run, that it is about.

    Args:
        references: Names as :func:`~mobilenet_chest.tracking.runs.find_runs` takes them.
        out: File to write; what is there is replaced when the new page is whole.
        baseline: Run or study to set the others against.
        reported: Add the source report's results, as reported and not reproduced.

    Raises:
        UserError: ``out`` cannot be written.
        TrackingError: A name stands for nothing, or for a run that has not finished.
    """
    check_writable(out)
    client = connect(to_read=True)
    subject = read_subject(client, references, baseline)
    document = html(page(client, subject, reported)).encode()
    write_page(out, document)
    if is_read_only():
        logger.info("the page is not logged to a run: the tracking store can only be read")
        return Report(out, len(document), None)
    return Report(out, len(document), _log(subject, document))


def log_report(reference: str) -> str | None:
    """Log the page about a study, or a run, to it as the artifact ``report.html``, and return the run's id.

    Args:
        reference: A name as :func:`~mobilenet_chest.tracking.runs.find_runs` takes it.

    Raises:
        TrackingError: The name stands for nothing, or for a run that has not finished.
    """
    client = connect()
    subject = read_subject(client, [reference], None)
    return _log(subject, html(page(client, subject, reported=False)).encode())


def has_report(run_id: str) -> bool:
    """Return whether a run has the artifact ``report.html``.

    Raises:
        TrackingError: There is no such run, or the store is away.
    """
    with store_required():
        return ARTIFACT in {file.path for file in connect().list_artifacts(run_id)}


def _log(subject: Subject, document: bytes) -> str | None:
    """Log a page and its tables to the one run that it is about, if it is about one, and return that run's id."""
    about = subject.study or (subject.leader.run if subject.kind == "run" else None)
    if about is None:
        return None
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        tracker = MlflowTracker(resume=str(about.info.run_id))
        for name, text in (benefit_files(subject.leader) | abstention_files(subject.leader)).items():
            (table := Path(folder) / name).write_text(text, encoding="utf-8")
            tracker.log_file(table, TABLES)
        copy = Path(folder) / ARTIFACT
        copy.write_bytes(document)
        tracker.log_file(copy)
    return str(about.info.run_id)
