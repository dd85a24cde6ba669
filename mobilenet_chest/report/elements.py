"""The elements of the page as plain data. The macro of the same name in ``templates/elements.html.j2`` writes each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MISSING = "–"
"""Text of a cell whose value is unknown."""


class Element:
    """What a macro of ``templates/elements.html.j2`` writes."""

    @property
    def macro(self) -> str:
        """Name of the macro: the class's name in lower case."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Shape(Element):
    """An SVG element without children.

    Attributes:
        tag: Its name.
        attributes: Of the element; ``class`` is one of the style sheet, which gives colours and dashes.
        text: Inside the element.
    """

    tag: Literal["circle", "path", "polygon", "polyline", "rect", "text"]
    attributes: Mapping[str, str]
    text: str = ""


@dataclass(frozen=True)
class Bar(Element):
    """A small drawing inside a table cell. It is hidden from screen readers: the cell beside it has the number.

    Attributes:
        style: Class of the ``svg`` element.
        width: Of the drawing, in its own units.
        height: Likewise.
        shapes: Back to front.
        stretched: The drawing fills its box, whatever the box's proportions.
    """

    style: Literal["span", "meter"]
    width: int
    height: int
    shapes: Sequence[Shape]
    stretched: bool = False


@dataclass(frozen=True)
class Scale(Element):
    """The two ends of the scale of a column of bars, as the column's heading."""

    low: str
    high: str


@dataclass(frozen=True)
class Comparison(Element):
    """A verdict against the baseline, and below it the difference."""

    verdict: str
    difference: str


@dataclass(frozen=True)
class Count(Element):
    """Images in a cell of a confusion matrix, and whether they were predicted correctly."""

    images: int
    correct: bool


@dataclass(frozen=True)
class Code(Element):
    """A run id or a digest."""

    text: str


Cell = str | Bar | Scale | Comparison | Count | Code


@dataclass(frozen=True)
class Table(Element):
    """A table whose first column names the rows. A table that is wider than the screen scrolls by itself.

    Attributes:
        key: The caption's ``id``, unique in the page.
        caption: What the table shows, and of what.
        headings: One for each column.
        rows: Cells; the first is the row's header.
        text_columns: How many columns, from the first, are text and aligned to the left; the others are numbers.
    """

    key: str
    caption: str
    headings: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    text_columns: int = 1


@dataclass(frozen=True)
class Drawing(Element):
    """A plot, with what it shows in words for those who do not see it.

    Attributes:
        key: Start of the ``id`` of its title and description, unique in the page.
        title: What the plot is.
        description: What there is to see in it.
        width: In its own units.
        height: Likewise.
        shapes: Back to front.
    """

    key: str
    title: str
    description: str
    width: int
    height: int
    shapes: Sequence[Shape]


@dataclass(frozen=True)
class Figure(Element):
    """A plot or a table under its heading.

    Attributes:
        caption: Where the numbers come from, and how to read them.
        content: What is shown.
        title: A heading of the third level; empty where the section's heading says it.
        legend: Class of the line or mark, and what it is.
    """

    caption: str
    content: Drawing | Table
    title: str = ""
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Figures(Element):
    """Figures and tables beside each other where there is room, below each other where there is not."""

    contents: Sequence[Element]


@dataclass(frozen=True)
class Paragraph(Element):
    """A paragraph.

    Attributes:
        text: One or a few sentences.
        style: ``soft`` for an aside, ``missing`` for why something that a reader would look for is not there.
    """

    text: str
    style: Literal["", "soft", "missing"] = ""


@dataclass(frozen=True)
class Folded(Element):
    """Elements that are shown on request, without a script."""

    summary: str
    contents: Sequence[Element]


@dataclass(frozen=True)
class Items(Element):
    """A list of short texts."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Definitions(Element):
    """Names and their values."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Picture(Element):
    """An image with what the run predicted of it.

    Attributes:
        address: A ``data:`` address of a PNG.
        side: Width and height at most, in pixels.
        correct: Whether the prediction is the label.
        truth: Name of the label.
        prediction: Name of the predicted class with its probability.
        row: Where the image is in the file.
    """

    address: str
    side: int
    correct: bool
    truth: str
    prediction: str
    row: str


@dataclass(frozen=True)
class Pictures(Element):
    """Images in a grid."""

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Finding(Element):
    """A finding of the audit of the data.

    Attributes:
        severity: How much it matters.
        text: One or a few sentences.
        details: The images that it is about.
    """

    severity: str
    text: str
    details: Folded | None = None


@dataclass(frozen=True)
class Findings(Element):
    """All findings of the audit, under a heading."""

    findings: Sequence[Finding]
