"""Symbolic links of a source: they are followed only to files of the source."""

from __future__ import annotations

from pathlib import Path


def link_problem(link: Path, inside: Path) -> str | None:
    """Return why a symbolic link is not followed; ``None`` where it leads to a file below ``inside``."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return "a symbolic link to nothing"
    if not target.is_relative_to(inside):
        return "a symbolic link out of the folder"
    return "a symbolic link to a folder" if target.is_dir() else None
