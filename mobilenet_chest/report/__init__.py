"""One self-contained page about a study, a run or several of them, for someone who was not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobilenet_chest.errors import UserError
from mobilenet_chest.report.material import gather
from mobilenet_chest.report.page import page
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tracker import MlflowTracker

ARTIFACT = "report.html"


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
        reported: Add the source report's figures, as reported and not reproduced.

    Raises:
        UserError: ``out`` cannot be written.
        TrackingError: A name stands for nothing, or for a run that has not finished.
    """
    _check(out)
    client = connect()
    material = gather(client, references, baseline)
    text = page(client, material, reported).encode()
    _write(out, text)
    about = material.study or (material.leader.run if material.kind == "run" else None)
    run_id = None if about is None else str(about.info.run_id)
    if run_id is not None:
        with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
            copy = Path(folder) / ARTIFACT
            copy.write_bytes(text)
            MlflowTracker(resume=run_id).log_file(copy)
    return Report(out, len(text), run_id)


def _check(out: Path) -> None:
    """Refuse a place that cannot be written before anything is read."""
    folder = out.absolute().parent
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name a file in it, such as {out / ARTIFACT}")
    if not folder.is_dir():
        raise UserError(f"--out {out}: there is no folder {folder}; make it, or choose another")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from error


def _write(out: Path, text: bytes) -> None:
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        partial.write_bytes(text)
        partial.replace(out)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from error
    finally:
        partial.unlink(missing_ok=True)
