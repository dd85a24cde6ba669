"""Tables that fit the width there is: cells fold, columns that have no room go below, and nothing is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from mobilenet_chest.cli.encoding import shown

ID = "run"
"""Heading of the columns with ids of runs."""

LEAST_WORD = 16
"""Longest part of a name that a column keeps whole; longer ones are broken anywhere when room is short."""

_BETWEEN, _ENDS = 3, 1
"""Signs that a table has for each column, and once: lines and spaces."""

_AFTER_SIGN = re.compile(r"(?<=[-_/@=+|])(?![-_/@=+|])|(?<=[.,:])(?![.,:\d])")
"""Where a line of a long word may end; a decimal point is no such place."""

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""Signs that would move a terminal's cursor, or change its colours."""


@dataclass
class Column:
    """A column, and how it may become narrower.

    Attributes:
        heading: May always fold.
        justify: ``left`` or ``right``.
        folds: Whether its cells may fold; numbers, intervals and ids stay whole.
        cells: One for each row.
    """

    heading: str
    justify: str
    folds: bool
    cells: list[str] = field(default_factory=list)

    def natural(self) -> int:
        """Return the width in which nothing folds."""
        return max(map(_width, (self.heading, *self.cells)))

    def least(self) -> int:
        """Return the smallest width in which no value and no part of a name is broken."""
        folding = (self.heading, *self.cells) if self.folds else (self.heading,)
        parts = (min(cell_len(part), LEAST_WORD) for text in folding for part in _parts(text))
        return max([1, *parts, *([] if self.folds else map(_width, self.cells))])


class Table:
    """A table for ``out.print``. Its cells are plain text, without markup.

    A table that is too wide folds its headings and its left columns, except ids. Where that is not enough, it is
    printed in several parts, one below the other; each part begins with the key columns.

    Args:
        headings: One for each column.
        left: Headings of the columns that are aligned left: text. The others have numbers.
        title: A line above the table.
        key: So many first columns say what a row is.
        whole: Headings of left columns that never fold.
        group: So many columns behind the key are one statement, and so are the next ones: a part holds them all.
    """

    def __init__(
        self,
        headings: Sequence[str],
        left: Sequence[str] = (),
        title: str | None = None,
        key: int = 1,
        whole: Sequence[str] = (ID,),
        group: int = 1,
    ) -> None:
        self.columns = [
            Column(heading, "left" if heading in left else "right", heading in left and heading not in whole)
            for heading in headings
        ]
        self._title, self._key, self._group = title, key, group

    def add_row(self, *cells: str) -> None:
        """Add a row of as many cells as there are headings."""
        for column, cell in zip(self.columns, cells, strict=True):
            column.cells.append(cell)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._title is not None:
            yield Text(folded(_plain(self._title, console.encoding), options.max_width), style="table.title")
        columns = [
            Column(
                _plain(column.heading, console.encoding), column.justify, column.folds,
                [_plain(cell, console.encoding) for cell in column.cells],
            )
            for column in self.columns
        ]  # fmt: skip
        for part in _parts_of_table(columns, self._key, self._group, options.max_width):
            widths = _widths(part, options.max_width)
            drawn = _draw(part, widths)
            # a terminal that is narrower than a value breaks the line; rich would cut the value
            yield from console.render(drawn, options.update_width(max(_total(widths), options.max_width)))


def folded(text: str, width: int) -> str:
    """Return text in lines of at most ``width`` columns, broken at spaces, else behind a sign such as ``-`` and ``/``.

    A part without such a sign that is wider than the line is broken anywhere.
    """
    return "\n".join(line for paragraph in text.split("\n") for line in _lines(paragraph, width))


def _lines(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        parts = [word] if cell_len(word) <= width else list(_pieces(word, width))
        between = " " if lines[-1] else ""
        for part in parts:
            if lines[-1] and cell_len(lines[-1] + between + part) > width:
                lines.append("")
                between = ""
            lines[-1] += between + part
            between = ""
    return lines


def _pieces(word: str, width: int) -> Iterator[str]:
    for part in _AFTER_SIGN.split(word):
        yield from chop_cells(part, width)


def _parts(text: str) -> Iterator[str]:
    for word in text.split():
        yield from _AFTER_SIGN.split(word)


def _width(text: str) -> int:
    return max(map(cell_len, text.split("\n")))


def _plain(text: str, encoding: str) -> str:
    """Return text as it can be printed; its width is known only then."""
    return shown(_CONTROL.sub(" ", text), encoding)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _BETWEEN * len(widths) + _ENDS


def _parts_of_table(columns: Sequence[Column], key: int, group: int, width: int) -> list[list[Column]]:
    """Return the columns in as few parts as fit; each part begins with the key columns."""
    first = list(columns[:key])
    parts = [first]
    for start in range(key, len(columns), group):
        together = list(columns[start : start + group])
        for bundle in [together] if _fits([*first, *together], width) else [[column] for column in together]:
            if parts[-1] != first and not _fits([*parts[-1], *bundle], width):
                parts.append(first)
            parts[-1] = [*parts[-1], *bundle]
    return parts


def _fits(columns: Sequence[Column], width: int) -> bool:
    return _total([column.least() for column in columns]) <= width


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return a width for each column: what is too much is taken from the widest columns, as far as they fold."""
    widths, least = [column.natural() for column in columns], [column.least() for column in columns]
    while _total(widths) > width:
        narrower = [index for index in range(len(columns)) if widths[index] > least[index]]
        if not narrower:
            break
        widths[max(narrower, key=lambda index: widths[index])] -= 1
    return widths


def _draw(columns: Sequence[Column], widths: Sequence[int]) -> RichTable:
    drawn = RichTable(show_header=any(column.heading for column in columns))
    for column, width in zip(columns, widths, strict=True):
        heading = Text(folded(column.heading, width))
        drawn.add_column(heading, justify="left" if column.justify == "left" else "right", width=width, no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        drawn.add_row(*(Text(folded(cell, width)) for cell, width in zip(cells, widths, strict=True)))
    return drawn
