"""HTML of the page's parts. Everything is :class:`markupsafe.Markup`: what is put into it is escaped by its type."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from mobilenet_chest.evaluation.intervals import Interval

Cell = str | Markup


def number(value: float | None, digits: int = 4) -> str:
    """A figure with so many decimals; a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}"


def signed(value: float, digits: int = 4) -> str:
    """With its sign, and a real minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def probability(p: float) -> str:
    """A p value, in which no line breaks."""
    return "p\u00a0<\u00a00.001" if p < 0.001 else f"p\u00a0=\u00a0{p:.3f}"


def with_interval(value: float | None, interval: Interval | None) -> str:
    """A figure and its interval."""
    return number(value, 3) + (f" ({interval.low:.3f} to {interval.high:.3f})" if interval else "")


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def paragraph(text: Cell, kind: str = "") -> Markup:
    """A paragraph, of a class of the style."""
    return Markup('<p class="{}">{}</p>').format(kind, text) if kind else Markup("<p>{}</p>").format(text)


def missing(text: str) -> Markup:
    """Why something that one would look for is not here."""
    return paragraph(text, "missing")


def table(key: str, caption: Cell, headings: Sequence[Cell], rows: Sequence[Sequence[Cell]], left: int = 1) -> Markup:
    """A table whose first column names the rows; where it is wider than the screen it scrolls by itself.

    Args:
        key: Unique in the page.
        caption: What it shows, and of what.
        headings: One for each column.
        rows: Cells; the first is the row's header.
        left: Columns of words, from the first; the others are figures and stand to the right.
    """
    head = Markup("").join(
        Markup('<th scope="col" class="{}">{}</th>').format("words" if place < left else "amount", heading)
        for place, heading in enumerate(headings)
    )
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            first,
            Markup("").join(
                Markup('<td class="{}">{}</td>').format("words" if place < left else "amount", cell)
                for place, cell in enumerate(rest, 1)
            ),
        )
        for first, *rest in rows
    )
    return Markup(
        '<div class="scroll" role="region" tabindex="0" aria-labelledby="{key}"><table><caption id="{key}">{}</caption>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(caption, head, body, key=key)


def folded(summary: str, inside: Markup) -> Markup:
    """What is shown on request, without a script."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, inside)


def figure(title: str | None, caption: Cell, drawn: Markup, legend: Sequence[tuple[str, str]] = ()) -> Markup:
    """A figure under its heading.

    Args:
        title: A heading of the third level; none where the section's own says it.
        caption: Where the figures come from, and how to read them.
        drawn: What :func:`~.svg.drawing` makes, or a table.
        legend: Class of the line or mark -> what it is.
    """
    keys = Markup("").join(
        Markup('<li><svg class="key" viewBox="0 0 28 10" aria-hidden="true"><path class="line {}" d="M1 5h26"/></svg> '
               "{}</li>").format(kind, what)
        for kind, what in legend
    )  # fmt: skip
    heading = Markup("<h3>{}</h3>").format(title) if title else Markup("")
    listed = Markup('<ul class="legend">{}</ul>').format(keys) if legend else Markup("")
    return Markup("<figure>{}{}{}<figcaption>{}</figcaption></figure>").format(heading, listed, drawn, caption)


def section(key: str, title: str, *parts: Markup) -> Markup:
    """A part of the page under a heading of the second level, reachable from the contents."""
    return Markup('<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{}</h2>{}</section>').format(
        title, Markup("").join(parts), key=key
    )


def side_by_side(*figures: Markup) -> Markup:
    """Figures beside each other where there is room, below each other where there is not."""
    return Markup('<div class="figures">{}</div>').format(Markup("").join(figures))
