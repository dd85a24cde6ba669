"""Line plots as SVG inside the page. Colours and dashes are classes of the page's style: figures follow its scheme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 400, 270
"""Of a figure, in its own units: on a narrow screen about a CSS pixel each, so that 12 units of type stay legible."""

LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 42


@dataclass(frozen=True)
class Axes:
    """Axes of one figure.

    Attributes:
        x: Left and right end, in the data's units.
        y: Lower and upper end.
        x_label: Quantity, with its unit.
        y_label: Likewise.
        whole: Ticks of the x axis are whole numbers.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    whole: bool = False

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the data is, in the figure's units; what lies outside is moved to the edge."""
        across = (min(max(x, self.x[0]), self.x[1]) - self.x[0]) / (self.x[1] - self.x[0])
        up = (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def line(self, points: Points, kind: str) -> Markup:
        """A line through the points; ``kind`` is a class of the style: first, second, third, guide."""
        return Markup('<polyline class="line {}" points="{}"/>').format(kind, self._path(points))

    def band(self, low: Points, high: Points, kind: str) -> Markup:
        """The area between two lines."""
        outline = [*low, *reversed(high)]
        return Markup('<polygon class="band {}" points="{}"/>').format(kind, self._path(outline))

    def dot(self, x: float, y: float, kind: str) -> Markup:
        """A single point."""
        across, down = self.at(x, y)
        return Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(kind, across, down)

    def whisker(self, x: float, low: float, high: float, kind: str) -> Markup:
        """An interval of y at one x."""
        (across, bottom), (_, top) = self.at(x, low), self.at(x, high)
        return Markup('<path class="line {}" d="M{x:.1f} {:.1f}V{:.1f}M{:.1f} {top:.1f}h6m-6 {:.1f}h6"/>').format(
            kind, bottom, top, across - 3, bottom - top, x=across, top=top
        )

    def column(self, left: float, right: float, height: float, kind: str) -> Markup:
        """A bar of a histogram, from the lower end of the y axis."""
        (x0, y0), (x1, y1) = self.at(left, self.y[0]), self.at(right, height)
        return Markup('<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            kind, x0 + 0.5, y1, max(0.5, x1 - x0 - 1), max(0.0, y0 - y1)
        )

    def upright(self, x: float) -> Markup:
        """A dashed line from bottom to top."""
        return self.line([(x, self.y[0]), (x, self.y[1])], "guide")

    def _path(self, points: Points) -> str:
        return " ".join(f"{across:.1f},{down:.1f}" for across, down in (self.at(x, y) for x, y in points))

    def frame(self) -> Markup:
        """Grid, ticks and labels."""
        parts = []
        for value in ticks(*self.x, whole=self.whole):
            across, bottom = self.at(value, self.y[0])
            parts.append(
                Markup('<path class="grid" d="M{x:.1f} {:.1f}V{}"/><text class="tick" x="{x:.1f}" y="{:.1f}" '
                       'text-anchor="middle">{:g}</text>').format(bottom, TOP, bottom + 16, value, x=across)
            )  # fmt: skip
        for value in ticks(*self.y):
            left, down = self.at(self.x[0], value)
            parts.append(
                Markup('<path class="grid" d="M{:.1f} {y:.1f}H{}"/><text class="tick" x="{:.1f}" y="{:.1f}" '
                       'text-anchor="end">{:g}</text>').format(left, WIDTH - RIGHT, left - 6, down + 4, value, y=down)
            )  # fmt: skip
        middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
        parts.append(
            Markup(
                '<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>'
                '<text class="label" transform="translate(13 {}) rotate(-90)" text-anchor="middle">{}</text>'
            ).format(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, self.x_label, middle, self.y_label)
        )
        return Markup("").join(parts)


def drawing(key: str, title: str, description: str, parts: Sequence[Markup]) -> Markup:
    """The ``svg`` element, with what it shows in words for those who do not see it.

    Args:
        key: Unique in the page.
        title: What the figure is.
        description: What there is to see in it.
        parts: Back to front.
    """
    return Markup(
        '<svg role="img" viewBox="0 0 {} {}" aria-labelledby="{key}-t {key}-d"><title id="{key}-t">{}</title>'
        '<desc id="{key}-d">{}</desc>{}</svg>'
    ).format(WIDTH, HEIGHT, title, description, Markup("").join(parts), key=key)


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Round numbers from ``low`` to ``high``, about five."""
    from matplotlib.ticker import MaxNLocator  # takes long

    room = 1e-9 * (high - low)
    found = MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=whole).tick_values(low, high)
    return [round(float(value), 10) for value in found if low - room <= value <= high + room]


def around(values: Sequence[float], margin: float = 0.06) -> tuple[float, float]:
    """Ends of an axis that holds all values, with a little room; never of no length."""
    low, high = min(values), max(values)
    room = margin * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room
