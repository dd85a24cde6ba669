"""The file that a page is written to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mobilenet_chest.errors import UserError
from mobilenet_chest.files import write_whole

NAME = "report.html"


def check_writable(out: Path, option: str = "--out") -> None:
    """Refuse a place that cannot be written before anything is read.

    Args:
        out: The file.
        option: The option that named it.

    Raises:
        UserError: It is a folder, or its folder is not there or cannot be written.
    """
    folder = out.absolute().parent
    if out.is_dir():
        raise UserError(f"{option} {out}: is a folder; name a file in it, such as {out / NAME}")
    if not folder.is_dir():
        raise UserError(f"{option} {out}: there is no folder {folder}; make it, or choose another")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{option} {out}: cannot be written ({error.strerror}); choose another folder") from error


def write_page(out: Path, document: bytes | str, option: str = "--out") -> None:
    """Write a page; what is there is replaced when the new page is whole.

    Raises:
        UserError: It cannot be written.
    """
    try:
        write_whole(out, document)
    except OSError as error:
        raise UserError(f"{option} {out}: cannot be written ({error.strerror}); choose another folder") from error
