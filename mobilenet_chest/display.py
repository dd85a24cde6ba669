"""Small HTML tables, as notebooks show the results of the Python functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """Return a table as HTML; every text in it is escaped.

    Args:
        title: Its caption.
        headings: One for each column; no line of headings where all are empty.
        rows: Cells of each row; ``None`` is an empty cell.
        note: A line below it.
    """
    head = f"<thead><tr>{_cells('th', headings)}</tr></thead>" if any(headings) else ""
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    below = f"<p>{escape(note)}</p>" if note else ""
    return f"<table><caption>{escape(title)}</caption>{head}<tbody>{body}</tbody></table>{below}"


def _cells(tag: str, cells: Sequence[object]) -> str:
    return "".join(f"<{tag}>{'' if cell is None else escape(str(cell))}</{tag}>" for cell in cells)
